//! Tokens of SMB hosts: each is confined to one storage account, and is revoked with it.

use crate::administrators::tokens::{NewToken, TokenRole};
use crate::audit::events::Actor;
use crate::db::columns::{col, col_uuid, tenant_blob, uuid_blob};
use crate::db::statement::sql;
use crate::directory::Directory;
use crate::error::{DirectoryError, RecordKind, Refusal, Result};
use crate::storage::account_rows::load_account;
use crate::tenants::model::load_tenant;
use crossrealm_kdc::TenantId;
use crossrealm_os::clock::now_s;
use sqlx::AnyConnection;
use uuid::Uuid;
use zeroize::Zeroizing;

/// The most tokens of one account that are not revoked.
const MAX_TOKENS: usize = 100;

/// The record of a host's token. The token itself is not stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostTokenInfo {
    /// Its id.
    pub id: Uuid,
    /// Its name, by which events name the host.
    pub name: String,
    /// When it was created, Unix seconds.
    pub created_at: i64,
    /// When it was revoked, Unix seconds.
    pub revoked_at: Option<i64>,
}

impl Directory {
    /// Creates a token for a host of this storage account and returns it, this once. Refused with
    /// `too_many_host_tokens` if the account has 100 tokens that are not revoked.
    pub async fn create_host_token(
        &self,
        by: &Actor,
        tenant: TenantId,
        account: &str,
        name: &str,
    ) -> Result<(Zeroizing<String>, HostTokenInfo)> {
        let live = self.host_tokens(tenant, account).await?;
        if live
            .iter()
            .filter(|token| token.revoked_at.is_none())
            .count()
            >= MAX_TOKENS
        {
            return Err(Refusal::TooManyHostTokens {
                account: account.to_owned(),
                most: MAX_TOKENS,
            }
            .into());
        }
        let new = NewToken {
            tenant: Some(tenant),
            role: TokenRole::Host {
                account: account.to_owned(),
            },
            name: name.to_owned(),
            expires_at: None,
        };
        let (token, info) = self.create_token(by, new).await?;
        let info = HostTokenInfo {
            id: info.id,
            name: info.name,
            created_at: info.created_at,
            revoked_at: None,
        };
        Ok((token, info))
    }

    /// The tokens of the hosts of a storage account, revoked ones included, newest first. At most 1000.
    pub async fn host_tokens(&self, tenant: TenantId, account: &str) -> Result<Vec<HostTokenInfo>> {
        let mut conn = self.snapshot().await?;
        let tenant_info = load_tenant(&mut conn, tenant).await?;
        let (_, account) = load_account(&mut conn, &tenant_info, account).await?;
        let rows = sql("SELECT id, name, created_at, revoked_at FROM tokens
                        WHERE tenant_id = $1 AND role = 'host' AND scope = $2
                        ORDER BY created_at DESC, id LIMIT 1000")
        .bind(tenant_blob(tenant))
        .bind(account.name.as_str())
        .fetch_all(&mut *conn)
        .await?;
        rows.iter()
            .map(|row| {
                Ok(HostTokenInfo {
                    id: col_uuid(row, "id")?,
                    name: col(row, "name")?,
                    created_at: col(row, "created_at")?,
                    revoked_at: col(row, "revoked_at")?,
                })
            })
            .collect()
    }

    /// Revokes a host's token.
    pub async fn revoke_host_token(
        &self,
        by: &Actor,
        tenant: TenantId,
        account: &str,
        id: Uuid,
    ) -> Result<()> {
        let tokens = self.host_tokens(tenant, account).await?;
        if !tokens.iter().any(|token| token.id == id) {
            return Err(DirectoryError::not_found(RecordKind::HostToken, id));
        }
        self.revoke_token(by, Some(tenant), id).await
    }

    /// Whether the token with this id is valid. For requests that wait: it may have been revoked meanwhile.
    pub async fn token_lives(&self, id: Uuid) -> Result<bool> {
        let row = sql("SELECT 1 AS lives FROM tokens
                       WHERE id = $1 AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > $2)")
        .bind(uuid_blob(id))
        .bind(now_s())
        .fetch_optional(self.readers())
        .await?;
        Ok(row.is_some())
    }
}

/// Revokes every token of an account that is about to be deleted, so that no token applies to a later account of the
/// same name.
pub(crate) async fn revoke_all(
    conn: &mut AnyConnection,
    tenant: TenantId,
    account: &str,
) -> Result<()> {
    sql("UPDATE tokens SET revoked_at = $3
         WHERE tenant_id = $1 AND role = 'host' AND scope = $2 AND revoked_at IS NULL")
    .bind(tenant_blob(tenant))
    .bind(account)
    .bind(now_s())
    .execute(conn)
    .await?;
    Ok(())
}
