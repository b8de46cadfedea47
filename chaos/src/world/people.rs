//! Who there is in AD, and what they are given.

use std::path::{Path, PathBuf};

use crossrealm_lab::story::{CLOUD_REALM, FILES_HOST, SPN, Story};
use crossrealm_lab::{DOMAIN, Failure, Place, REALM, Run, USER_PASSWORD};

use crate::checker::Sids;
use crate::history::Right;

/// Nobody takes anything from her: she writes the files.
pub(crate) const WRITER: &str = "alice";
/// They are disabled and enabled again; they have their role through a group.
pub(crate) const DISABLED: [&str; 2] = ["dora", "dirk"];
/// They leave the group and come back.
pub(crate) const MEMBERS: [&str; 2] = ["mara", "milo"];
/// They have a role of their own, which is revoked and granted again.
pub(crate) const GRANTED: [&str; 2] = ["rosa", "rolf"];
/// The group of which the members change.
pub(crate) const GROUP: &str = "Rotating";
/// Its share, and the one of those with a role of their own.
pub(crate) const GROUP_SHARE: &str = "groups";
pub(crate) const ROLE_SHARE: &str = "roles";
/// The share for all others.
pub(crate) const SHARE: &str = "projects";
/// A service of which the checker knows the keys, so that it can read the tickets.
pub(crate) const PAC_SPN: &str = "HTTP/pac.contoso.cloud.example";

const BASE: &str = "DC=corp,DC=contoso,DC=com";

/// Everybody with a ticket.
pub(crate) fn everybody() -> impl Iterator<Item = &'static str> {
    [WRITER]
        .into_iter()
        .chain(DISABLED)
        .chain(MEMBERS)
        .chain(GRANTED)
}

/// Creates people and the group in AD.
pub(crate) fn arrive(story: &Story) -> Result<(), Failure> {
    let tool = |words: &[&str]| story.world.samba_tool(words).ok().map(drop);
    let new = everybody().filter(|user| *user != WRITER);
    for user in new {
        tool(&["user", "create", user, USER_PASSWORD])?;
    }
    tool(&["group", "add", GROUP])?;
    tool(&["group", "addmembers", GROUP, &MEMBERS.join(",")])?;
    tool(&["group", "addmembers", "Sales", &DISABLED.join(",")])
}

/// Gives them their roles and signs them in: each holds a referral, and a ticket of the SMB host.
pub(crate) fn settle(story: &Story) -> Result<(), Failure> {
    let admin = |words: &[&str]| story.crossrealm(Place::Admin).args(words).ok().map(drop);
    for share in [GROUP_SHARE, ROLE_SHARE] {
        admin(&["share", "create", &format!("acct1/{share}")])?;
    }
    let grant = |share: &str, to: &str| {
        let share = format!("acct1/{share}");
        admin(&[
            "share",
            "grant",
            &share,
            "--to",
            to,
            "--role",
            "contributor",
        ])
    };
    grant(GROUP_SHARE, GROUP)?;
    for user in GRANTED {
        grant(ROLE_SHARE, &upn(user))?;
    }
    admin(&["service-principal", "create", PAC_SPN])?;
    let keytab = story.crossrealm(Place::Admin);
    let keytab = keytab.args(["service-principal", "keytab", PAC_SPN, "--out"]);
    keytab
        .arg(story.world.path(Place::Admin, "pac.keytab"))
        .ok()?;
    for user in everybody() {
        let conf = story.krb5_conf();
        story.world.kinit(user, &format!("{user}.ccache"), &conf)?;
        let referral = format!("krbtgt/{CLOUD_REALM}@{REALM}");
        story.user(user, "kvno").arg(referral).ok()?;
        let held = story
            .world
            .path(Place::Client, &format!("held-{user}.ccache"));
        let own = story.world.path(Place::Client, &format!("{user}.ccache"));
        std::fs::copy(own, &held)?;
        let ticket = story.user(&format!("held-{user}"), "kvno");
        ticket.arg(format!("{SPN}@{CLOUD_REALM}")).ok()?;
    }
    Ok(())
}

pub(crate) fn upn(user: &str) -> String {
    format!("{user}@{DOMAIN}")
}

/// What a ticket of a user needs.
pub(crate) fn ticket_rights(user: &str) -> Vec<Right> {
    vec![Right::Enabled(user.into())]
}

/// The share that a user opens, and what that needs.
pub(crate) fn share_of(user: &str) -> (&'static str, Vec<Right>) {
    let mut rights = ticket_rights(user);
    if MEMBERS.contains(&user) {
        rights.push(Right::Member(user.into(), GROUP.into()));
        return (GROUP_SHARE, rights);
    }
    if GRANTED.contains(&user) {
        rights.push(Right::Role(user.into(), ROLE_SHARE.into()));
        return (ROLE_SHARE, rights);
    }
    (SHARE, rights)
}

/// The command that changes a right in AD.
pub(crate) fn change_in_ad(story: &Story, right: &Right, on: bool) -> Option<Run> {
    let ldif = match right {
        Right::Enabled(user) => {
            let control = if on { 512 } else { 514 };
            format!(
                "dn: CN={user},CN=Users,{BASE}\nchangetype: modify\nreplace: userAccountControl\nuserAccountControl: {control}\n\n"
            )
        }
        Right::Member(user, group) => {
            let verb = if on { "add" } else { "delete" };
            format!(
                "dn: CN={group},CN=Users,{BASE}\nchangetype: modify\n{verb}: member\nmember: CN={user},CN=Users,{BASE}\n\n"
            )
        }
        _ => return None,
    };
    Some(story.world.ldbmodify(&ldif))
}

/// `smbclient` of a user with the ticket that they hold.
pub(crate) fn smbclient(story: &Story, user: &str, share: &str, commands: &str) -> Run {
    let ccache = story
        .world
        .path(Place::Client, &format!("held-{user}.ccache"));
    let run = story.user(&format!("held-{user}"), "smbclient");
    run.arg(format!("//{FILES_HOST}/{share}"))
        .arg("--use-kerberos=required")
        .arg(format!("--use-krb5-ccache={}", ccache.display()))
        .args(["-c", commands])
}

/// What tickets may hold, as AD says.
pub(crate) fn sids(story: &Story) -> Result<Sids, Failure> {
    let sid = |name: &str| story.world.sid_of(name);
    let users = sid("Domain Users")?;
    let mut always = Vec::new();
    for user in everybody() {
        // Asserted by the authority that authenticated the user, [MS-SFU] 2.2.1.2 and [MS-DTYP] 2.4.2.4.
        let mut own = vec![sid(user)?, users.clone(), "S-1-18-1".to_owned()];
        if user == WRITER || DISABLED.contains(&user) {
            own.extend([sid("Sales")?, sid("AllStaff")?]);
        }
        always.extend(own.into_iter().map(|sid| (user.to_owned(), sid)));
    }
    Ok(Sids {
        always,
        groups: vec![(GROUP.to_owned(), sid(GROUP)?)],
    })
}

/// The SIDs in the PACs of the tickets in these caches.
pub(crate) fn read_pacs(
    story: &Story,
    caches: &[PathBuf],
) -> Result<Vec<(PathBuf, Vec<String>)>, Failure> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/src/pac.py");
    let read = Run::here("/usr/bin/python3").arg(script);
    let read = read.arg(story.world.path(Place::Admin, "pac.keytab"));
    let lines: String = caches
        .iter()
        .map(|file| format!("{}\n", file.display()))
        .collect();
    let output = read
        .arg(format!("{PAC_SPN}@{CLOUD_REALM}"))
        .stdin(lines)
        .ok()?;
    let read = |line: &str| {
        let mut words = line.split_whitespace();
        let file = Path::new(words.next()?).to_owned();
        Some((file, words.map(str::to_owned).collect()))
    };
    Ok(output.out().lines().filter_map(read).collect())
}
