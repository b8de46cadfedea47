//! Administrators: people with a role. Another administrator creates them with a one-time enrolment code, with which
//! they choose a password and pair an authenticator app. Sign-in is in `sign_in`.

pub(crate) mod attempts;
pub(crate) mod sign_in;
pub(crate) mod tokens;
pub(crate) mod totp;

use crate::administrators::tokens::{TokenInfo, TokenRole, administers_installation};
use crate::administrators::totp::base32;
use crate::audit::events::{Actor, audit};
use crate::db::change::{ChangeScope, lock_and_bump};
use crate::db::columns::{col, col_tenant_of, col_uuid, col_word, tenant_blob, uuid_blob};
use crate::db::pools::Tx;
use crate::db::statement::{is_taken, sql};
use crate::directory::Directory;
use crate::error::{DirectoryError, RecordKind, Refusal, Result};
use crate::names;
use crate::random::{random, random_uuid};
use crate::sealing::row_tags::{NewTags, RightsRow, RightsTable, RowTags};
use crate::tenants::model::load_tenant;
use crossrealm_kdc::TenantId;
use crossrealm_os::clock::now_s;
use crossrealm_types::AdministratorRole;
use sha2::{Digest, Sha256};
use sqlx::AnyConnection;
use sqlx::any::AnyRow;
use uuid::Uuid;
use zeroize::Zeroizing;

/// How long an enrolment code can be used, in seconds.
pub const CODE_LIFE_S: i64 = 24 * 3600;
/// The random bytes of a code: 96 bits, which cannot be guessed within its life.
const CODE_BYTES: usize = 12;
/// The longest name of an administrator, in characters: it names tokens, too.
const MAX_UPN: usize = 256;
/// The most administrators of an installation.
const MOST: i64 = 10_000;

pub(crate) const COLUMNS: &str =
    "a.id, a.tenant_id, a.upn, a.upn_key, a.role, a.created_at, a.code_hash, a.code_expires_at,
    a.password, a.tag, a.totp_version, a.totp_sealed, a.totp_step, a.enrolled_at, a.signed_in_at,
    (SELECT t.name FROM tenants t WHERE t.id = a.tenant_id) AS tenant_name";

/// An administrator, without their credentials.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdministratorInfo {
    /// The name they sign in with.
    pub upn: String,
    /// The tenant they are confined to; `None` is the whole installation.
    pub tenant: Option<TenantId>,
    /// Its name.
    pub tenant_name: Option<String>,
    /// What they may do.
    pub role: AdministratorRole,
    /// When they were made, Unix seconds.
    pub created_at: i64,
    /// Until when their enrolment code can be used, Unix seconds; `None` once it was.
    pub code_expires_at: Option<i64>,
    /// When they enrolled, Unix seconds.
    pub enrolled_at: Option<i64>,
    /// When they signed in last, Unix seconds.
    pub signed_in_at: Option<i64>,
}

/// An administrator with their credentials.
#[derive(Clone)]
pub(crate) struct Administrator {
    pub(crate) id: Uuid,
    pub(crate) info: AdministratorInfo,
    pub(crate) upn_key: String,
    pub(crate) code_hash: Option<Vec<u8>>,
    pub(crate) password: Option<Vec<u8>>,
    pub(crate) totp_version: i64,
    pub(crate) totp_sealed: Option<Vec<u8>>,
    pub(crate) totp_step: i64,
}

/// A new enrolment code, shown once, and the administrator it is for.
pub type Enrolment = (Zeroizing<String>, AdministratorInfo);

impl Directory {
    /// Creates an administrator of a tenant, or (`None`) of the installation, who enrols with the returned code.
    pub async fn create_administrator(
        &self,
        by: &Actor,
        tenant: Option<TenantId>,
        upn: &str,
        role: AdministratorRole,
    ) -> Result<Enrolment> {
        names::new_upn(upn)?;
        names::plain_text("user principal name", upn, MAX_UPN, false)?;
        let (code, code_hash) = new_code()?;
        let key = upn_key(tenant, upn);
        let mut tx = self.begin_in(tenant).await?;
        delete_unauthentic(&mut tx, self.sealer().rows(), &key).await?;
        // One of an earlier version, whose name is unique in the installation.
        let named = find(&mut tx, self.sealer().rows(), tenant, upn).await?;
        if named.is_some() {
            return Err(DirectoryError::exists(RecordKind::Administrator, upn));
        }
        let tenant_name = match tenant {
            Some(tenant) => Some(load_tenant(&mut tx, tenant).await?.name),
            None => None,
        };
        let now = now_s();
        let info = AdministratorInfo {
            upn: upn.to_owned(),
            tenant,
            tenant_name,
            role,
            created_at: now,
            code_expires_at: Some(now + CODE_LIFE_S),
            enrolled_at: None,
            signed_in_at: None,
        };
        let row = sql("SELECT COUNT(*) AS held FROM administrators")
            .fetch_one(&mut *tx)
            .await?;
        if col::<i64>(&row, "held")? >= MOST {
            return Err(Refusal::TooManyAdministrators { most: MOST }.into());
        }
        let new = Administrator {
            id: random_uuid()?,
            info,
            upn_key: key,
            code_hash: Some(code_hash),
            password: None,
            totp_version: 0,
            totp_sealed: None,
            totp_step: 0,
        };
        let tag = self.sealer().rows().tag(&administrator_row(&new));
        let info = new.info;
        sql("INSERT INTO administrators (id, tenant_id, upn, upn_key, role, created_at, code_hash, code_expires_at, tag)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)")
            .bind(uuid_blob(new.id))
            .bind(tenant.map(tenant_blob))
            .bind(upn)
            .bind(new.upn_key)
            .bind(info.role.as_str())
            .bind(info.created_at)
            .bind(new.code_hash)
            .bind(info.code_expires_at)
            .bind(tag)
            .execute(&mut *tx)
            .await
            .map_err(|error| match is_taken(&error) {
                true => DirectoryError::exists(RecordKind::Administrator, upn),
                false => error.into(),
            })?;
        audit(&mut tx, by, tenant, "admin.create", upn, info.role.as_str()).await?;
        self.commit(tx).await?;
        Ok((code, info))
    }

    /// The administrators of a tenant, or (`None`) all of them, by name.
    pub async fn administrators(&self, tenant: Option<TenantId>) -> Result<Vec<AdministratorInfo>> {
        let statement = match tenant {
            Some(tenant) => {
                select(" WHERE a.tenant_id = $1 ORDER BY LOWER(a.upn)").bind(tenant_blob(tenant))
            }
            None => select(" ORDER BY LOWER(a.upn), a.upn_key"),
        };
        let rows = statement.fetch_all(self.readers()).await?;
        let mut found = Vec::with_capacity(rows.len());
        for row in &rows {
            found.extend(authentic(row, self.sealer().rows())?.map(|found| found.info));
        }
        self.report_refused_rows().await?;
        Ok(found)
    }

    /// Clears the password, authenticator and sessions of an administrator, who enrols again with the returned code.
    /// `tenant` is the administrator's, which a caller that is confined to one cannot choose; without it they are one of the
    /// installation, or else the only one of the name.
    ///
    /// Refused with `administrator_ambiguous` where administrators of several tenants have the name.
    pub async fn reset_administrator(
        &self,
        by: &Actor,
        tenant: Option<TenantId>,
        upn: &str,
    ) -> Result<Enrolment> {
        let (code, code_hash) = new_code()?;
        let mut tx = self.begin_in(tenant).await?;
        let found = within(&mut tx, self.sealer().rows(), tenant, upn).await?;
        found.is_not_the_last(&mut tx, self.sealer().rows()).await?;
        let info = reset(&mut tx, self.sealer().rows(), found, code_hash).await?;
        audit(
            &mut tx,
            by,
            info.tenant,
            "admin.reset",
            &info.upn,
            info.role.as_str(),
        )
        .await?;
        self.commit(tx).await?;
        Ok((code, info))
    }

    /// Lets a global administrator of the installation enrol anew with the returned code; creates them if nobody has the
    /// name. For the holder of the master key and the database: it asks no other
    /// administrator.
    pub async fn recover_administrator(&self, upn: &str) -> Result<Enrolment> {
        let by = Actor::local("admin recover");
        let mut conn = self.readers().acquire().await?;
        let found = find(&mut conn, self.sealer().rows(), None, upn).await?;
        drop(conn);
        match found {
            None => {
                let role = AdministratorRole::GlobalAdministrator;
                self.create_administrator(&by, None, upn, role).await
            }
            Some(found) if administers_all(found.info.tenant, found.info.role) => {
                let (code, code_hash) = new_code()?;
                let mut tx = self.begin().await?;
                let found = within(&mut tx, self.sealer().rows(), None, upn).await?;
                let info = reset(&mut tx, self.sealer().rows(), found, code_hash).await?;
                let role = info.role.as_str();
                audit(&mut tx, &by, None, "admin.recover", &info.upn, role).await?;
                self.commit(tx).await?;
                Ok((code, info))
            }
            Some(found) => Err(Refusal::NotGlobalAdministrator {
                upn: found.info.upn,
            }
            .into()),
        }
    }

    /// Deletes an administrator and ends their sessions. For `tenant` see [`Directory::reset_administrator`].
    pub async fn remove_administrator(
        &self,
        by: &Actor,
        tenant: Option<TenantId>,
        upn: &str,
    ) -> Result<()> {
        let mut tx = self.begin_in(tenant).await?;
        let found = within(&mut tx, self.sealer().rows(), tenant, upn).await?;
        found.is_not_the_last(&mut tx, self.sealer().rows()).await?;
        sql("DELETE FROM administrators WHERE id = $1")
            .bind(uuid_blob(found.id))
            .execute(&mut *tx)
            .await?;
        audit(
            &mut tx,
            by,
            found.info.tenant,
            "admin.remove",
            &found.info.upn,
            found.info.role.as_str(),
        )
        .await?;
        self.commit(tx).await
    }

    /// Revokes a token on behalf of its bearer. The last one that can administer the installation is kept.
    pub async fn end_token(&self, by: &Actor, token: &TokenInfo) -> Result<()> {
        let mut tx = self.begin_in(token.tenant).await?;
        let row = sql("SELECT administrator_id FROM tokens WHERE id = $1")
            .bind(uuid_blob(token.id))
            .fetch_optional(&mut *tx)
            .await?
            .ok_or_else(|| DirectoryError::not_found(RecordKind::Token, token.id))?;
        let of_session: Option<Vec<u8>> = col(&row, "administrator_id")?;
        let administers_all = token.tenant.is_none()
            && token.role == TokenRole::Administrator(AdministratorRole::GlobalAdministrator);
        if of_session.is_none() && administers_all {
            keep_somebody(&mut tx, self.sealer().rows(), Uuid::nil(), token.id).await?;
        }
        tokens::revoke(&mut tx, token.id).await?;
        audit(
            &mut tx,
            by,
            token.tenant,
            "token.end",
            &token.name,
            token.role.as_str(),
        )
        .await?;
        self.commit(tx).await
    }

    /// A writing transaction, with the tenant's lock if there is a tenant.
    pub(crate) async fn begin_in(&self, tenant: Option<TenantId>) -> Result<Tx> {
        let mut tx = self.begin().await?;
        if let Some(tenant) = tenant {
            lock_and_bump(&mut tx, tenant, ChangeScope::Nothing).await?;
        }
        Ok(tx)
    }
}

impl Administrator {
    /// Refuses to remove this administrator if nobody else could administer the installation.
    async fn is_not_the_last(&self, conn: &mut AnyConnection, tags: &RowTags) -> Result<()> {
        let signs_in = self.password.is_some();
        match signs_in && administers_all(self.info.tenant, self.info.role) {
            true => keep_somebody(conn, tags, self.id, Uuid::nil()).await,
            false => Ok(()),
        }
    }
}

fn administers_all(tenant: Option<TenantId>, role: AdministratorRole) -> bool {
    tenant.is_none() && role == AdministratorRole::GlobalAdministrator
}

fn select(rest: &str) -> crate::db::statement::Statement<'static> {
    crate::db::statement::sql_list(format!("SELECT {COLUMNS} FROM administrators a{rest}"))
}

/// What identifies an administrator: the lower-cased name, and for one of a tenant the tenant before it. Names are unique in a
/// tenant only: if they were unique among tenants, the administrators of one could find out the names of another's.
pub(crate) fn upn_key(tenant: Option<TenantId>, upn: &str) -> String {
    let name = upn.to_lowercase();
    match tenant {
        Some(tenant) => format!("{tenant}/{name}"),
        None => name,
    }
}

/// The administrator of this name in the tenant or (`None`) of the installation, if the row is authentic.
///
/// Before 0.3 the names of all administrators were unique in the installation; these keep their key, and are found with and
/// without their tenant.
pub(crate) async fn find(
    conn: &mut AnyConnection,
    tags: &RowTags,
    tenant: Option<TenantId>,
    upn: &str,
) -> Result<Option<Administrator>> {
    let keys = [upn_key(tenant, upn), upn_key(None, upn)];
    let rows = select(" WHERE a.upn_key = $1 OR a.upn_key = $2")
        .bind(keys[0].clone())
        .bind(keys[1].clone())
        .fetch_all(conn)
        .await?;
    Ok(all_authentic(&rows, tags)?
        .into_iter()
        .find(|found| tenant.is_none() || found.info.tenant == tenant))
}

/// The only administrator of this name, of any tenant.
async fn find_anywhere(
    conn: &mut AnyConnection,
    tags: &RowTags,
    upn: &str,
) -> Result<Option<Administrator>> {
    // The key of an administrator of a tenant: 36 characters of its id, then this.
    let rows = select(" WHERE SUBSTR(a.upn_key, 37) = $1")
        .bind(format!("/{}", upn.to_lowercase()))
        .fetch_all(conn)
        .await?;
    let mut found = all_authentic(&rows, tags)?;
    match found.len() {
        0 | 1 => Ok(found.pop()),
        _ => Err(Refusal::AdministratorAmbiguous {
            upn: names::shown(upn),
        }
        .into()),
    }
}

/// The administrators in these rows that are authentic.
fn all_authentic(rows: &[AnyRow], tags: &RowTags) -> Result<Vec<Administrator>> {
    let found = rows.iter().map(|row| authentic(row, tags));
    found.filter_map(Result::transpose).collect()
}

/// Deletes a row of this name that grants nothing, so that the name can be given.
async fn delete_unauthentic(conn: &mut AnyConnection, tags: &RowTags, upn_key: &str) -> Result<()> {
    let row = select(" WHERE a.upn_key = $1")
        .bind(upn_key.to_owned())
        .fetch_optional(&mut *conn)
        .await?;
    match row {
        Some(row) if authentic(&row, tags)?.is_none() => {}
        _ => return Ok(()),
    }
    sql("DELETE FROM administrators WHERE upn_key = $1")
        .bind(upn_key)
        .execute(conn)
        .await?;
    Ok(())
}

/// What the tag of an administrator covers: their role, and every credential that is not sealed. The authenticator's
/// secret is sealed for this id and version.
pub(crate) fn administrator_row(of: &Administrator) -> RightsRow {
    RightsRow::new(
        RightsTable::Administrators,
        of.info.tenant,
        of.id.as_bytes(),
    )
    .text(&of.info.upn)
    .text(of.info.role.as_str())
    .optional(of.code_hash.as_deref())
    .number(of.info.code_expires_at)
    .optional(of.password.as_deref())
    .number(Some(of.totp_version))
}

/// The administrator of a row, if the row is authentic.
fn authentic(row: &AnyRow, tags: &RowTags) -> Result<Option<Administrator>> {
    let tag: Option<Vec<u8>> = col(row, "tag")?;
    let found = administrator(row)?;
    let is_authentic = tags.is_authentic(&administrator_row(&found), tag.as_deref());
    // The key is not tagged: it follows from the name and the tenant, which are.
    let keys = [found.info.tenant, None].map(|tenant| upn_key(tenant, &found.info.upn));
    Ok((is_authentic && keys.contains(&found.upn_key)).then_some(found))
}

/// Every administrator, authentic or not.
async fn all(conn: &mut AnyConnection) -> Result<Vec<Administrator>> {
    let rows = select("").fetch_all(&mut *conn).await?;
    rows.iter().map(administrator).collect()
}

/// Tags all administrators anew.
pub(crate) async fn tag_administrators(conn: &mut AnyConnection, tags: NewTags<'_>) -> Result<()> {
    for row in &select("").fetch_all(&mut *conn).await? {
        let tag: Option<Vec<u8>> = col(row, "tag")?;
        let found = administrator(row)?;
        sql("UPDATE administrators SET tag = $2 WHERE id = $1")
            .bind(uuid_blob(found.id))
            .bind(tags.of(&administrator_row(&found), tag.as_deref()))
            .execute(&mut *conn)
            .await?;
    }
    Ok(())
}

/// Clears the credentials and sessions of an administrator, who enrols again with the code of this hash.
async fn reset(
    conn: &mut AnyConnection,
    tags: &RowTags,
    mut of: Administrator,
    code_hash: Vec<u8>,
) -> Result<AdministratorInfo> {
    (of.code_hash, of.password, of.totp_sealed) = (Some(code_hash), None, None);
    (of.totp_version, of.totp_step) = (of.totp_version + 1, 0);
    (of.info.code_expires_at, of.info.enrolled_at) = (Some(now_s() + CODE_LIFE_S), None);
    let tag = tags.tag(&administrator_row(&of));
    sql("UPDATE administrators SET code_hash = $2, code_expires_at = $3, password = NULL, totp_sealed = NULL,
         totp_version = $4, totp_step = 0, enrolled_at = NULL, tag = $5 WHERE id = $1")
        .bind(uuid_blob(of.id))
        .bind(of.code_hash)
        .bind(of.info.code_expires_at)
        .bind(of.totp_version)
        .bind(tag)
        .execute(&mut *conn)
        .await?;
    sql("DELETE FROM tokens WHERE administrator_id = $1")
        .bind(uuid_blob(of.id))
        .execute(&mut *conn)
        .await?;
    for tenant in [of.info.tenant, None] {
        attempts::forget(conn, &upn_key(tenant, &of.info.upn), of.id).await?;
    }
    Ok(of.info)
}

/// The administrator of this name in the tenant, or (`None`) of the installation, or else the only one of the name. Locks the row
/// until the transaction ends, so that nobody enrols meanwhile.
async fn within(
    conn: &mut AnyConnection,
    tags: &RowTags,
    tenant: Option<TenantId>,
    upn: &str,
) -> Result<Administrator> {
    let unknown = || DirectoryError::not_found(RecordKind::Administrator, names::shown(upn));
    let mut found = find(conn, tags, tenant, upn).await?;
    if found.is_none() && tenant.is_none() {
        found = find_anywhere(conn, tags, upn).await?;
    }
    let id = found.ok_or_else(unknown)?.id;
    sql("UPDATE administrators SET role = role WHERE id = $1")
        .bind(uuid_blob(id))
        .execute(&mut *conn)
        .await?;
    let row = select(" WHERE a.id = $1")
        .bind(uuid_blob(id))
        .fetch_optional(conn)
        .await?
        .ok_or_else(unknown)?;
    authentic(&row, tags)?.ok_or_else(unknown)
}

/// Refuses what would leave the installation without an administrator. Others that count are tokens that belong to no
/// session, such as the first one, and enrolled global administrators, except the two that are named.
async fn keep_somebody(
    conn: &mut AnyConnection,
    tags: &RowTags,
    without: Uuid,
    without_token: Uuid,
) -> Result<()> {
    let rows = select(
        " WHERE a.tenant_id IS NULL AND a.role = 'global-administrator' AND a.password IS NOT NULL AND a.id <> $1",
    )
    .bind(uuid_blob(without))
    .fetch_all(&mut *conn)
    .await?;
    for row in &rows {
        if authentic(row, tags)?.is_some() {
            return Ok(());
        }
    }
    if administers_installation(conn, tags, without_token).await? {
        return Ok(());
    }
    Err(Refusal::LastAdministrator.into())
}

/// A new code and its stored hash.
fn new_code() -> Result<(Zeroizing<String>, Vec<u8>)> {
    let mut bytes = Zeroizing::new([0; CODE_BYTES]);
    random(bytes.as_mut())?;
    let text = base32(bytes.as_ref());
    let groups: Vec<&str> = [0..5, 5..10, 10..15, 15..20]
        .into_iter()
        .filter_map(|range| text.get(range))
        .collect();
    let code = Zeroizing::new(groups.join("-"));
    let hash = code_hash(&code);
    Ok((code, hash))
}

/// The stored hash of a code. Case and separators do not count.
pub(crate) fn code_hash(code: &str) -> Vec<u8> {
    let plain: Zeroizing<String> = Zeroizing::new(
        code.chars()
            .filter(|c| c.is_ascii_alphanumeric())
            .map(|c| c.to_ascii_uppercase())
            .collect(),
    );
    Sha256::digest(plain.as_bytes()).to_vec()
}

fn administrator(row: &AnyRow) -> Result<Administrator> {
    Ok(Administrator {
        id: col_uuid(row, "id")?,
        info: AdministratorInfo {
            upn: col(row, "upn")?,
            tenant: col_tenant_of(row)?,
            tenant_name: col(row, "tenant_name")?,
            role: col_word(row, "role")?,
            created_at: col(row, "created_at")?,
            code_expires_at: col(row, "code_expires_at")?,
            enrolled_at: col(row, "enrolled_at")?,
            signed_in_at: col(row, "signed_in_at")?,
        },
        upn_key: col(row, "upn_key")?,
        code_hash: col(row, "code_hash")?,
        password: col(row, "password")?,
        totp_version: col(row, "totp_version")?,
        totp_sealed: col(row, "totp_sealed")?,
        totp_step: col(row, "totp_step")?,
    })
}
