//! Test support that several packages share: the scenarios of the KDC without a network, and one tenant with a trust.
//!
//! [`two_realms`] is an on-premises realm and a tenant that trusts it, in memory; [`simulation`] drives it through seeded
//! runs and checks the invariants of every exchange. [`trusted_tenant`] makes the same tenant in a running service through
//! its REST API; [`authenticator`] is the app of an administrator's second factor; `json_times` looks at the
//! times that commands print. No product crate depends on this one except for its tests.

pub mod authenticator;
#[cfg(feature = "json-times")]
pub mod json_times;
pub mod simulation;
#[cfg(feature = "trusted-tenant")]
pub mod trusted_tenant;
pub mod two_realms;
