//! Samba's own torture tests, with a Kerberos ticket through the trust: what passes must, and the rest is listed with why.
//!
//! The list holds every test of `smb2.connect`, `smb2.read`, `smb2.acls` and `smb2.session` that Debian's smbtorture has
//! and that works with a ticket. One that ends otherwise than it says here fails, better or worse. Each runs twice: on the
//! product's host, and on a plain smbd beside it that has the same keys and does not insist on encryption; so it is seen
//! that nothing but the encryption keeps a test from passing on the host, where the list says so.

use std::collections::BTreeMap;

use crossrealm_lab::{Failure, Output, PATIENCE, Run};

use super::Test;
use super::scene::Scene;

/// Name and test.
pub(crate) const TESTS: &[(&str, Test)] = &[("smbtorture_ends_as_listed", on_the_host)];

const SHARE: &str = "torture";

/// How a test ends: a piece of its last words; nothing where it passes.
type Ends = &'static str;

const PASSES: Ends = "";
/// The session is gone and its key with it: the server cannot read the next request and drops the connection, where
/// without encryption it would answer that the session was deleted.
const KEY_GONE: Ends = "CONNECTION_DISCONNECTED, expected NT_STATUS_USER_SESSION_DELETED";
/// A session is made anonymous, which no share admits.
const NOT_ENCRYPTED: Ends = "status was NT_STATUS_ACCESS_DENIED";
/// SMB 2 has no encryption.
const OLD_DIALECT: Ends = "if encryption is required";
/// The same by a server that asks for SMB 3.
const TOO_OLD: Ends = "status was NT_STATUS_NOT_SUPPORTED, expected NT_STATUS_OK";
/// What is signed only is not accepted.
const SIGNED_ONLY: Ends = "Can't test signing only if encryption is required";
/// Needs the shares and extensions of Samba's own test server.
const ACCESSBASED: Ends = "Unable to connect to share 'hideunread'";
const PADDING: Ends = "server doesn't support FSCTL_SMBTORTURE";
/// Tests a wrong password, which there is none of.
const KERBEROS: Ends = "Can't test failing session setup with kerberos";
/// Needs a second user by password.
const SECOND_USER: Ends = "valid user2 credentials are required";
/// The same, by a client that then finds no KDC for the wrong password.
const NO_KDC: Ends = "status was NT_STATUS_NO_LOGON_SERVERS";
/// smbd 4.17 does not let a second channel sign in another way than the first.
const SIGNING_CHANGED: Ends = "status was NT_STATUS_USER_SESSION_DELETED, expected NT_STATUS_OK";
/// Renames on a plain server with `acl_xattr`, as anonymous: smbd's own.
const REAUTH5: Ends = "status was NT_STATUS_OBJECT_NAME_NOT_FOUND";

/// Left out are `smb2.session.expire*` and `expire_disconnect`: they fetch tickets that live for seconds, with a password.
///
/// Test, how it ends on the product's host, how on a plain smbd without forced encryption.
#[rustfmt::skip]
const LIST: &[(&str, Ends, Ends)] = &[
    ("smb2.read.eof", PASSES, PASSES),
    ("smb2.read.position", PASSES, PASSES),
    ("smb2.read.dir", PASSES, PASSES),
    ("smb2.read.access", PASSES, PASSES),
    ("smb2.read.bug14607", PADDING, PADDING),
    ("smb2.acls.CREATOR", PASSES, PASSES),
    ("smb2.acls.GENERIC", PASSES, PASSES),
    ("smb2.acls.OWNER", PASSES, PASSES),
    ("smb2.acls.INHERITANCE", PASSES, PASSES),
    ("smb2.acls.INHERITFLAGS", PASSES, PASSES),
    ("smb2.acls.SDFLAGSVSCHOWN", PASSES, PASSES),
    ("smb2.acls.DYNAMIC", PASSES, PASSES),
    ("smb2.acls.ACCESSBASED", ACCESSBASED, ACCESSBASED),
    ("smb2.acls.OWNER-RIGHTS", PASSES, PASSES),
    ("smb2.acls.OWNER-RIGHTS-DENY", PASSES, PASSES),
    ("smb2.acls.OWNER-RIGHTS-DENY1", PASSES, PASSES),
    ("smb2.acls.DENY1", PASSES, PASSES),
    ("smb2.acls.MXAC-NOT-GRANTED", PASSES, PASSES),
    ("smb2.acls.OVERWRITE_READ_ONLY_FILE", PASSES, PASSES),
    ("smb2.session.reconnect1", KEY_GONE, PASSES),
    ("smb2.session.reconnect2", KEY_GONE, PASSES),
    ("smb2.session.reauth1", PASSES, PASSES),
    ("smb2.session.reauth2", NOT_ENCRYPTED, PASSES),
    ("smb2.session.reauth3", NOT_ENCRYPTED, PASSES),
    ("smb2.session.reauth4", NOT_ENCRYPTED, PASSES),
    ("smb2.session.reauth5", NOT_ENCRYPTED, REAUTH5),
    ("smb2.session.reauth6", KERBEROS, KERBEROS),
    ("smb2.session.bind1", PASSES, PASSES),
    ("smb2.session.bind2", PASSES, PASSES),
    ("smb2.session.bind_invalid_auth", NO_KDC, NO_KDC),
    ("smb2.session.bind_different_user", SECOND_USER, SECOND_USER),
    ("smb2.session.bind_negative_smb202", OLD_DIALECT, TOO_OLD),
    ("smb2.session.bind_negative_smb210s", OLD_DIALECT, TOO_OLD),
    ("smb2.session.bind_negative_smb210d", OLD_DIALECT, TOO_OLD),
    ("smb2.session.bind_negative_smb2to3s", OLD_DIALECT, TOO_OLD),
    ("smb2.session.bind_negative_smb2to3d", OLD_DIALECT, TOO_OLD),
    ("smb2.session.bind_negative_smb3to2s", OLD_DIALECT, TOO_OLD),
    ("smb2.session.bind_negative_smb3to2d", OLD_DIALECT, TOO_OLD),
    ("smb2.session.bind_negative_smb3to3s", PASSES, PASSES),
    ("smb2.session.bind_negative_smb3to3d", PASSES, PASSES),
    ("smb2.session.bind_negative_smb3encGtoCs", PASSES, PASSES),
    ("smb2.session.bind_negative_smb3encGtoCd", PASSES, PASSES),
    ("smb2.session.bind_negative_smb3signCtoHs", PASSES, PASSES),
    ("smb2.session.bind_negative_smb3signCtoHd", SIGNING_CHANGED, SIGNING_CHANGED),
    ("smb2.session.bind_negative_smb3signCtoGs", PASSES, PASSES),
    ("smb2.session.bind_negative_smb3signCtoGd", PASSES, PASSES),
    ("smb2.session.bind_negative_smb3signHtoCs", PASSES, PASSES),
    ("smb2.session.bind_negative_smb3signHtoCd", SIGNING_CHANGED, SIGNING_CHANGED),
    ("smb2.session.bind_negative_smb3signHtoGs", PASSES, PASSES),
    ("smb2.session.bind_negative_smb3signHtoGd", PASSES, PASSES),
    ("smb2.session.bind_negative_smb3signGtoCs", PASSES, PASSES),
    ("smb2.session.bind_negative_smb3signGtoCd", PASSES, PASSES),
    ("smb2.session.bind_negative_smb3signGtoHs", PASSES, PASSES),
    ("smb2.session.bind_negative_smb3signGtoHd", PASSES, PASSES),
    ("smb2.session.bind_negative_smb3sneGtoCs", PASSES, PASSES),
    ("smb2.session.bind_negative_smb3sneGtoCd", PASSES, PASSES),
    ("smb2.session.bind_negative_smb3sneGtoHs", PASSES, PASSES),
    ("smb2.session.bind_negative_smb3sneGtoHd", PASSES, PASSES),
    ("smb2.session.bind_negative_smb3sneCtoGs", PASSES, PASSES),
    ("smb2.session.bind_negative_smb3sneCtoGd", PASSES, PASSES),
    ("smb2.session.bind_negative_smb3sneHtoGs", PASSES, PASSES),
    ("smb2.session.bind_negative_smb3sneHtoGd", PASSES, PASSES),
    ("smb2.session.bind_negative_smb3signC30toGs", PASSES, PASSES),
    ("smb2.session.bind_negative_smb3signC30toGd", PASSES, PASSES),
    ("smb2.session.bind_negative_smb3signH2XtoGs", OLD_DIALECT, TOO_OLD),
    ("smb2.session.bind_negative_smb3signH2XtoGd", OLD_DIALECT, TOO_OLD),
    ("smb2.session.bind_negative_smb3signGtoC30s", PASSES, PASSES),
    ("smb2.session.bind_negative_smb3signGtoC30d", PASSES, PASSES),
    ("smb2.session.bind_negative_smb3signGtoH2Xs", OLD_DIALECT, TOO_OLD),
    ("smb2.session.bind_negative_smb3signGtoH2Xd", OLD_DIALECT, TOO_OLD),
    ("smb2.session.two_logoff", PASSES, PASSES),
    ("smb2.session.signing-hmac-sha-256", SIGNED_ONLY, PASSES),
    ("smb2.session.signing-aes-128-cmac", SIGNED_ONLY, PASSES),
    ("smb2.session.signing-aes-128-gmac", SIGNED_ONLY, PASSES),
    ("smb2.session.encryption-aes-128-ccm", PASSES, PASSES),
    ("smb2.session.encryption-aes-128-gcm", PASSES, PASSES),
    ("smb2.session.encryption-aes-256-ccm", PASSES, PASSES),
    ("smb2.session.encryption-aes-256-gcm", PASSES, PASSES),
    ("smb2.session.ntlmssp_bug14932", PASSES, PASSES),
    ("smb2.connect", KEY_GONE, PASSES),
];

fn on_the_host(scene: &mut Scene) -> Result<(), Failure> {
    scene.share(SHARE)?;
    scene.grant(SHARE, "alice", "elevated-contributor")?;
    scene.until_served("alice", SHARE)?;
    // The tests change everything, the root of the share included.
    let acl = [
        "share",
        "acl",
        "acct1/torture",
        "/",
        "--grant",
        "alice@corp.contoso.com:full",
    ];
    scene.on_host(&acl).ok()?;
    let run = scene.smbtorture("alice", SHARE, &[]);
    ends_as_listed(&run, |(_, host, _)| host)
}

/// The same tests on a server that does not force encryption.
pub(crate) fn without_encryption(scene: &Scene, words: &[&str]) -> Result<(), Failure> {
    ends_as_listed(
        &scene.smbtorture("alice", "data", words),
        |(_, _, plain)| plain,
    )
}

fn ends_as_listed(
    run: &Run,
    expected: fn(&(&'static str, Ends, Ends)) -> Ends,
) -> Result<(), Failure> {
    let known = Run::here("smbtorture").arg("--list").ok()?.out();
    // The list names each test with its own name behind it once more.
    let known: Vec<&str> = known
        .lines()
        .filter_map(|line| line.rsplit_once('.'))
        .map(|(name, _)| name)
        .collect();
    let (listed, gone): (Vec<_>, Vec<_>) =
        LIST.iter().partition(|(name, _, _)| known.contains(name));
    for (name, _, _) in gone {
        println!("this smbtorture has no {name}");
    }
    let names = listed.iter().map(|(name, _, _)| *name);
    let output = run.clone().args(names).timeout(PATIENCE).output()?;
    let ended = outcomes(&output);
    let mut wrong = Vec::new();
    let mut passed = 0;
    for row in &listed {
        let (name, expected) = (row.0, expected(row));
        let short = name.splitn(3, '.').last().unwrap_or(name);
        let Some(words) = ended.get(short) else {
            wrong.push(format!("{name} did not end"));
            continue;
        };
        match (expected, words.as_str()) {
            (PASSES, "") => passed += 1,
            (PASSES, words) => wrong.push(format!("{name} should pass: {words}")),
            (_, "") => wrong.push(format!(
                "{name} passed against expectation: put it into the list"
            )),
            (expected, words) if !words.contains(expected) => {
                wrong.push(format!("{name} should say `{expected}`: {words}"));
            }
            _ => {}
        }
    }
    println!(
        "{passed} of {} tests passed, the rest ended as listed",
        listed.len()
    );
    match wrong.is_empty() {
        true => Ok(()),
        false => Err(Failure::new(wrong.join("\n"))),
    }
}

/// The last words of each test by its own name; nothing where it succeeded.
fn outcomes(output: &Output) -> BTreeMap<String, String> {
    let text = output.both();
    let mut lines = text.lines();
    let mut outcomes = BTreeMap::new();
    while let Some(line) = lines.next() {
        if let Some(name) = line.strip_prefix("success: ") {
            outcomes.insert(name.to_owned(), String::new());
            continue;
        }
        let Some((how, rest)) = line.split_once(": ") else {
            continue;
        };
        if ["failure", "error", "skip"].contains(&how) {
            let name = rest.trim_end_matches(" [").to_owned();
            let words = lines.next().unwrap_or("no word").to_owned();
            outcomes.insert(name, words);
        }
    }
    outcomes
}
