//! What commands print: the same facts as a table for people or as JSON for programs.
//!
//! A command passes the value that the API returned and names its columns by JSON pointer (RFC 6901). Both formats are
//! rendered from that one value, so that a table cannot show anything that the JSON does not. All data goes to stdout,
//! nothing else does; a reader that closes the pipe (`| head`) ends the command without an error.
//!
//! In JSON a list is an array, and every time is a [`Timestamp`]: RFC 3339 in UTC, to the millisecond. Tables show times to the
//! second, and fit the terminal ([`crate::table`]).

use crate::failure::Failure;
use crate::sanitize::{escaped_json, one_line};
use crate::table;
use crate::terminal::{say, stdout_width, write_stdout};
use crossrealm_types::Timestamp;
use serde::{Serialize, Serializer};
use serde_json::{Value, json};

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

/// A column with a time, shown as RFC 3339 in UTC to the second.
pub(crate) const fn time_column(heading: &'static str, pointer: &'static str) -> Column {
    shown(heading, pointer, time)
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
                table::paragraph(&cells.join("  "), stdout_width())
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

    /// Prints what a command did that leaves no object to show: a sentence, or a JSON object.
    pub(crate) fn done(self, done: &Done<'_>) -> Result<(), Failure> {
        match self {
            Self::Json => write_stdout(&json_text(&done.json())),
            Self::Table => write_stdout(&done.text(stdout_width())),
        }
    }

    /// A list as [`Format::list`] prints it.
    pub(crate) fn render_list(self, value: &Value, columns: &[Column]) -> String {
        match self {
            Self::Json => json_text(value),
            Self::Table => {
                let headings: Vec<String> = columns.iter().map(|c| c.heading.to_owned()).collect();
                let items = value.as_array().into_iter().flatten();
                let rows: Vec<Vec<String>> = items
                    .map(|item| columns.iter().map(|c| c.cell(item)).collect())
                    .collect();
                table::list(&headings, &rows, stdout_width())
            }
        }
    }

    fn render_record(self, value: &Value, columns: &[Column]) -> String {
        match self {
            Self::Json => json_text(value),
            Self::Table => {
                let lines: Vec<(String, String)> = columns
                    .iter()
                    .map(|c| (c.heading.to_owned(), c.cell(value)))
                    .collect();
                table::record(&lines, stdout_width())
            }
        }
    }
}

/// What a command did that leaves no object to show.
#[derive(Clone, Debug)]
pub(crate) struct Done<'a> {
    /// `deleted`, `removed` or `revoked`.
    pub action: &'static str,
    /// What kind of object it was done to: `share`, `host token`.
    pub object: &'static str,
    /// Its name or id.
    pub name: &'a str,
    /// What it was on: the share of a grant, the account of an alias.
    pub on: Option<&'a str>,
    /// What follows from it, as a clause.
    pub effect: &'static str,
}

impl Done<'_> {
    fn json(&self) -> Value {
        json!({
            "action": self.action,
            "object": self.object,
            "name": self.name,
            "on": self.on,
            "effect": Some(self.effect).filter(|effect| !effect.is_empty()),
        })
    }

    fn text(&self, width: Option<usize>) -> String {
        let (name, on) = (one_line(self.name), self.on.map(one_line));
        let mut text = format!("{} {} `{name}`", self.action, self.object);
        if let Some(on) = on {
            text += &format!(" on `{on}`");
        }
        if !self.effect.is_empty() {
            text += &format!("; {}", self.effect);
        }
        table::paragraph(&text, width)
    }
}

/// Fields with times in Unix seconds, in what SMB hosts and sync agents of earlier versions read and write too; their form
/// cannot change on the wire.
const UNIX_SECONDS: &[&str] = &[
    "confirmed_at",
    "created_at",
    "expires_at",
    "full_since",
    "last_seen_at",
    "last_success_at",
    "removal_begun_at",
    "retires_at",
];

/// Serializes a value of that kind with RFC 3339 in place of Unix seconds, for `serialize_with`.
pub(crate) fn with_times<T: Serialize, S: Serializer>(
    value: &T,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let mut value = serde_json::to_value(value).map_err(serde::ser::Error::custom)?;
    replace_times(&mut value);
    value.serialize(serializer)
}

fn replace_times(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(replace_times),
        Value::Object(fields) => {
            for (name, field) in fields {
                match field.as_i64() {
                    Some(at) if UNIX_SECONDS.contains(&name.as_str()) => {
                        *field = json!(Timestamp::from_unix(at));
                    }
                    _ => replace_times(field),
                }
            }
        }
        _ => {}
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

/// A time to the second.
pub(crate) fn time(value: &Value) -> String {
    let at = value
        .as_str()
        .and_then(|text| text.parse::<Timestamp>().ok());
    at.map(to_the_second).unwrap_or_default()
}

/// A time to the second, as RFC 3339.
pub(crate) fn to_the_second(at: Timestamp) -> String {
    let text = at.to_string();
    match text.rsplit_once('.') {
        Some((seconds, _)) => format!("{seconds}Z"),
        None => text,
    }
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
        assert_eq!(
            time(&json!("2023-11-14T22:13:20.500Z")),
            "2023-11-14T22:13:20Z"
        );
        assert_eq!(
            Format::Table.render_record(&item, COLUMNS),
            "Name    : contoso\nAliases :\nOn      : 3\n"
        );
    }

    /// F18: what hosts and agents read keeps its form on the wire, and is printed as every other time.
    #[test]
    fn f18_numbers_of_the_wire_are_printed_as_times() {
        #[derive(Serialize)]
        struct View {
            #[serde(serialize_with = "with_times")]
            trust: Value,
        }
        let keys = json!([{"version": 1, "created_at": 1, "retires_at": null}]);
        let trust = json!({"domain": "x", "created_at": 1_700_000_000, "keys": keys});
        let shown = serde_json::to_value(View { trust }).unwrap();
        assert_eq!(shown["trust"]["created_at"], "2023-11-14T22:13:20.000Z");
        assert_eq!(
            shown["trust"]["keys"],
            json!([{"version": 1, "created_at": "1970-01-01T00:00:01.000Z", "retires_at": null}])
        );
    }

    /// F18: a deletion is reported in both formats.
    #[test]
    fn f18_what_was_done_is_a_sentence_or_an_object() {
        let done = Done {
            action: "removed",
            object: "alias",
            name: "files.contoso.com",
            on: Some("acct1"),
            effect: "tickets for it are refused from now on",
        };
        assert_eq!(
            done.text(None),
            "removed alias `files.contoso.com` on `acct1`; tickets for it are refused from now on\n"
        );
        let json = done.json();
        assert_eq!(
            (&json["action"], &json["object"], &json["on"]),
            (&json!("removed"), &json!("alias"), &json!("acct1"))
        );
    }

    #[test]
    fn control_characters_never_reach_the_terminal() {
        let item = json!({"name": "x\u{1b}[2J\ny"});
        let text = Format::Table.render_record(&item, &[column("Name", "/name")]);
        assert_eq!(text, "Name : x\u{fffd}[2J\u{fffd}y\n");
    }
}
