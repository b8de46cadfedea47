//! What the service says is checked before it becomes a path or a line of a configuration, whoever sent it.

use crate::error::FilesError;
use crossrealm_api::{HostState, MAX_BARRED};

/// The most shares of one account.
const MAX_SHARES: usize = 5_000;
/// The most grants of one share: an ACL cannot hold more than 64 KiB, which is 1,800 entries; users who are refused take
/// [`MAX_BARRED`].
const MAX_GRANTS: usize = 1_000;

/// Sections of `smb.conf` that are no shares.
const RESERVED: [&str; 3] = ["global", "homes", "printers"];

/// Whether everything in the state that reaches a path, a configuration or a command line has the form of its kind.
pub(crate) fn state(state: &HostState) -> Result<(), FilesError> {
    let checks = [
        (
            "a realm",
            is_domain_name(&state.tenant.realm),
            &state.tenant.realm,
        ),
        (
            "a flat name",
            is_flat_name(&state.tenant.flat_name),
            &state.tenant.flat_name,
        ),
        ("a domain SID", is_sid(&state.tenant.sid), &state.tenant.sid),
        (
            "an account name",
            is_account_name(&state.account.name),
            &state.account.name,
        ),
    ];
    for (what, good, value) in checks {
        if !good {
            return Err(bad(what, value));
        }
    }
    if state.shares.len() > MAX_SHARES {
        return Err(bad("an account", &format!("{} shares", state.shares.len())));
    }
    for share in &state.shares {
        if !is_share_name(&share.name) || RESERVED.contains(&share.name.as_str()) {
            return Err(bad("a share name", &share.name));
        }
        if share.grants.len() > MAX_GRANTS {
            return Err(bad("a share", &format!("{} grants", share.grants.len())));
        }
        if let Some(grant) = share.grants.iter().find(|grant| !is_sid(&grant.sid)) {
            return Err(bad("the SID of a grant", &grant.sid));
        }
    }
    let lowered = state.shares.iter().map(|share| share.lowered.len()).max();
    let refused = state.barred.len() + lowered.unwrap_or_default();
    if refused > MAX_BARRED {
        return Err(bad("a list of users", &format!("{refused} of them")));
    }
    let lowered = state.shares.iter().flat_map(|share| &share.lowered);
    let mut refused = state.barred.iter().chain(lowered.map(|role| &role.sid));
    if let Some(sid) = refused.find(|sid| !is_sid(sid)) {
        return Err(bad("the SID of a user", sid));
    }
    Ok(())
}

/// Whether the state is well-formed and that of this account.
pub(crate) fn state_of(state: &HostState, account: &str) -> Result<(), FilesError> {
    if state.account.name != account {
        return Err(bad("another account", &state.account.name));
    }
    let mut servable = state.clone();
    take_unservable(&mut servable);
    self::state(&servable)
}

/// Takes the shares out that Samba cannot serve, since their names mean something else to it, and names them.
pub(crate) fn take_unservable(state: &mut HostState) -> Vec<String> {
    let (kept, taken) = std::mem::take(&mut state.shares)
        .into_iter()
        .partition(|share| !RESERVED.contains(&share.name.as_str()));
    state.shares = kept;
    let taken: Vec<crossrealm_api::HostShare> = taken;
    taken.into_iter().map(|share| share.name).collect()
}

fn bad(what: &str, value: &str) -> FilesError {
    let shown: String = value.chars().take(80).collect();
    FilesError::BadState {
        what: what.to_owned(),
        reason: format!("{shown:?} is not allowed"),
    }
}

/// 3 to 24 lower-case letters and digits.
pub(crate) fn is_account_name(name: &str) -> bool {
    (3..=24).contains(&name.len())
        && name
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
}

/// 3 to 63 lower-case letters, digits and single inner hyphens.
pub(crate) fn is_share_name(name: &str) -> bool {
    (3..=63).contains(&name.len())
        && name
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        && !name.starts_with('-')
        && !name.ends_with('-')
        && !name.contains("--")
}

/// A DNS name or realm: labels of letters, digits and hyphens.
fn is_domain_name(name: &str) -> bool {
    name.len() <= 255
        && name.split('.').all(|label| {
            !label.is_empty()
                && label.len() <= 63
                && label
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b == b'-')
        })
}

/// A NetBIOS name that needs no quoting.
fn is_flat_name(name: &str) -> bool {
    (1..=15).contains(&name.len())
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

/// `S-1-` and 2 to 16 decimal numbers.
fn is_sid(text: &str) -> bool {
    let Some(rest) = text.strip_prefix("S-1-") else {
        return false;
    };
    let mut parts = rest.split('-');
    let authority = parts.next().is_some_and(|part| is_number(part, 15));
    let count = parts.clone().count();
    authority && (1..=15).contains(&count) && parts.all(|part| is_number(part, 10))
}

fn is_number(text: &str, digits: usize) -> bool {
    (1..=digits).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_share_names_become_folders() {
        for good in ["abc", "projects", "a-b-c", "2024"] {
            assert!(is_share_name(good), "{good}");
        }
        let long = "a".repeat(64);
        for bad in [
            "", "ab", &long, "..", "../x", "a/b", "A-share", "-abc", "abc-", "a--b", "global]",
            "a\nb", "a%u", "homes ", "ipc$", "möbel", ".abc",
        ] {
            assert!(!is_share_name(bad), "{bad}");
        }
    }

    #[test]
    fn only_sids_become_permissions() {
        for good in ["S-1-5-11", "S-1-5-21-1-2-3-1105", "S-1-1-0"] {
            assert!(is_sid(good), "{good}");
        }
        for bad in [
            "",
            "S-1-",
            "S-1-5",
            "S-1-5-",
            "S-1-5-x",
            "S-1-5-11)(A;;FA;;;WD",
            "WD",
            "S-1-5-11 ",
        ] {
            assert!(!is_sid(bad), "{bad}");
        }
    }

    #[test]
    fn realms_and_flat_names_stay_on_their_line() {
        assert!(is_domain_name("KERBEROS.CONTOSO.CLOUD.EXAMPLE"));
        assert!(!is_domain_name("A\n include = /etc/x"));
        assert!(!is_domain_name("A..B"));
        assert!(is_flat_name("CONTOSO-KRB"));
        assert!(!is_flat_name("SIXTEEN-LETTERS-"));
        assert!(!is_flat_name("%u"));
    }
}
