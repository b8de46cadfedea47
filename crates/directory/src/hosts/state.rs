//! The state that the SMB host of a storage account needs.

use crate::audit::events::Actor;
use crate::db::columns::{col, tenant_blob};
use crate::db::statement::sql;
use crate::directory::Directory;
use crate::error::{DirectoryError, RecordKind, Result};
use crate::hosts::model::{HostShare, HostState, ReducedRoles};
use crate::hosts::state_version::version;
use crate::hosts::{reduced_roles, revoked_users};
use crate::storage::account_rows::{keytab, load_account};
use crate::storage::model::Share;
use crate::storage::share_rows::load_shares;
use crate::tenants::domains::load_domains;
use crate::tenants::id_ranges;
use crate::tenants::model::load_tenant;
use crossrealm_kdc::TenantId;
use uuid::Uuid;

impl Directory {
    /// A pair of numbers that changes with every change of the tenant. It is one read by primary key, for frequent
    /// polling.
    pub async fn tenant_version(&self, tenant: TenantId) -> Result<(i64, i64)> {
        let row = sql("SELECT parties_change, identities_change FROM tenants WHERE id = $1")
            .bind(tenant_blob(tenant))
            .fetch_optional(self.readers())
            .await?
            .ok_or_else(|| DirectoryError::not_found(RecordKind::Tenant, tenant))?;
        Ok((
            col(&row, "parties_change")?,
            col(&row, "identities_change")?,
        ))
    }

    /// The state of a storage account for the host that bears this token. Audited if the token did not get these keys at
    /// this address before.
    pub async fn host_state_for(
        &self,
        by: &Actor,
        tenant: TenantId,
        account: &str,
        token: Uuid,
    ) -> Result<HostState> {
        let state = self.host_state(tenant, account).await?;
        let kvnos: Vec<u32> = state.keytab.keys.iter().map(|key| key.kvno).collect();
        self.record_keys_given(by, tenant, account, token, &kvnos)
            .await?;
        Ok(state)
    }

    /// The state of a storage account, which never leaves this process.
    pub async fn host_state(&self, tenant: TenantId, account: &str) -> Result<HostState> {
        // One snapshot: grants and memberships belong to the same state.
        let mut conn = self.snapshot().await?;
        let tenant = load_tenant(&mut conn, tenant).await?;
        let (owner, account) = load_account(&mut conn, self.sealer(), &tenant, account).await?;
        let domains = load_domains(&mut conn, tenant.id).await?;
        let id_ranges = id_ranges::load(&mut conn, tenant.id).await?;
        let keytab = keytab(&mut conn, self.sealer(), &tenant, &owner, &account).await?;
        let shares = load_shares(&mut conn, self.sealer(), owner.id, &account.name).await?;
        let host_share = |share: Share| HostShare {
            name: share.name,
            quota_gib: share.quota_gib,
            grants: share.grants,
            reduced_roles: ReducedRoles::default(),
        };
        let mut shares: Vec<HostShare> = shares.into_iter().map(host_share).collect();
        let revoked = revoked_users::load(&mut conn, &tenant).await?;
        let default_role = account.default_role;
        reduced_roles::find(&mut conn, &tenant, default_role, &revoked, &mut shares).await?;
        let mut state = HostState {
            version: String::new(),
            tenant,
            account,
            domains,
            id_ranges,
            keytab,
            shares,
            revoked_users: revoked,
        };
        state.version = version(&state);
        Ok(state)
    }
}
