//! Reading a domain's trusts, and carrying out the steps of a plan, by LSA RPC.

use super::{KeyMatch, Observed, Tdo, TrustStep};
use crate::lsa::{
    ATTRIBUTE_FOREST_TRANSITIVE, ForestRecord, Lsa, LsaError, NewTrust, TrustedDomain,
};
use crate::rpc::Pipe;

/// Seconds between the epoch of FILETIME (1601) and the Unix epoch.
const FILETIME_EPOCH_S: u64 = 11_644_473_600;
/// FILETIME units in a second.
const FILETIME_PER_S: u64 = 10_000_000;

/// Why a step failed. The steps before it are done; running again completes the rest.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// The domain controller refused or could not be reached.
    #[error(transparent)]
    Lsa(#[from] LsaError),
    /// A top-level name collides with another trust, [MS-LSAD] 3.1.4.7.16.1.
    #[error("the top-level name `{name}` collides with the trust or domain `{other}`")]
    Collision {
        /// The name that AD refused.
        name: String,
        /// The trust or domain that has it.
        other: String,
    },
}

/// Reads the domain controller's view. `realm` is the tenant's; the trust key is not tried here.
pub async fn observe<P: Pipe>(lsa: &mut Lsa<P>, realm: &str) -> Result<Observed, LsaError> {
    let domain = lsa.domain().await?;
    let is_primary = lsa.is_primary().await?;
    let mut own = None;
    let mut others = Vec::new();
    for trust in lsa.trusts().await? {
        let is_own = trust.name.eq_ignore_ascii_case(realm);
        let mut tdo = with_forest_records(lsa, trust).await?;
        if is_own {
            tdo.enctypes = Some(lsa.trust_enctypes(&tdo.name).await?);
            own = Some(tdo);
        } else {
            others.push(tdo);
        }
    }
    Ok(Observed {
        domain,
        is_primary,
        own,
        others,
        key: KeyMatch::Untried,
    })
}

async fn with_forest_records<P: Pipe>(
    lsa: &mut Lsa<P>,
    trust: TrustedDomain,
) -> Result<Tdo, LsaError> {
    // Only a forest trust has forest trust information; reading that of another trust is an error.
    let records = if trust.attributes & ATTRIBUTE_FOREST_TRANSITIVE == 0 {
        Vec::new()
    } else {
        lsa.forest_records(&trust.name).await?
    };
    let only_names = records
        .iter()
        .all(|record| matches!(record, ForestRecord::TopLevelName { flags: 0, .. }));
    let top_level_names = records
        .into_iter()
        .filter_map(|record| match record {
            ForestRecord::TopLevelName { name, .. } => Some(name),
            _ => None,
        })
        .collect();
    Ok(Tdo {
        name: trust.name,
        flat_name: trust.flat_name,
        sid: trust.sid,
        direction: trust.direction,
        kind: trust.kind,
        attributes: trust.attributes,
        enctypes: None,
        top_level_names,
        only_names,
    })
}

/// Carries out one step. `secret` is the tenant's current trust password, `now_s` the time in Unix seconds.
pub async fn apply<P: Pipe>(
    lsa: &mut Lsa<P>,
    step: &TrustStep,
    secret: &str,
    now_s: u64,
) -> Result<(), ApplyError> {
    match step {
        TrustStep::Delete { realm, .. } => lsa.delete_trust(realm).await?,
        TrustStep::Create {
            realm,
            flat_name,
            sid,
        } => {
            let trust = NewTrust {
                realm,
                flat_name,
                sid,
            };
            let now = now_s
                .saturating_add(FILETIME_EPOCH_S)
                .saturating_mul(FILETIME_PER_S);
            lsa.create_trust(&trust, secret, now).await?;
        }
        TrustStep::SetEnctypes { realm, bits } => lsa.set_trust_enctypes(realm, *bits).await?,
        TrustStep::SetTopLevelNames { realm, names } => {
            let collisions = lsa.set_top_level_names(realm, names).await?;
            if let Some(collision) = collisions.into_iter().next() {
                let index = usize::try_from(collision.index).unwrap_or(usize::MAX);
                return Err(ApplyError::Collision {
                    name: names.get(index).cloned().unwrap_or_default(),
                    other: collision.name,
                });
            }
        }
    }
    Ok(())
}
