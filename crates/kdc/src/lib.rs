//! The decision: a request, looked-up records, the time and randomness in; a reply and exactly one event out.
//!
//! [`Exchange`] never waits and never fails. It returns what it needs to know ([`Lookups`]), is resumed with what the
//! directory holds ([`Records`]), and after at most two such rounds ends in a reply or an explicit drop, and one
//! [`Event`] that records who asked for what, what was decided, and why. The same machine runs in the server, the tests,
//! the fuzzers and the benches. It implements the security rules of `docs/design.md` 6.1 to 6.6; it knows no database, no socket, no
//! clock and no operating-system randomness.
#![deny(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::as_conversions
)]

mod event;
mod exchange;
mod grant;
mod issue;
mod open;
mod records;
mod request;

pub use event::{ClientClock, Event, EventId, Reason, TicketOutcome};
pub use exchange::{Exchange, ExchangeStep};
pub use grant::MAX_GROUPS;
pub use records::{
    Forest, ForestDomain, Identity, KeyState, Lookups, Policy, Records, Service, ServiceKey,
    ServiceName, Tenant, TenantId, Trust, TrustGeneration, TrustKey, Wanted,
};

/// The clock skew that is tolerated, in seconds (`docs/design.md` 6.6).
pub const CLOCK_SKEW_S: i64 = 300;

/// The time of a request, as the shell that owns the clock read it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// Seconds since the Unix epoch.
    pub unix_s: i64,
    /// Microseconds of the second: 0 to 999,999.
    pub micros: i32,
}
