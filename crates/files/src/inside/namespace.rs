//! The inside of the host's mount namespace, made before any Samba program runs.
//!
//! Nothing of this is seen outside, and its mounts go with its last process. What is mounted and unmounted outside happens
//! here too, where the machine shares its mounts, as systemd does.

use crate::error::FilesError;
use crate::places::{HOST, NSSWITCH, RESOLV, RUN, SHARES, SNAPSHOTS, VOLATILE_FOLDERS};
use crate::tools;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// Makes the host's own `/run/samba`, with its state, the shares and their snapshots below it, and its own view of the name services.
///
/// # Errors
///
/// What could not be mounted or made.
pub(super) async fn enter(
    shares: &Path,
    state: &Path,
    snapshots: Option<&Path>,
) -> Result<(), FilesError> {
    mount(
        &["-t", "tmpfs", "-o", "mode=0755,nosuid,nodev", "crossrealm"],
        RUN,
    )
    .await?;
    for name in VOLATILE_FOLDERS {
        folder(&Path::new(RUN).join(name))?;
    }
    folder(Path::new(HOST))?;
    folder(Path::new(SHARES))?;
    bind(state, HOST).await?;
    // With the file systems that are mounted on the folders of shares.
    bound("--rbind", shares, SHARES).await?;
    if let Some(snapshots) = snapshots {
        folder(Path::new(SNAPSHOTS))?;
        bind(snapshots, SNAPSHOTS).await?;
        // Samba follows a link that is called like a snapshot wherever it leads: here the kernel follows none.
        let options = "remount,bind,ro,nosuid,nodev,nosymfollow";
        mount(&["-o", options], SNAPSHOTS).await?;
    }
    bind(Path::new(NSSWITCH), "/etc/nsswitch.conf").await?;
    // Without the file there is no name server to hide either. Where it is a link, its target is what is covered.
    if let Ok(target) = fs::canonicalize("/etc/resolv.conf") {
        bind(Path::new(RESOLV), &target.to_string_lossy()).await?;
    }
    // A name service cache would answer for the machine, which knows no user of the account.
    if Path::new("/run/nscd").is_dir() {
        mount(
            &["-t", "tmpfs", "-o", "mode=0755", "crossrealm"],
            "/run/nscd",
        )
        .await?;
    }
    Ok(())
}

async fn mount(what: &[&str], at: &str) -> Result<(), FilesError> {
    let mut args = what.to_vec();
    args.push(at);
    tools::run("mount", &args).await.map(|_| ())
}

async fn bind(from: &Path, at: &str) -> Result<(), FilesError> {
    bound("--bind", from, at).await
}

async fn bound(how: &str, from: &Path, at: &str) -> Result<(), FilesError> {
    let args = [Path::new(how), from, Path::new(at)];
    tools::run("mount", &args).await.map(|_| ())
}

fn folder(path: &Path) -> Result<(), FilesError> {
    fs::create_dir_all(path)
        .and_then(|()| fs::set_permissions(path, Permissions::from_mode(0o755)))
        .map_err(|error| FilesError::file("create", path, &error))
}
