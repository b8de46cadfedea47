//! What the sync agent does: read users, groups and memberships of a domain, and plan what the tenant must change.
//!
//! An [`Agent`] reads over encrypted LDAP, everything or what changed since a [`Cursor`], into an [`Observed`]. [`plan`]
//! compares it with what the tenant holds and is pure: the same two states always give the same [`SyncPlan`], and applying
//! plans in any number of interrupted runs ends in the same state as one full run. Nothing is guessed: an object that
//! cannot be synchronized as it is, is left out with its reason. Memberships are direct ones; what follows from nesting is
//! for the tenant to compute.

mod agent;
mod cursor;
mod model;
mod planner;
mod rules;
mod scope;
mod watched;

pub use agent::{Agent, FullSyncReason, Observation, SyncMode};
pub use cursor::{Cursor, Position};
pub use model::{
    Account, CloudObject, CloudState, Domain, Members, Object, Observed, Seen, SkipReason, Skipped,
};
pub use planner::{Membership, SyncChange, SyncPlan, Update, newcomers, plan, unknown};
pub use scope::{Scope, ScopeError, UserFilter};
