//! The files' own permissions: what a new share has, what is kept on disk, what is inherited, and that everybody's tools
//! change the same thing: Samba's `smbcacls`, SDDL by Samba's Python as Windows would send it, and `share acl`.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use crossrealm_lab::story::FILES_HOST;
use crossrealm_lab::{Failure, Output, Place, Run};
use serde_json::Value;

use super::Test;
use super::scene::Scene;

/// Name and test.
pub(crate) const TESTS: &[(&str, Test)] = &[
    ("a_new_share_has_the_root_permissions", root_permissions),
    ("files_and_folders_inherit", inheritance),
    ("smbcacls_and_sddl_edits_are_kept", edits),
    ("share_acl_sets_by_names", by_names),
    ("share_acl_renews_what_is_inherited", propagation),
    ("share_acl_never_leaves_the_share", never_leaves),
    ("a_host_token_is_enough_for_share_acl", host_token),
];

/// As in Azure Files: Administrators and SYSTEM full, Users read and execute, Authenticated Users modify, Creator
/// Owner full on what they create.
const ROOT: &str = "O:BAG:BAD:PAI(A;OICI;0x001f01ff;;;BA)(A;OICI;0x001f01ff;;;SY)(A;OICI;0x001200a9;;;BU)(A;OICI;0x001301bf;;;AU)(A;OICIIO;0x001f01ff;;;CO)";
const SHARE: &str = "acl-tests";

/// Samba's own reading of the attribute on disk.
const READ_ATTRIBUTE: &str = "
import sys
from samba.dcerpc import security, xattr
from samba.ndr import ndr_unpack
value = open('/dev/stdin', 'rb').read()
info = ndr_unpack(xattr.NTACL, value).info
sd = info if isinstance(info, security.descriptor) else info.sd
print(sd.as_sddl())
";

fn root_permissions(scene: &mut Scene) -> Result<(), Failure> {
    scene.share(SHARE)?;
    scene.grant(SHARE, "alice", "elevated-contributor")?;
    scene.until_served("alice", SHARE)?;
    is(scene, "/", ROOT)
}

/// The client, the disk as Samba reads it, and `share acl` all tell the same SDDL of a file.
fn is(scene: &Scene, file: &str, expected: &str) -> Result<(), Failure> {
    let alice = scene.story.world.sid_of("alice")?;
    let domain = alice.rsplit_once('-').map_or("", |(domain, _)| domain);
    let expected = expected.replace("ALICE", &alice).replace("DOMAIN", domain);
    let client = scene.smbcacls("alice", SHARE, &[file, "--sddl"]).ok()?;
    client.says_line(&expected)?;
    on_disk(scene, file)?.says_line(&expected)?;
    let own = shown(scene, file)?;
    match own["sddl"] == expected.as_str() {
        true => Ok(()),
        false => Err(Failure::new(format!(
            "`share acl` shows {own}, not {expected}"
        ))),
    }
}

fn on_disk(scene: &Scene, file: &str) -> Result<Output, Failure> {
    as_samba_reads_it(&scene.on_disk(SHARE, file.trim_start_matches('/')))
}

/// The permissions of a file on disk in SDDL, read by Samba's Python.
pub(crate) fn as_samba_reads_it(path: &Path) -> Result<Output, Failure> {
    let value = Run::here("getfattr").args(["--absolute-names", "--only-values", "-n"]);
    let value = value.arg("security.NTACL").arg(path).ok()?.stdout;
    let python = Run::here("/usr/bin/python3").args(["-c", READ_ATTRIBUTE]);
    python.stdin(value).ok()
}

/// `share acl` without a change, as JSON.
fn shown(scene: &Scene, file: &str) -> Result<Value, Failure> {
    let shown = acl(scene, file, &["-o", "json"]).ok()?.json()?;
    // F18.
    let wrong = crossrealm_testkit::json_times::times(&shown).wrong;
    match wrong.is_empty() {
        true => Ok(shown),
        false => Err(Failure::new(format!("times of another form: {wrong:?}"))),
    }
}

fn acl(scene: &Scene, file: &str, words: &[&str]) -> Run {
    let share = format!("acct1/{SHARE}");
    scene.on_host(&["share", "acl", &share, file]).args(words)
}

fn inheritance(scene: &mut Scene) -> Result<(), Failure> {
    let local = scene.story.world.write(Place::Client, "x.txt", "x")?;
    let put = format!("mkdir below; put {} below\\file.txt", local.display());
    scene.smbclient("alice", SHARE, &put).ok()?;
    is(
        scene,
        "/below",
        "O:ALICEG:DOMAIN-513D:AI(A;OICIID;0x001f01ff;;;BA)(A;OICIID;0x001f01ff;;;SY)(A;OICIID;0x001200a9;;;BU)(A;OICIID;0x001301bf;;;AU)(A;ID;0x001f01ff;;;ALICE)(A;OICIIOID;0x001f01ff;;;CO)",
    )?;
    is(
        scene,
        "/below/file.txt",
        "O:ALICEG:DOMAIN-513D:AI(A;ID;0x001f01ff;;;BA)(A;ID;0x001f01ff;;;SY)(A;ID;0x001200a9;;;BU)(A;ID;0x001301bf;;;AU)(A;ID;0x001f01ff;;;ALICE)",
    )
}

/// What Windows sends: a whole descriptor over SMB, by Samba's Python.
const SET_SDDL: &str = "
import sys
from samba.credentials import Credentials, MUST_USE_KERBEROS
from samba.dcerpc import security
from samba.param import LoadParm
from samba.samba3 import libsmb_samba_internal as libsmb, param as s3param
host, share, file, text = sys.argv[1:]
lp = LoadParm(); lp.load_default()
lp3 = s3param.get_context(); lp3.load_default()
creds = Credentials(); creds.guess(lp); creds.set_kerberos_state(MUST_USE_KERBEROS)
conn = libsmb.Conn(host, share, lp3, creds)
dom = security.dom_sid('S-1-5-21-1-2-3')
sd = security.descriptor.from_sddl(text, dom)
conn.set_acl(file, sd, security.SECINFO_DACL | security.SECINFO_PROTECTED_DACL)
print(conn.get_acl(file, security.SECINFO_OWNER | security.SECINFO_GROUP | security.SECINFO_DACL).as_sddl())
";

/// A whole list for `below\file.txt`, sent by a user.
fn windows(scene: &Scene, user: &str, list: &str) -> Run {
    let python = scene.story.user(user, "/usr/bin/python3");
    python.args(["-c", SET_SDDL, FILES_HOST, SHARE, "below\\file.txt", list])
}

fn edits(scene: &mut Scene) -> Result<(), Failure> {
    let bob = scene.story.world.sid_of("bob")?;
    let add = format!("ACL:{bob}:DENIED/0x0/0x00000002");
    let file = "/below/file.txt";
    scene
        .smbcacls("alice", SHARE, &[file, "--add", &add])
        .ok()?;
    let reported = shown(scene, file)?;
    let first = &reported["entries"][0];
    let expected = ("deny", "bob@corp.contoso.com", "write-data", false);
    let seen = (
        first["type"].as_str().unwrap_or_default(),
        first["name"].as_str().unwrap_or_default(),
        first["rights"].as_str().unwrap_or_default(),
        first["inherited"].as_bool().unwrap_or(true),
    );
    if seen != expected {
        return Err(Failure::new(format!("`share acl` shows {reported}")));
    }
    let delete = format!("ACL:{bob}:DENIED/0x0/0x00000002");
    let delete = ["--delete", &delete];
    scene
        .smbcacls("alice", SHARE, &[&[file][..], &delete].concat())
        .ok()?;
    // A whole list as Windows sends it, protected from inheritance.
    let alice = scene.story.world.sid_of("alice")?;
    let list = format!("D:P(A;;0x001f01ff;;;{alice})(A;;0x001200a9;;;{bob})");
    windows(scene, "alice", &list).ok()?.says(&bob)?;
    is(
        scene,
        file,
        &format!("O:ALICEG:DOMAIN-513D:P(A;;0x001f01ff;;;ALICE)(A;;0x001200a9;;;{bob})"),
    )
}

fn by_names(scene: &mut Scene) -> Result<(), Failure> {
    let file = "/below/file.txt";
    let before = scene.attribute(SHARE, "below/file.txt")?;
    let grant = [
        "--grant",
        r"CORP\Sales:modify",
        "--owner",
        "bob@corp.contoso.com",
    ];
    let dry = acl(scene, file, &[&grant[..], &["--dry-run"]].concat());
    dry.ok()?.says("nothing was changed")?.says("CORP\\Sales")?;
    // What cannot be done changes nothing.
    for (words, says) in [
        (
            &["--grant", "NoSuchGroup:modify"][..],
            "no single user or group `NoSuchGroup`",
        ),
        (&["--revoke", "AllStaff"], "there is no entry of"),
        (&["--grant", "Sales:modify:all"], "is a file"),
        (&["--sddl", "D:(A;;FA;;;DU)"], "`DU` is not a SID"),
        (&["--propagate"], "is a file"),
        (
            &["--grant", "Sales:modify", "--grant", "NoSuchGroup:read"],
            "NoSuchGroup",
        ),
    ] {
        let refused = acl(scene, file, words).refused(1)?;
        refused.says("error: ")?.says(says)?.says("hint: ")?;
    }
    for (words, says) in [
        (
            &["--grant", "Sales:everything"][..],
            "unknown rights `everything`",
        ),
        (&["--grant", "Sales"], "expected `PRINCIPAL:RIGHTS`"),
        (
            &["--sddl", "D:", "--grant", "Sales:read"],
            "cannot be used with",
        ),
    ] {
        acl(scene, file, words).refused(2)?.says(says)?;
    }
    if scene.attribute(SHARE, "below/file.txt")? != before {
        return Err(Failure::new("the permissions changed on disk"));
    }
    acl(scene, file, &grant).ok()?;
    let (bob, sales) = (
        scene.story.world.sid_of("bob")?,
        scene.story.world.sid_of("Sales")?,
    );
    let list = format!("(A;;0x001f01ff;;;ALICE)(A;;0x001200a9;;;{bob})(A;;0x001301bf;;;{sales})");
    is(scene, file, &format!("O:{bob}G:DOMAIN-513D:P{list}"))?;
    acl(scene, file, &["--revoke", "Sales", "--revoke", &bob]).ok()?;
    is(
        scene,
        file,
        &format!("O:{bob}G:DOMAIN-513D:P(A;;0x001f01ff;;;ALICE)"),
    )?;
    acl(scene, file, &["--sddl", "D:PAI(A;;FA;;;AU)"]).ok()?;
    is(
        scene,
        file,
        &format!("O:{bob}G:DOMAIN-513D:PAI(A;;0x001f01ff;;;AU)"),
    )?;
    // An owner may change the permissions even where no entry says so; others may not.
    acl(scene, file, &["--sddl", "D:P(A;;FA;;;BA)"]).ok()?;
    let everyone = "D:P(A;;0x001f01ff;;;AU)";
    windows(scene, "alice", everyone)
        .refused(1)?
        .says("Access Denied")?;
    windows(scene, "bob", everyone).ok()?;
    is(
        scene,
        file,
        &format!("O:{bob}G:DOMAIN-513D:P(A;;0x001f01ff;;;AU)"),
    )?;
    // The table says what the JSON says.
    let (table, json) = (acl(scene, file, &[]).ok()?, shown(scene, file)?);
    table
        .says("bob@corp.contoso.com")?
        .says("Authenticated Users")?;
    table.says(json["sddl"].as_str().unwrap_or("?")).map(drop)
}

fn propagation(scene: &mut Scene) -> Result<(), Failure> {
    let local = scene.story.world.write(Place::Client, "x.txt", "x")?;
    let local = local.display();
    let put = format!(
        "mkdir tree; mkdir tree\\a; mkdir tree\\own; put {local} tree\\a\\1; put {local} tree\\own\\2"
    );
    scene.smbclient("alice", SHARE, &put).ok()?;
    acl(scene, "/tree/own", &["--inherit", "no"]).ok()?;
    let grant = ["--grant", "AllStaff:read-execute", "--propagate"];
    let dry = acl(scene, "/tree", &[&grant[..], &["--dry-run"]].concat());
    dry.ok()?.says("2 files and folders below would change")?;
    acl(scene, "/tree", &grant)
        .ok()?
        .says("updated what 2 files and folders")?;
    let group = scene.story.world.sid_of("AllStaff")?;
    for (file, expected) in [
        ("/tree", 1),
        ("/tree/a", 1),
        ("/tree/a/1", 1),
        ("/tree/own", 0),
        ("/tree/own/2", 0),
    ] {
        let reported = shown(scene, file)?;
        let entries = reported["entries"].as_array().into_iter().flatten();
        let found: Vec<&Value> = entries
            .filter(|entry| entry["sid"] == group.as_str())
            .collect();
        if found.len() != expected || found.iter().any(|e| e["inherited"] != (file != "/tree")) {
            return Err(Failure::new(format!("{file}: {reported}")));
        }
    }
    // What is renewed is what smbd itself gives to a file that is made now.
    scene
        .smbclient("alice", SHARE, &format!("put {local} tree\\a\\new"))
        .ok()?;
    let (renewed, fresh) = (shown(scene, "/tree/a/1")?, shown(scene, "/tree/a/new")?);
    if renewed["sddl"] != fresh["sddl"] {
        return Err(Failure::new(format!(
            "renewed {renewed}, but fresh {fresh}"
        )));
    }
    acl(scene, "/tree", &["--revoke", "AllStaff", "--propagate"])
        .ok()
        .map(drop)
}

fn never_leaves(scene: &mut Scene) -> Result<(), Failure> {
    let outside = scene.story.world.path(Place::Cloud, "outside");
    fs::write(&outside, "secret")?;
    let link = |target: &Path, name: &str| -> Result<PathBuf, Failure> {
        let link = scene.on_disk(SHARE, name);
        symlink(target, &link)?;
        Ok(link)
    };
    let links = [link(&outside, "out")?, link(Path::new("below"), "in")?];
    for (path, says) in [
        ("/out", "contains a symbolic link"),
        ("/in/file.txt", "contains a symbolic link"),
        ("../acl-tests", "is not a path in a share"),
        ("below/../../projects", "is not a path in a share"),
        ("/gone", "there is no `/gone`"),
    ] {
        for words in [&[][..], &["--grant", "Everyone:full"]] {
            acl(scene, path, words)
                .refused(1)?
                .says(says)?
                .says("hint: ")?;
        }
    }
    for link in links {
        fs::remove_file(link)?;
    }
    let none = Run::here("getfattr")
        .args(["-n", "security.NTACL"])
        .arg(&outside);
    none.refused(1)?.says("No such attribute")?;
    for (share, says) in [
        ("acct1/.host", "`.host` is not the name of a share"),
        (
            ".host/acct1",
            "`.host` is not the name of a storage account",
        ),
        (
            "ACCT1/projects",
            "`ACCT1` is not the name of a storage account",
        ),
    ] {
        let run = scene.on_host(&["share", "acl", share, "/"]);
        run.refused(1)?.says(says)?;
    }
    // A file that was put there beside SMB has no permissions of its own.
    let beside = scene.on_disk(SHARE, "beside");
    fs::write(&beside, "x")?;
    acl(scene, "/beside", &[])
        .refused(1)?
        .says("has no Windows permissions")?
        .says("--sddl")?;
    let list = ["--sddl", "O:BAG:BAD:PAI(A;;FA;;;AU)"];
    acl(scene, "/beside", &list).ok()?;
    scene.smbclient("alice", SHARE, "del beside").ok()?;
    match beside.exists() {
        false => Ok(()),
        true => Err(Failure::new("alice could not delete what she was given")),
    }
}

/// The token of the host shows and sets permissions by names; it can give nobody a role.
fn host_token(scene: &mut Scene) -> Result<(), Failure> {
    let token = scene.story.world.path(Place::Cloud, "acct1.token");
    let words = ["storage-account", "host-token", "acct1", "--for", "files1"];
    let made = scene
        .story
        .crossrealm(Place::Cloud)
        .args(words)
        .arg("--out");
    made.arg(&token).ok()?;
    let own = |run: Run| {
        run.env("CROSSREALM_TOKEN", "")
            .arg("--token-file")
            .arg(&token)
    };
    let grant = ["--grant", "CORP\\AllStaff:read", "--dry-run"];
    own(acl(scene, "/", &grant)).ok()?.says("CORP\\AllStaff")?;
    own(acl(scene, "/below", &[]))
        .ok()?
        .says("alice@corp.contoso.com")?;
    let words = [
        "share",
        "grant",
        "acct1/acl-tests",
        "--to",
        "bob",
        "--role",
        "reader",
    ];
    let role = scene.story.crossrealm(Place::Cloud).args(words);
    own(role).refused(1)?.says("error: ").map(drop)
}
