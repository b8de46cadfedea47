//! Why a run is a full sync and not an incremental one.

use std::fmt;

/// Why a run is a full sync: everything is read and compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FullSyncReason {
    /// Nothing was read before, or the sync cursor is lost.
    NoCursor,
    /// It was asked for.
    Requested,
    /// The scope or another rule changed.
    Rules,
    /// Another domain controller, or this one after a restore: positions do not carry over.
    Controller(String),
    /// The domain controller does not accept the sync cursor.
    Refused(String),
    /// The controller's clock is behind the last run.
    Clock,
    /// The account sees deleted objects now, or does not any more.
    Deleted(bool),
    /// An organizational unit was moved or renamed, and with it what lies below.
    Moved,
    /// A privileged group or the group of the scope changed.
    Groups,
    /// So much changed or failed that this is the shorter way.
    Many,
    /// It was long ago.
    Periodic,
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
        }
    }
}
