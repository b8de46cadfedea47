//! The ranges of local ids, fixed before winbindd gives out any: so that all hosts of a tenant give a user the same id,
//! in whatever order users come, and may share one file system.
//!
//! `autorid` maps a SID to the start of its domain's range plus its RID. Ranges have 1,000,000 ids. Numbers 0 to 2 are
//! those of Samba's own allocations, of the built-in domain and of the tenant; from 8 on each AD domain has four, for RIDs
//! up to 4,000,000, by the number the tenant gave it. What autorid hands out itself comes behind all of these.

use super::apply::samba;
use crate::error::FilesError;
use crossrealm_api::HostState;
use std::collections::BTreeSet;

/// What `smb.conf` says, in autorid's own words.
const CONFIG: &str = "minvalue:100000000 rangesize:1000000 maxranges:1900";
/// The first range of AD domains.
const FIRST: u32 = 8;
/// How many ranges each has.
const EACH: u32 = 4;
/// The number that is taken by nobody, so that what autorid gives out itself is above it.
const LAST: u32 = 1023;

/// One range: its number, whose it is, and which of the domain's it is.
type Range = (u32, String, u32);

/// Fixes the ranges of all domains of the state. Returns what could not be done, in words.
///
/// # Errors
///
/// [`FilesError::Program`] where Samba's `net` does not work at all.
pub(super) async fn seed(state: &HostState) -> Result<Vec<String>, FilesError> {
    samba("net", &["idmap", "set", "config", CONFIG]).await?;
    let there = there(&samba("net", &["idmap", "get", "ranges"]).await?);
    let mut problems = Vec::new();
    for (number, owner, index) in wanted(state, &mut problems) {
        let name = key(&owner, index);
        if there.contains(&(number, name.clone())) {
            continue;
        }
        let (number, index) = (number.to_string(), index.to_string());
        let args = ["idmap", "set", "range", &number, &owner, &index];
        // ALLOC is no SID and has one range.
        let args = if owner == "ALLOC" {
            &args[..5]
        } else {
            &args[..]
        };
        if let Err(error) = samba("net", args).await {
            problems.push(format!(
                "`{name}` does not get range {number} of local ids, which other hosts give it: {error}"
            ));
        }
    }
    Ok(problems)
}

fn wanted(state: &HostState, problems: &mut Vec<String>) -> Vec<Range> {
    let mut all = vec![
        (0, "ALLOC".to_owned(), 0),
        (1, "S-1-5-32".to_owned(), 0),
        (2, state.tenant.sid.clone(), 0),
        (LAST, "S-1-5-21-0-0-0".to_owned(), 0),
    ];
    for domain in &state.domains {
        let first = domain
            .id_range
            .and_then(|number| number.checked_mul(EACH)?.checked_add(FIRST))
            .filter(|first| first + EACH <= LAST);
        match first {
            Some(first) => all.extend((0..EACH).map(|i| (first + i, domain.sid.clone(), i))),
            None => problems.push(format!(
                "domain `{}` has no fixed range of local ids: other hosts may give its users other ids",
                domain.dns_name
            )),
        }
    }
    all
}

/// A range's owner as autorid writes it.
fn key(owner: &str, index: u32) -> String {
    match index {
        0 => owner.to_owned(),
        index => format!("{owner}#{index}"),
    }
}

/// The ranges in the answer of `net idmap get ranges`: lines `RANGE 8: S-1-5-21-…`.
fn there(text: &str) -> BTreeSet<(u32, String)> {
    let range = |line: &str| {
        let (number, owner) = line.strip_prefix("RANGE ")?.split_once(": ")?;
        Some((number.parse().ok()?, owner.trim().to_owned()))
    };
    text.lines().filter_map(range).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::smbconf::tests::state;
    use crossrealm_api::HostDomain;

    fn domain(sid: &str, id_range: Option<u32>) -> HostDomain {
        HostDomain {
            dns_name: "corp.contoso.com".into(),
            flat_name: "CORP".into(),
            sid: sid.into(),
            id_range,
        }
    }

    #[test]
    fn domains_have_their_own_ranges_by_their_number_alone() {
        let mut state = state(&[]);
        state.domains = vec![
            domain("S-1-5-21-9-9-9", Some(1)),
            domain("S-1-5-21-8-8-8", Some(0)),
            domain("S-1-5-21-7-7-7", None),
            domain("S-1-5-21-6-6-6", Some(u32::MAX)),
            domain("S-1-5-21-5-5-5", Some(253)),
        ];
        let mut problems = Vec::new();
        let ranges = wanted(&state, &mut problems);
        assert_eq!(problems.len(), 3, "{problems:?}");
        let of = |sid: &str| -> Vec<(u32, u32)> {
            let own = ranges.iter().filter(|(_, owner, _)| owner == sid);
            own.map(|(number, _, index)| (*number, *index)).collect()
        };
        assert_eq!(of("S-1-5-21-8-8-8"), [(8, 0), (9, 1), (10, 2), (11, 3)]);
        assert_eq!(of("S-1-5-21-9-9-9")[0], (12, 0));
        let numbers: BTreeSet<u32> = ranges.iter().map(|(number, ..)| *number).collect();
        assert_eq!(numbers.len(), ranges.len());
    }

    #[test]
    fn ranges_that_are_there_are_known() {
        let text = "RANGE 9: S-1-5-21-1-2-3#1\nRANGE 0: ALLOC\nnonsense\n";
        let expected = [(0, "ALLOC".to_owned()), (9, key("S-1-5-21-1-2-3", 1))];
        assert_eq!(there(text), BTreeSet::from(expected));
    }
}
