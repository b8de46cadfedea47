//! Configuration of clients: pure text and bytes from the service's description of a tenant. One module for each format.
//!
//! Windows has one set of settings ([`settings`]) in three formats: a `.reg` file ([`reg`]), Intune's JSON ([`intune`]), and a
//! policy folder with `Registry.pol` ([`preg`]). Every format has its reverse.

pub(crate) mod intune;
pub(crate) mod krb5;
pub(crate) mod preg;
pub(crate) mod reg;
pub(crate) mod settings;
pub(crate) mod system;

use crate::failure::Failure;
use crate::terminal::say;
use crossrealm_api::ClientConfig;
use crossrealm_onprem::trust::{AdNames, MappingRefusal, is_at_or_below};
use std::ops::Deref;

/// The service's description of a tenant, without the names that AD answers for. Every format is made from this one.
#[derive(Debug)]
pub(crate) struct CheckedConfig(ClientConfig);

impl CheckedConfig {
    /// Leaves out the hosts and suffixes that no computer may map to the tenant's realm, and returns why. AD's names are
    /// those in `ad`, and the domains that the service itself names.
    ///
    /// # Errors
    /// A realm of the tenant that is AD's.
    pub(crate) fn new(
        mut config: ClientConfig,
        mut ad: AdNames,
    ) -> Result<(Self, Vec<MappingRefusal>), Failure> {
        ad.domains
            .extend(config.ad_realms.iter().map(|ad| ad.dns_name.clone()));
        // Its KDC is set to the service, so that it must not be one of AD's.
        if let Some(refusal) = ad.refusal(&config.tenant.realm.to_ascii_lowercase()) {
            return Err(Failure::new(format!(
                "the tenant's realm `{}` must not be configured: {refusal}",
                config.tenant.realm
            )));
        }
        let mut refused = Vec::new();
        for names in [&mut config.hosts, &mut config.tenant.top_level_names] {
            names.retain(|name| {
                let refusal = ad.refusal(name);
                let keep = refusal.is_none();
                refused.extend(refusal);
                keep
            });
        }
        Ok((Self(config), refused))
    }
}

impl Deref for CheckedConfig {
    type Target = ClientConfig;

    fn deref(&self) -> &ClientConfig {
        &self.0
    }
}

/// Notes what Windows needs beside its settings where the service has a private CA.
pub(crate) fn private_ca_notes(config: &CheckedConfig, no_revocation_check: bool) {
    if config.ca_pem.is_none() {
        return;
    }
    say!(
        "note: the service has a private CA: add it to the computers' trusted root certificates (`certutil -addstore Root ca.pem`)"
    );
    if !no_revocation_check {
        say!(
            "note: Windows refuses a KDC proxy whose CA has no revocation list, unless configured with `--no-revocation-check`"
        );
    }
}

/// What is not mapped, and why: what the service left out, and what these tools refused.
pub(crate) fn warn_of_unmapped(config: &CheckedConfig, refused: &[MappingRefusal]) {
    let of_service = config.unmapped_hosts.iter().map(|host| &host.message);
    for message in of_service
        .cloned()
        .chain(refused.iter().map(ToString::to_string))
    {
        say!("warning: a name is not mapped to the tenant's realm: {message}");
    }
}

/// The host names and, with a leading dot, the suffixes that clients map to the tenant's realm, sorted.
///
/// A domain controller refers clients for every name at or below a top-level name, so that these need no mapping unless
/// `all` asks for it. Any other host, such as an alias in a domain of the organization's own, is found by its mapping only.
pub(crate) fn mapped_hosts(config: &CheckedConfig, all: bool) -> Vec<String> {
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

    /// The checked configuration of [`offered`].
    pub(crate) fn config() -> CheckedConfig {
        checked(offered())
    }

    pub(crate) fn checked(config: ClientConfig) -> CheckedConfig {
        CheckedConfig::new(config, AdNames::default()).unwrap().0
    }

    /// A tenant with one AD realm, one share host below its top-level name and one alias elsewhere.
    pub(crate) fn offered() -> ClientConfig {
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
                sid: "S-1-5-21-4-5-6".parse().unwrap(),
            }],
            hosts: vec![
                "acct1.file.contoso.cloud.example".into(),
                "files.contoso.com".into(),
            ],
            unmapped_hosts: vec![],
        }
    }

    /// S1: a service that offers names of AD does not get them mapped, neither by itself nor by a suffix.
    #[test]
    fn names_of_ad_are_not_mapped_whatever_the_service_says() {
        let bad = [
            "dc1.corp.contoso.com",
            "corp.contoso.com",
            "contoso.com",
            "dc1",
        ];
        let mut config = offered();
        config.hosts.extend(bad.map(str::to_owned));
        config.tenant.top_level_names.push("contoso.com".into());
        let (kept, refused) = CheckedConfig::new(config, AdNames::default()).unwrap();
        assert_eq!(refused.len(), bad.len() + 1);
        assert_eq!(
            mapped_hosts(&kept, true),
            mapped_hosts(&self::config(), true)
        );
        // Another domain of the forest, which only AD names.
        let ad = AdNames {
            domains: vec!["contoso.com".into()],
            ..AdNames::default()
        };
        let (kept, _) = CheckedConfig::new(offered(), ad).unwrap();
        assert_eq!(mapped_hosts(&kept, false), [""; 0]);
        let mut config = offered();
        config.tenant.realm = "CORP.CONTOSO.COM".into();
        let error = CheckedConfig::new(config, AdNames::default()).unwrap_err();
        assert!(error.to_string().contains("`CORP.CONTOSO.COM`"), "{error}");
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
