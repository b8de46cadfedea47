//! `cargo xtask demo`: the main path, end to end, with an account for newcomers: the story that the end-to-end test asserts.

use crossrealm_lab::{ADMIN_PASSWORD, Place, USER_PASSWORD, World, need, story};

use crate::{Outcome, setup};

/// Sets up, builds, plays.
pub(crate) fn run() -> Outcome {
    setup::run()?;
    if let Some(reason) = need::unmet() {
        return Err(format!("the demo cannot run here: {reason}"));
    }
    eprintln!("demo: building the product (the first time takes some minutes)");
    let binary = crossrealm_lab::build_product().map_err(|failure| failure.to_string())?;
    story::tell(&binary).map_err(|failure| failure.to_string())
}

/// Starts the test world and keeps it, for people who want to try things by hand.
pub(crate) fn world() -> Outcome {
    setup::run()?;
    let world = World::start().map_err(|failure| failure.to_string())?;
    for place in [Place::Onprem, Place::Client, Place::Cloud, Place::Admin] {
        let name = world.namespace(place);
        println!(
            "{:7} ip netns exec {name} COMMAND    its folder: {}",
            place.name(),
            world.folder(place).display()
        );
    }
    println!(
        "domain  corp.contoso.com at 10.77.1.1: administrator / {ADMIN_PASSWORD}; alice, bob, mallory, müller / {USER_PASSWORD}"
    );
    println!(
        "krb5    KRB5_CONFIG={}",
        world.path(Place::Client, "corp-krb5.conf").display()
    );
    println!("Press Enter to remove it all");
    let mut line = String::new();
    std::io::stdin()
        .read_line(&mut line)
        .map_err(|error| error.to_string())?;
    drop(world);
    Ok(())
}
