//! Failed sign-ins: how many are permitted before a lockout, and how long it lasts.
//!
//! What is locked is an account for one sender, so that nobody locks an administrator out from elsewhere. Guessing from
//! many senders is slowed by a count of the account over all of them, which holds back only senders from which nobody
//! signed in to it before. A sender that tries many accounts is locked too. Enrolment is counted apart from sign-in.
//!
//! An attempt is counted before it is evaluated, so that concurrent attempts all count. Unknown names are counted too:
//! a lockout must not reveal which accounts exist. Counts are in the database, which survives a restart and is shared
//! by all nodes.

use crate::db::columns::{col, uuid_blob};
use crate::db::statement::{placeholders, sql, sql_list};
use crate::directory::Directory;
use crate::error::Result;
use crossrealm_os::clock::now_s;
use crossrealm_os::retry;
use sha2::{Digest, Sha256};
use sqlx::{AnyConnection, Row as _};
use std::net::IpAddr;
use std::time::Duration;
use uuid::Uuid;

/// Consecutive failures of a sender at an account before the two are locked out.
pub const FREE_FAILURES: i64 = 5;
/// Failures of a sender, at any accounts.
pub const FREE_FAILURES_OF_SENDER: i64 = 20;
/// Failures at an account, by any senders: two secrets are guessed at once, so this many guesses gain nothing.
pub const FREE_FAILURES_OF_ACCOUNT: i64 = 100;
/// The first lockout, which doubles with each further failure, and the longest.
const FIRST_WAIT: Duration = Duration::from_secs(30);
const LONGEST_WAIT: Duration = Duration::from_secs(900);
/// Failures are forgotten after this time without another, in seconds.
const FORGOTTEN_AFTER_S: i64 = 24 * 3600;
/// The most subjects that are remembered; the oldest entries are dropped first.
const REMEMBERED: i64 = 50_000;
/// The senders of an administrator that are known: those of the last sign-ins.
const KNOWN_SENDERS: i64 = 10;

/// What is attempted; each is counted by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Attempt {
    SignIn,
    Enrolment,
}

/// An account, and the sender that tries to sign in to it or to enrol.
#[derive(Clone, Debug)]
pub(crate) struct Subjects {
    account: String,
    pair: String,
    sender: String,
    upn_key: String,
    address: String,
}

impl Subjects {
    /// `upn_key` is the lower-cased name that was sent. It is hashed to bound its length.
    pub(crate) fn new(attempt: Attempt, upn_key: &str, sender: IpAddr) -> Self {
        let what = match attempt {
            Attempt::SignIn => "",
            Attempt::Enrolment => "enrol ",
        };
        let account = account(upn_key);
        Self {
            pair: format!("{what}{account} from {sender}"),
            account: format!("{what}{account}"),
            sender: format!("{what}sender {sender}"),
            upn_key: upn_key.to_owned(),
            address: sender.to_string(),
        }
    }

    /// What an attempt counts against, with the free failures of each. A sender that signed in to the account before is
    /// held back by its own failures there alone. Always in this order, so that concurrent attempts lock rows alike.
    fn counted(&self, is_known: bool) -> Vec<(&str, i64)> {
        let own = (self.pair.as_str(), FREE_FAILURES);
        match is_known {
            true => vec![own],
            false => vec![
                (&self.account, FREE_FAILURES_OF_ACCOUNT),
                own,
                (&self.sender, FREE_FAILURES_OF_SENDER),
            ],
        }
    }
}

fn account(upn_key: &str) -> String {
    format!("account {}", hex::encode(Sha256::digest(upn_key)))
}

impl Directory {
    /// Counts an attempt. During a lockout nothing is counted, and the remaining seconds are returned.
    pub(crate) async fn reserve_attempt(&self, subjects: &Subjects) -> Result<Option<i64>> {
        // During a lockout an attempt costs two reads.
        let mut reader = self.readers().acquire().await?;
        let counted = subjects.counted(is_known(&mut reader, subjects).await?);
        if let Some(wait) = wait(&mut reader, &counted).await? {
            return Ok(Some(wait));
        }
        drop(reader);
        let (mut tx, now) = (self.begin().await?, now_s());
        // Lock the rows before reading them: each of several concurrent attempts then sees those before it.
        for (subject, _) in &counted {
            lock(&mut tx, subject, now).await?;
        }
        if let Some(wait) = wait(&mut tx, &counted).await? {
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
        for (subject, free) in counted {
            count(&mut tx, subject, free, now).await?;
        }
        self.commit(tx).await?;
        Ok(None)
    }
}

/// Whether somebody signed in to this account from this sender before.
async fn is_known(conn: &mut AnyConnection, subjects: &Subjects) -> Result<bool> {
    let row = sql(
        "SELECT 1 AS known FROM known_senders s JOIN administrators a ON a.id = s.administrator_id
                   WHERE a.upn_key = $1 AND s.sender = $2",
    )
    .bind(subjects.upn_key.as_str())
    .bind(subjects.address.as_str())
    .fetch_optional(conn)
    .await?;
    Ok(row.is_some())
}

/// Uncounts an attempt that succeeded, and remembers its sender. The counts of the account are cleared; the sender's is
/// reduced by one only, so that signing in to one's own account does not buy attempts on others.
pub(crate) async fn succeeded(
    conn: &mut AnyConnection,
    subjects: &Subjects,
    administrator: Uuid,
) -> Result<()> {
    for subject in [&subjects.account, &subjects.pair] {
        sql("DELETE FROM sign_in_attempts WHERE subject = $1")
            .bind(subject.as_str())
            .execute(&mut *conn)
            .await?;
    }
    sql("UPDATE sign_in_attempts SET failures = failures - 1, locked_until = 0 WHERE subject = $1 AND failures > 0")
        .bind(subjects.sender.as_str())
        .execute(&mut *conn)
        .await?;
    sql(
        "INSERT INTO known_senders (administrator_id, sender, last_at) VALUES ($1, $2, $3)
         ON CONFLICT (administrator_id, sender) DO UPDATE SET last_at = $3",
    )
    .bind(uuid_blob(administrator))
    .bind(subjects.address.as_str())
    .bind(now_s())
    .execute(&mut *conn)
    .await?;
    sql("DELETE FROM known_senders WHERE administrator_id = $1 AND sender IN (SELECT sender FROM known_senders
         WHERE administrator_id = $1 ORDER BY last_at DESC, sender LIMIT 1000 OFFSET $2)")
        .bind(uuid_blob(administrator))
        .bind(KNOWN_SENDERS)
        .execute(conn)
        .await?;
    Ok(())
}

/// Clears every count of an account and the senders that are known to it.
pub(crate) async fn forget(
    conn: &mut AnyConnection,
    upn_key: &str,
    administrator: Uuid,
) -> Result<()> {
    let account = account(upn_key);
    sql("DELETE FROM sign_in_attempts WHERE subject LIKE $1 OR subject LIKE $2")
        .bind(format!("{account}%"))
        .bind(format!("enrol {account}%"))
        .execute(&mut *conn)
        .await?;
    sql("DELETE FROM known_senders WHERE administrator_id = $1")
        .bind(uuid_blob(administrator))
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

/// The longest remaining lockout of these subjects, in seconds.
async fn wait(conn: &mut AnyConnection, subjects: &[(&str, i64)]) -> Result<Option<i64>> {
    let mut statement = sql_list(format!(
        "SELECT COALESCE(MAX(locked_until), 0) AS until FROM sign_in_attempts WHERE subject IN ({})",
        placeholders(1, subjects.len())
    ));
    for (subject, _) in subjects {
        statement = statement.bind(*subject);
    }
    let row = statement.fetch_one(conn).await?;
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
