//! `krb5.conf` for MIT Kerberos on Linux and macOS.
//!
//! The file works alone (`KRB5_CONFIG`) and as a drop-in of `/etc/krb5.conf.d`. It maps no host that a referral of
//! the domain controller leads to, unless asked to.

use super::{CheckedConfig, mapped_hosts};
use crate::failure::Failure;
use std::collections::BTreeMap;
use std::path::Path;

/// How the domain controllers of the AD realms are found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum KdcOf {
    /// By DNS SRV records.
    Dns,
    /// This host, by name or address.
    Host(String),
}

/// A part of the first line of every file written here.
const MARK: &str = "written by `crossrealm client config`";

/// Whether a file was written here, so that it may be deleted.
pub(crate) fn is_ours(text: &str) -> bool {
    text.lines().next().is_some_and(|line| line.contains(MARK))
}

/// The configuration; `anchor` is the absolute path of the private CA, where there is one.
///
/// # Errors
/// A name or path that would break the syntax of the file.
pub(crate) fn render(
    config: &CheckedConfig,
    kdc: &KdcOf,
    map_hosts: bool,
    anchor: Option<&Path>,
) -> Result<String, Failure> {
    let realm = word(&config.tenant.realm)?;
    let mut text = format!(
        "# Kerberos for `{}`: {MARK}.\n\n[libdefaults]\n",
        word(&config.tenant.name)?
    );
    if let [only] = config.ad_realms.as_slice() {
        text += &format!("    default_realm = {}\n", word(&only.realm)?);
    }
    if *kdc == KdcOf::Dns {
        text += "    dns_lookup_kdc = true\n";
    }
    text +=
        "    dns_lookup_realm = false\n    dns_canonicalize_hostname = false\n    rdns = false\n";
    text += "\n[realms]\n";
    for ad in &config.ad_realms {
        text += &format!("    {} = {{\n", word(&ad.realm)?);
        if let KdcOf::Host(host) = kdc {
            text += &format!("        kdc = {}\n", word(host)?);
        }
        text += "    }\n";
    }
    text += &format!(
        "    {realm} = {{\n        kdc = {}\n",
        word(&config.kdc_proxy_url)?
    );
    if let Some(path) = anchor {
        text += &format!("        http_anchors = FILE:{}\n", line(path)?);
    }
    text += "    }\n";
    let mappings = mappings(config, map_hosts);
    if !mappings.is_empty() {
        text += "\n[domain_realm]\n";
        for (name, realm) in mappings {
            text += &format!("    {} = {}\n", word(&name)?, word(realm)?);
        }
    }
    Ok(text)
}

/// AD's own names, so that they need no lookup; the tenant's where that is wanted. AD's take precedence.
fn mappings(config: &CheckedConfig, map_hosts: bool) -> BTreeMap<String, &str> {
    let realm = config.tenant.realm.as_str();
    let hosts = mapped_hosts(config, map_hosts);
    let mut all: BTreeMap<_, _> = hosts.into_iter().map(|name| (name, realm)).collect();
    for ad in &config.ad_realms {
        all.insert(ad.dns_name.clone(), ad.realm.as_str());
        all.insert(format!(".{}", ad.dns_name), ad.realm.as_str());
    }
    all
}

/// `text` if it is one word of printable ASCII without a character that has a meaning in the file.
fn word(text: &str) -> Result<&str, Failure> {
    let plain = |b: u8| b.is_ascii_graphic() && !b"{}[]=#;\"".contains(&b);
    match !text.is_empty() && text.bytes().all(plain) {
        true => Ok(text),
        false => Err(Failure::new(format!(
            "{text:?} is not valid in a krb5.conf"
        ))),
    }
}

/// A path without control characters.
fn line(path: &Path) -> Result<&str, Failure> {
    let text = path
        .to_str()
        .filter(|text| !text.contains(char::is_control));
    text.ok_or_else(|| Failure::new(format!("the path {path:?} is not valid in a krb5.conf")))
}

#[cfg(test)]
mod tests {
    use super::super::tests::{checked, config, offered};
    use super::*;
    use crossrealm_api::AdRealm;

    #[test]
    fn the_file_is_as_committed() {
        let anchor = Path::new("/etc/krb5.conf.d/crossrealm.ca.pem");
        let kdc = KdcOf::Host("10.77.1.1".into());
        let text = render(&config(), &kdc, false, Some(anchor)).unwrap();
        let expected = include_str!("../../tests/client_config/krb5.conf");
        assert!(is_ours(&text) && !is_ours("[libdefaults]"));
        assert!(
            text == expected,
            "tests/client_config/krb5.conf differs from:\n{text}"
        );
    }

    #[test]
    fn controllers_are_found_by_dns_and_hosts_are_mapped_on_request() {
        let text = render(&config(), &KdcOf::Dns, true, None).unwrap();
        assert_eq!(text.matches("  kdc = ").count(), 1);
        assert!(text.contains("dns_lookup_kdc = true"));
        assert!(!text.contains("http_anchors"));
        for name in [".contoso.cloud.example", "files.contoso.com"] {
            let line = format!("    {name} = KERBEROS.CONTOSO.CLOUD.EXAMPLE\n");
            assert!(text.contains(&line), "{text}");
        }
    }

    #[test]
    fn several_ad_realms_set_no_default_realm() {
        let mut config = offered();
        config.ad_realms.push(AdRealm {
            realm: "OTHER.CONTOSO.COM".into(),
            dns_name: "other.contoso.com".into(),
            ..config.ad_realms[0].clone()
        });
        let text = render(&checked(config), &KdcOf::Dns, false, None).unwrap();
        assert!(!text.contains("default_realm") && text.contains("OTHER.CONTOSO.COM = {"));
    }

    #[test]
    fn names_that_break_the_syntax_are_refused() {
        let mut broken = offered();
        broken.kdc_proxy_url = "https://x/\n}\n[libdefaults]".into();
        assert!(render(&checked(broken), &KdcOf::Dns, false, None).is_err());
        let config = config();
        let kdc = KdcOf::Host("dc1 }".into());
        assert!(render(&config, &kdc, false, None).is_err());
        let path = Path::new("/etc/a\nb");
        assert!(render(&config, &KdcOf::Dns, false, Some(path)).is_err());
    }
}
