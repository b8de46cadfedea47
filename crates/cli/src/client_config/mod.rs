//! Configuration of clients: pure text and bytes from the service's description of a tenant. One module for each format.
//!
//! Windows has one set of settings ([`settings`]) in three formats: a `.reg` file ([`reg`]), Intune's JSON ([`intune`]), and a
//! policy folder with `Registry.pol` ([`preg`]). Every format has its reverse.

pub(crate) mod intune;
pub(crate) mod krb5;
pub(crate) mod preg;
pub(crate) mod reg;
pub(crate) mod settings;

use crossrealm_api::ClientConfig;
use crossrealm_onprem::trust::is_at_or_below;

/// The host names and, with a leading dot, the suffixes that clients map to the tenant's realm, sorted.
///
/// A domain controller refers clients for every name at or below a top-level name, so that these need no mapping unless
/// `all` asks for it. Any other host, such as an alias in a domain of the organization's own, is found by its mapping only.
pub(crate) fn mapped_hosts(config: &ClientConfig, all: bool) -> Vec<String> {
    let suffixes = &config.tenant.top_level_names;
    let mut names: Vec<String> = config
        .hosts
        .iter()
        .filter(|host| all || !suffixes.iter().any(|suffix| is_at_or_below(host, suffix)))
        .cloned()
        .collect();
    if all {
        names.extend(suffixes.iter().map(|suffix| format!(".{suffix}")));
    }
    names.sort();
    names.dedup();
    names
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crossrealm_api::{AdRealm, Tenant};
    use serde_json::json;

    /// A tenant with one AD realm, one share host below its top-level name and one alias elsewhere.
    pub(crate) fn config() -> ClientConfig {
        let tenant: Tenant = serde_json::from_value(json!({
            "id": "0f8fad5b-d9cb-469f-a165-70867728950e",
            "name": "contoso",
            "domain": "contoso.cloud.example",
            "realm": "KERBEROS.CONTOSO.CLOUD.EXAMPLE",
            "flat_name": "CONTOSO-KRB",
            "sid": "S-1-5-21-1-2-3",
            "top_level_names": ["contoso.cloud.example"],
            "kdc_proxy_url": "https://login.cloud.example:443/0f8fad5b-d9cb-469f-a165-70867728950e/kerberos",
            "created_at": 0,
        }))
        .unwrap();
        ClientConfig {
            kdc_proxy_url: tenant.kdc_proxy_url.clone(),
            tenant,
            ca_pem: None,
            ad_realms: vec![AdRealm {
                realm: "CORP.CONTOSO.COM".into(),
                dns_name: "corp.contoso.com".into(),
                flat_name: "CORP".into(),
                sid: "S-1-5-21-4-5-6".into(),
            }],
            hosts: vec![
                "acct1.file.contoso.cloud.example".into(),
                "files.contoso.com".into(),
            ],
        }
    }

    #[test]
    fn only_hosts_without_a_referral_are_mapped_by_default() {
        assert_eq!(mapped_hosts(&config(), false), ["files.contoso.com"]);
        let all = [
            ".contoso.cloud.example",
            "acct1.file.contoso.cloud.example",
            "files.contoso.com",
        ];
        assert_eq!(mapped_hosts(&config(), true), all);
    }
}
