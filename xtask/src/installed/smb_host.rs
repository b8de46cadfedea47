//! The package of the SMB host, on the machine of the service.

use super::demand;
use super::life::journal;
use super::machine::Machine;
use crate::Outcome;

/// The guide's commands: a unit that says what it lacks, and then serves a share.
pub(super) fn serves(machine: &Machine<'_>) -> Outcome {
    machine.sh("apt-get -q -y --no-install-recommends install crossrealm-smb-host")?;
    let unit = "crossrealm-smb@acct1";
    machine.refused(&format!("systemctl start {unit}"))?;
    machine.sh(&format!("systemctl stop {unit}"))?;
    demand(
        &journal(machine, unit)?,
        &["cannot read the join file", "storage-account host-token"],
    )?;
    machine.sh("mkdir -m 700 /etc/crossrealm/smb/acct1")?;
    machine.sh("crossrealm storage-account create acct1 --join /etc/crossrealm/smb/acct1/join")?;
    machine.sh("crossrealm share create acct1/projects")?;
    // Debian starts its own Samba with the package.
    machine.sh("systemctl start smbd")?;
    machine.refused(&format!("systemctl start {unit}"))?;
    machine.sh(&format!("systemctl stop {unit}"))?;
    demand(
        &journal(machine, unit)?,
        &["systemctl disable --now smbd nmbd winbind"],
    )?;
    machine.sh("systemctl disable --now smbd nmbd winbind")?;
    machine.sh(&format!("systemctl enable --now {unit}"))?;
    demand(
        &journal(machine, unit)?,
        &["serving acct1.file.contoso.cloud.example with 1 share"],
    )?;
    machine.wait_until("crossrealm storage-account hosts acct1 | grep -Eq 'yes'")?;
    demand(
        &machine.sh("systemctl status crossrealm-smb@acct1")?,
        &["Status: \"serving acct1"],
    )?;
    machine
        .sh("test -d /srv/files/acct1/shares/projects")
        .map(drop)
}
