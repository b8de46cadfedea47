//! The sync agent's half in AD: reads users, groups and memberships of a domain, and plans what the tenant must change.
//!
//! An [`Agent`] reads by encrypted LDAP, either everything or what changed since a [`Cursor`], into an [`Observed`]. [`plan`]
//! is pure: the same two states give the same [`SyncPlan`], and plans that are applied in any number of interrupted runs lead
//! to the state of one full sync. An object that cannot be synchronized is left out, with the reason. Memberships are direct
//! ones; the tenant computes the nested ones.

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
