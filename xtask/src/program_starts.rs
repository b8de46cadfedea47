//! Finds code that starts an external program without the table of `crossrealm-programs`: in Rust, Python and shell.
//!
//! Rust starts programs through `crossrealm_programs` (`command`, `shell`, `built`), the product through a module of its own. Python scripts of the
//! tests may start what their exception names. Shell scripts may start what the table names; those that Rust puts together
//! from pieces are checked when they are run.

use std::path::Path;

use crossrealm_programs::{script, table};

use crate::process;

const THIS_FILE: &str = "xtask/src/program_starts.rs";
/// Where Rust may call `Command::new`.
const STARTERS: [(&str, &str); 2] = [
    ("programs/src/lib.rs", "the one place of tests and tools"),
    (
        "crates/files/src/tools.rs",
        "the product's own, which names each program's package before it serves",
    ),
];
/// What Rust may start anywhere: executables that cargo built beside the one that runs.
const OWN: [&str; 3] = [
    "env!(\"CARGO_BIN_EXE_",
    "std::env::current_exe()",
    "env::current_exe()",
];

/// A script that may start programs by itself.
struct Exception {
    file: &'static str,
    programs: &'static [&'static str],
    reason: &'static str,
}

const EXCEPTIONS: [Exception; 4] = [
    Exception {
        file: "conformance/forge/pac.py",
        programs: &["ndrdump"],
        reason: "a witness for each PAC, in the middle of a run",
    },
    Exception {
        file: "conformance/forge/runner.py",
        programs: &["python3"],
        reason: "its own interpreter, with MIT's library in a process of its own",
    },
    Exception {
        file: "lab/oracles/sync_state.py",
        programs: &["ldbsearch"],
        reason: "what it works out rests on that program alone",
    },
    Exception {
        file: "lab/tests/gpo.rs",
        programs: &[],
        reason: "starts the product, and stops it at a step",
    },
];

/// The ways of Python to start a program.
const PYTHON: [&str; 9] = [
    "from os import",
    "subprocess",
    "os.system",
    "os.popen",
    "os.exec",
    "os.spawn",
    "os.posix_spawn",
    "pty.spawn",
    "create_subprocess",
];
/// The ways of C, Go and Java.
const OTHERS: [&str; 10] = [
    "system(",
    "popen(",
    "execl",
    "execv",
    "fork(",
    "posix_spawn",
    "syscall.Exec",
    "\"os/exec\"",
    "ProcessBuilder",
    "Runtime.getRuntime",
];

/// What is wrong in the files that git knows.
pub(crate) fn check() -> Result<Vec<String>, String> {
    let listed = process::output(&mut process::command(
        "git",
        &["ls-files", "-z", "--cached"],
    ))?;
    let mut found = unlisted_exceptions();
    for file in listed.split('\0').filter(|file| !file.is_empty()) {
        // What is no text is no program, and what was deleted is gone.
        if let Ok(text) = std::fs::read_to_string(process::root().join(file)) {
            found.extend(complaints(Path::new(file), &text));
        }
    }
    Ok(found)
}

/// What is wrong with a file.
fn complaints(file: &Path, text: &str) -> Vec<String> {
    let name = file.display().to_string();
    let extension = file
        .extension()
        .and_then(|extension| extension.to_str())
        .unwrap_or_default();
    let mut found = match extension {
        "rs" => [rust(&name, text), containing(&name, text, &PYTHON)].concat(),
        "py" => containing(&name, text, &PYTHON),
        "c" | "go" | "java" => containing(&name, text, &OTHERS),
        _ => Vec::new(),
    };
    if extension == "sh" || is_shell_script(text) {
        let unlisted = script::unlisted(text)
            .into_iter()
            .filter(|word| word != "cargo");
        found.extend(
            unlisted.map(|word| format!("{name}: `{word}` is not in programs/src/table.rs")),
        );
    }
    found
}

/// Exceptions whose programs are not in the table.
fn unlisted_exceptions() -> Vec<String> {
    let programs = EXCEPTIONS.iter().flat_map(|exception| {
        exception
            .programs
            .iter()
            .map(move |program| (exception, program))
    });
    programs
        .filter(|(_, program)| table::package_of(program).is_none())
        .map(|(exception, program)| {
            format!(
                "{}: `{program}` ({}) is not in programs/src/table.rs",
                exception.file, exception.reason
            )
        })
        .collect()
}

fn is_shell_script(text: &str) -> bool {
    let first = text.lines().next().unwrap_or_default();
    first
        .strip_prefix("#!")
        .is_some_and(|program| program.split_whitespace().any(script::is_shell))
        || first.starts_with("#!/usr/bin/env bash")
}

fn rust(name: &str, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let is_starter = STARTERS.iter().any(|(starter, _)| *starter == name);
    // Put together here, so that this file does not complain of itself.
    let start = ["Command::", "new("].concat();
    let renamed = ["process::", "Command as "].concat();
    for (number, line) in code_lines(text) {
        if line.contains(&renamed) {
            found.push(format!("{name}:{number}: import `Command` by its own name"));
        }
        let own = |argument: &str| OWN.iter().any(|own| argument.starts_with(own));
        let foreign = line.split(&start).skip(1).any(|argument| !own(argument));
        if foreign && !is_starter && !line.contains("clap::") {
            found.push(format!(
                "{name}:{number}: start programs by `crossrealm_programs::command`"
            ));
        }
    }
    // The tests of that crate, and of this module, hold what must not be started.
    if name.starts_with("programs/") || name == THIS_FILE {
        return found;
    }
    for literal in scripts(text) {
        found.extend(script::unlisted(&literal).into_iter().map(|word| {
            format!("{name}: `{word}` in a shell script is not in programs/src/table.rs")
        }));
    }
    found
}

fn containing(name: &str, text: &str, marks: &[&str]) -> Vec<String> {
    let excused = EXCEPTIONS.iter().any(|exception| exception.file == name) || name == THIS_FILE;
    let lines = code_lines(text)
        .filter(|(_, line)| !excused && marks.iter().any(|mark| line.contains(mark)));
    lines
        .map(|(number, line)| {
            format!(
                "{name}:{number}: starts a program by itself: `{}`",
                line.trim()
            )
        })
        .collect()
}

fn code_lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let lines = text
        .lines()
        .enumerate()
        .map(|(index, line)| (index + 1, line));
    lines.filter(|(_, line)| {
        !line.trim_start().starts_with("//") && !line.trim_start().starts_with('#')
    })
}

const SHELLS: [&str; 3] = ["\"sh\"", "\"/bin/sh\"", "\"bash\""];

/// The shell scripts in Rust that are written as literals, directly or as a constant or variable of the same file.
fn scripts(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (at, _) in text.match_indices("\"-c\"") {
        let before = &text[text.floor_char_boundary(at.saturating_sub(120))..at];
        let shell = SHELLS.iter().any(|shell| before.contains(shell));
        if shell && let Some(rest) = text[at + 4..].trim_start().strip_prefix(',') {
            found.extend(value(text, rest));
        }
    }
    for (at, called) in text.match_indices("shell(") {
        found.extend(value(text, &text[at + called.len()..]));
    }
    // Constants that reach the shell through an argument of a function: those with the look of a script.
    if SHELLS.iter().any(|shell| text.contains(shell)) {
        let marks = [" && ", "; do ", "; done", " done "];
        let constants = text.split("const ").skip(1);
        let constants = constants.filter_map(|rest| literal(rest.split_once(": &str = ")?.1));
        found.extend(constants.filter(|text| marks.iter().any(|mark| text.contains(mark))));
    }
    found
}

/// The text of an expression: a literal, a `format!` of one, or a name that is bound to one.
fn value(text: &str, expression: &str) -> Option<String> {
    let expression = expression.trim_start().trim_start_matches('&');
    if let Some(formatted) = expression.strip_prefix("format!(") {
        return literal(formatted.trim_start()).map(|text| without_placeholders(&text));
    }
    literal(expression).or_else(|| {
        let name: String = expression
            .chars()
            .take_while(|c| c.is_alphanumeric() || *c == '_')
            .collect();
        let bound = ["const", "static", "let"]
            .iter()
            .find_map(|word| text.split_once(&format!("{word} {name}")))?
            .1;
        let value = bound
            .split_once('=')?
            .1
            .trim_start()
            .trim_start_matches('&');
        match value.strip_prefix("format!(") {
            Some(formatted) => {
                literal(formatted.trim_start()).map(|text| without_placeholders(&text))
            }
            None => literal(value),
        }
    })
}

fn literal(text: &str) -> Option<String> {
    if let Some(raw) = text.strip_prefix("r#\"") {
        return raw.split_once("\"#").map(|(inner, _)| inner.to_owned());
    }
    let mut chars = text.strip_prefix('"')?.chars();
    let mut inner = String::new();
    loop {
        match chars.next()? {
            '"' => return Some(inner),
            '\\' => match chars.next()? {
                'n' => inner.push('\n'),
                // A literal that goes on in the next line.
                '\n' => inner.push(' '),
                c => inner.push(c),
            },
            c => inner.push(c),
        }
    }
}

/// A format string as a script: what is put in is known when it is run.
fn without_placeholders(text: &str) -> String {
    let mut script = String::new();
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '{' | '}' if chars.peek() == Some(&c) => script.extend(chars.next()),
            '{' => {
                script.push_str("$x");
                while chars.next().is_some_and(|c| c != '}') {}
            }
            c => script.push(c),
        }
    }
    script
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(file: &str, text: &str) -> usize {
        complaints(Path::new(file), text).len()
    }

    #[test]
    fn rust_that_starts_a_program_by_itself_is_found() {
        let start = |argument: &str| {
            format!(
                "    let child = tokio::process::{}{argument}).spawn();",
                ["Command::", "new("].concat()
            )
        };
        assert_eq!(of("crates/cloud/src/a.rs", &start("\"openssl\"")), 1);
        assert_eq!(of("crates/files/src/tools.rs", &start("program")), 0);
        assert_eq!(
            of(
                "crates/cli/tests/a.rs",
                &start("env!(\"CARGO_BIN_EXE_crossrealm\")")
            ),
            0
        );
        assert_eq!(of("lab/tests/a.rs", &start("std::env::current_exe()?")), 0);
    }

    #[test]
    fn unlisted_programs_in_shell_scripts_are_found() {
        let arguments = "world.at(Place::Cloud, \"sh\").args([\"-c\", ";
        assert_eq!(
            of(
                "lab/tests/a.rs",
                &format!("{arguments}\"true; strange-one | strange-two\", \"sh\"])")
            ),
            2
        );
        assert_eq!(
            of(
                "lab/tests/a.rs",
                &format!("const SCRIPT: &str = r#\"strange\"#;\n{arguments}SCRIPT, \"sh\"])")
            ),
            1
        );
        assert_eq!(
            of(
                "lab/tests/a.rs",
                &format!("{arguments}&format!(\"mount {{place}} && {{tool}} x\")])")
            ),
            0
        );
        assert_eq!(of("a.rs", "programs::shell(\"strange\")"), 1);
        assert_eq!(
            of(
                "run",
                "#!/usr/bin/env bash\nset -e\nstrange\nexec cargo xtask ci\n"
            ),
            1
        );
        assert_eq!(of("run.sh", "cp -a \"$1\" /tmp\n"), 0);
        // Not a shell's.
        assert_eq!(of("a.rs", "run(\"psql\", &[\"-c\", \"select 1\"])"), 0);
    }

    #[test]
    fn python_that_starts_a_program_by_itself_is_found() {
        assert_eq!(
            of(
                "lab/oracles/a.py",
                "import subprocess\n# subprocess\nos.system('x')\n"
            ),
            2
        );
        assert_eq!(of("conformance/forge/pac.py", "import subprocess\n"), 0);
        assert_eq!(unlisted_exceptions(), Vec::<String>::new());
    }
}
