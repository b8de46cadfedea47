//! What the sync agent does: read users, groups and memberships of a domain, and plan what the tenant must change.
//!
//! [`read`] fills an [`Observed`] over sealed LDAP. [`plan`] compares it with what the tenant holds and is pure: the same
//! two states always give the same [`SyncPlan`], and applying a plan in any number of interrupted runs ends in the same
//! state as one full run. Nothing is guessed: an object that cannot be taken over as it is, is left out with its reason.
//! Memberships are direct ones; what follows from nesting is for the tenant to compute.

mod model;
mod planner;
mod reader;

pub use model::{
    Account, CloudObject, CloudState, DisabledReason, Domain, Kind, Object, Observed, SkipReason,
    Skipped,
};
pub use planner::{Change, Membership, SyncPlan, Update, plan};
pub use reader::read;
