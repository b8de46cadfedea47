//! Clients that are not Samba's: impacket and smbprotocol, by pip in environments of their own, with tickets of MIT's cache.

use std::path::{Path, PathBuf};

use crossrealm_lab::python::Environment;
use crossrealm_lab::story::{CLOUD_REALM, FILES_HOST};
use crossrealm_lab::{Failure, Run, need};

use super::Test;
use super::scene::Scene;

/// Name and test.
pub(crate) const TESTS: &[(&str, Test)] = &[
    ("impacket_opens_a_share_with_a_ticket_of_mit", impacket),
    ("smbprotocol_opens_a_share_through_the_trust", smbprotocol),
];

/// As it was when these tests were written.
const IMPACKET: [&str; 3] = ["impacket==0.13.1", "pycryptodomex", "six==1.17.0"];
const SMBPROTOCOL: [&str; 2] = ["smbprotocol==1.17.0", "pyspnego==0.12.4"];

/// A Python with impacket; `None` where pip cannot reach its index, which is reported.
pub(crate) fn python() -> Result<Option<PathBuf>, Failure> {
    python_with("impacket", &IMPACKET)
}

fn python_with(name: &str, packages: &[&'static str]) -> Result<Option<PathBuf>, Failure> {
    match Environment::new(name, packages)?.python() {
        Ok(python) => Ok(Some(python)),
        Err(failure) => {
            need::skip(&format!("{name} cannot be had: {failure}"));
            Ok(None)
        }
    }
}

/// impacket for a user, on a share.
pub(crate) fn client(scene: &Scene, python: &Path, user: &str, share: &str) -> Run {
    scripted(scene, python, "oracles/smb_impacket.py", user, share)
}

fn scripted(scene: &Scene, python: &Path, script: &str, user: &str, share: &str) -> Run {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join(script);
    let run = scene.story.user(user, &python.display().to_string());
    run.args(["-B", "-W", "ignore"])
        .arg(script)
        .args([FILES_HOST, share])
}

fn impacket(scene: &mut Scene) -> Result<(), Failure> {
    let Some(python) = python()? else {
        return Ok(());
    };
    let share = "impacket";
    scene.share(share)?;
    scene.grant(share, "Sales", "contributor")?;
    scene.until_served("alice", share)?;
    let output = client(scene, &python, "alice", share)
        .arg("ü name.bin")
        .ok()?;
    for fact in [
        "dialect 0x311",
        "encrypted True",
        "read back True",
        "listed True",
        "deleted True",
        "ace 0 0x001301bf S-1-5-11",
    ] {
        output.says_line(fact)?;
    }
    output.says_line(&format!("owner {}", scene.story.world.sid_of("alice")?))?;
    // bob may; a user without a role may not: the client gets the error at the tree connect.
    scene
        .admin(&["share", "revoke", "acct1/impacket", "--from", "Sales"])
        .ok()?;
    let run = client(scene, &python, "alice", share).arg("x.bin");
    let what = "was expected to be refused";
    scene.until(&run, what, |output| {
        output.code == Some(1) && output.both().contains("STATUS_ACCESS_DENIED")
    })?;
    let bob = client(scene, &python, "bob", share).arg("x.bin");
    bob.ok()?.says_line("deleted True").map(drop)
}

/// The cache holds the sign-in alone: smbprotocol, by MIT's library, finds the tenant and gets the ticket itself.
fn smbprotocol(scene: &mut Scene) -> Result<(), Failure> {
    let Some(python) = python_with("smbprotocol", &SMBPROTOCOL)? else {
        return Ok(());
    };
    let share = "smbprotocol";
    scene.share(share)?;
    scene.grant(share, "Sales", "contributor")?;
    scene.until_served("alice", share)?;
    let world = &scene.story.world;
    world.kinit("alice", "alice.ccache", &scene.story.krb5_conf())?;
    let outcome = opens_a_share(scene, &python, share);
    // Samba's client needs the ticket under the name that `kvno` gives it.
    scene.sign_in("alice")?;
    outcome
}

fn opens_a_share(scene: &Scene, python: &Path, share: &str) -> Result<(), Failure> {
    let client = || scripted(scene, python, "oracles/smb_smbprotocol.py", "alice", share);
    let output = client().arg("ü name.bin").ok()?;
    for fact in [
        "dialect 0x311",
        "encrypted True",
        "read back True",
        "listed True",
        "deleted True",
    ] {
        output.says_line(fact)?;
    }
    let tickets = scene.story.user("alice", "klist").ok()?;
    tickets.says(&format!("cifs/{FILES_HOST}@{CLOUD_REALM}"))?;
    scene
        .admin(&["share", "revoke", "acct1/smbprotocol", "--from", "Sales"])
        .ok()?;
    let what = "was expected to be refused";
    scene
        .until(&client().arg("x.bin"), what, |output| {
            output.code == Some(1) && output.both().contains("STATUS_ACCESS_DENIED")
        })
        .map(drop)
}
