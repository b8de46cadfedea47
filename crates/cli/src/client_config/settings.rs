//! The settings of a Windows workstation for a tenant: registry values below `HKEY_LOCAL_MACHINE`, as the policies of
//! `Kerberos.admx` set them.
//!
//! All of them are under the `Policies` path, which takes precedence over `SYSTEM\CurrentControlSet\Control\Lsa\Kerberos`.

use super::{CheckedConfig, mapped_hosts};
use crate::failure::Failure;
use crossrealm_types::registry_pol::{RegistryText, Setting, SettingData};

/// The key of the Kerberos policies.
const KERBEROS: &str = r"Software\Microsoft\Windows\CurrentVersion\Policies\System\Kerberos";
/// What differs from the default.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ClientOptions {
    /// Map every host of the tenant to its realm, not only those that no referral finds.
    pub map_hosts: bool,
    /// Do not check whether the KDC proxy's certificate was revoked: for a private CA without a revocation list.
    pub no_revocation_check: bool,
}

/// The settings, in the order in which they are written.
///
/// # Errors
/// An address or name that the registry cannot hold.
pub(crate) fn settings(
    config: &CheckedConfig,
    options: ClientOptions,
) -> Result<Vec<Setting>, Failure> {
    let realm = text(&config.tenant.realm)?;
    let mut all = vec![
        dword("", "KdcProxyServer_Enabled", 1)?,
        Setting {
            key: key(r"\KdcProxy\ProxyServers")?,
            name: realm.clone(),
            data: SettingData::Text(text(&proxy_value(&config.kdc_proxy_url)?)?),
        },
        dword(r"\Parameters", "CloudKerberosTicketRetrievalEnabled", 1)?,
    ];
    let hosts = mapped_hosts(config, options.map_hosts);
    if !hosts.is_empty() {
        all.push(dword("", "domain_realm_Enabled", 1)?);
        all.push(Setting {
            key: key(r"\domain_realm")?,
            name: realm,
            data: SettingData::Text(text(&hosts.join("; "))?),
        });
    }
    if options.no_revocation_check {
        all.push(dword(r"\Parameters", "NoRevocationCheck", 1)?);
    }
    Ok(all)
}

fn dword(below: &str, name: &str, value: u32) -> Result<Setting, Failure> {
    Ok(Setting {
        key: key(below)?,
        name: text(name)?,
        data: SettingData::Dword(value),
    })
}

/// A key below that of the Kerberos policies.
fn key(below: &str) -> Result<RegistryText, Failure> {
    text(&format!("{KERBEROS}{below}"))
}

/// `https://host:443/path` in Windows' form: `<https host:443:path />`, with the space before `/>`; without it Windows
/// fails with 0x2ee5.
pub(crate) fn proxy_value(url: &str) -> Result<String, Failure> {
    let bad = || Failure::new(format!("invalid address of the KDC proxy: {url:?}"));
    let rest = url.strip_prefix("https://").ok_or_else(bad)?;
    let (authority, path) = rest.split_once('/').ok_or_else(bad)?;
    let (host, port) = authority.split_once(':').unwrap_or((authority, "443"));
    let is_host = !host.is_empty()
        && host
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-.".contains(&b));
    let is_path = !path.is_empty()
        && path
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-._/".contains(&b));
    if !is_host || !is_path || port.parse::<u16>().is_err() {
        return Err(bad());
    }
    Ok(format!("<https {host}:{port}:{path} />"))
}

fn text(text: &str) -> Result<RegistryText, Failure> {
    RegistryText::try_from(text.to_owned()).map_err(|unfit| Failure::new(unfit.to_string()))
}

#[cfg(test)]
mod tests {
    use super::super::tests::{checked, config, offered};
    use super::*;

    #[test]
    fn the_proxy_value_has_a_space_before_its_end() {
        assert_eq!(
            proxy_value("https://login.cloud.example:443/x/kerberos").unwrap(),
            "<https login.cloud.example:443:x/kerberos />"
        );
        assert_eq!(
            proxy_value("https://login.cloud.example/x/kerberos").unwrap(),
            "<https login.cloud.example:443:x/kerberos />"
        );
        for bad in [
            "http://a/b",
            "https://a",
            "https://a:x/b",
            "https://a/b\" />",
            "https:///b",
            "https://a/",
        ] {
            assert!(proxy_value(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn revocation_is_checked_by_default() {
        let has = |options| {
            let all = settings(&config(), options).unwrap();
            all.iter()
                .any(|setting| setting.name.as_str() == "NoRevocationCheck")
        };
        assert!(!has(ClientOptions::default()));
        assert!(has(ClientOptions {
            no_revocation_check: true,
            ..ClientOptions::default()
        }));
    }

    #[test]
    fn no_host_is_mapped_where_referrals_cover_all() {
        let mut config = offered();
        config.hosts.pop();
        let all = settings(&checked(config.clone()), ClientOptions::default()).unwrap();
        assert_eq!(all.len(), 3);
        config.tenant.realm = "A\nB.example".into();
        assert!(settings(&checked(config), ClientOptions::default()).is_err());
    }
}
