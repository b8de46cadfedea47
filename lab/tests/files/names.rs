//! Names of shares: as SMB and Azure Files permit them, kept as they were created and found in any case.

use crossrealm_lab::Failure;

use super::Test;
use super::scene::Scene;

/// Name and test.
pub(crate) const TESTS: &[(&str, Test)] = &[(
    "shares_are_called_as_their_administrators_like",
    names_of_smb,
)];

/// Names, each with the same name in another spelling and its directory on the host.
const NAMES: [(&str, &str, &str); 5] = [
    ("HR", "hr", "hr"),
    ("it", "IT", "it"),
    ("Public", "PUBLIC", "public"),
    ("Human Resources", "human RESOURCES", "human resources"),
    (
        "Öffentlich (neu) & $(id)",
        "ÖFFENTLICH (NEU) & $(ID)",
        "öffentlich (neu) & $(id)",
    ),
];

/// F12: shares of such names are made, opened in any case, measured, revoked, and made again.
fn names_of_smb(scene: &mut Scene) -> Result<(), Failure> {
    for (name, _, _) in NAMES {
        scene.share(name)?;
    }
    let size = [
        "share",
        "set-quota",
        "acct1/human resources",
        "--quota",
        "1GiB",
    ];
    scene.admin(&size).ok()?;
    for (name, other, directory) in NAMES {
        opened(scene, name, other, directory)?;
        let again = format!("acct1/{other}");
        let refused = scene.admin(&["share", "create", &again]).refused(1)?;
        refused.says("already exists")?;
    }
    let shown = scene
        .admin(&["-o", "json", "share", "list", "acct1"])
        .ok()?;
    for (name, other, _) in NAMES {
        shown.says(&format!("\"{name}\""))?;
        shown.does_not_say(&format!("\"{other}\""))?;
    }
    for bad in [
        "global",
        "IPC$",
        "..",
        "a%S",
        "a:b",
        ".new-hr",
        "a\u{202e}b",
    ] {
        let full = format!("acct1/{bad}");
        let refused = scene.admin(&["share", "create", &full]).output()?;
        if refused.code == Some(0) {
            return Err(refused.failure("was expected to be refused"));
        }
    }
    revoked(scene)?;
    made_again(scene)
}

/// bob writes to a share and reads it in another spelling; the file is in the directory that the guide names.
fn opened(scene: &Scene, name: &str, other: &str, directory: &str) -> Result<(), Failure> {
    scene.until_served("bob", name)?;
    scene.smbclient("bob", name, "mkdir here").ok()?;
    scene.smbclient("bob", other, "ls").ok()?.says("here")?;
    match scene.on_disk(directory, "here").is_dir() {
        true => Ok(()),
        false => Err(Failure::new(format!("`{name}` is not in `{directory}`"))),
    }
}

/// What is taken away under one spelling is gone under each.
fn revoked(scene: &Scene) -> Result<(), Failure> {
    let words = ["share", "revoke", "acct1/HUMAN resources", "--from", "bob"];
    scene.admin(&words).ok()?;
    for name in ["Human Resources", "human resources"] {
        let ls = scene.smbclient("bob", name, "ls");
        scene.until(&ls, "was expected to be refused", |output| {
            output.code == Some(1) && output.both().contains("NT_STATUS_ACCESS_DENIED")
        })?;
    }
    Ok(())
}

/// A deleted share that is created in another case has the new name, and its data.
fn made_again(scene: &Scene) -> Result<(), Failure> {
    let delete = ["share", "delete", "acct1/hr", "--yes"];
    scene.admin(&delete).ok()?;
    let ls = scene.smbclient("bob", "HR", "ls");
    scene.until(&ls, "was expected to be gone", |output| {
        output.both().contains("NT_STATUS_BAD_NETWORK_NAME")
    })?;
    scene.share("Hr")?;
    scene.until_served("bob", "Hr")?;
    scene.smbclient("bob", "HR", "ls").ok()?.says("here")?;
    let shown = scene
        .admin(&["-o", "json", "share", "list", "acct1"])
        .ok()?;
    shown.says("\"Hr\"").map(drop)
}
