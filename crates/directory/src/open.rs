//! Opening the database of an installation: the master key is proven, and the rows of before are authenticated, once.

use crate::administrators::tag_administrators;
use crate::administrators::tokens::tag_tokens;
use crate::claimed_names::InstallationNames;
use crate::db::columns::col;
use crate::db::connect;
use crate::db::connect::Purpose;
use crate::db::pools::{Pools, Tx};
use crate::db::statement::sql;
use crate::directory::Directory;
use crate::error::{DirectoryError, Result};
use crate::random::random_uuid;
use crate::sealing::master_key::MasterKey;
use crate::sealing::row_tags::NewTags;
use crate::sealing::seal::{SealContext, Sealer};
use crate::storage::account_rows::tag_default_roles;
use crate::storage::share_rows::tag_grants;
use crossrealm_kdc::TenantId;
use uuid::Uuid;

/// Sealed into a new database, so that opening it proves the master key. Its version says whether every row that
/// grants rights must be authentic.
const CHECK: &[u8] = b"crossrealm";
/// The database is of a version that did not authenticate rows.
const ROWS_UNTAGGED: u32 = 1;
/// Every row that grants rights was tagged.
const ROWS_TAGGED: u32 = 2;

const KEY_ID: &str = "master_key_id";
const KEY_CHECK: &str = "master_key_check";
const INSTALLATION_ID: &str = "installation_id";

impl Directory {
    /// Opens the installation in the database at `url` (`sqlite:PATH` or `sqlite://PATH`, the path as it is, or what
    /// [`check_store_url`](crate::db::url::check_store_url) says of `postgres://…`) and migrates it. A database that was made
    /// under another master key, holds something else or nothing is refused.
    ///
    /// No tenant may claim a name of `installation`.
    pub async fn open(
        url: &str,
        master_key: MasterKey,
        installation: InstallationNames,
    ) -> Result<Self> {
        Self::start(url, master_key, installation, Purpose::Use).await
    }

    /// Makes a new installation in the empty database at `url`. A SQLite file is made, readable by its owner only. This is the
    /// only way to fill an empty database.
    pub async fn create(
        url: &str,
        master_key: MasterKey,
        installation: InstallationNames,
    ) -> Result<Self> {
        Self::start(url, master_key, installation, Purpose::Create).await
    }

    async fn start(
        url: &str,
        master_key: MasterKey,
        installation: InstallationNames,
        purpose: Purpose,
    ) -> Result<Self> {
        let pools = Pools::open(url, purpose).await?;
        let sealer = Sealer::new(&master_key);
        let mut tx = pools.begin().await?;
        match purpose {
            Purpose::Create => record(&mut tx, url, &sealer, &master_key).await?,
            Purpose::Use | Purpose::Check => prove(&mut tx, url, &sealer, &master_key).await?,
        }
        let id = installation_id(&mut tx).await?;
        tx.commit().await?;
        Ok(Self::new(pools, sealer, installation, id))
    }
}

/// Records the master key of a new installation. Of two that begin at once, the second is refused.
async fn record(tx: &mut Tx, url: &str, sealer: &Sealer, key: &MasterKey) -> Result<()> {
    let check = sealer.seal(context(ROWS_TAGGED), CHECK)?;
    for (name, value) in [(KEY_ID, key.id().into_bytes()), (KEY_CHECK, check)] {
        if !insert(tx, name, value).await? {
            return Err(connect::in_use(url));
        }
    }
    Ok(())
}

/// The id of the installation. One of an earlier version gets its id here; of several nodes, all use that of the first.
async fn installation_id(tx: &mut Tx) -> Result<Uuid> {
    insert(tx, INSTALLATION_ID, random_uuid()?.as_bytes().to_vec()).await?;
    let id = read(tx, INSTALLATION_ID).await?.unwrap_or_default();
    Uuid::from_slice(&id).map_err(|_| DirectoryError::damaged(INSTALLATION_ID, "not a UUID"))
}

/// Refuses a database without an installation and another master key, and tags the rows of a database of before.
async fn prove(tx: &mut Tx, url: &str, sealer: &Sealer, key: &MasterKey) -> Result<()> {
    // Nodes that open the database at the same time wait for each other.
    sql("UPDATE meta SET value = value WHERE name = $1")
        .bind(KEY_CHECK)
        .execute(&mut **tx)
        .await?;
    if read(tx, KEY_CHECK).await?.is_none() {
        return Err(lost_proof(tx, url).await?);
    }
    let id = read(tx, KEY_ID).await?.unwrap_or_default();
    key.check_id(&String::from_utf8_lossy(&id))?;
    let sealed = read(tx, KEY_CHECK).await?.unwrap_or_default();
    let Err(error) = sealer.unseal(context(ROWS_TAGGED), &sealed) else {
        return Ok(());
    };
    if sealer.unseal(context(ROWS_UNTAGGED), &sealed).is_err() {
        return Err(error.into());
    }
    let tags = NewTags {
        earlier: None,
        tags: sealer.rows(),
    };
    tag_rows(tx, tags).await?;
    sql("UPDATE meta SET value = $2 WHERE name = $1")
        .bind(KEY_CHECK)
        .bind(sealer.seal(context(ROWS_TAGGED), CHECK)?)
        .execute(&mut **tx)
        .await?;
    tracing::info!("the rows that grant rights are authenticated from now on");
    Ok(())
}

/// Records another master key as the one of this database.
pub(crate) async fn prove_from_now_on(tx: &mut Tx, sealer: &Sealer, key: &MasterKey) -> Result<()> {
    let check = sealer.seal(context(ROWS_TAGGED), CHECK)?;
    for (name, value) in [(KEY_ID, key.id().into_bytes()), (KEY_CHECK, check)] {
        sql("UPDATE meta SET value = $2 WHERE name = $1")
            .bind(name)
            .bind(value)
            .execute(&mut **tx)
            .await?;
    }
    Ok(())
}

/// Tags what a version without tags has written, or what is authentic under another master key. The marker that follows is sealed
/// and no version writes the old one any more, so nobody without the master key can have it done again.
pub(crate) async fn tag_rows(tx: &mut Tx, tags: NewTags<'_>) -> Result<()> {
    tag_tokens(tx, tags).await?;
    tag_administrators(tx, tags).await?;
    tag_grants(tx, tags).await?;
    tag_default_roles(tx, tags).await
}

/// What is wrong with a database without the proof of a master key: it holds no installation, or somebody removed the
/// proof, so that rows of their own would be tagged as those of a new database.
async fn lost_proof(tx: &mut Tx, url: &str) -> Result<DirectoryError> {
    let row = sql(
        "SELECT (SELECT COUNT(*) FROM tokens) + (SELECT COUNT(*) FROM administrators)
         + (SELECT COUNT(*) FROM tenants) AS held",
    )
    .fetch_one(&mut **tx)
    .await?;
    Ok(match col::<i64>(&row, "held")? {
        0 => connect::empty(url),
        _ => DirectoryError::damaged(
            "proof of its master key",
            "it is missing; restore the database from a backup",
        ),
    })
}

/// Adds a value to `meta`, unless there is one of this name already.
async fn insert(tx: &mut Tx, name: &str, value: Vec<u8>) -> Result<bool> {
    let done = sql("INSERT INTO meta (name, value) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING")
        .bind(name)
        .bind(value)
        .execute(&mut **tx)
        .await?;
    Ok(done.rows_affected() == 1)
}

async fn read(tx: &mut Tx, name: &str) -> Result<Option<Vec<u8>>> {
    let row = sql("SELECT value FROM meta WHERE name = $1")
        .bind(name)
        .fetch_optional(&mut **tx)
        .await?;
    row.map(|row| col(&row, "value")).transpose()
}

fn context(version: u32) -> SealContext<'static> {
    SealContext {
        tenant: TenantId([0; 16]),
        kind: "master key check",
        id: &[],
        version,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::administrators::tokens::{NewToken, TokenRole};
    use crate::audit::events::Actor;
    use crossrealm_types::AdministratorRole;

    const KEY: [u8; 32] = [7; 32];

    async fn start(folder: &tempfile::TempDir, purpose: Purpose) -> Result<Directory> {
        let url = format!("sqlite:{}", folder.path().join("d.db").display());
        let names = InstallationNames::new("cloud.example", "login.cloud.example");
        Directory::start(&url, MasterKey::from_bytes(KEY), names, purpose).await
    }

    async fn open(folder: &tempfile::TempDir) -> Result<Directory> {
        start(folder, Purpose::Use).await
    }

    async fn write(directory: &Directory, statement: &'static str, value: Vec<u8>) {
        let mut tx = directory.begin().await.unwrap();
        sql(statement).bind(value).execute(&mut *tx).await.unwrap();
        directory.commit(tx).await.unwrap();
    }

    /// S10: rows of before get their tags once. The old marker is in no database that this version made.
    #[tokio::test]
    async fn rows_of_before_are_tagged_once_and_rows_without_tags_are_refused_from_then_on() {
        let folder = tempfile::tempdir().unwrap();
        let directory = start(&folder, Purpose::Create).await.unwrap();
        let new = NewToken {
            tenant: None,
            role: TokenRole::Administrator(AdministratorRole::GlobalAdministrator),
            name: "bootstrap".into(),
            expires_at: None,
        };
        let made = directory.create_token(&Actor::local("init"), new).await;
        let token = made.unwrap().0;
        const UNTAG: &str = "UPDATE tokens SET tag = NULL WHERE $1 IS NOT NULL";
        const MARK: &str = "UPDATE meta SET value = $1 WHERE name = 'master_key_check'";
        write(&directory, UNTAG, vec![0]).await;
        let sealer = Sealer::new(&MasterKey::from_bytes(KEY));
        let before = sealer.seal(context(ROWS_UNTAGGED), CHECK).unwrap();
        write(&directory, MARK, before).await;
        directory.close().await;

        let directory = open(&folder).await.unwrap();
        assert!(directory.verify_token(&token).await.unwrap().is_some());
        write(&directory, UNTAG, vec![0]).await;
        directory.close().await;

        let directory = open(&folder).await.unwrap();
        assert!(directory.verify_token(&token).await.unwrap().is_none());
        const UNMARK: &str = "DELETE FROM meta WHERE $1 IS NOT NULL";
        write(&directory, UNMARK, vec![0]).await;
        directory.close().await;
        let error = open(&folder).await.err().unwrap().to_string();
        assert!(error.contains("proof of its master key"), "{error}");
    }
}
