//! Mistaken input to the commands about shares: each gets its own clear answer, and nothing changes.

use crossrealm_lab::Failure;

use super::Test;
use super::scene::Scene;

/// Name and test.
pub(crate) const TESTS: &[(&str, Test)] = &[("mistaken_input_is_named", mistaken)];

/// Words, exit code, what is said.
const CASES: &[(&[&str], i32, &str)] = &[
    (
        &[
            "share",
            "grant",
            "acct1/projects",
            "--to",
            "NoSuchGroup",
            "--role",
            "reader",
        ],
        1,
        "error: no user or group `NoSuchGroup`",
    ),
    (
        &[
            "share",
            "revoke",
            "acct1/projects",
            "--from",
            "nobody@corp.contoso.com",
        ],
        1,
        "error: no user or group `nobody@corp.contoso.com`",
    ),
    (
        &["share", "revoke", "acct1/projects", "--from", "bob"],
        1,
        "error: no grant `acct1/projects to bob`",
    ),
    (
        &[
            "share",
            "grant",
            "acct1/gone",
            "--to",
            "Sales",
            "--role",
            "reader",
        ],
        1,
        "error: no share `acct1/gone`",
    ),
    (
        &["share", "delete", "acct1/gone"],
        1,
        "error: no share `acct1/gone`",
    ),
    (
        &["share", "access", "acct1/gone", "--user", "alice"],
        1,
        "error: no share `acct1/gone`",
    ),
    (
        &["share", "access", "acct1/projects", "--user", "nobody"],
        1,
        "error: no user `nobody`",
    ),
    (&["share", "create", "acct1/a:b"], 1, "`a:b`"),
    (&["share", "create", "acct1/.."], 2, "`.` and `..`"),
    (
        &["share", "create", "acct1/..%2f..%2fetc"],
        1,
        "`..%2f..%2fetc`",
    ),
    (&["share", "create", "acct1/IPC$"], 1, "`IPC$`"),
    (&["share", "create", "acct1/a  b"], 1, "`a  b`"),
    (&["share", "create", "acct1/a\\b"], 1, "`a\\b`"),
    (&["share", "create", "acct1/global"], 1, "`global`"),
    (
        &["share", "create", "acct1/../../etc"],
        2,
        "expected ACCOUNT/SHARE",
    ),
    (&["share", "create", "acct1"], 2, "expected ACCOUNT/SHARE"),
    (
        &["share", "create", "/projects"],
        2,
        "expected ACCOUNT/SHARE",
    ),
    (&["share", "create", "../x"], 2, "`.` and `..`"),
    (
        &["share", "create", "nosuch/projects"],
        1,
        "error: no storage account `nosuch`",
    ),
    (
        &[
            "share",
            "grant",
            "acct1/projects",
            "--to",
            "Sales",
            "--role",
            "owner",
        ],
        2,
        "invalid value 'owner'",
    ),
    (
        &["share", "default-permission", "acct9", "--role", "reader"],
        1,
        "error: no storage account `acct9`",
    ),
];

fn mistaken(scene: &mut Scene) -> Result<(), Failure> {
    scene.admin(&["share", "create", "acct1/gone"]).ok()?;
    scene.admin(&["share", "delete", "acct1/gone"]).ok()?;
    let before = shares(scene)?;
    let mut wrong = Vec::new();
    for (words, code, says) in CASES {
        let output = scene.admin(words).output()?;
        let panicked = output.both().contains("panicked");
        if output.code != Some(*code) || !output.err().contains(says) || panicked {
            wrong.push(output.failure(&format!("was expected to exit with {code}: {says}")));
        }
    }
    if let Some(first) = wrong.pop() {
        return Err(wrong.into_iter().fold(first, Failure::with));
    }
    let after = shares(scene)?;
    assert_eq!(before, after, "mistakes changed the shares");
    Ok(())
}

/// The shares of the account, without what its hosts report of them meanwhile.
fn shares(scene: &Scene) -> Result<serde_json::Value, Failure> {
    let list = scene.admin(&["-o", "json", "share", "list", "acct1"]);
    let mut shares = list.ok()?.json()?;
    for share in shares.as_array_mut().into_iter().flatten() {
        if let Some(share) = share.as_object_mut() {
            share.remove("quota_on_hosts");
        }
    }
    Ok(shares)
}
