//! `cargo xtask package`: everything that an operator can install, in `dist/`, from the source alone.
//!
//! What is in a package is staged once, as a tree below `target/package/stage`: the binary, the man pages and completions that it
//! generates, the documentation as a site, and `packaging/`. Debian packages are made by `cargo-deb`, RPMs by `cargo-generate-rpm`,
//! from the lists in `crates/cli/Cargo.toml`; the tarball by `tar`, the image by `umoci` on a layer of Debian's C library.
//!
//! The same commit gives the same bytes: times are those of the commit (`SOURCE_DATE_EPOCH`), paths of this machine are not in the
//! binary, and `--twice` builds everything again elsewhere and compares.

mod image;
mod rpm;
mod sbom;
mod stage;
mod tools;

use std::path::{Path, PathBuf};

use crate::process::{self, cargo, command, output, root, run};
use crate::{Outcome, setup};
use stage::Stage;

const USAGE: &str = "usage: cargo xtask package [--binary FILE] [--only deb] [--twice]";

/// Who answers for the packages.
pub(crate) const MAINTAINER: &str = "Crossrealm maintainers <packages@cloud.example>";

/// What to build.
#[derive(Default)]
struct Wanted {
    /// A binary that is there; none is built.
    binary: Option<PathBuf>,
    only_deb: bool,
    twice: bool,
}

/// What all parts need to know.
pub(crate) struct Release {
    pub(crate) version: String,
    /// The time of the commit, Unix seconds.
    pub(crate) epoch: i64,
}

impl Release {
    /// Of the commit that is checked out.
    pub(crate) fn of_commit() -> Result<Self, String> {
        let epoch = match std::env::var("SOURCE_DATE_EPOCH") {
            Ok(epoch) => epoch,
            Err(_) => output(&mut command("git", &["log", "-1", "--format=%ct"]))?,
        };
        let epoch = epoch.trim();
        let manifest = std::fs::read_to_string(root().join("Cargo.toml"));
        let manifest = manifest.map_err(|error| format!("cannot read `Cargo.toml`: {error}"))?;
        let version = manifest
            .lines()
            .find_map(|line| line.strip_prefix("version = \"")?.strip_suffix('"'));
        Ok(Self {
            version: version.ok_or("`Cargo.toml` names no version")?.to_owned(),
            epoch: epoch
                .parse()
                .map_err(|_| format!("`{epoch}` is no time in seconds"))?,
        })
    }
}

/// Builds `dist/`.
pub(crate) fn run_with(arguments: &[&str]) -> Outcome {
    let wanted = wanted(arguments)?;
    setup::packaging(match wanted.only_deb {
        true => &["dpkg-shlibdeps"],
        false => &["dpkg-shlibdeps", "lintian", "rpmlint", "umoci"],
    })?;
    let release = Release::of_commit()?;
    let dist = root().join("dist");
    let folder = root().join("target/package");
    build(&release, &wanted, &folder, &dist)?;
    if wanted.twice {
        // In another folder, so that a path in a file would differ.
        let again = root().join("target/package-again");
        build(&release, &wanted, &again, &again.join("dist"))?;
        compare(&dist, &again.join("dist"))?;
        eprintln!("built twice, with the same bytes");
    }
    eprintln!("{}", read(&dist.join("SHA256SUMS"))?);
    Ok(())
}

fn wanted(arguments: &[&str]) -> Result<Wanted, String> {
    let mut wanted = Wanted::default();
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        match (*argument, rest.len()) {
            ("--binary", 1..) => wanted.binary = rest.next().map(PathBuf::from),
            ("--only", 1..) if rest.next() == Some(&"deb") => wanted.only_deb = true,
            ("--twice", _) => wanted.twice = true,
            _ => return Err(USAGE.to_owned()),
        }
    }
    Ok(wanted)
}

fn build(release: &Release, wanted: &Wanted, folder: &Path, dist: &Path) -> Outcome {
    let binary = match &wanted.binary {
        Some(binary) => binary.clone(),
        None => build_binary(release, folder)?,
    };
    clear(dist)?;
    let stage = Stage::make(&folder.join("stage"), &binary, release)?;
    debian(release, &stage, "", &[], dist)?;
    if !wanted.only_deb {
        rpm::build(release, &stage, dist)?;
        tarball(release, &stage, dist)?;
        sbom::write_bill(
            release,
            &dist.join(format!("crossrealm-{}.cdx.json", release.version)),
        )?;
        image::build(release, &stage, folder, dist)?;
        rpm::lint(dist)?;
        let mut lintian = command("lintian", &["--fail-on=error", "--allow-root"]);
        run(lintian.args(files_of(dist, "deb")?))?;
    }
    checksums(dist)
}

/// The release binary, without a path of this machine in it.
fn build_binary(release: &Release, folder: &Path) -> Result<PathBuf, String> {
    let target = folder.join("build");
    let home = std::env::var("CARGO_HOME")
        .or_else(|_| std::env::var("HOME").map(|home| format!("{home}/.cargo")))
        .map_err(|_| "neither CARGO_HOME nor HOME is set")?;
    let flags = [
        format!("--remap-path-prefix={}=/build/target", target.display()),
        format!("--remap-path-prefix={}=/build", root().display()),
        format!("--remap-path-prefix={home}=/cargo"),
    ];
    let mut build = cargo(&[
        "build",
        "--release",
        "--locked",
        "--package",
        "crossrealm-cli",
    ]);
    build
        .env("CARGO_TARGET_DIR", &target)
        .env("CARGO_ENCODED_RUSTFLAGS", flags.join("\u{1f}"))
        .env(
            "CFLAGS",
            format!(
                "-ffile-prefix-map={}=/build -ffile-prefix-map={home}=/cargo",
                root().display()
            ),
        )
        .env("SOURCE_DATE_EPOCH", release.epoch.to_string());
    run(&mut build)?;
    Ok(target.join("release/crossrealm"))
}

/// Both Debian packages of a binary that is there, for a test: compressed fast, with this version in place of the release's unless it
/// is empty.
pub(crate) fn debian_of(
    release: &Release,
    binary: &Path,
    version: &str,
    stage: &Path,
    dist: &Path,
) -> Outcome {
    clear(dist)?;
    debian(
        release,
        &Stage::make(stage, binary, release)?,
        version,
        &["--fast"],
        dist,
    )
}

/// The RPMs and the image of a binary that is there, for a test.
pub(crate) fn rpm_and_image_of(
    release: &Release,
    binary: &Path,
    folder: &Path,
    dist: &Path,
) -> Outcome {
    clear(dist)?;
    let stage = Stage::make(&folder.join("stage"), binary, release)?;
    rpm::build(release, &stage, dist)?;
    image::build(release, &stage, folder, dist)
}

fn debian(
    release: &Release,
    stage: &Stage,
    version: &str,
    options: &[&str],
    dist: &Path,
) -> Outcome {
    let tool = tools::cargo_deb()?;
    let version = match version {
        "" => format!("{}-1", release.version),
        version => version.to_owned(),
    };
    for variant in [None, Some("smb-host")] {
        let mut deb = crossrealm_programs::built(&tool);
        deb.args([
            "--package",
            "crossrealm-cli",
            "--no-build",
            "--no-strip",
            "--locked",
            "--quiet",
        ])
        .args(["--deb-version", &version, "--output"])
        .arg(dist)
        .args(variant.map(|variant| format!("--variant={variant}")))
        .args(options)
        .current_dir(root())
        .env("CARGO_TARGET_DIR", stage.target())
        .env("SOURCE_DATE_EPOCH", release.epoch.to_string());
        run(&mut deb)?;
    }
    Ok(())
}

fn tarball(release: &Release, stage: &Stage, dist: &Path) -> Outcome {
    let name = format!("crossrealm-{}-x86_64-linux", release.version);
    let archive = dist.join(format!("{name}.tar.gz"));
    let mut tar = command(
        "tar",
        &["--sort=name", "--owner=0", "--group=0", "--numeric-owner"],
    );
    // gzip writes no time for what it reads from a pipe.
    tar.arg(format!("--mtime=@{}", release.epoch))
        .arg(format!("--transform=s,^\\.,{name},"))
        .args(["--create", "--gzip", "--file"])
        .arg(archive)
        .arg("-C")
        .arg(stage.tree())
        .arg(".");
    run(&mut tar)
}

/// `SHA256SUMS` of everything that was built.
fn checksums(dist: &Path) -> Outcome {
    let files = files_of(dist, "")?;
    let names = files.iter().filter_map(|file| file.file_name());
    let sums = output(command("sha256sum", &["--"]).args(names).current_dir(dist))?;
    write(&dist.join("SHA256SUMS"), sums.as_bytes())
}

/// The files in a folder whose names end so, sorted.
pub(crate) fn files_of(folder: &Path, end: &str) -> Result<Vec<PathBuf>, String> {
    let entries = std::fs::read_dir(folder)
        .map_err(|error| format!("cannot read `{}`: {error}", folder.display()))?;
    let mut files: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    files.retain(|file| file.to_string_lossy().ends_with(end));
    files.sort();
    Ok(files)
}

fn compare(first: &Path, second: &Path) -> Outcome {
    let (first, second) = (
        read(&first.join("SHA256SUMS"))?,
        read(&second.join("SHA256SUMS"))?,
    );
    let differing: Vec<&str> = first
        .lines()
        .filter(|line| !second.lines().any(|other| other == *line))
        .collect();
    match differing.is_empty() && first.lines().count() == second.lines().count() {
        true => Ok(()),
        false => Err(format!(
            "built twice, and these differ:\n{}",
            differing.join("\n")
        )),
    }
}

/// An empty folder in its place.
pub(crate) fn clear(folder: &Path) -> Outcome {
    if folder.exists() {
        let mut remove = command("rm", &["-rf", "--one-file-system", "--"]);
        process::output(remove.arg(folder))?;
    }
    std::fs::create_dir_all(folder)
        .map_err(|error| format!("cannot create `{}`: {error}", folder.display()))
}

fn read(path: &Path) -> Result<String, String> {
    std::fs::read_to_string(path)
        .map_err(|error| format!("cannot read `{}`: {error}", path.display()))
}

fn write(path: &Path, bytes: &[u8]) -> Outcome {
    let made = path.parent().map_or(Ok(()), std::fs::create_dir_all);
    made.and_then(|()| std::fs::write(path, bytes))
        .map_err(|error| format!("cannot write `{}`: {error}", path.display()))
}
