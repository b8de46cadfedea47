//! The mounts in the worker's mount namespace, made before any program of Samba runs.
//!
//! They are not visible outside, and end with the last process of the namespace. Mounts made outside propagate into it where
//! the machine shares its mounts, as systemd does.

use crate::error::FilesError;
use crate::paths::{
    CONF, HOST, KRB5_CONF, NSSWITCH, RESOLV, RUN, SHARES, SNAPSHOTS, VOLATILE_DIRECTORIES,
};
use crate::smbconf;
use crate::tools;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// Mounts the host's own `/run/samba` with its state, the shares and their snapshots below it, and its own configuration of the
/// name services.
///
/// # Errors
///
/// The mount or directory that could not be made.
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
    for name in VOLATILE_DIRECTORIES {
        directory(&Path::new(RUN).join(name))?;
    }
    for path in [HOST, SHARES, CONF] {
        directory(Path::new(path))?;
    }
    for (path, text) in [
        (NSSWITCH, smbconf::NSSWITCH_CONF),
        (RESOLV, smbconf::RESOLV_CONF),
        (KRB5_CONF, smbconf::KRB5_CONF),
    ] {
        fixed_file(Path::new(path), text)?;
    }
    bind(state, HOST).await?;
    // Recursively: file systems may be mounted on the directories of shares.
    bind_mount("--rbind", shares, SHARES).await?;
    if let Some(snapshots) = snapshots {
        directory(Path::new(SNAPSHOTS))?;
        bind(snapshots, SNAPSHOTS).await?;
        // Samba follows a symbolic link that has the name of a snapshot, wherever it leads: `nosymfollow` prevents that.
        let options = "remount,bind,ro,nosuid,nodev,nosymfollow";
        mount(&["-o", options], SNAPSHOTS).await?;
    }
    bind(Path::new(NSSWITCH), "/etc/nsswitch.conf").await?;
    // Without the file there is no name server to hide. Where it is a symbolic link, its target is covered.
    if let Ok(target) = fs::canonicalize("/etc/resolv.conf") {
        bind(Path::new(RESOLV), &target.to_string_lossy()).await?;
    }
    // A name service cache of the machine would answer without the account's users.
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
    bind_mount("--bind", from, at).await
}

async fn bind_mount(how: &str, from: &Path, at: &str) -> Result<(), FilesError> {
    let args = [Path::new(how), from, Path::new(at)];
    tools::run("mount", &args).await.map(|_| ())
}

/// Writes a file that Samba's libraries read while they impersonate a user.
fn fixed_file(path: &Path, text: &str) -> Result<(), FilesError> {
    fs::write(path, text)
        .and_then(|()| fs::set_permissions(path, Permissions::from_mode(0o644)))
        .map_err(|error| FilesError::file("write", path, &error))
}

fn directory(path: &Path) -> Result<(), FilesError> {
    fs::create_dir_all(path)
        .and_then(|()| fs::set_permissions(path, Permissions::from_mode(0o755)))
        .map_err(|error| FilesError::file("create", path, &error))
}
