//! The configuration that MIT Kerberos reads on this computer: `krb5.conf` with every included file, each value with the file
//! and line that set it.
//!
//! It is read as MIT's library reads it. Names are compared with their case; where a value is set more than once, the first one is
//! used, only `kdc` and `http_anchors` lines accumulate; what stands before the first section is ignored. A file that cannot be
//! read or parsed makes every program that uses the library fail.

use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

/// The default file.
const DEFAULT_FILE: &str = "/etc/krb5.conf";
/// The largest file in bytes, the most files, and the deepest nesting of includes.
const MAX_FILE: u64 = 1 << 20;
const MAX_FILES: usize = 200;
const MAX_DEPTH: usize = 10;

/// One value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Value {
    /// Section, subsections, name.
    pub path: Vec<String>,
    /// The value.
    pub value: String,
    /// The file and line that set it.
    pub place: String,
}

/// Why the library refuses the configuration, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// What is wrong, and where.
    pub seen: String,
    /// The next step.
    pub next: String,
}

/// A file that names a KDC proxy, and that the library does not read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftOut {
    /// The file.
    pub file: PathBuf,
    /// The realm and its KDC proxy.
    pub proxy: (String, Value),
    /// The values of `http_anchors` beside it.
    pub anchors: Vec<Value>,
    /// What would make the library read it.
    pub next: String,
}

/// The whole configuration.
#[derive(Clone, Debug, Default)]
pub struct Krb5Conf {
    /// The files that were read, in order.
    pub files: Vec<PathBuf>,
    /// What makes the library refuse the configuration.
    pub faults: Vec<Fault>,
    /// Drop-in files beside the main file that are not included.
    pub left_out: Vec<LeftOut>,
    /// The directories of `includedir` lines.
    included: Vec<PathBuf>,
    values: Vec<Value>,
}

impl Krb5Conf {
    /// Loads what Kerberos in this process would use: the files that `KRB5_CONFIG` names, else the default file.
    pub fn load() -> Self {
        let named = std::env::var_os("KRB5_CONFIG").filter(|value| !value.is_empty());
        let files: Vec<PathBuf> = match &named {
            Some(named) => std::env::split_paths(named).collect(),
            None => vec![PathBuf::from(DEFAULT_FILE)],
        };
        Self::read_files(&files)
    }

    /// The configuration of these files, the first one foremost.
    pub(crate) fn read_files(files: &[PathBuf]) -> Self {
        let mut conf = Self::default();
        for file in files {
            conf.read_main(file);
        }
        for file in files {
            conf.find_left_out(file);
        }
        conf
    }

    /// The values at this path, the effective one first.
    pub fn all(&self, path: &[&str]) -> Vec<&Value> {
        let matches = |value: &&Value| value.path == path;
        self.values.iter().filter(matches).collect()
    }

    /// The effective value.
    pub fn first(&self, path: &[&str]) -> Option<&Value> {
        self.all(path).first().copied()
    }

    /// An effective value that means yes or no, as the library reads it.
    pub fn flag(&self, path: &[&str]) -> Option<bool> {
        let text = self.first(path)?.value.to_ascii_lowercase();
        match text.as_str() {
            "y" | "yes" | "true" | "t" | "1" | "on" => Some(true),
            "n" | "no" | "false" | "nil" | "0" | "off" => Some(false),
            _ => None,
        }
    }

    /// The realms whose `kdc` is an HTTPS URL, with the first such value.
    pub fn kdc_proxies(&self) -> Vec<(&str, &Value)> {
        let mut proxies: Vec<(&str, &Value)> = Vec::new();
        for value in &self.values {
            if let [section, realm, name] = value.path.as_slice()
                && (section.as_str(), name.as_str()) == ("realms", "kdc")
                && value.value.starts_with("http")
                && !proxies.iter().any(|(other, _)| other == realm)
            {
                proxies.push((realm, value));
            }
        }
        proxies
    }

    /// The first value of a realm's section that is named as the realm, but in another case.
    pub fn section_in_other_case(&self, realm: &str) -> Option<&Value> {
        self.values.iter().find(|value| {
            let section = value.path.first().map(String::as_str) == Some("realms");
            let named = value.path.get(1).filter(|_| value.path.len() > 2);
            section && named.is_some_and(|name| is_in_other_case(name, realm))
        })
    }

    /// The realm that `[domain_realm]` maps a host to: its own line, else the longest suffix. The library looks for the host in
    /// lower case, so that a line in upper case has no effect.
    pub fn realm_of(&self, host: &str) -> Option<&Value> {
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

    /// A file that is named directly. The library goes on without one that is not there or not readable.
    fn read_main(&mut self, file: &Path) {
        match std::fs::File::open(file) {
            Ok(_) => self.read(file, 0, "it"),
            Err(error) if error.kind() == ErrorKind::PermissionDenied => {
                self.faults.push(unreadable(file, &error));
            }
            Err(_) => {}
        }
    }

    /// `why` says what names the file.
    fn read(&mut self, file: &Path, depth: usize, why: &str) {
        let shown = file.display();
        if depth > MAX_DEPTH || self.files.len() >= MAX_FILES {
            self.faults.push(Fault {
                seen: format!("`{shown}`: too many includes"),
                next: format!("remove the `include` line in {why} that leads back to it"),
            });
            return;
        }
        let mut text = String::new();
        let read = std::fs::File::open(file)
            .and_then(|handle| handle.take(MAX_FILE).read_to_string(&mut text));
        match read {
            Ok(_) => {
                self.files.push(file.to_owned());
                self.parse(&text, file, depth);
            }
            Err(error) if error.kind() == ErrorKind::NotFound => self.faults.push(Fault {
                seen: format!("{why} includes `{shown}`, which is not there"),
                next: format!("remove the `include` line of `{shown}`, or create the file"),
            }),
            Err(error) => self.faults.push(unreadable(file, &error)),
        }
    }

    fn parse(&mut self, text: &str, file: &Path, depth: usize) {
        let mut parser = Parser::default();
        for (number, line) in text.lines().enumerate() {
            let place = format!("`{}` line {}", file.display(), number + 1);
            // The library knows these two at the very beginning of a line only.
            if let Some(directory) = directive(line, "includedir") {
                self.read_directory(Path::new(directory), depth, &place);
            } else if let Some(other) = directive(line, "include") {
                self.read(Path::new(other), depth + 1, &place);
            } else {
                match parser.line(line.trim()) {
                    Ok(None) => {}
                    Ok(Some((path, value))) => self.values.push(Value { path, value, place }),
                    Err(wrong) => {
                        self.faults.push(Fault {
                            seen: format!("{place}: {wrong}: `{}`", line.trim()),
                            next: format!("correct {place}"),
                        });
                        return;
                    }
                }
            }
        }
    }

    /// Reads the files of an `includedir` in the order of their names.
    fn read_directory(&mut self, directory: &Path, depth: usize, place: &str) {
        let shown = directory.display();
        let entries = match std::fs::read_dir(directory) {
            Ok(entries) => entries,
            Err(error) => {
                self.faults.push(Fault {
                    seen: format!("{place} includes the directory `{shown}`: {error}"),
                    next: format!("create it: mkdir -p {shown}; or remove {place}"),
                });
                return;
            }
        };
        self.included.push(directory.to_owned());
        let mut files: Vec<PathBuf> = entries
            .flatten()
            .filter(|entry| entry.file_name().to_str().is_some_and(is_included))
            .map(|entry| entry.path())
            .collect();
        files.sort();
        for file in files {
            self.read(&file, depth + 1, place);
        }
    }

    /// Looks for files with a KDC proxy in the directory for drop-ins beside a main file.
    fn find_left_out(&mut self, main: &Path) {
        let mut directory = main.as_os_str().to_owned();
        directory.push(".d");
        let directory = PathBuf::from(directory);
        let is_included_here = self.included.contains(&directory);
        let entries = std::fs::read_dir(&directory).into_iter().flatten();
        for file in entries.flatten().map(|entry| entry.path()).take(MAX_FILES) {
            if self.files.contains(&file) {
                continue;
            }
            let mut alone = Self::default();
            alone.read(&file, 0, "it");
            let (shown, main) = (file.display(), main.display());
            let next = match is_included_here {
                true => format!(
                    "rename `{shown}` to a name that ends in `.conf`: Kerberos reads no other name with a dot"
                ),
                false => format!(
                    "add this as the first line of `{main}`: includedir {}",
                    directory.display()
                ),
            };
            let proxy = alone.kdc_proxies().first().copied();
            self.left_out.extend(proxy.map(|(realm, value)| {
                let anchors = alone.all(&["realms", realm, "http_anchors"]);
                LeftOut {
                    file,
                    proxy: (realm.to_owned(), value.clone()),
                    anchors: anchors.into_iter().cloned().collect(),
                    next,
                }
            }));
        }
    }
}

/// Whether two names differ in nothing but their case.
pub fn is_in_other_case(name: &str, other: &str) -> bool {
    name != other && name.eq_ignore_ascii_case(other)
}

fn unreadable(file: &Path, error: &std::io::Error) -> Fault {
    let shown = file.display();
    Fault {
        seen: format!("`{shown}`: {error}"),
        next: match error.kind() {
            ErrorKind::PermissionDenied => format!("let every user read it: chmod 644 {shown}"),
            _ => format!("replace `{shown}` by a text file in UTF-8, or remove it"),
        },
    }
}

/// The argument of a directive.
fn directive<'l>(line: &'l str, name: &str) -> Option<&'l str> {
    let rest = line.strip_prefix(name)?;
    rest.starts_with([' ', '\t']).then(|| rest.trim())
}

/// Whether `includedir` takes a file of this name: letters, digits, `-` and `_` alone, or an end in `.conf`.
fn is_included(name: &str) -> bool {
    let plain = name
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b));
    (plain || name.ends_with(".conf")) && !name.starts_with('.')
}

/// The lines of one file.
#[derive(Default)]
struct Parser {
    /// The section and the subsections that the next line belongs to; empty before the first section.
    path: Vec<String>,
    /// Whether a name without a value came before, whose brace must follow.
    is_brace_due: bool,
}

impl Parser {
    /// Reads a line; a relation is returned with its path.
    fn line(&mut self, line: &str) -> Result<Option<(Vec<String>, String)>, &'static str> {
        if line.is_empty() || line.starts_with(['#', ';']) {
            return Ok(None);
        }
        if self.is_brace_due {
            self.is_brace_due = false;
            return match line {
                "{" => Ok(None),
                _ => Err("a `{` is missing before this line"),
            };
        }
        if let Some(section) = line.strip_prefix('[') {
            if self.path.len() > 1 {
                return Err("a `}` is missing before this section");
            }
            let (name, _) = section.split_once(']').ok_or("a `]` is missing")?;
            self.path = vec![name.to_owned()];
            return Ok(None);
        }
        if self.path.is_empty() {
            return Ok(None);
        }
        if line.starts_with('}') {
            if self.path.len() < 2 {
                return Err("there is no `{` for this");
            }
            self.path.pop();
            return Ok(None);
        }
        let (name, value) = line
            .split_once('=')
            .ok_or("this is neither a section nor a `name = value`")?;
        let (name, value) = (name.trim().trim_end_matches('*'), value.trim());
        if name.is_empty() || name.contains(char::is_whitespace) {
            return Err("the name is not one word");
        }
        let mut path = self.path.clone();
        path.push(name.to_owned());
        if value.is_empty() || value == "{" {
            self.is_brace_due = value.is_empty();
            self.path = path;
            return Ok(None);
        }
        Ok(Some((path, value.trim_matches('"').to_owned())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The configuration of this text, in a file of its own.
    fn conf(text: &str) -> Krb5Conf {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("krb5.conf");
        std::fs::write(&file, text).unwrap();
        let mut conf = Krb5Conf::default();
        conf.read_main(&file);
        conf
    }

    #[test]
    fn the_first_value_is_used_and_its_place_known() {
        let directory = tempfile::tempdir().unwrap();
        let drop_ins = directory.path().join("d");
        std::fs::create_dir(&drop_ins).unwrap();
        let write = |name: &str, text: &str| std::fs::write(drop_ins.join(name), text).unwrap();
        write(
            "10-a.conf",
            "[realms]\n CLOUD = {\n  kdc = https://a/x/kerberos\n }\n[domain_realm]\n .file.x = CLOUD\n h.file.x = OWN\n H.FILE.Y = NONE\n",
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
        conf.read_main(&main);
        assert_eq!((conf.files.len(), conf.faults.len()), (3, 0));
        assert_eq!(
            conf.first(&["libdefaults", "default_realm"]).unwrap().value,
            "CORP"
        );
        let kdcs: Vec<_> = conf
            .all(&["realms", "CLOUD", "kdc"])
            .iter()
            .map(|v| v.value.as_str())
            .collect();
        assert_eq!(kdcs, ["https://a/x/kerberos", "https://b/x/kerberos"]);
        assert_eq!(conf.kdc_proxies().len(), 1);
        assert!(conf.kdc_proxies()[0].1.place.ends_with("10-a.conf` line 3"));
        assert_eq!(conf.realm_of("H.file.x").unwrap().value, "OWN");
        assert_eq!(conf.realm_of("g.file.x").unwrap().value, "CLOUD");
        for unmapped in ["file.x", "h.file.y"] {
            assert!(conf.realm_of(unmapped).is_none(), "{unmapped}");
        }
    }

    /// F13: the library compares realms with their case.
    #[test]
    fn f13_a_realm_in_another_case_is_another_realm() {
        let conf = conf("[realms]\n cloud = {\n  kdc = https://a/x/kerberos\n }\n");
        assert!(conf.all(&["realms", "CLOUD", "kdc"]).is_empty());
        let found = conf.section_in_other_case("CLOUD").unwrap();
        assert_eq!(found.path[1], "cloud");
        assert!(conf.section_in_other_case("cloud").is_none());
    }

    #[test]
    fn a_file_that_the_library_refuses_is_a_fault_with_its_line() {
        for (text, wrong) in [
            (
                "[realms]\n X = {\n  kdc = a\n[libdefaults]\n",
                "line 4: a `}` is missing",
            ),
            ("[realms]\n }\n", "line 2: there is no `{`"),
            ("[realms]\n kdc a\n", "line 2: this is neither"),
            ("[realms\n", "line 1: a `]` is missing"),
            ("[realms]\n X =\n kdc = a\n", "line 3: a `{` is missing"),
            ("[libdefaults]\n a b = c\n", "line 2: the name"),
            (
                "[libdefaults]\n includedir /etc\n",
                "line 2: this is neither",
            ),
        ] {
            let faults = conf(text).faults;
            assert!(faults[0].seen.contains(wrong), "{text}: {faults:?}");
        }
        for good in [
            "before the first section nothing counts\n}\n[libdefaults]\n a = b\n",
            "[realms]\n X =\n {\n  kdc = a\n }\n[libdefaults]\n",
            "[realms]\n X = {\n  kdc = a\n",
        ] {
            assert_eq!(conf(good).faults, [], "{good}");
        }
    }

    /// F13: a drop-in that is not read is found, with what makes it read.
    #[test]
    fn f13_a_drop_in_that_is_not_included_is_found() {
        let directory = tempfile::tempdir().unwrap();
        let main = directory.path().join("krb5.conf");
        let drop_ins = directory.path().join("krb5.conf.d");
        std::fs::create_dir(&drop_ins).unwrap();
        let text = "[realms]\n CLOUD = {\n  kdc = https://a/x/kerberos\n }\n";
        std::fs::write(drop_ins.join("crossrealm.conf"), text).unwrap();
        let load = |text: &str| {
            std::fs::write(&main, text).unwrap();
            let mut conf = Krb5Conf::default();
            conf.read_main(&main);
            conf.find_left_out(&main);
            conf
        };
        let without = load("[libdefaults]\n");
        assert_eq!(without.left_out[0].proxy.0, "CLOUD");
        let line = format!("includedir {}", drop_ins.display());
        assert!(without.left_out[0].next.ends_with(&line));
        assert_eq!(load(&format!("{line}\n[libdefaults]\n")).left_out, []);
        let (from, to) = ("crossrealm.conf", "crossrealm.conf.new");
        std::fs::rename(drop_ins.join(from), drop_ins.join(to)).unwrap();
        let renamed = load(&format!("{line}\n[libdefaults]\n"));
        assert!(renamed.left_out[0].next.starts_with("rename"));
        let missing = load("includedir /nonexistent/krb5.conf.d\n");
        assert!(missing.faults[0].next.starts_with("create it: mkdir -p"));
    }

    #[test]
    fn flags_are_read_as_the_library_reads_them() {
        let conf = conf("[libdefaults]\n a = Yes\n b = off\n c = maybe\n");
        let flag = |name| conf.flag(&["libdefaults", name]);
        assert_eq!(
            (flag("a"), flag("b"), flag("c"), flag("d")),
            (Some(true), Some(false), None, None)
        );
    }

    #[test]
    fn circular_includes_end() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("a");
        std::fs::write(&file, format!("include {}\n[x]\n", file.display())).unwrap();
        let mut conf = Krb5Conf::default();
        conf.read_main(&file);
        assert!(!conf.faults.is_empty());
    }
}
