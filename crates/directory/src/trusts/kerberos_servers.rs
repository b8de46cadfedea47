//! The tenant's record of the Kerberos server object that an AD domain holds for it.
//!
//! The record identifies the object and the version of its key that was last seen, to detect differences from AD. It
//! does not hold the key: AD generates it and releases it only by replication of secrets, a right that no tool of this
//! product requests. No ticket needs it.

use crate::audit::events::Actor;
use crate::db::change::ChangeScope;
use crate::db::columns::{
    col, col_sid, col_time, col_time_of, col_u32, col_uuid, tenant_blob, uuid_blob,
};
use crate::db::statement::sql;
use crate::directory::Directory;
use crate::error::{DirectoryError, RecordKind, Result};
use crate::names;
use crate::names::invalid;
use crate::tenants::domains;
use crate::tenants::domains::NewDomain;
use crate::trusts::removals::RemovalStep;
use crossrealm_kdc::TenantId;
use crossrealm_os::clock::now_s;
use crossrealm_types::{AdObject, KerberosServer};
use sqlx::AnyConnection;
use sqlx::any::AnyRow;

/// The longest accepted name of an account in AD.
const MAX_DISPLAY_NAME: usize = 64;

/// What the trust tool saw in AD.
#[derive(Clone, Debug)]
pub struct NewKerberosServer {
    /// The AD domain; registered with the tenant if it is not.
    pub domain: NewDomain,
    /// The number AD gave the account (`msDS-SecondaryKrbTgtNumber`).
    pub number: u32,
    /// The account's name in AD: `krbtgt_` and the number.
    pub display_name: String,
    /// The version of its key (`msDS-KeyVersionNumber`).
    pub key_version: u32,
    /// When the key was made, Unix seconds.
    pub key_updated_at: i64,
    /// Which object the account is.
    pub account: Option<AdObject>,
    /// Which object the computer is.
    pub computer: Option<AdObject>,
}

impl Directory {
    /// Records what AD holds, in place of the earlier record.
    pub async fn record_kerberos_server(
        &self,
        by: &Actor,
        tenant: TenantId,
        seen: &NewKerberosServer,
    ) -> Result<KerberosServer> {
        let name = &seen.display_name;
        if name.is_empty() || name.len() > MAX_DISPLAY_NAME || name.chars().any(char::is_control) {
            return Err(invalid("account name", name, "1 to 64 visible characters"));
        }
        let mut tx = self.change(by, tenant, ChangeScope::Configuration).await?;
        let domain =
            domains::register(&mut tx, self.installation(), by, tenant, &seen.domain).await?;
        sql("INSERT INTO kerberos_servers
               (tenant_id, dns_name, number, display_name, key_version, key_updated_at, recorded_at,
                account_guid, account_sid, computer_guid, computer_sid)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
             ON CONFLICT (tenant_id, dns_name) DO UPDATE SET
               number = excluded.number, display_name = excluded.display_name,
               key_version = excluded.key_version, key_updated_at = excluded.key_updated_at,
               recorded_at = excluded.recorded_at, removal_begun_at = NULL,
               account_guid = excluded.account_guid, account_sid = excluded.account_sid,
               computer_guid = excluded.computer_guid, computer_sid = excluded.computer_sid")
        .bind(tenant_blob(tenant))
        .bind(domain.dns_name.as_str())
        .bind(i64::from(seen.number))
        .bind(name.as_str())
        .bind(i64::from(seen.key_version))
        .bind(seen.key_updated_at)
        .bind(now_s())
        .bind(guid(seen.account.as_ref()))
        .bind(sid(seen.account.as_ref()))
        .bind(guid(seen.computer.as_ref()))
        .bind(sid(seen.computer.as_ref()))
        .execute(&mut *tx)
        .await?;
        let detail = format!("`{name}`, key version {}", seen.key_version);
        let action = "kerberos_server.record";
        tx.audit(action, &domain.dns_name, &detail).await?;
        let info = load(&mut tx, tenant, &domain.dns_name).await?;
        tx.commit().await?;
        Ok(info)
    }

    /// The record of this AD domain's Kerberos server object.
    pub async fn kerberos_server(&self, tenant: TenantId, domain: &str) -> Result<KerberosServer> {
        let domain = names::dns_name("domain", domain)?;
        let mut conn = self.readers().acquire().await?;
        load(&mut conn, tenant, &domain).await
    }

    /// Records that the object is about to be removed from AD, so that an interrupted removal is detected.
    pub async fn begin_kerberos_server_removal(
        &self,
        by: &Actor,
        tenant: TenantId,
        domain: &str,
    ) -> Result<()> {
        let step = RemovalStep::Begin(
            "UPDATE kerberos_servers SET removal_begun_at = COALESCE(removal_begun_at, $3)
             WHERE tenant_id = $1 AND dns_name = $2",
        );
        let step = (
            RecordKind::KerberosServer,
            "kerberos_server.begin_removal",
            step,
        );
        self.removal(by, tenant, domain, step).await
    }

    /// Cancels [`Directory::begin_kerberos_server_removal`], if AD refused the removal and nothing was done.
    pub async fn cancel_kerberos_server_removal(
        &self,
        by: &Actor,
        tenant: TenantId,
        domain: &str,
    ) -> Result<()> {
        let step = RemovalStep::Cancel(
            "UPDATE kerberos_servers SET removal_begun_at = NULL WHERE tenant_id = $1 AND dns_name = $2",
        );
        let step = (
            RecordKind::KerberosServer,
            "kerberos_server.cancel_removal",
            step,
        );
        self.removal(by, tenant, domain, step).await
    }

    /// Deletes the record. The domain stays registered.
    pub async fn delete_kerberos_server(
        &self,
        by: &Actor,
        tenant: TenantId,
        domain: &str,
    ) -> Result<()> {
        let step =
            RemovalStep::End("DELETE FROM kerberos_servers WHERE tenant_id = $1 AND dns_name = $2");
        let step = (RecordKind::KerberosServer, "kerberos_server.delete", step);
        self.removal(by, tenant, domain, step).await
    }
}

async fn load(conn: &mut AnyConnection, tenant: TenantId, domain: &str) -> Result<KerberosServer> {
    let row = sql(
        "SELECT number, display_name, key_version, key_updated_at, recorded_at, removal_begun_at,
                        account_guid, account_sid, computer_guid, computer_sid
                   FROM kerberos_servers WHERE tenant_id = $1 AND dns_name = $2",
    )
    .bind(tenant_blob(tenant))
    .bind(domain)
    .fetch_optional(conn)
    .await?
    .ok_or_else(|| DirectoryError::not_found(RecordKind::KerberosServer, domain))?;
    Ok(KerberosServer {
        domain: domain.to_owned(),
        id: col_u32(&row, "number")?,
        display_name: col(&row, "display_name")?,
        key_version: col_u32(&row, "key_version")?,
        key_updated_at: col_time(&row, "key_updated_at")?,
        recorded_at: col_time(&row, "recorded_at")?,
        removal_begun_at: col_time_of(&row, "removal_begun_at")?,
        account: ad_object(&row, "account_guid", "account_sid")?,
        computer: ad_object(&row, "computer_guid", "computer_sid")?,
    })
}

fn guid(object: Option<&AdObject>) -> Option<Vec<u8>> {
    object.map(|object| uuid_blob(object.guid))
}

fn sid(object: Option<&AdObject>) -> Option<String> {
    object.map(|object| object.sid.to_string())
}

fn ad_object(row: &AnyRow, guid: &str, sid: &str) -> Result<Option<AdObject>> {
    let recorded: Option<Vec<u8>> = col(row, guid)?;
    if recorded.is_none() {
        return Ok(None);
    }
    Ok(Some(AdObject {
        guid: col_uuid(row, guid)?,
        sid: col_sid(row, sid)?,
    }))
}
