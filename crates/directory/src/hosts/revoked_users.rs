//! Users who may no longer sign in but may still hold a ticket. An SMB host trusts tickets, so the host state lists the
//! users to refuse until the last of these tickets has expired.
//!
//! A user who is locked out in AD is not one of them: otherwise wrong passwords, which anybody can type, would end that
//! user's sessions.

use crate::db::columns::{col, col_sid, tenant_blob};
use crate::db::statement::sql;
use crate::error::Result;
use crate::hosts::model::{MAX_REVOKED_USERS, RevokedUsers};
use crate::identities::memberships::oldest_ticket;
use crate::tenant_info::TenantInfo;
use crossrealm_types::Sid;
use sqlx::AnyConnection;

/// The users that stopped being enabled within the longest life of a ticket.
pub(crate) async fn load(conn: &mut AnyConnection, tenant: &TenantInfo) -> Result<RevokedUsers> {
    let since = oldest_ticket(&tenant.policy);
    let rows = sql(
        "SELECT sid FROM identities WHERE tenant_id = $1 AND barred_at >= $2 AND kind = 'user'
         ORDER BY barred_at DESC, sid LIMIT $3",
    )
    .bind(tenant_blob(tenant.id))
    .bind(since)
    .bind(i64::try_from(MAX_REVOKED_USERS).unwrap_or(i64::MAX))
    .fetch_all(&mut *conn)
    .await?;
    let sids = rows.iter().map(|row| col_sid(row, "sid"));
    let mut sids: Vec<Sid> = sids.collect::<Result<_>>()?;
    sids.sort();
    let mut beyond = 0;
    if sids.len() == MAX_REVOKED_USERS {
        let row = sql("SELECT COUNT(*) AS count FROM identities WHERE tenant_id = $1 AND barred_at >= $2 AND kind = 'user'")
            .bind(tenant_blob(tenant.id))
            .bind(since)
            .fetch_one(conn)
            .await?;
        let listed = u64::try_from(sids.len()).unwrap_or(u64::MAX);
        beyond = col::<i64>(&row, "count")?
            .unsigned_abs()
            .saturating_sub(listed);
    }
    Ok(RevokedUsers { sids, beyond })
}
