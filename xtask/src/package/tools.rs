//! The packagers, of a version that is named here, installed once into the cache and not among the user's programs.

use std::path::PathBuf;

use crate::process::{cargo, run};

const CARGO_DEB: (&str, &str) = ("cargo-deb", "3.8.0");
const CARGO_GENERATE_RPM: (&str, &str) = ("cargo-generate-rpm", "0.21.1");

pub(super) fn cargo_deb() -> Result<PathBuf, String> {
    installed(CARGO_DEB)
}

pub(super) fn cargo_generate_rpm() -> Result<PathBuf, String> {
    installed(CARGO_GENERATE_RPM)
}

fn installed((name, version): (&str, &str)) -> Result<PathBuf, String> {
    let folder = crate::bare::cache_folder()?
        .with_file_name("tools")
        .join(format!("{name}-{version}"));
    let program = folder.join("bin").join(name);
    if !program.is_file() {
        let mut install = cargo(&["install", name, "--version", version, "--locked", "--root"]);
        run(install.arg(&folder))?;
    }
    Ok(program)
}
