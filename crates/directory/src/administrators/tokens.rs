//! Access tokens of the API. Only the SHA-256 of a token is stored, in a row that is authenticated under the master key.

use crate::audit::events::{Actor, audit};
use crate::db::change::{ChangeScope, lock_and_bump};
use crate::db::columns::{col, col_tenant_of, col_uuid, tenant_blob, uuid_blob};
use crate::db::statement::{sql, sql_list};
use crate::directory::Directory;
use crate::error::{DirectoryError, RecordKind, Refusal, Result};
use crate::names;
use crate::random::{random, random_uuid};
use crate::sealing::row_tags::{NewTags, RightsRow, RightsTable, RowTags};
use crate::sealing::seal::Sealer;
use crossrealm_kdc::TenantId;
use crossrealm_os::clock::now_s;
use crossrealm_types::{ActorKind, AdministratorRole, UnknownWord};
use sha2::{Digest, Sha256};
use sqlx::AnyConnection;
use sqlx::any::AnyRow;
use std::net::IpAddr;
use uuid::Uuid;
use zeroize::Zeroizing;

/// Lets people and secret scanners recognize a token.
const PREFIX: &str = "xr_";

/// Selects the columns of a [`TokenInfo`]; a `WHERE` follows.
const SELECT_TOKEN: &str =
    "SELECT id, tenant_id, hash, role, scope, rotate_trust, name, created_at, expires_at, revoked_at,
    administrator_id, tag FROM tokens";

/// Neither revoked nor expired; $2 is the time. What ends, and was created more than a day ahead of now, was created while the
/// clock was wrong: its end is as far away as the clock was. A clock that is some hours behind ends nobody's session.
const LIVES: &str =
    "revoked_at IS NULL AND (expires_at IS NULL OR (expires_at > $2 AND created_at <= $2 + 86400))";

/// What the bearer of a token may do.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum TokenRole {
    /// What an administrator may do.
    Administrator(AdministratorRole),
    /// Writes the identities of one AD domain.
    Connector {
        /// Its DNS name, lower case.
        domain: String,
        /// Whether it may also rotate the trust of that domain.
        rotate_trust: bool,
    },
    /// Reads the host state of one storage account.
    Host {
        /// Its name.
        account: String,
    },
}

/// A token to create.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewToken {
    /// The tenant it is confined to; `None` is the whole installation.
    pub tenant: Option<TenantId>,
    /// What its bearer may do. Connectors and hosts need a tenant.
    pub role: TokenRole,
    /// Its name, by which audit events name its bearer.
    pub name: String,
    /// When it ends, Unix seconds.
    pub expires_at: Option<i64>,
}

/// The record of a token. The token itself is not stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenInfo {
    /// Its id.
    pub id: Uuid,
    /// The tenant it is confined to; `None` is the whole installation.
    pub tenant: Option<TenantId>,
    /// What its bearer may do.
    pub role: TokenRole,
    /// Its name.
    pub name: String,
    /// When it was created, Unix seconds.
    pub created_at: i64,
    /// When it ends, Unix seconds.
    pub expires_at: Option<i64>,
    /// When it was revoked, Unix seconds.
    pub revoked_at: Option<i64>,
    /// The administrator whose session it is.
    pub administrator: Option<Uuid>,
}

impl TokenInfo {
    /// The bearer of the token, for events.
    pub fn actor(&self, address: Option<IpAddr>) -> Actor {
        let kind = match (&self.role, self.administrator) {
            (TokenRole::Administrator(_), Some(_)) => ActorKind::Administrator,
            (TokenRole::Administrator(_), None) => ActorKind::Token,
            (TokenRole::Connector { .. }, _) => ActorKind::Connector,
            (TokenRole::Host { .. }, _) => ActorKind::Host,
        };
        Actor {
            kind,
            name: self.name.clone(),
            address,
        }
    }
}

impl TokenRole {
    /// The stable text of the role.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Administrator(role) => role.as_str(),
            Self::Connector { .. } => "connector",
            Self::Host { .. } => "host",
        }
    }

    fn scope(&self) -> &str {
        match self {
            Self::Connector { domain, .. } => domain,
            Self::Host { account } => account,
            Self::Administrator(_) => "",
        }
    }

    fn rotates_trust(&self) -> bool {
        matches!(
            self,
            Self::Connector {
                rotate_trust: true,
                ..
            }
        )
    }

    fn from_columns(
        role: &str,
        scope: String,
        rotate_trust: bool,
    ) -> std::result::Result<Self, UnknownWord> {
        Ok(match role {
            "connector" => Self::Connector {
                domain: scope,
                rotate_trust,
            },
            "host" => Self::Host { account: scope },
            administrator => Self::Administrator(administrator.parse()?),
        })
    }

    /// The role with its scope in its canonical spelling.
    fn checked(self) -> Result<Self> {
        Ok(match self {
            Self::Connector {
                domain,
                rotate_trust,
            } => Self::Connector {
                domain: names::dns_name("domain", &domain)?,
                rotate_trust,
            },
            Self::Host { account } => Self::Host {
                account: names::account_name(&account)?,
            },
            other => other,
        })
    }
}

impl Directory {
    /// Creates a token and returns it, this once: `xr_` and 64 hexadecimal digits.
    pub async fn create_token(
        &self,
        by: &Actor,
        new: NewToken,
    ) -> Result<(Zeroizing<String>, TokenInfo)> {
        let mut tx = self.begin().await?;
        if let Some(tenant) = new.tenant {
            lock_and_bump(&mut tx, tenant, ChangeScope::Nothing).await?;
        }
        let made = add_token(
            &mut tx,
            self.sealer(),
            by,
            new,
            None,
            "token.create",
            now_s(),
        )
        .await?;
        self.commit(tx).await?;
        Ok(made)
    }

    /// The record of a token; `None` if it is unknown, expired or revoked, or if its row is not authentic.
    pub async fn verify_token(&self, token: &str) -> Result<Option<TokenInfo>> {
        if token.len() != PREFIX.len() + 64 || !token.starts_with(PREFIX) {
            return Ok(None);
        }
        // Every call with a token passes here, those that only read too.
        self.note(self.check_file())?;
        // Found by its hash, so the time of the search reveals nothing of the token.
        let row = sql_list(format!("{SELECT_TOKEN} WHERE hash = $1 AND {LIVES}"))
            .persistent(true)
            .bind(hash(token))
            .bind(now_s())
            .fetch_optional(self.readers())
            .await?;
        self.authentic(row.as_ref()).await
    }

    /// The record of the token with this id, as [`Directory::verify_token`].
    pub(crate) async fn live_token(&self, id: Uuid) -> Result<Option<TokenInfo>> {
        let row = sql_list(format!("{SELECT_TOKEN} WHERE id = $1 AND {LIVES}"))
            .persistent(true)
            .bind(uuid_blob(id))
            .bind(now_s())
            .fetch_optional(self.readers())
            .await?;
        self.authentic(row.as_ref()).await
    }

    /// The token of a row, if the row is authentic.
    async fn authentic(&self, row: Option<&AnyRow>) -> Result<Option<TokenInfo>> {
        let found = match row {
            Some(row) if is_authentic(row, self.sealer().rows())? => Some(token_info(row)?),
            _ => None,
        };
        // Also the rows that other reads refused.
        self.report_refused_rows().await?;
        Ok(found)
    }

    /// Lets a token that belongs to no session live on, once it has created an administrator; others are left as they are.
    pub async fn keep_token(&self, by: &Actor, token: &TokenInfo) -> Result<()> {
        if token.administrator.is_some() || token.expires_at.is_none() {
            return Ok(());
        }
        let mut tx = self.begin().await?;
        let row = sql_list(format!(
            "{SELECT_TOKEN} WHERE id = $1 AND revoked_at IS NULL"
        ))
        .bind(uuid_blob(token.id))
        .fetch_optional(&mut *tx)
        .await?;
        // What is tagged anew was authentic before.
        let row = match row {
            Some(row) if is_authentic(&row, self.sealer().rows())? => row,
            _ => return Ok(()),
        };
        let hash: Vec<u8> = col(&row, "hash")?;
        let kept = TokenInfo {
            expires_at: None,
            ..token.clone()
        };
        sql("UPDATE tokens SET expires_at = NULL, tag = $2 WHERE id = $1")
            .bind(uuid_blob(token.id))
            .bind(self.sealer().rows().tag(&token_row(&kept, &hash)))
            .execute(&mut *tx)
            .await?;
        audit(&mut tx, by, token.tenant, "token.keep", &token.name, "").await?;
        self.commit(tx).await
    }

    /// The tokens confined to a tenant (`None`: those of the whole installation), revoked ones included, newest first.
    pub async fn tokens(&self, tenant: Option<TenantId>) -> Result<Vec<TokenInfo>> {
        let whose = match tenant {
            Some(_) => "tenant_id = $1",
            None => "tenant_id IS NULL",
        };
        let mut statement = sql_list(format!(
            "{SELECT_TOKEN} WHERE {whose} ORDER BY created_at DESC, id LIMIT 1000"
        ));
        if let Some(tenant) = tenant {
            statement = statement.bind(tenant_blob(tenant));
        }
        let rows = statement.fetch_all(self.readers()).await?;
        rows.iter().map(token_info).collect()
    }

    /// Revokes a token. `tenant` is the one it is confined to.
    pub async fn revoke_token(&self, by: &Actor, tenant: Option<TenantId>, id: Uuid) -> Result<()> {
        let mut tx = self.begin().await?;
        if let Some(tenant) = tenant {
            lock_and_bump(&mut tx, tenant, ChangeScope::Nothing).await?;
        }
        let row = sql_list(format!("{SELECT_TOKEN} WHERE id = $1"))
            .bind(uuid_blob(id))
            .fetch_optional(&mut *tx)
            .await?;
        let info = row
            .as_ref()
            .map(token_info)
            .transpose()?
            .filter(|info| info.tenant == tenant)
            .ok_or_else(|| DirectoryError::not_found(RecordKind::Token, id))?;
        revoke(&mut tx, id).await?;
        audit(
            &mut tx,
            by,
            tenant,
            "token.revoke",
            &info.name,
            info.role.as_str(),
        )
        .await?;
        self.commit(tx).await
    }
}

/// [`Directory::create_token`] in the caller's transaction, which holds the tenant's lock. The session of an
/// `administrator` ends with them. `action` names the audit event. `now` is the caller's reading of the clock, which the
/// token's end is counted from too.
pub(crate) async fn add_token(
    conn: &mut AnyConnection,
    sealer: &Sealer,
    by: &Actor,
    new: NewToken,
    administrator: Option<Uuid>,
    action: &'static str,
    now: i64,
) -> Result<(Zeroizing<String>, TokenInfo)> {
    names::plain_text("token name", &new.name, 256, false)?;
    let role = new.role.checked()?;
    if new.tenant.is_none() && !role.scope().is_empty() {
        return Err(Refusal::TenantRequired {
            role: role.as_str(),
        }
        .into());
    }
    let mut bytes = Zeroizing::new([0; 32]);
    random(bytes.as_mut())?;
    let token = Zeroizing::new(format!(
        "{PREFIX}{}",
        *Zeroizing::new(hex::encode(bytes.as_ref()))
    ));
    let info = TokenInfo {
        id: random_uuid()?,
        tenant: new.tenant,
        role,
        name: new.name,
        created_at: now,
        expires_at: new.expires_at,
        revoked_at: None,
        administrator,
    };
    let hash = hash(&token);
    let tag = sealer.rows().tag(&token_row(&info, &hash));
    sql(
        "INSERT INTO tokens (id, tenant_id, hash, role, scope, name, created_at, expires_at, rotate_trust,
         administrator_id, tag) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
    )
    .bind(uuid_blob(info.id))
    .bind(info.tenant.map(tenant_blob))
    .bind(hash)
    .bind(info.role.as_str())
    .bind(info.role.scope())
    .bind(info.name.as_str())
    .bind(info.created_at)
    .bind(info.expires_at)
    .bind(i64::from(info.role.rotates_trust()))
    .bind(administrator.map(uuid_blob))
    .bind(tag)
    .execute(&mut *conn)
    .await?;
    let rights = match info.role.rotates_trust() {
        true => ", may rotate the trust",
        false => "",
    };
    let detail = format!("{} {}", info.role.as_str(), info.role.scope());
    let detail = format!("{}{rights}", detail.trim_end());
    audit(conn, by, info.tenant, action, &info.name, &detail).await?;
    Ok((token, info))
}

/// Revokes a token. Its row loses the tag, so that nobody revives it in the database.
pub(crate) async fn revoke(conn: &mut AnyConnection, id: Uuid) -> Result<()> {
    sql("UPDATE tokens SET revoked_at = $2, tag = NULL WHERE id = $1 AND revoked_at IS NULL")
        .bind(uuid_blob(id))
        .bind(now_s())
        .execute(conn)
        .await?;
    Ok(())
}

/// Revokes, as [`revoke`], every token of a tenant with this role (`host`, `connector`) and scope (the account, the domain), so
/// that none applies to a later one of the same name. Returns how many there were.
pub(crate) async fn revoke_all(
    conn: &mut AnyConnection,
    tenant: TenantId,
    role: &'static str,
    scope: &str,
) -> Result<u64> {
    let done = sql("UPDATE tokens SET revoked_at = $4, tag = NULL
         WHERE tenant_id = $1 AND role = $2 AND scope = $3 AND revoked_at IS NULL")
    .bind(tenant_blob(tenant))
    .bind(role)
    .bind(scope)
    .bind(now_s())
    .execute(conn)
    .await?;
    Ok(done.rows_affected())
}

/// What is stored of a token.
pub(crate) fn hash(token: &str) -> Vec<u8> {
    Sha256::digest(token).to_vec()
}

/// What the tag of a token covers: all that decides what its bearer may do, and under which name.
fn token_row(info: &TokenInfo, hash: &[u8]) -> RightsRow {
    RightsRow::new(RightsTable::Tokens, info.tenant, info.id.as_bytes())
        .bytes(hash)
        .text(info.role.as_str())
        .text(info.role.scope())
        .number(Some(info.role.rotates_trust().into()))
        .text(&info.name)
        .number(info.expires_at)
        .optional(
            info.administrator
                .as_ref()
                .map(|id| id.as_bytes().as_slice()),
        )
}

fn rights_of(row: &AnyRow) -> Result<RightsRow> {
    let hash: Vec<u8> = col(row, "hash")?;
    Ok(token_row(&token_info(row)?, &hash))
}

fn is_authentic(row: &AnyRow, tags: &RowTags) -> Result<bool> {
    let tag: Option<Vec<u8>> = col(row, "tag")?;
    Ok(tags.is_authentic(&rights_of(row)?, tag.as_deref()))
}

/// Whether a token that belongs to no session administers the installation, other than the token `without`.
pub(crate) async fn administers_installation(
    conn: &mut AnyConnection,
    tags: &RowTags,
    without: Uuid,
) -> Result<bool> {
    let rows = sql_list(format!(
        "{SELECT_TOKEN} WHERE id <> $1 AND {LIVES}
         AND tenant_id IS NULL AND role = 'global-administrator' AND administrator_id IS NULL"
    ))
    .bind(uuid_blob(without))
    .bind(now_s())
    .fetch_all(conn)
    .await?;
    for row in &rows {
        if is_authentic(row, tags)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Tags the tokens of a database of before.
pub(crate) async fn tag_tokens(conn: &mut AnyConnection, tags: NewTags<'_>) -> Result<()> {
    let rows = sql_list(format!("{SELECT_TOKEN} WHERE revoked_at IS NULL"))
        .fetch_all(&mut *conn)
        .await?;
    for row in &rows {
        let tag: Option<Vec<u8>> = col(row, "tag")?;
        sql("UPDATE tokens SET tag = $2 WHERE id = $1")
            .bind(uuid_blob(col_uuid(row, "id")?))
            .bind(tags.of(&rights_of(row)?, tag.as_deref()))
            .execute(&mut *conn)
            .await?;
    }
    Ok(())
}

fn token_info(row: &AnyRow) -> Result<TokenInfo> {
    let role: String = col(row, "role")?;
    let rotate_trust: i64 = col(row, "rotate_trust")?;
    let administrator: Option<Vec<u8>> = col(row, "administrator_id")?;
    let administrator = administrator
        .map(|id| Uuid::from_slice(&id))
        .transpose()
        .map_err(|_| DirectoryError::damaged("token's administrator", "not a UUID"))?;
    Ok(TokenInfo {
        id: col_uuid(row, "id")?,
        tenant: col_tenant_of(row)?,
        role: TokenRole::from_columns(&role, col(row, "scope")?, rotate_trust != 0)
            .map_err(|_| DirectoryError::damaged("token's role", "an unknown word"))?,
        name: col(row, "name")?,
        created_at: col(row, "created_at")?,
        expires_at: col(row, "expires_at")?,
        revoked_at: col(row, "revoked_at")?,
        administrator,
    })
}
