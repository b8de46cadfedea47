//! Administrators: people with a role. Another administrator creates them with a one-time enrolment code, with which
//! they choose a password and pair an authenticator app. Sign-in is in `sign_in`.

pub(crate) mod attempts;
pub(crate) mod sign_in;
pub(crate) mod tokens;
pub(crate) mod totp;

use crate::administrators::tokens::{TokenInfo, TokenRole};
use crate::administrators::totp::base32;
use crate::audit::events::{Actor, audit};
use crate::db::change::{ChangeScope, lock_and_bump};
use crate::db::columns::{col, col_uuid, col_word, tenant_blob, uuid_blob};
use crate::db::pools::Tx;
use crate::db::statement::{is_taken, sql};
use crate::directory::Directory;
use crate::error::{DirectoryError, RecordKind, Refusal, Result};
use crate::names;
use crate::random::{random, random_uuid};
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
    a.password, a.totp_version, a.totp_sealed, a.totp_step, a.enrolled_at, a.signed_in_at,
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
        let mut tx = self.begin_in(tenant).await?;
        let tenant_name = match tenant {
            Some(tenant) => Some(load_tenant(&mut tx, tenant).await?.name),
            None => None,
        };
        let info = AdministratorInfo {
            upn: upn.to_owned(),
            tenant,
            tenant_name,
            role,
            created_at: now_s(),
            code_expires_at: Some(now_s() + CODE_LIFE_S),
            enrolled_at: None,
            signed_in_at: None,
        };
        let row = sql("SELECT COUNT(*) AS held FROM administrators")
            .fetch_one(&mut *tx)
            .await?;
        if col::<i64>(&row, "held")? >= MOST {
            return Err(Refusal::TooManyAdministrators { most: MOST }.into());
        }
        sql("INSERT INTO administrators (id, tenant_id, upn, upn_key, role, created_at, code_hash, code_expires_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8)")
            .bind(uuid_blob(random_uuid()?))
            .bind(tenant.map(tenant_blob))
            .bind(upn)
            .bind(upn.to_lowercase())
            .bind(info.role.as_str())
            .bind(info.created_at)
            .bind(code_hash)
            .bind(info.code_expires_at)
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
                select(" WHERE a.tenant_id = $1 ORDER BY a.upn_key").bind(tenant_blob(tenant))
            }
            None => select(" ORDER BY a.upn_key"),
        };
        let rows = statement.fetch_all(self.readers()).await?;
        rows.iter()
            .map(|row| administrator(row).map(|found| found.info))
            .collect()
    }

    /// Clears the password, authenticator and sessions of an administrator, who enrols again with the returned code.
    /// `tenant` is the one that the caller is confined to.
    pub async fn reset_administrator(
        &self,
        by: &Actor,
        tenant: Option<TenantId>,
        upn: &str,
    ) -> Result<Enrolment> {
        let (code, code_hash) = new_code()?;
        let mut tx = self.begin_in(tenant).await?;
        let found = within(&mut tx, tenant, upn).await?;
        found.is_not_the_last(&mut tx).await?;
        let mut info = found.info;
        (info.code_expires_at, info.enrolled_at) = (Some(now_s() + CODE_LIFE_S), None);
        sql("UPDATE administrators SET code_hash = $2, code_expires_at = $3, password = NULL, totp_sealed = NULL,
             totp_version = totp_version + 1, totp_step = 0, enrolled_at = NULL WHERE id = $1")
            .bind(uuid_blob(found.id))
            .bind(code_hash)
            .bind(info.code_expires_at)
            .execute(&mut *tx)
            .await?;
        sql("DELETE FROM tokens WHERE administrator_id = $1")
            .bind(uuid_blob(found.id))
            .execute(&mut *tx)
            .await?;
        attempts::forget(&mut tx, &attempts::account(&found.upn_key)).await?;
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

    /// Deletes an administrator and ends their sessions. `tenant` is the one that the caller is confined to.
    pub async fn remove_administrator(
        &self,
        by: &Actor,
        tenant: Option<TenantId>,
        upn: &str,
    ) -> Result<()> {
        let mut tx = self.begin_in(tenant).await?;
        let found = within(&mut tx, tenant, upn).await?;
        found.is_not_the_last(&mut tx).await?;
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
            keep_somebody(&mut tx, Uuid::nil(), token.id).await?;
        }
        sql("UPDATE tokens SET revoked_at = $2 WHERE id = $1 AND revoked_at IS NULL")
            .bind(uuid_blob(token.id))
            .bind(now_s())
            .execute(&mut *tx)
            .await?;
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
    async fn is_not_the_last(&self, conn: &mut AnyConnection) -> Result<()> {
        let signs_in = self.password.is_some();
        match signs_in && administers_all(self.info.tenant, self.info.role) {
            true => keep_somebody(conn, self.id, Uuid::nil()).await,
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

/// The administrator of this name.
pub(crate) async fn find(conn: &mut AnyConnection, upn_key: &str) -> Result<Option<Administrator>> {
    let row = select(" WHERE a.upn_key = $1")
        .bind(upn_key.to_owned())
        .fetch_optional(conn)
        .await?;
    row.as_ref().map(administrator).transpose()
}

/// The administrator of this name, if a caller confined to `tenant` may see them.
async fn within(
    conn: &mut AnyConnection,
    tenant: Option<TenantId>,
    upn: &str,
) -> Result<Administrator> {
    find(conn, &upn.to_lowercase())
        .await?
        .filter(|found| tenant.is_none() || found.info.tenant == tenant)
        .ok_or_else(|| DirectoryError::not_found(RecordKind::Administrator, names::shown(upn)))
}

/// Refuses what would leave the installation without an administrator. Others that count are tokens that belong to no
/// session, such as the first one, and enrolled global administrators, except the two that are named.
async fn keep_somebody(conn: &mut AnyConnection, without: Uuid, without_token: Uuid) -> Result<()> {
    let row = sql("SELECT
           (SELECT COUNT(*) FROM tokens WHERE tenant_id IS NULL AND role = 'global-administrator' AND administrator_id IS NULL
              AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > $1) AND id <> $2)
         + (SELECT COUNT(*) FROM administrators WHERE tenant_id IS NULL AND role = 'global-administrator'
              AND password IS NOT NULL AND id <> $3) AS others")
        .bind(now_s())
        .bind(uuid_blob(without_token))
        .bind(uuid_blob(without))
        .fetch_one(conn)
        .await?;
    if col::<i64>(&row, "others")? > 0 {
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
    let tenant: Option<Vec<u8>> = col(row, "tenant_id")?;
    let tenant = tenant
        .map(|id| id.try_into().map(TenantId))
        .transpose()
        .map_err(|_| DirectoryError::damaged("administrator's tenant", "not a UUID"))?;
    Ok(Administrator {
        id: col_uuid(row, "id")?,
        info: AdministratorInfo {
            upn: col(row, "upn")?,
            tenant,
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
