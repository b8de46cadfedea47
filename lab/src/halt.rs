//! Killing a program exactly between two of its steps.
//!
//! A program that reports each step on its standard error can be held there without its help: the stream is a pipe that is
//! full but for some bytes. Lines that fit go through; the first that does not fit blocks the program, which then stands
//! behind the step that the line reports and before the next. There it is killed. Neither time nor chance has a part in it.

use std::io::{Read, Write};
use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::run::{Failure, Run, signal};
use crate::wait::PATIENCE;

/// What a pipe holds: 16 pages, pipe(7).
const PIPE_BYTES: usize = 16 * PAGE_BYTES;
/// What is written at once lies in one page, and lines that fit into what is left of it are put behind.
const PAGE_BYTES: usize = 4096;
const POLL: Duration = Duration::from_millis(5);

/// Runs a command and kills it when it writes the line with this number (from 0) of those that it wrote in a whole
/// run. Returns the lines before that one.
///
/// # Errors
/// When it ends before that line, or does not come to it in time.
pub fn kill_at_line(run: &Run, whole: &[String], number: usize) -> Result<Vec<String>, Failure> {
    let before: usize = whole.iter().take(number).map(|line| line.len() + 1).sum();
    let own = whole.get(number).map_or(0, String::len);
    // Half of the line: numbers in the lines before may be some digits longer than they were.
    let free = before + own / 2;
    if free >= PAGE_BYTES || own < 20 {
        return Err(Failure::new("the lines do not fit into one page"));
    }
    let (mut reader, mut writer) = std::io::pipe()?;
    for _ in 1..PIPE_BYTES / PAGE_BYTES {
        writer.write_all(&[b'\n'; PAGE_BYTES])?;
    }
    writer.write_all(&vec![b'\n'; PAGE_BYTES - free])?;
    let mut child = run
        .command(&[])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(writer)
        .spawn()?;
    let began = Instant::now();
    let ended = loop {
        if let Some(status) = child.try_wait()? {
            break Some(status);
        }
        if is_blocked(child.id()) || began.elapsed() > PATIENCE {
            break None;
        }
        std::thread::sleep(POLL);
    };
    signal("KILL", &format!("-{}", child.id()));
    child.wait()?;
    let mut reported = String::new();
    reader.read_to_string(&mut reported)?;
    let reported: Vec<String> = reported
        .lines()
        .filter(|line| !line.is_empty())
        .map(str::to_owned)
        .collect();
    if ended.is_none() && began.elapsed() <= PATIENCE && reported.len() == number {
        return Ok(reported);
    }
    Err(Failure::new(format!(
        "`{}` was to be killed at line {number} of {whole:?}, but ended as {ended:?} after {reported:?}",
        run.line()
    )))
}

/// Whether the process waits to write into a pipe.
fn is_blocked(pid: u32) -> bool {
    let wchan = std::fs::read_to_string(format!("/proc/{pid}/wchan")).unwrap_or_default();
    wchan.ends_with("pipe_write")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_killed_between_its_steps() {
        let folder = tempfile::tempdir().unwrap();
        let script =
            "for n in 1 2 3; do touch step-$n; echo \"the step $n of this program\" >&2; done";
        let run =
            Run::here("/bin/sh").args(["-c", &format!("cd {}; {script}", folder.path().display())]);
        let whole: Vec<String> = (1..=3)
            .map(|n| format!("the step {n} of this program"))
            .collect();
        for number in 0..3 {
            for n in 1..=3 {
                let _ = std::fs::remove_file(folder.path().join(format!("step-{n}")));
            }
            let reported = kill_at_line(&run, &whole, number).unwrap();
            assert_eq!(reported, whole[..number]);
            let done = std::fs::read_dir(folder.path()).unwrap().count();
            assert_eq!(done, number + 1, "the step itself was done, and no other");
        }
        let silent = Run::here("/bin/true");
        assert!(kill_at_line(&silent, &whole, 1).is_err());
    }
}
