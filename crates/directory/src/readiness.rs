//! Whether the database can be used: probes that write and read, for the service's readiness.

use crate::audit::events::{Actor, audit};
use crate::db::change::renew_all;
use crate::db::columns::col;
use crate::db::dialect::Dialect;
use crate::db::health::Failing;
use crate::db::statement::sql;
use crate::directory::Directory;
use crate::error::{DirectoryError, Result};
use crate::store_fault::StoreFault;
use crate::store_observer::StoreStep;
use crossrealm_os::clock::now_s;
use sqlx::AnyConnection;
use std::time::{Duration, Instant};
use tokio::time::timeout;

/// The name of the number in `meta` that every node increments.
const HEARTBEATS: &str = "heartbeats";
/// How long the heartbeat may take.
const WRITE_LIMIT: Duration = Duration::from_secs(5);

/// Reads of rows of tables that tickets depend on, each a row by the table's own order: an answer to `SELECT 1` proves nothing.
const READS: [&str; 4] = [
    "SELECT name, realm, parties_change FROM tenants LIMIT 1",
    "SELECT sealed FROM kerberos_keys LIMIT 1",
    "SELECT sid, state FROM identities LIMIT 1",
    "SELECT action, detail FROM events ORDER BY sequence DESC LIMIT 1",
];

impl Directory {
    /// Writes the heartbeat, unless this node did within `every` and writes succeed: a database that cannot be written is
    /// noticed although nobody changes anything, and so is one that went back in time.
    ///
    /// # Errors
    ///
    /// Why it cannot be written.
    pub async fn probe_write(&self, every: Duration) -> Result<()> {
        self.note(self.check_file())?;
        let health = self.health();
        let now = Instant::now();
        if !health.is_beat_due(now, every) && health.failing(now).is_none() {
            return Ok(());
        }
        let written = timeout(WRITE_LIMIT, self.write_heartbeat());
        match self.observed().time(StoreStep::Heartbeat, written).await {
            Ok(done) => done,
            Err(_) => self.note(Err(sqlx::Error::PoolTimedOut.into())),
        }
    }

    /// How many heartbeats the database held when this node last wrote one: what the database must hold ever after.
    pub fn heartbeats(&self) -> Option<i64> {
        self.health().last_beat()
    }

    /// This node wrote the heartbeat with this number before it was restarted.
    pub fn expect_heartbeats(&self, number: i64) {
        self.health().expect(number);
    }

    async fn write_heartbeat(&self) -> Result<()> {
        let mut tx = self.begin().await?;
        let known = self.health().last_beat();
        let (written, lost) = self.note(count_heartbeat(&mut tx, known).await)?;
        if lost > 0 {
            self.note(await_syncs(&mut tx, lost).await)?;
        }
        self.commit(tx).await?;
        self.health().beat(written, Instant::now());
        if lost > 0 {
            tracing::error!(
                lost,
                hint = "a full sync of each domain ends this; compare the keys of the trusts, as the page *Back up and restore* of the guide shows",
                "the database went back in time: it lacks what was written to it"
            );
        }
        self.note(self.check_file_and_log())
    }

    /// Whether the database can be used: its file is the one that was opened, the last write succeeded, rows can be read, and
    /// no page is known to be damaged.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub async fn check_ready(&self) -> std::result::Result<(), StoreFault> {
        let is_the_file = self.note(self.check_file());
        is_the_file.map_err(|_| StoreFault::Replaced)?;
        if let Some(Failing { fault, .. }) = self.health().failing(Instant::now()) {
            return Err(fault);
        }
        let read = self.observed().time(StoreStep::Read, self.read_rows());
        if let Err(error) = read.await {
            self.note_read(&error);
            return Err(error.fault().unwrap_or(StoreFault::Damaged));
        }
        match self.health().is_damaged() {
            true => Err(StoreFault::Damaged),
            false => Ok(()),
        }
    }

    async fn read_rows(&self) -> Result<()> {
        let mut conn = self.snapshot().await?;
        for read in READS {
            sql(read).fetch_optional(&mut *conn).await?;
        }
        Ok(())
    }

    /// Reads every page of a SQLite database and remembers whether one is damaged. PostgreSQL checks pages as it reads them.
    ///
    /// # Errors
    ///
    /// Which page is damaged, or why they cannot be read.
    pub async fn check_pages(&self) -> Result<()> {
        if self.dialect() != Dialect::Sqlite {
            return Ok(());
        }
        let row = sql("PRAGMA quick_check(1)").fetch_one(self.readers()).await;
        let verdict: String = match row {
            Ok(row) => col(&row, "quick_check")?,
            Err(error) => {
                let error = DirectoryError::from(error);
                self.note_read(&error);
                return Err(error);
            }
        };
        self.health().set_damaged(verdict != "ok");
        match verdict.as_str() {
            "ok" => Ok(()),
            found => Err(DirectoryError::damaged("page", found)),
        }
    }

    /// By how many seconds the clock of PostgreSQL's machine is ahead of this machine's; `None` with SQLite, which has no other.
    ///
    /// # Errors
    ///
    /// Why the database does not say its time.
    pub async fn clock_lead_of_store(&self) -> Result<Option<i64>> {
        if self.dialect() != Dialect::Postgres {
            return Ok(None);
        }
        let asked = now_s();
        let row = sql("SELECT CAST(EXTRACT(EPOCH FROM clock_timestamp()) AS BIGINT) AS now")
            .fetch_one(self.readers())
            .await?;
        let lead = col::<i64>(&row, "now")? - asked;
        // The answer may have been under way since the question was put.
        let waited = now_s() - asked;
        Ok(Some(if lead > 0 {
            (lead - waited).max(0)
        } else {
            lead
        }))
    }

    /// Counts a read that failed, and remembers that it met a damaged page.
    pub(crate) fn note_read(&self, error: &DirectoryError) {
        if let Some(fault) = error.fault() {
            self.observed().failed(fault);
        }
        if error.fault() == Some(StoreFault::Damaged) {
            self.health().set_damaged(true);
        }
    }
}

/// How many heartbeats the database holds.
pub(crate) async fn held_heartbeats(conn: &mut AnyConnection) -> Result<i64> {
    let row = sql("SELECT value FROM meta WHERE name = $1")
        .bind(HEARTBEATS)
        .fetch_optional(conn)
        .await?;
    row.map_or(Ok(0), |row| heartbeats_of(col(&row, "value")?))
}

/// The number of heartbeats, from its form in the database.
pub(crate) fn heartbeats_of(stored: Vec<u8>) -> Result<i64> {
    let bytes = <[u8; 8]>::try_from(stored);
    let bytes =
        bytes.map_err(|_| DirectoryError::damaged(HEARTBEATS, "not a number of 8 bytes"))?;
    Ok(i64::from_be_bytes(bytes))
}

/// Counts one heartbeat more. Returns how many there are, and how many of the `known` ones the database lost. Nodes on one
/// database count together, so that none ever finds fewer than it wrote, unless the database lost what it had confirmed.
async fn count_heartbeat(conn: &mut AnyConnection, known: Option<i64>) -> Result<(i64, i64)> {
    // Locks the row until the end of the transaction.
    sql("INSERT INTO meta (name, value) VALUES ($1, $2)
         ON CONFLICT (name) DO UPDATE SET value = meta.value")
    .bind(HEARTBEATS)
    .bind(0_i64.to_be_bytes().to_vec())
    .execute(&mut *conn)
    .await?;
    let held = held_heartbeats(&mut *conn).await?;
    let known = known.unwrap_or(held);
    let next = held.max(known).saturating_add(1);
    sql("UPDATE meta SET value = $2 WHERE name = $1")
        .bind(HEARTBEATS)
        .bind(next.to_be_bytes().to_vec())
        .execute(&mut *conn)
        .await?;
    Ok((next, known.saturating_sub(held).max(0)))
}

/// Lets every domain that was synchronized wait for a full sync, and every node read everything again.
async fn await_syncs(conn: &mut AnyConnection, lost: i64) -> Result<()> {
    renew_all(conn).await?;
    sql("UPDATE domains SET awaits_sync = 1 WHERE sync_cursor IS NOT NULL")
        .execute(&mut *conn)
        .await?;
    let (by, detail) = (
        Actor::local("serve"),
        format!("{lost} heartbeats are missing"),
    );
    audit(conn, &by, None, "store.went-back", "", &detail).await
}
