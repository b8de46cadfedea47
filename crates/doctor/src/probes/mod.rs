//! The probes: each observes one thing and adds what it learned to the [`Facts`].

mod clock;
mod cloud;
mod directory;
mod records;
mod share;
mod tickets;
mod workstation;

use crate::facts::Facts;
use crate::finding::{Finding, failed};

/// Runs the probe of a check.
pub(crate) async fn run(id: &str, facts: &mut Facts) -> Finding {
    match id {
        "krb5-files" => workstation::krb5_files(facts),
        "settings" => cloud::settings(facts),
        "dns-login" => cloud::dns_login(facts).await,
        "port-login" => cloud::port_login(facts).await,
        "tls-login" => cloud::tls_login(facts).await,
        "stray-proxy" => cloud::stray_proxy(facts),
        "clock-cloud" => cloud::clock_cloud(facts).await,
        "service-health" => cloud::service_health(facts).await,
        "api-token" => cloud::api_token(facts).await,
        "tenant" => cloud::tenant(facts).await,
        "client-system" => workstation::client_system(facts),
        "realm-case" => workstation::realm_case(facts),
        "krb5-conf" => workstation::krb5_conf(facts),
        "enctypes" => workstation::enctypes(facts),
        "proxy-string" => workstation::proxy_string(facts),
        "http-anchors" => workstation::http_anchors(facts).await,
        "kdc-proxy" => workstation::kdc_proxy(facts).await,
        "realm-mapping" => workstation::realm_mapping(facts),
        "dns-dc" => directory::dns_dc(facts).await,
        "port-dc-88" => directory::port_dc(facts, 88).await,
        "port-dc-389" => directory::port_dc(facts, 389).await,
        "port-dc-445" => directory::port_dc(facts, 445).await,
        "clock-dc" => directory::clock_dc(facts).await,
        "functional-level" => directory::functional_level(facts).await,
        "joined" => workstation::joined(facts),
        "tgt" => tickets::tgt(facts).await,
        "tgt-valid" => tickets::tgt_valid(facts),
        "tgt-etype" => tickets::tgt_etype(facts),
        "directory" => directory::directory(facts).await,
        "tdo" => directory::tdo(facts).await,
        "tdo-etypes" => directory::tdo_etypes(facts),
        "top-level-names" => directory::top_level_names(facts),
        "collisions" => directory::collisions(facts),
        "spn-shadow" => directory::spn_shadow(facts).await,
        "trust-record" => records::trust_record(facts).await,
        "trust-keys" => records::trust_keys(facts).await,
        "sync" => records::sync(facts).await,
        "user-synced" => records::user_synced(facts).await,
        "user-enabled" => records::user_enabled(facts).await,
        "user-sid" => records::user_sid(facts).await,
        "group-count" => records::group_count(facts),
        "storage-account" => records::storage_account(facts).await,
        "role" => records::role(facts).await,
        "referral" => tickets::referral(facts).await,
        "referral-etype" => tickets::referral_etype(facts),
        "service-ticket" => tickets::service_ticket(facts).await,
        "ticket-kvno" => tickets::ticket_kvno(facts),
        "keytab" => tickets::keytab(facts),
        "dns-share" => share::dns_share(facts).await,
        "port-share" => share::port_share(facts).await,
        "host-health" => records::host_health(facts).await,
        "host-keytab" => records::host_keytab(facts),
        "smb-session" => share::smb_session(facts).await,
        "smb-share" => share::smb_share(facts),
        "file-acl" => share::file_acl(facts),
        // A test compares this table with the list of checks.
        other => failed(format!("`{other}` has no probe")),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_check_has_one_probe() {
        let table = include_str!("mod.rs");
        for check in crate::checks::CHECKS {
            let line = format!("\"{}\" => ", check.id);
            assert_eq!(table.matches(&line).count(), 1, "`{}`", check.id);
        }
    }
}
