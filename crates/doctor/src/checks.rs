//! Every check, in the order of the ticket's way: what it looks at, why, what to do, and what it builds on.
//!
//! The order matters: the first failure is named as the cause. What is nearer to the person comes before what is behind it,
//! and what explains a refusal comes before the attempt that is refused.

use crate::engine::Check;

/// A check of the list below.
macro_rules! checks {
    ($($id:literal, $title:literal, needs $needs:expr, $(row $row:literal,)? why $why:literal, next $next:literal;)+) => {
        /// All checks.
        pub const CHECKS: &[Check] = &[$(Check {
            id: $id,
            title: $title,
            why: $why,
            next: $next,
            needs: &$needs,
            prerequisite: checks!(@row $($row)?),
        },)+];
    };
    (@row) => { None };
    (@row $row:literal) => { Some($row) };
}

checks! {
    "settings", "the service and the tenant are known", needs [],
        why "without the service's address nothing in the cloud can be looked at",
        next "give `--server https://login.BASE-DOMAIN --tenant NAME`, or write the workstation's configuration: `crossrealm client config --format krb5.conf`";
    "stray-proxy", "no web proxy is in the way", needs ["settings"],
        why "a web proxy that is left over in the environment sends requests for the service astray",
        next "unset `https_proxy`, `http_proxy` and `all_proxy`, or name the service in `no_proxy`";
    "dns-login", "the service's name resolves", needs ["settings"],
        why "clients find the KDC proxy by this name",
        next "add the name to the DNS (or to `/etc/hosts`), pointing at the cloud";
    "port-login", "the service answers on its port", needs ["dns-login"],
        why "tickets come from the KDC proxy by HTTPS",
        next "see that `crossrealm serve` runs, and that firewalls let TCP 443 through";
    "tls-login", "the service's certificate is good", needs ["port-login"],
        why "clients send tickets only to a service whose certificate they trust",
        next "renew the certificate in `tls/`, or trust its authority: `--ca ca.pem`";
    "clock-cloud", "the clock agrees with the cloud's", needs ["tls-login"],
        why "Kerberos refuses tickets where clocks differ by more than five minutes",
        next "set the clock: `timedatectl set-ntp true`, or `chronyc makestep`";
    "service-health", "the service is healthy", needs ["tls-login"],
        why "a service whose database does not answer gives no tickets",
        next "look at the log of `crossrealm serve`";
    "api-token", "the API token is good", needs ["stray-proxy", "tls-login"],
        why "with a token the tenant's own records can be compared with what is seen",
        next "give the token of an administrator or reader: `--token-file FILE`";
    "tenant", "the tenant exists", needs ["api-token"], row "A tenant",
        why "every ticket and share belongs to a tenant",
        next "`crossrealm tenant list` shows them; `crossrealm tenant create NAME` makes one";
    "client-system", "this computer's Kerberos can use a KDC proxy", needs [], row "A client system that can use a KDC proxy (Windows 10, Windows Server 2012, MIT Kerberos, or newer)",
        why "MIT Kerberos speaks HTTPS by a plug-in that Debian packages apart",
        next "apt-get install krb5-k5tls";
    "krb5-conf", "the Kerberos configuration names the tenant", needs ["settings"],
        why "without it the referral leads nowhere: the client does not know the tenant's KDC",
        next "crossrealm client config --format krb5.conf --out /etc/krb5.conf.d/crossrealm.conf";
    "proxy-string", "the KDC proxy's address is written correctly", needs ["krb5-conf"],
        why "one wrong character sends the client to another place, or to none",
        next "write it anew: `crossrealm client config --format krb5.conf --out …`";
    "http-anchors", "the configured authority fits the service", needs ["proxy-string", "tls-login"],
        why "the Kerberos library trusts the authority named in `http_anchors`, not the one given to this command",
        next "write it anew: `crossrealm client config --format krb5.conf --out …` puts the right one beside the file";
    "kdc-proxy", "the KDC proxy answers at that address", needs ["proxy-string", "tls-login"],
        why "the service answers only at the address of a tenant that it has",
        next "compare the address with `crossrealm tenant show NAME`, and write the configuration anew";
    "realm-mapping", "hosts are mapped to the right realm", needs ["krb5-conf"],
        why "a `[domain_realm]` line decides which realm is asked, whatever the domain controller would say",
        next "remove the line from `[domain_realm]`, or write the configuration anew with `--map-hosts`";
    "dns-dc", "a domain controller is found", needs [],
        why "sign-in and referral come from a domain controller",
        next "use the domain's DNS servers on this computer, or name one with `--dc HOST`";
    "port-dc-88", "a domain controller answers Kerberos (TCP 88)", needs ["dns-dc"],
        why "tickets begin at the domain controller",
        next "let TCP 88 to the domain controller through, or sign in where it is reached";
    "port-dc-389", "a domain controller answers LDAP (TCP 389)", needs ["dns-dc"],
        why "set-up, sync and group policy read the directory by LDAP",
        next "let TCP 389 to the domain controller through";
    "port-dc-445", "a domain controller answers SMB (TCP 445)", needs ["dns-dc"],
        why "the trust is made by RPC over SMB",
        next "let TCP 445 to the domain controller through";
    "clock-dc", "the clock agrees with the domain controller's", needs ["port-dc-88", "clock-cloud"],
        why "Kerberos refuses tickets where clocks differ by more than five minutes",
        next "set the clocks: `timedatectl set-ntp true` here, `w32tm /resync` on the domain controller";
    "functional-level", "the domain is recent enough", needs ["port-dc-389"], row "The domain's functional level (the original asks for Windows Server 2012 or higher)",
        why "AES keys need Windows Server 2008; the original asks for 2012",
        next "raise the domain functional level";
    "joined", "this computer is joined to the domain", needs [], row "The client is joined to AD",
        why "Windows signs in at the domain only when joined; Linux and macOS need not be",
        next "`dsregcmd /status` on Windows; `realm join` on Linux, where it is wanted";
    "tgt", "the person is signed in to the domain", needs ["port-dc-88"],
        why "everything starts with the ticket-granting ticket of the on-premises domain",
        next "kinit USER@REALM";
    "tgt-valid", "the sign-in has not expired", needs ["tgt", "clock-cloud", "clock-dc"],
        why "an expired sign-in opens nothing; long-lived sessions lose theirs without notice",
        next "kinit USER@REALM";
    "tgt-etype", "the sign-in uses AES", needs ["tgt"],
        why "only AES is accepted; RC4 and DES are refused everywhere",
        next "remove `permitted_enctypes`, `default_tkt_enctypes` and `allow_weak_crypto` from krb5.conf, set the user's password anew, and sign in again";
    "directory", "AD can be read", needs ["tgt-valid", "tgt-etype", "port-dc-389"],
        why "what AD holds of the trust and of the user is compared with the tenant's records",
        next "give `--domain-user USER@DOMAIN`, or sign in with `kinit`";
    "tdo", "AD holds the trust", needs ["directory", "settings"],
        why "without the trusted domain object the domain controller refers nobody to the tenant",
        next "crossrealm kerberos-server set --setup-cloud-trust --domain DOMAIN --domain-user ADMINISTRATOR";
    "tdo-etypes", "the trust uses AES", needs ["tdo"],
        why "a trust without AES seals referrals with RC4, which the tenant refuses (KDC_ERR_ETYPE_NOSUPP)",
        next "crossrealm kerberos-server set --setup-cloud-trust --domain DOMAIN --domain-user ADMINISTRATOR";
    "top-level-names", "the trust covers the hosts", needs ["tdo"],
        why "the domain controller refers clients only for hosts at or below a top-level name of the trust",
        next "crossrealm kerberos-server set --setup-cloud-trust --domain DOMAIN --domain-user ADMINISTRATOR";
    "collisions", "no other trust claims the names", needs ["tdo"],
        why "where two trusts claim a name, AD switches it off or refers to the wrong one",
        next "take the name from the other trust; every tenant on one AD needs a domain of its own";
    "spn-shadow", "AD has no service of the same name", needs ["directory"],
        why "a service principal name in AD wins over the trust: AD seals the ticket itself, and the share cannot open it",
        next "setspn -D SPN ACCOUNT";
    "trust-record", "the tenant holds the trust's key", needs ["tenant"],
        why "referrals open only with a key that the tenant holds, confirmed to be in AD",
        next "crossrealm kerberos-server set --setup-cloud-trust --domain DOMAIN --domain-user ADMINISTRATOR";
    "trust-keys", "both sides hold the same version of the trust's key", needs ["trust-record", "tdo"],
        why "with a stale key every ticket is refused; the original's users wait for a day after such a rotation",
        next "crossrealm kerberos-server set --setup-cloud-trust --domain DOMAIN --domain-user ADMINISTRATOR";
    "sync", "users are synced", needs ["tenant"], row "The sync of users and groups is in place",
        why "only people whom the tenant knows get tickets",
        next "crossrealm sync once --domain DOMAIN --domain-user READER";
    "user-synced", "the user is synced", needs ["tenant"],
        why "the tenant finds people by the SID it got at the sync, never by name",
        next "crossrealm sync once --domain DOMAIN --domain-user READER, and check that the user is in its scope";
    "user-enabled", "the user may sign in", needs ["user-synced"],
        why "disabled and deleted users get no tickets, however valid their sign-in still is",
        next "enable the user in AD, then: crossrealm sync once";
    "user-sid", "AD and the tenant mean the same user", needs ["user-synced"],
        why "a user who was made anew in AD has another SID, and is another user",
        next "crossrealm sync once; where the SID is another, the user was made anew and needs new grants";
    "group-count", "the user's groups fit into a ticket", needs ["user-synced"],
        why "a ticket holds at most 1,010 groups, and never only some of them",
        next "take the user out of groups, then: crossrealm sync once";
    "storage-account", "the storage account and the share exist", needs ["tenant"], row "A storage account",
        why "the service gives tickets only for hosts that it knows",
        next "`crossrealm storage-account list` and `crossrealm share list ACCOUNT` show what there is";
    "role", "the user has a role on the share", needs ["storage-account", "user-enabled", "user-sid"],
        why "without a role, smbd refuses the share, however good the ticket",
        next "crossrealm share grant ACCOUNT/SHARE --to USER --role reader";
    "referral", "the domain controller refers to the tenant", needs ["tgt-valid", "tgt-etype", "clock-dc", "tdo", "tdo-etypes", "top-level-names", "collisions", "spn-shadow", "user-enabled"],
        why "the referral is the proof of the sign-in that the tenant accepts",
        next "crossrealm kerberos-server get --domain DOMAIN";
    "referral-etype", "the referral is sealed with AES", needs ["referral"],
        why "only AES is accepted",
        next "crossrealm kerberos-server set --setup-cloud-trust --domain DOMAIN --domain-user ADMINISTRATOR";
    "service-ticket", "the tenant gives the ticket", needs ["referral", "referral-etype", "kdc-proxy", "http-anchors", "realm-mapping", "client-system", "service-health", "trust-record", "trust-keys", "user-enabled", "user-sid", "group-count", "storage-account"],
        why "with this ticket the share is opened; a refusal names its reason",
        next "`crossrealm events --user USER` shows what was seen";
    "ticket-kvno", "the ticket is sealed with the account's key", needs ["service-ticket"],
        why "a ticket under another key version cannot be opened by the host",
        next "`crossrealm storage-account show ACCOUNT` shows the versions; try again in a few seconds";
    "keytab", "the keytab opens the ticket", needs ["service-ticket"],
        why "a keytab of before a rotation opens nothing (KRB_AP_ERR_MODIFIED)",
        next "export it anew: `crossrealm storage-account keytab ACCOUNT --out FILE`, or `service-principal keytab SPN --out FILE`";
    "dns-share", "the share's host resolves", needs ["storage-account"],
        why "the workstation connects to the host by this name",
        next "add the name to the DNS (or to `/etc/hosts`), pointing at the file host";
    "port-share", "the share's host answers SMB (TCP 445)", needs ["dns-share"],
        why "many providers block TCP 445, and nothing works without it",
        next "see that `crossrealm files serve` runs, and that firewalls let TCP 445 through";
    "host-health", "the hosts of the account are well", needs ["storage-account", "port-share"],
        why "what keeps a host from serving, or from taking over keys and roles, it reports to the service",
        next "`crossrealm storage-account hosts ACCOUNT` shows what each host says; look at the log of `crossrealm files serve` there";
    "host-keytab", "the hosts hold the key of the ticket", needs ["service-ticket", "host-health"],
        why "a host that has not fetched the account's newest key opens no ticket under it",
        next "see that the host reaches the service; restart `crossrealm files serve` there";
    "smb-session", "the host takes the ticket", needs ["service-ticket", "port-share", "keytab", "host-keytab"],
        why "smbd opens the ticket with its keytab; where it cannot, its keys are old or another's",
        next "look at the log of `crossrealm files serve`, and restart it";
    "smb-share", "the share opens", needs ["smb-session", "role"],
        why "the share's permissions come from the roles",
        next "`crossrealm share access ACCOUNT/SHARE --user USER` shows the role; the host takes a change over within seconds";
    "file-acl", "the folder opens", needs ["smb-share"],
        why "the files' own permissions restrict the role further",
        next "on the file host, as root: crossrealm share access ACCOUNT/SHARE --user USER --path /";
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn what_is_needed_comes_before() {
        let mut seen = HashSet::new();
        for check in CHECKS {
            for need in check.needs {
                assert!(
                    seen.contains(need),
                    "`{}` needs `{need}`, which is not before it",
                    check.id
                );
            }
            assert!(seen.insert(check.id), "`{}` is there twice", check.id);
        }
    }

    /// The page, as it must be committed.
    fn page() -> String {
        let mut page = "# Doctor checks\n\n<!-- Generated by the test of the list of checks; do not edit. -->\n\n".to_owned();
        page += include_str!("introduction.md");
        for check in CHECKS {
            page += &format!(
                "\n## {}\n\nWhether {}. Why it matters: {}.\n",
                check.id, check.title, check.why
            );
            if !check.needs.is_empty() {
                page += &format!("\nBuilds on `{}`.\n", check.needs.join("`, `"));
            }
            page += &format!("\n**Where it fails:** {}\n", check.next);
        }
        page
    }

    #[test]
    fn the_page_holds_every_check() {
        let file = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../docs/reference/doctor-checks.md"
        );
        let wanted = page();
        if std::env::var_os("CROSSREALM_WRITE_DOCS").is_some() {
            std::fs::write(file, &wanted).unwrap();
        }
        let found = std::fs::read_to_string(file).unwrap_or_default();
        assert!(
            found == wanted,
            "docs/reference/doctor-checks.md is not what the list of checks says; run this test with CROSSREALM_WRITE_DOCS=1"
        );
    }
}
