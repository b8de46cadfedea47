//! What a preflight finds before the first change: every blocking finding at once, and notes.

use crossrealm_onprem::error::OnpremError;
use crossrealm_onprem::kerberos_server::preflight::Skew;
use crossrealm_onprem::trust::TrustRefusal;
use std::fmt;

/// One finding. The message names no option and no command: the caller knows its own, and adds the hint.
#[derive(Debug, thiserror::Error)]
pub enum Finding {
    /// No domain controller, or one of its ports, answers.
    #[error(transparent)]
    Unreachable(OnpremError),
    /// Two clocks are too far apart for Kerberos.
    #[error(transparent)]
    ClockSkew(Skew),
    /// The forest has no forest trusts.
    #[error("the forest functional level is below Windows Server 2003, which has no forest trusts")]
    ForestLevel,
    /// The domain's level is below the recommended one.
    #[error("the domain functional level is below Windows Server 2012; raise it when you can")]
    DomainLevel,
    /// The trust must not be set up as wanted.
    #[error(transparent)]
    Trust(#[from] TrustRefusal),
    /// The domain controller may not change a trust's names.
    #[error("`{host}` is not the PDC emulator of `{domain}`{}", primary_is(.primary.as_deref()))]
    NotPrimary {
        /// The domain controller.
        host: String,
        /// The domain.
        domain: String,
        /// The PDC emulator's name, where it is known.
        primary: Option<String>,
    },
    /// Something else has the name of the trust's account.
    #[error(
        "the account `{account}` has the name `{flat_name}$`, which the account of the trust gets"
    )]
    AccountNameTaken {
        /// Its name or DN.
        account: String,
        /// The tenant's flat name.
        flat_name: String,
    },
    /// AD serves a name itself that lies below a top-level name.
    #[error(
        "AD answers for `{service}` itself and refers no client to the tenant for it: the name belongs to `{owner}`"
    )]
    Shadowed {
        /// The service principal name.
        service: String,
        /// Which account has it.
        owner: String,
    },
    /// A key is too young to be rotated: tickets encrypted with the one before may still be in use.
    #[error(
        "{key} was made less than 24 hours ago; it may be rotated again in {}",
        span(*.wait_s)
    )]
    YoungKey {
        /// Which key.
        key: &'static str,
        /// The seconds until it may be rotated.
        wait_s: i64,
    },
    /// The signed-in account lacks a right.
    #[error("{0}")]
    MissingRight(String),
}

impl Finding {
    /// A short name, for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unreachable(_) => "unreachable",
            Self::ClockSkew(_) => "clock_skew",
            Self::ForestLevel => "forest_level",
            Self::DomainLevel => "domain_level",
            Self::Trust(refusal) => refusal.code(),
            Self::NotPrimary { .. } => "not_primary",
            Self::AccountNameTaken { .. } => "flat_name_taken",
            Self::Shadowed { .. } => "shadowed",
            Self::YoungKey { .. } => "young_key",
            Self::MissingRight(_) => "missing_right",
        }
    }
}

/// What a preflight found.
#[derive(Debug, Default)]
pub struct Findings {
    /// What blocks the change.
    pub findings: Vec<Finding>,
    /// What does not block it.
    pub notes: Vec<Finding>,
}

impl fmt::Display for Findings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, finding) in self.findings.iter().enumerate() {
            if index > 0 {
                f.write_str("; ")?;
            }
            write!(f, "{finding}")?;
        }
        Ok(())
    }
}

fn primary_is(primary: Option<&str>) -> String {
    primary.map_or_else(String::new, |primary| format!("; that is `{primary}`"))
}

/// Seconds in hours and minutes, rounded up.
fn span(seconds: i64) -> String {
    let minutes = seconds.div_euclid(60) + i64::from(seconds % 60 != 0);
    match (minutes / 60, minutes % 60) {
        (0, minutes) => format!("{minutes} min"),
        (hours, 0) => format!("{hours} h"),
        (hours, minutes) => format!("{hours} h {minutes} min"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_rounded_up_to_minutes() {
        assert_eq!(span(61), "2 min");
        assert_eq!(span(3660), "1 h 1 min");
        assert_eq!(span(82_800), "23 h");
    }
}
