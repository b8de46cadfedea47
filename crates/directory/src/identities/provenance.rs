//! Where the attributes of an identity came from, and when.
//!
//! Stored as one text with the identity, a line for all attributes that were last written together: a thousand users of
//! one run cost a line each, and an identity never has more lines than attributes.

use crate::names::visible;
use crossrealm_os::clock::now_s;
use uuid::Uuid;

/// Attributes that were last written together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Provenance {
    /// Their names, as the API has them.
    pub attributes: Vec<String>,
    /// When, Unix seconds.
    pub changed_at: i64,
    /// The name of the token that wrote them.
    pub changed_by: String,
    /// The run of the sync agent that wrote them, if one did.
    pub run_id: Option<Uuid>,
}

/// The text to store after these attributes were written now.
pub(crate) fn written(stored: &str, attributes: &[&str], by: &str, run: Option<Uuid>) -> String {
    let mut entries = parse(stored);
    for entry in &mut entries {
        entry
            .attributes
            .retain(|name| !attributes.contains(&name.as_str()));
    }
    entries.retain(|entry| !entry.attributes.is_empty());
    let names = attributes.iter().map(|name| (*name).to_owned());
    let now = Provenance {
        attributes: Vec::new(),
        changed_at: now_s(),
        changed_by: visible(by),
        run_id: run,
    };
    let together = |entry: &&mut Provenance| {
        (entry.changed_at, &entry.changed_by, entry.run_id)
            == (now.changed_at, &now.changed_by, now.run_id)
    };
    match entries.iter_mut().find(together) {
        Some(entry) => entry.attributes.extend(names),
        None => entries.push(Provenance {
            attributes: names.collect(),
            ..now
        }),
    }
    entries.iter().map(line).collect()
}

/// The stored entries, the oldest first. Lines that cannot be parsed are skipped.
pub(crate) fn parse(stored: &str) -> Vec<Provenance> {
    stored.lines().filter_map(parse_line).collect()
}

fn line(entry: &Provenance) -> String {
    let run = entry.run_id.map(|id| id.to_string());
    format!(
        "{} {} {} {}\n",
        entry.changed_at,
        run.as_deref().unwrap_or("-"),
        entry.attributes.join(","),
        entry.changed_by
    )
}

fn parse_line(line: &str) -> Option<Provenance> {
    let mut parts = line.splitn(4, ' ');
    Some(Provenance {
        changed_at: parts.next()?.parse().ok()?,
        run_id: Uuid::parse_str(parts.next()?).ok(),
        attributes: parts.next()?.split(',').map(str::to_owned).collect(),
        changed_by: parts.next()?.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_attribute_has_its_last_writer() {
        let run = Uuid::from_u128(7);
        let first = written("", &["sid", "upn", "state"], "connector corp", Some(run));
        assert_eq!(first.lines().count(), 1);
        // Another run: what it wrote moves, the rest stays.
        let other = written(&first, &["upn"], "a name\nwith a line", None);
        let entries = parse(&other);
        assert_eq!(entries.len(), 2);
        assert_eq!(entries[0].attributes, ["sid", "state"]);
        assert_eq!(entries[0].run_id, Some(run));
        assert_eq!(entries[1].attributes, ["upn"]);
        assert_eq!(entries[1].changed_by, "a name\u{fffd}with a line");
        // All at once again: one line, however often.
        let mut all = other;
        for _ in 0..100 {
            all = written(&all, &["sid", "upn", "state"], "connector corp", Some(run));
        }
        assert_eq!(all.lines().count(), 1);
        assert_eq!(parse("nonsense\n1 - a\n"), []);
    }
}
