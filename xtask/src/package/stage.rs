//! The tree of files that all packages are made of.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use super::{Release, clear, read, write};
use crate::process::{command, output, root};
use crate::{Outcome, site};

/// Where a file of `packaging/` is installed.
const FILES: &[(&str, &str)] = &[
    (
        "packaging/systemd/crossrealm.service",
        "usr/lib/systemd/system/crossrealm.service",
    ),
    (
        "packaging/systemd/crossrealm.socket",
        "usr/lib/systemd/system/crossrealm.socket",
    ),
    (
        "packaging/systemd/crossrealm-kdc.socket",
        "usr/lib/systemd/system/crossrealm-kdc.socket",
    ),
    (
        "packaging/systemd/crossrealm-sync@.service",
        "usr/lib/systemd/system/crossrealm-sync@.service",
    ),
    (
        "packaging/systemd/crossrealm-smb@.service",
        "usr/lib/systemd/system/crossrealm-smb@.service",
    ),
    (
        "packaging/sysusers.conf",
        "usr/lib/sysusers.d/crossrealm.conf",
    ),
    (
        "packaging/tmpfiles.conf",
        "usr/lib/tmpfiles.d/crossrealm.conf",
    ),
    (
        "packaging/examples/crossrealm.toml",
        "usr/share/doc/crossrealm/examples/crossrealm.toml",
    ),
    (
        "packaging/examples/sync-options",
        "usr/share/doc/crossrealm/examples/sync-options",
    ),
    (
        "packaging/examples/smb-options",
        "usr/share/doc/crossrealm/examples/smb-options",
    ),
    (
        "packaging/monitoring/crossrealm.rules.yml",
        "usr/share/crossrealm/monitoring/crossrealm.rules.yml",
    ),
    (
        "packaging/monitoring/crossrealm.dashboard.json",
        "usr/share/crossrealm/monitoring/crossrealm.dashboard.json",
    ),
    ("LICENSE-APACHE", "usr/share/doc/crossrealm/LICENSE-APACHE"),
    ("LICENSE-MIT", "usr/share/doc/crossrealm/LICENSE-MIT"),
];

/// The shells, and where each looks for completions.
const COMPLETIONS: [(&str, &str); 3] = [
    ("bash", "usr/share/bash-completion/completions/crossrealm"),
    ("zsh", "usr/share/zsh/vendor-completions/_crossrealm"),
    (
        "fish",
        "usr/share/fish/vendor_completions.d/crossrealm.fish",
    ),
];

/// The staged files.
pub(crate) struct Stage {
    /// The folder that `cargo-deb` takes for cargo's target folder: the paths in the lists of files begin with `target/release`.
    target: PathBuf,
}

impl Stage {
    /// Stages everything anew in `target`, with this binary.
    pub(super) fn make(target: &Path, binary: &Path, release: &Release) -> Result<Self, String> {
        clear(target)?;
        let stage = Self {
            target: target.to_owned(),
        };
        let tree = stage.tree();
        let program = tree.join("usr/bin/crossrealm");
        write(
            &program,
            &std::fs::read(binary)
                .map_err(|error| format!("cannot read `{}`: {error}", binary.display()))?,
        )?;
        mode(&program, 0o755)?;
        for (from, to) in FILES {
            write(&tree.join(to), read(&root().join(from))?.as_bytes())?;
        }
        site::write(&tree.join("usr/share/doc/crossrealm/html"))?;
        stage.generated(&program)?;
        stage.changelogs(release)?;
        Ok(stage)
    }

    pub(super) fn target(&self) -> &Path {
        &self.target
    }

    /// The tree, as it is installed.
    pub(super) fn tree(&self) -> PathBuf {
        self.target.join("release/tree")
    }

    /// What the binary prints of itself: completions and man pages.
    fn generated(&self, program: &Path) -> Outcome {
        for (shell, to) in COMPLETIONS {
            let mut print = crossrealm_programs::built(program);
            let completions = output(print.args(["completions", shell]))?;
            write(&self.tree().join(to), completions.as_bytes())?;
        }
        self.manuals(program)
    }

    /// The man pages, compressed as the policies of Debian and Fedora ask.
    fn manuals(&self, program: &Path) -> Outcome {
        let pages = self.tree().join("usr/share/man/man1");
        std::fs::create_dir_all(&pages).map_err(|error| error.to_string())?;
        output(
            crossrealm_programs::built(program)
                .args(["man", "--out"])
                .arg(&pages),
        )?;
        let mut names = Vec::new();
        for entry in std::fs::read_dir(&pages).map_err(|error| error.to_string())? {
            names.push(entry.map_err(|error| error.to_string())?.path());
        }
        names.sort();
        compress(&names)
    }

    fn changelogs(&self, release: &Release) -> Outcome {
        let date = output(&mut command(
            "date",
            &[
                "--utc",
                "--rfc-email",
                &format!("--date=@{}", release.epoch),
            ],
        ))?;
        let news = self.tree().join("usr/share/doc/crossrealm/changelog");
        write(&news, read(&root().join("CHANGELOG.md"))?.as_bytes())?;
        let mut files = vec![news];
        for package in ["crossrealm", "crossrealm-smb-host"] {
            let text = format!(
                "{package} ({}-1) unstable; urgency=medium\n\n  * The changes are listed in /usr/share/doc/crossrealm/changelog.gz.\n\n -- {}  {date}",
                release.version,
                super::MAINTAINER
            );
            let folder = self.target.join("release/debian").join(package);
            let file = folder.join("changelog.Debian");
            write(&file, text.as_bytes())?;
            files.push(file);
        }
        compress(&files)
    }
}

/// Compresses files in place, without their names and times.
fn compress(files: &[PathBuf]) -> Outcome {
    if files.is_empty() {
        return Ok(());
    }
    output(command("gzip", &["--best", "--no-name", "--force", "--"]).args(files)).map(drop)
}

fn mode(path: &Path, mode: u32) -> Outcome {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))
        .map_err(|error| format!("cannot set the mode of `{}`: {error}", path.display()))
}
