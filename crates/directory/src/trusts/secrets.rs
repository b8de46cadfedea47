//! The stored versions of a trust password.

use crate::db::columns::{col, col_u32, col_word, uuid_blob};
use crate::db::statement::sql;
use crate::error::{DirectoryError, Result};
use crate::random::random;
use crate::sealing::seal::{SealContext, Sealer};
use crate::trusts::model::{HeldSecret, PreparedTrust, TrustKeyInfo};
use crossrealm_kdc::TenantId;
use crossrealm_os::clock::now_s;
use crossrealm_types::TrustKeyState;
use sqlx::AnyConnection;
use sqlx::any::AnyRow;
use uuid::Uuid;
use zeroize::Zeroizing;

/// The length of a trust password, in characters.
const SECRET_LEN: usize = 40;

/// A version of a trust password as the database has it.
pub(crate) struct StoredSecret {
    pub(crate) info: TrustKeyInfo,
    sealed: Vec<u8>,
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
            info: TrustKeyInfo {
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
    rows.iter().map(secret).collect()
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
