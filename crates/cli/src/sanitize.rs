//! Text of a server, of AD or of a file can hold what controls a terminal, or what makes a line read as another one; none of it
//! passes.

use std::fmt::Write as _;

/// What stands for a character that is not shown.
const HIDDEN: char = '\u{fffd}';

/// Whether a terminal would obey the character, or show the text around it in another order or not at all: C0 and C1 controls
/// (U+009B begins a command as ESC [ does), separators of lines, the direction of writing (Unicode TR 36 §3.6), and tags.
fn is_hostile(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
            | '\u{e0000}'..='\u{e007f}')
}

/// The text with every hostile character replaced, but for the ends of lines and tabs: for text that this program laid out.
pub(crate) fn lines(text: &str) -> String {
    let shown = |c| match c {
        '\n' | '\t' => c,
        c if is_hostile(c) => HIDDEN,
        c => c,
    };
    text.chars().map(shown).collect()
}

/// The same in one line: for a name or a message that somebody else wrote, which must not add lines of its own.
pub(crate) fn one_line(text: &str) -> String {
    let shown = |c| if is_hostile(c) { HIDDEN } else { c };
    text.chars().map(shown).collect()
}

/// JSON text with every hostile character escaped, which changes no value: outside of strings there are none but ends of lines.
pub(crate) fn escaped_json(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' => escaped.push(c),
            c if is_hostile(c) => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    // Writing to a string does not fail.
                    let _ = write!(escaped, "\\u{unit:04x}");
                }
            }
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a hostile server sends: a command to the terminal by ESC and by U+009B, another order of the text, and another line.
    const HOSTILE: &str =
        "a\u{1b}[2J\u{9b}2J\u{7f}\u{202e}b\u{2066}\u{200f}\u{61c}c\u{2028}\u{feff}\u{e0041}\r";

    /// S14.
    #[test]
    fn s14_nothing_hostile_passes() {
        let shown = lines(HOSTILE);
        assert_eq!(shown.replace(HIDDEN, ""), "a[2J2Jbc");
        assert_eq!(
            lines("one\ttwo\nthree: M\u{fc}ller, \u{418}\u{432}\u{430}\u{43d}"),
            "one\ttwo\nthree: M\u{fc}ller, \u{418}\u{432}\u{430}\u{43d}"
        );
        assert_eq!(one_line("one\nhint: two\t"), "one\u{fffd}hint: two\u{fffd}");
    }

    /// S14: JSON keeps the value, and shows none of it.
    #[test]
    fn s14_json_is_escaped_without_a_change() {
        let value = serde_json::json!({ "name": HOSTILE, HOSTILE: [1] });
        let text = escaped_json(&format!("{value:#}\n"));
        assert_eq!(lines(&text), text);
        assert!(
            text.contains("\\u009b2J") && text.contains("\\udb40\\udc41"),
            "{text}"
        );
        let back: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(back, value);
    }
}
