//! Lists of encryption types in krb5.conf, as MIT's library reads them.

use crossrealm_onprem::krb5_conf::{Krb5Conf, Value};

/// The settings that restrict the encryption types of tickets and session keys.
const SETTINGS: [&str; 3] = [
    "permitted_enctypes",
    "default_tgs_enctypes",
    "default_tkt_enctypes",
];

/// The first setting that leaves no AES type that both AD and a tenant have: 17 and 18.
pub(crate) fn without_aes(conf: &Krb5Conf) -> Option<(&'static str, &Value)> {
    SETTINGS.iter().find_map(|name| {
        let value = conf.first(&["libdefaults", name])?;
        (!includes_aes(&value.value)).then_some((*name, value))
    })
}

/// Whether a list includes encryption type 17 or 18. Each entry adds its types, or with a `-` removes them; an unknown one counts
/// for nothing.
fn includes_aes(list: &str) -> bool {
    let (mut aes128, mut aes256) = (false, false);
    for entry in list.split([' ', '\t', ',']) {
        let entry = entry.to_ascii_lowercase();
        let (name, adds) = match entry.strip_prefix('-') {
            Some(name) => (name, false),
            None => (entry.strip_prefix('+').unwrap_or(&entry), true),
        };
        match name {
            "default" | "aes" => (aes128, aes256) = (adds, adds),
            "aes128-cts-hmac-sha1-96" | "aes128-cts" | "aes128-sha1" => aes128 = adds,
            "aes256-cts-hmac-sha1-96" | "aes256-cts" | "aes256-sha1" => aes256 = adds,
            _ => {}
        }
    }
    aes128 || aes256
}

#[cfg(test)]
mod tests {
    use super::*;

    /// F13.
    #[test]
    fn f13_a_list_without_the_aes_types_of_ad_is_found() {
        for good in [
            "DEFAULT",
            "aes",
            "rc4-hmac aes256-cts",
            "AES128-CTS-HMAC-SHA1-96,arcfour-hmac",
            "aes -aes256-cts",
            "DEFAULT -rc4",
        ] {
            assert!(includes_aes(good), "{good}");
        }
        for bad in [
            "rc4-hmac",
            "arcfour-hmac-md5 des3",
            "DEFAULT -aes",
            "aes256-sha2",
            "aes256-cts -aes256-sha1",
            "nonsense",
        ] {
            assert!(!includes_aes(bad), "{bad}");
        }
    }
}
