//! What an operation reports to its caller while it runs.

use crate::comparison::Comparison;
use crate::error::AgentError;
use crate::finding::Finding;
use crossrealm_onprem::error::OnpremError;
use crossrealm_types::ApplyIdentitiesResult;
use std::time::Duration;

/// Receives what an operation reports while it runs.
pub trait Progress: Send + Sync {
    /// Takes one event; must not block.
    fn report(&self, event: Event<'_>);
}

/// What an operation reports.
#[derive(Debug)]
pub enum Event<'a> {
    /// What is being done now; the next one replaces it.
    Status(&'a str),
    /// A change was made: which, in the imperative.
    StepDone(&'a str),
    /// Something failed beside the operation, which goes on.
    Warning(&'a AgentError),
    /// The preflight found something that does not block the change.
    Note(&'a Finding),
    /// The Kerberos server object is kept for the trusts of these other realms.
    ObjectKept(&'a [String]),
    /// Whether the other domain controllers see the change is not known.
    ReplicationUnknown(&'a OnpremError),
    /// Another sync agent holds the lease: its name. Reported at each attempt.
    Waiting(&'a str),
    /// A sync run of a service had nothing to do, and wrote nothing.
    Idle,
    /// A sync run of a service ended.
    Synced {
        /// What was compared.
        comparison: &'a Comparison,
        /// What the tenant did.
        result: &'a ApplyIdentitiesResult,
        /// How long the run took.
        took: Duration,
    },
    /// A sync run failed and is tried again.
    SyncFailed {
        /// Why it failed.
        error: &'a AgentError,
        /// The pause before the next attempt.
        retry_in: Duration,
    },
    /// The domain holds the agent's password or key for wrong. The agent stops until it changes, since each further attempt
    /// would count towards the lockout of its account.
    CredentialsRefused {
        /// The domain's answer.
        error: &'a AgentError,
    },
    /// AD has a new trust key, and the tenant has recorded it.
    TrustKeyRotated {
        /// The AD domain.
        domain: &'a str,
        /// The key's version, by the tenant's count.
        version: u32,
    },
    /// A scheduled rotation of the trust key failed and is tried again.
    RotationFailed {
        /// Why it failed.
        error: &'a AgentError,
        /// The pause before the next attempt.
        retry_in: Duration,
    },
}
