//! Every role, by every way in which it can come to a user, and everything that can be done with it.
//!
//! What a row expects is written down as a person would; what happened is read from the client and from the disk.

use std::fs;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

use crossrealm_lab::{Failure, Place};
use serde_json::{Value, json};

use super::Test;
use super::scene::{CHANGE_LIMIT, Scene};

/// Name and test.
pub(crate) const TESTS: &[(&str, Test)] = &[
    (
        "each_role_grants_the_same_by_every_path",
        roles_by_every_way,
    ),
    ("the_highest_role_applies", the_highest_role_applies),
    (
        "the_most_restrictive_of_share_and_file_wins",
        the_most_restrictive_wins,
    ),
];

/// What alice may do with a file that gives her everything.
const NOTHING: [bool; 4] = [false; 4];
const READER: [bool; 4] = [true, false, false, false];
const CONTRIBUTOR: [bool; 4] = [true, true, true, false];
const ELEVATED: [bool; 4] = [true, true, true, true];

/// Role, and what it permits: read, write, delete, change the permissions.
const ROLES: [(&str, [bool; 4]); 3] = [
    ("reader", READER),
    ("contributor", CONTRIBUTOR),
    ("elevated-contributor", ELEVATED),
];
/// Way, and the user or group that gets the role so that it comes to alice: she is in Sales, which is in AllStaff.
const WAYS: [(&str, &str); 3] = [
    ("direct", "alice@corp.contoso.com"),
    ("group", "Sales"),
    ("nested", "AllStaff"),
];
const DEEDS: [&str; 4] = ["read", "write", "delete", "change-permissions"];

fn roles_by_every_way(scene: &mut Scene) -> Result<(), Failure> {
    let mut rows = vec![("m-none".to_owned(), NOTHING, "")];
    scene.share("m-none")?;
    for (role, expected) in ROLES {
        for (way, to) in WAYS {
            let share = format!("m-{role}-{way}");
            scene.share(&share)?;
            scene.grant(&share, to, role)?;
            rows.push((share, expected, way));
        }
    }
    for (share, expected, way) in rows {
        seed(scene, &share)?;
        check(scene, &share, expected)?;
        explained(scene, &share, way, expected)?;
    }
    // The default permission comes to everyone on every share; it is tried where alice has nothing else.
    for (role, expected) in ROLES {
        default_permission(scene, role)?;
        seed(scene, "m-none")?;
        scene.until_served("alice", "m-none")?;
        settled(scene, "m-none", expected)?;
        check(scene, "m-none", expected)?;
        explained(scene, "m-none", "default", expected)?;
    }
    default_permission(scene, "none")?;
    let ls = scene.smbclient("alice", "m-none", "ls");
    scene
        .until(&ls, "was expected to be refused again", |output| {
            output.code == Some(1) && output.both().contains("NT_STATUS_ACCESS_DENIED")
        })
        .map(drop)
}

fn default_permission(scene: &Scene, role: &str) -> Result<(), Failure> {
    let words = ["share", "default-permission", "acct1", "--role", role];
    scene.admin(&words).ok().map(drop)
}

fn the_highest_role_applies(scene: &mut Scene) -> Result<(), Failure> {
    default_permission(scene, "none")?;
    for (share, grants, expected) in [
        (
            "h-own-over-group",
            [("AllStaff", "reader"), ("alice", "contributor")],
            CONTRIBUTOR,
        ),
        (
            "h-group-over-own",
            [("Sales", "elevated-contributor"), ("alice", "reader")],
            ELEVATED,
        ),
    ] {
        scene.share(share)?;
        for (to, role) in grants {
            scene.grant(share, to, role)?;
        }
        seed(scene, share)?;
        scene.until_served("alice", share)?;
        settled(scene, share, expected)?;
        check(scene, share, expected)?;
    }
    // A default below what is granted takes nothing away, one above it adds.
    scene.share("h-default")?;
    scene.grant("h-default", "alice", "contributor")?;
    for (role, expected) in [("reader", CONTRIBUTOR), ("elevated-contributor", ELEVATED)] {
        default_permission(scene, role)?;
        seed(scene, "h-default")?;
        scene.until_served("alice", "h-default")?;
        settled(scene, "h-default", expected)?;
        check(scene, "h-default", expected)?;
    }
    default_permission(scene, "none")
}

/// On a share where alice may do everything: what a file does not give, she does not get.
fn the_most_restrictive_wins(scene: &mut Scene) -> Result<(), Failure> {
    default_permission(scene, "none")?;
    let share = "r-files";
    scene.share(share)?;
    scene.grant(share, "alice", "elevated-contributor")?;
    for (changes, expected) in [
        // As a new file is: Authenticated Users may modify, which does not let them change permissions.
        (&[][..], CONTRIBUTOR),
        (
            &[
                "--inherit",
                "no",
                "--revoke",
                "Authenticated Users",
                "--grant",
                "Sales:read-execute",
            ],
            READER,
        ),
        (
            &["--inherit", "no", "--revoke", "Authenticated Users"],
            NOTHING,
        ),
        (&["--deny", "AllStaff:write+delete"], READER),
        (&["--deny", "alice@corp.contoso.com:full"], NOTHING),
    ] {
        put_as_bob(scene, share)?;
        if !changes.is_empty() {
            for file in ["/full.txt", "/delete.txt"] {
                scene
                    .on_host(&["share", "acl", "acct1/r-files", file])
                    .args(changes)
                    .ok()?;
            }
            // The folder would let her delete what the file does not.
            let root = ["share", "acl", "acct1/r-files", "/"];
            scene
                .on_host(&root)
                .args(["--grant", "Authenticated Users:modify"])
                .ok()?;
        }
        scene.until_served("alice", share)?;
        check(scene, share, expected).map_err(|failure| failure.with(changes.join(" ")))?;
        explained(scene, share, "direct", expected)?;
    }
    Ok(())
}

/// bob puts two files and gives alice everything there; he may, since they are his.
fn seed(scene: &Scene, share: &str) -> Result<(), Failure> {
    put_as_bob(scene, share)?;
    let ace = format!(
        "ACL:{}:ALLOWED/0x0/FULL",
        scene.story.world.sid_of("alice")?
    );
    for file in ["full.txt", "delete.txt"] {
        scene.smbcacls("bob", share, &[file, "--add", &ace]).ok()?;
    }
    Ok(())
}

fn put_as_bob(scene: &Scene, share: &str) -> Result<(), Failure> {
    let local = scene
        .story
        .world
        .write(Place::Client, "bob.txt", "by bob")?;
    let local = local.display();
    scene.until_served("bob", share)?;
    let put = format!("del full.txt; del delete.txt; put {local} full.txt; put {local} delete.txt");
    let put = scene.smbclient("bob", share, &put);
    put.ok()?.does_not_say("ACCESS_DENIED").map(drop)
}

/// Waits until the host has heard of alice's role: until she may open for writing what she will be able to write.
fn settled(scene: &Scene, share: &str, expected: [bool; 4]) -> Result<(), Failure> {
    let began = Instant::now();
    loop {
        let deeds = [false, true, false, true];
        let done = deeds_of(scene, share, deeds)?;
        let agree = (0..4).all(|n| !deeds[n] || done[n] == expected[n]);
        if agree {
            return Ok(());
        }
        if began.elapsed() > CHANGE_LIMIT {
            return Err(Failure::new(format!(
                "on {share}, alice was expected to be able to {DEEDS:?} {expected:?}, but {done:?}"
            )));
        }
    }
}

/// alice tries everything; each deed is done or refused as expected.
fn check(scene: &Scene, share: &str, expected: [bool; 4]) -> Result<(), Failure> {
    if expected != NOTHING {
        scene.until_served("alice", share)?;
    }
    let done = deeds_of(scene, share, [true; 4])?;
    if done == expected {
        return Ok(());
    }
    Err(Failure::new(format!(
        "on {share}, alice was expected to be able to {DEEDS:?} {expected:?}, but {done:?}"
    )))
}

/// Which of the wanted deeds alice can do: judged by the copy that she gets, and by the host's disk.
fn deeds_of(scene: &Scene, share: &str, wanted: [bool; 4]) -> Result<[bool; 4], Failure> {
    let world = &scene.story.world;
    let (copy, new) = (
        world.path(Place::Client, "copy.txt"),
        world.write(Place::Client, "alice.txt", "by alice")?,
    );
    let _ = fs::remove_file(&copy);
    let on_disk = |file| scene.on_disk(share, file);
    let before = scene.attribute(share, "full.txt")?;
    let content = fs::read(on_disk("full.txt"))?;
    let commands = [
        format!("get full.txt {}", copy.display()),
        format!("put {} full.txt", new.display()),
        "del delete.txt".into(),
    ];
    let wanted_commands = commands.iter().zip(wanted).filter(|(_, wanted)| *wanted);
    let commands: Vec<&str> = wanted_commands.map(|(text, _)| text.as_str()).collect();
    let said = scene
        .smbclient("alice", share, &commands.join("; "))
        .output()?;
    // An entry that was never there: one that is, would be added without a change.
    static NEXT: AtomicU32 = AtomicU32::new(1);
    let nobody = NEXT.fetch_add(1, Ordering::Relaxed);
    let ace = format!("ACL:S-1-5-21-1-2-3-{nobody}:ALLOWED/0x0/READ");
    let acl = scene.smbcacls("alice", share, &["full.txt", "--add", &ace]);
    let changed = wanted[3] && acl.output()?.code == Some(0);
    let done = [
        fs::read(&copy).is_ok_and(|copy| copy == content),
        fs::read(on_disk("full.txt"))? == b"by alice",
        !on_disk("delete.txt").exists(),
        scene.attribute(share, "full.txt")? != before,
    ];
    if done[3] != changed {
        return Err(said.failure("smbcacls and the disk disagree"));
    }
    // What was not done was refused, and for no other reason than that access is denied.
    let refused = (0..3).any(|n| wanted[n] && !done[n]);
    if refused && !said.both().contains("NT_STATUS_ACCESS_DENIED") {
        return Err(said.failure("was expected to be refused: NT_STATUS_ACCESS_DENIED"));
    }
    Ok(done)
}

/// `share access --path` says the same as smbd did, and by what way.
fn explained(scene: &Scene, share: &str, way: &str, expected: [bool; 4]) -> Result<(), Failure> {
    let share = format!("acct1/{share}");
    let words = [
        "share",
        "access",
        &share,
        "--user",
        "alice@corp.contoso.com",
    ];
    let words = [&words[..], &["--path", "/full.txt", "-o", "json"]].concat();
    let output = scene.on_host(&words).ok()?;
    let reported = output.json()?;
    let may = reported["file"]["may"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    for (deed, expected) in DEEDS.iter().zip(expected) {
        if may.contains(&json!(deed)) != expected {
            return Err(output.failure(&format!("was expected to say of {deed}: {expected}")));
        }
    }
    let path: Vec<&Value> = reported["reasons"][0]["path"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|step| &step["name"])
        .collect();
    let (via, steps) = match way {
        "" => return Ok(()),
        "group" => ("group", vec!["Sales"]),
        "nested" => ("group", vec!["Sales", "AllStaff"]),
        other => (other, vec![]),
    };
    if reported["reasons"][0]["via"] == via && path == steps {
        return Ok(());
    }
    Err(output.failure(&format!("was expected to say: {via} by {steps:?}")))
}
