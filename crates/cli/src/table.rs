//! Text for people, laid out for a width: aligned columns, lines of a record, and wrapped text.
//!
//! Without a width, a list is one line for each row, for `grep` and `awk`. With the width of a terminal, columns that would not
//! fit stand below their row, each with its heading, and nothing is cut off: what is shown is the same.

use unicode_width::UnicodeWidthStr as _;

/// Between two columns.
const GAP: &str = "  ";
/// Before the values below a row, and before the second line of a wrapped text.
const INDENT: &str = "    ";
/// What stands in a column of a list for no value: an empty cell would shift the ones behind it where a script splits the line.
const NOTHING: &str = "-";

/// A list with a heading for each column and as many cells in each row, ends of lines included.
pub(crate) fn list(headings: &[String], rows: &[Vec<String>], width: Option<usize>) -> String {
    let widths: Vec<usize> = (0..headings.len())
        .map(|column| column_width(headings, rows, column))
        .collect();
    let beside = beside(&widths, rows, width);
    let mut text = line(&beside, &widths, |column| heading(headings, column));
    for row in rows {
        text += &line(&beside, &widths, |column| match cell(row, column) {
            "" => NOTHING.to_owned(),
            value => value.to_owned(),
        });
        let below = (0..headings.len()).filter(|column| !beside.contains(column));
        let below = below.filter(|column| !cell(row, *column).is_empty());
        let values = below.map(|column| {
            let name = headings.get(column).map(String::as_str).unwrap_or_default();
            format!("{name}: {}", cell(row, column))
        });
        text += &packed(values, width);
    }
    text
}

/// The lines of a record, `Name : value`, ends of lines included.
pub(crate) fn record(lines: &[(String, String)], width: Option<usize>) -> String {
    let names = lines
        .iter()
        .map(|(name, _)| name.width())
        .max()
        .unwrap_or(0);
    let hanging = " ".repeat(names + 3);
    let line = |(name, value): &(String, String)| {
        let colon = if name.is_empty() { "  " } else { " :" };
        let padding = " ".repeat(names.saturating_sub(name.width()));
        let first = format!("{name}{padding}{colon} ");
        let value = wrapped(
            value,
            width.map(|width| width.saturating_sub(hanging.len())),
        );
        let text = first + &value.join(&format!("\n{hanging}"));
        text.trim_end().to_owned() + "\n"
    };
    lines.iter().map(line).collect()
}

/// One line of text, wrapped between words; the end of a line included.
pub(crate) fn paragraph(text: &str, width: Option<usize>) -> String {
    let inner = width.map(|width| width.saturating_sub(INDENT.len()));
    wrapped(text, inner).join(&format!("\n{INDENT}")) + "\n"
}

/// One line of text, wrapped between words; every further line begins with this many spaces.
pub(crate) fn hanging(text: &str, spaces: usize, width: Option<usize>) -> String {
    let words = text.trim_start_matches(' ');
    let indent = " ".repeat(text.len().saturating_sub(words.len()));
    let lines = wrapped(words, width.map(|width| width.saturating_sub(spaces)));
    let joint = format!("\n{}", " ".repeat(spaces));
    format!("{indent}{}\n", lines.join(&joint))
}

/// The columns that stand beside each other: all, or as many as fit, where empty columns come last.
fn beside(widths: &[usize], rows: &[Vec<String>], width: Option<usize>) -> Vec<usize> {
    let all: Vec<usize> = (0..widths.len()).collect();
    let Some(width) = width else {
        return all;
    };
    let of = |column: &usize| widths.get(*column).copied().unwrap_or_default();
    let fits = |columns: &[usize]| {
        let gaps = columns.len().saturating_sub(1) * GAP.len();
        columns.iter().map(of).sum::<usize>() + gaps <= width
    };
    if fits(&all) {
        return all;
    }
    let is_empty = |column: usize| rows.iter().all(|row| cell(row, column).is_empty());
    let mut chosen: Vec<usize> = Vec::new();
    for column in all.into_iter().filter(|column| !is_empty(*column)) {
        chosen.push(column);
        if chosen.len() > 1 && !fits(&chosen) {
            chosen.pop();
        }
    }
    chosen
}

fn column_width(headings: &[String], rows: &[Vec<String>], column: usize) -> usize {
    let cells = rows.iter().map(|row| cell(row, column).width());
    let heading = heading(headings, column).width();
    cells.chain([heading]).max().unwrap_or(0)
}

fn heading(headings: &[String], column: usize) -> String {
    let heading = headings.get(column).map(String::as_str);
    heading.unwrap_or_default().to_uppercase()
}

fn cell(row: &[String], column: usize) -> &str {
    row.get(column).map(String::as_str).unwrap_or_default()
}

fn line(columns: &[usize], widths: &[usize], text: impl Fn(usize) -> String) -> String {
    let mut line = String::new();
    for column in columns {
        let text = text(*column);
        let width = widths.get(*column).copied().unwrap_or_default();
        let padding = width.saturating_sub(text.width());
        line += &text;
        line += &" ".repeat(padding);
        line += GAP;
    }
    line.trim_end().to_owned() + "\n"
}

/// Values below a row: as many in a line as fit, and one that does not fit wrapped.
fn packed(values: impl Iterator<Item = String>, width: Option<usize>) -> String {
    let inner = width.map(|width| width.saturating_sub(INDENT.len()));
    let mut lines: Vec<String> = Vec::new();
    for value in values {
        let most = inner.unwrap_or(usize::MAX);
        match lines.last_mut() {
            Some(last) if last.width() + GAP.len() + value.width() <= most => {
                last.push_str(GAP);
                last.push_str(&value);
            }
            _ => {
                let hanging = inner.map(|inner| inner.saturating_sub(GAP.len()));
                let mut pieces = wrapped(&value, hanging).into_iter();
                lines.extend(pieces.next());
                lines.extend(pieces.map(|piece| format!("{GAP}{piece}")));
            }
        }
    }
    let lines = lines.into_iter().map(|line| format!("{INDENT}{line}\n"));
    lines.collect()
}

/// A text in lines of at most this width, split between words. A longer word stays whole: one that is copied from the
/// terminal must be what it was.
fn wrapped(text: &str, width: Option<usize>) -> Vec<String> {
    let Some(width) = width else {
        return vec![text.to_owned()];
    };
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let Some(last) = lines.last_mut() else {
            continue;
        };
        if last.is_empty() {
            last.push_str(word);
        } else if last.width() + 1 + word.width() <= width {
            last.push(' ');
            last.push_str(word);
        } else {
            lines.push(word.to_owned());
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }

    fn example() -> (Vec<String>, Vec<Vec<String>>) {
        let headings = texts(&["At", "Outcome", "User", "Reason", "Empty", "Detail"]);
        let long = "the ticket is not yet valid: it begins in nine minutes, and the clocks may differ by five";
        let rows = vec![
            texts(&[
                "2026-01-31T08:30:00Z",
                "refused",
                "alice@corp.contoso.com",
                "clock-skew",
                "",
                long,
            ]),
            texts(&[
                "2026-01-31T08:31:00Z",
                "done",
                "m\u{fc}ller@corp.contoso.com",
                "",
                "",
                "",
            ]),
        ];
        (headings, rows)
    }

    /// F18: a list fits every terminal, and loses nothing.
    #[test]
    fn f18_a_list_fits_every_width() {
        let (headings, rows) = example();
        for width in [40, 60, 80, 100, 132, 200] {
            let text = list(&headings, &rows, Some(width));
            let longest = text.lines().map(|line| line.width()).max().unwrap();
            assert!(longest <= width, "{longest} > {width}:\n{text}");
            let flat: Vec<&str> = text.split_whitespace().collect();
            for value in rows.iter().flatten().flat_map(|cell| cell.split(' ')) {
                assert!(
                    value.is_empty() || flat.contains(&value),
                    "{value}:\n{text}"
                );
            }
        }
        assert_eq!(
            list(&headings, &rows, Some(80)),
            "AT                    OUTCOME  USER                     REASON\n\
             2026-01-31T08:30:00Z  refused  alice@corp.contoso.com   clock-skew\n    \
             Detail: the ticket is not yet valid: it begins in nine minutes, and the\n      \
             clocks may differ by five\n\
             2026-01-31T08:31:00Z  done     m\u{fc}ller@corp.contoso.com  -\n"
        );
    }

    /// F18: no cell of a list is blank, and without a width each row is one line.
    #[test]
    fn f18_rows_without_a_width_are_one_line_without_blank_cells() {
        let (headings, rows) = example();
        let text = list(&headings, &rows, None);
        assert_eq!(text.lines().count(), 3);
        let last: Vec<&str> = text.lines().last().unwrap().split_whitespace().collect();
        assert_eq!(last.len(), headings.len());
        assert_eq!(last[3..], ["-", "-", "-"]);
    }

    /// F18: values of a record are wrapped below each other, and a long word stays whole.
    #[test]
    fn f18_a_record_fits_the_width() {
        let url = "https://login.cloud.example:443/00000000-0000-0000-0000-000000000001/kerberos";
        let lines = [
            ("Url".to_owned(), url.to_owned()),
            (
                "Names".to_owned(),
                "one.example, two.example, three.example".to_owned(),
            ),
            ("None".to_owned(), String::new()),
        ];
        assert_eq!(
            record(&lines, Some(40)),
            format!(
                "Url   : {url}\nNames : one.example, two.example,\n        three.example\nNone  :\n"
            )
        );
        assert_eq!(record(&lines[2..], None), "None :\n");
        assert_eq!(
            paragraph("one two three", Some(9)),
            "one\n    two\n    three\n"
        );
    }
}
