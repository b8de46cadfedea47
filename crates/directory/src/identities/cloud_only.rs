//! Users and groups that exist only in the tenant.

use crate::audit::events::Actor;
use crate::db::change::ChangeScope;
use crate::db::columns::{tenant_blob, uuid_blob};
use crate::db::statement::{is_taken, sql};
use crate::directory::Directory;
use crate::error::{DirectoryError, Refusal, Result};
use crate::identities::find::{by_guid, find_identity, not_found_kind};
use crate::identities::provenance;
use crate::identities::rows::IdentityInfo;
use crate::names;
use crate::names::invalid;
use crate::random::random_uuid;
use crossrealm_kdc::TenantId;
use crossrealm_os::clock::now_s;
use crossrealm_types::{IdentityKind, IdentitySource, Sid};
use uuid::Uuid;

/// A user or group that exists only in the tenant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewCloudIdentity {
    /// User or group.
    pub kind: IdentityKind,
    /// The user principal name; empty for a group.
    pub upn: String,
    /// The account name; for a user the part of the UPN before the `@` where empty.
    pub account_name: String,
    /// The display name; may be empty.
    pub display_name: String,
}

/// The attributes of an identity that exists only in the tenant.
const CLOUD_ATTRIBUTES: &[&str] = &["sid", "account_name", "upn", "display_name", "state"];

impl Directory {
    /// Creates a user or group that exists only in the tenant, with a SID under the authority for such identities
    /// (`S-1-12-1-…`), which no AD domain can hold.
    pub async fn create_cloud_identity(
        &self,
        by: &Actor,
        tenant: TenantId,
        new: NewCloudIdentity,
    ) -> Result<IdentityInfo> {
        let new = checked(new)?;
        let guid = random_uuid()?;
        let mut tx = self.change(by, tenant, ChangeScope::Identities).await?;
        sql("INSERT INTO identities (tenant_id, guid, sid, kind, source, state, account_name, upn, display_name, domain,
               primary_group_rid, created_at, changed_at, name_key, taken_account, taken_upn, origins)
             VALUES ($1, $2, $3, $4, 'cloud', 'enabled', $5, $6, $7, '', 0, $8, $8, $9, $9, $10, $11)")
            .bind(tenant_blob(tenant))
            .bind(uuid_blob(guid))
            .bind(cloud_sid(guid)?.to_string())
            .bind(new.kind.as_str())
            .bind(new.account_name.as_str())
            .bind(new.upn.as_str())
            .bind(new.display_name.as_str())
            .bind(now_s())
            .bind(new.account_name.to_lowercase())
            .bind((!new.upn.is_empty()).then(|| new.upn.to_lowercase()))
            .bind(provenance::written("", CLOUD_ATTRIBUTES, &by.name, None))
            .execute(&mut *tx)
            .await
            .map_err(|error| match is_taken(&error) {
                true => DirectoryError::exists(not_found_kind(Some(new.kind)), name_of(&new)),
                false => error.into(),
            })?;
        tx.audit("identity.create", name_of(&new), new.kind.as_str())
            .await?;
        let info = by_guid(&mut tx, tenant, guid).await?;
        tx.commit().await?;
        info.ok_or_else(|| {
            DirectoryError::damaged("identity", "it is missing after it was created")
        })
    }

    /// Deletes an identity that exists only in the tenant, with its roles and memberships. Refused with `hybrid` if it
    /// is synced: it is deleted in AD.
    pub async fn delete_cloud_identity(
        &self,
        by: &Actor,
        tenant: TenantId,
        principal: &str,
    ) -> Result<()> {
        let mut tx = self.change(by, tenant, ChangeScope::Identities).await?;
        let info = find_identity(&mut tx, tenant, principal, None).await?;
        if info.source == IdentitySource::Hybrid {
            return Err(Refusal::UserIsHybrid {
                user: principal.to_owned(),
            }
            .into());
        }
        sql("DELETE FROM memberships WHERE tenant_id = $1 AND (group_guid = $2 OR member_guid = $2)")
            .bind(tenant_blob(tenant))
            .bind(uuid_blob(info.guid))
            .execute(&mut *tx)
            .await?;
        sql("DELETE FROM identities WHERE tenant_id = $1 AND guid = $2")
            .bind(tenant_blob(tenant))
            .bind(uuid_blob(info.guid))
            .execute(&mut *tx)
            .await?;
        tx.audit("identity.delete", principal, info.kind.as_str())
            .await?;
        tx.commit().await
    }
}

/// The SID of a cloud-only identity, derived from its UUID as Microsoft Entra ID does: authority 12, then 1 and the
/// UUID as four little-endian numbers.
fn cloud_sid(guid: Uuid) -> Result<Sid> {
    let parts: Vec<u32> = std::iter::once(1)
        .chain(guid.to_bytes_le().chunks_exact(4).map(|chunk| {
            chunk
                .iter()
                .rev()
                .fold(0, |sum, byte| sum << 8 | u32::from(*byte))
        }))
        .collect();
    Sid::new(12, &parts).map_err(|error| DirectoryError::damaged("identity SID", error))
}

fn checked(mut new: NewCloudIdentity) -> Result<NewCloudIdentity> {
    match new.kind {
        IdentityKind::User => names::new_upn(&new.upn)?,
        IdentityKind::Group if !new.upn.is_empty() => {
            return Err(invalid("user principal name", &new.upn, "a group has none"));
        }
        IdentityKind::Group => {}
    }
    if new.account_name.is_empty() {
        let name = new.upn.rsplit_once('@').map(|(name, _)| name.to_owned());
        new.account_name = name.unwrap_or_default();
    }
    names::plain_text("account name", &new.account_name, 256, false)?;
    names::plain_text("display name", &new.display_name, 256, true)?;
    Ok(new)
}

fn name_of(new: &NewCloudIdentity) -> &str {
    match new.kind {
        IdentityKind::User => &new.upn,
        IdentityKind::Group => &new.account_name,
    }
}
