//! Why a run is a full sync instead of an incremental one.

use std::fmt;

/// Why a run is a full sync.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FullSyncReason {
    /// There is no sync cursor.
    NoCursor,
    /// It was asked for.
    Requested,
    /// The scope or another rule changed.
    Rules,
    /// Another domain controller, or the same one after a restore: USNs and cookies are valid at one database only.
    Controller(String),
    /// The domain controller does not accept the sync cursor.
    Refused(String),
    /// The domain controller's clock is behind the last run.
    Clock,
    /// The account gained (or lost) the right to read deleted objects.
    Deleted(bool),
    /// An organizational unit was moved or renamed, and the objects below it with it.
    Moved,
    /// A privileged group or the group of the scope changed.
    Groups,
    /// So much changed or failed that a full sync is faster.
    Many,
    /// The last full sync was long ago.
    Periodic,
    /// The tenant's database went back in time: it does not hold what the last runs wrote.
    TenantWentBack,
}

impl fmt::Display for FullSyncReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoCursor => f.write_str("there is no usable sync cursor of an earlier run"),
            Self::Requested => f.write_str("it was asked for"),
            Self::Rules => f.write_str("the scope or the domain's lockout policy changed"),
            Self::Controller(host) => {
                write!(
                    f,
                    "the last run read another domain controller, or `{host}` was restored"
                )
            }
            Self::Refused(text) => {
                write!(
                    f,
                    "the domain controller does not accept the sync cursor ({text})"
                )
            }
            Self::Clock => f.write_str("the domain controller's clock is behind the last run"),
            Self::Deleted(true) => f.write_str("this account sees deleted objects now"),
            Self::Deleted(false) => f.write_str("this account sees no deleted objects any more"),
            Self::Moved => f.write_str("an organizational unit was made, moved or renamed"),
            Self::Groups => {
                f.write_str("the members of a privileged group or of the scope's group changed")
            }
            Self::Many => f.write_str("so much changed or failed that it is the shorter way"),
            Self::Periodic => f.write_str("it was time for that"),
            Self::TenantWentBack => f.write_str(
                "the tenant's database went back in time and does not hold what was written",
            ),
        }
    }
}
