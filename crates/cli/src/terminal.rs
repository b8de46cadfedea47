//! The one way to the terminal: all text passes [`crate::sanitize`]. Nothing else in this crate writes to stdout or stderr, which
//! `crates/cli/clippy.toml` forbids.

use crate::failure::Failure;
use crate::sanitize::{lines, one_line};
use std::fmt;
use std::io::{self, ErrorKind, IsTerminal as _, Write};

/// Writes a line to stderr: the arguments of `format!`.
macro_rules! say {
    ($($argument:tt)*) => {
        $crate::terminal::line(::std::format_args!($($argument)*))
    };
}
pub(crate) use say;

/// Writes text to stdout. A closed pipe ends the command and is not a failure.
pub(crate) fn write_stdout(text: &str) -> Result<(), Failure> {
    write_bytes(lines(text).as_bytes())
}

/// Writes the bytes of a file that was asked for to stdout, as they are.
#[allow(clippy::disallowed_methods, reason = "the one way to stdout")]
pub(crate) fn write_bytes(bytes: &[u8]) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => std::process::exit(0),
        Err(error) => Err(Failure::new(format!("cannot write to stdout: {error}"))),
        Ok(()) => Ok(()),
    }
}

/// Writes a line to stderr, in one write: a program that follows the output sees whole lines. See [`say!`].
pub(crate) fn line(text: fmt::Arguments<'_>) {
    raw_stderr(&(lines(&text.to_string()) + "\n"));
}

/// Writes text to stderr without an end of line: a question.
pub(crate) fn ask(text: &str) {
    raw_stderr(&lines(text));
}

/// Shows a status in the terminal's current line, in place of the one before.
pub(crate) fn overwrite(status: &str) {
    raw_stderr(&format!("\r\u{1b}[K{}", one_line(status)));
}

/// Whether stderr is a terminal.
#[allow(clippy::disallowed_methods, reason = "the one way to stderr")]
pub(crate) fn stderr_is_terminal() -> bool {
    io::stderr().is_terminal()
}

#[allow(clippy::disallowed_methods, reason = "the one way to stderr")]
fn raw_stderr(text: &str) {
    let mut stderr = io::stderr().lock();
    // A closed stderr must not stop the work.
    let _ = stderr.write_all(text.as_bytes());
    let _ = stderr.flush();
}

/// Where log lines go. Values in them come from the same places as all other text.
pub(crate) struct Log;

impl Write for Log {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        raw_stderr(&lines(&String::from_utf8_lossy(line)));
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
