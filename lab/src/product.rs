//! The product under test: one binary, built by cargo, known to the lab only by its path and its command line.

use std::path::PathBuf;
use std::process::Stdio;

use crate::run::Failure;

/// The binary named by `CROSSREALM_BIN`, else a fresh build of the workspace's own.
///
/// # Errors
/// When cargo cannot build it.
pub fn build_product() -> Result<PathBuf, Failure> {
    if let Some(binary) = std::env::var_os("CROSSREALM_BIN") {
        let binary = PathBuf::from(binary);
        let there = binary.is_file();
        let missing = || {
            Failure::new(format!(
                "CROSSREALM_BIN names `{}`, which is not there",
                binary.display()
            ))
        };
        return if there { Ok(binary) } else { Err(missing()) };
    }
    let output = crossrealm_programs::cargo()
        .args([
            "build",
            "--package",
            "crossrealm-cli",
            "--message-format",
            "json-render-diagnostics",
        ])
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
        .stderr(Stdio::inherit())
        .output()?;
    if !output.status.success() {
        return Err(Failure::new(
            "cargo cannot build `crossrealm-cli`; its messages are above",
        ));
    }
    let built = executables(&String::from_utf8_lossy(&output.stdout));
    let binary = built
        .into_iter()
        .find(|path| path.file_stem().is_some_and(|stem| stem == "crossrealm"));
    binary.ok_or_else(|| {
        Failure::new("cargo built `crossrealm-cli` but named no executable `crossrealm`")
    })
}

/// The executables that `cargo build --message-format json-render-diagnostics` says it made.
pub fn executables(messages: &str) -> Vec<PathBuf> {
    let messages = messages
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    messages
        .filter_map(|message| message["executable"].as_str().map(PathBuf::from))
        .collect()
}
