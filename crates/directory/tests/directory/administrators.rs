//! Administrators: sign-in with password and code, lockouts, enrolment, and the last administrator.

use crate::support::{World, by, code};
use crossrealm_directory::{
    ClaimedIdentity, Directory, DirectoryError, EventFilter, FREE_FAILURES,
    FREE_FAILURES_OF_ACCOUNT, FREE_FAILURES_OF_SENDER, NewToken, Session, TokenRole,
};
use crossrealm_kdc::TenantId;
use crossrealm_testkit::authenticator::Authenticator;
use crossrealm_types::{AdministratorRole, EventOutcome};
use std::net::IpAddr;
use zeroize::Zeroizing;

const UPN: &str = "Ada@contoso.com";
const PASSWORD: &str = "correct horse battery";
const ISSUER: &str = "Crossrealm cloud.example";

fn from(upn: &str, last: u8) -> ClaimedIdentity {
    let address = IpAddr::from([192, 0, 2, last]);
    ClaimedIdentity {
        tenant: None,
        upn: upn.into(),
        address,
        sender: address,
    }
}

fn password(text: &str) -> Zeroizing<String> {
    Zeroizing::new(text.to_owned())
}

fn code_of(error: DirectoryError) -> &'static str {
    match error {
        DirectoryError::Refused(refusal) => refusal.code(),
        other => panic!("{other:?}"),
    }
}

async fn sign_in(
    directory: &Directory,
    who: &ClaimedIdentity,
    text: &str,
    code: &str,
) -> Result<Session, &'static str> {
    directory
        .sign_in(who, password(text), code)
        .await
        .map_err(code_of)
}

/// An enrolled global administrator, whose previous code is spent.
async fn enrolled(directory: &Directory, upn: &str) -> (Authenticator, Session) {
    let role = AdministratorRole::GlobalAdministrator;
    let (code, _) = directory
        .create_administrator(&by(), None, upn, role)
        .await
        .unwrap();
    let who = from(upn, 1);
    let uri = directory
        .begin_enrolment(&who, &code, ISSUER)
        .await
        .unwrap();
    let app = Authenticator::new(&uri);
    let session = directory
        .finish_enrolment(&who, &code, password(PASSWORD), &app.code(-1))
        .await
        .unwrap();
    (app, session)
}

#[tokio::test]
async fn password_and_code_together_begin_a_session_that_expires() {
    let world = World::new().await;
    let (app, (first, _)) = enrolled(&world.directory, UPN).await;
    let who = from("ada@CONTOSO.com", 1);
    let (token, info) = sign_in(&world.directory, &who, PASSWORD, &app.code(0))
        .await
        .unwrap();
    for (token, lives) in [(&first, true), (&token, true)] {
        let known = world.directory.verify_token(token).await.unwrap();
        assert_eq!(known.is_some(), lives);
    }
    assert_eq!((info.name.as_str(), info.tenant), (UPN, None));
    let life = info.expires_at.unwrap() - info.created_at;
    assert_eq!(life, crossrealm_directory::SESSION_LIFE_S);
    sqlx::query("UPDATE tokens SET expires_at = 1 WHERE administrator_id IS NOT NULL")
        .execute(&mut world.raw().await)
        .await
        .unwrap();
    assert_eq!(world.directory.verify_token(&token).await.unwrap(), None);
    // A new session deletes expired ones.
    let before = world.count("SELECT COUNT(*) FROM tokens").await;
    sign_in(&world.directory, &who, PASSWORD, &app.code(1))
        .await
        .unwrap();
    assert_eq!(world.count("SELECT COUNT(*) FROM tokens").await, before - 1);
}

/// R8: what was done while the clock was two years ahead gives nothing, and takes nothing, once it is right.
#[tokio::test]
async fn r8_a_clock_that_was_ahead_leaves_no_long_session_and_no_lockout() {
    const AHEAD_S: i64 = 2 * 365 * 24 * 3600;
    let world = World::new().await;
    let (app, (session, _)) = enrolled(&world.directory, UPN).await;
    for change in [
        format!("UPDATE tokens SET created_at = created_at + {AHEAD_S}"),
        format!(
            "UPDATE administrators SET totp_step = totp_step + {}",
            AHEAD_S / 30
        ),
    ] {
        let changed = sqlx::query(sqlx::AssertSqlSafe(change));
        changed.execute(&mut world.raw().await).await.unwrap();
    }
    assert_eq!(world.directory.verify_token(&session).await.unwrap(), None);
    let who = from(UPN, 1);
    let again = sign_in(&world.directory, &who, PASSWORD, &app.code(0)).await;
    let (token, _) = again.unwrap();
    let known = world.directory.verify_token(&token).await.unwrap();
    assert!(known.is_some());
    // The code is spent as ever.
    let replayed = sign_in(&world.directory, &who, PASSWORD, &app.code(0)).await;
    assert_eq!(replayed.unwrap_err(), "sign_in_refused");
}

#[tokio::test]
async fn password_or_code_alone_are_refused_and_a_code_is_accepted_once() {
    let world = World::new().await;
    let (app, _) = enrolled(&world.directory, UPN).await;
    let directory = &world.directory;
    let refused = Err("sign_in_refused");
    let attempt = |last: u8, upn: &'static str, text: &'static str, code: String| async move {
        // A success between two failures keeps the account from being locked.
        let answer = sign_in(directory, &from(upn, last), text, &code).await;
        answer.map(|_| ())
    };
    assert_eq!(attempt(1, UPN, PASSWORD, String::new()).await, refused);
    assert_eq!(attempt(2, UPN, PASSWORD, app.wrong_code()).await, refused);
    assert_eq!(
        attempt(3, UPN, "wrong horse battery", app.code(0)).await,
        refused
    );
    assert_eq!(
        attempt(4, "bob@contoso.com", PASSWORD, app.code(0)).await,
        refused
    );
    let code = app.code(0);
    assert_eq!(attempt(6, UPN, PASSWORD, code.clone()).await, Ok(()));
    assert_eq!(attempt(7, UPN, PASSWORD, code).await, refused);
    // Nor is an older code after a newer one, nor a code far in the past or future.
    assert_eq!(attempt(8, UPN, PASSWORD, app.code(-1)).await, refused);
    assert_eq!(attempt(9, UPN, PASSWORD, app.code(4)).await, refused);
    assert_eq!(attempt(10, UPN, PASSWORD, app.code(1)).await, Ok(()));
}

#[tokio::test]
async fn a_code_sent_to_two_nodes_at_once_is_accepted_by_one() {
    let world = World::new().await;
    let (app, _) = enrolled(&world.directory, UPN).await;
    let (other, code) = (world.other_node().await, app.code(0));
    let (one, two) = (from(UPN, 1), from(UPN, 2));
    let (one, two) = tokio::join!(
        sign_in(&world.directory, &one, PASSWORD, &code),
        sign_in(&other, &two, PASSWORD, &code)
    );
    assert_eq!(usize::from(one.is_ok()) + usize::from(two.is_ok()), 1);
}

#[tokio::test]
async fn an_enrolment_code_is_accepted_once_and_expires() {
    let world = World::new().await;
    let directory = &world.directory;
    let role = AdministratorRole::Reader;
    let (code, info) = directory
        .create_administrator(&by(), None, UPN, role)
        .await
        .unwrap();
    assert_eq!(
        info.code_expires_at.unwrap() - info.created_at,
        crossrealm_directory::CODE_LIFE_S
    );
    let who = from(UPN, 1);
    // Before enrolment no sign-in is possible.
    assert_eq!(
        sign_in(directory, &who, "", "000000").await.err(),
        Some("sign_in_refused")
    );
    let begin = |code: &str| {
        let code = code.to_owned();
        async move {
            directory
                .begin_enrolment(&from(UPN, 1), &code, ISSUER)
                .await
                .map_err(code_of)
        }
    };
    assert_eq!(
        begin("AAAAA-AAAAA-AAAAA-AAAAA").await,
        Err("sign_in_refused")
    );
    let old = Authenticator::new(&begin(&code.to_lowercase().replace('-', " ")).await.unwrap());
    let app = Authenticator::new(&begin(&code).await.unwrap());
    let finish = |code: &str, text: &'static str, otp: String| {
        let code = code.to_owned();
        async move {
            let done = directory
                .finish_enrolment(&from(UPN, 1), &code, password(text), &otp)
                .await;
            done.map(|_| ()).map_err(code_of)
        }
    };
    for bad in ["short", "my ada@contoso.com!"] {
        assert_eq!(finish(&code, bad, app.code(0)).await, Err("bad_password"));
    }
    assert_eq!(
        finish(&code, PASSWORD, old.code(0)).await,
        Err("sign_in_refused")
    );
    assert_eq!(
        finish("AAAAA-AAAAA-AAAAA-AAAAA", PASSWORD, app.code(0)).await,
        Err("sign_in_refused")
    );
    let last = app.code(0);
    assert_eq!(finish(&code, PASSWORD, last.clone()).await, Ok(()));
    // The code that completed the enrolment is spent too.
    let again = sign_in(directory, &who, PASSWORD, &last).await;
    assert_eq!(again.err(), Some("sign_in_refused"));
    assert_eq!(
        finish(&code, PASSWORD, app.code(1)).await,
        Err("sign_in_refused")
    );
    assert_eq!(begin(&code).await, Err("sign_in_refused"));

    let (late, _) = directory
        .create_administrator(&by(), None, "eve@contoso.com", role)
        .await
        .unwrap();
    sqlx::query("UPDATE administrators SET code_expires_at = 1 WHERE upn_key = 'eve@contoso.com'")
        .execute(&mut world.raw().await)
        .await
        .unwrap();
    let eve = from("eve@contoso.com", 2);
    let refused = directory
        .begin_enrolment(&eve, &late, ISSUER)
        .await
        .map_err(code_of);
    assert_eq!(refused, Err("sign_in_refused"));
}

/// S7: somebody who knows a name locks it for their own address alone.
#[tokio::test]
async fn failures_of_a_sender_lock_the_account_for_that_sender_only() {
    let world = World::new().await;
    let (app, _) = enrolled(&world.directory, UPN).await;
    let (directory, other) = (&world.directory, world.other_node().await);
    let attacker = from(UPN, 200);
    for _ in 0..FREE_FAILURES {
        let refused = sign_in(directory, &attacker, "wrong horse battery", "000000").await;
        assert_eq!(refused.err(), Some("sign_in_refused"));
    }
    for node in [directory, &other] {
        let right = sign_in(node, &attacker, PASSWORD, &app.code(0)).await;
        assert_eq!(right.err(), Some("sign_in_locked"));
    }
    // An unknown name is locked in the same way; other names are not.
    let nobody = from("nobody@contoso.com", 100);
    for _ in 0..FREE_FAILURES {
        let refused = sign_in(directory, &nobody, "x", "000000").await;
        assert_eq!(refused.err(), Some("sign_in_refused"));
    }
    let locked = sign_in(directory, &nobody, "x", "0").await;
    assert_eq!(locked.err(), Some("sign_in_locked"));
    let another = from("bob@contoso.com", 200);
    let refused = sign_in(directory, &another, "x", "0").await;
    assert_eq!(refused.err(), Some("sign_in_refused"));
    // The administrator signs in from a place that nobody knows yet.
    sign_in(directory, &from(UPN, 7), PASSWORD, &app.code(0))
        .await
        .unwrap();
    // The lockout expires.
    sqlx::query("UPDATE sign_in_attempts SET locked_until = 1")
        .execute(&mut world.raw().await)
        .await
        .unwrap();
    sign_in(directory, &attacker, PASSWORD, &app.code(1))
        .await
        .unwrap();
}

/// S7: guessing from many senders is slowed, and holds back none from which the administrator signed in before.
#[tokio::test]
async fn failures_of_many_senders_do_not_hold_back_a_known_sender() {
    let world = World::new().await;
    let directory = &world.directory;
    let (app, _) = enrolled(directory, UPN).await;
    let known = from(UPN, 7);
    sign_in(directory, &known, PASSWORD, &app.code(0))
        .await
        .unwrap();
    let refused = sign_in(directory, &from(UPN, 100), "x", "0").await;
    assert_eq!(refused.err(), Some("sign_in_refused"));
    sqlx::query("UPDATE sign_in_attempts SET failures = $1 WHERE subject LIKE 'account %' AND subject NOT LIKE '% from %'")
        .bind(FREE_FAILURES_OF_ACCOUNT - 1)
        .execute(&mut world.raw().await)
        .await
        .unwrap();
    let last = sign_in(directory, &from(UPN, 101), "x", "0").await;
    assert_eq!(last.err(), Some("sign_in_refused"));
    let stranger = sign_in(directory, &from(UPN, 102), PASSWORD, &app.code(1)).await;
    assert_eq!(stranger.err(), Some("sign_in_locked"));
    sign_in(directory, &known, PASSWORD, &app.code(1))
        .await
        .unwrap();
}

/// S7: failed sign-ins do not keep anybody from enrolling, nor failed enrolments from signing in.
#[tokio::test]
async fn enrolment_has_a_count_of_its_own() {
    let world = World::new().await;
    let directory = &world.directory;
    let role = AdministratorRole::Reader;
    let (code, _) = directory
        .create_administrator(&by(), None, UPN, role)
        .await
        .unwrap();
    let who = from(UPN, 1);
    for _ in 0..FREE_FAILURES {
        let refused = sign_in(directory, &who, "x", "0").await;
        assert_eq!(refused.err(), Some("sign_in_refused"));
    }
    let locked = sign_in(directory, &who, "x", "0").await;
    assert_eq!(locked.err(), Some("sign_in_locked"));
    assert!(directory.begin_enrolment(&who, &code, ISSUER).await.is_ok());
    for _ in 0..FREE_FAILURES {
        let refused = directory.begin_enrolment(&who, "AAAAA", ISSUER).await;
        assert_eq!(refused.map_err(code_of).err(), Some("sign_in_refused"));
    }
    let locked = directory.begin_enrolment(&who, &code, ISSUER).await;
    assert_eq!(locked.map_err(code_of).err(), Some("sign_in_locked"));
}

/// S7: the holder of the master key and the database gets in again, even when nobody else can let them.
#[tokio::test]
async fn the_last_administrator_is_recovered_with_the_master_key() {
    let world = World::new().await;
    let directory = &world.directory;
    let (_, (token, _)) = enrolled(directory, UPN).await;
    let (code, info) = directory.recover_administrator(UPN).await.unwrap();
    assert_eq!((info.upn.as_str(), info.tenant), (UPN, None));
    assert_eq!(info.role, AdministratorRole::GlobalAdministrator);
    assert_eq!(directory.verify_token(&token).await.unwrap(), None);
    let uri = directory
        .begin_enrolment(&from(UPN, 1), &code, ISSUER)
        .await
        .unwrap();
    let app = Authenticator::new(&uri);
    directory
        .finish_enrolment(&from(UPN, 1), &code, password(PASSWORD), &app.code(0))
        .await
        .unwrap();
    // A name that nobody has is created; one without these rights is refused.
    let (_, made) = directory
        .recover_administrator("new@contoso.com")
        .await
        .unwrap();
    assert_eq!(made.role, AdministratorRole::GlobalAdministrator);
    directory
        .create_administrator(&by(), None, "reader@contoso.com", AdministratorRole::Reader)
        .await
        .unwrap();
    let refused = directory.recover_administrator("reader@contoso.com").await;
    assert_eq!(
        refused.map_err(code_of).err(),
        Some("not_global_administrator")
    );
    let all = EventFilter {
        installation: true,
        limit: 100,
        ..EventFilter::default()
    };
    let events = directory.events(&all).await.unwrap();
    let recovered = |action: &str, target: &str| {
        events.iter().any(|event| {
            event.event.action == action
                && event.event.actor == "admin recover"
                && event.event.target == target
        })
    };
    assert!(recovered("admin.recover", UPN) && recovered("admin.create", "new@contoso.com"));
}

#[tokio::test]
async fn a_sender_is_locked_after_failures_on_any_account() {
    let world = World::new().await;
    let (app, _) = enrolled(&world.directory, UPN).await;
    for n in 0..FREE_FAILURES_OF_SENDER {
        let who = from(&format!("u{n}@contoso.com"), 66);
        assert_eq!(
            sign_in(&world.directory, &who, "x", "0").await.err(),
            Some("sign_in_refused")
        );
    }
    let here = sign_in(&world.directory, &from(UPN, 66), PASSWORD, &app.code(0)).await;
    assert_eq!(here.err(), Some("sign_in_locked"));
    let elsewhere = sign_in(&world.directory, &from(UPN, 67), PASSWORD, &app.code(0)).await;
    assert!(elsewhere.is_ok());
}

#[tokio::test]
async fn concurrent_attempts_are_all_counted() {
    let world = World::new().await;
    let (_, _) = enrolled(&world.directory, UPN).await;
    let attempts: Vec<_> = (0..12)
        .map(|_| {
            let directory = world.directory.clone();
            tokio::spawn(async move {
                // On a busy machine an attempt may find no memory to hash in, which is no attempt.
                loop {
                    let who = from(UPN, 66);
                    let attempt = sign_in(&directory, &who, "wrong horse battery", "000000").await;
                    if attempt.as_ref().err() != Some(&"overloaded") {
                        return attempt.err();
                    }
                }
            })
        })
        .collect();
    let mut judged = 0;
    for attempt in attempts {
        judged += i64::from(attempt.await.unwrap() == Some("sign_in_refused"));
    }
    assert_eq!(judged, FREE_FAILURES);
}

#[tokio::test]
async fn reset_and_removal_revoke_sessions_and_credentials() {
    let world = World::new().await;
    let directory = &world.directory;
    let (app, (token, _)) = enrolled(directory, UPN).await;
    let (keeper, _) = enrolled(directory, "keeper@contoso.com").await;
    let (code, info) = directory
        .reset_administrator(&by(), None, "ADA@contoso.com")
        .await
        .unwrap();
    assert_eq!((info.upn.as_str(), info.enrolled_at), (UPN, None));
    assert_eq!(directory.verify_token(&token).await.unwrap(), None);
    let old = sign_in(directory, &from(UPN, 1), PASSWORD, &app.code(0)).await;
    assert_eq!(old.err(), Some("sign_in_refused"));
    let uri = directory
        .begin_enrolment(&from(UPN, 1), &code, ISSUER)
        .await
        .unwrap();
    let app = Authenticator::new(&uri);
    let again = directory
        .finish_enrolment(&from(UPN, 1), &code, password(PASSWORD), &app.code(0))
        .await;
    let (token, _) = again.unwrap();
    directory
        .remove_administrator(&by(), None, UPN)
        .await
        .unwrap();
    assert_eq!(directory.verify_token(&token).await.unwrap(), None);
    let gone = sign_in(directory, &from(UPN, 1), PASSWORD, &app.code(1)).await;
    assert_eq!(gone.err(), Some("sign_in_refused"));
    let left: Vec<_> = directory
        .administrators(None)
        .await
        .unwrap()
        .into_iter()
        .map(|a| a.upn)
        .collect();
    assert_eq!(left, ["keeper@contoso.com"]);
    // Nobody else administers the installation: there is no token without a session.
    for refused in [
        directory
            .remove_administrator(&by(), None, "keeper@contoso.com")
            .await
            .err(),
        directory
            .reset_administrator(&by(), None, "keeper@contoso.com")
            .await
            .err(),
    ] {
        assert_eq!(refused.map(code_of), Some("last_administrator"));
    }
    assert!(
        sign_in(
            directory,
            &from("keeper@contoso.com", 1),
            PASSWORD,
            &keeper.code(0)
        )
        .await
        .is_ok()
    );
}

#[tokio::test]
async fn the_first_token_is_revoked_only_after_another_administrator_enrolled() {
    let world = World::new().await;
    let directory = &world.directory;
    let new = NewToken {
        tenant: None,
        role: TokenRole::Administrator(AdministratorRole::GlobalAdministrator),
        name: "first".into(),
        expires_at: None,
    };
    let (first, info) = directory.create_token(&by(), new).await.unwrap();
    let refused = directory.end_token(&by(), &info).await.map_err(code_of);
    assert_eq!(refused, Err("last_administrator"));
    // An administrator who has not enrolled cannot sign in.
    let role = AdministratorRole::GlobalAdministrator;
    directory
        .create_administrator(&by(), None, "late@contoso.com", role)
        .await
        .unwrap();
    let refused = directory.end_token(&by(), &info).await.map_err(code_of);
    assert_eq!(refused, Err("last_administrator"));
    let (_, (session, session_info)) = enrolled(directory, UPN).await;
    directory.end_token(&by(), &info).await.unwrap();
    assert_eq!(directory.verify_token(&first).await.unwrap(), None);
    // A session may always be ended: its owner can sign in again.
    directory.end_token(&by(), &session_info).await.unwrap();
    assert_eq!(directory.verify_token(&session).await.unwrap(), None);
}

#[tokio::test]
async fn an_administrator_of_a_tenant_manages_only_its_administrators() {
    let world = World::new().await;
    let directory = &world.directory;
    let (one, two) = (world.tenant("contoso").await, world.tenant("second").await);
    for (tenant, upn) in [
        (Some(one.id), "a@contoso.com"),
        (Some(one.id), "a2@contoso.com"),
        (Some(two.id), "b@contoso.com"),
        (None, "c@contoso.com"),
    ] {
        directory
            .create_administrator(&by(), tenant, upn, AdministratorRole::Reader)
            .await
            .unwrap();
    }
    let seen: Vec<_> = directory
        .administrators(Some(one.id))
        .await
        .unwrap()
        .into_iter()
        .map(|a| a.upn)
        .collect();
    assert_eq!(seen, ["a2@contoso.com", "a@contoso.com"]);
    for other in ["b@contoso.com", "c@contoso.com"] {
        let refused = directory
            .reset_administrator(&by(), Some(one.id), other)
            .await;
        assert!(matches!(refused, Err(DirectoryError::NotFound { .. })));
        let refused = directory
            .remove_administrator(&by(), Some(one.id), other)
            .await;
        assert!(matches!(refused, Err(DirectoryError::NotFound { .. })));
    }
    directory
        .remove_administrator(&by(), Some(one.id), "a@contoso.com")
        .await
        .unwrap();
    let twice = directory
        .create_administrator(
            &by(),
            Some(one.id),
            "A2@contoso.com",
            AdministratorRole::Reader,
        )
        .await;
    assert!(matches!(twice, Err(DirectoryError::Exists { .. })));
    // A tenant's administrators are deleted with it.
    directory.delete_tenant(&by(), two.id).await.unwrap();
    assert_eq!(world.count("SELECT COUNT(*) FROM administrators").await, 2);
}

#[tokio::test]
async fn changes_are_audited_and_no_secret_is_stored_in_clear() {
    let world = World::new().await;
    let directory = &world.directory;
    let role = AdministratorRole::GlobalAdministrator;
    let (code, _) = directory
        .create_administrator(&by(), None, UPN, role)
        .await
        .unwrap();
    let who = from(UPN, 1);
    let uri = directory
        .begin_enrolment(&who, &code, ISSUER)
        .await
        .unwrap();
    let app = Authenticator::new(&uri);
    directory
        .finish_enrolment(&who, &code, password(PASSWORD), &app.code(0))
        .await
        .unwrap();
    sign_in(directory, &who, "wrong horse battery", "000000")
        .await
        .unwrap_err();
    let (token, _) = sign_in(directory, &who, PASSWORD, &app.code(1))
        .await
        .unwrap();
    enrolled(directory, "keeper@contoso.com").await;
    directory
        .reset_administrator(&by(), None, UPN)
        .await
        .unwrap();
    directory
        .remove_administrator(&by(), None, UPN)
        .await
        .unwrap();
    let filter = EventFilter {
        installation: true,
        limit: 100,
        ..EventFilter::default()
    };
    let events = directory.events(&filter).await.unwrap();
    let recorded: Vec<_> = events
        .iter()
        .map(|event| &event.event)
        .filter(|event| event.target == UPN)
        .map(|event| (event.action.as_str(), event.outcome, event.reason.as_str()))
        .collect();
    let done = |action| (action, EventOutcome::Done, "");
    assert_eq!(
        recorded,
        [
            done("admin.create"),
            done("admin.enrol-begin"),
            done("admin.enrol"),
            ("admin.sign-in", EventOutcome::Refused, "sign_in_refused"),
            done("admin.sign-in"),
            done("admin.reset"),
            done("admin.remove"),
        ]
    );
    let (again, _) = enrolled(directory, UPN).await;
    // On PostgreSQL there is no file to read.
    let Ok(mut stored) = std::fs::read(world.path()) else {
        return;
    };
    let wal = world.path().with_extension("db-wal");
    stored.extend(std::fs::read(wal).unwrap_or_default());
    let has = |needle: &[u8]| stored.windows(needle.len()).any(|window| window == needle);
    // Otherwise the following would prove nothing.
    assert!(has(UPN.as_bytes()));
    let base32 = uri
        .split_once("secret=")
        .unwrap()
        .1
        .split('&')
        .next()
        .unwrap();
    let plain_code = code.replace('-', "");
    for secret in [
        PASSWORD.as_bytes(),
        code.as_bytes(),
        plain_code.as_bytes(),
        token.as_bytes(),
        base32.as_bytes(),
        app.secret(),
        again.secret(),
    ] {
        assert!(!has(secret), "{:?}", String::from_utf8_lossy(secret));
    }
}

#[tokio::test]
async fn an_authenticator_secret_of_another_record_is_not_unsealed() {
    let world = World::new().await;
    let (ours, _) = enrolled(&world.directory, "eve@contoso.com").await;
    enrolled(&world.directory, UPN).await;
    // An attacker who can write to the database replaces a secret with one they know.
    sqlx::query(
        "UPDATE administrators SET totp_sealed = (SELECT totp_sealed FROM administrators WHERE upn_key = 'eve@contoso.com')",
    )
    .execute(&mut world.raw().await)
    .await
    .unwrap();
    let refused = world
        .directory
        .sign_in(&from(UPN, 1), password(PASSWORD), &ours.code(0))
        .await;
    assert!(
        matches!(refused, Err(DirectoryError::Seal(_))),
        "{refused:?}"
    );
}

/// Creates an administrator and lets them enrol, as of the tenant that they name.
async fn enrolled_in(d: &Directory, tenant: Option<TenantId>, upn: &str) -> Authenticator {
    let role = AdministratorRole::Reader;
    let (code, _) = d
        .create_administrator(&by(), tenant, upn, role)
        .await
        .unwrap();
    let who = of(tenant, upn);
    let uri = d.begin_enrolment(&who, &code, ISSUER).await.unwrap();
    let app = Authenticator::new(&uri);
    d.finish_enrolment(&who, &code, password(PASSWORD), &app.code(-1))
        .await
        .unwrap();
    app
}

fn of(tenant: Option<TenantId>, upn: &str) -> ClaimedIdentity {
    ClaimedIdentity {
        tenant,
        ..from(upn, 1)
    }
}

/// S15: one tenant learns nothing of the administrators of another, and none of them stands in another's way.
#[tokio::test]
async fn s15_names_of_administrators_are_unique_in_a_tenant_only() {
    let world = World::new().await;
    let d = &world.directory;
    let (one, two) = (
        world.tenant("contoso").await.id,
        world.tenant("second").await.id,
    );
    let upn = "ada@contoso.com";
    let places = [Some(one), Some(two), None];
    let mut apps = Vec::new();
    for tenant in places {
        apps.push((tenant, enrolled_in(d, tenant, upn).await));
    }
    for tenant in places {
        let again = d
            .create_administrator(&by(), tenant, "ADA@contoso.com", AdministratorRole::Reader)
            .await;
        assert!(matches!(again, Err(DirectoryError::Exists { .. })));
    }
    // Each signs in to their own, and to nothing else.
    for (tenant, app) in &apps {
        let (_, session) = d
            .sign_in(&of(*tenant, upn), password(PASSWORD), &app.code(0))
            .await
            .unwrap();
        assert_eq!(session.tenant, *tenant);
        for other in places.iter().filter(|other| *other != tenant) {
            let refused = d
                .sign_in(&of(*other, upn), password(PASSWORD), &app.code(1))
                .await;
            assert_eq!(code(refused), "sign_in_refused");
        }
    }
    // A tenant's administrator resets their own; the installation's meets those of the installation first.
    let reset = async |tenant| d.reset_administrator(&by(), tenant, upn).await;
    for tenant in [Some(one), None, Some(two)] {
        assert_eq!(reset(tenant).await.unwrap().1.tenant, tenant);
    }
    d.remove_administrator(&by(), None, upn).await.unwrap();
    assert_eq!(code(reset(None).await), "administrator_ambiguous");
    d.remove_administrator(&by(), Some(one), upn).await.unwrap();
    assert_eq!(reset(None).await.unwrap().1.tenant, Some(two));
}

/// S15: those of before have a name that is unique in the installation, and keep it.
#[tokio::test]
async fn s15_administrators_of_an_earlier_version_sign_in_with_and_without_their_tenant() {
    let world = World::new().await;
    let d = &world.directory;
    let (one, two) = (
        world.tenant("contoso").await.id,
        world.tenant("second").await.id,
    );
    let upn = "ada@contoso.com";
    let app = enrolled_in(d, Some(one), upn).await;
    sqlx::query("UPDATE administrators SET upn_key = 'ada@contoso.com'")
        .execute(&mut world.raw().await)
        .await
        .unwrap();
    for (tenant, step) in [(None, 0), (Some(one), 1)] {
        let session = d
            .sign_in(&of(tenant, upn), password(PASSWORD), &app.code(step))
            .await;
        assert_eq!(session.unwrap().1.tenant, Some(one));
    }
    let role = AdministratorRole::Reader;
    for taken in [Some(one), None] {
        let again = d.create_administrator(&by(), taken, upn, role).await;
        assert!(matches!(again, Err(DirectoryError::Exists { .. })));
    }
    // Not a word of it in another tenant.
    d.create_administrator(&by(), Some(two), upn, role)
        .await
        .unwrap();
    let elsewhere = d
        .sign_in(&of(Some(two), upn), password(PASSWORD), &app.code(1))
        .await;
    assert_eq!(code(elsewhere), "sign_in_refused");
    d.remove_administrator(&by(), Some(one), upn).await.unwrap();
    let seen = d.administrators(None).await.unwrap();
    assert_eq!(seen.len(), 1);
    assert_eq!(seen[0].tenant, Some(two));
}
