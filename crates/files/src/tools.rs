//! The programs of Samba and the system that the host runs: where they come from, and how one is run to its end.

use crate::error::FilesError;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;
use tokio::process::Command;

/// The folders in which programs are looked for, whatever the caller's `PATH`.
pub(crate) const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// How long a program that only does one thing may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// How much of what a failed program said is passed on, in characters.
const MAX_REASON: usize = 300;

/// The programs that the host needs, and the Debian packages that hold them.
const PROGRAMS: [(&str, &str); 11] = [
    ("smbd", "samba"),
    ("winbindd", "winbind"),
    ("wbinfo", "winbind"),
    ("net", "samba-common-bin"),
    ("sharesec", "samba"),
    ("smbstatus", "samba"),
    ("smbcontrol", "samba"),
    ("samba-tool", "samba"),
    ("unshare", "util-linux"),
    ("mount", "mount"),
    ("df", "coreutils"),
];

/// Programs that the host uses where they are installed.
const OPTIONAL: [(&str, &str); 1] = [("btrfs", "btrfs-progs")];

/// Files that the host needs: each may be in one of several places, by the machine's architecture.
const FILES: [(&str, &str); 2] = [
    ("libnss_winbind.so.2", "libnss-winbind"),
    ("samba/vfs/acl_xattr.so", "samba-vfs-modules"),
];

/// Whether everything is installed.
///
/// # Errors
///
/// [`FilesError::MissingProgram`] or [`FilesError::MissingFile`] for the first thing that is not.
pub(crate) fn check() -> Result<(), FilesError> {
    for (program, package) in PROGRAMS {
        if find(program).is_none() {
            return Err(FilesError::MissingProgram { program, package });
        }
    }
    for (file, package) in FILES {
        if !has_library(file) {
            return Err(FilesError::MissingFile { file, package });
        }
    }
    Ok(())
}

fn is_listed(program: &str) -> bool {
    let mut all = PROGRAMS.iter().chain(&OPTIONAL);
    all.any(|(listed, _)| *listed == program)
}

/// Where a program is.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    PATH.split(':')
        .map(|dir| Path::new(dir).join(program))
        .find(|path| path.is_file())
}

/// Whether a part of Samba or the system that is no program is there.
pub(crate) fn has_library(file: &str) -> bool {
    library_folders().iter().any(|dir| dir.join(file).exists())
}

/// `/usr/lib`, `/lib` and the folders of Debian's architectures below them.
fn library_folders() -> Vec<PathBuf> {
    let mut all = Vec::new();
    for root in ["/usr/lib", "/lib", "/usr/lib64"] {
        all.push(PathBuf::from(root));
        for arch in [
            "x86_64",
            "aarch64",
            "riscv64",
            "arm",
            "i386",
            "powerpc64le",
            "s390x",
        ] {
            all.push(Path::new(root).join(format!("{arch}-linux-gnu")));
        }
        all.push(Path::new(root).join("arm-linux-gnueabihf"));
    }
    all
}

/// A command with an environment of its own: nothing of the caller's, least of all a token, reaches Samba.
pub(crate) fn command(program: &str) -> Command {
    // The check before serving must know everything that is run; unit tests run other programs.
    debug_assert!(
        cfg!(test) || is_listed(program),
        "`{program}` is in no list of this module"
    );
    let mut command = Command::new(program);
    command
        .env_clear()
        .env("PATH", PATH)
        .env("LC_ALL", "C.UTF-8")
        .env("KRB5_CONFIG", crate::paths::KRB5_CONF)
        .stdin(Stdio::null())
        .kill_on_drop(true);
    command
}

/// Runs a program to its end and returns what it wrote to stdout.
///
/// # Errors
///
/// [`FilesError::Program`] where it cannot be started, fails, or takes longer than 30 s.
pub(crate) async fn run<S: AsRef<OsStr>>(program: &str, args: &[S]) -> Result<String, FilesError> {
    run_to_end(program, args).await.map(|(stdout, _)| stdout)
}

/// The same with what it wrote to stderr behind.
pub(crate) async fn run_to_end<S: AsRef<OsStr>>(
    program: &str,
    args: &[S],
) -> Result<(String, String), FilesError> {
    let failed = |reason: String| FilesError::Program {
        program: program.to_owned(),
        reason,
    };
    let output = command(program).args(args).output();
    match tokio::time::timeout(PATIENCE, output).await {
        Err(_) => Err(failed(format!("no end within {} s", PATIENCE.as_secs()))),
        Ok(Err(error)) => Err(failed(error.to_string())),
        Ok(Ok(output)) if !output.status.success() => Err(failed(reason(&output))),
        Ok(Ok(output)) => {
            let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
            Ok((text(&output.stdout), text(&output.stderr)))
        }
    }
}

/// What a failed program said last; of a Python program that fell, the error and not the place.
fn reason(output: &Output) -> String {
    let said = [&output.stderr, &output.stdout]
        .map(|bytes| String::from_utf8_lossy(bytes).trim().to_owned());
    let line = said
        .iter()
        .find_map(|text| {
            let error = text.lines().find(|line| line.starts_with("ERROR"));
            error.or_else(|| text.lines().last())
        })
        .unwrap_or_default();
    let line: String = line.chars().take(MAX_REASON).collect();
    match line.is_empty() {
        true => output.status.to_string(),
        false => format!("{line} ({})", output.status),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crossrealm_programs::table;

    #[test]
    fn the_tests_install_what_the_host_runs() {
        for (program, package) in PROGRAMS.into_iter().chain(OPTIONAL) {
            assert_eq!(table::package_of(program), Some(package), "{program}");
        }
        let libraries = FILES.map(|(file, package)| (package, file));
        assert!(libraries.iter().all(|file| table::LIBRARIES.contains(file)));
    }

    #[tokio::test]
    async fn a_failed_program_is_named_with_what_it_said() {
        let error = run("mount", &["--no-such-option"]).await.unwrap_err();
        let text = error.to_string();
        assert!(text.starts_with("`mount` failed: "), "{text}");
        let error = run("no-such-program-of-the-host", &["x"])
            .await
            .unwrap_err();
        assert!(error.to_string().contains("no-such-program-of-the-host"));
    }

    #[tokio::test]
    async fn nothing_of_the_environment_is_passed_on() {
        let text = run("env", &[] as &[&str]).await.unwrap();
        let mut names: Vec<&str> = text.lines().filter_map(|l| l.split('=').next()).collect();
        names.sort_unstable();
        assert_eq!(names, ["KRB5_CONFIG", "LC_ALL", "PATH"]);
    }
}
