//! Users that AD no longer lets in, and that hold a ticket and an open connection of the time before.

use std::fs;
use std::time::Duration;

use crossrealm_lab::{Failure, PATIENCE, Place, Service, USER_PASSWORD, until};

use super::Test;
use super::hosts::{ended, undisturbed, writes};
use super::scene::{CHANGE_LIMIT, Scene};

/// Name and test.
pub(crate) const TESTS: &[(&str, Test)] = &[
    ("a_disabled_users_connections_end", disabled),
    ("a_deleted_users_connections_end", deleted),
    (
        "a_user_who_leaves_the_scope_is_refused_also_behind_many_others",
        out_of_scope,
    ),
];

const SHARES: [&str; 2] = ["revoked", "revoked-too"];
const GONE: [&str; 2] = ["left", "left-too"];
const SCOPE: [&str; 2] = ["scope", "scope-too"];
/// More than a host's list of revoked users takes.
const CROWD: usize = 760;
pub(super) const DENIED: &str = "NT_STATUS_ACCESS_DENIED";

fn disabled(scene: &mut Scene) -> Result<(), Failure> {
    for share in SHARES {
        scene.share(share)?;
        scene.grant(share, "Sales", "contributor")?;
        scene.until_served("alice", share)?;
    }
    let stop = scene.story.world.path(Place::Client, "stop-revoked");
    let mut bob = writes(scene, "bob", SHARES[0], "bob beside revoked users", &stop)?;
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
    undisturbed(&mut bob)
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

/// zoe leaves the scope of the sync after more people than a host's list of revoked users takes.
fn out_of_scope(scene: &mut Scene) -> Result<(), Failure> {
    let one = |number| {
        format!(
            "dn: CN=crowd-{number},CN=Users,DC=corp,DC=contoso,DC=com\nchangetype: add\nobjectClass: user\n\
             sAMAccountName: crowd-{number}\ndescription: crowd\nuserAccountControl: 544\n\n"
        )
    };
    let crowd: String = (0..CROWD).map(one).collect();
    let world = &scene.story.world;
    world.ldbmodify(&crowd).timeout(PATIENCE).ok()?;
    world
        .samba_tool(&["user", "create", "zoe", USER_PASSWORD])
        .ok()?;
    sync(scene)?;
    for share in SCOPE {
        scene.share(share)?;
        scene.grant(share, "zoe", "contributor")?;
    }
    scene.sign_in("zoe")?;
    for share in SCOPE {
        scene.until_served("zoe", share)?;
    }
    let stop = scene.story.world.path(Place::Client, "stop-scope");
    let mut bob = writes(scene, "bob", SCOPE[0], "bob stays in the scope", &stop)?;
    let zoe = writes(scene, "zoe", SCOPE[0], "zoe leaves the scope", &stop)?;
    let outcome = first_the_crowd_then_her(scene, &zoe);
    sync(scene)?;
    outcome?;
    // Back in the scope, with the ticket that she has.
    scene.until_served("zoe", SCOPE[0])?;
    fs::write(&stop, "")?;
    undisturbed(&mut bob)
}

fn first_the_crowd_then_her(scene: &Scene, zoe: &Service) -> Result<(), Failure> {
    sync_within(scene, "(!(description=crowd))")?;
    let events = scene.admin(&["events", "--since", "1h"]);
    let what = "was expected to warn of users that no host can refuse";
    scene.until(&events, what, |output| {
        output.both().contains("host.not-refused")
    })?;
    let mark = zoe.log_mark();
    until("zoe still writes", CHANGE_LIMIT, || {
        Ok(zoe.log_from(mark).contains("putting file").then_some(()))
    })?;
    sync_within(scene, "(&(!(description=crowd))(!(sAMAccountName=zoe)))")?;
    let took = ended(zoe)?;
    println!(
        "out of the scope behind {CROWD} others: the open connection ended after {} ms",
        took.as_millis()
    );
    held_ticket_is_refused(scene, "zoe", SCOPE)
}

fn sync_within(scene: &Scene, filter: &str) -> Result<(), Failure> {
    let words = ["sync", "once", "--scope-filter", filter];
    let run = scene.story.with_domain_admin(&words)?;
    run.args(["--accept-deletions", "1000"])
        .timeout(PATIENCE)
        .ok()
        .map(drop)
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
        .timeout(PATIENCE)
        .ok()
        .map(drop)
}

/// No share takes a new connection with the ticket that is held. Each share is changed by itself, so another one may be
/// later than the one whose connection ended.
fn held_ticket_is_refused(scene: &Scene, user: &str, shares: [&str; 2]) -> Result<(), Failure> {
    for share in shares {
        let ls = scene.smbclient(user, share, "ls");
        let what = "was expected to be refused on every share";
        scene.until(&ls, what, |output| output.both().contains(DENIED))?;
    }
    Ok(())
}
