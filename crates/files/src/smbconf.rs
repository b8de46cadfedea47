//! The configuration of Samba and its name services: pure text from the account's state.

use crate::check;
use crate::error::FilesError;
use crate::listen::Listen;
use crate::paths::{
    HOST, KEYTAB, LOG, QUOTA_SIZES, RUN, SHARES, SNAPSHOTS, directory_name, program_name,
};
use crossrealm_api::{HostShare, HostState};

/// `nsswitch.conf` of the host: users and groups are the machine's and those that winbindd learns from tickets. Host names are
/// never resolved by DNS, so that winbindd finds at once that there is no domain controller.
pub(crate) const NSSWITCH_CONF: &str = "\
passwd: files winbind
group: files winbind
shadow: files
hosts: files
networks: files
protocols: files
services: files
";

/// `resolv.conf` of the host: no server.
pub(crate) const RESOLV_CONF: &str = "# The host asks no name server: it has no domain controller to find.\noptions timeout:1 attempts:1\n";

/// `krb5.conf` of the host: it only decrypts tickets, and never contacts a KDC.
pub(crate) const KRB5_CONF: &str = "\
[libdefaults]
 dns_lookup_kdc = false
 dns_lookup_realm = false
 dns_canonicalize_hostname = false
 rdns = false
";

/// The names of snapshots that Samba's `shadow_copy2` recognizes: the time in UTC at which they were made, `strftime(3)`.
pub(crate) const SNAPSHOT_FORMAT: &str = "@GMT-%Y.%m.%d-%H.%M.%S";

/// The operator's choices.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Serving {
    /// Where to listen.
    pub listen: Listen,
    /// Whether users see snapshots as previous versions.
    pub snapshots: bool,
    /// The most smbd processes: one serves each connection, also one that says nothing.
    pub max_processes: u64,
}

/// What an smbd process takes beside what it shares with the others, with a few open files, in bytes.
const PROCESS: u64 = 4 << 20;

/// How many smbd processes fit into half of a machine's memory.
pub(crate) fn fitting_processes(memory: u64) -> u64 {
    (memory / 2 / PROCESS).clamp(64, 16_384)
}

/// `smb.conf` for the account.
///
/// # Errors
///
/// [`FilesError::BadState`] for a name that is not safe in a configuration or a path.
pub(crate) fn render(state: &HostState, serving: &Serving) -> Result<String, FilesError> {
    check::state(state)?;
    let mut text = global(state, serving);
    let mut shares: Vec<&HostShare> = state.shares.iter().collect();
    shares.sort_unstable_by_key(|share| &share.name);
    for HostShare {
        name, quota_gib, ..
    } in shares
    {
        let directory = directory_name(name);
        text += &format!(
            "\n[{name}]\n    path = {SHARES}/{directory}\n    read only = no\n    smb encrypt = required\n"
        );
        if quota_gib.is_some() {
            let program = program_name(name);
            text +=
                &format!("    dfree command = {QUOTA_SIZES}/{program}\n    dfree cache time = 3\n");
        }
        if serving.snapshots {
            text += &previous_versions(&directory);
        }
    }
    Ok(text)
}

/// The snapshots of a share as previous versions. They are outside the share, so that a user reaches them by their time only, and
/// are searched for by absolute names only.
fn previous_versions(directory: &str) -> String {
    format!(
        "    vfs objects = shadow_copy2 acl_xattr
    shadow:snapdir = {SNAPSHOTS}/{directory}
    shadow:basedir = {SHARES}/{directory}
    shadow:mountpoint = {SHARES}/{directory}
    shadow:format = {}
    shadow:sort = desc
",
        SNAPSHOT_FORMAT
    )
}

fn global(state: &HostState, serving: &Serving) -> String {
    let (listen, max_processes) = (serving.listen, serving.max_processes);
    let realm = state.tenant.realm.to_uppercase();
    let flat_name = state.tenant.flat_name.to_uppercase();
    let netbios_name = netbios_name(&state.account.name, &flat_name);
    let port = listen.address().port();
    let mut text = format!(
        "# Written by the SMB host and replaced whenever the account changes. Edits are lost.
[global]
    # An identity is taken from the PAC of a ticket that the account's keys open. No domain is joined, no controller asked.
    security = ads
    realm = {realm}
    workgroup = {flat_name}
    netbios name = {netbios_name}
    kerberos method = dedicated keytab
    dedicated keytab file = {KEYTAB}
    machine password timeout = 0

    # Kerberos and SMB 3 only: no NTLM, no guest, nothing for the anonymous, no NetBIOS.
    ntlm auth = disabled
    map to guest = never
    restrict anonymous = 2
    server min protocol = SMB3_00
    server signing = mandatory
    # Every share demands encryption, IPC$ too. A whole connection must not: a second channel of a session is bound by a request
    # that is signed ([MS-SMB2] 3.2.4.1.8).
    smb encrypt = desired
    server multi channel support = yes
    disable netbios = yes
    smb ports = {port}

    # Each connection has a process of its own. Connections beyond these are closed, and one without an open file ends.
    max smbd processes = {max_processes}
    deadtime = 15

    # On-premises SIDs have local ids by ranges that are the same on every host; users see, and the disk keeps, the SIDs.
    idmap config * : backend = autorid
    idmap config * : range = 100000000-1999999999
    idmap config * : rangesize = 1000000
    winbind offline logon = yes
    winbind enum users = no
    winbind enum groups = no
    winbind scan trusted domains = no

    # Windows permissions are the only ones; the folders around the shares keep local users out.
    vfs objects = acl_xattr
    acl_xattr:ignore system acls = yes
    access based share enum = yes

    # Nothing but file shares.
    load printers = no
    printing = bsd
    printcap name = /dev/null
    disable spoolss = yes
    server string = Crossrealm
    usershare max shares = 0

    private dir = {HOST}/private
    state directory = {HOST}/state
    cache directory = {HOST}/cache
    lock directory = {RUN}/lock
    pid directory = {RUN}/pid
    ncalrpc dir = {RUN}/ncalrpc
    logging = file
    log file = {LOG}
    log level = 1
    max log size = 10240
"
    );
    let ip = listen.address().ip();
    if !ip.is_unspecified() {
        text += &format!("    interfaces = {ip}\n    bind interfaces only = yes\n");
    }
    text + "\n[IPC$]\n    path = /nonexistent\n    smb encrypt = required\n"
}

/// The account's name as a NetBIOS name of at most 15 characters, which must differ from the domain's.
fn netbios_name(account: &str, flat_name: &str) -> String {
    let name: String = account.to_uppercase().chars().take(15).collect();
    if name == flat_name {
        let shorter: String = name.chars().take(13).collect();
        return shorter + "-F";
    }
    name
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crossrealm_api::{Base64Secret, HostAccount, HostShare, HostTenant};

    /// A state with these shares, without grants.
    pub(crate) fn state(shares: &[&str]) -> HostState {
        HostState {
            installation: None,
            version: "1".into(),
            tenant: HostTenant {
                id: uuid::Uuid::nil(),
                name: "contoso".into(),
                realm: "KERBEROS.CONTOSO.CLOUD.EXAMPLE".into(),
                flat_name: "CONTOSO-KRB".into(),
                sid: "S-1-5-21-1-2-3".parse().unwrap(),
            },
            account: HostAccount {
                name: "acct1".into(),
                host: "acct1.file.contoso.cloud.example".into(),
                aliases: vec![],
            },
            domains: vec![],
            kvnos: vec![1, 2],
            keytab: Base64Secret::new([5, 2]),
            default_role: None,
            shares: shares
                .iter()
                .map(|name| HostShare {
                    name: (*name).to_owned(),
                    quota_gib: None,
                    grants: vec![],
                    reduced_roles: vec![],
                    reduced_roles_beyond: 0,
                })
                .collect(),
            revoked_users: vec![],
            revoked_users_beyond: 0,
        }
    }

    #[test]
    fn the_configuration_is_the_committed_one() {
        let listen = "10.77.2.1".parse().unwrap();
        let mut state = state(&["projects", "archive"]);
        state.shares[1].quota_gib = Some(100);
        let text = render(
            &state,
            &Serving {
                listen,
                snapshots: false,
                max_processes: fitting_processes(4 << 30),
            },
        )
        .unwrap();
        let expected = include_str!("../tests/smb.conf");
        assert!(text == expected, "tests/smb.conf differs from:\n{text}");
    }

    /// S15: silent connections cannot start smbd processes without end.
    #[test]
    fn the_number_of_processes_follows_the_memory() {
        assert_eq!(fitting_processes(4 << 30), 512);
        assert_eq!(fitting_processes(64 << 20), 64);
        assert_eq!(fitting_processes(u64::MAX), 16_384);
    }

    /// F12: the section has the name as it was created, paths the one without case.
    #[test]
    fn a_share_is_called_as_it_was_created() {
        let text = render(&state(&["Human Resources"]), &Serving::default()).unwrap();
        let section = "[Human Resources]\n    path = /run/samba/shares/human resources\n";
        assert!(text.contains(section), "{text}");
    }

    #[test]
    fn snapshots_are_previous_versions_of_each_share() {
        let serving = Serving {
            snapshots: true,
            ..Serving::default()
        };
        let text = render(&state(&["projects"]), &serving).unwrap();
        let lines = [
            "    vfs objects = shadow_copy2 acl_xattr\n",
            "    shadow:snapdir = /run/samba/snapshots/projects\n",
            "    shadow:format = @GMT-%Y.%m.%d-%H.%M.%S\n",
        ];
        assert!(lines.iter().all(|line| text.contains(line)), "{text}");
    }

    #[test]
    fn listening_on_every_address_sets_no_interfaces() {
        let text = render(&state(&[]), &Serving::default()).unwrap();
        assert!(!text.contains("interfaces"));
    }

    #[test]
    fn an_account_may_have_the_name_of_the_domain() {
        let mut state = state(&[]);
        state.account.name = "contoso".into();
        state.tenant.flat_name = "Contoso".into();
        let text = render(&state, &Serving::default()).unwrap();
        assert!(
            text.contains("workgroup = CONTOSO\n") && text.contains("netbios name = CONTOSO-F\n")
        );
    }

    #[test]
    fn a_name_that_breaks_its_line_is_refused() {
        let mut hostile = state(&["projects]\n path = /\n[x"]);
        assert!(render(&hostile, &Serving::default()).is_err());
        hostile = state(&["projects"]);
        hostile.tenant.realm = "X\n include = /etc/shadow".into();
        assert!(render(&hostile, &Serving::default()).is_err());
        hostile = state(&["global", "homes", "printers"]);
        assert!(render(&hostile, &Serving::default()).is_err());
    }
}
