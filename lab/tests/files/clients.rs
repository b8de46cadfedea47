//! A client that is not Samba's: impacket, by pip in an environment of its own, with a ticket of MIT's cache.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crossrealm_lab::story::FILES_HOST;
use crossrealm_lab::{Failure, Run};

use super::Test;
use super::scene::Scene;

/// Name and test.
pub const TESTS: &[(&str, Test)] = &[("impacket_with_a_ticket_of_mit", impacket)];

/// As it was when these tests were written; wheels only, nothing is built.
const PACKAGES: [&str; 2] = ["impacket==0.13.1", "pycryptodomex"];
const INSTALL_LIMIT: Duration = Duration::from_secs(180);

/// A Python with impacket, made once and kept beside the build; `None` where pip cannot reach its index, which is said.
pub fn python() -> Result<Option<PathBuf>, Failure> {
    let target = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    let target = target.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../target"));
    let place = target.join("lab-cache/venv-impacket");
    let python = place.join("bin/python");
    // The last thing that is made: whoever sees it sees all of it.
    let whole = place.join("whole");
    if whole.exists() {
        return Ok(Some(python));
    }
    let venv =
        Run::here("/usr/bin/python3").args(["-m", "venv", "--clear", "--system-site-packages"]);
    venv.arg(&place).timeout(INSTALL_LIMIT).ok()?;
    let pip = Run::here(&python).args([
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--only-binary=:all:",
    ]);
    // Where an index is reached by a proxy or a mirror, pip is told so by its environment.
    let settings = std::env::vars().filter(|(name, _)| {
        let name = name.to_uppercase();
        name.starts_with("PIP_") || name.ends_with("_PROXY") || name.starts_with("SSL_CERT")
    });
    let pip = settings.fold(pip, |pip, (name, value)| pip.env(&name, value));
    let pip = pip.env("HOME", std::env::var_os("HOME").unwrap_or_default());
    match pip.args(PACKAGES).timeout(INSTALL_LIMIT).ok() {
        Ok(_) => {
            std::fs::write(&whole, "")?;
            Ok(Some(python))
        }
        Err(failure) => {
            eprintln!("\n*** SKIPPED, NOTHING WAS TESTED: impacket cannot be had: {failure} ***\n");
            Ok(None)
        }
    }
}

/// impacket for a user, on a share.
pub fn client(scene: &Scene, python: &Path, user: &str, share: &str) -> Run {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("oracles/smb_impacket.py");
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
    // bob may; a user without a role may not: the client is told so at the tree.
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
