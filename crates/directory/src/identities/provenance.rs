//! Where the attributes of an identity came from, and when.
//!
//! It is kept in one text with the identity, a line for all attributes that were last written together: a thousand
//! users of one run cost a line each, and an identity never has more lines than attributes.

use crate::clock::now_s;
use crate::names::visible;
use uuid::Uuid;

/// Attributes that were last written together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// Their names, as the API has them.
    pub attributes: Vec<String>,
    /// When, Unix seconds.
    pub changed_at: i64,
    /// The name of the token that wrote them.
    pub changed_by: String,
    /// The run of the sync agent, where it was one.
    pub run_id: Option<Uuid>,
}

/// What is stored once these attributes were written, now.
pub(crate) fn written(stored: &str, attributes: &[&str], by: &str, run: Option<Uuid>) -> String {
    let mut origins = parse(stored);
    for origin in &mut origins {
        origin
            .attributes
            .retain(|name| !attributes.contains(&name.as_str()));
    }
    origins.retain(|origin| !origin.attributes.is_empty());
    let names = attributes.iter().map(|name| (*name).to_owned());
    let now = Origin {
        attributes: Vec::new(),
        changed_at: now_s(),
        changed_by: visible(by),
        run_id: run,
    };
    let together = |origin: &&mut Origin| {
        (origin.changed_at, &origin.changed_by, origin.run_id)
            == (now.changed_at, &now.changed_by, now.run_id)
    };
    match origins.iter_mut().find(together) {
        Some(origin) => origin.attributes.extend(names),
        None => origins.push(Origin {
            attributes: names.collect(),
            ..now
        }),
    }
    origins.iter().map(line).collect()
}

/// What is stored, the oldest first. A line that cannot be read tells nothing.
pub(crate) fn parse(stored: &str) -> Vec<Origin> {
    stored.lines().filter_map(parse_line).collect()
}

fn line(origin: &Origin) -> String {
    let run = origin.run_id.map(|id| id.to_string());
    format!(
        "{} {} {} {}\n",
        origin.changed_at,
        run.as_deref().unwrap_or("-"),
        origin.attributes.join(","),
        origin.changed_by
    )
}

fn parse_line(line: &str) -> Option<Origin> {
    let mut parts = line.splitn(4, ' ');
    Some(Origin {
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
    fn each_attribute_has_its_last_origin() {
        let run = Uuid::from_u128(7);
        let first = written("", &["sid", "upn", "state"], "connector corp", Some(run));
        assert_eq!(first.lines().count(), 1);
        // Another run: what it wrote moves, the rest stays.
        let other = written(&first, &["upn"], "a name\nwith a line", None);
        let origins = parse(&other);
        assert_eq!(origins.len(), 2);
        assert_eq!(origins[0].attributes, ["sid", "state"]);
        assert_eq!(origins[0].run_id, Some(run));
        assert_eq!(origins[1].attributes, ["upn"]);
        assert_eq!(origins[1].changed_by, "a name\u{fffd}with a line");
        // All at once again: one line, however often.
        let mut all = other;
        for _ in 0..100 {
            all = written(&all, &["sid", "upn", "state"], "connector corp", Some(run));
        }
        assert_eq!(all.lines().count(), 1);
        assert_eq!(parse("nonsense\n1 - a\n"), []);
    }
}
