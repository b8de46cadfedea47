//! A host with many shares, and with a file system of its own below one of them.

use std::fs;
use std::time::Instant;

use crossrealm_lab::{Failure, Place, Run};

use super::Test;
use super::hosts::{SECOND, ended, second_data, second_host, writes};
use super::revoked_users::sync;
use super::scene::Scene;

/// Name and test.
pub(crate) const TESTS: &[(&str, Test)] = &[
    ("a_file_system_on_a_shares_folder_is_served", mounted),
    ("a_revoked_user_is_refused_on_two_hundred_shares", many),
];

const COUNT: usize = 200;

/// A file system that is mounted on the folder of a share before the host starts is what smbd serves.
fn mounted(scene: &mut Scene) -> Result<(), Failure> {
    let share = "mounted";
    scene.share(share)?;
    scene.until_served("bob", share)?;
    let folder = second_data(scene).join("acct1/shares").join(share);
    fs::create_dir_all(&folder)?;
    let mount = Run::here("mount").args(["-t", "tmpfs", "-o", "mode=0777", "crossrealm-lab"]);
    mount.arg(&folder).ok()?;
    let outcome = second_host(scene, |scene| {
        let local = scene.story.world.write(Place::Client, "on.txt", "on it")?;
        let put = format!("put {} on.txt", local.display());
        let put = scene.smbclient("bob", share, &put).args(["-p", SECOND]);
        let what = "was expected to be served";
        scene.until(&put, what, |output| output.code == Some(0))?;
        match fs::read_to_string(folder.join("on.txt")) {
            Ok(text) if text == "on it" => Ok(()),
            other => Err(Failure::new(format!(
                "the file is not on what is mounted: {other:?}"
            ))),
        }
    });
    let unmounted = Run::here("umount").arg("--lazy").arg(&folder).ok();
    outcome.and(unmounted.map(drop))
}

fn many(scene: &mut Scene) -> Result<(), Failure> {
    let name = |number: usize| format!("many-{number:03}");
    for number in 0..COUNT {
        let full = format!("acct1/{}", name(number));
        scene.admin(&["share", "create", &full]).ok()?;
    }
    let (first, last) = (name(0), name(COUNT - 1));
    for share in [&first, &last] {
        scene.grant(share, "Sales", "contributor")?;
    }
    scene.sign_in("alice")?;
    scene.until_served("alice", &first)?;
    scene.until_served("alice", &last)?;
    let stop = scene.story.world.path(Place::Client, "stop-many");
    let alice = writes(scene, "alice", &last, "alice among many shares", &stop)?;
    let tool = |word: &str| {
        scene
            .story
            .world
            .samba_tool(&["user", word, "alice"])
            .ok()
            .map(drop)
    };
    tool("disable")?;
    sync(scene)?;
    let began = Instant::now();
    let outcome = ended(&alice);
    println!(
        "{COUNT} shares: the open connection ended after {} ms",
        began.elapsed().as_millis()
    );
    tool("enable")?;
    sync(scene)?;
    fs::write(&stop, "")?;
    outcome.map(drop)
}
