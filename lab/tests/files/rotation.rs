//! The account's keys change while clients write without pause: no error, no dropped session, every file as it was written.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use crossrealm_lab::story::SPN;
use crossrealm_lab::{Failure, Output, PATIENCE, Place, Run, Service};
use serde_json::Value;

use super::Test;
use super::clients;
use super::scene::{CHANGE_LIMIT, Scene};

/// Name and test.
pub(crate) const TESTS: &[(&str, Test)] = &[
    ("keys_rotate_while_four_users_write", rotation),
    ("a_key_that_a_host_lacks_encrypts_no_ticket", held_back),
];

const SHARE: &str = "rotation";
/// Both keys, and back again.
const ROTATIONS: [&str; 4] = ["kerb1", "kerb2", "kerb1", "kerb2"];
/// How often the keys are rotated without a pause.
const QUICK: usize = 6;
/// The port of the host that is held back.
const HELD_PORT: u16 = 1449;
/// The fewest files that each writer has to have written for the test to mean anything.
const FEWEST: usize = 5;

/// Each round has a fresh ticket and a session of its own. `$1` is the file that ends it, `$2` the folder in the share.
const FRESH: &str = r#"
n=0
while [ ! -e "$1" ]; do
  name=$(printf 'w%05d' $n)
  cp "$TGT" "$OWN" && head -c 20000 /dev/urandom >"$LOCAL" || exit 1
  kvno "$SPN" >/dev/null || { echo "FAILED kvno $name"; exit 1; }
  smbclient "$SHARE" --use-kerberos=required --use-krb5-ccache="$OWN" -c "put $LOCAL $2\\$name" || { echo "FAILED put $name"; exit 1; }
  echo "$name $(sha256sum <"$LOCAL" | cut -d' ' -f1)"
  n=$((n+1))
done
echo ended
"#;

/// One session for all of it. smbclient takes its commands from a pipe, and says what it could not do.
const OPEN: &str = r#"
( n=0
  while [ ! -e "$1" ]; do
    name=$(printf 'w%05d' $n)
    head -c 20000 /dev/urandom >"$LOCAL-$name" || exit 1
    echo "put $LOCAL-$name $2\\$name"
    echo "$name $(sha256sum <"$LOCAL-$name" | cut -d' ' -f1)" >&2
    n=$((n+1))
    sleep 0.05
  done ) | smbclient "$SHARE" --use-kerberos=required --use-krb5-ccache="$OWN" >"$LOCAL.log" 2>&1 || echo FAILED session
grep NT_STATUS "$LOCAL.log"
echo ended
"#;

fn rotation(scene: &mut Scene) -> Result<(), Failure> {
    scene.share(SHARE)?;
    scene.grant(SHARE, "Sales", "contributor")?;
    scene.until_served("alice", SHARE)?;
    // A ticket from before all of it, to be used after it.
    scene.sign_in("alice")?;
    let early = scene.story.world.path(Place::Client, "early.ccache");
    fs::copy(
        scene.story.world.path(Place::Client, "alice.ccache"),
        &early,
    )?;
    // The sign-in alone, for those who fetch a fresh ticket each time.
    let conf = scene.story.krb5_conf();
    scene.story.world.kinit("alice", "tgt.ccache", &conf)?;
    let stop = scene.story.world.path(Place::Client, "stop-writing");
    let mut writers = start(scene, &stop)?;
    let rotated = all_keys(scene, &mut writers).and_then(|()| quickly(scene, &mut writers));
    fs::write(&stop, "")?;
    for writer in &mut writers {
        writer.wait_for_line("ended", CHANGE_LIMIT)?;
    }
    rotated?;
    for (number, writer) in writers.iter().enumerate() {
        intact(scene, number, writer).map_err(|failure| failure.with(writer.log_tail()))?;
    }
    let ls = scene.smbclient("early", SHARE, "ls");
    ls.ok()?.says("w0")?;
    scene.sign_in("alice")?;
    scene.until_served("alice", SHARE)
}

/// Two writers with one session each, of two kinds of client, and two with a fresh ticket for every file.
fn start(scene: &Scene, stop: &PathBuf) -> Result<Vec<Service>, Failure> {
    let python = clients::python()?;
    let mut writers = Vec::new();
    for number in 0..4 {
        let folder = format!("w{number}");
        let mkdir = format!("mkdir {folder}");
        scene.smbclient("alice", SHARE, &mkdir).ok()?;
        let run = match (number, &python) {
            (0, Some(python)) => clients::client(scene, python, "alice", SHARE)
                .args(["x", "--writer"])
                .arg(stop)
                .arg(&folder),
            (0 | 1, _) => shell(scene, OPEN, number, stop, &folder),
            _ => shell(scene, FRESH, number, stop, &folder),
        };
        let name = format!("writer {number}");
        writers.push(scene.story.world.service(Place::Client, &name, &run)?);
    }
    for writer in &mut writers {
        writer.wait_for_line("w00001 ", CHANGE_LIMIT)?;
    }
    Ok(writers)
}

fn shell(scene: &Scene, script: &str, number: usize, stop: &PathBuf, folder: &str) -> Run {
    let path = |file: String| scene.story.world.path(Place::Client, &file);
    let own = format!("writer{number}.ccache");
    // The first session of a writer needs a ticket too.
    let _ = fs::copy(path("alice.ccache".into()), path(own.clone()));
    scene
        .story
        .user(&format!("writer{number}"), "sh")
        .args(["-c", script, "sh"])
        .arg(stop)
        .arg(folder)
        .env("SPN", SPN)
        .env(
            "SHARE",
            format!("//{}/{SHARE}", crossrealm_lab::story::FILES_HOST),
        )
        .env("TGT", path("tgt.ccache".into()))
        .env("OWN", path(own))
        .env("LOCAL", path(format!("writer{number}.bin")))
}

/// Rotates the keys one after the other; waits each time until the host has the new key and every writer wrote with it.
fn all_keys(scene: &Scene, writers: &mut [Service]) -> Result<(), Failure> {
    for key in ROTATIONS {
        let marks: Vec<u64> = writers.iter().map(Service::log_mark).collect();
        let rotated = rotate(scene, key).ok()?;
        let newest = newest(&rotated)?;
        until_written(writers, &marks, || host_has(scene, newest))
            .map_err(|failure| failure.with(format!("after the rotation of {key}")))?;
    }
    Ok(())
}

/// Waits until every writer wrote since its mark, and `also` holds.
fn until_written(
    writers: &mut [Service],
    marks: &[u64],
    also: impl Fn() -> Result<bool, Failure>,
) -> Result<(), Failure> {
    let began = Instant::now();
    while !wrote_on(writers, marks) || !also()? {
        if let Some(writer) = writers
            .iter_mut()
            .find_map(|writer| writer.ended().map(|_| writer))
        {
            return Err(Failure::new("a writer ended").with(writer.log_tail()));
        }
        if began.elapsed() > CHANGE_LIMIT {
            let tails = writers.iter().map(Service::log_tail);
            return Err(tails.fold(Failure::new("not everybody wrote on"), Failure::with));
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    Ok(())
}

fn rotate(scene: &Scene, key: &str) -> Run {
    let words = ["storage-account", "rotate-key", "acct1", "--key", key];
    scene.admin(&["-o", "json"]).args(words)
}

/// Rotates one key and the other as fast as the service lets it be done, and waits for nothing but that.
fn quickly(scene: &Scene, writers: &mut [Service]) -> Result<(), Failure> {
    let marks: Vec<u64> = writers.iter().map(Service::log_mark).collect();
    let refused = Cell::new(0);
    for key in ["kerb1", "kerb2"].into_iter().cycle().take(QUICK) {
        scene.until(&rotate(scene, key), "was expected to be done", |output| {
            let done = output.code == Some(0);
            refused.set(refused.get() + u32::from(!done));
            done
        })?;
    }
    let refused = refused.get();
    println!("{QUICK} rotations in a row were refused {refused} times before they were made");
    until_written(writers, &marks, || Ok(true))
}

/// A second host is stopped, so that no key reaches it, and it still counts as one that serves.
fn held_back(scene: &mut Scene) -> Result<(), Failure> {
    let run = scene.story.files_serve("acct1", "held")?;
    let run = run.args(["--name", "held"]);
    let run = run.arg("--listen").arg(format!("10.77.2.1:{HELD_PORT}"));
    let run = run
        .arg("--data")
        .arg(scene.story.world.path(Place::Cloud, "held-files"));
    let mut host = scene.story.world.service(Place::Cloud, "held host", &run)?;
    host.wait_for_line("serving acct1", CHANGE_LIMIT)?;
    let outcome = beside_a_held_host(scene, &host).map_err(|failure| failure.with(host.log_tail()));
    host.signal("CONT");
    let stopped = host.stop(PATIENCE);
    outcome.and(stopped)
}

fn beside_a_held_host(scene: &Scene, host: &Service) -> Result<(), Failure> {
    let share = "held";
    scene.share(share)?;
    let ls = scene.smbclient("bob", share, "ls");
    let ls = ls.args(["-p", &HELD_PORT.to_string()]);
    let done = |output: &Output| output.code == Some(0);
    scene.until(&ls, "was expected to be served", done)?;
    let known = newest(&scene.until(&rotate(scene, "kerb1"), "was expected to be done", done)?)?;
    let waiting = "was expected to tell of the new key on both hosts";
    let hosts = scene.admin(&["-o", "json", "storage-account", "hosts", "acct1"]);
    scene.until(&hosts, waiting, |output| holders(output, known) == 2)?;
    host.signal("STOP");
    // Both have the key that seals now; the new one reaches the first host alone.
    let lacking = newest(&rotate(scene, "kerb2").ok()?)?;
    let waiting = "was expected to tell of the new key on one host";
    scene.until(&hosts, waiting, |output| holders(output, lacking) == 1)?;
    let refused = rotate(scene, "kerb1").refused(1)?;
    refused.says("host `held` of storage account `acct1`")?;
    refused
        .says(&format!("not kvno {lacking}"))?
        .says("--force")?;
    scene.sign_in("bob")?;
    ls.ok()?;
    host.signal("CONT");
    scene.until(&rotate(scene, "kerb1"), "was expected to be done", done)?;
    // A ticket sealed with the key that the host lacked before.
    scene.sign_in("bob")?;
    ls.ok().map(drop)
}

/// The newest version of the keys in the answer to a rotation.
fn newest(rotated: &Output) -> Result<u64, Failure> {
    let keys = rotated.json()?["keys"].as_array().cloned();
    let kvnos = keys.iter().flatten().filter_map(|key| key["kvno"].as_u64());
    let newest = kvnos.max();
    newest.ok_or_else(|| rotated.failure("was expected to show keys"))
}

/// How many hosts of the list have a key of this version.
fn holders(hosts: &Output, kvno: u64) -> usize {
    let hosts = hosts
        .json()
        .ok()
        .and_then(|hosts| hosts.as_array().cloned());
    let has = |host: &&Value| {
        let kvnos = host["kvnos"].as_array().into_iter().flatten();
        kvnos.into_iter().any(|known| *known == kvno)
    };
    hosts.iter().flatten().filter(has).count()
}

/// Whether each writer wrote two files since its mark.
fn wrote_on(writers: &[Service], marks: &[u64]) -> bool {
    let mut wrote = writers.iter().zip(marks);
    wrote.all(|(writer, mark)| files(&writer.log_from(*mark)).len() >= 2)
}

/// Whether the host reports a key of this version in its keytab.
fn host_has(scene: &Scene, kvno: u64) -> Result<bool, Failure> {
    let show = scene.admin(&["-o", "json", "storage-account", "show", "acct1"]);
    let reported = show.ok()?.json()?;
    let kvnos = reported["hosts"][0]["kvnos"].as_array().cloned();
    Ok(kvnos.iter().flatten().any(|known| *known == kvno))
}

/// The files that a writer's log names, with their hashes.
fn files(log: &str) -> BTreeMap<String, String> {
    let lines = log.lines().filter_map(|line| line.split_once(' '));
    lines
        .filter(|(name, hash)| name.starts_with('w') && hash.len() == 64)
        .map(|(name, hash)| (name.to_owned(), hash.to_owned()))
        .collect()
}

/// Every file that a writer wrote is on the host's disk with its hash, and the writer met no error.
fn intact(scene: &Scene, number: usize, writer: &Service) -> Result<(), Failure> {
    let log = writer.log_from(0);
    for bad in [
        "FAILED",
        "NT_STATUS",
        "Traceback",
        "came back different",
        "onnection",
    ] {
        if log.contains(bad) {
            return Err(Failure::new(format!("writer {number} met `{bad}`")));
        }
    }
    let files = files(&log);
    if files.len() < FEWEST {
        return Err(Failure::new(format!(
            "writer {number} wrote {} files only",
            files.len()
        )));
    }
    let folder = scene.on_disk(SHARE, &format!("w{number}"));
    let sums = Run::here("sh")
        .args(["-c", "cd \"$1\" && sha256sum *", "sh"])
        .arg(folder)
        .ok()?;
    let on_disk: BTreeMap<String, String> = sums
        .out()
        .lines()
        .filter_map(|line| line.split_once("  "))
        .map(|(hash, name)| (name.to_owned(), hash.to_owned()))
        .collect();
    match on_disk == files {
        true => {
            println!(
                "writer {number} wrote {} files without an error",
                files.len()
            );
            Ok(())
        }
        false => Err(Failure::new(format!(
            "writer {number}: {files:?}, but on disk {on_disk:?}"
        ))),
    }
}
