//! The Kerberos configuration of this machine: `/etc/krb5.conf`, and the directory of drop-ins that it includes.
//!
//! MIT's library reads a directory where `includedir` names it (krb5.conf(5)). Of several values it takes the first, so that the
//! line stands at the top.

use crate::failure::Failure;
use std::path::Path;

/// The system's configuration.
pub(crate) const CONFIG: &str = "/etc/krb5.conf";
/// The directory of drop-ins.
pub(crate) const DROP_INS: &str = "/etc/krb5.conf.d";

/// Creates the directory of drop-ins where it is missing: the library fails at an `includedir` of a directory that is not there.
pub(crate) fn make_drop_ins() -> Result<(), Failure> {
    std::fs::create_dir_all(DROP_INS).map_err(|error| {
        Failure::new(format!("cannot create `{DROP_INS}`: {error}"))
            .hint("run it as root, or write another file with `--out PATH`")
    })
}

/// The system's configuration with the directory of drop-ins included; `None` where it is included already.
pub(crate) fn with_drop_ins(text: &[u8]) -> Option<Vec<u8>> {
    let is_included = |line: &[u8]| {
        let line = String::from_utf8_lossy(line);
        let folder = line.strip_prefix("includedir ").map(str::trim);
        folder.is_some_and(|folder| Path::new(folder) == Path::new(DROP_INS))
    };
    if text.split(|byte| *byte == b'\n').any(is_included) {
        return None;
    }
    let mut with = format!("includedir {DROP_INS}/\n").into_bytes();
    if !text.is_empty() {
        with.push(b'\n');
    }
    with.extend_from_slice(text);
    Some(with)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_directory_is_included_once() {
        for text in ["", "[libdefaults]\n\tdefault_realm = ATHENA.MIT.EDU\n"] {
            let with = with_drop_ins(text.as_bytes()).unwrap();
            assert!(with.starts_with(b"includedir /etc/krb5.conf.d/\n"));
            assert!(with.ends_with(text.as_bytes()));
            assert_eq!(with_drop_ins(&with), None);
        }
        for included in [
            "includedir /etc/krb5.conf.d",
            "[libdefaults]\nincludedir /etc/krb5.conf.d/ \n",
        ] {
            assert_eq!(with_drop_ins(included.as_bytes()), None);
        }
        // A comment, another directory.
        for other in [
            "# includedir /etc/krb5.conf.d/",
            "includedir /etc/krb5.conf.d/more",
        ] {
            assert!(with_drop_ins(other.as_bytes()).is_some(), "{other}");
        }
    }
}
