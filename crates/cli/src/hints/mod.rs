//! The next step after a failure, in commands and options of this program. The other crates know none of them: their errors
//! are typed, and say what to do where that needs no command.

pub(crate) mod api;
pub(crate) mod caller;
mod onprem;
pub(crate) mod reason;
pub(crate) mod server;
pub(crate) mod status;
#[cfg(test)]
mod tests;

pub(crate) use onprem::{of_onprem, of_scope, of_skip};

use crossrealm_agent::error::AgentError;
use crossrealm_agent::finding::Finding;
use crossrealm_agent::kerberos_server::inspect::Difference;
use crossrealm_onprem::trust::TrustDifference;

/// The next step, where one is known.
pub(crate) fn of_error(error: &AgentError) -> Option<String> {
    let text = match error {
        AgentError::Service(error) | AgentError::NotAudited { source: error, .. } => {
            return api::of_client_error(error);
        }
        AgentError::Onprem(error) => return of_onprem(error),
        AgentError::GroupPolicy(error) => return onprem::of_gpo(error),
        AgentError::Lsa(error) => onprem::of_lsa(error)?,
        AgentError::Netlogon(error) => onprem::of_netlogon(error)?,
        AgentError::TrustStep(error) => onprem::of_trust_step(error)?,
        AgentError::TrustRefused(refusal) => return Some(onprem::of_trust_refusal(refusal)),
        AgentError::ObjectRefused(refusal) => return Some(refusal.hint().to_owned()),
        AgentError::Step { source, .. } => return of_error(source),
        AgentError::MissingRight { right, .. } => {
            return Some(format!(
                "the account needs the right {right}; the page *Set up the trust* of the guide shows how to delegate it"
            ));
        }
        AgentError::TooManyDeletions { removals, .. } => {
            return Some(format!(
                "check it with `crossrealm sync plan`; if it is right, an administrator runs `crossrealm sync once` with `--accept-deletions {removals}`, or allows it to the connector for one run with `crossrealm sync allow-deletions {removals}`"
            ));
        }
        AgentError::NotGlobalAdministrator { .. } => {
            "use the token of a global administrator of the service"
        }
        AgentError::OtherDomain { .. } => {
            "this is another domain of the same name; use a tenant of its own for it"
        }
        AgentError::LeaseHeld { .. } => {
            "it keeps the tenant up to date: see `crossrealm sync status`, or stop it first"
        }
        AgentError::NoReferral { .. } => "nothing was confirmed to the tenant; run it again",
        AgentError::TrustKeyMismatch { .. } => {
            "run it again in a few minutes; nothing was confirmed to the tenant"
        }
        AgentError::NoKeyAccepted { .. } => {
            "set the trust up again, as an administrator of AD and of the service, with `crossrealm kerberos-server set --setup-cloud-trust`"
        }
        AgentError::ObjectNotVisible { .. } => "run it again",
        AgentError::NoAccount(_) => {
            "give its account name (sAMAccountName), e.g. `--apply-to Workstations`"
        }
        AgentError::Blocked(_) => return None,
    };
    Some(text.to_owned())
}

/// The next step after a finding of a preflight.
pub(crate) fn of_finding(finding: &Finding) -> Option<String> {
    let text = match finding {
        Finding::Unreachable(error) => return of_onprem(error),
        Finding::Trust(refusal) => return Some(onprem::of_trust_refusal(refusal)),
        Finding::NotPrimary {
            primary: Some(primary),
            ..
        } => {
            return Some(format!(
                "name it with `--dc {primary}`, or leave `--dc` away"
            ));
        }
        Finding::NotPrimary { primary: None, .. } => "name the PDC emulator with `--dc HOST`",
        Finding::ClockSkew(_) => {
            "set the clocks by NTP: of this computer, of the domain controllers, of the service"
        }
        Finding::ForestLevel => "raise the forest functional level",
        Finding::DomainLevel => "raise the domain functional level",
        Finding::AccountNameTaken { .. } => {
            "rename or delete the account if nothing uses it, else create a tenant of another name: its flat name differs"
        }
        Finding::Shadowed { .. } => "take the name away where the tenant is meant: `setspn -D`",
        Finding::YoungKey { .. } => "`--force` rotates it now",
        Finding::MissingRight(_) => {
            "use a member of Domain Admins or Enterprise Admins of the forest's root domain, or delegate the right as the page *Set up the trust* of the guide shows"
        }
    };
    Some(text.to_owned())
}

/// A difference between AD and the tenant, with the next step behind it.
pub(crate) fn with_remedy(difference: &Difference) -> String {
    const SET: &str = "run `crossrealm kerberos-server set`";
    const SET_TRUST: &str = "run `crossrealm kerberos-server set --setup-cloud-trust`";
    let remedy = match difference {
        Difference::ObjectRefused(_) | Difference::Trust(TrustDifference::Foreign(_)) => {
            return difference.to_string();
        }
        Difference::ObjectRemovalBegun => {
            "run `crossrealm kerberos-server remove` to finish it, or `set` to keep the object"
                .to_owned()
        }
        Difference::ObjectMissing => format!("{SET}, or `remove`"),
        Difference::ObjectStep(_)
        | Difference::ObjectNotRecorded
        | Difference::ObjectKeyTime { .. }
        | Difference::ObjectKeyVersion { .. } => SET.to_owned(),
        Difference::Trust(TrustDifference::RemovalBegun) => format!(
            "run `crossrealm trusted-domain-object remove` to finish it, or to keep it {SET_TRUST}"
        ),
        Difference::Trust(
            TrustDifference::Missing(_)
            | TrustDifference::NotRecorded(_)
            | TrustDifference::OlderKey { .. }
            | TrustDifference::NewerKey { .. },
        )
        | Difference::TrustStep(_) => SET_TRUST.to_owned(),
        Difference::Trust(TrustDifference::Pending | TrustDifference::RotationPending) => {
            format!("{SET_TRUST} to finish")
        }
    };
    format!("{difference}: {remedy}")
}
