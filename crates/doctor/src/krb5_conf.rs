//! The configuration that MIT Kerberos reads on this computer: `krb5.conf` with every included file, each value with the file
//! and line that set it.
//!
//! Where a value is set more than once, the first one is used, as in MIT's library; only `kdc` lines accumulate.

use std::io::Read;
use std::path::{Path, PathBuf};

/// The default file.
const DEFAULT_FILE: &str = "/etc/krb5.conf";
/// The largest file in bytes, the most files, and the deepest nesting of includes.
const MAX_FILE: u64 = 1 << 20;
const MAX_FILES: usize = 200;
const MAX_DEPTH: usize = 10;

/// One value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Value {
    /// Section, subsections, name.
    pub(crate) path: Vec<String>,
    /// The value.
    pub(crate) value: String,
    /// The file and line that set it.
    pub(crate) place: String,
}

/// The whole configuration.
#[derive(Clone, Debug, Default)]
pub(crate) struct Krb5Conf {
    /// The files that were read, in order.
    pub(crate) files: Vec<PathBuf>,
    /// Files that could not be read, and why.
    pub(crate) unreadable: Vec<String>,
    values: Vec<Value>,
}

impl Krb5Conf {
    /// Loads what Kerberos in this process would use: the files that `KRB5_CONFIG` names, else the default file.
    pub(crate) fn load() -> Self {
        let named = std::env::var_os("KRB5_CONFIG").filter(|value| !value.is_empty());
        let files = match &named {
            Some(named) => std::env::split_paths(named).collect(),
            None => vec![PathBuf::from(DEFAULT_FILE)],
        };
        let mut conf = Self::default();
        for file in files {
            // A computer without the default file has no Kerberos configuration, which is not a fault.
            if named.is_some() || file.exists() {
                conf.read(&file, 0);
            }
        }
        conf
    }

    /// The values at this path, the effective one first. Names compare without case, since users write realms either way.
    pub(crate) fn all(&self, path: &[&str]) -> Vec<&Value> {
        let matches = |value: &&Value| {
            value.path.len() == path.len()
                && value
                    .path
                    .iter()
                    .zip(path)
                    .all(|(a, b)| a.eq_ignore_ascii_case(b))
        };
        self.values.iter().filter(matches).collect()
    }

    /// The effective value.
    pub(crate) fn first(&self, path: &[&str]) -> Option<&Value> {
        self.all(path).first().copied()
    }

    /// The realms whose `kdc` is an HTTPS URL, with that value.
    pub(crate) fn kdc_proxies(&self) -> Vec<(&str, &Value)> {
        let realm = |value: &Value| match value.path.as_slice() {
            [section, _, name] => section == "realms" && name == "kdc",
            _ => false,
        };
        let proxied = self
            .values
            .iter()
            .filter(|value| realm(value) && value.value.starts_with("http"));
        proxied
            .filter_map(|value| Some((value.path.get(1)?.as_str(), value)))
            .collect()
    }

    /// The realm that `[domain_realm]` maps a host to: its own line, else the longest suffix.
    pub(crate) fn realm_of(&self, host: &str) -> Option<&Value> {
        let host = host.to_ascii_lowercase();
        let mut rest = host.as_str();
        if let Some(own) = self.first(&["domain_realm", rest]) {
            return Some(own);
        }
        while let Some((_, parent)) = rest.split_once('.') {
            if let Some(found) = self.first(&["domain_realm", &format!(".{parent}")]) {
                return Some(found);
            }
            rest = parent;
        }
        None
    }

    fn read(&mut self, file: &Path, depth: usize) {
        if depth > MAX_DEPTH || self.files.len() >= MAX_FILES {
            self.unreadable
                .push(format!("`{}`: too many includes", file.display()));
            return;
        }
        let mut text = String::new();
        let read = std::fs::File::open(file)
            .and_then(|handle| handle.take(MAX_FILE).read_to_string(&mut text));
        if let Err(error) = read {
            self.unreadable
                .push(format!("`{}`: {error}", file.display()));
            return;
        }
        self.files.push(file.to_owned());
        self.parse(&text, file, depth);
    }

    fn parse(&mut self, text: &str, file: &Path, depth: usize) {
        let mut path: Vec<String> = Vec::new();
        for (number, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with(['#', ';']) {
                continue;
            }
            if let Some(directory) = line.strip_prefix("includedir ") {
                self.read_directory(Path::new(directory.trim()), depth);
            } else if let Some(other) = line.strip_prefix("include ") {
                self.read(Path::new(other.trim()), depth + 1);
            } else if let Some(section) = line.strip_prefix('[') {
                path = vec![section.split(']').next().unwrap_or_default().to_owned()];
            } else if line.starts_with('}') {
                path.truncate(path.len().saturating_sub(1).max(1));
            } else if let Some((name, value)) = line.split_once('=') {
                let (name, value) = (name.trim().trim_end_matches('*'), value.trim());
                if value == "{" {
                    path.push(name.to_owned());
                } else {
                    let mut full = path.clone();
                    full.push(name.to_owned());
                    self.values.push(Value {
                        path: full,
                        value: value.trim_matches('"').to_owned(),
                        place: format!("`{}` line {}", file.display(), number + 1),
                    });
                }
            }
        }
    }

    /// Reads the files of an `includedir` in the order of their names: names of letters, digits, `-` and `_`, and `*.conf`.
    fn read_directory(&mut self, directory: &Path, depth: usize) {
        let Ok(entries) = std::fs::read_dir(directory) else {
            self.unreadable
                .push(format!("`{}`: no such directory", directory.display()));
            return;
        };
        let is_included = |name: &str| {
            let plain = name
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b));
            (plain || name.ends_with(".conf")) && !name.starts_with('.')
        };
        let mut files: Vec<PathBuf> = entries
            .flatten()
            .filter(|entry| entry.file_name().to_str().is_some_and(is_included))
            .map(|entry| entry.path())
            .collect();
        files.sort();
        for file in files {
            self.read(&file, depth + 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_value_is_used_and_its_place_known() {
        let directory = tempfile::tempdir().unwrap();
        let drop_ins = directory.path().join("d");
        std::fs::create_dir(&drop_ins).unwrap();
        let write = |name: &str, text: &str| std::fs::write(drop_ins.join(name), text).unwrap();
        write(
            "10-a.conf",
            "[realms]\n CLOUD = {\n  kdc = https://a/x/kerberos\n }\n[domain_realm]\n .file.x = CLOUD\n h.file.x = OWN\n",
        );
        write(
            "ca.pem",
            "[realms]\n CLOUD = {\n  kdc = https://never/\n }\n",
        );
        write(
            "20",
            "[realms]\n CLOUD = {\n  kdc = https://b/x/kerberos\n }\n",
        );
        let main = directory.path().join("krb5.conf");
        let text = format!(
            "# comment\nincludedir {}\n[libdefaults]\n default_realm = CORP\n default_realm = OTHER\n",
            drop_ins.display()
        );
        std::fs::write(&main, text).unwrap();
        let mut conf = Krb5Conf::default();
        conf.read(&main, 0);
        assert_eq!(conf.files.len(), 3);
        assert_eq!(
            conf.first(&["libdefaults", "default_realm"]).unwrap().value,
            "CORP"
        );
        let kdcs: Vec<_> = conf
            .all(&["realms", "cloud", "kdc"])
            .iter()
            .map(|v| v.value.as_str())
            .collect();
        assert_eq!(kdcs, ["https://a/x/kerberos", "https://b/x/kerberos"]);
        assert_eq!(conf.kdc_proxies().len(), 2);
        assert!(conf.kdc_proxies()[0].1.place.ends_with("10-a.conf` line 3"));
        assert_eq!(conf.realm_of("H.file.x").unwrap().value, "OWN");
        assert_eq!(conf.realm_of("g.file.x").unwrap().value, "CLOUD");
        assert!(conf.realm_of("file.x").is_none());
    }

    #[test]
    fn circular_includes_end() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("a");
        std::fs::write(
            &file,
            format!("include {}\n}}\n}}\nx = y\n", file.display()),
        )
        .unwrap();
        let mut conf = Krb5Conf::default();
        conf.read(&file, 0);
        assert!(!conf.unreadable.is_empty());
    }
}
