//! Credential caches of every kind: an administrator's own tickets, where MIT's `kinit` put them, open AD for the product.

use std::path::Path;

use crossrealm_lab::story::Story;
use crossrealm_lab::{ADMIN_PASSWORD, DOMAIN, Failure, Place, REALM, Run};

use super::Test;

/// Name and test.
pub(crate) const TESTS: &[(&str, Test)] = &[(
    "tickets_in_caches_of_every_kind_are_used",
    caches_of_every_kind,
)];

/// Signs `$1` in and runs the rest. `KCM:` gets Heimdal's daemon, on a `/run` of its own, where its socket has its usual place.
/// Without a name it is the cache of krb5.conf.
const SIGNED_IN: &str = "who=$1; shift; test -n \"$KRB5CCNAME\" || unset KRB5CCNAME; if test \"$KRB5CCNAME\" = KCM:; then mount -t tmpfs none /run || exit 71; kcm & \
     until test -S /run/.heim_org.h5l.kcm-socket; do sleep 0.1; done; fi; \
     kinit \"$who\" >/dev/null || exit 72; \"$@\"; code=$?; kdestroy; exit $code";

/// F8: tickets in files, folders, keyrings of the kernel and daemons of KCM are used by commands and by the doctor.
fn caches_of_every_kind(story: &mut Story) -> Result<(), Failure> {
    // Keyrings belong to the user, not to the namespace: a run beside this one has other names.
    let own = std::process::id();
    let folder = story.world.path(Place::Admin, "caches");
    std::fs::create_dir(&folder)?;
    let names = [
        format!("DIR:{}", folder.display()),
        format!("KEYRING:session:crossrealm-{own}"),
        format!("KEYRING:persistent:0:crossrealm-{own}"),
        format!("KEYRING:user:crossrealm-{own}"),
        format!("KEYRING:crossrealm-{own}"),
        "KCM:".to_owned(),
    ];
    for name in &names {
        is_used(story, name, |run| run.env("KRB5CCNAME", name))?;
    }
    default_of_krb5_conf(story, &folder)?;
    unreadable(story)
}

/// The cache that krb5.conf names is used where `KRB5CCNAME` names none.
fn default_of_krb5_conf(story: &Story, folder: &Path) -> Result<(), Failure> {
    let conf = folder.join("default.conf");
    let named = format!("DIR:{}/of-", folder.display());
    std::fs::write(
        &conf,
        format!("[libdefaults]\n default_ccache_name = {named}%{{uid}}\n"),
    )?;
    let corp = story.world.path(Place::Client, "corp-krb5.conf");
    let both = format!("{}:{}", conf.display(), corp.display());
    is_used(story, &format!("{named}0"), |run| {
        run.env("KRB5CCNAME", "").env("KRB5_CONFIG", both.as_str())
    })
}

/// A command and the doctor use the tickets that `kinit` puts into the cache of this name.
fn is_used(story: &Story, name: &str, chosen: impl Fn(Run) -> Run) -> Result<(), Failure> {
    let get = ["kerberos-server", "get", "--domain", DOMAIN];
    chosen(signed_in(story, &get)).ok()?.says(DOMAIN)?;
    let doctor = ["doctor", "-o", "json", "--domain", DOMAIN];
    let report = chosen(signed_in(story, &doctor)).output()?;
    let json = report.json()?;
    let checks = json["checks"].as_array().into_iter().flatten();
    let tgt = checks.filter(|check| check["id"] == "tgt");
    let passed =
        tgt.filter(|check| check["verdict"] == "passed" && check.to_string().contains(name));
    match passed.count() {
        1 => Ok(()),
        _ => Err(report.failure(&format!("was expected to find the tickets in `{name}`"))),
    }
}

/// What cannot be read is refused with a next step.
fn unreadable(story: &Story) -> Result<(), Failure> {
    for (name, error, hint) in [
        (
            "MEMORY:x",
            "type `MEMORY` cannot be read",
            "export KRB5CCNAME=FILE:",
        ),
        (
            "KEYRING:session:none",
            "`KEYRING:session:none` does not exist",
            "kinit",
        ),
        ("KEYRING:persistent:1", "`1` is not the user id", "klist"),
    ] {
        let get = ["kerberos-server", "get", "--domain", DOMAIN];
        let run = story.crossrealm(Place::Admin).args(get);
        let refused = run.env("KRB5CCNAME", name).refused(1)?;
        refused.says(error)?.says(hint)?;
    }
    Ok(())
}

/// The product's command for the domain's administrator, with tickets in a cache and no password.
fn signed_in(story: &Story, words: &[&str]) -> Run {
    let who = format!("administrator@{REALM}");
    story
        .crossrealm(Place::Admin)
        .args(words)
        .under(&["unshare", "--mount", "sh", "-c", SIGNED_IN, "sh", &who])
        .env(
            "KRB5_CONFIG",
            story.world.path(Place::Client, "corp-krb5.conf"),
        )
        .stdin(format!("{ADMIN_PASSWORD}\n"))
}
