//! Every check, along the path of a ticket: what it checks, why, what to do where it fails, and which checks it needs.
//!
//! The order matters: the first failure is reported as the cause. What is closer to the user comes first, and what explains a
//! refusal comes before the request that is refused.

use crate::engine::Check;

/// Declares the checks.
macro_rules! checks {
    ($($id:literal, $title:literal, needs $needs:expr, $(row $row:literal,)? why $why:literal, next $next:literal;)+) => {
        /// All checks, in order.
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
    "krb5-files", "Kerberos can read its configuration", needs [],
        why "a file that is missing or malformed makes every program that uses the Kerberos library fail",
        next "correct the file";
    "settings", "the service and the tenant are known", needs ["krb5-files"],
        why "without the service's address nothing in the cloud can be checked",
        next "give `--server https://login.BASE-DOMAIN --tenant NAME`, or configure this computer as a workstation: `crossrealm client config --format krb5.conf`";
    "dns-login", "the service's name resolves", needs ["settings"],
        why "clients find the KDC proxy by this name",
        next "add the name to DNS (or to `/etc/hosts`) with the address of the cloud";
    "port-login", "the service answers on its port", needs ["dns-login"],
        why "clients get tickets from the KDC proxy over HTTPS",
        next "check that `crossrealm serve` runs and that firewalls allow TCP 443";
    "tls-login", "the service's certificate is valid and trusted", needs ["port-login"], row "The service runs, and this computer reaches it",
        why "clients send tickets only to a service whose certificate they trust",
        next "renew the certificate in `tls/`, or trust its certificate authority: `--ca ca.pem`";
    "stray-proxy", "no web proxy is set for the service", needs ["tls-login"],
        why "a web proxy in the environment receives the requests of other programs for the service; Kerberos uses none",
        next "add the service to `no_proxy`";
    "clock-cloud", "the clock agrees with the cloud's", needs ["tls-login"],
        why "Kerberos refuses tickets where clocks differ by more than five minutes",
        next "set the clock: `timedatectl set-ntp true`, or `chronyc makestep`";
    "service-health", "the service is healthy", needs ["tls-login"],
        why "a service whose database does not answer issues no tickets",
        next "read the log of `crossrealm serve`";
    "api-token", "the API accepts the token", needs ["tls-login", "service-health"],
        why "with a token the tenant's records can be compared with what is observed",
        next "give the token of an administrator (the role `reader` is enough): `--token-file FILE`";
    "tenant", "the tenant exists", needs ["api-token"], row "A tenant in the service",
        why "every ticket and share belongs to a tenant",
        next "`crossrealm tenant list` lists the tenants; `crossrealm tenant create NAME` creates one";
    "client-system", "this computer's Kerberos can use a KDC proxy", needs ["krb5-files"], row "Clients that can use a KDC proxy: from Windows 10 or Windows Server 2012 on, or with MIT Kerberos and its plug-in for HTTPS",
        why "MIT Kerberos needs a plug-in for HTTPS, which is a separate package on Debian",
        next "apt-get install krb5-k5tls";
    "realm-case", "realms are written as Kerberos compares them", needs ["settings"],
        why "MIT Kerberos distinguishes realms by their case, and those of AD and of tenants are in upper case",
        next "write the realm in upper case";
    "krb5-conf", "the Kerberos configuration names the tenant", needs ["realm-case"],
        why "without it the client cannot follow the referral: it does not know the tenant's KDC",
        next "crossrealm client config --format krb5.conf --out /etc/krb5.conf.d/crossrealm.conf; and let `/etc/krb5.conf` begin with the line: includedir /etc/krb5.conf.d";
    "enctypes", "Kerberos may use AES", needs ["krb5-files"],
        why "AD and the tenant encrypt with AES (types 17 and 18); a client that does not accept it gets no ticket",
        next "remove `permitted_enctypes`, `default_tgs_enctypes` and `default_tkt_enctypes` from krb5.conf";
    "proxy-string", "the URL of the KDC proxy is correct", needs ["krb5-conf"],
        why "with a wrong URL the client does not reach the KDC proxy of its tenant",
        next "create the configuration again: `crossrealm client config --format krb5.conf --out …`";
    "http-anchors", "the configured certificate authority is that of the service", needs ["proxy-string", "tls-login"],
        why "the Kerberos library trusts the certificate authority in `http_anchors`, not the one given to this command",
        next "create the configuration again: `crossrealm client config --format krb5.conf --out …` writes the right certificate next to it";
    "kdc-proxy", "the KDC proxy answers at that URL", needs ["proxy-string", "http-anchors"],
        why "the service answers only at the URL of a tenant that exists",
        next "compare the URL with `crossrealm tenant show NAME`, and create the configuration again";
    "realm-mapping", "hosts are mapped to the right realm", needs ["krb5-conf"],
        why "a `[domain_realm]` line takes precedence over the domain controller's referral",
        next "remove the line from `[domain_realm]`, or create the configuration again with `--map-hosts`";
    "dns-dc", "a domain controller is found", needs ["krb5-files"],
        why "a domain controller issues the sign-in ticket and the referral",
        next "use the domain's DNS servers on this computer, or give a domain controller with `--dc HOST`";
    "port-dc-88", "a domain controller answers Kerberos (TCP 88)", needs ["dns-dc"],
        why "a domain controller issues the first ticket",
        next "allow TCP 88 to the domain controller, or sign in from a network that reaches it";
    "port-dc-389", "a domain controller answers LDAP (TCP 389)", needs ["dns-dc"],
        why "set-up, sync and group policy read AD over LDAP",
        next "allow TCP 389 to the domain controller";
    "port-dc-445", "a domain controller answers SMB (TCP 445)", needs ["dns-dc"],
        why "the trust is created by RPC over SMB",
        next "allow TCP 445 to the domain controller";
    "clock-dc", "the clock agrees with the domain controller's", needs ["port-dc-88", "clock-cloud"],
        why "Kerberos refuses tickets where clocks differ by more than five minutes",
        next "set the clocks: `timedatectl set-ntp true` here, `w32tm /resync` on the domain controller";
    "functional-level", "the domain's functional level is sufficient", needs ["port-dc-389"], row "The domain's functional level is Windows Server 2012 or newer; 2008 has AES and suffices here",
        why "AES keys need Windows Server 2008; Microsoft Entra Kerberos requires 2012",
        next "raise the domain functional level";
    "joined", "this computer is joined to the domain", needs [], row "Windows clients are joined to the domain; others need not be",
        why "Windows signs in to the domain only when it is joined; Linux and macOS need not be joined",
        next "`dsregcmd /status` on Windows; `realm join` on Linux, if you want it joined";
    "tgt", "the user is signed in to the domain", needs ["port-dc-88"],
        why "the user proves their identity with the ticket-granting ticket of the on-premises domain",
        next "kinit USER@REALM";
    "tgt-valid", "the sign-in has not expired", needs ["tgt", "clock-cloud", "clock-dc"],
        why "an expired ticket-granting ticket is refused; long sessions let it expire without a warning",
        next "kinit USER@REALM";
    "tgt-etype", "the sign-in uses AES", needs ["tgt", "enctypes"],
        why "only AES is accepted; RC4 and DES are refused everywhere",
        next "remove `permitted_enctypes`, `default_tkt_enctypes` and `allow_weak_crypto` from krb5.conf, reset the user's password, and sign in again";
    "directory", "AD can be read", needs ["tgt-valid", "tgt-etype", "port-dc-389"],
        why "the trust and the user in AD are compared with the tenant's records",
        next "give `--domain-user USER@DOMAIN`, or sign in with `kinit`";
    "tdo", "AD has the trust", needs ["directory", "settings"],
        why "without the trusted domain object the domain controller issues no referrals to the tenant",
        next "crossrealm kerberos-server set --setup-cloud-trust --domain DOMAIN --domain-user ADMINISTRATOR";
    "tdo-etypes", "the trust allows AES", needs ["tdo"],
        why "without AES, referrals are encrypted with RC4, which the tenant refuses (KDC_ERR_ETYPE_NOSUPP)",
        next "crossrealm kerberos-server set --setup-cloud-trust --domain DOMAIN --domain-user ADMINISTRATOR";
    "top-level-names", "the trust covers the hosts", needs ["tdo"],
        why "the domain controller refers clients only for hosts at or below a top-level name of the trust",
        next "crossrealm kerberos-server set --setup-cloud-trust --domain DOMAIN --domain-user ADMINISTRATOR";
    "collisions", "no other trust claims the names", needs ["tdo"],
        why "if two trusts claim a name, AD disables it or refers to the wrong realm",
        next "remove the name from the other trust; each tenant that one AD trusts needs its own domain";
    "spn-shadow", "AD has no service principal name of the share's host", needs ["directory"],
        why "a service principal name in AD takes precedence over the trust: AD issues the ticket itself, and the SMB host cannot decrypt it",
        next "setspn -D SPN ACCOUNT";
    "trust-record", "the tenant has the trust key", needs ["tenant", "dns-dc"],
        why "the tenant decrypts referrals with a trust key that was confirmed to be in AD",
        next "crossrealm kerberos-server set --setup-cloud-trust --domain DOMAIN --domain-user ADMINISTRATOR";
    "trust-keys", "both sides have the same version of the trust key", needs ["trust-record", "tdo"],
        why "with an outdated key every ticket is refused; after such a rotation, users of Microsoft Entra Kerberos wait for a day",
        next "crossrealm kerberos-server set --setup-cloud-trust --domain DOMAIN --domain-user ADMINISTRATOR";
    "sync", "users are synchronized", needs ["tenant", "dns-dc"], row "Users and groups of AD are synchronized to the tenant",
        why "only users that the tenant has get tickets",
        next "crossrealm sync once --domain DOMAIN --domain-user READER";
    "user-synced", "the user is synchronized", needs ["tenant"],
        why "the tenant finds users by the SID from the sync, never by name",
        next "crossrealm sync once --domain DOMAIN --domain-user READER, and check that the user is in the scope of the sync";
    "user-enabled", "the user is enabled", needs ["user-synced"],
        why "disabled and deleted users get no tickets, even while their sign-in is still valid",
        next "enable the user in AD, then: crossrealm sync once";
    "user-sid", "AD and the tenant have the same user", needs ["user-synced"],
        why "a user who was deleted and created again in AD has another SID, and is another user",
        next "crossrealm sync once; if the SIDs differ afterwards, the user was created again and needs new grants";
    "group-count", "the user's groups fit into a ticket", needs ["user-synced"],
        why "a ticket contains at most 1,010 groups, and never only some of the user's groups",
        next "remove the user from groups, then: crossrealm sync once";
    "storage-account", "the storage account and the share exist", needs ["tenant"], row "A storage account in the tenant",
        why "the service issues tickets only for the host names of its storage accounts",
        next "`crossrealm storage-account list` and `crossrealm share list ACCOUNT` list them";
    "role", "the user has a role on the share", needs ["storage-account", "user-enabled", "user-sid"],
        why "without a role, smbd refuses the share, even with a valid ticket",
        next "crossrealm share grant ACCOUNT/SHARE --to USER --role reader";
    "referral", "the domain controller refers to the tenant", needs ["tgt-valid", "tgt-etype", "clock-dc", "tdo", "tdo-etypes", "top-level-names", "collisions", "spn-shadow", "user-enabled"],
        why "the tenant accepts the referral as the proof of the sign-in",
        next "crossrealm kerberos-server get --domain DOMAIN";
    "referral-etype", "the referral is encrypted with AES", needs ["referral"],
        why "only AES is accepted",
        next "crossrealm kerberos-server set --setup-cloud-trust --domain DOMAIN --domain-user ADMINISTRATOR";
    "service-ticket", "the tenant issues the ticket", needs ["referral", "referral-etype", "kdc-proxy", "http-anchors", "realm-mapping", "client-system", "service-health", "trust-record", "trust-keys", "user-enabled", "user-sid", "group-count", "storage-account"],
        why "the user opens the share with this ticket; a refusal has a reason",
        next "`crossrealm events --user USER` shows the refused request";
    "ticket-kvno", "the ticket is encrypted with the account's active key", needs ["service-ticket"],
        why "the SMB host may not have another version of the key",
        next "`crossrealm storage-account show ACCOUNT` shows the versions; try again in a few seconds";
    "keytab", "the keytab decrypts the ticket", needs ["service-ticket"],
        why "a keytab from before a key rotation decrypts no new ticket (KRB_AP_ERR_MODIFIED)",
        next "export it again: `crossrealm storage-account keytab ACCOUNT --out FILE`, or `service-principal keytab SPN --out FILE`";
    "dns-share", "the name of the SMB host resolves", needs ["storage-account"],
        why "the workstation connects to the SMB host by this name",
        next "add the name to DNS (or to `/etc/hosts`) with the address of the SMB host";
    "port-share", "the SMB host answers (TCP 445)", needs ["dns-share"],
        why "many providers block TCP 445, which SMB needs",
        next "check that `crossrealm files serve` runs and that firewalls allow TCP 445";
    "host-health", "the SMB hosts of the account report no problem", needs ["storage-account", "port-share"],
        why "an SMB host reports to the service what prevents it from serving, or from applying new keys and roles",
        next "`crossrealm storage-account hosts ACCOUNT` shows the reports; read the log of `crossrealm files serve` on that host";
    "host-keytab", "the SMB hosts have the key of the ticket", needs ["service-ticket", "host-health"],
        why "an SMB host without the account's newest key cannot decrypt the ticket",
        next "check that the SMB host reaches the service; restart `crossrealm files serve` there";
    "smb-session", "the SMB host accepts the ticket", needs ["service-ticket", "port-share", "keytab", "host-keytab"],
        why "smbd decrypts the ticket with its keytab; if it cannot, its keys are outdated or of another account",
        next "read the log of `crossrealm files serve`, and restart it";
    "smb-share", "the share opens", needs ["smb-session", "role"],
        why "the roles become the share's permissions",
        next "`crossrealm share access ACCOUNT/SHARE --user USER` shows the role; the SMB host applies a change within seconds";
    "file-acl", "the root directory of the share opens", needs ["smb-share"],
        why "the files' own permissions restrict the role further",
        next "on the SMB host, as root: crossrealm share access ACCOUNT/SHARE --user USER --path /";
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn a_check_comes_after_those_it_needs() {
        let mut seen = HashSet::new();
        for check in CHECKS {
            for need in check.needs {
                assert!(
                    seen.contains(need),
                    "`{}` needs `{need}`, which does not come before it",
                    check.id
                );
            }
            assert!(seen.insert(check.id), "`{}` is listed twice", check.id);
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
            page += &format!("\n**If it fails:** {}\n", check.next);
        }
        page
    }

    #[test]
    fn the_page_lists_every_check() {
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
