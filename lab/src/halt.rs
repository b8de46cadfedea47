//! Killing a program exactly between two of its steps.
//!
//! A program that reports each step with a line can be ended there without its help: a library that is loaded before it kills it
//! when it is about to write that line. It then stands behind the step that the line reports and before the next. Neither time nor
//! chance has a part in it, nor what else the program writes.

use crate::run::{Failure, Output, Run};

/// Runs a command and kills it instead of having it write, for the time with this number (from 0), a line that begins with `line`.
///
/// # Errors
/// When it ends before that line, or does not come to it in time.
pub fn kill_at_line(run: &Run, line: &str, number: usize) -> Result<Output, Failure> {
    let folder = tempfile::tempdir()?;
    let (library, mark) = (folder.path().join("halt.so"), folder.path().join("mark"));
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/src/halt.c");
    let compile = Run::here("cc").args(["-shared", "-fPIC", "-O1", "-o"]);
    compile.arg(&library).arg(source).ok()?;
    let run = run
        .clone()
        .env("LD_PRELOAD", &library)
        .env("HALT_LINE", line)
        .env("HALT_NUMBER", number.to_string())
        .env("HALT_MARK", &mark);
    let output = run.output()?;
    // A program that died of something else shows nothing.
    match output.code.is_none() && mark.exists() {
        true => Ok(output),
        false => Err(output.failure(&format!(
            "was expected to write {} lines that begin with `{line}`, and to be killed at the last",
            number + 1
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_killed_between_its_steps() {
        let folder = tempfile::tempdir().unwrap();
        let script = "for n in 1 2 3; do touch step-$n; echo \"done: step $n\"; echo between; done";
        let run =
            Run::here("/bin/sh").args(["-c", &format!("cd {}; {script}", folder.path().display())]);
        for number in 0..3 {
            for n in 1..=3 {
                let _ = std::fs::remove_file(folder.path().join(format!("step-{n}")));
            }
            let written = kill_at_line(&run, "done: ", number).unwrap().out();
            assert_eq!(written.lines().count(), 2 * number, "{written}");
            let done = std::fs::read_dir(folder.path()).unwrap().count();
            assert_eq!(done, number + 1, "the step itself was done, and no other");
        }
        assert!(kill_at_line(&run, "done: ", 3).is_err());
        let crashes = Run::here("/bin/sh").args(["-c", "kill -SEGV $$"]);
        assert!(kill_at_line(&crashes, "done: ", 0).is_err());
    }
}
