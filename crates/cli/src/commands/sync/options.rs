//! The options of `crossrealm sync`.

use crate::domain_credentials::SignInArgs;
use crate::failure::Failure;
use crate::hints;
use crossrealm_onprem::sync::{Scope, ScopeError, UserFilter};
use std::path::PathBuf;
use std::time::Duration;

/// Which AD domain is synchronized to which tenant.
#[derive(clap::Args, Clone, Debug)]
#[command(next_help_heading = "Domain options")]
pub(crate) struct SyncedDomainArgs {
    /// DNS name of the AD domain
    #[arg(long, value_name = "DOMAIN", required_unless_present = "join")]
    pub domain: Option<String>,
    /// Join file of `crossrealm connector create`, in place of `--domain`, a token and the options for the service
    #[arg(long, value_name = "FILE", conflicts_with_all = ["domain", "token_file"])]
    pub join: Option<PathBuf>,
    #[command(flatten)]
    pub sign_in: SignInArgs,
}

/// Which users and groups are synchronized.
#[derive(clap::Args, Clone, Debug)]
#[command(next_help_heading = "Scope options")]
pub(crate) struct ScopeArgs {
    /// Only objects below this organizational unit, by its DN (repeatable)
    #[arg(long, value_name = "DN")]
    scope_ou: Vec<String>,
    /// Only this group and its members, at any depth
    #[arg(long, value_name = "NAME")]
    scope_group: Option<String>,
    /// Only users that match this LDAP filter, such as `(department=Sales)`
    #[arg(long, value_name = "LDAP-FILTER")]
    scope_filter: Option<String>,
    /// Take the UPN from this attribute, such as `mail`, instead of `userPrincipalName`
    #[arg(long, value_name = "ATTRIBUTE")]
    upn_attribute: Option<String>,
    /// Include privileged accounts: members of Domain Admins and the like
    #[arg(long)]
    include_privileged: bool,
}

impl ScopeArgs {
    /// The scope.
    pub(crate) fn scope(&self) -> Result<Scope, Failure> {
        let refused =
            |error: ScopeError| Failure::new(error.to_string()).maybe_hint(hints::of_scope(&error));
        let filter = self.scope_filter.as_deref().map(UserFilter::parse);
        let scope = Scope {
            ous: self.scope_ou.clone(),
            group: self.scope_group.clone(),
            filter: filter.transpose().map_err(refused)?,
            upn_attribute: self.upn_attribute.clone(),
            include_privileged: self.include_privileged,
        };
        scope.check().map_err(refused)?;
        Ok(scope)
    }
}

/// What a run may delete.
#[derive(clap::Args, Clone, Copy, Debug)]
pub(crate) struct SafetyArgs {
    /// Let a run delete or disable up to N identities, with an administrator's sign-in; for a connector see
    /// `allow-deletions` [default: a tenth of them within an hour, at least 10 and at most 500]
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    pub accept_deletions: usize,
}

/// A time such as `30s`, `5m` or `1h`, from one second to one day.
pub(super) fn interval(text: &str) -> Result<Duration, String> {
    let (number, unit_s) = match text.char_indices().last() {
        Some((at, 's')) => (&text[..at], 1),
        Some((at, 'm')) => (&text[..at], 60),
        Some((at, 'h')) => (&text[..at], 3600),
        _ => return Err("expected a time such as `30s`, `5m` or `1h`".to_owned()),
    };
    let number: u64 = number
        .parse()
        .map_err(|_| "expected a time such as `30s`, `5m` or `1h`".to_owned())?;
    match number.checked_mul(unit_s) {
        Some(seconds @ 1..=86_400) => Ok(Duration::from_secs(seconds)),
        _ => Err("from one second to one day".to_owned()),
    }
}

/// An age such as `30d`, from one day to ten years.
pub(super) fn age(text: &str) -> Result<Duration, String> {
    let days = text
        .strip_suffix('d')
        .and_then(|number| number.parse::<u64>().ok());
    match days {
        Some(days @ 1..=3650) => Ok(Duration::from_secs(days * 24 * 3600)),
        _ => Err("expected a number of days such as `30d`, from `1d` to `3650d`".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_days() {
        assert_eq!(age("30d"), Ok(Duration::from_secs(30 * 86_400)));
        for bad in [
            "",
            "d",
            "30",
            "0d",
            "3651d",
            "-1d",
            "24h",
            "1.5d",
            "99999999999999999999d",
        ] {
            assert!(age(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn intervals_are_one_second_to_one_day() {
        assert_eq!(interval("30s"), Ok(Duration::from_secs(30)));
        assert_eq!(interval("5m"), Ok(Duration::from_secs(300)));
        assert_eq!(interval("24h"), Ok(Duration::from_secs(86_400)));
        for bad in [
            "",
            "s",
            "30",
            "-1s",
            "0s",
            "25h",
            "99999999999999999999h",
            "5ü",
        ] {
            assert!(interval(bad).is_err(), "{bad}");
        }
    }
}
