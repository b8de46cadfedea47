//! Times in the JSON that commands print for programs: all of them are RFC 3339 in UTC, to the millisecond.

use serde_json::Value;

/// The times of a value.
#[derive(Debug, Default)]
pub struct Times {
    /// How many are right.
    pub right: usize,
    /// What is wrong with the others.
    pub wrong: Vec<String>,
}

/// The times of a value, however deep.
pub fn times(value: &Value) -> Times {
    let mut times = Times::default();
    add("", value, &mut times);
    times
}

fn add(name: &str, value: &Value, times: &mut Times) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| add(name, item, times)),
        Value::Object(fields) => {
            for (name, field) in fields {
                add(name, field, times);
            }
        }
        Value::Number(number)
            if is_time(name) || looks_like_unix_time(value) && !name.ends_with("_bytes") =>
        {
            times.wrong.push(format!("`{name}` is the number {number}"));
        }
        Value::String(text) if is_timestamp(text) => times.right += 1,
        Value::String(text)
            if is_time(name) || text.get(10..11) == Some("T") && text.starts_with("20") =>
        {
            times.wrong.push(format!("`{name}` is `{text}`"));
        }
        _ => {}
    }
}

/// The fields whose values are times.
fn is_time(name: &str) -> bool {
    let ends = ["_at", "_on", "_until", "_from", "_since", "_expires"];
    // Microsoft's module calls the domain controller that changed the key so.
    let is_source = name == "key_updated_from";
    name == "at" || name == "until" || !is_source && ends.iter().any(|end| name.ends_with(end))
}

/// A number that is a time of these decades, in seconds or in milliseconds.
fn looks_like_unix_time(number: &Value) -> bool {
    let number = number.as_f64().unwrap_or_default();
    (1.5e9..4e9).contains(&number) || (1.5e12..4e12).contains(&number)
}

/// The one format: `2026-01-31T08:30:00.000Z`.
fn is_timestamp(text: &str) -> bool {
    let pattern = "dddd-dd-ddTdd:dd:dd.dddZ";
    let fits = |(c, p): (char, char)| if p == 'd' { c.is_ascii_digit() } else { c == p };
    text.len() == pattern.len() && text.chars().zip(pattern.chars()).all(fits)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_other_form_of_a_time_is_found() {
        let right = json!({"a": [{"created_at": "2026-01-31T08:30:00.000Z"}], "free_bytes": 1_700_000_000, "key_updated_from": "dc1.corp.contoso.com"});
        let found = times(&right);
        assert_eq!((found.right, found.wrong.len()), (1, 0), "{found:?}");
        for wrong in [
            json!({"created_at": 5}),
            json!([{"seen": 1_700_000_000}]),
            json!({"seen": 1_700_000_000_000_u64}),
            json!({"until": "yesterday"}),
            json!({"seen": "2026-01-31T08:30:00Z"}),
            json!({"seen": "2026-01-31T08:30:00.000+01:00"}),
        ] {
            let found = times(&wrong);
            assert_eq!((found.right, found.wrong.len()), (0, 1), "{wrong}");
        }
    }
}
