//! Not only ours: a plain smbd that somebody set up by hand, with an exported keytab, as `docs/guide/shares.md` shows.
//!
//! It does not insist on encryption, as the product's host does. So it is also where those of smbtorture's tests are run
//! that need sessions without it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crossrealm_lab::story::{CLOUD_REALM, FILES_HOST};
use crossrealm_lab::{Failure, PATIENCE, Place, Run, Service};

use super::Test;
use super::scene::{CHANGE_LIMIT, Scene};
use super::torture;

/// Name and test.
pub(crate) const TESTS: &[(&str, Test)] = &[("a_plain_smbd_takes_an_exported_keytab", foreign)];

/// Beside the product's host on the same machine.
const PORT: &str = "1445";

/// Sets the server up as its administrator would; ends with the server. `$1` is its folder, `$2` the tenant's domain SID.
const SET_UP: &str = r#"
set -e
sed -E 's/^(passwd|group):.*/\1: files winbind/' /etc/nsswitch.conf >"$1/nsswitch.conf"
mount --bind "$1/nsswitch.conf" /etc/nsswitch.conf
mkdir -p /run/samba/winbindd
net -s "$1/smb.conf" setdomainsid "$2"
winbindd -s "$1/smb.conf" -F --no-process-group &
until wbinfo --ping >/dev/null 2>&1; do sleep 0.1; done
exec smbd -s "$1/smb.conf" -F --no-process-group
"#;

fn foreign(scene: &mut Scene) -> Result<(), Failure> {
    let folder = scene.story.world.path(Place::Cloud, "foreign");
    let data = folder.join("data");
    fs::create_dir_all(&data)?;
    fs::set_permissions(&data, fs::Permissions::from_mode(0o1777))?;
    let keytab = folder.join("keytab");
    exported(scene, &keytab)?;
    let server = start(scene, &folder, &keytab)?;
    let outcome = serves_alice(scene, &data)
        .and_then(|()| torture::without_encryption(scene, &["-p", PORT]))
        .map_err(|failure| failure.with(server.log_tail()));
    drop(server);
    outcome
}

/// The export of the keys is an event that names who had them.
fn exported(scene: &Scene, keytab: &Path) -> Result<(), Failure> {
    let mark = scene.story.event_mark()?;
    let run = scene.story.crossrealm(Place::Cloud);
    let run = run.args(["storage-account", "keytab", "acct1", "--out"]);
    run.arg(keytab).ok()?;
    let mode = fs::metadata(keytab)?.permissions().mode() & 0o777;
    if mode != 0o600 {
        return Err(Failure::new(format!("the keytab has mode {mode:o}")));
    }
    let events = scene
        .admin(&["-o", "json", "events", "--since", "1h"])
        .ok()?;
    let reported = events.json()?;
    let mut fresh = reported
        .as_array()
        .into_iter()
        .flatten()
        .filter(|event| event["sequence"].as_i64() > Some(mark) && event["target"] == "acct1");
    match fresh.any(|event| event["action"] == "storage-account.keytab") {
        true => Ok(()),
        false => Err(events.failure("was expected to tell of the export of acct1's keys")),
    }
}

fn start(scene: &Scene, folder: &Path, keytab: &Path) -> Result<Service, Failure> {
    let tenant = scene
        .admin(&["-o", "json", "tenant", "show", "contoso"])
        .ok()?;
    let tenant = tenant.json()?;
    let text = |name: &str| tenant[name].as_str().unwrap_or_default().to_owned();
    let here = folder.display();
    for name in ["private", "state", "cache", "lock", "pid", "ncalrpc"] {
        fs::create_dir(folder.join(name))?;
    }
    let conf = format!(
        "[global]\n\
         security = ads\n\
         realm = {CLOUD_REALM}\n\
         workgroup = {flat_name}\n\
         netbios name = ELSEWHERE\n\
         kerberos method = dedicated keytab\n\
         dedicated keytab file = {keytab}\n\
         server min protocol = SMB3_00\n\
         ntlm auth = disabled\n\
         map to guest = never\n\
         disable netbios = yes\n\
         smb ports = {PORT}\n\
         idmap config * : backend = autorid\n\
         idmap config * : range = 100000-1999999\n\
         winbind offline logon = yes\n\
         winbind scan trusted domains = no\n\
         load printers = no\n\
         vfs objects = acl_xattr\n\
         acl_xattr:ignore system acls = yes\n\
         private dir = {here}/private\n\
         state directory = {here}/state\n\
         cache directory = {here}/cache\n\
         lock directory = {here}/lock\n\
         pid directory = {here}/pid\n\
         ncalrpc dir = {here}/ncalrpc\n\
         log file = {here}/log.samba\n\
         [data]\n\
         path = {here}/data\n\
         read only = no\n",
        flat_name = text("flat_name"),
        keytab = keytab.display(),
    );
    fs::write(folder.join("smb.conf"), conf)?;
    let run = scene
        .story
        .world
        .at(Place::Cloud, "sh")
        .args(["-c", SET_UP, "sh"]);
    let run = run.arg(folder).arg(text("sid"));
    let mut server = scene
        .story
        .world
        .service(Place::Cloud, "plain smbd", &run)?;
    let port = PORT.parse().unwrap_or_default();
    server.wait_for_ports(&[port], PATIENCE)?;
    Ok(server)
}

/// `smbclient` of a user on the plain server.
fn smbclient(scene: &Scene, user: &str, commands: &str) -> Run {
    scene.smbclient(user, "data", commands).args(["-p", PORT])
}

fn serves_alice(scene: &Scene, data: &Path) -> Result<(), Failure> {
    let local = scene
        .story
        .world
        .write(Place::Client, "elsewhere.txt", "by alice")?;
    let put = format!("put {} elsewhere.txt", local.display());
    let put = smbclient(scene, "alice", &put);
    let what = "was expected to be served by the plain smbd";
    scene.until(&put, what, |output| output.code == Some(0))?;
    if fs::read(data.join("elsewhere.txt"))? != b"by alice" {
        return Err(Failure::new("the file is not as alice wrote it"));
    }
    let owner = format!("Owner SID:\t{}", scene.story.world.sid_of("alice")?);
    let acl = smbclient(scene, "alice", "showacls; ls elsewhere.txt");
    acl.ok()?.says(&owner)?;
    // Without a ticket there is no way in.
    let bare = scene.story.world.at(Place::Client, "smbclient");
    let bare = bare.args([
        &format!("//{FILES_HOST}/data"),
        "-p",
        PORT,
        "-N",
        "-c",
        "ls",
    ]);
    bare.timeout(CHANGE_LIMIT).refused(1).map(drop)
}
