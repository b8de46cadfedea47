//! Failed sign-ins: how many an account and a sender may have before a lockout, and how long it lasts.
//!
//! An attempt is counted before it is evaluated, so that concurrent attempts all count. Unknown names are counted too:
//! a lockout must not reveal which accounts exist. Counts are in the database, which survives a restart and is shared
//! by all nodes.

use crate::db::columns::col;
use crate::db::statement::sql;
use crate::directory::Directory;
use crate::error::Result;
use crossrealm_os::clock::now_s;
use crossrealm_os::retry;
use sha2::{Digest, Sha256};
use sqlx::{AnyConnection, Row as _};
use std::net::IpAddr;
use std::time::Duration;

/// Consecutive failures before an account is locked out.
pub const FREE_FAILURES: i64 = 5;
/// The same for a sender.
pub const FREE_FAILURES_OF_SENDER: i64 = 20;
/// The first lockout, which doubles with each further failure, and the longest.
const FIRST_WAIT: Duration = Duration::from_secs(30);
const LONGEST_WAIT: Duration = Duration::from_secs(900);
/// Failures are forgotten after this time without another, in seconds.
const FORGOTTEN_AFTER_S: i64 = 24 * 3600;
/// The most accounts and senders that are remembered; the oldest entries are dropped first.
const REMEMBERED: i64 = 50_000;

/// An account, and the sender that tries to sign in to it.
#[derive(Clone, Debug)]
pub(crate) struct Subjects {
    account: String,
    sender: String,
}

impl Subjects {
    /// `upn_key` is the lower-cased name that was sent. It is hashed to bound its length.
    pub(crate) fn new(upn_key: &str, sender: IpAddr) -> Self {
        Self {
            account: account(upn_key),
            sender: format!("sender {sender}"),
        }
    }
}

/// The subject of an account.
pub(crate) fn account(upn_key: &str) -> String {
    format!("account {}", hex::encode(Sha256::digest(upn_key)))
}

impl Directory {
    /// Counts an attempt. During a lockout nothing is counted, and the remaining seconds are returned.
    pub(crate) async fn reserve_attempt(&self, subjects: &Subjects) -> Result<Option<i64>> {
        // During a lockout an attempt costs one read.
        let mut reader = self.readers().acquire().await?;
        if let Some(wait) = wait(&mut reader, subjects).await? {
            return Ok(Some(wait));
        }
        drop(reader);
        let (mut tx, now) = (self.begin().await?, now_s());
        // Lock both rows before reading them, the account first: each of several concurrent attempts then sees those
        // before it.
        for subject in [&subjects.account, &subjects.sender] {
            lock(&mut tx, subject, now).await?;
        }
        if let Some(wait) = wait(&mut tx, subjects).await? {
            tx.rollback().await?;
            return Ok(Some(wait));
        }
        sql("DELETE FROM sign_in_attempts WHERE last_at < $1")
            .bind(now - FORGOTTEN_AFTER_S)
            .execute(&mut *tx)
            .await?;
        sql("DELETE FROM sign_in_attempts WHERE subject IN
             (SELECT subject FROM sign_in_attempts ORDER BY last_at DESC LIMIT 1000 OFFSET $1)")
        .bind(REMEMBERED)
        .execute(&mut *tx)
        .await?;
        count(&mut tx, &subjects.account, FREE_FAILURES, now).await?;
        count(&mut tx, &subjects.sender, FREE_FAILURES_OF_SENDER, now).await?;
        self.commit(tx).await?;
        Ok(None)
    }
}

/// Uncounts an attempt that succeeded. The account's count is cleared; the sender's is reduced by one only, so that
/// signing in to one's own account does not buy attempts on others.
pub(crate) async fn succeeded(conn: &mut AnyConnection, subjects: &Subjects) -> Result<()> {
    forget(conn, &subjects.account).await?;
    sql("UPDATE sign_in_attempts SET failures = failures - 1, locked_until = 0 WHERE subject = $1 AND failures > 0")
        .bind(subjects.sender.as_str())
        .execute(conn)
        .await?;
    Ok(())
}

/// Clears an account's count.
pub(crate) async fn forget(conn: &mut AnyConnection, subject: &str) -> Result<()> {
    sql("DELETE FROM sign_in_attempts WHERE subject = $1")
        .bind(subject)
        .execute(conn)
        .await?;
    Ok(())
}

/// Creates a subject's row, or locks it until the transaction ends.
async fn lock(conn: &mut AnyConnection, subject: &str, now: i64) -> Result<()> {
    sql(
        "INSERT INTO sign_in_attempts (subject, failures, last_at, locked_until) VALUES ($1, 0, $2, 0)
         ON CONFLICT (subject) DO UPDATE SET last_at = $2",
    )
    .bind(subject)
    .bind(now)
    .execute(conn)
    .await?;
    Ok(())
}

async fn wait(conn: &mut AnyConnection, subjects: &Subjects) -> Result<Option<i64>> {
    let row = sql(
        "SELECT COALESCE(MAX(locked_until), 0) AS until FROM sign_in_attempts
                   WHERE subject = $1 OR subject = $2",
    )
    .bind(subjects.account.as_str())
    .bind(subjects.sender.as_str())
    .fetch_one(conn)
    .await?;
    let wait = row.try_get::<i64, _>("until")? - now_s();
    Ok((wait > 0).then_some(wait))
}

async fn count(conn: &mut AnyConnection, subject: &str, free: i64, now: i64) -> Result<()> {
    let row = sql("SELECT failures FROM sign_in_attempts WHERE subject = $1")
        .bind(subject)
        .fetch_optional(&mut *conn)
        .await?;
    let before: i64 = row.as_ref().map_or(Ok(0), |row| col(row, "failures"))?;
    let failures = before.saturating_add(1);
    sql("INSERT INTO sign_in_attempts (subject, failures, last_at, locked_until) VALUES ($1, $2, $3, $4)
         ON CONFLICT (subject) DO UPDATE SET failures = $2, last_at = $3, locked_until = $4")
    .bind(subject)
    .bind(failures)
    .bind(now)
    .bind(wait_after(failures, free).map_or(0, |wait| now + wait))
    .execute(conn)
    .await?;
    Ok(())
}

/// The lockout after this many failures, of which `free` are without one, in seconds.
fn wait_after(failures: i64, free: i64) -> Option<i64> {
    let beyond = u32::try_from(failures - free).ok()?;
    let wait = retry::delay(FIRST_WAIT, beyond, LONGEST_WAIT);
    i64::try_from(wait.as_secs()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lockouts_double_up_to_a_limit() {
        let waits: Vec<_> = [1, 4, 5, 6, 7, 9, 10, 100, i64::from(u32::MAX)]
            .map(|failures| wait_after(failures, FREE_FAILURES))
            .into();
        let wanted = [0, 0, 30, 60, 120, 480, 900, 900, 900].map(|s| (s > 0).then_some(s));
        assert_eq!(waits, wanted);
    }
}
