//! The Samba of the SMB hosts: the machine's own, or another one that lies unpacked in a folder.
//!
//! A host of the product finds Samba where Debian installs it. Another version is put there for the host alone, by an overlay on
//! `/usr` in a mount namespace of its own; domain controllers, clients and the witnesses keep the machine's.

use crate::run::{Failure, Run};
use std::path::Path;

/// The variable that names the folder with the other Samba: what its packages hold below `/usr`. `cargo xtask samba` makes it.
pub const HOST_SAMBA: &str = "CROSSREALM_HOST_SAMBA";
/// A file of the folder; where it is at `/usr`, the overlay is mounted.
pub const MARK: &str = ".crossrealm-samba";

/// Mounts the folder `$1` over `/usr`, unless that was done, and becomes the rest.
const OVERLAY: &str = r#"[ -e /usr/.crossrealm-samba ] || mount -t overlay -o "ro,lowerdir=$1:/usr" samba /usr || exit 71
shift; exec "$@""#;

impl Run {
    /// The same command with the Samba that the hosts of this run are to have.
    #[must_use]
    pub fn on_host_samba(self) -> Self {
        match std::env::var(HOST_SAMBA) {
            Ok(folder) if !folder.is_empty() => self.under(&[
                "unshare", "--mount", "--", "sh", "-c", OVERLAY, "sh", &folder,
            ]),
            _ => self,
        }
    }
}

/// Expects that a running smbd is the one that the hosts of this run are to have, and prints its version.
///
/// # Errors
/// When its process executes another file than the one in the folder.
pub fn demand_host_samba(pid: u32) -> Result<(), Failure> {
    let version = Run::here("smbd").arg("--version").on_host_samba().ok()?;
    println!("smbd: {}", version.out().trim());
    let Ok(folder) = std::env::var(HOST_SAMBA) else {
        return Ok(());
    };
    let running = std::fs::read(format!("/proc/{pid}/exe"))?;
    match running == std::fs::read(Path::new(&folder).join("sbin/smbd"))? {
        true => Ok(()),
        false => Err(Failure::new(format!(
            "process {pid} executes another smbd than the one in `{folder}`"
        ))),
    }
}
