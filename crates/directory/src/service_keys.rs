//! The Kerberos keys of services (storage accounts and service principals) and of the realm itself.
//!
//! A service has two slots, kerb1 and kerb2. The key of one encrypts new tickets. Rotating a slot makes the key of the
//! *other* slot encrypt (every host holds it already) and keeps the replaced key until the last ticket it encrypted has
//! expired, so that no ticket fails.

use crate::db::columns::{col, col_u32, col_word, tenant_blob, uuid_blob};
use crate::db::statement::sql;
use crate::error::{DirectoryError, Result};
use crate::random::random;
use crate::sealing::seal::{SealContext, Sealer};
use crossrealm_kdc::{ServiceKey, TenantId};
use crossrealm_krb::crypto::{Enctype, Key};
use crossrealm_os::clock::now_s;
use crossrealm_types::{KeySlot, UnknownWord};
use sqlx::AnyConnection;
use sqlx::any::AnyRow;
use std::str::FromStr;
use uuid::Uuid;
use zeroize::Zeroizing;

/// Beyond the longest ticket life, a replaced key is kept for the clock skew of both sides, in seconds.
const SKEW_S: i64 = 600;

/// The record of a service key, without the key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyInfo {
    /// Its slot.
    pub slot: KeySlot,
    /// Its version number.
    pub kvno: u32,
    /// Whether it encrypts new tickets.
    pub encrypts: bool,
    /// When it was created, Unix seconds.
    pub created_at: i64,
    /// The last second in which a ticket encrypted with it may be valid, if it was replaced.
    pub retires_at: Option<i64>,
}

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
    let infos = key_infos(conn, owner).await?;
    let kvno = infos
        .iter()
        .map(|key| key.kvno)
        .max()
        .unwrap_or_default()
        .checked_add(1)
        .ok_or_else(|| DirectoryError::damaged("key version number", "out of range"))?;
    let bind_owner = |text| {
        sql(text)
            .bind(tenant_blob(owner.tenant))
            .bind(owner.kind.as_str())
            .bind(uuid_blob(owner.id))
    };
    bind_owner("DELETE FROM kerberos_keys WHERE tenant_id = $1 AND owner_kind = $2 AND owner_id = $3 AND retires_at < $4")
        .bind(now)
        .execute(&mut *conn)
        .await?;
    bind_owner("UPDATE kerberos_keys SET retires_at = $4 WHERE tenant_id = $1 AND owner_kind = $2 AND owner_id = $3
                AND slot = $5 AND retires_at IS NULL")
        .bind(now + i64::from(max_ticket_life_s) + SKEW_S)
        .bind(slot.as_str())
        .execute(&mut *conn)
        .await?;
    bind_owner("UPDATE kerberos_keys SET sealing = CASE WHEN slot = $4 AND retires_at IS NULL THEN 1 ELSE 0 END
                WHERE tenant_id = $1 AND owner_kind = $2 AND owner_id = $3")
        .bind(slot.other().as_str())
        .execute(&mut *conn)
        .await?;
    insert_key(conn, sealer, owner, slot, kvno, false).await?;
    Ok(kvno)
}

/// The version of the key that encrypts new tickets after the rotation of this slot: the newest of the other slot.
pub(crate) fn encrypting_after(keys: &[KeyInfo], slot: KeySlot) -> Result<u32> {
    let stays = |key: &&KeyInfo| key.slot == slot.other() && key.retires_at.is_none();
    let stays = keys.iter().find(stays).map(|key| key.kvno);
    stays.ok_or_else(|| DirectoryError::damaged("storage account key", "a slot has none"))
}

const SELECT_KEYS: &str = "SELECT owner_id, kvno, slot, enctype, sealing, sealed, created_at, retires_at FROM kerberos_keys
    WHERE tenant_id = $1 AND owner_kind = $2 AND owner_id = $3 AND (retires_at IS NULL OR retires_at >= $4)
    ORDER BY sealing DESC, kvno DESC";

async fn rows(conn: &mut AnyConnection, owner: &Owner) -> Result<Vec<AnyRow>> {
    Ok(sql(SELECT_KEYS)
        .bind(tenant_blob(owner.tenant))
        .bind(owner.kind.as_str())
        .bind(uuid_blob(owner.id))
        .bind(now_s())
        .fetch_all(conn)
        .await?)
}

/// The records of a service's keys that are in use, the one that encrypts new tickets first.
pub(crate) async fn key_infos(conn: &mut AnyConnection, owner: &Owner) -> Result<Vec<KeyInfo>> {
    let info = |row: &AnyRow| {
        Ok(KeyInfo {
            slot: col_word(row, "slot")?,
            kvno: col_u32(row, "kvno")?,
            encrypts: col::<i64>(row, "sealing")? != 0,
            created_at: col(row, "created_at")?,
            retires_at: col(row, "retires_at")?,
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
    let keys: Vec<ServiceKey> = rows(conn, owner)
        .await?
        .iter()
        .map(key)
        .collect::<Result<_>>()?;
    if keys.is_empty() {
        return Err(DirectoryError::damaged(
            owner.kind.record(),
            "there is none",
        ));
    }
    Ok(keys)
}

/// Deletes every key of a service.
pub(crate) async fn delete_keys(conn: &mut AnyConnection, owner: &Owner) -> Result<()> {
    sql("DELETE FROM kerberos_keys WHERE tenant_id = $1 AND owner_kind = $2 AND owner_id = $3")
        .bind(tenant_blob(owner.tenant))
        .bind(owner.kind.as_str())
        .bind(uuid_blob(owner.id))
        .execute(conn)
        .await?;
    Ok(())
}
