//! Users who leave a group in AD, and hold a ticket and an open connection of the time when they were in it.

use std::fs;
use std::path::Path;

use crossrealm_lab::{Failure, Place, Service, USER_PASSWORD, until};

use super::Test;
use super::hosts::{ended, repeats, undisturbed, writes};
use super::revoked_users::{DENIED, sync};
use super::scene::{CHANGE_LIMIT, Scene};

/// Name and test.
pub(crate) const TESTS: &[(&str, Test)] = &[
    ("a_user_who_leaves_a_group_loses_its_role_at_once", left),
    (
        "a_user_who_leaves_one_of_two_groups_keeps_the_others_role",
        partly,
    ),
];

const LEFT: &str = "group-left";
const PARTLY: &str = "partly";

/// alice and erin are in Sales, which is in AllStaff.
fn left(scene: &mut Scene) -> Result<(), Failure> {
    tool(scene, &["user", "create", "erin", USER_PASSWORD])?;
    tool(scene, &["group", "addmembers", "Sales", "erin"])?;
    sync(scene)?;
    scene.sign_in("erin")?;
    scene.share(LEFT)?;
    scene.grant(LEFT, "AllStaff", "contributor")?;
    scene.until_served("alice", LEFT)?;
    let stop = scene.story.world.path(Place::Client, "stop-left");
    let mut erin = writes(scene, "erin", LEFT, "erin stays in the group", &stop)?;
    let alice = writes(scene, "alice", LEFT, "alice leaves the group", &stop)?;
    tool(scene, &["group", "removemembers", "Sales", "alice"])?;
    sync(scene)?;
    let took = ended(&alice);
    let ls = scene.smbclient("alice", LEFT, "ls").refused(1);
    let refused = ls.and_then(|output| output.says(DENIED).map(drop));
    tool(scene, &["group", "addmembers", "Sales", "alice"])?;
    sync(scene)?;
    println!(
        "left the group and synced: the open connection ended after {} ms",
        took?.as_millis()
    );
    refused?;
    // A member again, with the same ticket.
    scene.until_served("alice", LEFT)?;
    fs::write(&stop, "")?;
    undisturbed(&mut erin)
}

/// alice is a contributor by one group and a reader by another, and leaves the first.
fn partly(scene: &mut Scene) -> Result<(), Failure> {
    for group in ["Editors", "Viewers"] {
        tool(scene, &["group", "add", group])?;
        tool(scene, &["group", "addmembers", group, "alice"])?;
    }
    sync(scene)?;
    scene.sign_in("alice")?;
    scene.share(PARTLY)?;
    scene.grant(PARTLY, "Editors", "contributor")?;
    scene.grant(PARTLY, "Viewers", "reader")?;
    scene.until_served("alice", PARTLY)?;
    let stop = scene.story.world.path(Place::Client, "stop-partly");
    let alice = writes(scene, "alice", PARTLY, "alice writes as an editor", &stop)?;
    let mut reader = reads(scene, &stop)?;
    tool(scene, &["group", "removemembers", "Editors", "alice"])?;
    sync(scene)?;
    ended(&alice)?;
    // smbd may end the connection to the share when the role changes; within the same session it is made again and again.
    let mark = reader.log_mark();
    let again = || Ok(reader.log_from(mark).contains("getting file").then_some(()));
    until("alice reads again", CHANGE_LIMIT, again)?;
    let put = format!(
        "put {} again",
        scene.story.world.path(Place::Client, "open.txt").display()
    );
    scene
        .smbclient("alice", PARTLY, &put)
        .refused(1)?
        .says(DENIED)?;
    fs::write(&stop, "")?;
    reader.wait_for_line("ended", CHANGE_LIMIT)?;
    match reader.log_from(mark).contains(DENIED) {
        false => Ok(()),
        true => Err(Failure::new("reading was refused").with(reader.log_tail())),
    }
}

/// A session of alice that reads what the other one writes, without pause, and connects to the share each time.
fn reads(scene: &Scene, stop: &Path) -> Result<Service, Failure> {
    let mut service = repeats(
        scene,
        "alice",
        PARTLY,
        ("alice reads", "get alice.txt /dev/null\ntcon partly"),
        stop,
    )?;
    service.wait_for_line("getting file", CHANGE_LIMIT)?;
    Ok(service)
}

fn tool(scene: &Scene, words: &[&str]) -> Result<(), Failure> {
    scene.story.world.samba_tool(words).ok().map(drop)
}
