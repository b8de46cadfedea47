//! Text that a client sent, as it may be logged: the only form in which it may.

use std::fmt::{self, Display, Write as _};

/// The most that is logged of a text, in bytes.
const MAX: usize = 200;

/// Shows a text with control and other invisible characters escaped, in at most [`MAX`] bytes and an ellipsis.
pub(crate) struct ClientText<'a>(pub(crate) &'a str);

impl Display for ClientText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut left = MAX;
        for c in self.0.chars() {
            // An apostrophe is harmless, and common in names.
            let escaped = c.escape_debug().skip(usize::from(c == '\''));
            let len: usize = escaped.clone().map(char::len_utf8).sum();
            if len > left {
                return f.write_char('…');
            }
            left -= len;
            for c in escaped {
                f.write_char(c)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// S5
    #[test]
    fn text_is_cut_between_characters_and_escaped() {
        let shown = |text: &str| ClientText(text).to_string();
        assert_eq!(shown("O'Brien@CONTOSO"), "O'Brien@CONTOSO");
        assert_eq!(
            shown("a\u{1b}[31m\n\"\u{202e}"),
            r#"a\u{1b}[31m\n\"\u{202e}"#
        );
        for text in ["x".repeat(100_000), "ö".repeat(999), "\u{1}".repeat(999)] {
            let shown = shown(&text);
            assert!(
                (MAX - 8..=MAX + '…'.len_utf8()).contains(&shown.len()),
                "{shown}"
            );
            assert!(shown.ends_with('…'));
        }
    }
}
