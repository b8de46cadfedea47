//! Users and groups, as the API shows them, and those that exist only in the tenant.

pub(crate) mod closure;
pub(crate) mod group_paths;
pub(crate) mod memberships;
pub(crate) mod provenance;
pub(crate) mod resolve;

use crate::audit::events::Actor;
use crate::audit::events::audit;
use crate::clock::now_s;
use crate::db::{
    Touch, col, col_sid, col_u32, col_uuid, col_word, is_taken, sql, sql_list, tenant_blob, touch,
    uuid_blob,
};
use crate::directory::Directory;
use crate::error::{DirectoryError, Kind, Refusal, Result};
use crate::identities::group_paths::{EffectiveGroup, GroupWalk};
use crate::identities::provenance::Origin;
use crate::names;
use crate::names::invalid;
use crate::page::{Page, Paged};
use crate::random::random_uuid;
use crate::storage::effective_access::{PrincipalRef, principal_ref};
use crossrealm_kdc::{IdentityKind, IdentitySource, IdentityState, TenantId};
use crossrealm_types::Sid;
use sqlx::AnyConnection;
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
    /// Synced from AD, or made here.
    pub source: IdentitySource,
    /// Whether it may sign in.
    pub state: IdentityState,
    /// Why it may not: `disabled`, `expired`, `locked`.
    pub disabled_reason: Option<String>,
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
    /// Where its attributes came from, as stored.
    pub(crate) origins: String,
}

impl IdentityInfo {
    /// Where its attributes came from and when, the oldest first. What was written before this was kept is not in it.
    pub fn origins(&self) -> Vec<Origin> {
        provenance::parse(&self.origins)
    }
}

/// Which identities a list shows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IdentityFilter {
    /// Users or groups; `None` is both.
    pub kind: Option<IdentityKind>,
    /// Whether deleted ones are shown too.
    pub deleted: bool,
}

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

/// What an identity that exists only in the tenant is made of.
const CLOUD_ATTRIBUTES: &[&str] = &["sid", "account_name", "upn", "display_name", "state"];

/// Every column an [`IdentityInfo`] is made of; a `WHERE` follows.
pub(crate) const SELECT_IDENTITY: &str =
    "SELECT i.guid, i.sid, i.kind, i.source, i.state, i.disabled_reason, i.account_name, i.upn,
    i.display_name, i.primary_group_rid, i.created_at, i.changed_at, i.origins, i.name_key,
    COALESCE(d.dns_name, t.domain) AS domain_name, COALESCE(d.flat_name, t.flat_name) AS flat_name
    FROM identities i JOIN tenants t ON t.id = i.tenant_id
    LEFT JOIN domains d ON d.tenant_id = i.tenant_id AND d.dns_name = i.domain";

impl Directory {
    /// Makes a user or group that exists only in the tenant, with a SID under the authority for such identities
    /// (`S-1-12-1-…`) that no AD domain can hold.
    pub async fn create_cloud_identity(
        &self,
        by: &Actor,
        tenant: TenantId,
        new: NewCloudIdentity,
    ) -> Result<IdentityInfo> {
        let new = checked(new)?;
        let guid = random_uuid()?;
        let mut tx = self.begin().await?;
        touch(&mut tx, tenant, Touch::Identities).await?;
        sql("INSERT INTO identities (tenant_id, guid, sid, kind, source, state, account_name, upn, display_name, domain,
               primary_group_rid, created_at, changed_at, name_key, taken_account, taken_upn, origins)
             VALUES ($1, $2, $3, $4, 'cloud', 'enabled', $5, $6, $7, '', 0, $8, $8, $9, $9, $10, $11)")
            .bind(tenant_blob(tenant))
            .bind(uuid_blob(guid))
            .bind(cloud_sid(guid)?.to_string())
            .bind(kind_word(new.kind))
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
        audit(
            &mut tx,
            by,
            Some(tenant),
            "identity.create",
            name_of(&new),
            kind_word(new.kind),
        )
        .await?;
        let info = by_guid(&mut tx, tenant, guid).await?;
        self.commit(tx).await?;
        info.ok_or_else(|| DirectoryError::damaged("identity", "it is not there after it was made"))
    }

    /// Removes an identity that exists only in the tenant, its roles and memberships. Refused with `hybrid` for one
    /// that is synced: that is deleted in AD.
    pub async fn delete_cloud_identity(
        &self,
        by: &Actor,
        tenant: TenantId,
        principal: &str,
    ) -> Result<()> {
        let mut tx = self.begin().await?;
        touch(&mut tx, tenant, Touch::Identities).await?;
        let info = find_principal(&mut tx, tenant, principal, None).await?;
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
        audit(
            &mut tx,
            by,
            Some(tenant),
            "identity.delete",
            principal,
            kind_word(info.kind),
        )
        .await?;
        self.commit(tx).await
    }

    /// The identities, by account name.
    pub async fn identities(
        &self,
        tenant: TenantId,
        filter: &IdentityFilter,
        page: &Page,
    ) -> Result<Paged<IdentityInfo>> {
        let (after_guid, after_name) = place_of(page)?;
        let mut text =
            format!("{SELECT_IDENTITY} WHERE i.tenant_id = $1 AND (i.name_key, i.guid) > ($2, $3)");
        if let Some(kind) = filter.kind {
            text.push_str(match kind {
                IdentityKind::User => " AND i.kind = 'user'",
                IdentityKind::Group => " AND i.kind = 'group'",
            });
        }
        if !filter.deleted {
            text.push_str(" AND i.state <> 'deleted'");
        }
        text.push_str(" ORDER BY i.name_key, i.guid LIMIT $4");
        let rows = sql_list(text)
            .bind(tenant_blob(tenant))
            .bind(after_name)
            .bind(after_guid)
            .bind(page.limit())
            .fetch_all(self.readers())
            .await?;
        let items = rows.iter().map(identity_info).collect::<Result<Vec<_>>>()?;
        Ok(page.paged(items, |info| {
            format!("{}{}", info.guid, info.account_name.to_lowercase())
        }))
    }

    /// The identity named by UPN, SID, GUID, `FLAT\name` or account name, compared without case. Deleted ones are found
    /// by SID and GUID only. `kind` narrows the search. A name that fits several is [`DirectoryError::Ambiguous`].
    ///
    /// [`DirectoryError::Ambiguous`]: crate::error::DirectoryError::Ambiguous
    pub async fn principal(
        &self,
        tenant: TenantId,
        principal: &str,
        kind: Option<IdentityKind>,
    ) -> Result<IdentityInfo> {
        let mut conn = self.readers().acquire().await?;
        find_principal(&mut conn, tenant, principal, kind).await
    }

    /// A group's direct members, by account name.
    pub async fn members(
        &self,
        tenant: TenantId,
        group: Uuid,
        page: &Page,
    ) -> Result<Paged<PrincipalRef>> {
        let (after_guid, after_name) = place_of(page)?;
        let rows = sql("SELECT i.guid, i.sid, i.kind, i.upn, i.account_name, i.name_key FROM memberships m
                        JOIN identities i ON i.tenant_id = m.tenant_id AND i.guid = m.member_guid
                        WHERE m.tenant_id = $1 AND m.group_guid = $2 AND (i.name_key, i.guid) > ($3, $4)
                        AND i.state <> 'deleted' ORDER BY i.name_key, i.guid LIMIT $5")
            .bind(tenant_blob(tenant))
            .bind(uuid_blob(group))
            .bind(after_name)
            .bind(after_guid)
            .bind(page.limit())
            .fetch_all(self.readers())
            .await?;
        let keyed = |row: &AnyRow| Ok((principal_ref(row)?, col::<String>(row, "name_key")?));
        let items = rows.iter().map(keyed).collect::<Result<Vec<_>>>()?;
        let paged = page.paged(items, |(member, key)| format!("{}{key}", member.guid));
        Ok(Paged {
            items: paged.items.into_iter().map(|(member, _)| member).collect(),
            next: paged.next,
        })
    }

    /// Every group an identity is in, directly or through others, each with the shortest way to it, by name.
    pub async fn effective_groups(
        &self,
        tenant: TenantId,
        identity: Uuid,
    ) -> Result<Vec<EffectiveGroup>> {
        let mut conn = self.readers().acquire().await?;
        let info = by_guid(&mut conn, tenant, identity)
            .await?
            .ok_or_else(|| DirectoryError::not_found(Kind::Principal, identity))?;
        let walk = GroupWalk::from(&mut conn, tenant, &info).await?;
        Ok(walk.effective())
    }
}

/// The words of the database.
pub(crate) fn kind_word(kind: IdentityKind) -> &'static str {
    match kind {
        IdentityKind::User => "user",
        IdentityKind::Group => "group",
    }
}

pub(crate) fn kind_from_word(text: &str) -> Option<IdentityKind> {
    [IdentityKind::User, IdentityKind::Group]
        .into_iter()
        .find(|kind| kind_word(*kind) == text)
}

pub(crate) fn state_word(state: IdentityState) -> &'static str {
    match state {
        IdentityState::Enabled => "enabled",
        IdentityState::Disabled => "disabled",
        IdentityState::Deleted => "deleted",
    }
}

fn state_from_word(text: &str) -> Option<IdentityState> {
    [
        IdentityState::Enabled,
        IdentityState::Disabled,
        IdentityState::Deleted,
    ]
    .into_iter()
    .find(|state| state_word(*state) == text)
}

fn source_from_word(text: &str) -> Option<IdentitySource> {
    match text {
        "hybrid" => Some(IdentitySource::Hybrid),
        "cloud" => Some(IdentitySource::CloudOnly),
        _ => None,
    }
}

pub(crate) fn identity_info(row: &AnyRow) -> Result<IdentityInfo> {
    Ok(IdentityInfo {
        guid: col_uuid(row, "guid")?,
        sid: col_sid(row, "sid")?,
        kind: col_word(row, "kind", kind_from_word)?,
        source: col_word(row, "source", source_from_word)?,
        state: col_word(row, "state", state_from_word)?,
        disabled_reason: col(row, "disabled_reason")?,
        account_name: col(row, "account_name")?,
        upn: col(row, "upn")?,
        display_name: col(row, "display_name")?,
        domain_dns_name: col(row, "domain_name")?,
        domain_flat_name: col(row, "flat_name")?,
        primary_group_rid: col_u32(row, "primary_group_rid")?,
        created_at: col(row, "created_at")?,
        changed_at: col(row, "changed_at")?,
        origins: col(row, "origins")?,
    })
}

pub(crate) async fn by_guid(
    conn: &mut AnyConnection,
    tenant: TenantId,
    guid: Uuid,
) -> Result<Option<IdentityInfo>> {
    let row = sql_list(format!(
        "{SELECT_IDENTITY} WHERE i.tenant_id = $1 AND i.guid = $2"
    ))
    .persistent(true)
    .bind(tenant_blob(tenant))
    .bind(uuid_blob(guid))
    .fetch_optional(conn)
    .await?;
    row.as_ref().map(identity_info).transpose()
}

pub(crate) async fn by_sid(
    conn: &mut AnyConnection,
    tenant: TenantId,
    sid: &Sid,
) -> Result<Option<IdentityInfo>> {
    let row = sql_list(format!(
        "{SELECT_IDENTITY} WHERE i.tenant_id = $1 AND i.sid = $2"
    ))
    .persistent(true)
    .bind(tenant_blob(tenant))
    .bind(sid.to_string())
    .fetch_optional(conn)
    .await?;
    row.as_ref().map(identity_info).transpose()
}

/// What [`Directory::principal`] does, on this connection.
pub(crate) async fn find_principal(
    conn: &mut AnyConnection,
    tenant: TenantId,
    principal: &str,
    kind: Option<IdentityKind>,
) -> Result<IdentityInfo> {
    let found = match (principal.parse::<Sid>(), Uuid::parse_str(principal)) {
        (Ok(sid), _) => by_sid(conn, tenant, &sid).await?.into_iter().collect(),
        (_, Ok(guid)) => by_guid(conn, tenant, guid).await?.into_iter().collect(),
        _ => by_name(conn, tenant, principal).await?,
    };
    let mut found: Vec<IdentityInfo> = found
        .into_iter()
        .filter(|info| kind.is_none_or(|kind| kind == info.kind))
        .collect();
    match found.len() {
        1 => Ok(found.remove(0)),
        0 => {
            let shown = names::shown(principal);
            Err(DirectoryError::not_found(not_found_kind(kind), shown))
        }
        _ => Err(DirectoryError::Ambiguous {
            name: principal.to_owned(),
            candidates: found
                .iter()
                .map(|info| format!("`{}\\{}`", info.domain_flat_name, info.account_name))
                .collect::<Vec<_>>()
                .join(", "),
        }),
    }
}

/// The living identities with this UPN, `FLAT\name` or account name. At most ten.
async fn by_name(
    conn: &mut AnyConnection,
    tenant: TenantId,
    name: &str,
) -> Result<Vec<IdentityInfo>> {
    if name.contains('\0') {
        return Ok(Vec::new());
    }
    let name = name.to_lowercase();
    let select = |condition: &str| {
        format!(
            "{SELECT_IDENTITY} WHERE i.tenant_id = $1 AND i.state <> 'deleted' AND {condition} LIMIT 10"
        )
    };
    let tenant_id = tenant_blob(tenant);
    if let Some((flat, account)) = name.split_once('\\') {
        let rows = sql_list(select(
            "i.name_key = $2 AND LOWER(COALESCE(d.flat_name, t.flat_name)) = $3",
        ))
        .bind(tenant_id)
        .bind(account)
        .bind(flat)
        .fetch_all(conn)
        .await?;
        return rows.iter().map(identity_info).collect();
    }
    let Some((account, suffix)) = name.rsplit_once('@') else {
        let rows = sql_list(select("i.name_key = $2"))
            .bind(tenant_id)
            .bind(name)
            .fetch_all(conn)
            .await?;
        return rows.iter().map(identity_info).collect();
    };
    let rows = sql_list(select("i.taken_upn = $2"))
        .bind(tenant_id.clone())
        .bind(name.as_str())
        .fetch_all(&mut *conn)
        .await?;
    if !rows.is_empty() {
        return rows.iter().map(identity_info).collect();
    }
    // AD's implicit UPN: the account name and the DNS name of the domain.
    let rows = sql_list(select(
        "i.kind = 'user' AND i.name_key = $2 AND i.domain = $3",
    ))
    .bind(tenant_id)
    .bind(account)
    .bind(suffix)
    .fetch_all(conn)
    .await?;
    rows.iter().map(identity_info).collect()
}

/// The SID of a hybrid user's primary group, in the user's own domain.
pub(crate) fn primary_group_sid(identity: &IdentityInfo) -> Option<Sid> {
    let ordinary = identity.source == IdentitySource::Hybrid && identity.primary_group_rid != 0;
    let domain = identity.sid.domain().filter(|_| ordinary)?;
    domain.with_rid(identity.primary_group_rid).ok()
}

/// The SID that a cloud-only identity's UUID makes, as other clouds make theirs: authority 12, then 1 and the UUID as
/// four little-endian numbers.
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

fn not_found_kind(kind: Option<IdentityKind>) -> Kind {
    match kind {
        None => Kind::Principal,
        Some(IdentityKind::User) => Kind::User,
        Some(IdentityKind::Group) => Kind::Group,
    }
}

/// Where a page by name starts: the GUID and the name it begins behind.
fn place_of(page: &Page) -> Result<(Vec<u8>, String)> {
    let Some(after) = &page.after else {
        return Ok((Vec::new(), String::new()));
    };
    let bad = || invalid("page", after, "expected the `next` of the page before");
    let (guid, name) = after.split_at_checked(36).ok_or_else(bad)?;
    let guid = Uuid::parse_str(guid).map_err(|_| bad())?;
    Ok((uuid_blob(guid), name.to_owned()))
}
