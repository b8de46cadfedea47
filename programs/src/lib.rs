//! External programs: the one place from which tests, lab, conformance, benches and xtask start them.
//!
//! [`table`] names the Debian package of every program. A program that is not in the table is not started, also where it
//! happens to be installed: otherwise a test that passes on the machine of its author fails on a new one. `cargo xtask tidy`
//! finds code that starts programs in any other way; `cargo xtask setup` installs the packages; `cargo xtask programs`
//! starts every program once.
//!
//! The product does not use this crate: `crates/files` has a table of its own, with what an operator has to install, and
//! checks it before it starts anything.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

pub mod packages;
pub mod probe;
pub mod script;
pub mod table;

/// Where programs are looked for; also the `PATH` of everything the lab runs, so that a developer's own shims do not interfere.
pub const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Where Debian keeps PostgreSQL's servers, each version in a folder of its own with a `bin`.
const POSTGRESQL: &str = "/usr/lib/postgresql";

/// The program's full path: on [`PATH`], or among PostgreSQL's servers.
pub fn find(name: &str) -> Option<PathBuf> {
    let folders = PATH.split(':').map(PathBuf::from);
    let servers = std::fs::read_dir(POSTGRESQL)
        .into_iter()
        .flatten()
        .flatten();
    folders
        .chain(servers.map(|version| version.path().join("bin")))
        .map(|folder| folder.join(name))
        .find(|path| path.is_file())
}

/// A command that runs a program of the [`table`].
///
/// # Panics
/// When the program is not in the table, or is a shell (see [`shell`]).
pub fn command(name: &str) -> Command {
    assert!(
        !script::is_shell(name),
        "use `programs::shell`, which checks the script"
    );
    start(name)
}

/// A command that runs a shell script whose programs are all in the [`table`]. Arguments that are added become `$1`, `$2`, ….
///
/// # Panics
/// When the script starts a program that is not in the table.
pub fn shell(script: &str) -> Command {
    demand_script(script);
    let mut command = start("sh");
    command.args(["-c", script, "sh"]);
    command
}

fn start(name: &str) -> Command {
    demand(name);
    // A missing program is reported by the operating system when the command is run.
    Command::new(find(name).unwrap_or_else(|| PathBuf::from(name)))
}

/// A command that runs an executable which was built or installed for this run: by cargo, or into a folder of the test's own.
///
/// # Panics
/// When the path is one of the system's: those programs come from Debian packages and belong into the [`table`].
pub fn built(path: impl AsRef<OsStr>) -> Command {
    let path = Path::new(path.as_ref());
    assert!(
        !is_of_the_system(path),
        "`{}` is a program of the system: use `programs::command`",
        path.display()
    );
    Command::new(path)
}

/// `cargo` as it called this program, or as it is found.
pub fn cargo() -> Command {
    Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

/// Panics when the first word of a command line is no listed program; a path outside the system's folders is an executable
/// that was built for this run.
///
/// # Panics
/// As said: the message names the program.
pub fn demand(program: &str) {
    let path = Path::new(program);
    let name = path.file_name().and_then(OsStr::to_str).unwrap_or(program);
    let foreign = path.is_absolute() && !is_of_the_system(path);
    assert!(
        foreign || table::package_of(name).is_some(),
        "the program `{program}` is not in programs/src/table.rs: add it with its Debian package"
    );
}

/// Panics when a command line starts a program that is not listed: itself, behind a wrapper (`nsenter … wbinfo`), or in a
/// shell script.
///
/// # Panics
/// As said: the message names the program.
pub fn demand_all(argv: &[String]) {
    let Some((program, arguments)) = argv.split_first() else {
        return;
    };
    demand(program);
    if table::is_wrapper(program) {
        // Which word is the program depends on the wrapper's options. A word that is the name of an installed program is
        // taken for one; a file name or an option is none.
        let commands = |word: &&String| !word.contains('/') && find(word).is_some();
        arguments
            .iter()
            .filter(commands)
            .for_each(|word| demand(word));
    }
    for pair in script::of_command_line(argv) {
        demand_script(pair);
    }
}

fn demand_script(script: &str) {
    let unlisted = script::unlisted(script);
    assert!(
        unlisted.is_empty(),
        "the shell script starts {unlisted:?}, not in programs/src/table.rs: add each with its Debian package\n{script}"
    );
}

fn is_of_the_system(path: &Path) -> bool {
    let folder = path.parent().unwrap_or(path);
    PATH.split(':').any(|system| Path::new(system) == folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_is_not_installed_is_not_found() {
        assert!(find("sh").is_some());
        assert!(find("no-such-program-anywhere").is_none());
    }

    #[test]
    fn listed_programs_start() {
        let output = shell("printf '%s' \"$1\"").arg("one").output().unwrap();
        assert_eq!(output.stdout, b"one");
        assert!(command("true").status().unwrap().success());
    }

    #[test]
    #[should_panic(expected = "`strange-program` is not in programs/src/table.rs")]
    fn an_unlisted_program_is_refused() {
        let _ = command("strange-program");
    }

    #[test]
    #[should_panic(expected = "use `programs::command`")]
    fn a_program_of_the_system_is_not_taken_for_a_built_one() {
        let _ = built("/usr/bin/env");
    }

    #[test]
    #[should_panic(expected = "strange-program")]
    fn an_unlisted_program_in_a_script_behind_a_wrapper_is_refused() {
        let argv = ["unshare", "--mount", "sh", "-c", "true && strange-program"];
        demand_all(&argv.map(str::to_owned));
    }

    #[test]
    fn an_executable_of_the_test_is_started() {
        demand("/somewhere/target/debug/crossrealm");
        let run = [
            "timeout",
            "3",
            "/somewhere/target/debug/crossrealm",
            "--help",
        ];
        demand_all(&run.map(str::to_owned));
    }
}
