//! The packages of an earlier state of the product, built from its own commit with its own packaging: what an upgrade really meets.

use std::path::{Path, PathBuf};

use super::EARLIER;
use crate::Outcome;
use crate::package::{clear, files_of};
use crate::process::{cargo, command, output, root, run};

/// The commit that is upgraded from. After a release, or a migration of the database, name the newest before it.
const COMMIT: &str = "eb7d06f";

/// Builds both packages, or takes those of before: a commit does not change.
pub(super) fn packages(to: &Path) -> Outcome {
    let commit = output(&mut command(
        "git",
        &["rev-parse", "--verify", "--quiet", COMMIT],
    ))
    .map_err(|_| {
        format!("the history ends before the commit `{COMMIT}`, which is upgraded from: fetch it")
    })?;
    let cache = crate::bare::cache_folder()?
        .with_file_name("packages")
        .join(commit.trim());
    if files_of(&cache, ".deb").map_or(0, |files| files.len()) != 2 {
        build(commit.trim(), &cache)?;
    }
    clear(to)?;
    for deb in files_of(&cache, ".deb")? {
        run(command("cp", &["--"]).arg(deb).arg(to))?;
    }
    Ok(())
}

fn build(commit: &str, to: &Path) -> Outcome {
    let tree = root().join("target/installed/previous");
    let _ = run(command("git", &["worktree", "remove", "--force"]).arg(&tree));
    run(command("git", &["worktree", "add", "--detach"])
        .arg(&tree)
        .arg(commit))?;
    let built = build_in(&tree, to);
    run(command("git", &["worktree", "remove", "--force"]).arg(&tree))?;
    built
}

fn build_in(tree: &Path, to: &Path) -> Outcome {
    // The crates that both commits use are built already; the program is not to take the place of the present one.
    let target = root().join("target");
    run(cargo(&[
        "build",
        "--locked",
        "--package",
        "crossrealm-cli",
        "--package",
        "xtask",
    ])
    .current_dir(tree)
    .env("CARGO_TARGET_DIR", &target))?;
    let (product, xtask) = (tree.join("crossrealm"), tree.join("packager"));
    run(command("strip", &["--output-file"])
        .arg(&product)
        .arg(target.join("debug/crossrealm")))?;
    run(command("cp", &["--"])
        .arg(target.join("debug/xtask"))
        .arg(&xtask))?;
    let mut package = crossrealm_programs::built(&xtask);
    package
        .args(["package", "--only", "deb", "--binary"])
        .arg(&product);
    run(package.current_dir(tree))?;
    std::fs::create_dir_all(to).map_err(|error| error.to_string())?;
    for deb in files_of(&tree.join("dist"), ".deb")? {
        as_earlier(&deb, &tree.join("unpacked"), to)?;
    }
    Ok(())
}

/// The same package under a version that is lower than the present one.
fn as_earlier(deb: &Path, work: &Path, to: &Path) -> Outcome {
    run(command("dpkg-deb", &["--raw-extract"]).arg(deb).arg(work))?;
    let control: PathBuf = work.join("DEBIAN/control");
    let text = std::fs::read_to_string(&control).map_err(|error| error.to_string())?;
    let lines = text
        .lines()
        .map(|line| match line.starts_with("Version: ") {
            true => format!("Version: {EARLIER}\n"),
            false => format!("{line}\n"),
        });
    std::fs::write(&control, lines.collect::<String>()).map_err(|error| error.to_string())?;
    run(command(
        "dpkg-deb",
        &["-Zgzip", "-z1", "--root-owner-group", "--build"],
    )
    .arg(work)
    .arg(to))?;
    run(command("rm", &["-rf", "--one-file-system", "--"]).arg(work))
}
