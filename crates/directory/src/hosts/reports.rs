//! What SMB hosts say of themselves: the last report of each, kept as text.

use crate::audit::events::{Actor, NewEvent, record};
use crate::clock::now_s;
use crate::db::columns::{col, uuid_blob};
use crate::db::statement::sql;
use crate::directory::Directory;
use crate::error::{Refusal, Result};
use crate::storage::account_rows::load_account;
use crate::tenants::model::load_tenant;
use crossrealm_kdc::TenantId;
use sqlx::AnyConnection;
use sqlx::any::AnyRow;
use uuid::Uuid;

/// The most hosts of one account that are remembered.
const MAX_HOSTS: i64 = 64;
/// A host that was silent for so long makes room for another one, in seconds: a week.
const FORGOTTEN_AFTER_S: i64 = 7 * 86_400;

/// The last report of a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostReport {
    /// The host's name.
    pub host: String,
    /// What it said: JSON of the API.
    pub report: String,
    /// When, Unix seconds.
    pub reported_at: i64,
    /// For how long it has been silent, in seconds.
    pub age_s: i64,
}

impl Directory {
    /// Keeps what a host of the account says of itself. Not audited, and no change of the tenant: hosts report every
    /// half minute. An `alarm` is what the tenant is to be told of it, as an event. Refused with `too_many_hosts` where 64 others reported within the last week.
    pub async fn record_host_report(
        &self,
        by: &Actor,
        tenant: TenantId,
        account: &str,
        host: &str,
        report: &str,
        alarm: Option<&str>,
    ) -> Result<()> {
        let mut tx = self.begin().await?;
        let tenant_info = load_tenant(&mut tx, tenant).await?;
        let (owner, _) = load_account(&mut tx, &tenant_info, account).await?;
        sql("DELETE FROM host_reports WHERE account_id = $1 AND reported_at < $2")
            .bind(uuid_blob(owner.id))
            .bind(now_s() - FORGOTTEN_AFTER_S)
            .execute(&mut *tx)
            .await?;
        let others =
            sql("SELECT COUNT(*) AS count FROM host_reports WHERE account_id = $1 AND host <> $2")
                .bind(uuid_blob(owner.id))
                .bind(host)
                .fetch_one(&mut *tx)
                .await?;
        if col::<i64>(&others, "count")? >= MAX_HOSTS {
            return Err(Refusal::TooManyHosts {
                account: account.to_owned(),
                most: MAX_HOSTS,
            }
            .into());
        }
        sql("INSERT INTO host_reports (account_id, host, report, reported_at) VALUES ($1, $2, $3, $4)
             ON CONFLICT (account_id, host) DO UPDATE SET report = $3, reported_at = $4")
            .bind(uuid_blob(owner.id))
            .bind(host)
            .bind(report)
            .bind(now_s())
            .execute(&mut *tx)
            .await?;
        if let Some(alarm) = alarm {
            let target = format!("{account} on {host}");
            let event = NewEvent {
                target,
                detail: alarm.to_owned(),
                ..NewEvent::audit(by, Some(tenant), "host.not-refused")
            };
            record(&mut tx, &event).await?;
        }
        self.commit(tx).await
    }

    /// The last report of each host of the account, by name.
    pub async fn host_reports(&self, tenant: TenantId, account: &str) -> Result<Vec<HostReport>> {
        let mut conn = self.snapshot().await?;
        let tenant_info = load_tenant(&mut conn, tenant).await?;
        let (owner, _) = load_account(&mut conn, &tenant_info, account).await?;
        load(&mut conn, owner.id).await
    }
}

/// The last report of each host of the account with this id, by name.
pub(crate) async fn load(conn: &mut AnyConnection, account: Uuid) -> Result<Vec<HostReport>> {
    let rows = sql(
        "SELECT host, report, reported_at FROM host_reports WHERE account_id = $1 ORDER BY host",
    )
    .bind(uuid_blob(account))
    .fetch_all(conn)
    .await?;
    let now = now_s();
    let report = |row: &AnyRow| {
        let reported_at = col(row, "reported_at")?;
        Ok(HostReport {
            host: col(row, "host")?,
            report: col(row, "report")?,
            reported_at,
            age_s: now - reported_at,
        })
    };
    rows.iter().map(report).collect()
}
