//! Ended memberships. A ticket contains them until it expires, so they are kept for the longest life of a ticket.

use crate::db::columns::{tenant_blob, uuid_blob};
use crate::db::statement::{placeholders, sql, sql_list};
use crate::error::Result;
use crossrealm_kdc::{Policy, TenantId};
use crossrealm_os::clock::now_s;
use crossrealm_types::Sid;
use sqlx::AnyConnection;
use uuid::Uuid;

/// Beyond the longest life of a ticket: the clock skew of both sides, in seconds.
const SKEW_S: i64 = 600;

/// The earliest time at which a ticket was issued that may be valid now, in Unix seconds.
pub(crate) fn oldest_ticket(policy: &Policy) -> i64 {
    now_s() - i64::from(policy.max_ticket_life_s) - SKEW_S
}

/// Ends the direct memberships of these members in a group. At most [`CHUNK`](crate::db::statement::CHUNK) are given.
/// Returns how many there were.
pub(crate) async fn end(
    conn: &mut AnyConnection,
    tenant: TenantId,
    group: Uuid,
    members: &[Uuid],
) -> Result<u64> {
    let which = format!(
        "group_guid = $2 AND member_guid IN ({})",
        placeholders(4, members.len())
    );
    end_where(conn, tenant, &which, group, members).await
}

/// Ends every direct membership of an identity in others and of others in it. Returns how many there were.
pub(crate) async fn end_all(
    conn: &mut AnyConnection,
    tenant: TenantId,
    identity: Uuid,
) -> Result<u64> {
    let which = "(group_guid = $2 OR member_guid = $2)";
    end_where(conn, tenant, which, identity, &[]).await
}

/// Records as ended, and deletes, the memberships for which a condition on `$2` and, from `$4` on, `others` holds.
async fn end_where(
    conn: &mut AnyConnection,
    tenant: TenantId,
    which: &str,
    identity: Uuid,
    others: &[Uuid],
) -> Result<u64> {
    let note = format!(
        "INSERT INTO ended_memberships (tenant_id, group_guid, member_guid, ended_at)
         SELECT tenant_id, group_guid, member_guid, $3 FROM memberships WHERE tenant_id = $1 AND {which}
         ON CONFLICT (tenant_id, group_guid, member_guid) DO UPDATE SET ended_at = $3"
    );
    // Both statements use `$3`, so that the other parameters have the same numbers.
    let delete = format!("DELETE FROM memberships WHERE tenant_id = $1 AND $3 > 0 AND {which}");
    let mut ended = 0;
    for text in [note, delete] {
        let mut statement = sql_list(text)
            .bind(tenant_blob(tenant))
            .bind(uuid_blob(identity))
            .bind(now_s());
        for other in others {
            statement = statement.bind(uuid_blob(*other));
        }
        ended = statement.execute(&mut *conn).await?.rows_affected();
    }
    Ok(ended)
}

/// Records that this is no longer the primary group of a user.
pub(crate) async fn primary_group_ended(
    conn: &mut AnyConnection,
    tenant: TenantId,
    user: Uuid,
    group: &Sid,
) -> Result<()> {
    sql("INSERT INTO ended_memberships (tenant_id, group_guid, member_guid, ended_at)
         SELECT tenant_id, guid, $2, $4 FROM identities WHERE tenant_id = $1 AND sid = $3 AND kind = 'group'
         ON CONFLICT (tenant_id, group_guid, member_guid) DO UPDATE SET ended_at = $4")
        .bind(tenant_blob(tenant))
        .bind(uuid_blob(user))
        .bind(group.to_string())
        .bind(now_s())
        .execute(conn)
        .await?;
    Ok(())
}

/// Deletes ended memberships that no valid ticket can contain.
pub(crate) async fn forget(
    conn: &mut AnyConnection,
    tenant: TenantId,
    policy: &Policy,
) -> Result<()> {
    sql("DELETE FROM ended_memberships WHERE tenant_id = $1 AND ended_at < $2")
        .bind(tenant_blob(tenant))
        .bind(oldest_ticket(policy))
        .execute(conn)
        .await?;
    Ok(())
}
