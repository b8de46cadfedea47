//! What the test world needs of the machine, and how to say so when something is missing.

use std::path::{Path, PathBuf};

/// Debian packages that hold everything the lab runs, and the compilers that building the product and the fuzz targets takes. `cargo xtask setup` installs them.
pub const PACKAGES: &[&str] = &[
    "btrfs-progs",
    "g++",
    "gcc",
    "git",
    "iproute2",
    "krb5-admin-server",
    "krb5-k5tls",
    "krb5-kdc",
    "krb5-user",
    "ldap-utils",
    "ldb-tools",
    "libnss-winbind",
    "libsasl2-modules-gssapi-mit",
    "openssl",
    "postgresql",
    "python3-cryptography",
    "python3-pyasn1",
    "python3-samba",
    "python3-venv",
    "samba",
    "samba-ad-dc",
    "samba-ad-provision",
    "samba-dsdb-modules",
    "samba-testsuite",
    "samba-vfs-modules",
    "smbclient",
    "util-linux",
    "winbind",
];

/// Where programs are looked for; also the `PATH` of everything the lab runs, so that a developer's own shims do not interfere.
pub const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

const PROGRAMS: &[(&str, &str)] = &[
    ("c++", "g++"),
    ("cc", "gcc"),
    ("git", "git"),
    ("btrfs", "btrfs-progs"),
    ("mkfs.btrfs", "btrfs-progs"),
    ("ip", "iproute2"),
    ("unshare", "util-linux"),
    ("setpriv", "util-linux"),
    ("kinit", "krb5-user"),
    ("kvno", "krb5-user"),
    ("klist", "krb5-user"),
    ("samba", "samba-ad-dc"),
    ("samba-tool", "samba"),
    ("smbd", "samba"),
    ("winbindd", "winbind"),
    ("net", "samba"),
    ("sharesec", "samba"),
    ("smbclient", "smbclient"),
    ("smbcacls", "smbclient"),
    ("smbtorture", "samba-testsuite"),
    ("kadmin.local", "krb5-admin-server"),
    ("krb5kdc", "krb5-kdc"),
    ("ldapsearch", "ldap-utils"),
    ("ldbsearch", "ldb-tools"),
    ("openssl", "openssl"),
    ("psql", "postgresql"),
    ("pg_ctlcluster", "postgresql"),
    ("ndrdump", "samba-testsuite"),
];

const LIBRARIES: &[(&str, &str)] = &[
    ("krb5/plugins/tls/k5tls.so", "krb5-k5tls"),
    ("libnss_winbind.so.2", "libnss-winbind"),
    ("sasl2/libgssapiv2.so", "libsasl2-modules-gssapi-mit"),
    ("samba/vfs/acl_xattr.so", "samba-vfs-modules"),
    ("samba/ldb/samba_dsdb.so", "samba-dsdb-modules"),
];

const FILES: &[(&str, &str)] = &[
    (
        "/usr/share/samba/setup/provision.ldif",
        "samba-ad-provision",
    ),
    (
        "/usr/lib/python3/dist-packages/samba/tests/krb5/kcrypto.py",
        "python3-samba",
    ),
    ("/usr/lib/python3/dist-packages/pyasn1", "python3-pyasn1"),
    (
        "/usr/lib/python3/dist-packages/cryptography",
        "python3-cryptography",
    ),
];

/// Whether this process may make namespaces: its effective user is root.
pub fn is_root() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    status
        .lines()
        .find_map(|line| line.strip_prefix("Uid:"))
        .and_then(|ids| ids.split_whitespace().nth(1))
        .is_some_and(|effective| effective == "0")
}

/// The program's full path on [`PATH`].
pub fn find_program(name: &str) -> Option<PathBuf> {
    PATH.split(':')
        .map(|folder| Path::new(folder).join(name))
        .find(|path| path.is_file())
}

/// The Debian packages whose files are not there, each once, sorted.
pub fn missing_packages() -> Vec<&'static str> {
    let mut missing: Vec<&'static str> = Vec::new();
    missing.extend(
        PROGRAMS
            .iter()
            .filter(|(program, _)| find_program(program).is_none())
            .map(|(_, package)| *package),
    );
    missing.extend(
        LIBRARIES
            .iter()
            .filter(|(library, _)| !has_library(library))
            .map(|(_, package)| *package),
    );
    missing.extend(
        FILES
            .iter()
            .filter(|(file, _)| !Path::new(file).exists())
            .map(|(_, package)| *package),
    );
    if !has_ensurepip() {
        missing.push("python3-venv");
    }
    missing.sort_unstable();
    missing.dedup();
    missing
}

/// Whether Debian's Python, of whichever version, can make virtual environments with `pip` in them.
fn has_ensurepip() -> bool {
    let folders = std::fs::read_dir("/usr/lib").map(|all| all.flatten().collect::<Vec<_>>());
    let mut versions = folders.unwrap_or_default().into_iter();
    versions.any(|entry| {
        let python = entry.file_name().to_string_lossy().starts_with("python3.");
        python && entry.path().join("ensurepip").is_dir()
    })
}

fn has_library(name: &str) -> bool {
    let Ok(folders) = std::fs::read_dir("/usr/lib") else {
        return false;
    };
    let multiarch = folders
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.is_dir());
    multiarch
        .chain(["/usr/lib", "/lib", "/lib64"].map(PathBuf::from))
        .any(|folder| folder.join(name).exists())
}

/// Why the test world cannot run here, in words for people; `None` when it can.
pub fn unmet() -> Option<String> {
    if std::env::consts::OS != "linux" {
        return Some(format!(
            "the test world needs Linux (network namespaces, Samba); this is {}",
            std::env::consts::OS
        ));
    }
    if !is_root() {
        return Some("the test world needs root: it makes network and mount namespaces and starts a domain controller. Run it again as root".into());
    }
    let missing = missing_packages();
    if missing.is_empty() {
        return None;
    }
    Some(format!(
        "missing Debian packages: {}. `cargo xtask setup` installs them",
        missing.join(" ")
    ))
}

/// When this variable is set, a test that would be skipped fails instead.
pub const REQUIRE_WORLD: &str = "CROSSREALM_REQUIRE_WORLD";

/// Whether the tests of a test world must be skipped; says so loudly.
///
/// # Panics
/// When they must not be: `CROSSREALM_REQUIRE_WORLD` is set, as CI does.
pub fn skipped() -> bool {
    let Some(reason) = unmet() else { return false };
    assert!(std::env::var_os(REQUIRE_WORLD).is_none(), "{reason}");
    eprintln!("\n*** SKIPPED, NOTHING WAS TESTED: {reason} ***\n");
    true
}

/// Whether a test of Btrfs must be skipped, since the kernel has neither it nor loop devices to put it on, which no package
/// brings; says so loudly.
pub fn skipped_without_btrfs() -> bool {
    let kernel = std::fs::read_to_string("/proc/filesystems").unwrap_or_default();
    let has_btrfs = kernel.split_whitespace().any(|word| word == "btrfs") || load("btrfs");
    let has_loop = Path::new("/dev/loop-control").exists() || load("loop");
    if has_btrfs && has_loop {
        return false;
    }
    eprintln!(
        "\n*** SKIPPED, NOTHING WAS TESTED: the kernel has no Btrfs or no loop devices ***\n"
    );
    true
}

fn load(module: &str) -> bool {
    let loaded = std::process::Command::new("modprobe").arg(module).status();
    loaded.is_ok_and(|status| status.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_needed_file_belongs_to_a_listed_package() {
        for (file, package) in PROGRAMS.iter().chain(LIBRARIES).chain(FILES) {
            assert!(
                PACKAGES.contains(package),
                "{file} is in {package}, which setup does not install"
            );
        }
    }

    #[test]
    fn a_program_that_is_not_there_is_not_found() {
        assert!(find_program("sh").is_some());
        assert!(find_program("no-such-program-anywhere").is_none());
    }
}
