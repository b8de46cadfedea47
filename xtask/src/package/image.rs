//! An OCI image without a registry: Debian's C library and authorities as one layer, the binary as the other, put together by `umoci`.
//! It holds no shell and no package manager.

use std::path::{Path, PathBuf};

use super::stage::Stage;
use super::{Release, clear, write};
use crate::Outcome;
use crate::process::{command, output, run};

/// The Debian packages of the lower layer: what the binary is linked with, and the authorities that it trusts.
const PACKAGES: [&str; 3] = ["ca-certificates", "libc6", "libgcc-s1"];
/// What of them is not needed to run a program.
const LEFT_OUT: [&str; 4] = [
    "usr/share/doc",
    "usr/share/lintian",
    "usr/sbin",
    "usr/share/man",
];
/// The user of the service in the image.
const USER: &str = "10000:10000";
const STATE: &str = "/var/lib/crossrealm";

/// Writes the image as a tar archive of the OCI layout.
pub(super) fn build(release: &Release, stage: &Stage, folder: &Path, dist: &Path) -> Outcome {
    let folder = folder.join("image");
    clear(&folder)?;
    let (base, product) = (folder.join("base"), folder.join("product"));
    debian(&folder, &base)?;
    let binary = std::fs::read(stage.tree().join("usr/bin/crossrealm"))
        .map_err(|error| format!("cannot read the binary: {error}"))?;
    write(&product.join("usr/bin/crossrealm"), &binary)?;
    run(command("chmod", &["755"]).arg(product.join("usr/bin/crossrealm")))?;
    let layers = [
        layer(release, &base, &folder.join("base.tar"))?,
        layer(release, &product, &folder.join("product.tar"))?,
    ];
    let layout = folder.join("layout");
    let image = format!("{}:{}", layout.display(), release.version);
    let created = super::sbom::time_of(release.epoch)?;
    umoci(&["init", "--layout", &layout.display().to_string()])?;
    umoci(&["new", "--image", &image])?;
    for tar in &layers {
        let tar = tar.display().to_string();
        umoci(&[
            "raw",
            "add-layer",
            "--image",
            &image,
            "--history.created",
            &created,
            &tar,
        ])?;
    }
    umoci(&[
        "config",
        "--image",
        &image,
        "--created",
        &created,
        "--history.created",
        &created,
        "--config.user",
        USER,
        "--config.volume",
        STATE,
        "--config.exposedports",
        "443/tcp",
        "--config.entrypoint",
        "/usr/bin/crossrealm",
        "--config.cmd",
        "serve",
        "--config.cmd",
        "--config",
        "--config.cmd",
        &format!("{STATE}/crossrealm.toml"),
        "--author",
        super::MAINTAINER,
        "--os",
        "linux",
        "--architecture",
        "amd64",
    ])?;
    umoci(&["gc", "--layout", &layout.display().to_string()])?;
    let archive = dist.join(format!("crossrealm-{}.oci.tar", release.version));
    tar(release, &layout, &archive)
}

/// The lower layer: the packages' files, without installing them.
fn debian(folder: &Path, base: &Path) -> Outcome {
    let debs = folder.join("debs");
    clear(&debs)?;
    // Debian's programs are below `usr`; the folders of before are links.
    for link in ["bin", "lib", "lib64", "sbin"] {
        std::fs::create_dir_all(base.join("usr").join(link)).map_err(|error| error.to_string())?;
        std::os::unix::fs::symlink(format!("usr/{link}"), base.join(link))
            .map_err(|error| error.to_string())?;
    }
    let mut download = command("apt-get", &["download", "-q"]);
    // The user of apt's downloads cannot write here.
    download
        .args(["-o", "APT::Sandbox::User=root"])
        .args(PACKAGES)
        .current_dir(&debs);
    run(&mut download)?;
    let mut names: Vec<PathBuf> = std::fs::read_dir(&debs)
        .map_err(|error| error.to_string())?
        .flatten()
        .map(|entry| entry.path())
        .collect();
    names.sort();
    for deb in names {
        // Through tar, which follows the links that are there.
        run(crossrealm_programs::shell(
            "set -e; dpkg-deb --fsys-tarfile \"$1\" | tar --extract --keep-directory-symlink --directory \"$2\"",
        )
        .arg(deb)
        .arg(base))?;
    }
    authorities(base)?;
    for path in LEFT_OUT {
        run(command("rm", &["-rf", "--"]).arg(base.join(path)))?;
    }
    for (file, text) in [
        (
            "etc/passwd",
            "root:x:0:0:root:/:/\ncrossrealm:x:10000:10000::/var/lib/crossrealm:/\n",
        ),
        ("etc/group", "root:x:0:\ncrossrealm:x:10000:\n"),
        ("etc/nsswitch.conf", "passwd: files\nhosts: files dns\n"),
    ] {
        write(&base.join(file), text.as_bytes())?;
    }
    let state = base.join(STATE.trim_start_matches('/'));
    std::fs::create_dir_all(&state).map_err(|error| error.to_string())?;
    run(command("chown", &[USER]).arg(&state))?;
    run(command("chmod", &["700"]).arg(&state))
}

/// The bundle that `update-ca-certificates` would make.
fn authorities(base: &Path) -> Outcome {
    let folder = base.join("usr/share/ca-certificates/mozilla");
    let mut files: Vec<PathBuf> = std::fs::read_dir(&folder)
        .map_err(|error| format!("cannot read `{}`: {error}", folder.display()))?
        .flatten()
        .map(|entry| entry.path())
        .collect();
    files.sort();
    let mut bundle = Vec::new();
    for file in files {
        bundle.extend(std::fs::read(&file).map_err(|error| error.to_string())?);
    }
    write(&base.join("etc/ssl/certs/ca-certificates.crt"), &bundle)
}

fn layer(release: &Release, tree: &Path, archive: &Path) -> Result<PathBuf, String> {
    tar(release, tree, archive)?;
    Ok(archive.to_owned())
}

fn tar(release: &Release, tree: &Path, archive: &Path) -> Outcome {
    let mut tar = command("tar", &["--sort=name", "--numeric-owner", "--format=gnu"]);
    tar.arg(format!("--mtime=@{}", release.epoch))
        .args(["--create", "--file"])
        .arg(archive)
        .arg("-C")
        .arg(tree)
        .arg(".");
    output(&mut tar).map(drop)
}

fn umoci(arguments: &[&str]) -> Outcome {
    run(&mut command("umoci", arguments))
}
