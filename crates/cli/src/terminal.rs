//! The one way to the terminal: all text passes [`crate::sanitize`]. Nothing else in this crate writes to stdout or stderr, which
//! `crates/cli/clippy.toml` forbids.

use crate::activity;
use crate::failure::Failure;
use crate::sanitize::{lines, one_line};
use std::fmt;
use std::io::{self, ErrorKind, IsTerminal as _, Write};

/// The least width that text is laid out for, in columns.
const MIN_WIDTH: usize = 20;

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
    let written = activity::suspended(|| {
        let mut stdout = io::stdout().lock();
        stdout.write_all(bytes).and_then(|()| stdout.flush())
    });
    match written {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => std::process::exit(0),
        Err(error) => Err(Failure::new(format!("cannot write to stdout: {error}"))),
        Ok(()) => Ok(()),
    }
}

/// How a piece of text stands out on a terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Style {
    Plain,
    Good,
    Bad,
    Notable,
    Faint,
}

impl Style {
    /// The parameter of its Select Graphic Rendition sequence (ECMA-48 8.3.117).
    fn code(self) -> Option<&'static str> {
        match self {
            Self::Plain => None,
            Self::Good => Some("1;32"),
            Self::Bad => Some("1;31"),
            Self::Notable => Some("1;33"),
            Self::Faint => Some("2"),
        }
    }
}

/// Text in pieces that stand out. The sequences for the terminal are put around text that was made harmless.
#[derive(Debug, Default)]
pub(crate) struct StyledText {
    pieces: Vec<(Style, String)>,
}

impl StyledText {
    /// Adds a piece of a line; what would end the line is replaced.
    pub(crate) fn add(&mut self, style: Style, text: &str) {
        self.pieces.push((style, one_line(text)));
    }

    /// Adds the rest of a line.
    pub(crate) fn end_line(&mut self, text: &str) {
        self.pieces.push((Style::Plain, one_line(text) + "\n"));
    }

    /// The text, with colours or without.
    pub(crate) fn render(&self, has_colours: bool) -> String {
        let shown = self.pieces.iter().map(|(style, text)| match style.code() {
            Some(code) if has_colours => format!("\u{1b}[{code}m{text}\u{1b}[0m"),
            _ => text.clone(),
        });
        shown.collect()
    }
}

/// Writes text to stdout, in colours if that is a terminal whose user did not decline them (`NO_COLOR`, no-color.org).
#[allow(clippy::disallowed_methods, reason = "the one way to stdout")]
pub(crate) fn write_styled(text: &StyledText) -> Result<(), Failure> {
    let is_set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let is_dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
    let has_colours = io::stdout().is_terminal() && !is_set("NO_COLOR") && !is_dumb;
    write_bytes(text.render(has_colours).as_bytes())
}

/// Writes a line to stderr, in one write: a program that follows the output sees whole lines. See [`say!`].
pub(crate) fn line(text: fmt::Arguments<'_>) {
    raw_stderr(&(lines(&text.to_string()) + "\n"));
}

/// Writes text to stderr without an end of line: a question.
pub(crate) fn ask(text: &str) {
    raw_stderr(&lines(text));
}

/// The width of the terminal that stdout is, in columns; `None` where it is none. `COLUMNS` takes precedence.
#[allow(clippy::disallowed_methods, reason = "the one way to stdout")]
pub(crate) fn stdout_width() -> Option<usize> {
    let set = std::env::var("COLUMNS").ok();
    let set = set.and_then(|columns| columns.trim().parse::<usize>().ok());
    let width = set.or_else(|| {
        let size = rustix::termios::tcgetwinsize(io::stdout()).ok()?;
        Some(usize::from(size.ws_col))
    });
    // A terminal that does not know its width says 0.
    width.filter(|width| *width >= MIN_WIDTH)
}

/// Whether stderr is a terminal.
#[allow(clippy::disallowed_methods, reason = "the one way to stderr")]
pub(crate) fn stderr_is_terminal() -> bool {
    io::stderr().is_terminal()
}

#[allow(clippy::disallowed_methods, reason = "the one way to stderr")]
fn raw_stderr(text: &str) {
    activity::suspended(|| {
        let mut stderr = io::stderr().lock();
        // A closed stderr must not stop the work.
        let _ = stderr.write_all(text.as_bytes());
        let _ = stderr.flush();
    });
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

#[cfg(test)]
mod tests {
    use super::*;

    /// S14, F13: text of others brings no sequence of its own, and has none where there are no colours.
    #[test]
    fn s14_colours_stand_around_harmless_text() {
        let mut text = StyledText::default();
        text.add(Style::Bad, "a\u{1b}[2J\nb");
        text.end_line("\u{9b}2J");
        assert_eq!(text.render(false), "a\u{fffd}[2J\u{fffd}b\u{fffd}2J\n");
        let coloured = text.render(true);
        assert!(coloured.starts_with("\u{1b}[1;31ma\u{fffd}[2J"));
        assert_eq!(coloured.matches('\u{1b}').count(), 2);
    }
}
