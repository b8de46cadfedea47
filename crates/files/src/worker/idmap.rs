//! The ranges of local ids, reserved before winbindd allocates any: all hosts of a tenant map a user to the same id, regardless
//! of the order in which users connect, and so can share one file system.
//!
//! `autorid` maps a SID to the start of its domain's range plus its RID. A range has 1,000,000 ids. Ranges 0 to 2 are those of
//! Samba's own allocations, of the built-in domain and of the tenant; from 8 on each AD domain has four, for RIDs up to
//! 4,000,000, by the number that the tenant assigned to it. The ranges that autorid allocates itself follow all of these.

use super::samba;
use crate::error::FilesError;
use crossrealm_api::HostState;
use std::collections::BTreeSet;

/// The range settings of `smb.conf`, in autorid's form.
const CONFIG: &str = "minvalue:100000000 rangesize:1000000 maxranges:1900";
/// The first range of AD domains.
const FIRST: u32 = 8;
/// How many ranges each domain has.
const PER_DOMAIN: u32 = 4;
/// A range of a domain that does not exist, so that autorid's own allocations are above it.
const LAST: u32 = 1023;

/// One range: its number, the SID of its domain, and its index among the domain's ranges.
type Range = (u32, String, u32);

/// Reserves the ranges of all domains of the state. Returns the failures, as texts.
///
/// # Errors
///
/// [`FilesError::Program`] where Samba's `net` does not work at all.
pub(super) async fn reserve(state: &HostState) -> Result<Vec<String>, FilesError> {
    samba::run("net", &["idmap", "set", "config", CONFIG]).await?;
    let existing = parse_ranges(&samba::run("net", &["idmap", "get", "ranges"]).await?);
    let mut problems = Vec::new();
    for (number, owner, index) in wanted(state, &mut problems) {
        let name = key(&owner, index);
        if existing.contains(&(number, name.clone())) {
            continue;
        }
        let (number, index) = (number.to_string(), index.to_string());
        let args = ["idmap", "set", "range", &number, &owner, &index];
        // ALLOC is not a SID and has one range.
        let args = if owner == "ALLOC" {
            &args[..5]
        } else {
            &args[..]
        };
        if let Err(error) = samba::run("net", args).await {
            problems.push(format!(
                "range {number} of local ids, which other hosts map `{name}` to, cannot be reserved: {error}"
            ));
        }
    }
    Ok(problems)
}

fn wanted(state: &HostState, problems: &mut Vec<String>) -> Vec<Range> {
    let mut all = vec![
        (0, "ALLOC".to_owned(), 0),
        (1, "S-1-5-32".to_owned(), 0),
        (2, state.tenant.sid.to_string(), 0),
        (LAST, "S-1-5-21-0-0-0".to_owned(), 0),
    ];
    for domain in &state.domains {
        let first = domain
            .id_range
            .and_then(|number| number.checked_mul(PER_DOMAIN)?.checked_add(FIRST))
            .filter(|first| first + PER_DOMAIN <= LAST);
        match first {
            Some(first) => all.extend((0..PER_DOMAIN).map(|i| (first + i, domain.sid.to_string(), i))),
            None => problems.push(format!(
                "domain `{}` has no reserved range of local ids: other hosts may map its users to other ids",
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
fn parse_ranges(text: &str) -> BTreeSet<(u32, String)> {
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
            sid: sid.parse().unwrap(),
            id_range,
        }
    }

    #[test]
    fn the_ranges_of_a_domain_depend_on_its_number_only() {
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
    fn existing_ranges_are_parsed() {
        let text = "RANGE 9: S-1-5-21-1-2-3#1\nRANGE 0: ALLOC\nnonsense\n";
        let expected = [(0, "ALLOC".to_owned()), (9, key("S-1-5-21-1-2-3", 1))];
        assert_eq!(parse_ranges(text), BTreeSet::from(expected));
    }
}
