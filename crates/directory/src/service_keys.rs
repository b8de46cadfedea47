//! The Kerberos keys of services (storage accounts and service principals) and of the realm itself.
//!
//! A service has two slots, kerb1 and kerb2. The key of one encrypts new tickets. Rotating a slot makes the key of the
//! *other* slot encrypt (every host holds it already) and keeps the replaced key until the last ticket it encrypted has
//! expired, so that no ticket fails.

use crate::db::columns::{
    col, col_tenant, col_time, col_time_of, col_u32, col_uuid, col_word, tenant_blob, uuid_blob,
};
use crate::db::statement::{Statement, sql};
use crate::error::{DirectoryError, Refusal, Result};
use crate::random::random;
use crate::sealing::seal::{SealContext, Sealer};
use crate::tenant_info::TenantInfo;
use crossrealm_kdc::{ServiceKey, TenantId};
use crossrealm_krb::crypto::{Enctype, Key};
use crossrealm_os::clock::now_s;
use crossrealm_types::{KerberosKey, KeySlot, Timestamp, UnknownWord};
use sqlx::AnyConnection;
use sqlx::any::AnyRow;
use std::str::FromStr;
use uuid::Uuid;
use zeroize::Zeroizing;

/// How long a new key of a realm waits before it encrypts, in seconds. Every node has read it by then (each looks twice a second),
/// also where the clocks of two nodes differ by some seconds: no node is presented a TGT whose key it does not know.
const REALM_KEY_DELAY_S: i64 = 10;
/// The most keys of a realm that are in use at a time. Each rotation adds one for the life of a ticket.
const MAX_REALM_KEYS: usize = 8;

/// Beyond the longest ticket life, a replaced key is kept for the clock skew of both sides, in seconds.
const SKEW_S: i64 = 600;

/// The content of a service's keytab. The `Debug` form of keys is redacted.
#[derive(Clone, Debug)]
pub struct KeytabMaterial {
    /// The tenant's realm.
    pub realm: String,
    /// The principals without realm: `cifs/acct1.file.contoso.cloud.example`, `host/…`, aliases included.
    pub principals: Vec<String>,
    /// The keys, the one that encrypts new tickets first; with replaced ones that may still be needed.
    pub keys: Vec<ServiceKey>,
}

/// The owner of service keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Owner {
    pub(crate) tenant: TenantId,
    pub(crate) kind: OwnerKind,
    pub(crate) id: Uuid,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum OwnerKind {
    Krbtgt,
    Account,
    Principal,
}

impl FromStr for OwnerKind {
    type Err = UnknownWord;

    fn from_str(text: &str) -> std::result::Result<Self, UnknownWord> {
        [Self::Krbtgt, Self::Account, Self::Principal]
            .into_iter()
            .find(|kind| kind.as_str() == text)
            .ok_or(UnknownWord("owner of a key"))
    }
}

impl OwnerKind {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Krbtgt => "krbtgt",
            Self::Account => "account",
            Self::Principal => "principal",
        }
    }

    fn record(self) -> &'static str {
        match self {
            Self::Krbtgt => "krbtgt key",
            Self::Account => "storage account key",
            Self::Principal => "service principal key",
        }
    }
}

impl Owner {
    fn seal_context<'a>(&self, id: &'a Uuid, kvno: u32) -> SealContext<'a> {
        SealContext {
            tenant: self.tenant,
            kind: self.kind.record(),
            id: id.as_bytes(),
            version: kvno,
        }
    }
}

/// The owner of a realm's own keys.
pub(crate) fn krbtgt(tenant: TenantId) -> Owner {
    Owner {
        tenant,
        kind: OwnerKind::Krbtgt,
        id: Uuid::from_bytes(*tenant.as_bytes()),
    }
}

/// Creates a random AES256 key of `owner` in `slot`.
pub(crate) async fn insert_key(
    conn: &mut AnyConnection,
    sealer: &Sealer,
    owner: &Owner,
    slot: KeySlot,
    kvno: u32,
    encrypts: bool,
) -> Result<()> {
    let mut bytes = Zeroizing::new([0; 32]);
    random(bytes.as_mut())?;
    let sealed = sealer.seal(owner.seal_context(&owner.id, kvno), bytes.as_ref())?;
    sql("INSERT INTO kerberos_keys (tenant_id, owner_kind, owner_id, kvno, slot, enctype, sealing, sealed, created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)")
        .bind(tenant_blob(owner.tenant))
        .bind(owner.kind.as_str())
        .bind(uuid_blob(owner.id))
        .bind(i64::from(kvno))
        .bind(slot.as_str())
        .bind(i64::from(Enctype::Aes256Sha1.number()))
        .bind(i64::from(encrypts))
        .bind(sealed)
        .bind(now_s())
        .execute(conn)
        .await?;
    Ok(())
}

/// Creates both keys of a new service: kerb1 with kvno 1 encrypts new tickets.
pub(crate) async fn insert_both(
    conn: &mut AnyConnection,
    sealer: &Sealer,
    owner: &Owner,
) -> Result<()> {
    insert_key(conn, sealer, owner, KeySlot::Kerb1, 1, true).await?;
    insert_key(conn, sealer, owner, KeySlot::Kerb2, 2, false).await
}

/// Puts a new key into `slot`, makes the key of the other slot encrypt new tickets, and deletes keys that no valid
/// ticket needs.
pub(crate) async fn rotate(
    conn: &mut AnyConnection,
    sealer: &Sealer,
    owner: &Owner,
    slot: KeySlot,
    max_ticket_life_s: u32,
) -> Result<u32> {
    let now = now_s();
    let kvno = next_kvno(conn, owner).await?;
    delete_ended(conn, owner, now).await?;
    of_owner("UPDATE kerberos_keys SET retires_at = $4 WHERE tenant_id = $1 AND owner_kind = $2 AND owner_id = $3
                AND slot = $5 AND retires_at IS NULL", owner)
        .bind(now + i64::from(max_ticket_life_s) + SKEW_S)
        .bind(slot.as_str())
        .execute(&mut *conn)
        .await?;
    of_owner("UPDATE kerberos_keys SET sealing = CASE WHEN slot = $4 AND retires_at IS NULL THEN 1 ELSE 0 END
                WHERE tenant_id = $1 AND owner_kind = $2 AND owner_id = $3", owner)
        .bind(slot.other().as_str())
        .execute(&mut *conn)
        .await?;
    insert_key(conn, sealer, owner, slot, kvno, false).await?;
    Ok(kvno)
}

/// A new key of a realm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RealmKeyRotation {
    /// Its version.
    pub kvno: u32,
    /// From when it encrypts TGTs and signs PACs, Unix seconds.
    pub encrypts_from: i64,
    /// Until when the keys before decrypt TGTs, Unix seconds; `None` if they never do again.
    pub previous_until: Option<i64>,
}

/// Creates a new key of a realm. TGTs of the keys before are good until their life ends; with `compromised` these keys
/// are deleted, and every TGT ends now.
pub(crate) async fn rotate_realm_key(
    conn: &mut AnyConnection,
    sealer: &Sealer,
    realm: &TenantInfo,
    compromised: bool,
) -> Result<RealmKeyRotation> {
    let owner = krbtgt(realm.id);
    let now = now_s();
    let kvno = next_kvno(conn, &owner).await?;
    if compromised {
        delete_keys(conn, &owner).await?;
        insert_key(conn, sealer, &owner, KeySlot::Kerb1, kvno, true).await?;
        return Ok(RealmKeyRotation {
            kvno,
            encrypts_from: now,
            previous_until: None,
        });
    }
    let in_use = key_infos(conn, &owner).await?;
    if in_use.len() >= MAX_REALM_KEYS {
        let ends = in_use
            .iter()
            .filter_map(|key| key.retires_at)
            .map(Timestamp::unix)
            .min();
        return Err(Refusal::TooManyRealmKeys {
            tenant: realm.name.clone(),
            most: MAX_REALM_KEYS,
            wait_s: ends.unwrap_or(now).saturating_sub(now),
        }
        .into());
    }
    let encrypts_from = now.saturating_add(REALM_KEY_DELAY_S);
    let life = i64::from(realm.policy.max_ticket_life_s);
    let until = encrypts_from.saturating_add(life).saturating_add(SKEW_S);
    delete_ended(conn, &owner, now).await?;
    of_owner("UPDATE kerberos_keys SET retires_at = $4 WHERE tenant_id = $1 AND owner_kind = $2 AND owner_id = $3
                AND retires_at IS NULL", &owner)
        .bind(until)
        .execute(&mut *conn)
        .await?;
    insert_key(conn, sealer, &owner, KeySlot::Kerb1, kvno, true).await?;
    of_owner("UPDATE kerberos_keys SET encrypts_from = $4 WHERE tenant_id = $1 AND owner_kind = $2 AND owner_id = $3
                AND kvno = $5", &owner)
        .bind(encrypts_from)
        .bind(i64::from(kvno))
        .execute(&mut *conn)
        .await?;
    Ok(RealmKeyRotation {
        kvno,
        encrypts_from,
        previous_until: Some(until),
    })
}

/// A statement about the keys of an owner, who is its first three parameters.
fn of_owner<'q>(text: &'static str, owner: &Owner) -> Statement<'q> {
    sql(text)
        .bind(tenant_blob(owner.tenant))
        .bind(owner.kind.as_str())
        .bind(uuid_blob(owner.id))
}

/// Deletes the keys that no valid ticket needs.
async fn delete_ended(conn: &mut AnyConnection, owner: &Owner, now: i64) -> Result<()> {
    let text = "DELETE FROM kerberos_keys
                WHERE tenant_id = $1 AND owner_kind = $2 AND owner_id = $3 AND retires_at < $4";
    of_owner(text, owner).bind(now).execute(conn).await?;
    Ok(())
}

/// The version of the owner's next key: above those of all keys that are still stored.
async fn next_kvno(conn: &mut AnyConnection, owner: &Owner) -> Result<u32> {
    let text = "SELECT COALESCE(MAX(kvno), 0) AS newest FROM kerberos_keys
                WHERE tenant_id = $1 AND owner_kind = $2 AND owner_id = $3";
    let row = of_owner(text, owner).fetch_one(conn).await?;
    col_u32(&row, "newest")?
        .checked_add(1)
        .ok_or_else(|| DirectoryError::damaged("key version number", "out of range"))
}

/// The version of the key that encrypts new tickets after the rotation of this slot: the newest of the other slot.
pub(crate) fn encrypting_after(keys: &[KerberosKey], slot: KeySlot) -> Result<u32> {
    let stays = |key: &&KerberosKey| key.slot == slot.other() && key.retires_at.is_none();
    let stays = keys.iter().find(stays).map(|key| key.kvno);
    stays.ok_or_else(|| DirectoryError::damaged("storage account key", "a slot has none"))
}

const SELECT_KEYS: &str = "SELECT owner_id, kvno, slot, enctype, sealing, sealed, created_at, retires_at, encrypts_from
    FROM kerberos_keys
    WHERE tenant_id = $1 AND owner_kind = $2 AND owner_id = $3 AND (retires_at IS NULL OR retires_at >= $4)
    ORDER BY CASE WHEN encrypts_from > $4 THEN 0 ELSE sealing END DESC, kvno DESC";

async fn rows(conn: &mut AnyConnection, owner: &Owner) -> Result<Vec<AnyRow>> {
    Ok(of_owner(SELECT_KEYS, owner)
        .bind(now_s())
        .fetch_all(conn)
        .await?)
}

/// The records of a service's keys that are in use, the one that encrypts new tickets first.
pub(crate) async fn key_infos(conn: &mut AnyConnection, owner: &Owner) -> Result<Vec<KerberosKey>> {
    let info = |row: &AnyRow| {
        Ok(KerberosKey {
            slot: col_word(row, "slot")?,
            kvno: col_u32(row, "kvno")?,
            encrypts: col::<i64>(row, "sealing")? != 0,
            created_at: col_time(row, "created_at")?,
            retires_at: col_time_of(row, "retires_at")?,
        })
    };
    rows(conn, owner).await?.iter().map(info).collect()
}

/// The keys of a service that are in use, the one that encrypts new tickets first.
pub(crate) async fn service_keys(
    conn: &mut AnyConnection,
    sealer: &Sealer,
    owner: &Owner,
) -> Result<Vec<ServiceKey>> {
    unsealed(&rows(conn, owner).await?, sealer, owner)
}

/// The keys of a realm that are in use, the one that encrypts first, and the first second in which that is no longer so.
pub(crate) async fn realm_keys(
    conn: &mut AnyConnection,
    sealer: &Sealer,
    tenant: TenantId,
    now: i64,
) -> Result<(Vec<ServiceKey>, i64)> {
    let owner = krbtgt(tenant);
    let rows = rows(conn, &owner).await?;
    let mut valid_before = i64::MAX;
    for row in &rows {
        if let Some(until) = col::<Option<i64>>(row, "retires_at")? {
            valid_before = valid_before.min(until.saturating_add(1));
        }
        if let Some(from) = col::<Option<i64>>(row, "encrypts_from")?.filter(|from| *from > now) {
            valid_before = valid_before.min(from);
        }
    }
    Ok((unsealed(&rows, sealer, &owner)?, valid_before))
}

fn unsealed(rows: &[AnyRow], sealer: &Sealer, owner: &Owner) -> Result<Vec<ServiceKey>> {
    let key = |row: &AnyRow| {
        let kvno = col_u32(row, "kvno")?;
        let sealed: Vec<u8> = col(row, "sealed")?;
        let bytes = sealer.unseal(owner.seal_context(&owner.id, kvno), &sealed)?;
        let key = i32::try_from(col::<i64>(row, "enctype")?)
            .ok()
            .and_then(Enctype::from_number)
            .and_then(|enctype| Key::new(enctype, &bytes).ok())
            .ok_or_else(|| DirectoryError::damaged(owner.kind.record(), "not an AES key"))?;
        Ok(ServiceKey { kvno, key })
    };
    let keys: Vec<ServiceKey> = rows.iter().map(key).collect::<Result<_>>()?;
    if keys.is_empty() {
        return Err(DirectoryError::damaged(
            owner.kind.record(),
            "there is none",
        ));
    }
    Ok(keys)
}

/// Seals every key of the installation under another master key.
pub(crate) async fn reseal_keys(
    conn: &mut AnyConnection,
    from: &Sealer,
    to: &Sealer,
) -> Result<usize> {
    let rows = sql("SELECT tenant_id, owner_kind, owner_id, kvno, sealed FROM kerberos_keys")
        .fetch_all(&mut *conn)
        .await?;
    for row in &rows {
        let owner = Owner {
            tenant: col_tenant(row)?,
            kind: col_word(row, "owner_kind")?,
            id: col_uuid(row, "owner_id")?,
        };
        let (kvno, sealed) = (col_u32(row, "kvno")?, col::<Vec<u8>>(row, "sealed")?);
        let context = owner.seal_context(&owner.id, kvno);
        let key = from.unseal(context, &sealed)?;
        sql("UPDATE kerberos_keys SET sealed = $5
             WHERE tenant_id = $1 AND owner_kind = $2 AND owner_id = $3 AND kvno = $4")
        .bind(tenant_blob(owner.tenant))
        .bind(owner.kind.as_str())
        .bind(uuid_blob(owner.id))
        .bind(i64::from(kvno))
        .bind(to.seal(context, &key)?)
        .execute(&mut *conn)
        .await?;
    }
    Ok(rows.len())
}

/// Deletes every key of a service.
pub(crate) async fn delete_keys(conn: &mut AnyConnection, owner: &Owner) -> Result<()> {
    of_owner(
        "DELETE FROM kerberos_keys WHERE tenant_id = $1 AND owner_kind = $2 AND owner_id = $3",
        owner,
    )
    .execute(conn)
    .await?;
    Ok(())
}
