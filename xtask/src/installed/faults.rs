//! The ways in which machines break. Each says what to do, and nothing is lost.

use std::process::Stdio;

use super::life::journal;
use super::machine::Machine;
use super::{demand, offer};
use crate::Outcome;
use crate::process::{command, output};

/// The file of the master key is gone.
pub(super) fn credential_is_missing(machine: &Machine<'_>) -> Outcome {
    machine.sh("mv /etc/crossrealm/master.key /root/master.key")?;
    machine.refused("systemctl restart crossrealm")?;
    demand(
        &journal(machine, "crossrealm")?,
        &[
            "the service got no master key",
            "restore it from your backup",
            "/etc/crossrealm/master.key",
        ],
    )?;
    machine.sh("mv /root/master.key /etc/crossrealm/master.key && systemctl restart crossrealm")?;
    machine.sh("crossrealm tenant list").map(drop)
}

/// The file of the master key is there, but is none.
pub(super) fn credential_is_damaged(machine: &Machine<'_>) -> Outcome {
    machine.sh("cp -a /etc/crossrealm/master.key /root/master.key")?;
    machine.sh("echo damaged >/etc/crossrealm/master.key")?;
    machine.refused("systemctl restart crossrealm")?;
    demand(
        &journal(machine, "crossrealm")?,
        &["master.key` is damaged", "backup"],
    )?;
    machine.sh("mv /root/master.key /etc/crossrealm/master.key && systemctl restart crossrealm")?;
    machine.sh("crossrealm tenant list").map(drop)
}

/// A configuration of another version is refused at the start too, and the service runs again with the one of before.
pub(super) fn configuration_is_of_another_version(machine: &Machine<'_>) -> Outcome {
    machine.sh("cp -a /etc/crossrealm/crossrealm.toml /root/good.toml")?;
    machine.sh("echo 'of_the_next_version = 1' >>/etc/crossrealm/crossrealm.toml")?;
    machine.refused("systemctl restart crossrealm")?;
    demand(
        &journal(machine, "crossrealm")?,
        &["`of_the_next_version`", "another version"],
    )?;
    machine.sh("cp -a /root/good.toml /etc/crossrealm/crossrealm.toml")?;
    machine
        .sh("systemctl restart crossrealm && crossrealm tenant list")
        .map(drop)
}

/// Everything is started before there is a network, and works once there is one, without a hand.
pub(super) fn network_is_late(machine: &Machine<'_>) -> Outcome {
    let units = "crossrealm.service crossrealm-sync@corp.contoso.com crossrealm-smb@acct1";
    machine.sh(&format!(
        "systemctl stop crossrealm.socket crossrealm-kdc.socket {units}"
    ))?;
    let lo = |state: &str| {
        let mut ip = machine.on_its_network("ip");
        output(ip.args(["link", "set", "lo", state])).map(drop)
    };
    lo("down")?;
    let started = machine.sh(&format!("systemctl start --no-block {units}; sleep 15; systemctl is-active crossrealm.service crossrealm-sync@corp.contoso.com"));
    lo("up")?;
    started?;
    machine.wait_until("crossrealm tenant list")?;
    machine.wait_until("systemctl is-active crossrealm-smb@acct1")?;
    machine.wait_until("crossrealm storage-account hosts acct1 | grep -Eq 'yes'")
}

/// Another program has the port.
pub(super) fn port_is_taken(machine: &Machine<'_>) -> Outcome {
    machine.sh("systemctl stop crossrealm.socket crossrealm-kdc.socket crossrealm.service")?;
    let mut thief = machine.on_its_network("python3");
    let code = "import socket, sys; s = socket.create_server(('', 443)); print(flush=True); sys.stdin.read()";
    let mut thief = thief
        .args(["-c", code])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| format!("cannot take the port: {error}"))?;
    machine.wait_until("grep -qi ':01BB 0*:0000 0A' /proc/net/tcp")?;
    machine.refused("systemctl start crossrealm")?;
    let said = journal(machine, "crossrealm.socket")?;
    // The service itself, without systemd's socket, says the same.
    let own = machine.refused("crossrealm serve")?;
    drop(thief.stdin.take());
    let _ = thief.wait();
    demand(&said, &["Address already in use"])?;
    demand(
        &own,
        &[
            "cannot listen on `0.0.0.0:443`: the address is in use",
            "another program listens there",
        ],
    )?;
    machine.sh("systemctl start crossrealm-kdc.socket crossrealm")?;
    machine.sh("crossrealm tenant list").map(drop)
}

/// A service that does not answer is restarted by the watchdog.
pub(super) fn service_hangs(machine: &Machine<'_>) -> Outcome {
    let drop_in = "/run/systemd/system/crossrealm.service.d/watchdog.conf";
    machine.sh(&format!(
        "mkdir -p $(dirname {drop_in}); printf '[Service]\\nWatchdogSec=3s\\nRestartSec=1s\\n' >{drop_in}; systemctl daemon-reload; systemctl restart crossrealm"
    ))?;
    let pid = machine.sh("systemctl show --property=MainPID --value crossrealm")?;
    let pid = pid.trim();
    machine.sh(&format!("kill -STOP {pid}"))?;
    machine.wait_until(&format!(
        "systemctl is-active crossrealm && test \"$(systemctl show --property=MainPID --value crossrealm)\" != {pid}"
    ))?;
    demand(&journal(machine, "crossrealm")?, &["Watchdog timeout"])?;
    machine.sh(&format!("rm {drop_in}; systemctl daemon-reload; systemctl restart crossrealm; crossrealm tenant list")).map(drop)
}

/// The guide's encrypted credential.
pub(super) fn key_is_encrypted(machine: &Machine<'_>) -> Outcome {
    machine.sh("systemd-creds encrypt --name=master.key /etc/crossrealm/master.key /etc/crossrealm/master.key.cred")?;
    machine.sh("mv /etc/crossrealm/master.key /root/master.key")?;
    machine.sh(
        "mkdir -p /etc/systemd/system/crossrealm.service.d; printf '[Service]\\nLoadCredential=\\nSetCredential=\\nLoadCredentialEncrypted=master.key:/etc/crossrealm/master.key.cred\\n' >/etc/systemd/system/crossrealm.service.d/key.conf; systemctl daemon-reload; systemctl restart crossrealm",
    )?;
    machine.sh("crossrealm tenant list")?;
    machine.sh(
        "rm -r /etc/systemd/system/crossrealm.service.d /etc/crossrealm/master.key.cred; mv /root/master.key /etc/crossrealm/master.key; systemctl daemon-reload; systemctl restart crossrealm",
    ).map(drop)
}

/// An upgrade for which the disk has no space changes nothing, and succeeds when it has.
pub(super) fn disk_is_full(machine: &Machine<'_>) -> Outcome {
    offer(machine.root, "new")?;
    machine.sh("apt-get -q update")?;
    let version = "dpkg-query --show --showformat='${Version} ${Status}' crossrealm";
    let before = machine.sh(version)?;
    machine.sh("mkdir /tmp/kept; cp -a /usr/share/doc/crossrealm/. /tmp/kept/; mount -t tmpfs -o size=16k tmpfs /usr/share/doc/crossrealm")?;
    let said = machine.refused("apt-get -q -y upgrade")?;
    machine.sh("umount /usr/share/doc/crossrealm")?;
    demand(&said, &["No space left on device"])?;
    machine.sh("systemctl is-active crossrealm && crossrealm tenant list")?;
    let after = machine.sh(version)?;
    if after != before {
        return Err(format!("before `{before}`, after `{after}`"));
    }
    offer(machine.root, "earlier")?;
    machine.sh("apt-get -q update").map(drop)
}

/// dpkg that is interrupted between unpacking and configuring is completed by the command that dpkg itself names.
pub(super) fn installation_is_interrupted(machine: &Machine<'_>) -> Outcome {
    machine.sh("dpkg --unpack /packages/new/crossrealm_*.deb")?;
    machine.sh("systemctl is-active crossrealm && crossrealm tenant list")?;
    demand(&machine.sh("dpkg --audit")?, &["crossrealm"])?;
    machine.sh("dpkg --configure -a")?;
    let state = machine.sh(
        "dpkg-query --show --showformat='${Status}' crossrealm; systemctl is-active crossrealm",
    )?;
    demand(&state, &["install ok installed", "active"])
}

/// A downgrade: the database was migrated by a newer version. It is refused, and not changed.
pub(super) fn schema_is_newer(machine: &Machine<'_>) -> Outcome {
    machine.sh("systemctl stop crossrealm.socket crossrealm.service")?;
    let database = machine.root.path("/var/lib/crossrealm/crossrealm.db");
    let sql = |statement: &str| output(command("sqlite3", &[]).arg(&database).arg(statement));
    sql(
        "INSERT INTO _sqlx_migrations SELECT version + 1000000, description, installed_on, success, checksum, execution_time FROM _sqlx_migrations ORDER BY version DESC LIMIT 1",
    )?;
    let refusals = [
        "is newer than this program",
        "nothing was changed",
        "run the newer `crossrealm`, or restore the backup",
    ];
    demand(&machine.refused("crossrealm serve --check")?, &refusals)?;
    machine.refused("systemctl start crossrealm")?;
    demand(&journal(machine, "crossrealm")?, &refusals)?;
    machine.sh("systemctl stop crossrealm.socket crossrealm.service")?;
    sql("DELETE FROM _sqlx_migrations WHERE version > 1000000")?;
    machine
        .sh("systemctl start crossrealm && crossrealm tenant list")
        .map(drop)
}
