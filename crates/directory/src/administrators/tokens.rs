//! Access tokens of the API. Only the SHA-256 of a token is stored.

use crate::audit::events::{Actor, audit};
use crate::db::change::{ChangeScope, lock_and_bump};
use crate::db::columns::{col, col_uuid, tenant_blob, uuid_blob};
use crate::db::statement::{sql, sql_list};
use crate::directory::Directory;
use crate::error::{DirectoryError, RecordKind, Refusal, Result};
use crate::names;
use crate::random::{random, random_uuid};
use crossrealm_kdc::TenantId;
use crossrealm_os::clock::now_s;
use crossrealm_types::{AdministratorRole, UnknownWord};
use sha2::{Digest, Sha256};
use sqlx::AnyConnection;
use sqlx::any::AnyRow;
use uuid::Uuid;
use zeroize::Zeroizing;

/// Lets people and secret scanners recognize a token.
const PREFIX: &str = "xr_";

/// Selects the columns of a [`TokenInfo`]; a `WHERE` follows.
const SELECT_TOKEN: &str =
    "SELECT id, tenant_id, role, scope, rotate_trust, name, created_at, expires_at, revoked_at
    FROM tokens";

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
        let made = add_token(&mut tx, by, new, "token.create").await?;
        self.commit(tx).await?;
        Ok(made)
    }

    /// The record of a token; `None` if it is unknown, expired or revoked.
    pub async fn verify_token(&self, token: &str) -> Result<Option<TokenInfo>> {
        if token.len() != PREFIX.len() + 64 || !token.starts_with(PREFIX) {
            return Ok(None);
        }
        // Found by its hash, so the time of the search reveals nothing of the token.
        let row = sql_list(format!(
            "{SELECT_TOKEN} WHERE hash = $1 AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > $2)"
        ))
        .persistent(true)
            .bind(hash(token))
            .bind(now_s())
            .fetch_optional(self.readers())
            .await?;
        row.as_ref().map(token_info).transpose()
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
        sql("UPDATE tokens SET revoked_at = $2 WHERE id = $1 AND revoked_at IS NULL")
            .bind(uuid_blob(id))
            .bind(now_s())
            .execute(&mut *tx)
            .await?;
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

/// [`Directory::create_token`] in the caller's transaction, which holds the tenant's lock; `action` names the audit
/// event.
pub(crate) async fn add_token(
    conn: &mut AnyConnection,
    by: &Actor,
    new: NewToken,
    action: &'static str,
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
        created_at: now_s(),
        expires_at: new.expires_at,
        revoked_at: None,
    };
    sql(
        "INSERT INTO tokens (id, tenant_id, hash, role, scope, name, created_at, expires_at, rotate_trust)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
    )
    .bind(uuid_blob(info.id))
    .bind(info.tenant.map(tenant_blob))
    .bind(hash(&token))
    .bind(info.role.as_str())
    .bind(info.role.scope())
    .bind(info.name.as_str())
    .bind(info.created_at)
    .bind(info.expires_at)
    .bind(i64::from(info.role.rotates_trust()))
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

fn hash(token: &str) -> Vec<u8> {
    Sha256::digest(token).to_vec()
}

fn token_info(row: &AnyRow) -> Result<TokenInfo> {
    let tenant: Option<Vec<u8>> = col(row, "tenant_id")?;
    let tenant = tenant
        .map(|id| id.try_into().map(TenantId))
        .transpose()
        .map_err(|_| DirectoryError::damaged("token's tenant", "not a UUID"))?;
    let role: String = col(row, "role")?;
    let rotate_trust: i64 = col(row, "rotate_trust")?;
    Ok(TokenInfo {
        id: col_uuid(row, "id")?,
        tenant,
        role: TokenRole::from_columns(&role, col(row, "scope")?, rotate_trust != 0)
            .map_err(|_| DirectoryError::damaged("token's role", "an unknown word"))?,
        name: col(row, "name")?,
        created_at: col(row, "created_at")?,
        expires_at: col(row, "expires_at")?,
        revoked_at: col(row, "revoked_at")?,
    })
}
