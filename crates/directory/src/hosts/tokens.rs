//! Tokens of SMB hosts: each is confined to one storage account, and is revoked with it.

use crate::administrators::tokens::{NewToken, TokenRole, hash};
use crate::audit::events::Actor;
use crate::db::change::ChangeScope;
use crate::db::columns::{col, col_time, col_time_of, col_uuid, tenant_blob, uuid_blob};
use crate::db::statement::sql;
use crate::directory::Directory;
use crate::error::{DirectoryError, RecordKind, Refusal, Result, kvnos};
use crate::storage::account_rows::load_account;
use crate::tenants::model::load_tenant;
use crossrealm_kdc::TenantId;
use crossrealm_types::{HostToken, Timestamp};
use sqlx::AnyConnection;
use uuid::Uuid;
use zeroize::Zeroizing;

/// The most tokens of one account that are not revoked.
const MAX_TOKENS: usize = 100;

impl Directory {
    /// Creates a token for a host of this storage account and returns it, this once. Refused with
    /// `too_many_host_tokens` if the account has 100 tokens that are not revoked.
    pub async fn create_host_token(
        &self,
        by: &Actor,
        tenant: TenantId,
        account: &str,
        name: &str,
    ) -> Result<(Zeroizing<String>, HostToken)> {
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
        let info = HostToken {
            id: info.id,
            name: info.name,
            created_at: Timestamp::from_unix(info.created_at),
            revoked_at: None,
        };
        Ok((token, info))
    }

    /// The tokens of the hosts of a storage account, revoked ones included, newest first. At most 1000.
    pub async fn host_tokens(&self, tenant: TenantId, account: &str) -> Result<Vec<HostToken>> {
        let mut conn = self.snapshot().await?;
        let tenant_info = load_tenant(&mut conn, tenant).await?;
        let (_, account) = load_account(&mut conn, self.sealer(), &tenant_info, account).await?;
        let rows = sql("SELECT id, name, created_at, revoked_at FROM tokens
                        WHERE tenant_id = $1 AND role = 'host' AND scope = $2
                        ORDER BY created_at DESC, id LIMIT 1000")
        .bind(tenant_blob(tenant))
        .bind(account.name.as_str())
        .fetch_all(&mut *conn)
        .await?;
        rows.iter()
            .map(|row| {
                Ok(HostToken {
                    id: col_uuid(row, "id")?,
                    name: col(row, "name")?,
                    created_at: col_time(row, "created_at")?,
                    revoked_at: col_time_of(row, "revoked_at")?,
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

    /// The id and the hash of a host's token that was revoked, alone, with its account or with its tenant; `None` for every other
    /// token, and for an unknown one.
    pub async fn revoked_host_token(&self, token: &str) -> Result<Option<(Uuid, [u8; 32])>> {
        let row = sql(
            "SELECT id, hash FROM tokens WHERE hash = $1 AND role = 'host' AND revoked_at IS NOT NULL
             UNION ALL SELECT id, hash FROM dismissed_hosts WHERE hash = $1",
        )
        .bind(hash(token))
        .fetch_optional(self.readers())
        .await?;
        let Some(row) = row else { return Ok(None) };
        let hash: Vec<u8> = col(&row, "hash")?;
        let hash = <[u8; 32]>::try_from(hash)
            .map_err(|_| DirectoryError::damaged("token's hash", "not 32 bytes"))?;
        Ok(Some((col_uuid(&row, "id")?, hash)))
    }

    /// Whether the token with this id is valid. For requests that wait: it may have been revoked meanwhile.
    pub async fn token_lives(&self, id: Uuid) -> Result<bool> {
        Ok(self.live_token(id).await?.is_some())
    }
}

/// The most pairs of key versions and address that are remembered of a token; the oldest are forgotten first.
const MAX_GIVEN: usize = 8;

impl Directory {
    /// Records that a host gets keys of its account, if its token did not get these at this address before. Comes before
    /// the keys leave.
    pub(crate) async fn record_keys_given(
        &self,
        by: &Actor,
        tenant: TenantId,
        account: &str,
        token: Uuid,
        versions: &[u32],
    ) -> Result<()> {
        let numbers: Vec<String> = versions.iter().map(u32::to_string).collect();
        let address = by.address.map(|address| address.to_string());
        let pair = format!("{}@{}", numbers.join(","), address.unwrap_or_default());
        let mut conn = self.readers().acquire().await?;
        if given(&mut conn, token).await?.contains(&pair) {
            return Ok(());
        }
        drop(conn);
        let mut tx = self.change(by, tenant, ChangeScope::Nothing).await?;
        let mut pairs = given(&mut tx, token).await?;
        if pairs.contains(&pair) {
            return Ok(());
        }
        pairs.push(pair);
        let oldest = pairs.len().saturating_sub(MAX_GIVEN);
        sql("UPDATE tokens SET keys_given = $2 WHERE id = $1")
            .bind(uuid_blob(token))
            .bind(pairs.split_off(oldest).join(" "))
            .execute(&mut *tx)
            .await?;
        let detail = kvnos(versions);
        tx.audit("host.keys", account, &detail).await?;
        tx.commit().await
    }
}

async fn given(conn: &mut AnyConnection, token: Uuid) -> Result<Vec<String>> {
    let row = sql("SELECT keys_given FROM tokens WHERE id = $1")
        .bind(uuid_blob(token))
        .fetch_optional(conn)
        .await?;
    let text: Option<String> = row.map(|row| col(&row, "keys_given")).transpose()?;
    let pairs = text.unwrap_or_default();
    Ok(pairs.split_whitespace().map(str::to_owned).collect())
}
