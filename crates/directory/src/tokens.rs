//! Access tokens of the API. Only the SHA-256 of a token is stored.

use crate::{Actor, Directory, Result};
use crossrealm_kdc::TenantId;
use uuid::Uuid;
use zeroize::Zeroizing;

/// What the bearer of a token may do.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum TokenRole {
    /// Everything.
    GlobalAdministrator,
    /// Identities, connectors.
    HybridIdentityAdministrator,
    /// Storage accounts, shares, service principals.
    StorageAdministrator,
    /// Reads everything but secrets.
    Reader,
    /// Writes the identities of one AD domain.
    Connector {
        /// Its DNS name, lower case.
        domain: String,
    },
    /// Reads the host state of one storage account.
    Host {
        /// Its name.
        account: String,
    },
}

/// A token to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewToken {
    /// The tenant it is confined to; `None` is the whole installation.
    pub tenant: Option<TenantId>,
    /// What its bearer may do. Connectors and hosts need a tenant.
    pub role: TokenRole,
    /// Whose it is; the actor of its bearer's audit events.
    pub name: String,
    /// When it ends, Unix seconds.
    pub expires_at: Option<i64>,
}

/// A token without the token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenInfo {
    /// Its id.
    pub id: Uuid,
    /// The tenant it is confined to; `None` is the whole installation.
    pub tenant: Option<TenantId>,
    /// What its bearer may do.
    pub role: TokenRole,
    /// Whose it is.
    pub name: String,
    /// When it was made, Unix seconds.
    pub created_at: i64,
    /// When it ends, Unix seconds.
    pub expires_at: Option<i64>,
    /// When it was revoked, Unix seconds.
    pub revoked_at: Option<i64>,
}

impl Directory {
    /// Makes a token and hands it out, once: `xr_` and 64 hexadecimal digits.
    pub async fn create_token(
        &self,
        by: &Actor,
        new: NewToken,
    ) -> Result<(Zeroizing<String>, TokenInfo)> {
        todo!()
    }

    /// Whose a token is; `None` where it is unknown, ended or revoked.
    pub async fn verify_token(&self, token: &str) -> Result<Option<TokenInfo>> {
        todo!()
    }

    /// The tokens confined to a tenant (`None`: those of the whole installation), revoked ones included, newest first.
    pub async fn tokens(&self, tenant: Option<TenantId>) -> Result<Vec<TokenInfo>> {
        todo!()
    }

    /// Revokes a token, at once.
    pub async fn revoke_token(&self, by: &Actor, id: Uuid) -> Result<()> {
        todo!()
    }
}
