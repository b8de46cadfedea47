//! A host that runs while things change around it: a role that is taken away under an open connection, and a second host
//! on the same data.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crossrealm_lab::story::FILES_HOST;
use crossrealm_lab::{Failure, PATIENCE, Place, Run, Service};

use super::Test;
use super::permissions;
use super::scene::{CHANGE_LIMIT, Scene};

/// Name and test.
pub(crate) const TESTS: &[(&str, Test)] = &[
    ("a_revoked_role_ends_open_connections", revoked),
    (
        "two_hosts_agree_on_owners_and_never_serve_one_folder",
        two_hosts,
    ),
];

const SHARE: &str = "open";
pub(super) const SECOND: &str = "1447";

/// One session that gives the same command again and again; what smbclient says is the log, line by
/// line. `$1` ends it, `$2` is the command.
const REPEATS: &str = r#"
( while [ ! -e "$1" ]; do echo "$2"; sleep 0.1; done ) |
  stdbuf -oL smbclient "$SHARE" --use-kerberos=required --use-krb5-ccache="$CCACHE" 2>&1
echo ended
"#;

fn revoked(scene: &mut Scene) -> Result<(), Failure> {
    scene.share(SHARE)?;
    scene.until_served("bob", SHARE)?;
    let stop = scene.story.world.path(Place::Client, "stop-open");
    let mut bob = writes(scene, "bob", SHARE, "bob writes", &stop)?;
    for (name, change) in [
        (
            "revoked",
            &["share", "revoke", "acct1/open", "--from", "Sales"][..],
        ),
        (
            "made a lesser one",
            &[
                "share",
                "grant",
                "acct1/open",
                "--to",
                "Sales",
                "--role",
                "reader",
            ],
        ),
    ] {
        scene.grant(SHARE, "Sales", "contributor")?;
        scene.until_served("alice", SHARE)?;
        let alice = writes(scene, "alice", SHARE, &format!("alice {name}"), &stop)?;
        scene.admin(change).ok()?;
        let took = ended(&alice)?;
        println!(
            "a role was {name}: the open connection ended after {} ms",
            took.as_millis()
        );
    }
    // Users who kept the role noticed nothing.
    fs::write(&stop, "")?;
    bob.wait_for_line("ended", CHANGE_LIMIT)?;
    match bob.log_from(0).contains("NT_STATUS") {
        false => Ok(()),
        true => Err(Failure::new("bob was disturbed").with(bob.log_tail())),
    }
}

/// A session of a user that writes to a share without pause, once it has begun to. Each has a name, and a log, of its own.
pub(super) fn writes(
    scene: &Scene,
    user: &str,
    share: &str,
    name: &str,
    stop: &Path,
) -> Result<Service, Failure> {
    let local = scene.story.world.write(Place::Client, "open.txt", "open")?;
    let put = format!("put {} {user}.txt", local.display());
    let mut service = repeats(scene, user, share, (name, &put), stop)?;
    service.wait_for_line("putting file", CHANGE_LIMIT)?;
    Ok(service)
}

/// A session of a user that gives a command of smbclient without pause, under a name of its own.
pub(super) fn repeats(
    scene: &Scene,
    user: &str,
    share: &str,
    (name, command): (&str, &str),
    stop: &Path,
) -> Result<Service, Failure> {
    let ccache = scene
        .story
        .world
        .path(Place::Client, &format!("{user}.ccache"));
    let run = scene.story.user(user, "sh").args(["-c", REPEATS, "sh"]);
    let run = run.arg(stop).arg(command);
    let run = run
        .env("SHARE", format!("//{FILES_HOST}/{share}"))
        .env("CCACHE", ccache);
    scene.story.world.service(Place::Client, name, &run)
}

/// Waits until the session writes no more, and makes sure that it stays so. Returns how long it took.
pub(super) fn ended(service: &Service) -> Result<Duration, Failure> {
    let began = Instant::now();
    while !service.log_from(0).contains("NT_STATUS") {
        if began.elapsed() > CHANGE_LIMIT {
            let what = "the open connection still writes";
            return Err(Failure::new(what).with(service.log_tail()));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    let took = began.elapsed();
    let mark = service.log_mark();
    // It goes on trying several times a second.
    while service.log_from(mark).matches("NT_STATUS").count() < 5 {
        if began.elapsed() > CHANGE_LIMIT {
            break;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    match service.log_from(mark).contains("putting file") {
        false => Ok(took),
        true => Err(Failure::new("the connection writes again").with(service.log_tail())),
    }
}

fn two_hosts(scene: &mut Scene) -> Result<(), Failure> {
    let share = "two-hosts";
    scene.share(share)?;
    scene.grant(share, "Sales", "contributor")?;
    second_host(scene, |scene| owners_agree(scene, share))
}

/// Has a second host with data of its own, at the port [`SECOND`], while something is done.
pub(super) fn second_host(
    scene: &mut Scene,
    done: impl FnOnce(&Scene) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let run = scene.story.files_serve("acct1", "second")?;
    let run = run.args(["--name", "second"]);
    let run = run.arg("--listen").arg(format!("10.77.2.1:{SECOND}"));
    refuses_the_data_of_the_first(scene, &run)?;
    let run = run.arg("--data").arg(second_data(scene));
    let mut second = scene
        .story
        .world
        .service(Place::Cloud, "second host", &run)?;
    second.wait_for_ports(&[SECOND.parse().unwrap_or_default()], PATIENCE)?;
    let outcome = done(scene).map_err(|failure| failure.with(second.log_tail()));
    let stopped = second.stop(PATIENCE);
    outcome.and(stopped)
}

/// The data of the second host.
pub(super) fn second_data(scene: &Scene) -> PathBuf {
    scene.story.world.path(Place::Cloud, "second-files")
}

/// smb-hosts 3: two hosts on one folder granted both what only one may, and corrupted files.
fn refuses_the_data_of_the_first(scene: &Scene, serve: &Run) -> Result<(), Failure> {
    let same = serve.clone().arg("--data").arg(scene.data());
    let refused = same.refused(1)?;
    let path = scene.data().join("acct1");
    refused.says(&format!("already uses `{}`", path.display()))?;
    Ok(())
}

/// The hosts meet the two users in opposite order, and the files of each have one owner: the SID, and the id below it.
fn owners_agree(scene: &Scene, share: &str) -> Result<(), Failure> {
    let local = scene.story.world.write(Place::Client, "two.txt", "two")?;
    let put = |user: &str, host: &str, file: &str| -> Result<(u32, u32), Failure> {
        let put = format!("put {} {file}", local.display());
        let data = match host {
            SECOND => second_data(scene),
            _ => scene.data(),
        };
        let on_disk = data.join("acct1/shares").join(share).join(file);
        let run = scene.smbclient(user, share, &put).args(["-p", host]);
        let what = "was expected to be served";
        scene.until(&run, what, |output| output.code == Some(0))?;
        let meta = fs::metadata(&on_disk)?;
        let owner = format!("O:{}G:", scene.story.world.sid_of(user)?);
        permissions::as_samba_reads_it(&on_disk)?.says(&owner)?;
        Ok((meta.uid(), meta.gid()))
    };
    let second = [
        put("bob", SECOND, "bob-2")?,
        put("alice", SECOND, "alice-2")?,
    ];
    let first = [put("bob", "445", "bob-1")?, put("alice", "445", "alice-1")?];
    if first != second || first[0].0 == first[1].0 {
        return Err(Failure::new(format!(
            "bob and alice are {first:?} on one host, {second:?} on the other"
        )));
    }
    Ok(())
}

/// Waits for the session's end, and sees that nothing was refused.
pub(super) fn undisturbed(session: &mut Service) -> Result<(), Failure> {
    session.wait_for_line("ended", CHANGE_LIMIT)?;
    match session.log_from(0).contains("NT_STATUS") {
        false => Ok(()),
        true => Err(Failure::new("the session was disturbed").with(session.log_tail())),
    }
}
