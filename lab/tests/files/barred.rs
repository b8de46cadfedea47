//! Users whom AD lets in no more, and who hold a ticket and an open connection of the time before.

use std::fs;
use std::time::Duration;

use crossrealm_lab::{Failure, Place, USER_PASSWORD};

use super::Test;
use super::hosts::{ended, writes};
use super::scene::{CHANGE_LIMIT, Scene};

/// Name and test.
pub const TESTS: &[(&str, Test)] = &[
    ("a_disabled_users_connections_end", disabled),
    ("a_deleted_users_connections_end", deleted),
];

const SHARES: [&str; 2] = ["barred", "barred-too"];
const GONE: [&str; 2] = ["left", "left-too"];
pub(super) const DENIED: &str = "NT_STATUS_ACCESS_DENIED";

fn disabled(scene: &mut Scene) -> Result<(), Failure> {
    for share in SHARES {
        scene.share(share)?;
        scene.grant(share, "Sales", "contributor")?;
        scene.until_served("alice", share)?;
    }
    let stop = scene.story.world.path(Place::Client, "stop-barred");
    let mut bob = writes(scene, "bob", SHARES[0], "bob beside barred", &stop)?;
    let alice = writes(scene, "alice", SHARES[0], "alice is disabled", &stop)?;
    let took = after_sync(scene, &["user", "disable", "alice"], || ended(&alice))?;
    println!(
        "disabled and synced: the open connection ended after {} ms",
        took.as_millis()
    );
    let outcome = held_ticket_is_refused(scene, "alice", SHARES);
    scene
        .story
        .world
        .samba_tool(&["user", "enable", "alice"])
        .ok()?;
    sync(scene)?;
    outcome?;
    for share in SHARES {
        scene.until_served("alice", share)?;
    }
    fs::write(&stop, "")?;
    bob.wait_for_line("ended", CHANGE_LIMIT)?;
    match bob.log_from(0).contains("NT_STATUS") {
        false => Ok(()),
        true => Err(Failure::new("bob was disturbed").with(bob.log_tail())),
    }
}

fn deleted(scene: &mut Scene) -> Result<(), Failure> {
    let tool = |words: &[&str]| scene.story.world.samba_tool(words).ok().map(drop);
    tool(&["user", "create", "dora", USER_PASSWORD])?;
    sync(scene)?;
    for share in GONE {
        scene.share(share)?;
        scene.grant(share, "dora@corp.contoso.com", "contributor")?;
    }
    scene.sign_in("dora")?;
    for share in GONE {
        scene.until_served("dora", share)?;
    }
    let stop = scene.story.world.path(Place::Client, "stop-dora");
    let dora = writes(scene, "dora", GONE[0], "dora is deleted", &stop)?;
    after_sync(scene, &["user", "delete", "dora"], || ended(&dora))?;
    let outcome = held_ticket_is_refused(scene, "dora", GONE);
    fs::write(&stop, "")?;
    outcome
}

/// Changes AD, syncs, and sees what comes of it.
fn after_sync(
    scene: &Scene,
    words: &[&str],
    seen: impl FnOnce() -> Result<Duration, Failure>,
) -> Result<Duration, Failure> {
    scene.story.world.samba_tool(words).ok()?;
    sync(scene)?;
    seen()
}

pub(super) fn sync(scene: &Scene) -> Result<(), Failure> {
    scene
        .story
        .with_domain_admin(&["sync", "once"])?
        .ok()
        .map(drop)
}

/// No share takes a new connection with the ticket that is held.
fn held_ticket_is_refused(scene: &Scene, user: &str, shares: [&str; 2]) -> Result<(), Failure> {
    for share in shares {
        let ls = scene.smbclient(user, share, "ls");
        ls.refused(1)?.says(DENIED)?;
    }
    Ok(())
}
