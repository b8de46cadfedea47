//! What krb5.conf says about credential caches: the default cache's name, and where the daemon of KCM listens.
//!
//! `default_ccache_name` may hold parameters such as `%{uid}` (MIT krb5, `krb5.conf(5)`, "Parameter expansion"). Those that only
//! the C library can answer (`%{username}`) or that name where MIT was installed are refused by name, since a wrong guess would
//! read another cache than `kinit` writes.

use super::{CacheError, kcm};
use crate::krb5_conf::Krb5Conf;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;

/// The user ids of this process.
pub(super) struct UserIds {
    pub(super) real: u32,
    effective: u32,
}

/// Reads them from `/proc`; asking the C library would need unsafe code.
pub(super) fn user_ids() -> UserIds {
    let effective = std::fs::metadata("/proc/self").map_or(0, |own| own.uid());
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let real = status
        .lines()
        .find_map(|line| line.strip_prefix("Uid:")?.split_whitespace().next())
        .and_then(|uid| uid.parse().ok());
    UserIds {
        real: real.unwrap_or(effective),
        effective,
    }
}

/// The name of the default cache, if krb5.conf says one.
pub(super) fn cache_name(conf: &Krb5Conf) -> Result<Option<String>, CacheError> {
    let Some(value) = conf.first(&["libdefaults", "default_ccache_name"]) else {
        return Ok(None);
    };
    expand(&value.value)
        .map(Some)
        .map_err(|parameter| CacheError::Parameter {
            place: value.place.clone(),
            parameter,
        })
}

/// Where the daemon of KCM listens.
pub(super) fn kcm_socket(conf: &Krb5Conf) -> PathBuf {
    conf.first(&["libdefaults", "kcm_socket"])
        .map_or(kcm::SOCKET, |value| value.value.as_str())
        .into()
}

/// Replaces the parameters of a name; the error is the first one that is not known.
fn expand(text: &str) -> Result<String, String> {
    let mut expanded = String::new();
    let mut rest = text;
    while let Some((before, from)) = rest.split_once("%{") {
        let (name, behind) = from.split_once('}').ok_or_else(|| format!("%{{{from}"))?;
        expanded.push_str(before);
        expanded.push_str(&parameter(name).ok_or_else(|| format!("%{{{name}}}"))?);
        rest = behind;
    }
    expanded.push_str(rest);
    Ok(expanded)
}

fn parameter(name: &str) -> Option<String> {
    match name {
        "uid" | "USERID" => Some(user_ids().real.to_string()),
        "euid" => Some(user_ids().effective.to_string()),
        "TEMP" => Some(std::env::var("TMPDIR").unwrap_or_else(|_| "/tmp".to_owned())),
        "null" => Some(String::new()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn conf(text: &str) -> Krb5Conf {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("krb5.conf");
        std::fs::write(&file, text).unwrap();
        Krb5Conf::read_files(&[file])
    }

    /// F8: the cache that krb5.conf names is the one that `kinit` writes.
    #[test]
    fn f8_the_default_cache_of_krb5_conf() {
        let named = |line: &str| cache_name(&conf(&format!("[libdefaults]\n {line}\n")));
        let uid = user_ids().real;
        for (value, expanded) in [
            (
                "KEYRING:persistent:%{uid}",
                format!("KEYRING:persistent:{uid}"),
            ),
            (
                "DIR:/run/user/%{USERID}/krb5cc",
                format!("DIR:/run/user/{uid}/krb5cc"),
            ),
            (
                "%{null}/x/%{euid}%{null}",
                format!("/x/{}", user_ids().effective),
            ),
            ("FILE:/x/100%", "FILE:/x/100%".to_owned()),
        ] {
            let name = named(&format!("default_ccache_name = {value}")).unwrap();
            assert_eq!(name, Some(expanded));
        }
        assert_eq!(named("default_realm = CORP.CONTOSO.COM").unwrap(), None);
        for (value, wrong) in [("/x/%{username}", "%{username}"), ("/x/%{uid", "%{uid")] {
            let refused = named(&format!("default_ccache_name = {value}")).unwrap_err();
            let shown = refused.to_string();
            assert!(
                shown.contains(wrong) && shown.contains("krb5.conf` line 2"),
                "{shown}"
            );
            assert!(refused.hint().contains("klist"));
        }
    }

    #[test]
    fn f8_the_socket_of_kcm() {
        let named = conf("[libdefaults]\n kcm_socket = /run/own.socket\n");
        assert_eq!(kcm_socket(&named), PathBuf::from("/run/own.socket"));
        assert_eq!(kcm_socket(&Krb5Conf::default()), PathBuf::from(kcm::SOCKET));
    }
}
