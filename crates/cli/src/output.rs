//! What commands print: the same facts as a table for people or as JSON for programs.
//!
//! A command passes the value that the API returned and names its columns by JSON pointer (RFC 6901). Both formats are
//! rendered from that one value, so that a table cannot show anything that the JSON does not. All data goes to stdout,
//! nothing else does; a reader that closes the pipe (`| head`) ends the command without an error.

use crate::failure::Failure;
use crate::sanitize::{escaped_json, one_line};
use crate::terminal::{say, write_stdout};
use comfy_table::presets;
use comfy_table::{ContentArrangement, Table};
use serde::Serialize;
use serde_json::Value;
use time::format_description::well_known::Rfc3339;

/// The format of the output: aligned columns or `Name : value` lines, or one JSON document (for
/// `events --follow`: one per line).
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    // No doc comments: clap would give each its own paragraph in the help of every command.
    Table,
    Json,
}

/// One column of a list or one line of a record: its heading, the JSON pointer of its value, and how it is shown.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Column {
    heading: &'static str,
    pointer: &'static str,
    show: fn(&Value) -> String,
}

/// A column with the value at `pointer`, e.g. `column("Realm", "/realm")`.
pub(crate) const fn column(heading: &'static str, pointer: &'static str) -> Column {
    shown(heading, pointer, plain)
}

/// A column with a time in Unix seconds, shown as RFC 3339 in UTC.
pub(crate) const fn time_column(heading: &'static str, pointer: &'static str) -> Column {
    shown(heading, pointer, time)
}

/// A column with a time in Unix milliseconds, shown as RFC 3339 in UTC to the second.
pub(crate) const fn millisecond_time_column(
    heading: &'static str,
    pointer: &'static str,
) -> Column {
    shown(heading, pointer, |value| {
        value
            .as_i64()
            .map(|ms| rfc3339(ms.div_euclid(1000)))
            .unwrap_or_default()
    })
}

/// A column whose value is shown by `show`, which must add nothing to the value.
pub(crate) const fn shown(
    heading: &'static str,
    pointer: &'static str,
    show: fn(&Value) -> String,
) -> Column {
    Column {
        heading,
        pointer,
        show,
    }
}

/// A list inside a record, shown as a table of its own below the record's lines.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Section {
    /// Its heading.
    pub heading: &'static str,
    /// The JSON pointer of the list.
    pub pointer: &'static str,
    /// Its columns.
    pub columns: &'static [Column],
}

impl Format {
    /// Prints a list: a table with one row for each item, or a JSON array. An empty table prints `nothing` to stderr.
    pub(crate) fn list<T: Serialize>(
        self,
        items: &[T],
        columns: &[Column],
        nothing: &str,
    ) -> Result<(), Failure> {
        let value = to_value(&items)?;
        if self == Self::Table && items.is_empty() {
            say!("{nothing}");
            return Ok(());
        }
        write_stdout(&self.render_list(&value, columns))
    }

    /// Prints one item of an endless list: its columns separated by two spaces, or a JSON object on one line.
    pub(crate) fn line<T: Serialize>(self, item: &T, columns: &[Column]) -> Result<(), Failure> {
        let value = to_value(item)?;
        write_stdout(&match self {
            Self::Json => escaped_json(&format!("{value}\n")),
            Self::Table => {
                let cells = columns.iter().map(|c| c.cell(&value));
                let cells: Vec<String> = cells.filter(|cell| !cell.is_empty()).collect();
                cells.join("  ") + "\n"
            }
        })
    }

    /// Prints one object: `Name : value` lines, or a JSON object.
    pub(crate) fn record<T: Serialize>(self, item: &T, columns: &[Column]) -> Result<(), Failure> {
        let value = to_value(item)?;
        write_stdout(&self.render_record(&value, columns))
    }

    /// Prints one object with its lists: its lines and a table for each list that is not empty, or a JSON object.
    pub(crate) fn report<T: Serialize>(
        self,
        item: &T,
        columns: &[Column],
        sections: &[Section],
    ) -> Result<(), Failure> {
        let value = to_value(item)?;
        let mut text = self.render_record(&value, columns);
        if self == Self::Table {
            for section in sections {
                let list = value.pointer(section.pointer);
                let Some(list) = list.filter(|list| list.as_array().is_some_and(|l| !l.is_empty()))
                else {
                    continue;
                };
                text.push_str(&format!("\n{}:\n", section.heading));
                text.push_str(&self.render_list(list, section.columns));
            }
        }
        write_stdout(&text)
    }

    /// A list as [`Format::list`] prints it.
    pub(crate) fn render_list(self, value: &Value, columns: &[Column]) -> String {
        match self {
            Self::Json => json_text(value),
            Self::Table => {
                let mut table = Table::new();
                table
                    .load_style(presets::NOTHING)
                    .set_content_arrangement(ContentArrangement::Disabled)
                    .set_header(columns.iter().map(|c| c.heading.to_uppercase()));
                for item in value.as_array().into_iter().flatten() {
                    table.add_row(columns.iter().map(|c| c.cell(item)));
                }
                let lines = table.lines().map(|line| {
                    let line = line.trim_end();
                    line.strip_prefix(' ').unwrap_or(line).to_owned() + "\n"
                });
                lines.collect()
            }
        }
    }

    fn render_record(self, value: &Value, columns: &[Column]) -> String {
        match self {
            Self::Json => json_text(value),
            Self::Table => {
                let width = columns.iter().map(|c| c.heading.len()).max().unwrap_or(0);
                let lines = columns.iter().map(|c| {
                    let line = format!("{:width$} : {}", c.heading, c.cell(value));
                    line.trim_end().to_owned() + "\n"
                });
                lines.collect()
            }
        }
    }
}

fn to_value<T: Serialize>(item: &T) -> Result<Value, Failure> {
    serde_json::to_value(item)
        .map_err(|error| Failure::new(format!("cannot encode the answer as JSON: {error}")))
}

/// A value as JSON of several lines.
pub(crate) fn json_text(value: &Value) -> String {
    escaped_json(&format!("{value:#}\n"))
}

impl Column {
    /// The value of this column as one line of plain text.
    fn cell(&self, item: &Value) -> String {
        item.pointer(self.pointer)
            .map(|value| one_line(&(self.show)(value)))
            .unwrap_or_default()
    }
}

/// A time in Unix seconds as RFC 3339.
pub(crate) fn time(value: &Value) -> String {
    value.as_i64().map(rfc3339).unwrap_or_default()
}

fn rfc3339(seconds: i64) -> String {
    time::OffsetDateTime::from_unix_timestamp(seconds)
        .ok()
        .and_then(|at| at.format(&Rfc3339).ok())
        .unwrap_or_default()
}

/// A value as text: empty for `null`, `yes` or `no`, items separated by commas.
pub(crate) fn plain(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::Bool(yes) => if *yes { "yes" } else { "no" }.to_owned(),
        Value::Number(number) => number.to_string(),
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(plain).collect::<Vec<_>>().join(", "),
        Value::Object(_) => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const COLUMNS: &[Column] = &[
        column("Name", "/name"),
        column("Aliases", "/aliases"),
        column("On", "/on"),
    ];

    #[test]
    fn a_list_is_aligned_and_holds_the_values_of_the_json() {
        let items = json!([
            {"name": "acct1", "aliases": ["a.example", "b.example"], "on": true},
            {"name": "a-longer-name", "aliases": [], "on": false},
        ]);
        let table = Format::Table.render_list(&items, COLUMNS);
        let lines: Vec<&str> = table.lines().collect();
        assert_eq!(lines.len(), 3);
        assert!(lines[0].starts_with("NAME") && lines[0].ends_with("ON"));
        assert!(lines[1].contains("a.example, b.example") && lines[1].ends_with("yes"));
        assert_eq!(lines[0].find("ALIASES"), lines[1].find("a.example"));
        let back: Value = serde_json::from_str(&Format::Json.render_list(&items, COLUMNS)).unwrap();
        assert_eq!(back, items);
    }

    #[test]
    fn a_record_is_one_line_per_value_and_null_is_empty() {
        let item = json!({"name": "contoso", "aliases": null, "on": 3});
        assert_eq!(time(&json!(1_700_000_000)), "2023-11-14T22:13:20Z");
        assert_eq!(
            Format::Table.render_record(&item, COLUMNS),
            "Name    : contoso\nAliases :\nOn      : 3\n"
        );
    }

    #[test]
    fn control_characters_never_reach_the_terminal() {
        let item = json!({"name": "x\u{1b}[2J\ny"});
        let text = Format::Table.render_record(&item, &[column("Name", "/name")]);
        assert_eq!(text, "Name : x\u{fffd}[2J\u{fffd}y\n");
    }
}
