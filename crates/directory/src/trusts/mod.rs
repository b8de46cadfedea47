//! Trusts with AD forests and the versions of their secrets.
//!
//! A version is made *pending* before AD learns it, becomes *current* once AD is known to hold it, *previous* when a
//! newer one is confirmed, and *retired* with the one after that. Pending, current and previous versions open
//! referrals, a retired one only until [`RETIRED_LIFE_S`] later, so that no ticket fails at any moment of a rotation.

pub(crate) mod kerberos_servers;
pub(crate) mod removals;
pub(crate) mod rotation;

use crate::audit::events::Actor;
use crate::audit::events::audit;
use crate::clock::now_s;
use crate::db::{
    Touch, col, col_names, col_sid, col_u32, col_uuid, col_word, sql, tenant_blob, touch, uuid_blob,
};
use crate::directory::Directory;
use crate::error::{DirectoryError, Kind, Refusal, Result};
use crate::names;
use crate::names::invalid;
use crate::random::{random, random_uuid};
use crate::sealing::seal::{Place, Sealer};
use crate::tenants::domains;
use crate::tenants::domains::{NewDomain, lies_below, load_domains};
use crate::tenants::load_tenant;
use crate::trusts::removals::Step;
use crossrealm_kdc::TenantId;
use crossrealm_types::Sid;
use sqlx::AnyConnection;
use sqlx::any::AnyRow;
use uuid::Uuid;
use zeroize::Zeroizing;

/// How long a retired version still opens tickets, in seconds: AD may seal with it up to the moment it is pushed out,
/// and a ticket lives ten hours by AD's default; a day leaves room for longer policies.
pub const RETIRED_LIFE_S: i64 = 24 * 3600;

/// The length of a trust password, in characters.
const SECRET_LEN: usize = 40;

/// What a trust with an AD domain is prepared with.
#[derive(Clone, Debug)]
pub struct PrepareTrust {
    /// The AD realm; must be the domain's DNS name without regard to case.
    pub realm: String,
    /// The flat (NetBIOS) name of the AD domain.
    pub flat_name: String,
    /// The domain SID of the AD domain.
    pub sid: Sid,
    /// The names AD is to refer to the tenant; empty takes the tenant's own.
    pub top_level_names: Vec<String>,
    /// Whether to make a new version when the newest is in use already.
    pub rotate: bool,
}

/// A secret for AD. Not `Debug`, on purpose.
pub struct PreparedTrust {
    /// The version of the secret.
    pub version: u32,
    /// `Pending` or `Current`.
    pub state: TrustKeyState,
    /// The trust password: 40 printable ASCII characters.
    pub secret: Zeroizing<String>,
    /// The other versions that AD may still hold or seal with, newest first: for a rotation AD must be shown one of
    /// them, and a referral may be sealed with one.
    pub held: Vec<HeldSecret>,
}

/// A secret that AD was given before. Not `Debug`, on purpose.
pub struct HeldSecret {
    /// Its version.
    pub version: u32,
    /// `Current`, `Previous`, or `Retired` and not yet over.
    pub state: TrustKeyState,
    /// The trust password.
    pub secret: Zeroizing<String>,
}

/// A trust without its secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrustInfo {
    /// The DNS name of the AD forest root domain, lower case.
    pub domain: String,
    /// Its realm, upper case.
    pub realm: String,
    /// Its flat (NetBIOS) name.
    pub flat_name: String,
    /// Its domain SID.
    pub sid: Sid,
    /// `Pending` until the first version is confirmed.
    pub state: TrustState,
    /// The names AD refers to the tenant, as last confirmed or prepared.
    pub top_level_names: Vec<String>,
    /// When it was first prepared, Unix seconds.
    pub created_at: i64,
    /// When a version was last confirmed, Unix seconds.
    pub confirmed_at: Option<i64>,
    /// When a removal was begun that has not ended, Unix seconds.
    pub removal_begun_at: Option<i64>,
    /// The versions of the secret, newest first.
    pub keys: Vec<TrustKeyInfo>,
}

/// Whether AD is known to hold the trust.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrustState {
    /// Prepared, never confirmed.
    Pending,
    /// Confirmed at least once.
    Active,
}

/// A version of a trust's secret, without the secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrustKeyInfo {
    /// The version, from 1.
    pub version: u32,
    /// Where it is in its life.
    pub state: TrustKeyState,
    /// When it was made, Unix seconds.
    pub created_at: i64,
    /// When AD was first known to hold it, Unix seconds.
    pub confirmed_at: Option<i64>,
    /// The last second in which it opens a ticket, where it is retired.
    pub retires_at: Option<i64>,
    /// When a referral last arrived that it opened, Unix seconds.
    pub last_seen_at: Option<i64>,
}

/// The life of a version of a trust's secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrustKeyState {
    /// Made; AD may or may not hold it yet.
    Pending,
    /// In AD, as far as is known.
    Current,
    /// Replaced in AD, but AD may still seal with it.
    Previous,
    /// Out of use; opens old tickets until its end.
    Retired,
}

impl TrustKeyState {
    /// `pending`, `current`, `previous` or `retired`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Current => "current",
            Self::Previous => "previous",
            Self::Retired => "retired",
        }
    }

    fn from_word(text: &str) -> Option<Self> {
        [Self::Pending, Self::Current, Self::Previous, Self::Retired]
            .into_iter()
            .find(|state| state.as_str() == text)
    }
}

impl Directory {
    /// The secret to put into AD. Makes the trust (and registers its domain) with a pending version where there is
    /// none; hands out the pending version again where there is one; else the current one, or with `rotate` a new
    /// pending one. A run of the trust tool that was killed can therefore be repeated at any point.
    ///
    /// Refused with `trust_sid_mismatch` where the domain is registered with another SID.
    pub async fn prepare_trust(
        &self,
        by: &Actor,
        tenant: TenantId,
        domain: &str,
        wanted: &PrepareTrust,
    ) -> Result<PreparedTrust> {
        let domain = names::dns_name("domain", domain, 2)?;
        if !wanted.realm.eq_ignore_ascii_case(&domain) {
            return Err(invalid(
                "realm",
                &wanted.realm,
                "the realm of an AD domain is its DNS name in upper case",
            ));
        }
        let mut tx = self.begin().await?;
        touch(&mut tx, tenant, Touch::Parties).await?;
        register_root(&mut tx, by, tenant, &domain, wanted).await?;
        let id = match find(&mut tx, tenant, &domain).await? {
            Some((id, _)) => id,
            None => insert(&mut tx, tenant, &domain, wanted).await?,
        };
        if !wanted.top_level_names.is_empty() {
            let names = names::top_level_names(&wanted.top_level_names)?.join(",");
            sql("UPDATE trusts SET top_level_names = $2 WHERE id = $1 AND confirmed_at IS NULL")
                .bind(uuid_blob(id))
                .bind(names)
                .execute(&mut *tx)
                .await?;
        }
        // Who sets the trust up wants it, whatever a removal that was cut off had begun.
        sql("UPDATE trusts SET removal_begun_at = NULL WHERE id = $1")
            .bind(uuid_blob(id))
            .execute(&mut *tx)
            .await?;
        let known = secrets(&mut tx, id).await?;
        let mut prepared = match known.first() {
            Some(secret) if secret.info.state == TrustKeyState::Pending || !wanted.rotate => {
                PreparedTrust {
                    version: secret.info.version,
                    state: secret.info.state,
                    secret: secret.open(self.sealer(), tenant, id)?,
                    held: Vec::new(),
                }
            }
            newest => {
                let version = newest
                    .map_or(0, |secret| secret.info.version)
                    .saturating_add(1);
                make_secret(&mut tx, self.sealer(), tenant, id, version).await?
            }
        };
        prepared.held = held(&known, prepared.version, self.sealer(), tenant, id)?;
        let detail = format!("version {} ({})", prepared.version, prepared.state.as_str());
        audit(&mut tx, by, Some(tenant), "trust.prepare", &domain, &detail).await?;
        self.commit(tx).await?;
        Ok(prepared)
    }

    /// Notes that AD holds this version: pending becomes current, current previous, previous retired. Confirming the
    /// current version again only stores the names. Empty `top_level_names` leave them as they are.
    ///
    /// Refused with `trust_version_unknown` for a version that is neither pending nor current.
    pub async fn confirm_trust(
        &self,
        by: &Actor,
        tenant: TenantId,
        domain: &str,
        version: u32,
        top_level_names: &[String],
    ) -> Result<TrustInfo> {
        let domain = names::dns_name("domain", domain, 2)?;
        let top_level_names = names::top_level_names(top_level_names)?;
        let mut tx = self.begin().await?;
        touch(&mut tx, tenant, Touch::Parties).await?;
        let (id, _) = find(&mut tx, tenant, &domain)
            .await?
            .ok_or_else(|| DirectoryError::not_found(Kind::Trust, &domain))?;
        let state = secrets(&mut tx, id)
            .await?
            .into_iter()
            .find(|secret| secret.info.version == version)
            .map(|secret| secret.info.state);
        match state {
            Some(TrustKeyState::Pending) => promote(&mut tx, id, version).await?,
            Some(TrustKeyState::Current) => {}
            _ => {
                return Err(Refusal::TrustVersionUnknown { domain, version }.into());
            }
        }
        if !top_level_names.is_empty() {
            sql("UPDATE trusts SET top_level_names = $2 WHERE id = $1")
                .bind(uuid_blob(id))
                .bind(top_level_names.join(","))
                .execute(&mut *tx)
                .await?;
        }
        let detail = format!("version {version}");
        audit(&mut tx, by, Some(tenant), "trust.confirm", &domain, &detail).await?;
        let info = info(&mut tx, tenant, &domain).await?;
        self.commit(tx).await?;
        Ok(info)
    }

    /// The trust with this AD domain.
    pub async fn trust(&self, tenant: TenantId, domain: &str) -> Result<TrustInfo> {
        let domain = names::dns_name("domain", domain, 2)?;
        let mut conn = self.readers().acquire().await?;
        info(&mut conn, tenant, &domain).await
    }

    /// The trusts, by domain.
    pub async fn trusts(&self, tenant: TenantId) -> Result<Vec<TrustInfo>> {
        let mut conn = self.readers().acquire().await?;
        let mut trusts = Vec::new();
        for domain in trusted_domains(&mut conn, tenant).await? {
            trusts.push(info(&mut conn, tenant, &domain).await?);
        }
        Ok(trusts)
    }

    /// Notes that the trust is about to be taken out of AD, so that a removal that is cut off is known. Its keys go on
    /// opening tickets until [`Directory::delete_trust`].
    pub async fn begin_trust_removal(
        &self,
        by: &Actor,
        tenant: TenantId,
        domain: &str,
    ) -> Result<()> {
        let step = Step::Begin(
            "UPDATE trusts SET removal_begun_at = COALESCE(removal_begun_at, $3)
             WHERE tenant_id = $1 AND dns_name = $2",
        );
        let step = (Kind::Trust, "trust.begin_removal", step);
        self.removal(by, tenant, domain, step).await
    }

    /// Takes back [`Directory::begin_trust_removal`], where AD refused the removal and nothing was done. Of a trust that
    /// is not there nothing is to be taken back.
    pub async fn cancel_trust_removal(
        &self,
        by: &Actor,
        tenant: TenantId,
        domain: &str,
    ) -> Result<()> {
        let step = Step::Cancel(
            "UPDATE trusts SET removal_begun_at = NULL WHERE tenant_id = $1 AND dns_name = $2",
        );
        let step = (Kind::Trust, "trust.cancel_removal", step);
        self.removal(by, tenant, domain, step).await
    }

    /// Removes the trust and its secrets. The domain stays registered, and its identities stay.
    pub async fn delete_trust(&self, by: &Actor, tenant: TenantId, domain: &str) -> Result<()> {
        let step = Step::End("DELETE FROM trusts WHERE tenant_id = $1 AND dns_name = $2");
        let step = (Kind::Trust, "trust.delete", step);
        self.removal(by, tenant, domain, step).await
    }
}

/// A version of a secret as the database has it.
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
        let place = place(tenant, &trust, self.info.version);
        let bytes = sealer.unseal(place, &self.sealed)?;
        let text = std::str::from_utf8(&bytes)
            .map_err(|_| DirectoryError::damaged("trust secret", "it is not text"))?;
        Ok(Zeroizing::new(text.to_owned()))
    }
}

fn place(tenant: TenantId, trust: &Uuid, version: u32) -> Place<'_> {
    Place {
        tenant,
        kind: "trust secret",
        id: trust.as_bytes(),
        version,
    }
}

/// The DNS names of the trusted forest roots.
pub(crate) async fn trusted_domains(
    conn: &mut AnyConnection,
    tenant: TenantId,
) -> Result<Vec<String>> {
    let rows = sql("SELECT dns_name FROM trusts WHERE tenant_id = $1 ORDER BY dns_name")
        .bind(tenant_blob(tenant))
        .fetch_all(conn)
        .await?;
    rows.iter().map(|row| col(row, "dns_name")).collect()
}

/// The id and row of a trust.
pub(crate) async fn find(
    conn: &mut AnyConnection,
    tenant: TenantId,
    domain: &str,
) -> Result<Option<(Uuid, AnyRow)>> {
    let row = sql("SELECT t.id, t.top_level_names, t.created_at, t.confirmed_at, t.removal_begun_at,
                   t.rotation_holder, t.rotation_until, d.flat_name, d.sid
                   FROM trusts t JOIN domains d ON d.tenant_id = t.tenant_id AND d.dns_name = t.dns_name
                   WHERE t.tenant_id = $1 AND t.dns_name = $2")
        .bind(tenant_blob(tenant))
        .bind(domain)
        .fetch_optional(conn)
        .await?;
    row.map(|row| Ok((col_uuid(&row, "id")?, row))).transpose()
}

/// The versions of a trust's secret, newest first.
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
                state: col_word(row, "state", TrustKeyState::from_word)?,
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

async fn info(conn: &mut AnyConnection, tenant: TenantId, domain: &str) -> Result<TrustInfo> {
    let (id, row) = find(conn, tenant, domain)
        .await?
        .ok_or_else(|| DirectoryError::not_found(Kind::Trust, domain))?;
    let confirmed_at: Option<i64> = col(&row, "confirmed_at")?;
    let keys = secrets(conn, id).await?;
    Ok(TrustInfo {
        domain: domain.to_owned(),
        realm: domain.to_ascii_uppercase(),
        flat_name: col(&row, "flat_name")?,
        sid: col_sid(&row, "sid")?,
        state: match confirmed_at {
            Some(_) => TrustState::Active,
            None => TrustState::Pending,
        },
        top_level_names: col_names(&row, "top_level_names")?,
        created_at: col(&row, "created_at")?,
        confirmed_at,
        removal_begun_at: col(&row, "removal_begun_at")?,
        keys: keys.into_iter().map(|secret| secret.info).collect(),
    })
}

/// Registers the forest root, and lets the domains below it that stood alone arrive through its trust.
async fn register_root(
    conn: &mut AnyConnection,
    by: &Actor,
    tenant: TenantId,
    domain: &str,
    wanted: &PrepareTrust,
) -> Result<()> {
    let new = NewDomain {
        dns_name: domain.to_owned(),
        flat_name: wanted.flat_name.clone(),
        sid: wanted.sid.clone(),
        forest_root: Some(domain.to_owned()),
    };
    domains::register(conn, by, tenant, &new)
        .await
        .map_err(|error| match error {
            DirectoryError::Refused(Refusal::DomainSidMismatch {
                domain,
                known,
                given,
            }) => Refusal::TrustSidMismatch {
                domain,
                known,
                given,
            }
            .into(),
            other => other,
        })?;
    for other in load_domains(conn, tenant).await? {
        if other.forest_root == other.dns_name && lies_below(&other.dns_name, domain) {
            let new = NewDomain {
                dns_name: other.dns_name,
                flat_name: other.flat_name,
                sid: other.sid,
                forest_root: Some(domain.to_owned()),
            };
            domains::register(conn, by, tenant, &new).await?;
        }
    }
    Ok(())
}

async fn insert(
    conn: &mut AnyConnection,
    tenant: TenantId,
    domain: &str,
    wanted: &PrepareTrust,
) -> Result<Uuid> {
    let names = match wanted.top_level_names.as_slice() {
        [] => load_tenant(conn, tenant).await?.top_level_names,
        given => names::top_level_names(given)?,
    };
    let id = random_uuid()?;
    sql("INSERT INTO trusts (id, tenant_id, dns_name, top_level_names, created_at) VALUES ($1, $2, $3, $4, $5)")
        .bind(uuid_blob(id))
        .bind(tenant_blob(tenant))
        .bind(domain)
        .bind(names.join(","))
        .bind(now_s())
        .execute(conn)
        .await?;
    Ok(id)
}

/// The versions beside `given` that still open tickets.
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

/// Makes and stores a pending version.
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
        .bind(sealer.seal(place(tenant, &trust, version), secret.as_bytes())?)
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

/// Moves every version one step on in its life, `version` becoming the current one.
async fn promote(conn: &mut AnyConnection, trust: Uuid, version: u32) -> Result<()> {
    let now = now_s();
    sql("UPDATE trust_secrets SET
           retires_at = CASE WHEN state = 'previous' THEN $2 ELSE retires_at END,
           state = CASE state WHEN 'previous' THEN 'retired' WHEN 'current' THEN 'previous' ELSE state END
         WHERE trust_id = $1")
        .bind(uuid_blob(trust))
        .bind(now + RETIRED_LIFE_S)
        .execute(&mut *conn)
        .await?;
    sql("UPDATE trust_secrets SET state = 'current', confirmed_at = $3 WHERE trust_id = $1 AND version = $2")
        .bind(uuid_blob(trust))
        .bind(i64::from(version))
        .bind(now)
        .execute(&mut *conn)
        .await?;
    sql("UPDATE trusts SET confirmed_at = $2, rotation_holder = NULL, rotation_until = NULL WHERE id = $1")
        .bind(uuid_blob(trust))
        .bind(now)
        .execute(conn)
        .await?;
    Ok(())
}

/// 40 characters of 64: 240 bits. Letters and digits mostly, so that no tool on the way to AD needs to quote them.
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
