//! The pristine root file system: made once by `debootstrap`, never run in.

use std::path::{Path, PathBuf};

use super::remove;
use crate::Outcome;
use crate::process::{command, output, run};

/// Debian 12.
const SUITE: &str = "bookworm";
/// What the README demands beside Rust, and what names the certificate authorities.
const PACKAGES: &str = "ca-certificates,gcc,git,libc6-dev";
/// Written last; says what the root was made of.
const MARK: &str = ".crossrealm-bare";
/// The configuration of apt that is about the way to its mirrors.
const APT_SETTINGS: [&str; 5] = ["http", "Check-", "Force", "Languages", "Retries"];
/// `debootstrap` mounts `/proc` in the root it makes: in a mount namespace, nothing stays mounted however it ends.
const DEBOOTSTRAP: [&str; 5] = [
    "--mount",
    "--",
    "debootstrap",
    "--variant=minbase",
    "--include",
];

/// The pristine root in the cache; made when it is not there, or was made of something else.
pub(crate) fn cached(cache: &Path) -> Result<PathBuf, String> {
    let root = cache.join("debian-12");
    let sources = sources()?;
    let mark = format!("{SUITE} {PACKAGES}\n{}", sources.lines.join("\n"));
    if std::fs::read_to_string(root.join(MARK)).is_ok_and(|made| made == mark) {
        return Ok(root);
    }
    // Made beside its place and renamed: a root that is there is whole.
    let draft = cache.join(format!("draft-{}", std::process::id()));
    if let Err(reason) = make(&draft, &sources, &mark) {
        remove(&draft);
        return Err(format!("cannot make a Debian root: {reason}"));
    }
    if root.exists() {
        remove(&root);
    }
    std::fs::rename(&draft, &root)
        .map_err(|error| format!("cannot rename `{}`: {error}", draft.display()))?;
    Ok(root)
}

/// What this machine's apt knows of Debian 12.
struct Sources {
    mirror: String,
    /// Lines of `sources.list`.
    lines: Vec<String>,
    /// Lines of `apt.conf`.
    settings: Vec<String>,
    proxy: Option<String>,
}

/// The lines of `sources.list` for Debian 12 that this machine has.
pub(crate) fn source_lines_of_this_machine() -> Result<Vec<String>, String> {
    let format = "$(CREATED_BY) $(ORIGIN) $(RELEASE) $(COMPONENT) $(SITE)";
    let ask = || {
        output(&mut command(
            "apt-get",
            &["indextargets", "--format", format],
        ))
    };
    let mut lines = source_lines(&ask()?);
    if lines.is_empty() {
        run(&mut command("apt-get", &["update", "-q"]))?;
        lines = source_lines(&ask()?);
    }
    Ok(lines)
}

/// The mirror of Debian 12 that this machine uses.
pub(crate) fn mirror() -> Result<String, String> {
    mirror_of(&source_lines_of_this_machine()?)
}

fn mirror_of(lines: &[String]) -> Result<String, String> {
    let main = format!(" {SUITE} main");
    let mirror = lines
        .iter()
        .find_map(|line| line.strip_prefix("deb ")?.strip_suffix(&main));
    let missing = || {
        format!(
            "the apt sources of this machine name no mirror of Debian 12 (`{SUITE}`, component `main`)"
        )
    };
    mirror.map(str::to_owned).ok_or_else(missing)
}

fn sources() -> Result<Sources, String> {
    let lines = source_lines_of_this_machine()?;
    let mirror = mirror_of(&lines)?;
    let settings = output(&mut command("apt-config", &["dump"]))?;
    let settings = settings
        .lines()
        .filter(|line| is_about_mirrors(line))
        .map(str::to_owned);
    let proxy = output(&mut command(
        "apt-config",
        &["dump", "--format", "%v%n", "Acquire::http::Proxy"],
    ))?;
    Ok(Sources {
        mirror,
        lines,
        settings: settings.collect(),
        proxy: Some(proxy.trim().to_owned()).filter(|proxy| !proxy.is_empty() && proxy != "DIRECT"),
    })
}

/// The lines of `sources.list` for Debian 12, from `apt-get indextargets`.
fn source_lines(targets: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for target in targets.lines() {
        let [created_by, origin, release, component, site] =
            target.split(' ').collect::<Vec<_>>()[..]
        else {
            continue;
        };
        let line = format!("deb {site} {release} {component}");
        let wanted = created_by == "Packages" && origin == "Debian" && release.starts_with(SUITE);
        if wanted && !lines.contains(&line) {
            lines.push(line);
        }
    }
    lines
}

fn is_about_mirrors(line: &str) -> bool {
    let setting = line.strip_prefix("Acquire::");
    setting.is_some_and(|rest| APT_SETTINGS.iter().any(|begin| rest.starts_with(begin)))
}

fn make(root: &Path, sources: &Sources, mark: &str) -> Outcome {
    let mut debootstrap = command("unshare", &DEBOOTSTRAP);
    debootstrap
        .args([PACKAGES, SUITE])
        .arg(root)
        .arg(&sources.mirror);
    if let Some(proxy) = &sources.proxy {
        debootstrap.env("http_proxy", proxy);
    }
    run(&mut debootstrap)?;
    let write = |file: &str, text: String| {
        std::fs::write(root.join(file), text)
            .map_err(|error| format!("cannot write `{file}`: {error}"))
    };
    write("etc/apt/sources.list", sources.lines.join("\n") + "\n")?;
    write(
        "etc/apt/apt.conf.d/90-this-machine",
        sources.settings.join("\n") + "\n",
    )?;
    authorities(root)?;
    write(MARK, mark.to_owned())
}

/// Certificate authorities of this machine's own: an index may be reached by a proxy that has one.
fn authorities(root: &Path) -> Outcome {
    let own = Path::new("/usr/local/share/ca-certificates");
    if !own.is_dir() {
        return Ok(());
    }
    run(command("cp", &["-aT", "--"])
        .arg(own)
        .arg(root.join("usr/local/share/ca-certificates")))?;
    run(command("chroot", &[])
        .arg(root)
        .arg("update-ca-certificates"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_debian_12s_packages_become_sources() {
        let targets = "Packages Debian bookworm main http://mirror.example/debian\n\
                       Translations Debian bookworm main http://mirror.example/debian\n\
                       Packages Debian bookworm-security main http://mirror.example/security\n\
                       Packages Debian trixie main http://mirror.example/debian\n\
                       Packages Contoso bookworm main http://contoso.example/packages\n";
        let expected = [
            "deb http://mirror.example/debian bookworm main",
            "deb http://mirror.example/security bookworm-security main",
        ];
        assert_eq!(source_lines(targets), expected);
        assert!(source_lines("").is_empty());
    }

    #[test]
    fn hooks_of_this_machine_are_not_carried_over() {
        assert!(is_about_mirrors(
            "Acquire::http::Proxy \"http://proxy.example:3128\";"
        ));
        assert!(!is_about_mirrors(
            "APT::Update::Post-Invoke:: \"something\";"
        ));
    }
}
