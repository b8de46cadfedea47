//! The rotation of a trust password by age, for an unattended agent.
//!
//! The tenant decides whether a rotation is due, so that several agents agree, and lets one of them at a time set the
//! next password in AD. Versions and states are those of [`crate::trusts`].

use crate::audit::events::Actor;
use crate::db::change::ChangeScope;
use crate::db::columns::{col, uuid_blob};
use crate::db::statement::sql;
use crate::directory::Directory;
use crate::error::{DirectoryError, RecordKind, Refusal, Result};
use crate::names;
use crate::names::{invalid, plain_text};
use crate::trusts::find;
use crate::trusts::model::PreparedTrust;
use crate::trusts::secrets::{held, make_secret, secrets};
use crossrealm_kdc::TenantId;
use crossrealm_os::clock::now_s;
use crossrealm_types::{RotateTrust, TrustKeyState};

/// The shortest time between two rotations by age, in seconds: AD may encrypt with the previous password for an hour,
/// and tickets encrypted with it live on.
pub const MIN_ROTATION_S: i64 = 24 * 3600;
/// The longest, in seconds: ten years.
const MAX_ROTATION_S: i64 = 10 * 365 * 24 * 3600;
/// For how long an agent has exclusive use of the rotation, in seconds. It expires if the agent dies.
const CLAIM_S: i64 = 120;
/// The longest name of an agent, in characters.
const MAX_HOLDER: usize = 128;

/// The answer. It has no `Debug`: it may hold passwords.
pub struct TrustRotation {
    /// When the rotation is or was due, Unix seconds.
    pub due_at: i64,
    /// What to set in AD; `None` if nothing is due.
    pub prepared: Option<PreparedTrust>,
    /// The other agent that performs the rotation, and until when it has exclusive use of it (Unix seconds).
    pub held_by: Option<(String, i64)>,
    /// The flat (NetBIOS) name of the AD domain.
    pub domain_flat_name: String,
}

impl Directory {
    /// Begins the rotation if the current password has the given age, or continues one that was begun by any agent and
    /// not completed. It ends with [`Directory::confirm_trust`].
    ///
    /// Refused with `trust_not_active` for a trust that AD is not known to hold, or that is being removed.
    pub async fn rotate_trust(
        &self,
        by: &Actor,
        tenant: TenantId,
        domain: &str,
        wanted: &RotateTrust,
    ) -> Result<TrustRotation> {
        let domain = names::dns_name("domain", domain)?;
        plain_text("agent", &wanted.holder, MAX_HOLDER, false)?;
        if !(MIN_ROTATION_S..=MAX_ROTATION_S).contains(&wanted.every_s) {
            return Err(invalid(
                "rotation interval",
                &format!("{} s", wanted.every_s),
                "expected one day to ten years",
            ));
        }
        let now = now_s();
        let mut tx = self.change(by, tenant, ChangeScope::Configuration).await?;
        let (id, row) = find(&mut tx, tenant, &domain)
            .await?
            .ok_or_else(|| DirectoryError::not_found(RecordKind::Trust, &domain))?;
        let known = secrets(&mut tx, id).await?;
        let confirmed_at = known.iter().filter_map(|key| key.info.confirmed_at).max();
        let removal: Option<i64> = col(&row, "removal_begun_at")?;
        let (Some(newest), Some(confirmed_at), None) = (known.first(), confirmed_at, removal)
        else {
            return Err(Refusal::TrustNotActive { domain }.into());
        };
        let mut answer = TrustRotation {
            due_at: confirmed_at.saturating_add(wanted.every_s),
            prepared: None,
            held_by: None,
            domain_flat_name: col(&row, "flat_name")?,
        };
        let is_begun = newest.info.state == TrustKeyState::Pending;
        if !is_begun && now < answer.due_at {
            return Ok(answer);
        }
        let holder: Option<String> = col(&row, "rotation_holder")?;
        let until: Option<i64> = col(&row, "rotation_until")?;
        if let (Some(holder), Some(until)) = (holder, until)
            && holder != wanted.holder
            && now < until
        {
            answer.held_by = Some((holder, until));
            return Ok(answer);
        }
        sql("UPDATE trusts SET rotation_holder = $2, rotation_until = $3 WHERE id = $1")
            .bind(uuid_blob(id))
            .bind(wanted.holder.as_str())
            .bind(now.saturating_add(CLAIM_S))
            .execute(&mut *tx)
            .await?;
        let mut prepared = if is_begun {
            PreparedTrust {
                version: newest.info.version,
                state: newest.info.state,
                secret: newest.open(self.sealer(), tenant, id)?,
                held: Vec::new(),
            }
        } else {
            let version = newest.info.version.saturating_add(1);
            make_secret(&mut tx, self.sealer(), tenant, id, version).await?
        };
        prepared.held = held(&known, prepared.version, self.sealer(), tenant, id)?;
        let detail = format!("version {} (by age), `{}`", prepared.version, wanted.holder);
        tx.audit("trust.rotate", &domain, &detail).await?;
        tx.commit().await?;
        answer.prepared = Some(prepared);
        Ok(answer)
    }
}
