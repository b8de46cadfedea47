//! What every installation goes through: installed, set up, reloaded, upgraded, removed.

use super::clients::Client;
use super::machine::Machine;
use super::{EARLIER, Form, demand, offer};
use crate::Outcome;
use crate::process::output;

/// apt in a machine without a network.
const APT: &str = "apt-get -q -y --no-install-recommends";

/// Installs the earlier version. Nothing runs yet, and a start says what is missing.
pub(super) fn install(machine: &Machine<'_>) -> Outcome {
    machine.sh("apt-get -q update")?;
    machine.sh(&format!("{APT} install crossrealm"))?;
    let state = "dpkg-query --show --showformat='${Version} ${Status}' crossrealm";
    demand(&machine.sh(state)?, &[EARLIER, "install ok installed"])?;
    for user in ["crossrealm", "crossrealm-sync"] {
        demand(&machine.sh(&format!("getent passwd {user}"))?, &["nologin"])?;
    }
    let modes = machine
        .sh("stat --format='%n %a %U' /etc/crossrealm /etc/crossrealm/sync /var/lib/crossrealm")?;
    demand(
        &modes,
        &[
            "/etc/crossrealm 755 root",
            "/etc/crossrealm/sync 700 root",
            "/var/lib/crossrealm 700 crossrealm",
        ],
    )?;
    machine.sh("test -s /usr/share/doc/crossrealm/html/guide/install.html")?;
    machine.refused("systemctl is-active crossrealm.service crossrealm.socket")?;
    machine.refused("systemctl start crossrealm")?;
    demand(
        &journal(machine, "crossrealm")?,
        &[
            "`/etc/crossrealm/crossrealm.toml` does not exist",
            "crossrealm init",
        ],
    )?;
    machine
        .sh("systemctl stop crossrealm.socket crossrealm")
        .map(drop)
}

/// The README's commands on the machine of the service, and the first of an administration host.
pub(super) fn set_up(machine: &Machine<'_>) -> Outcome {
    let printed = machine.sh("crossrealm init --base-domain cloud.example --tenant contoso")?;
    demand(&printed, &["systemctl enable --now crossrealm"])?;
    let fingerprint = printed
        .lines()
        .find_map(|line| line.strip_prefix("CaFingerprint : "))
        .ok_or_else(|| format!("`init` printed no fingerprint: {printed}"))?;
    let modes = machine.sh(
        "stat --format='%n %a %U' /etc/crossrealm/* /var/lib/crossrealm/* /var/lib/crossrealm/tls/*",
    )?;
    demand(
        &modes,
        &[
            "/etc/crossrealm/master.key 600 root",
            "/etc/crossrealm/admin.token 600 root",
            "/etc/crossrealm/crossrealm.toml 644 root",
            "/var/lib/crossrealm/crossrealm.db 600 crossrealm",
            "/var/lib/crossrealm/tls/login.key 600 crossrealm",
            "/var/lib/crossrealm/tls/ca.key 600 crossrealm",
        ],
    )?;
    demand(
        &machine.refused("crossrealm init --base-domain cloud.example")?,
        &["there is an installation in `/etc/crossrealm` already"],
    )?;
    machine.sh("crossrealm serve --check")?;
    machine.sh("systemctl enable --now crossrealm")?;
    machine.sh("systemctl is-active crossrealm.service crossrealm.socket")?;
    demand(
        &machine.sh("crossrealm serve --check")?,
        &[
            "/etc/crossrealm/master.key",
            "/var/lib/crossrealm/crossrealm.db",
        ],
    )?;
    machine.sh(&format!(
        "crossrealm connect https://login.cloud.example --fingerprint {fingerprint} --token-file /etc/crossrealm/admin.token"
    ))?;
    demand(&machine.sh("crossrealm tenant list")?, &["contoso"])
}

/// The pages of the package, at the address of the service.
pub(super) fn documentation_is_served(machine: &Machine<'_>) -> Outcome {
    let mut curl = machine.on_its_network("curl");
    curl.args(["--silent", "--show-error", "--fail", "--insecure"])
        .args(["--resolve", "login.cloud.example:443:127.0.0.1"])
        .arg("https://login.cloud.example/docs/guide/install.html");
    demand(&output(&mut curl)?, &["<h1", "crossrealm init"])
}

/// The service has a user of its own, no capability, and reads the master key from its credential alone.
pub(super) fn runs_with_few_rights(machine: &Machine<'_>) -> Outcome {
    let status = machine.sh(
        "pid=$(systemctl show --property=MainPID --value crossrealm); stat --format=%U /proc/$pid; grep -E '^(Cap|NoNewPrivs|Seccomp:)' /proc/$pid/status",
    )?;
    demand(
        &status,
        &[
            "crossrealm\n",
            "CapEff:\t0000000000000000",
            "CapBnd:\t0000000000000000",
            "NoNewPrivs:\t1",
            "Seccomp:\t2",
        ],
    )?;
    machine.refused("setpriv --reuid crossrealm --regid crossrealm --clear-groups cat /etc/crossrealm/master.key")?;
    // Kerberos on port 88 by a socket too.
    machine.sh("systemctl stop crossrealm.socket crossrealm && systemctl enable --now crossrealm-kdc.socket crossrealm")?;
    demand(
        &journal(machine, "crossrealm")?,
        &["88 (Kerberos over TCP and UDP)"],
    )?;
    let client = Client::start(machine)?;
    for _ in 0..3 {
        machine.sh("systemctl restart crossrealm; sleep 0.5")?;
    }
    client.end("three restarts")
}

/// A reload takes over what can be, says what needs a restart, and fails where the file is wrong.
pub(super) fn configuration_is_reloaded(machine: &Machine<'_>) -> Outcome {
    let edit = |edit: &str| machine.sh(&format!("sed -i '{edit}' /etc/crossrealm/crossrealm.toml"));
    let pid = "systemctl show --property=MainPID --value crossrealm";
    let before = machine.sh(pid)?;
    edit(
        "s/^requests_per_address = .*/requests_per_address = 255/; s/^https_listen = .*/https_listen = \"0.0.0.0:8443\"/",
    )?;
    machine.sh("systemctl reload crossrealm")?;
    machine.wait_until(
        "systemctl status crossrealm | grep -q 'changed keys that need a restart: https_listen'",
    )?;
    edit("s/^https_listen = .*/https_listen = \"0.0.0.0:443\"/")?;
    machine.sh("systemctl reload crossrealm")?;
    machine.wait_until(
        "systemctl status crossrealm | grep -q 'Status: .*the configuration was read again'",
    )?;
    machine.sh("cp /etc/crossrealm/crossrealm.toml /root/good.toml")?;
    machine.sh("echo 'of_another_version = 1' >> /etc/crossrealm/crossrealm.toml")?;
    demand(
        &machine.refused("crossrealm serve --check")?,
        &[
            "crossrealm.toml` is wrong in line",
            "of_another_version",
            "another version",
        ],
    )?;
    machine.refused("systemctl reload crossrealm")?;
    machine.sh("crossrealm tenant list")?;
    machine
        .sh("cp /root/good.toml /etc/crossrealm/crossrealm.toml && systemctl reload crossrealm")?;
    match machine.sh(pid)? == before {
        true => Ok(()),
        false => Err("a reload restarted the service".to_owned()),
    }
}

/// The unit of a sync agent says what it lacks, and runs without a domain controller, which it tries to reach.
pub(super) fn sync_agent_starts(machine: &Machine<'_>) -> Outcome {
    let unit = "crossrealm-sync@corp.contoso.com";
    machine.refused(&format!("systemctl start {unit}"))?;
    machine.sh(&format!("systemctl stop {unit}"))?;
    demand(
        &journal(machine, unit)?,
        &[
            "cannot read the join file",
            "/etc/crossrealm/sync/DOMAIN/join",
        ],
    )?;
    register_domain(machine)?;
    let folder = "/etc/crossrealm/sync/corp.contoso.com";
    machine.sh(&format!("mkdir -m 700 {folder}"))?;
    machine.sh(&format!(
        "crossrealm connector create --domain corp.contoso.com --join {folder}/join"
    ))?;
    machine.sh(&format!(
        "umask 077; echo 'a password' >{folder}/password; echo 'OPTIONS=--domain-user svc@corp.contoso.com --interval 30s' >{folder}/options"
    ))?;
    machine.sh(&format!("systemctl enable --now {unit}"))?;
    machine.wait_until(&format!(
        "journalctl --unit {unit} | grep -q 'corp.contoso.com'"
    ))?;
    let user = machine.sh(&format!(
        "stat --format=%U /proc/$(systemctl show --property=MainPID --value {unit})"
    ))?;
    demand(&user, &["crossrealm-sync"])?;
    machine.sh(&format!("systemctl is-active {unit}")).map(drop)
}

/// What `kerberos-server set` does in front of a domain controller, which this machine cannot reach: the tenant knows the domain.
fn register_domain(machine: &Machine<'_>) -> Outcome {
    machine.sh("umask 077; printf 'Authorization: Bearer %s' \"$(cat /etc/crossrealm/admin.token)\" >/root/header")?;
    let domain = r#"{"dns_name":"corp.contoso.com","flat_name":"CORP","sid":"S-1-5-21-1-2-3"}"#;
    let body = format!(
        r#"{{"run_id":"8a5d9e39-6c53-4a5b-9a55-3f8a2f1c7d10","domain":{domain},"changes":[]}}"#
    );
    let mut curl = machine.on_its_network("curl");
    curl.args(["--silent", "--show-error", "--fail-with-body", "--insecure"])
        .args(["--resolve", "login.cloud.example:443:127.0.0.1", "--json", &body, "--header"])
        .arg(format!("@{}", machine.root.path("/root/header").display()))
        .arg("https://login.cloud.example/api/v1/tenants/contoso/domains/corp.contoso.com/identities");
    output(&mut curl).map(drop)
}

/// `apt upgrade` keeps the data, restarts the service, and refuses no client.
pub(super) fn upgrade(machine: &Machine<'_>) -> Outcome {
    offer(machine.root, "new")?;
    let client = Client::start(machine)?;
    let pid = "systemctl show --property=MainPID --value crossrealm";
    let before = machine.sh(pid)?;
    machine.sh("apt-get -q update")?;
    machine.sh(&format!("{APT} upgrade"))?;
    client.end("the upgrade")?;
    let version = machine.sh("dpkg-query --show --showformat='${Version} ${Status}' crossrealm")?;
    demand(&version, &["install ok installed"])?;
    if version.contains(EARLIER) || machine.sh(pid)? == before {
        return Err(format!("the upgrade changed nothing: {version}"));
    }
    machine.sh(
        "systemctl is-active crossrealm.service crossrealm.socket crossrealm-sync@corp.contoso.com",
    )?;
    demand(&machine.sh("crossrealm tenant list")?, &["contoso"])
}

/// Removal keeps everything but the program; purge deletes all but the files of shares.
pub(super) fn remove_and_purge(machine: &Machine<'_>, form: Form) -> Outcome {
    machine.sh(&format!("{APT} remove crossrealm"))?;
    machine.refused(
        "systemctl is-active crossrealm.service crossrealm.socket crossrealm-sync@corp.contoso.com",
    )?;
    machine
        .sh("test -s /etc/crossrealm/master.key && test -s /var/lib/crossrealm/crossrealm.db")?;
    machine.refused("command -v crossrealm")?;
    machine.sh(&format!(
        "{APT} install crossrealm && systemctl start crossrealm"
    ))?;
    demand(&machine.sh("crossrealm tenant list")?, &["contoso"])?;
    machine.sh("mkdir -p /var/lib/crossrealm/files/acct1/shares && echo x >/var/lib/crossrealm/files/acct1/shares/report")?;
    machine.sh(&format!("{APT} purge crossrealm crossrealm-smb-host"))?;
    let left = machine.sh("ls -A /etc/crossrealm /var/lib/crossrealm 2>&1 || true")?;
    demand(&left, &["cannot access '/etc/crossrealm'", "files"])?;
    if left.contains("crossrealm.db") {
        return Err(format!("purge left data: {left}"));
    }
    if form == Form::Long {
        machine.sh("test -e /srv/files/acct1/shares/projects")?;
    }
    machine.sh("test -s /var/lib/crossrealm/files/acct1/shares/report")?;
    let failed = machine.sh("systemctl list-units --failed --plain --no-legend 'crossrealm*'")?;
    match failed.trim() {
        "" => Ok(()),
        failed => Err(format!("units that failed are left: {failed}")),
    }
}

/// What a unit logged.
pub(super) fn journal(machine: &Machine<'_>, unit: &str) -> Result<String, String> {
    machine.sh(&format!(
        "journalctl --sync; journalctl --no-pager --output=cat --unit {unit}"
    ))
}
