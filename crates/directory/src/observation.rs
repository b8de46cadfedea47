//! What an operator watches, of all tenants at once: the age of each sync, of each trust key, and the SMB hosts.
//!
//! Each list is bounded: an installation with more tenants is watched by the events and the status of each.

use crate::db::columns::{col, col_tenant};
use crate::db::statement::sql;
use crate::directory::Directory;
use crate::error::Result;
use crate::hosts::model::is_silent_after;
use crossrealm_kdc::TenantId;
use crossrealm_os::clock::now_s;
use crossrealm_types::HostReport;

/// The most rows of each list.
const MOST: i64 = 1_000;

/// What is observed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Observation {
    /// The AD domains that a tenant was synchronized with.
    pub domains: Vec<ObservedDomain>,
    /// The current key of each trust.
    pub trusts: Vec<ObservedTrust>,
    /// The SMB hosts.
    pub hosts: Vec<ObservedHost>,
}

/// An AD domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObservedDomain {
    /// The tenant, by name.
    pub tenant: String,
    /// The domain, by DNS name.
    pub domain: String,
    /// When a sync last succeeded, Unix seconds.
    pub synced_at: i64,
    /// How many objects could not be synchronized.
    pub failed: i64,
    /// Whether the last agent gave up.
    pub has_problem: bool,
    /// Whether its users get no tickets until a full sync.
    pub awaits_sync: bool,
}

/// A trust.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObservedTrust {
    /// The tenant, by name.
    pub tenant: String,
    /// The domain, by DNS name.
    pub domain: String,
    /// When its key was confirmed, Unix seconds.
    pub key_confirmed_at: i64,
}

/// An SMB host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObservedHost {
    /// The id of the tenant.
    pub tenant_id: TenantId,
    /// The tenant, by name.
    pub tenant: String,
    /// The storage account.
    pub account: String,
    /// The host's name.
    pub host: String,
    /// Whether its last report is recent, and says that users can connect.
    pub serves: bool,
    /// Its sessions by the last report.
    pub sessions: u32,
    /// The version of the account's state that it serves by.
    pub state_version: Option<String>,
}

impl Directory {
    /// Reads what an operator watches. The events of a ticket have no part in it.
    ///
    /// # Errors
    ///
    /// The database.
    pub async fn observe(&self) -> Result<Observation> {
        let mut conn = self.snapshot().await?;
        let domains = sql(
            "SELECT t.name AS tenant, d.dns_name, d.sync_success_at, d.sync_failed + d.sync_skipped AS failed, d.sync_problem, d.awaits_sync
             FROM domains d JOIN tenants t ON t.id = d.tenant_id
             WHERE d.sync_success_at IS NOT NULL ORDER BY t.name, d.dns_name LIMIT $1",
        )
        .bind(MOST)
        .fetch_all(&mut *conn)
        .await?;
        let trusts = sql("SELECT t.name AS tenant, r.dns_name, s.confirmed_at
             FROM trusts r JOIN tenants t ON t.id = r.tenant_id
             JOIN trust_secrets s ON s.trust_id = r.id AND s.state = 'current'
             WHERE s.confirmed_at IS NOT NULL ORDER BY t.name, r.dns_name LIMIT $1")
        .bind(MOST)
        .fetch_all(&mut *conn)
        .await?;
        let hosts = sql(
            "SELECT t.id AS tenant_id, t.name AS tenant, a.name AS account, h.host, h.report, h.reported_at
             FROM host_reports h JOIN storage_accounts a ON a.id = h.account_id JOIN tenants t ON t.id = a.tenant_id
             LEFT JOIN tokens k ON k.id = h.token_id
             WHERE h.token_id IS NULL OR k.revoked_at IS NULL ORDER BY t.name, a.name, h.host LIMIT $1",
        )
        .bind(MOST)
        .fetch_all(&mut *conn)
        .await?;
        let now = now_s();
        Ok(Observation {
            domains: domains
                .iter()
                .map(|row| {
                    Ok(ObservedDomain {
                        tenant: col(row, "tenant")?,
                        domain: col(row, "dns_name")?,
                        synced_at: col(row, "sync_success_at")?,
                        failed: col(row, "failed")?,
                        has_problem: col::<Option<String>>(row, "sync_problem")?.is_some(),
                        awaits_sync: col::<i64>(row, "awaits_sync")? != 0,
                    })
                })
                .collect::<Result<_>>()?,
            trusts: trusts
                .iter()
                .map(|row| {
                    Ok(ObservedTrust {
                        tenant: col(row, "tenant")?,
                        domain: col(row, "dns_name")?,
                        key_confirmed_at: col(row, "confirmed_at")?,
                    })
                })
                .collect::<Result<_>>()?,
            hosts: hosts
                .iter()
                .map(|row| {
                    let report: Option<HostReport> =
                        serde_json::from_str(&col::<String>(row, "report")?).ok();
                    let is_silent = is_silent_after(now - col::<i64>(row, "reported_at")?);
                    let serves = report.as_ref().is_some_and(|report| report.serving);
                    Ok(ObservedHost {
                        tenant_id: col_tenant(row)?,
                        tenant: col(row, "tenant")?,
                        account: col(row, "account")?,
                        host: col(row, "host")?,
                        serves: serves && !is_silent,
                        sessions: report.as_ref().map_or(0, |report| report.session_count),
                        state_version: report.and_then(|report| report.state_version),
                    })
                })
                .collect::<Result<_>>()?,
        })
    }

    /// Of each cache of the answers to the KDC: its name, how often it had what was asked for and how often not since the start,
    /// and what it holds, in bytes by an estimate.
    pub fn cache_use(&self) -> Vec<(&'static str, u64, u64, u64)> {
        self.caches().in_use()
    }
}
