//! The probes: each looks at one thing and adds what it learned to the [`Patient`].

mod cloud;
mod directory;
mod records;
mod share;
mod tickets;
mod workstation;

use super::engine::{Finding, failed};
use super::patient::Patient;

/// Gives the value, or ends the probe as skipped with this reason.
macro_rules! need {
    ($value:expr, $why:expr) => {
        match $value {
            Some(value) => value,
            None => return $crate::doctor::engine::skipped($why),
        }
    };
}
use need;

/// Why something about the tenant's records was not looked at.
const NO_RECORDS: &str =
    "the tenant's records are not known; give a token with `--token-file FILE`";
/// Why something about the share was not looked at.
const NO_SHARE: &str = "no share was named; give `--share ACCOUNT/SHARE`";
/// Why something about the user was not looked at.
const NO_USER: &str = "no user is known; give `--user UPN`, or sign in with `kinit`";

/// Runs the probe of a check.
pub async fn run(id: &str, patient: &mut Patient<'_>) -> Finding {
    match id {
        "settings" => cloud::settings(patient),
        "stray-proxy" => cloud::stray_proxy(patient),
        "dns-login" => cloud::dns_login(patient).await,
        "port-login" => cloud::port_login(patient).await,
        "tls-login" => cloud::tls_login(patient).await,
        "clock-cloud" => cloud::clock_cloud(patient).await,
        "service-health" => cloud::service_health(patient).await,
        "api-token" => cloud::api_token(patient).await,
        "tenant" => cloud::tenant(patient).await,
        "client-system" => workstation::client_system(patient),
        "krb5-conf" => workstation::krb5_conf(patient),
        "proxy-string" => workstation::proxy_string(patient),
        "http-anchors" => workstation::http_anchors(patient).await,
        "kdc-proxy" => workstation::kdc_proxy(patient).await,
        "realm-mapping" => workstation::realm_mapping(patient),
        "dns-dc" => directory::dns_dc(patient).await,
        "port-dc-88" => directory::port_dc(patient, 88).await,
        "port-dc-389" => directory::port_dc(patient, 389).await,
        "port-dc-445" => directory::port_dc(patient, 445).await,
        "clock-dc" => directory::clock_dc(patient).await,
        "functional-level" => directory::functional_level(patient).await,
        "joined" => workstation::joined(patient),
        "tgt" => tickets::tgt(patient).await,
        "tgt-valid" => tickets::tgt_valid(patient),
        "tgt-etype" => tickets::tgt_etype(patient),
        "directory" => directory::directory(patient).await,
        "tdo" => directory::tdo(patient).await,
        "tdo-etypes" => directory::tdo_etypes(patient),
        "top-level-names" => directory::top_level_names(patient),
        "collisions" => directory::collisions(patient),
        "spn-shadow" => directory::spn_shadow(patient).await,
        "trust-record" => records::trust_record(patient).await,
        "trust-keys" => records::trust_keys(patient).await,
        "sync" => records::sync(patient).await,
        "user-synced" => records::user_synced(patient).await,
        "user-enabled" => records::user_enabled(patient),
        "user-sid" => records::user_sid(patient).await,
        "group-count" => records::group_count(patient),
        "storage-account" => records::storage_account(patient).await,
        "role" => records::role(patient).await,
        "referral" => tickets::referral(patient).await,
        "referral-etype" => tickets::referral_etype(patient),
        "service-ticket" => tickets::service_ticket(patient).await,
        "ticket-kvno" => tickets::ticket_kvno(patient),
        "keytab" => tickets::keytab(patient),
        "dns-share" => share::dns_share(patient).await,
        "port-share" => share::port_share(patient).await,
        "host-health" => records::host_health(patient).await,
        "host-keytab" => records::host_keytab(patient),
        "smb-session" => share::smb_session(patient).await,
        "smb-share" => share::smb_share(patient),
        "file-acl" => share::file_acl(patient),
        // The list and this table are compared by a test.
        other => failed(format!("there is no probe for `{other}`")),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_check_has_its_probe() {
        let table = include_str!("mod.rs");
        for check in super::super::list::CHECKS {
            let line = format!("\"{}\" => ", check.id);
            assert_eq!(table.matches(&line).count(), 1, "`{}`", check.id);
        }
    }
}
