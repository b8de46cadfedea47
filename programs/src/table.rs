//! The table: Debian packages, and what of each is used.
//!
//! To use another program, add its name to its package here (`dpkg -S $(command -v NAME)` names the package). Where
//! `NAME --version` is no harmless call that succeeds, add one to [`PROBES`].

/// Debian packages and their programs that are used. `cargo xtask setup` installs all of them.
pub const PROGRAMS: &[(&str, &[&str])] = &[
    ("apache2-bin", &["apache2"]),
    ("apt", &["apt-config", "apt-get"]),
    ("attr", &["getfattr", "setfattr"]),
    ("bash", &["bash"]),
    ("btrfs-progs", &["btrfs", "mkfs.btrfs"]),
    (
        "coreutils",
        &[
            "cat",
            "chmod",
            "chown",
            "chroot",
            "cp",
            "cut",
            "date",
            "df",
            "dirname",
            "env",
            "head",
            "install",
            "ln",
            "mkdir",
            "mkfifo",
            "mv",
            "nice",
            "rm",
            "rmdir",
            "sha256sum",
            "sleep",
            "stat",
            "stdbuf",
            "sync",
            "tail",
            "timeout",
            "touch",
            "true",
            "truncate",
        ],
    ),
    ("binutils", &["strip"]),
    ("bsdutils", &["script"]),
    ("curl", &["curl"]),
    ("dash", &["sh"]),
    ("default-jdk-headless", &["java", "javac"]),
    ("debootstrap", &["debootstrap"]),
    ("dpkg", &["dpkg", "dpkg-deb"]),
    ("e2fsprogs", &["mkfs.ext4"]),
    ("findutils", &["find"]),
    ("g++", &["c++"]),
    ("gcc", &["cc"]),
    ("git", &["git"]),
    ("golang-go", &["go"]),
    ("grep", &["grep"]),
    ("gzip", &["gzip"]),
    ("heimdal-kcm", &["kcm"]),
    ("iproute2", &["ip"]),
    ("kmod", &["modprobe"]),
    ("krb5-admin-server", &["kadmin.local"]),
    ("krb5-kdc", &["kdb5_util", "krb5kdc"]),
    (
        "krb5-user",
        &["kdestroy", "kinit", "klist", "kpasswd", "ktutil", "kvno"],
    ),
    ("ldap-utils", &["ldapsearch"]),
    ("ldb-tools", &["ldbadd", "ldbdel", "ldbmodify", "ldbsearch"]),
    ("mount", &["losetup", "mount", "umount"]),
    ("nginx", &["nginx"]),
    ("openssh-client", &["ssh", "ssh-keygen"]),
    ("openssh-server", &["sshd"]),
    ("openssl", &["openssl"]),
    (
        "postgresql",
        &[
            "createdb",
            "initdb",
            "pg_basebackup",
            "pg_ctl",
            "pg_dump",
            "pg_restore",
            "postgres",
            "psql",
        ],
    ),
    ("procps", &["kill", "pkill"]),
    ("prometheus", &["prometheus", "promtool"]),
    ("python3", &["python3"]),
    (
        "samba",
        &["samba-tool", "sharesec", "smbcontrol", "smbd", "smbstatus"],
    ),
    ("samba-ad-dc", &["samba", "samba_spnupdate"]),
    ("samba-common-bin", &["net"]),
    ("samba-testsuite", &["ndrdump", "smbtorture"]),
    ("sed", &["sed"]),
    ("smbclient", &["smbcacls", "smbclient"]),
    ("sqlite3", &["sqlite3"]),
    ("tar", &["tar"]),
    (
        "util-linux",
        &[
            "fallocate",
            "findmnt",
            "nsenter",
            "runuser",
            "setpriv",
            "unshare",
        ],
    ),
    ("winbind", &["wbinfo", "winbindd"]),
];

/// What makes, checks and boots the packages of the product. `cargo xtask package` and `cargo xtask installed` install what they
/// need of it; `setup` does not.
pub const PACKAGING: &[(&str, &[&str])] = &[
    ("dpkg-dev", &["dpkg-shlibdeps"]),
    ("lintian", &["lintian"]),
    ("rpm", &["rpm"]),
    ("rpmlint", &["rpmlint"]),
    (
        "systemd",
        &[
            "systemctl",
            "systemd-analyze",
            "systemd-sysusers",
            "systemd-tmpfiles",
        ],
    ),
    ("systemd-container", &["systemd-nspawn"]),
    ("umoci", &["umoci"]),
];

/// Parts of packages that are no programs: shared libraries and plugins, by their path below a library folder.
pub const LIBRARIES: &[(&str, &str)] = &[
    ("krb5-k5tls", "krb5/plugins/tls/k5tls.so"),
    (
        "libapache2-mod-auth-gssapi",
        "apache2/modules/mod_auth_gssapi.so",
    ),
    ("libnss-winbind", "libnss_winbind.so.2"),
    ("libsasl2-modules-gssapi-mit", "sasl2/libgssapiv2.so"),
    ("samba-dsdb-modules", "samba/ldb/samba_dsdb.so"),
    ("samba-vfs-modules", "samba/vfs/acl_xattr.so"),
];

/// Data files of packages.
pub const FILES: &[(&str, &str)] = &[
    (
        "golang-github-jcmturner-gokrb5.v8-dev",
        "/usr/share/gocode/src/github.com/jcmturner/gokrb5/v8/spnego/http.go",
    ),
    (
        "samba-ad-provision",
        "/usr/share/samba/setup/provision.ldif",
    ),
];

/// Modules of Debian's Python that scripts import, beside its standard library.
pub const MODULES: &[(&str, &[&str])] = &[
    ("python3-cryptography", &["cryptography"]),
    ("python3-gssapi", &["gssapi"]),
    ("python3-ldb", &["ldb"]),
    ("python3-pyasn1", &["pyasn1"]),
    ("python3-samba", &["samba", "samba.tests.krb5.kcrypto"]),
    ("python3-venv", &["ensurepip", "venv"]),
];

/// Calls that show that a program starts, where `--version` does not: arguments, and the exit code.
pub const PROBES: &[(&str, &[&str], i32)] = &[
    ("apache2", &["-v"], 0),
    ("go", &["version"], 0),
    ("ip", &["-V"], 0),
    ("kadmin.local", &["--version"], 1),
    ("kdb5_util", &["--version"], 1),
    ("kdestroy", &["--version"], 2),
    ("kinit", &["--version"], 2),
    ("klist", &["-V"], 0),
    ("kpasswd", &["too", "many", "names"], 1),
    ("krb5kdc", &["--version"], 1),
    ("kvno", &["--version"], 1),
    ("ldapsearch", &["-VV"], 0),
    ("mkfs.ext4", &["-V"], 0),
    ("nginx", &["-v"], 0),
    ("openssl", &["version"], 0),
    ("samba_spnupdate", &["--help"], 0),
    ("ssh", &["-V"], 0),
    ("ssh-keygen", &["-?"], 1),
    ("sshd", &["-V"], 0),
];

/// Programs whose arguments name another program.
const WRAPPERS: &[&str] = &[
    "chroot", "env", "nice", "nsenter", "runuser", "setpriv", "stdbuf", "timeout", "unshare",
];

/// The package of a program; `None` where the table does not name it.
pub fn package_of(program: &str) -> Option<&'static str> {
    let mut all = PROGRAMS.iter().chain(PACKAGING);
    let found = all.find(|(_, programs)| programs.contains(&program));
    found.map(|(package, _)| *package)
}

/// Whether a program starts another one that its arguments name.
pub fn is_wrapper(program: &str) -> bool {
    let name = program.rsplit('/').next().unwrap_or(program);
    WRAPPERS.contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_program_is_named_once() {
        let all = PROGRAMS.iter().chain(PACKAGING);
        let mut names: Vec<&str> = all.flat_map(|(_, programs)| *programs).copied().collect();
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
    }

    #[test]
    fn probes_are_of_listed_programs() {
        for (program, ..) in PROBES {
            assert!(package_of(program).is_some(), "{program}");
        }
    }
}
