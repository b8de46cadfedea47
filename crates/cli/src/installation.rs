//! Where the installation of this machine is when no option names another place: as the packages lay it out.

use std::path::{Path, PathBuf};

/// Configuration and keys, for root.
pub(crate) const CONFIG_DIR: &str = "/etc/crossrealm";
/// What the service writes, for its user.
pub(crate) const STATE_DIR: &str = "/var/lib/crossrealm";
/// The configuration file.
const CONFIG: &str = "crossrealm.toml";
/// The unit that the packages install.
const UNIT: &str = "/usr/lib/systemd/system/crossrealm.service";

/// The usual configuration file. Before 0.3 everything was in one directory.
pub(crate) fn usual_config() -> PathBuf {
    let usual = Path::new(CONFIG_DIR).join(CONFIG);
    let earlier = Path::new(STATE_DIR).join(CONFIG);
    match !usual.exists() && earlier.exists() {
        true => earlier,
        false => usual,
    }
}

/// The command that starts the service with this configuration file.
pub(crate) fn start_command(config: &Path) -> String {
    let is_usual = config == Path::new(CONFIG_DIR).join(CONFIG);
    match (is_usual, Path::new(UNIT).exists()) {
        (true, true) => "systemctl enable --now crossrealm".to_owned(),
        (true, false) => "crossrealm serve".to_owned(),
        (false, _) => format!("crossrealm serve --config {}", config.display()),
    }
}
