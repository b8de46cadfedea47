//! Validation of the service's state, before any of it becomes a path, a line of a configuration or an argument.

use crate::error::FilesError;
use crossrealm_api::{HostState, MAX_REFUSED_USERS};
use crossrealm_types::{AccountName, NetbiosName, Realm, ShareName};
use std::collections::BTreeSet;
use std::str::FromStr;

/// The most shares of one account.
const MAX_SHARES: usize = 5_000;
/// The most grants of one share: an ACL has at most 64 KiB, which is 1,800 entries; refused users take
/// [`MAX_REFUSED_USERS`].
const MAX_GRANTS: usize = 1_000;

/// Sections of `smb.conf` that are not shares.
const RESERVED: [&str; 3] = ["global", "homes", "printers"];

/// Checks the form of everything in the state that reaches a path, a configuration or a command line.
pub(crate) fn state(state: &HostState) -> Result<(), FilesError> {
    let checks = [
        (
            "a realm",
            is::<Realm>(&state.tenant.realm),
            &state.tenant.realm,
        ),
        (
            "a flat name",
            is::<NetbiosName>(&state.tenant.flat_name),
            &state.tenant.flat_name,
        ),
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
    let mut keys = BTreeSet::new();
    for share in &state.shares {
        let key = share_key(&share.name).ok_or_else(|| bad("a share name", &share.name))?;
        // Two shares would have one directory.
        if !keys.insert(key) {
            return Err(bad("a second share of this name", &share.name));
        }
        if share.grants.len() > MAX_GRANTS {
            return Err(bad("a share", &format!("{} grants", share.grants.len())));
        }
    }
    let reduced = state.shares.iter().map(|share| share.reduced_roles.len());
    let refused = state.revoked_users.len() + reduced.max().unwrap_or_default();
    if refused > MAX_REFUSED_USERS {
        return Err(bad("a list of users", &format!("{refused} users")));
    }
    Ok(())
}

/// Checks that the state is well-formed and of this account.
pub(crate) fn state_of(state: &HostState, account: &str) -> Result<(), FilesError> {
    if state.account.name != account {
        return Err(bad("another account", &state.account.name));
    }
    let mut servable = state.clone();
    remove_reserved_shares(&mut servable);
    self::state(&servable)
}

/// Removes the shares whose names are reserved in `smb.conf`, and returns these names.
pub(crate) fn remove_reserved_shares(state: &mut HostState) -> Vec<String> {
    let (allowed, removed) = std::mem::take(&mut state.shares)
        .into_iter()
        .partition(|share| !RESERVED.contains(&share.name.as_str()));
    state.shares = allowed;
    let removed: Vec<crossrealm_api::HostShare> = removed;
    removed.into_iter().map(|share| share.name).collect()
}

fn bad(what: &str, value: &str) -> FilesError {
    let shown: String = value.chars().take(80).collect();
    FilesError::BadState {
        what: what.to_owned(),
        reason: format!("{shown:?} is not allowed"),
    }
}

/// Whether the text is one of this type.
fn is<T: FromStr>(text: &str) -> bool {
    text.parse::<T>().is_ok()
}

/// Whether the text is the name of a storage account.
pub(crate) fn is_account_name(name: &str) -> bool {
    is::<AccountName>(name)
}

/// What a share's name is compared by, and its directory called; `None` if the text is no share's name.
pub(crate) fn share_key(name: &str) -> Option<String> {
    name.parse().ok().map(|name: ShareName| name.key())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crossrealm_types::Sid;

    #[test]
    fn a_share_name_cannot_leave_its_directory_or_line() {
        for (good, directory) in [
            ("abc", "abc"),
            ("HR", "hr"),
            ("Human Resources", "human resources"),
            ("O\u{308}ffentlich", "öffentlich"),
            ("$(reboot)", "$(reboot)"),
        ] {
            assert_eq!(share_key(good).unwrap(), directory);
        }
        for bad in [
            "", "..", "../x", "a/b", "-x", ".new-abc", "global]", "a\nb", "a%u", "homes ", "IPC$",
        ] {
            assert_eq!(share_key(bad), None, "{bad}");
        }
    }

    /// F12: a state that gives two shares one directory is refused as a whole.
    #[test]
    fn shares_whose_names_differ_in_case_alone_are_refused() {
        let state = |names: &[&str]| super::state(&crate::smbconf::tests::state(names));
        assert!(state(&["HR", "it"]).is_ok());
        let refused = state(&["HR", "hr"]).unwrap_err().to_string();
        assert!(refused.contains("a second share"), "{refused}");
    }

    #[test]
    fn a_sid_cannot_leave_its_entry() {
        for good in ["S-1-5-11", "S-1-5-21-1-2-3-1105", "S-1-1-0"] {
            assert!(is::<Sid>(good), "{good}");
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
            assert!(!is::<Sid>(bad), "{bad}");
        }
    }

    #[test]
    fn a_realm_or_flat_name_cannot_leave_its_line() {
        assert!(is::<Realm>("KERBEROS.CONTOSO.CLOUD.EXAMPLE"));
        assert!(!is::<Realm>("A\n include = /etc/x"));
        assert!(!is::<Realm>("A..B"));
        assert!(is::<NetbiosName>("CONTOSO-KRB"));
        assert!(!is::<NetbiosName>("SIXTEEN-LETTERS-"));
        assert!(!is::<NetbiosName>("%u"));
    }
}
