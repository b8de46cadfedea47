//! The programs of Samba and the system that the host runs: their packages, and how they are run.

use crate::error::FilesError;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;
use tokio::process::Command;

/// The directories that programs are searched in; the caller's `PATH` is ignored.
pub(crate) const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// How long a program may take that is not a daemon.
const LIMIT: Duration = Duration::from_secs(30);
/// How much of a failed program's output becomes the error, in characters.
const MAX_REASON: usize = 300;

/// The programs that the host needs, with their Debian packages.
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

/// The files that the host needs, with their Debian packages. Their directory depends on the machine's architecture.
const FILES: [(&str, &str); 2] = [
    ("libnss_winbind.so.2", "libnss-winbind"),
    ("samba/vfs/acl_xattr.so", "samba-vfs-modules"),
];

/// Checks that everything is installed.
///
/// # Errors
///
/// [`FilesError::MissingProgram`] or [`FilesError::MissingFile`] for the first one that is missing.
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

/// The path of a program.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    PATH.split(':')
        .map(|dir| Path::new(dir).join(program))
        .find(|path| path.is_file())
}

/// Whether a file of Samba or the system is installed.
pub(crate) fn has_library(file: &str) -> bool {
    library_directories()
        .iter()
        .any(|dir| dir.join(file).exists())
}

/// `/usr/lib`, `/lib` and the directories of Debian's architectures below them.
fn library_directories() -> Vec<PathBuf> {
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

/// A command with a minimal environment: nothing of the caller's, such as a token, reaches Samba.
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

/// Runs a program and returns its stdout.
///
/// # Errors
///
/// [`FilesError::Program`] where it cannot be started, fails, or takes longer than 30 s.
pub(crate) async fn run<S: AsRef<OsStr>>(program: &str, args: &[S]) -> Result<String, FilesError> {
    run_to_end(program, args).await.map(|(stdout, _)| stdout)
}

/// Runs a program and returns its stdout and stderr.
pub(crate) async fn run_to_end<S: AsRef<OsStr>>(
    program: &str,
    args: &[S],
) -> Result<(String, String), FilesError> {
    let failed = |reason: String| FilesError::Program {
        program: program.to_owned(),
        reason,
    };
    let output = command(program).args(args).output();
    match tokio::time::timeout(LIMIT, output).await {
        Err(_) => Err(failed(format!(
            "it did not end within {} s",
            LIMIT.as_secs()
        ))),
        Ok(Err(error)) => Err(failed(error.to_string())),
        Ok(Ok(output)) if !output.status.success() => Err(failed(reason(&output))),
        Ok(Ok(output)) => {
            let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
            Ok((text(&output.stdout), text(&output.stderr)))
        }
    }
}

/// The last line that a failed program wrote; of a Python traceback, the error itself.
fn reason(output: &Output) -> String {
    let texts = [&output.stderr, &output.stdout]
        .map(|bytes| String::from_utf8_lossy(bytes).trim().to_owned());
    let line = texts
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
    async fn the_error_of_a_failed_program_quotes_its_output() {
        let error = run("mount", &["--no-such-option"]).await.unwrap_err();
        let text = error.to_string();
        assert!(text.starts_with("`mount` failed: "), "{text}");
        let error = run("no-such-program-of-the-host", &["x"])
            .await
            .unwrap_err();
        assert!(error.to_string().contains("no-such-program-of-the-host"));
    }

    #[tokio::test]
    async fn a_program_does_not_inherit_the_environment() {
        let text = run("env", &[] as &[&str]).await.unwrap();
        let mut names: Vec<&str> = text.lines().filter_map(|l| l.split('=').next()).collect();
        names.sort_unstable();
        assert_eq!(names, ["KRB5_CONFIG", "LC_ALL", "PATH"]);
    }
}
