//! The stored versions of a trust password.

use crate::db::columns::{col, col_tenant, col_u32, col_uuid, col_word, uuid_blob};
use crate::db::statement::sql;
use crate::error::{DirectoryError, Result};
use crate::random::random;
use crate::sealing::seal::{SealContext, Sealer};
use crate::trusts::model::{HeldSecret, PreparedTrust};
use crossrealm_kdc::TenantId;
use crossrealm_os::clock::now_s;
use crossrealm_types::{TrustKey, TrustKeyState};
use sqlx::AnyConnection;
use sqlx::any::AnyRow;
use uuid::Uuid;
use zeroize::Zeroizing;

/// For how long a domain controller goes on encrypting with the key before, from when it has the new one.
const HELD_BACK_S: i64 = 3600;
/// How long the new trust password takes to the last domain controller of the domain: four hops between sites, at AD's
/// default of 180 minutes each.
const REPLICATION_S: i64 = 4 * 180 * 60;
/// The life of a referral: AD's default for tickets.
const REFERRAL_LIFE_S: i64 = 10 * 3600;
/// The clocks of AD and of the nodes.
const SKEW_S: i64 = 600;
/// For how long the keys of a version decrypt referrals after the next version was confirmed, in seconds.
pub const PREVIOUS_LIFE_S: i64 = HELD_BACK_S + REPLICATION_S + REFERRAL_LIFE_S + SKEW_S;

/// The length of a trust password, in characters.
const SECRET_LEN: usize = 40;

/// A version of a trust password as the database has it.
pub(crate) struct StoredSecret {
    pub(crate) info: TrustKey,
    pub(crate) sealed: Vec<u8>,
}

impl StoredSecret {
    /// The trust password.
    pub(crate) fn open(
        &self,
        sealer: &Sealer,
        tenant: TenantId,
        trust: Uuid,
    ) -> Result<Zeroizing<String>> {
        let context = seal_context(tenant, &trust, self.info.version);
        let bytes = sealer.unseal(context, &self.sealed)?;
        let text = std::str::from_utf8(&bytes)
            .map_err(|_| DirectoryError::damaged("trust password", "it is not text"))?;
        Ok(Zeroizing::new(text.to_owned()))
    }
}

fn seal_context(tenant: TenantId, trust: &Uuid, version: u32) -> SealContext<'_> {
    SealContext {
        tenant,
        kind: "trust secret",
        id: trust.as_bytes(),
        version,
    }
}

/// The versions of a trust password, newest first.
pub(crate) async fn secrets(conn: &mut AnyConnection, trust: Uuid) -> Result<Vec<StoredSecret>> {
    let rows = sql(
        "SELECT version, state, sealed, created_at, confirmed_at, retires_at, last_seen_at
                    FROM trust_secrets WHERE trust_id = $1 ORDER BY version DESC",
    )
    .bind(uuid_blob(trust))
    .fetch_all(conn)
    .await?;
    let secret = |row: &AnyRow| {
        Ok(StoredSecret {
            info: TrustKey {
                version: col_u32(row, "version")?,
                state: col_word(row, "state")?,
                created_at: col(row, "created_at")?,
                confirmed_at: col(row, "confirmed_at")?,
                retires_at: col(row, "retires_at")?,
                last_seen_at: col(row, "last_seen_at")?,
            },
            sealed: col(row, "sealed")?,
        })
    };
    let mut secrets: Vec<StoredSecret> = rows.iter().map(secret).collect::<Result<_>>()?;
    end_previous(&mut secrets);
    Ok(secrets)
}

/// A previous version retires by itself when its time is over. Versions before 0.3 recorded no such time: it counts from the
/// confirmation of the current version.
fn end_previous(secrets: &mut [StoredSecret]) {
    let confirmed_at = secrets
        .iter()
        .find(|secret| secret.info.state == TrustKeyState::Current)
        .and_then(|secret| secret.info.confirmed_at);
    let now = now_s();
    for StoredSecret { info, .. } in secrets {
        if info.state != TrustKeyState::Previous {
            continue;
        }
        let end = confirmed_at.map(|at| at.saturating_add(PREVIOUS_LIFE_S));
        info.retires_at = info.retires_at.or(end);
        if info.retires_at.is_some_and(|until| until < now) {
            info.state = TrustKeyState::Retired;
        }
    }
}

/// The versions other than `given` whose keys still decrypt tickets.
pub(crate) fn held(
    known: &[StoredSecret],
    given: u32,
    sealer: &Sealer,
    tenant: TenantId,
    trust: Uuid,
) -> Result<Vec<HeldSecret>> {
    let now = now_s();
    known
        .iter()
        .filter(|secret| secret.info.version != given)
        .filter(|secret| secret.info.retires_at.is_none_or(|until| until >= now))
        .map(|secret| {
            Ok(HeldSecret {
                version: secret.info.version,
                state: secret.info.state,
                secret: secret.open(sealer, tenant, trust)?,
            })
        })
        .collect()
}

/// Generates and stores a pending version.
pub(crate) async fn make_secret(
    conn: &mut AnyConnection,
    sealer: &Sealer,
    tenant: TenantId,
    trust: Uuid,
    version: u32,
) -> Result<PreparedTrust> {
    let secret = random_password()?;
    sql("INSERT INTO trust_secrets (trust_id, version, state, sealed, created_at) VALUES ($1, $2, $3, $4, $5)")
        .bind(uuid_blob(trust))
        .bind(i64::from(version))
        .bind(TrustKeyState::Pending.as_str())
        .bind(sealer.seal(seal_context(tenant, &trust, version), secret.as_bytes())?)
        .bind(now_s())
        .execute(conn)
        .await?;
    Ok(PreparedTrust {
        version,
        state: TrustKeyState::Pending,
        secret,
        held: Vec::new(),
    })
}

/// Seals every trust password of the installation under another master key.
pub(crate) async fn reseal_secrets(
    conn: &mut AnyConnection,
    from: &Sealer,
    to: &Sealer,
) -> Result<usize> {
    let rows = sql(
        "SELECT s.trust_id, s.version, s.sealed, t.tenant_id FROM trust_secrets s
                    JOIN trusts t ON t.id = s.trust_id",
    )
    .fetch_all(&mut *conn)
    .await?;
    for row in &rows {
        let (trust, version) = (col_uuid(row, "trust_id")?, col_u32(row, "version")?);
        let context = seal_context(col_tenant(row)?, &trust, version);
        let secret = from.unseal(context, &col::<Vec<u8>>(row, "sealed")?)?;
        sql("UPDATE trust_secrets SET sealed = $3 WHERE trust_id = $1 AND version = $2")
            .bind(uuid_blob(trust))
            .bind(i64::from(version))
            .bind(to.seal(context, &secret)?)
            .execute(&mut *conn)
            .await?;
    }
    Ok(rows.len())
}

/// 40 of 64 characters: 240 bits. They need no quoting in any tool on the way to AD.
fn random_password() -> Result<Zeroizing<String>> {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut bytes = Zeroizing::new([0; SECRET_LEN]);
    random(bytes.as_mut())?;
    let mut text = Zeroizing::new(String::with_capacity(SECRET_LEN));
    for byte in bytes.iter() {
        text.push(char::from(ALPHABET[usize::from(byte % 64)]));
    }
    Ok(text)
}
