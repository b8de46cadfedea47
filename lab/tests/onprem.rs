//! Runs the own tests of the crate `onprem` (`crates/onprem/tests/real_dc.rs`) on the administration host of a test world:
//! they need a real domain controller, and the crate itself must not know the lab.

use std::time::Duration;

use crossrealm_lab::{ADMIN_PASSWORD, DOMAIN, Failure, Place, World, executables, need};

#[test]
fn the_onprem_crate_works_with_a_real_domain_controller() {
    if need::skipped() {
        return;
    }
    if let Err(failure) = run() {
        panic!("{failure}");
    }
}

fn run() -> Result<(), Failure> {
    // The same selection as `cargo test --workspace`, so that nothing is built twice with other features.
    let output = crossrealm_programs::cargo()
        .args([
            "test",
            "--workspace",
            "--no-run",
            "--message-format",
            "json",
        ])
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
        .output()?;
    let built = executables(&String::from_utf8_lossy(&output.stdout));
    let mut tests = built.iter().filter(|path| {
        path.file_name()
            .is_some_and(|name| name.to_string_lossy().starts_with("real_dc-"))
    });
    let program = tests.next().ok_or_else(|| {
        Failure::new(format!(
            "cargo built no `real_dc`: {}",
            String::from_utf8_lossy(&output.stderr)
        ))
    })?;
    let world = World::start()?;
    let run = world
        .at(Place::Admin, program)
        .timeout(Duration::from_secs(300));
    let run = run
        .env("CROSSREALM_TEST_DC", "10.77.1.1")
        .env("CROSSREALM_TEST_DOMAIN", DOMAIN);
    let run = run
        .env("CROSSREALM_TEST_USER", "Administrator")
        .env("CROSSREALM_TEST_PASSWORD", ADMIN_PASSWORD);
    let output = run
        .arg("--nocapture")
        .ok()
        .map_err(|failure| failure.with(world.dc_log_tail()))?;
    output
        .does_not_say("skipped:")?
        .says("test result: ok")
        .map(drop)
}
