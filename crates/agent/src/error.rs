//! Why an operation failed: what, on which object, and the value seen.

use crate::finding::Findings;
use crossrealm_api::ClientError;
use crossrealm_onprem::error::OnpremError;
use crossrealm_onprem::gpo::GpoError;
use crossrealm_onprem::kerberos_server::ObjectRefusal;
use crossrealm_onprem::lsa::LsaError;
use crossrealm_onprem::nrpc::NetlogonError;
use crossrealm_onprem::trust::{ApplyError, TrustRefusal};
use crossrealm_types::{AdStepPhase, Sid};

/// Why an operation failed. The message names no option and no command: the caller knows its own, and adds the hint.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// A call of the service's API failed or was refused.
    #[error(transparent)]
    Service(#[from] ClientError),
    /// DNS, Kerberos or LDAP at the domain controller failed.
    #[error(transparent)]
    Onprem(#[from] OnpremError),
    /// The domain controller's LSA refused or broke ([MS-LSAD]).
    #[error(transparent)]
    Lsa(#[from] LsaError),
    /// The domain controller's Netlogon refused or broke ([MS-NRPC]).
    #[error(transparent)]
    Netlogon(#[from] NetlogonError),
    /// A step of the trust failed in AD.
    #[error(transparent)]
    TrustStep(#[from] ApplyError),
    /// The trust must not be changed as wanted.
    #[error(transparent)]
    TrustRefused(#[from] TrustRefusal),
    /// The Kerberos server object must not be changed.
    #[error(transparent)]
    ObjectRefused(#[from] ObjectRefusal),
    /// A group policy object could not be read or written.
    #[error(transparent)]
    GroupPolicy(#[from] GpoError),
    /// The preflight found reasons not to begin. Nothing was changed.
    #[error("{0}")]
    Blocked(Findings),
    /// AD refused a step for want of a right.
    #[error("{source}")]
    MissingRight {
        /// AD's answer.
        source: OnpremError,
        /// The right that the step needs, and on which object.
        right: String,
    },
    /// A step failed.
    #[error("cannot {step}: {source}")]
    Step {
        /// The step, in the imperative.
        step: String,
        /// Why it failed.
        source: Box<AgentError>,
    },
    /// A step in AD could not be reported to the tenant's audit.
    #[error("cannot report `{step}` to the tenant's audit {}: {source}", when(*.phase))]
    NotAudited {
        /// The step, in the imperative.
        step: String,
        /// Which report failed.
        phase: AdStepPhase,
        /// Why it failed.
        source: ClientError,
    },
    /// The API token may not change trusts.
    #[error("the token of `{name}` may not change trusts")]
    NotGlobalAdministrator {
        /// Whose token it is.
        name: String,
    },
    /// The tenant has recorded the domain with another SID.
    #[error(
        "the tenant has recorded `{domain}` with the SID `{recorded}`, but its SID is `{found}`"
    )]
    OtherDomain {
        /// The domain's DNS name.
        domain: String,
        /// The SID that the tenant has recorded.
        recorded: Sid,
        /// The SID that AD returned.
        found: Sid,
    },
    /// A sync run would delete or disable more identities than accepted. Nothing was changed.
    #[error(
        "this run would delete or disable {removals} of {identities} identities{}, more than the {accepted} that are accepted; nothing was changed",
        earlier(*.recent)
    )]
    TooManyDeletions {
        /// How many it would be, those of the last hour included.
        removals: usize,
        /// How many of them were lost within the last hour.
        recent: usize,
        /// How many identities the tenant held an hour ago.
        identities: usize,
        /// How many are accepted.
        accepted: usize,
    },
    /// Another sync agent holds the connector's lease.
    #[error("another sync agent, `{holder}`, works for this connector")]
    LeaseHeld {
        /// The name under which it holds the lease.
        holder: String,
    },
    /// There is no referral that could prove the trust key.
    #[error(
        "`{controller}` gives no referral to `{realm}` that could prove the trust key: {reason}"
    )]
    NoReferral {
        /// The domain controller.
        controller: String,
        /// The tenant's realm.
        realm: String,
        /// Why there is none.
        reason: String,
    },
    /// AD has the trust, but uses another key.
    #[error("a referral by `{controller}` does not decrypt with the trust key that AD was given")]
    TrustKeyMismatch {
        /// The domain controller.
        controller: String,
    },
    /// The domain controller accepts none of the trust keys.
    #[error("`{controller}` accepts none of the trust keys that the tenant holds")]
    NoKeyAccepted {
        /// The domain controller.
        controller: String,
    },
    /// The Kerberos server object was created, but the domain controller does not return it.
    #[error("`{dn}` was created, but the domain controller does not return it")]
    ObjectNotVisible {
        /// The DN of its account.
        dn: String,
    },
    /// There is no account to which a group policy object could apply.
    #[error("AD holds no group or computer `{0}`")]
    NoAccount(String),
}

impl AgentError {
    /// Whether the domain holds the agent's own password or key for wrong.
    pub fn refuses_credentials(&self) -> bool {
        match self {
            Self::Onprem(error) => error.refuses_credentials(),
            Self::Step { source, .. } => source.refuses_credentials(),
            _ => false,
        }
    }

    /// Whether AD refused the step, so that nothing of it was done; else it may have been done.
    pub fn is_refusal(&self) -> bool {
        match self {
            Self::Lsa(error) | Self::TrustStep(ApplyError::Lsa(error)) => error.status().is_some(),
            Self::TrustStep(ApplyError::Collision { .. }) | Self::MissingRight { .. } => true,
            Self::Step { source, .. } => source.is_refusal(),
            _ => false,
        }
    }
}

/// What was done of a step whose report failed.
fn when(phase: AdStepPhase) -> &'static str {
    match phase {
        AdStepPhase::Begun => "before it begins; nothing of it was done",
        AdStepPhase::Done => "after it was done in AD; run this again",
        AdStepPhase::Failed => "after it failed in AD",
    }
}

fn earlier(recent: usize) -> String {
    match recent {
        0 => String::new(),
        recent => format!(", {recent} of them within the last hour"),
    }
}
