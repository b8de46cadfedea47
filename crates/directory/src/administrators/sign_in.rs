//! Sign-in with a password (Argon2id) and a one-time code (RFC 6238), both in one request; and enrolment, which sets
//! the two.
//!
//! Every refusal has the same text and takes the same time, for a wrong password, a wrong code and an unknown account.
//! A code is accepted once. Attempts are counted before they are evaluated (`attempts`). Passwords and secrets are
//! wiped from memory.

use crate::administrators::attempts::{Attempt, Subjects};
use crate::administrators::tokens::{NewToken, TokenInfo, TokenRole, add_token};
use crate::administrators::{
    Administrator, CODE_LIFE_S, administrator_row, all, attempts, code_hash, find, totp, upn_key,
};
use crate::audit::events::{Actor, NewEvent, audit, record};
use crate::db::columns::uuid_blob;
use crate::db::statement::sql;
use crate::directory::Directory;
use crate::error::{DirectoryError, Refusal, Result};
use crate::password_hashing::MAX_PASSWORD_LEN;
use crate::random::random;
use crate::sealing::seal::{SealContext, Sealer};
use crossrealm_kdc::TenantId;
use crossrealm_os::clock::now_s;
use crossrealm_types::{ActorKind, EventOutcome};
use sqlx::AnyConnection;
use std::net::IpAddr;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// How long a session lasts, in seconds.
pub const SESSION_LIFE_S: i64 = 8 * 3600;
/// The most concurrent sessions of one administrator; the oldest ends first.
const SESSIONS: i64 = 20;
/// By how much clocks may differ, in seconds. What lies further ahead was written while a clock was wrong.
const CLOCK_SKEW_S: i64 = 300;
/// The same in steps of a one-time code.
const STEPS_OF_A_WRONG_CLOCK: i64 = CLOCK_SKEW_S / totp::STEP_S;
/// The shortest password, in characters.
const MIN_PASSWORD_CHARS: usize = 12;

/// A claimed identity, and where the claim comes from.
#[derive(Clone, Debug)]
pub struct ClaimedIdentity {
    /// The name that was sent.
    pub upn: String,
    /// The tenant that was sent; `None` for the administrators of the installation.
    pub tenant: Option<TenantId>,
    /// The address that the request came from.
    pub address: IpAddr,
    /// The part of the address by which attempts are counted: an IPv4 address, or an IPv6 prefix.
    pub sender: IpAddr,
}

/// A session: a token for a bounded time, shown once.
pub type Session = (Zeroizing<String>, TokenInfo);

impl ClaimedIdentity {
    fn key(&self) -> String {
        upn_key(self.tenant, &self.upn)
    }

    fn subjects(&self, attempt: Attempt) -> Subjects {
        Subjects::new(attempt, &self.key(), self.sender)
    }

    fn actor(&self, kind: ActorKind, name: &str) -> Actor {
        Actor {
            kind,
            name: name.to_owned(),
            address: Some(self.address),
        }
    }
}

impl Directory {
    /// Signs an enrolled administrator in.
    pub async fn sign_in(
        &self,
        who: &ClaimedIdentity,
        password: Zeroizing<String>,
        code: &str,
    ) -> Result<Session> {
        // Before the attempt is counted: who must try again later has not failed.
        let memory = self.hashing().acquire().await?;
        let found = self.attempt(who, Attempt::SignIn).await?;
        let stored = found.as_ref().and_then(|found| found.password.clone());
        let right = memory.verified(password, stored).await?;
        let step = match &found {
            Some(found) => self.step_of(found, code)?,
            None => None,
        };
        let (Some(found), Some(step), true) = (found, step, right) else {
            return Err(self.refuse(who, "admin.sign-in").await?);
        };
        let mut tx = self.begin_in(found.info.tenant).await?;
        // The statement refuses a code that was used before, here or at another node.
        let done = sql("UPDATE administrators SET totp_step = $2, signed_in_at = $3
                        WHERE id = $1 AND totp_version = $4 AND (totp_step < $2 OR totp_step > $5) AND password IS NOT NULL")
            .bind(uuid_blob(found.id))
            .bind(step)
            .bind(now_s())
            .bind(found.totp_version)
            .bind(step + STEPS_OF_A_WRONG_CLOCK)
            .execute(&mut *tx)
            .await?;
        if done.rows_affected() != 1 {
            tx.rollback().await?;
            return Err(self.refuse(who, "admin.sign-in").await?);
        }
        self.begin_session(tx, who, &found, Attempt::SignIn).await
    }

    /// Creates the secret of an administrator's authenticator for the holder of the enrolment code: an `otpauth` URI
    /// that names `issuer`. Each call replaces the secret of the one before.
    pub async fn begin_enrolment(
        &self,
        who: &ClaimedIdentity,
        code: &str,
        issuer: &str,
    ) -> Result<Zeroizing<String>> {
        let Some(found) = self
            .attempt(who, Attempt::Enrolment)
            .await?
            .filter(|found| may_enrol(found, code))
        else {
            return Err(self.refuse(who, "admin.enrol").await?);
        };
        let mut secret = Zeroizing::new([0; totp::SECRET_LEN]);
        random(secret.as_mut())?;
        let version = found.totp_version + 1;
        let sealed = self
            .sealer()
            .seal(seal_context(&found, version)?, secret.as_ref())?;
        let mut tx = self.begin_in(found.info.tenant).await?;
        let row = administrator_row(&Administrator {
            totp_version: version,
            ..found.clone()
        });
        let done = sql(
            "UPDATE administrators SET totp_version = $2, totp_sealed = $3, totp_step = 0, tag = $4
                        WHERE id = $1 AND totp_version = $2 - 1 AND code_hash IS NOT NULL",
        )
        .bind(uuid_blob(found.id))
        .bind(version)
        .bind(sealed)
        .bind(self.sealer().rows().tag(&row))
        .execute(&mut *tx)
        .await?;
        if done.rows_affected() != 1 {
            tx.rollback().await?;
            return Err(self.refuse(who, "admin.enrol").await?);
        }
        attempts::succeeded(&mut tx, &who.subjects(Attempt::Enrolment), found.id).await?;
        let (by, upn) = (
            who.actor(ActorKind::Administrator, &found.info.upn),
            &found.info.upn,
        );
        audit(
            &mut tx,
            &by,
            found.info.tenant,
            "admin.enrol-begin",
            upn,
            "a new authenticator secret",
        )
        .await?;
        self.commit(tx).await?;
        Ok(totp::uri(secret.as_ref(), issuer, upn))
    }

    /// Completes an enrolment: the authenticator's current code proves that it has the secret. Sets the password,
    /// spends the enrolment code and begins a session.
    pub async fn finish_enrolment(
        &self,
        who: &ClaimedIdentity,
        enrolment_code: &str,
        password: Zeroizing<String>,
        code: &str,
    ) -> Result<Session> {
        check_password(&password, &who.upn)?;
        let memory = self.hashing().acquire().await?;
        let found = self
            .attempt(who, Attempt::Enrolment)
            .await?
            .filter(|found| may_enrol(found, enrolment_code));
        let step = match &found {
            Some(found) => self.step_of(found, code)?,
            None => None,
        };
        let (Some(found), Some(step)) = (found, step) else {
            return Err(self.refuse(who, "admin.enrol").await?);
        };
        let stored = memory.hashed(password).await?;
        let mut enrolled = found.clone();
        (enrolled.code_hash, enrolled.info.code_expires_at) = (None, None);
        enrolled.password = Some(stored.clone());
        let row = administrator_row(&enrolled);
        let mut tx = self.begin_in(found.info.tenant).await?;
        let done = sql("UPDATE administrators SET password = $2, totp_step = $3, enrolled_at = $4, signed_in_at = $4,
                        code_hash = NULL, code_expires_at = NULL, tag = $6
                        WHERE id = $1 AND totp_version = $5 AND code_hash IS NOT NULL")
            .bind(uuid_blob(found.id))
            .bind(stored)
            .bind(step)
            .bind(now_s())
            .bind(found.totp_version)
            .bind(self.sealer().rows().tag(&row))
            .execute(&mut *tx)
            .await?;
        if done.rows_affected() != 1 {
            tx.rollback().await?;
            return Err(self.refuse(who, "admin.enrol").await?);
        }
        self.begin_session(tx, who, &found, Attempt::Enrolment)
            .await
    }

    /// Counts the attempt and reads the account, if it exists.
    async fn attempt(
        &self,
        who: &ClaimedIdentity,
        attempt: Attempt,
    ) -> Result<Option<Administrator>> {
        if let Some(wait) = self.reserve_attempt(&who.subjects(attempt)).await? {
            return Err(Refusal::SignInLocked { wait_s: wait }.into());
        }
        let mut conn = self.readers().acquire().await?;
        let found = find(&mut conn, self.sealer().rows(), who.tenant, &who.upn).await?;
        drop(conn);
        self.report_refused_rows().await?;
        Ok(found)
    }

    /// The step whose code this is, if the administrator has an authenticator and did not use that step before.
    fn step_of(&self, found: &Administrator, code: &str) -> Result<Option<i64>> {
        let Some(sealed) = &found.totp_sealed else {
            return Ok(None);
        };
        let secret = self
            .sealer()
            .unseal(seal_context(found, found.totp_version)?, sealed)?;
        Ok(totp::step_of(&secret, code, now_s()).filter(|step| is_unused(*step, found.totp_step)))
    }

    async fn begin_session(
        &self,
        mut tx: crate::db::pools::Tx,
        who: &ClaimedIdentity,
        found: &Administrator,
        attempt: Attempt,
    ) -> Result<Session> {
        let action = match attempt {
            Attempt::SignIn => "admin.sign-in",
            Attempt::Enrolment => "admin.enrol",
        };
        let (id, now) = (uuid_blob(found.id), now_s());
        sql("DELETE FROM tokens WHERE administrator_id = $1 AND (expires_at <= $2 OR revoked_at IS NOT NULL OR id IN
             (SELECT id FROM tokens WHERE administrator_id = $1 ORDER BY created_at DESC, id LIMIT 1000 OFFSET $3))")
            .bind(id)
            .bind(now)
            .bind(SESSIONS - 1)
            .execute(&mut *tx)
            .await?;
        let info = &found.info;
        let new = NewToken {
            tenant: info.tenant,
            role: TokenRole::Administrator(info.role),
            name: info.upn.clone(),
            expires_at: Some(now + SESSION_LIFE_S),
        };
        let by = who.actor(ActorKind::Administrator, &info.upn);
        let (token, made) = add_token(
            &mut tx,
            self.sealer(),
            &by,
            new,
            Some(found.id),
            action,
            now,
        )
        .await?;
        attempts::succeeded(&mut tx, &who.subjects(attempt), found.id).await?;
        self.commit(tx).await?;
        Ok((token, made))
    }

    /// Records a refusal. An attempt during a lockout is not recorded: it was refused before its credentials were
    /// looked at.
    async fn refuse(&self, who: &ClaimedIdentity, action: &'static str) -> Result<DirectoryError> {
        let shown = crate::names::shown(&who.upn);
        let mut tx = self.begin().await?;
        let tenant = find(&mut tx, self.sealer().rows(), who.tenant, &who.upn)
            .await?
            .and_then(|found| found.info.tenant);
        // The name is only claimed.
        let by = who.actor(ActorKind::Client, &shown);
        let mut event = NewEvent::audit(&by, tenant, action);
        event.outcome = EventOutcome::Refused;
        event.reason = Refusal::SignInRefused.code().into();
        event.user.clone_from(&shown);
        event.target = shown;
        if self.admits(&event) {
            record(&mut tx, &event).await?;
            self.commit(tx).await?;
        }
        Ok(Refusal::SignInRefused.into())
    }
}

/// Seals the secret of every authenticator under another master key.
pub(crate) async fn reseal_authenticators(
    conn: &mut AnyConnection,
    from: &Sealer,
    to: &Sealer,
) -> Result<usize> {
    let mut count = 0;
    for found in all(conn).await? {
        let Some(sealed) = &found.totp_sealed else {
            continue;
        };
        let context = seal_context(&found, found.totp_version)?;
        let secret = from.unseal(context, sealed)?;
        sql("UPDATE administrators SET totp_sealed = $2 WHERE id = $1")
            .bind(uuid_blob(found.id))
            .bind(to.seal(context, &secret)?)
            .execute(&mut *conn)
            .await?;
        count += 1;
    }
    Ok(count)
}

/// Whether the code of this step was not used before, when the last one that was used is `used`. One that lies far ahead was
/// used while the clock was: it must not lock the administrator out until then.
fn is_unused(step: i64, used: i64) -> bool {
    used < step || used > step + STEPS_OF_A_WRONG_CLOCK
}

/// Whether this unspent, unexpired code lets this administrator enrol.
fn may_enrol(found: &Administrator, code: &str) -> bool {
    let stored = found.code_hash.as_deref().unwrap_or_default();
    let same = bool::from(stored.ct_eq(&code_hash(code)));
    same && found
        .info
        .code_expires_at
        .is_some_and(|end| is_running(end, now_s()))
}

/// Whether an enrolment code that ends then can be used: one that was made while the clock was ahead cannot.
fn is_running(end: i64, now: i64) -> bool {
    (now + 1..=now + 2 * CODE_LIFE_S).contains(&end)
}

fn seal_context(found: &Administrator, version: i64) -> Result<SealContext<'_>> {
    Ok(SealContext {
        tenant: found.info.tenant.unwrap_or(TenantId([0; 16])),
        kind: "administrator's authenticator",
        id: found.id.as_bytes(),
        version: version
            .try_into()
            .map_err(|_| DirectoryError::damaged("administrator", "its version is out of range"))?,
    })
}

/// Refuses passwords that are too short, too long, or contain the account's name.
fn check_password(password: &str, upn: &str) -> Result<()> {
    let bad = |reason: String| Err(Refusal::BadPassword { reason }.into());
    if password.chars().count() < MIN_PASSWORD_CHARS {
        return bad(format!("is shorter than {MIN_PASSWORD_CHARS} characters"));
    }
    if password.len() > MAX_PASSWORD_LEN {
        return bad(format!("is longer than {MAX_PASSWORD_LEN} bytes"));
    }
    if password.to_lowercase().contains(&upn.to_lowercase()) {
        return bad("contains the account's name".into());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// R8: a clock that was ahead, and is right again, locks nobody out, and lends nothing a longer life.
    #[test]
    fn r8_what_was_used_or_made_while_the_clock_was_ahead() {
        let (now, year) = (1_800_000_000 / 30, 365 * 24 * 120);
        assert!(is_unused(now, now - 1));
        for used in [now, now + 1, now + STEPS_OF_A_WRONG_CLOCK] {
            assert!(!is_unused(now, used), "{used}");
        }
        assert!(is_unused(now, now + 2 * year));
        assert!(is_running(100 + CODE_LIFE_S, 100));
        assert!(!is_running(100, 100));
        assert!(!is_running(101 + 2 * CODE_LIFE_S, 100));
    }
}
