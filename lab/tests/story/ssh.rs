//! A login: OpenSSH's server lets the tenant's users in by their tickets alone.
//!
//! What runs here is what `docs/guide/services.md` has people run. The server is Debian's own, in a mount namespace where
//! `/etc/passwd` and `/etc/shadow` have the test's users, too.

use std::os::unix::fs::chown;
use std::path::Path;

use crossrealm_lab::story::{CLOUD_REALM, Story};
use crossrealm_lab::{Failure, Output, PATIENCE, Place, Run, Service};

use super::Test;

/// Name and test.
pub(crate) const TESTS: &[(&str, Test)] = &[("ssh_logs_in_with_a_ticket_through_the_trust", ssh)];

const SPN: &str = "host/ssh1.contoso.cloud.example";
const HOST: &str = "ssh1.contoso.cloud.example";
/// Neither is used by Debian's base system.
const ALICE: u32 = 4201;
const CAROL: u32 = 4202;

/// The guide's lines, behind those that make it the test's own server.
const GUIDE: &str = "GSSAPIAuthentication yes
GSSAPIStrictAcceptorCheck no
PasswordAuthentication no
KbdInteractiveAuthentication no
PubkeyAuthentication no
UsePAM yes
";
/// The guide's `/etc/krb5.conf` of the server.
const KRB5_CONF: &str = "[libdefaults]\n    default_realm = CORP.CONTOSO.COM\n";
/// Puts the users of the folder `$1` into their places and becomes the server.
const SERVE: &str = "mount -t tmpfs none /run && mkdir /run/sshd && mount --bind \"$1/passwd\" /etc/passwd && \
     mount --bind \"$1/shadow\" /etc/shadow && exec /usr/sbin/sshd -D -e -f \"$1/sshd_config\"";

fn ssh(story: &mut Story) -> Result<(), Failure> {
    let server = start(story)?;
    alice_logs_in(story)
        .and_then(|()| bob_is_not_alice(story))
        .and_then(|()| unknown_dana_gets_no_ticket(story))
        .map_err(|failure| failure.with(server.log_tail()))
}

/// Makes the service principal, its keytab, local users, and starts the server.
fn start(story: &Story) -> Result<Service, Failure> {
    let folder = story.world.path(Place::Cloud, "ssh");
    std::fs::create_dir(&folder)?;
    let principal = story.crossrealm(Place::Admin).arg("service-principal");
    principal.clone().args(["create", SPN]).ok()?.says(SPN)?;
    let export = principal.args(["keytab", SPN, "--out"]);
    export.arg(folder.join("krb5.keytab")).ok()?;
    std::fs::write(folder.join("krb5.conf"), KRB5_CONF)?;
    local_users(&folder)?;
    let host_key = folder.join("host_key");
    let keygen = story.world.at(Place::Cloud, "ssh-keygen");
    let keygen = keygen.args(["-q", "-t", "ed25519", "-N", "", "-f"]);
    keygen.arg(&host_key).ok()?;
    let public = std::fs::read_to_string(host_key.with_extension("pub"))?;
    let known = format!("{HOST} {public}");
    story.world.write(Place::Client, "known_hosts", known)?;
    let config = format!(
        "HostKey {}\nPidFile none\nListenAddress 0.0.0.0:22\n{GUIDE}",
        host_key.display()
    );
    std::fs::write(folder.join("sshd_config"), config)?;
    let run = story.world.at(Place::Cloud, "sh");
    let run = run.args(["-c", SERVE, "sh"]).arg(&folder);
    // In place of `/etc/krb5.conf` and `/etc/krb5.keytab`.
    let run = run
        .env("KRB5_CONFIG", folder.join("krb5.conf"))
        .env("KRB5_KTNAME", folder.join("krb5.keytab"));
    let mut server = story.world.service(Place::Cloud, "sshd", &run)?;
    server.wait_for_ports(&[22], PATIENCE)?;
    story.world.add_cloud_host(HOST)?;
    Ok(server)
}

/// The server's users: the machine's, alice of the company, and carol, who is not in AD. None has a password.
fn local_users(folder: &Path) -> Result<(), Failure> {
    let mut passwd = std::fs::read_to_string("/etc/passwd")?;
    let mut shadow = std::fs::read_to_string("/etc/shadow")?;
    for (name, uid) in [("alice", ALICE), ("carol", CAROL)] {
        let home = folder.join(name);
        std::fs::create_dir(&home)?;
        chown(&home, Some(uid), Some(uid))?;
        passwd += &format!("{name}:x:{uid}:{uid}::{}:/bin/sh\n", home.display());
        shadow += &format!("{name}:*:19000:0:99999:7:::\n");
    }
    std::fs::write(folder.join("passwd"), passwd)?;
    std::fs::write(folder.join("shadow"), shadow)?;
    Ok(())
}

/// `ssh` of a signed-in user to a local account, who runs a command there.
fn login(story: &Story, user: &str, account: &str, command: &str) -> Run {
    let known = story.world.path(Place::Client, "known_hosts");
    story
        .user(user, "ssh")
        .args(["-F", "none", "-o", "BatchMode=yes", "-o"])
        .arg(format!("UserKnownHostsFile={}", known.display()))
        .args(["-o", "GSSAPIAuthentication=yes"])
        .arg(format!("{account}@{HOST}"))
        .arg(command)
}

fn alice_logs_in(story: &Story) -> Result<(), Failure> {
    let conf = story.krb5_conf();
    story.world.kinit("alice", "alice.ccache", &conf)?;
    let seen = login(story, "alice", "alice", "id -un; pwd").ok()?;
    seen.says_line("alice")?.says("/ssh/alice")?;
    let tickets = story.user("alice", "klist").ok()?;
    tickets.says(&format!("{SPN}@{CLOUD_REALM}"))?;
    refused(&login(story, "alice", "carol", "id -un"))?;
    refused(&login(story, "alice", "root", "id -un")).map(drop)
}

/// bob is synced, so he gets a ticket; it makes him bob, who has no account here, and nobody else.
fn bob_is_not_alice(story: &Story) -> Result<(), Failure> {
    story.world.kinit("bob", "bob.ccache", &story.krb5_conf())?;
    refused(&login(story, "bob", "alice", "id -un"))?;
    refused(&login(story, "bob", "bob", "id -un"))?;
    let tickets = story.user("bob", "klist").ok()?;
    tickets.says(&format!("{SPN}@{CLOUD_REALM}")).map(drop)
}

/// dana of Active Directory was never synced: the tenant does not know who she is.
fn unknown_dana_gets_no_ticket(story: &Story) -> Result<(), Failure> {
    let mark = story.event_mark()?;
    let output = refused(&login(story, "dana", "alice", "id -un"))?;
    let event = story
        .refused_because("identity-not-synced", mark)
        .map_err(|failure| failure.with(output.both()))?;
    if event["target"] == SPN {
        return Ok(());
    }
    let what = format!("was expected to leave an event for {SPN}: {event}");
    Err(output.failure(&what))
}

fn refused(login: &Run) -> Result<Output, Failure> {
    let output = login.refused(255)?;
    output.says("Permission denied (gssapi-keyex,gssapi-with-mic)")?;
    Ok(output)
}
