//! The same two packages as RPMs, by `cargo-generate-rpm` from the lists in `crates/cli/Cargo.toml`.

use std::path::Path;

use super::stage::Stage;
use super::{Release, tools};
use crate::Outcome;
use crate::process::{command, root, run};

/// Both packages; the second holds no program.
pub(super) fn build(release: &Release, stage: &Stage, dist: &Path) -> Outcome {
    let tool = tools::cargo_generate_rpm()?;
    for (variant, architecture) in [(None, None), (Some("smb-host"), Some("noarch"))] {
        let mut rpm = crossrealm_programs::built(&tool);
        rpm.args([
            "--package",
            "crates/cli",
            "--auto-req",
            "disabled",
            "--target-dir",
        ])
        .arg(stage.target())
        .args(["--source-date", &release.epoch.to_string(), "--output"])
        .arg(dist)
        .args(variant.map(|variant| format!("--variant={variant}")))
        .args(architecture.map(|architecture| format!("--arch={architecture}")))
        .current_dir(root())
        .env("SOURCE_DATE_EPOCH", release.epoch.to_string());
        run(&mut rpm)?;
    }
    Ok(())
}

/// Checks the packages with rpmlint.
pub(super) fn lint(dist: &Path) -> Outcome {
    let mut rpmlint = command("rpmlint", &["--config", "packaging/rpm/rpmlint.toml"]);
    run(rpmlint.args(super::files_of(dist, "rpm")?))
}
