//! Users and groups as the database has them.

use crate::db::columns::{col, col_sid, col_u32, col_uuid, col_word};
use crate::error::{DirectoryError, Result};
use crate::identities::provenance;
use crate::identities::provenance::Provenance;
use crossrealm_types::{DisabledReason, IdentityKind, IdentitySource, IdentityState, Sid};
use sqlx::any::AnyRow;
use uuid::Uuid;

/// A user or group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdentityInfo {
    /// Its anchor: `objectGUID` of a hybrid identity, a random UUID of a cloud-only one.
    pub guid: Uuid,
    /// Its SID.
    pub sid: Sid,
    /// User or group.
    pub kind: IdentityKind,
    /// Synced from AD, or created in the tenant.
    pub source: IdentitySource,
    /// Whether it may sign in.
    pub state: IdentityState,
    /// Why it may not.
    pub disabled_reason: Option<DisabledReason>,
    /// `sAMAccountName`.
    pub account_name: String,
    /// The user principal name; empty for groups.
    pub upn: String,
    /// The display name; may be empty.
    pub display_name: String,
    /// The DNS name of its AD domain; the tenant's own for a cloud-only identity.
    pub domain_dns_name: String,
    /// The flat name of its AD domain; the tenant's own for a cloud-only identity.
    pub domain_flat_name: String,
    /// The RID of a user's primary group; 0 for groups and cloud-only identities.
    pub primary_group_rid: u32,
    /// When it was first written here, Unix seconds.
    pub created_at: i64,
    /// When it was last changed here, Unix seconds.
    pub changed_at: i64,
    /// The provenance of its attributes, as stored.
    pub(crate) provenance: String,
    /// Whether its domain waits for a full sync, since the database went back in time.
    pub(crate) awaits_sync: bool,
}

impl IdentityInfo {
    /// The provenance of its attributes, the oldest first. Attributes written by versions that did not record it are
    /// missing.
    pub fn provenance(&self) -> Vec<Provenance> {
        provenance::parse(&self.provenance)
    }
}

/// Selects the columns of an [`IdentityInfo`]; a `WHERE` follows.
pub(crate) const SELECT_IDENTITY: &str =
    "SELECT i.guid, i.sid, i.kind, i.source, i.state, i.disabled_reason, i.account_name, i.upn,
    i.display_name, i.primary_group_rid, i.created_at, i.changed_at, i.origins, i.name_key,
    COALESCE(d.dns_name, t.domain) AS domain_name, COALESCE(d.flat_name, t.flat_name) AS flat_name,
    COALESCE(d.awaits_sync, 0) AS awaits_sync
    FROM identities i JOIN tenants t ON t.id = i.tenant_id
    LEFT JOIN domains d ON d.tenant_id = i.tenant_id AND d.dns_name = i.domain";

pub(crate) fn identity_info(row: &AnyRow) -> Result<IdentityInfo> {
    Ok(IdentityInfo {
        guid: col_uuid(row, "guid")?,
        sid: col_sid(row, "sid")?,
        kind: col_word(row, "kind")?,
        source: match col::<String>(row, "source")?.as_str() {
            "hybrid" => IdentitySource::Hybrid,
            "cloud" => IdentitySource::CloudOnly,
            _ => return Err(DirectoryError::damaged("source", "an unknown word")),
        },
        state: col_word(row, "state")?,
        // A reason of a later version is not known here.
        disabled_reason: col::<Option<String>>(row, "disabled_reason")?
            .and_then(|word| word.parse().ok()),
        account_name: col(row, "account_name")?,
        upn: col(row, "upn")?,
        display_name: col(row, "display_name")?,
        domain_dns_name: col(row, "domain_name")?,
        domain_flat_name: col(row, "flat_name")?,
        primary_group_rid: col_u32(row, "primary_group_rid")?,
        created_at: col(row, "created_at")?,
        changed_at: col(row, "changed_at")?,
        provenance: col(row, "origins")?,
        awaits_sync: col::<i64>(row, "awaits_sync")? != 0,
    })
}

/// The SID of a hybrid user's primary group, in the user's own domain.
pub(crate) fn primary_group_sid(identity: &IdentityInfo) -> Option<Sid> {
    let ordinary = identity.source == IdentitySource::Hybrid && identity.primary_group_rid != 0;
    let domain = identity.sid.domain().filter(|_| ordinary)?;
    domain.with_rid(identity.primary_group_rid).ok()
}
