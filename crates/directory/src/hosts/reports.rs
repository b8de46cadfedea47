//! The last report of each SMB host.

use crate::audit::events::{Actor, NewEvent, record};
use crate::db::columns::{col, uuid_blob};
use crate::db::statement::sql;
use crate::directory::Directory;
use crate::error::{DirectoryError, Refusal, Result};
use crate::hosts::model::{MAX_REVOKED_USERS, StoredHostReport};
use crate::storage::account_rows::load_account;
use crate::tenants::model::load_tenant;
use crossrealm_kdc::TenantId;
use crossrealm_os::clock::now_s;
use crossrealm_types::HostReport;
use sqlx::AnyConnection;
use sqlx::any::AnyRow;
use uuid::Uuid;

/// The most hosts of one account that are remembered.
const MAX_HOSTS: i64 = 64;
/// A host that was silent for this long no longer counts, in seconds: a week.
const FORGOTTEN_AFTER_S: i64 = 7 * 86_400;

/// A host of a storage account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AccountHost<'a> {
    /// The storage account.
    pub account: &'a str,
    /// The host's own name.
    pub host: &'a str,
}

impl Directory {
    /// Stores the report of a host in place of its last one. Not audited, and no change of the tenant: hosts report
    /// every 30 s. If more users than before keep a role that they lost, the event `host.not-refused` is recorded.
    ///
    /// A token reports for one host: refused with `host_token_bound` where it reported for another within the last week,
    /// with `host_name_taken` where another token that is valid reports under the name, and with `too_many_hosts` where
    /// 64 others reported within the last week.
    pub async fn record_host_report(
        &self,
        by: &Actor,
        tenant: TenantId,
        AccountHost { account, host }: AccountHost<'_>,
        token: Uuid,
        report: &HostReport,
    ) -> Result<()> {
        let text = serde_json::to_string(report)
            .map_err(|error| DirectoryError::damaged("host report", error))?;
        let mut tx = self.begin().await?;
        let tenant_info = load_tenant(&mut tx, tenant).await?;
        let (owner, _) = load_account(&mut tx, self.sealer(), &tenant_info, account).await?;
        sql("DELETE FROM host_reports WHERE account_id = $1 AND reported_at < $2")
            .bind(uuid_blob(owner.id))
            .bind(now_s() - FORGOTTEN_AFTER_S)
            .execute(&mut *tx)
            .await?;
        check_binding(&mut tx, owner.id, AccountHost { account, host }, token).await?;
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
        let before = match report.not_refused {
            0 => 0,
            _ => not_refused_before(&mut tx, owner.id, host).await?,
        };
        sql("INSERT INTO host_reports (account_id, host, report, reported_at, token_id) VALUES ($1, $2, $3, $4, $5)
             ON CONFLICT (account_id, host) DO UPDATE SET report = $3, reported_at = $4, token_id = $5")
            .bind(uuid_blob(owner.id))
            .bind(host)
            .bind(text)
            .bind(now_s())
            .bind(uuid_blob(token))
            .execute(&mut *tx)
            .await?;
        if report.not_refused > before {
            let event = NewEvent {
                target: format!("{account} on {host}"),
                detail: format!(
                    "{} users keep a role that they lost until their tickets end: a host can refuse {MAX_REVOKED_USERS}",
                    report.not_refused
                ),
                ..NewEvent::audit(by, Some(tenant), "host.not-refused")
            };
            record(&mut tx, &event).await?;
        }
        self.commit(tx).await
    }

    /// The last report of each host of the account, by name.
    pub async fn host_reports(
        &self,
        tenant: TenantId,
        account: &str,
    ) -> Result<Vec<StoredHostReport>> {
        let mut conn = self.snapshot().await?;
        let tenant_info = load_tenant(&mut conn, tenant).await?;
        let (owner, _) = load_account(&mut conn, self.sealer(), &tenant_info, account).await?;
        load_reports(&mut conn, owner.id).await
    }
}

/// Refuses a report by a token that reported for another host, and one for a host that another token reports for: a host
/// speaks for itself alone, and so cannot hold back a key rotation in the name of others.
async fn check_binding(
    conn: &mut AnyConnection,
    account_id: Uuid,
    AccountHost { account, host }: AccountHost<'_>,
    token: Uuid,
) -> Result<()> {
    let own =
        sql("SELECT host FROM host_reports WHERE account_id = $1 AND token_id = $2 AND host <> $3")
            .bind(uuid_blob(account_id))
            .bind(uuid_blob(token))
            .bind(host)
            .fetch_optional(&mut *conn)
            .await?;
    if let Some(row) = own {
        return Err(Refusal::HostTokenBound {
            account: account.to_owned(),
            host: col(&row, "host")?,
        }
        .into());
    }
    let other = sql("SELECT t.name FROM host_reports r JOIN tokens t ON t.id = r.token_id
                     WHERE r.account_id = $1 AND r.host = $2 AND r.token_id <> $3 AND t.revoked_at IS NULL")
        .bind(uuid_blob(account_id))
        .bind(host)
        .bind(uuid_blob(token))
        .fetch_optional(conn)
        .await?;
    match other {
        Some(row) => Err(Refusal::HostNameTaken {
            account: account.to_owned(),
            host: host.to_owned(),
            token: col(&row, "name")?,
        }
        .into()),
        None => Ok(()),
    }
}

/// The `not_refused` of the host's last report; 0 where there is none that can be read.
async fn not_refused_before(conn: &mut AnyConnection, account: Uuid, host: &str) -> Result<u64> {
    let row = sql("SELECT report FROM host_reports WHERE account_id = $1 AND host = $2")
        .bind(uuid_blob(account))
        .bind(host)
        .fetch_optional(conn)
        .await?;
    let text: Option<String> = row.map(|row| col(&row, "report")).transpose()?;
    let before = text.and_then(|text| serde_json::from_str::<HostReport>(&text).ok());
    Ok(before.map_or(0, |before| before.not_refused))
}

/// The last report of each host of the account with this id, by name. What a token reported that was revoked since does
/// not count.
pub(crate) async fn load_reports(
    conn: &mut AnyConnection,
    account: Uuid,
) -> Result<Vec<StoredHostReport>> {
    let rows = sql(
        "SELECT r.host, r.report, r.reported_at FROM host_reports r LEFT JOIN tokens t ON t.id = r.token_id
         WHERE r.account_id = $1 AND (r.token_id IS NULL OR t.revoked_at IS NULL) ORDER BY r.host",
    )
    .bind(uuid_blob(account))
    .fetch_all(conn)
    .await?;
    let now = now_s();
    let report = |row: &AnyRow| {
        let reported_at = col(row, "reported_at")?;
        Ok(StoredHostReport {
            host: col(row, "host")?,
            report: serde_json::from_str(&col::<String>(row, "report")?).ok(),
            reported_at,
            age_s: now - reported_at,
        })
    };
    rows.iter().map(report).collect()
}
