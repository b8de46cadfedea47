//! What may change below a host that serves: a domain is added, a share is made again under its old name, the host is
//! killed while it keeps a copy of its state.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crossrealm_lab::story::{SERVER, TENANT};
use crossrealm_lab::{Failure, Place, Run, Service};
use serde_json::json;

use super::Test;
use super::hosts::{ended, writes};
use super::scene::{CHANGE_LIMIT, Scene};

/// Name and test.
pub(crate) const TESTS: &[(&str, Test)] = &[
    ("a_domain_is_added_while_the_host_runs", added_domain),
    ("a_program_that_failed_is_run_again", failed_order),
    ("a_share_made_again_adopts_its_folder", made_again),
    ("a_host_killed_while_it_keeps_its_state_starts", killed),
];

const SECOND_DOMAIN: &str = "second.contoso.com";
const SECOND_SID: &str = "S-1-5-21-444-555-666";
/// Ids of one range, and where those of AD domains begin: docs/guide/smb-host.md.
const RANGE: u32 = 1_000_000;
const FIRST_ID: u32 = 100_000_000 + 8 * RANGE;
const OF_EACH_DOMAIN: u32 = 4 * RANGE;

/// The port of the host that is killed, and how often that is.
const KILLED_PORT: u16 = 1448;
const KILLS: u64 = 6;

fn added_domain(scene: &mut Scene) -> Result<(), Failure> {
    let share = "domains";
    scene.share(share)?;
    scene.until_served("bob", share)?;
    let stop = scene.story.world.path(Place::Client, "stop-domains");
    let mut bob = writes(scene, "bob", share, "bob through a new domain", &stop)?;
    add_domain(scene)?;
    let carol = format!("carol@{SECOND_DOMAIN}");
    scene.grant(share, &carol, "contributor")?;
    let expected = FIRST_ID + OF_EACH_DOMAIN + 1234;
    let ask = inside_host(scene, "wbinfo")?.args(["--sid-to-uid", &format!("{SECOND_SID}-1234")]);
    scene.until(
        &ask,
        "was expected to know the new domain's range",
        |output| output.out().trim() == expected.to_string(),
    )?;
    let grant = ["share", "acl", &format!("acct1/{share}"), "/"];
    scene
        .on_host(&grant)
        .args(["--grant", &format!("{carol}:modify")])
        .ok()?;
    scene
        .smbcacls("bob", share, &["/"])
        .ok()?
        .says(&format!("ACL:{SECOND_SID}-1234:ALLOWED/"))?;
    // The first domain's users have the ids they had, and the session that was open noticed nothing.
    let mark = bob.log_mark();
    let began = Instant::now();
    while bob.log_from(mark).matches("putting file").count() < 3 {
        if began.elapsed() > CHANGE_LIMIT {
            return Err(Failure::new("bob does not write on").with(bob.log_tail()));
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    fs::write(&stop, "")?;
    bob.wait_for_line("ended", CHANGE_LIMIT)?;
    if bob.log_from(0).contains("NT_STATUS") {
        return Err(Failure::new("bob was disturbed").with(bob.log_tail()));
    }
    let rid = scene.story.world.sid_of("bob")?;
    let rid = rid.rsplit('-').next().and_then(|rid| rid.parse().ok());
    let owner = fs::metadata(scene.on_disk(share, "bob.txt"))?.uid();
    match rid.map(|rid: u32| FIRST_ID + rid) {
        Some(wanted) if wanted == owner => Ok(()),
        wanted => Err(Failure::new(format!(
            "bob's file belongs to {owner}, not {wanted:?}"
        ))),
    }
}

/// Registers a second domain with one user, as that domain's sync agent would.
fn add_domain(scene: &Scene) -> Result<(), Failure> {
    let carol = json!({
        "object_guid": "00000000-0000-4000-8000-0000000000c1", "kind": "user", "sid": format!("{SECOND_SID}-1234"),
        "account_name": "carol", "upn": format!("carol@{SECOND_DOMAIN}"), "state": "enabled",
        "primary_group_rid": 513,
    });
    let body = json!({
        "run_id": "00000000-0000-4000-8000-000000000001",
        "domain": {"dns_name": SECOND_DOMAIN, "flat_name": "SECOND", "sid": SECOND_SID},
        "changes": [{"op": "upsert", "identity": carol}], "last": true,
    });
    let world = &scene.story.world;
    let token = fs::read_to_string(scene.story.cloud_folder().join("admin.token"))?;
    let headers = format!(
        "Authorization: Bearer {}\nContent-Type: application/json\n",
        token.trim()
    );
    let headers = world.write(Place::Admin, "domain.headers", headers)?;
    let body = world.write(Place::Admin, "domain.json", body.to_string())?;
    let url = format!("{SERVER}/api/v1/tenants/{TENANT}/domains/{SECOND_DOMAIN}/identities");
    let curl = world
        .at(Place::Admin, "curl")
        .args(["-sS", "--fail-with-body"]);
    let curl = curl.arg("--cacert").arg(scene.story.ca());
    let curl = curl.arg("-H").arg(format!("@{}", headers.display()));
    let curl = curl.arg("--data").arg(format!("@{}", body.display()));
    curl.arg(url).ok().map(drop)
}

/// A program among the files that the host's own winbindd sees.
fn inside_host(scene: &Scene, program: &str) -> Result<Run, Failure> {
    let pids = fs::read_dir("/proc")?
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let read = |pid: u32, file: &str| {
        fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap_or_default()
    };
    let scratch = scene.story.world.scratch().display().to_string();
    // Other hosts of the test listen elsewhere; theirs may be about to end.
    let mut winbindds = pids.filter(|pid| {
        let of_the_world = read(*pid, "mountinfo").contains(&scratch);
        let configuration = read(*pid, "root/run/samba/conf/smb.conf");
        let mut lines = configuration.lines().map(str::trim);
        read(*pid, "comm").trim() == "winbindd"
            && of_the_world
            && lines.any(|line| line == "smb ports = 445")
    });
    let pid = winbindds
        .next()
        .ok_or_else(|| Failure::new("the host has no winbindd"))?;
    Ok(Run::here("nsenter").args(["--mount", "--pid", "--target", &pid.to_string(), program]))
}

/// The program that makes smbd end connections fails, after the new permissions were written.
fn failed_order(scene: &mut Scene) -> Result<(), Failure> {
    let share = "orders";
    scene.share(share)?;
    scene.grant(share, "Sales", "contributor")?;
    scene.until_served("alice", share)?;
    let stop = scene.story.world.path(Place::Client, "stop-orders");
    let alice = writes(scene, "alice", share, "alice through a failed order", &stop)?;
    let control = Path::new("/usr/bin/smbcontrol");
    let mount = inside_host(scene, "mount")?.args(["--bind", "/bin/false"]);
    mount.arg(control).ok()?;
    let revoked = scene.admin(&["share", "revoke", "acct1/orders", "--from", "Sales"]);
    let reported = revoked.ok().and_then(|_| {
        let show = scene.admin(&["storage-account", "hosts", "acct1"]);
        scene.until(
            &show,
            "was expected to tell that smbcontrol fails",
            |output| output.both().contains("smbcontrol"),
        )
    });
    inside_host(scene, "umount")?.arg(control).ok()?;
    reported?;
    ended(&alice)?;
    fs::write(&stop, "")?;
    Ok(())
}

fn made_again(scene: &mut Scene) -> Result<(), Failure> {
    let share = "again";
    scene.share(share)?;
    scene.grant(share, "Sales", "contributor")?;
    scene.until_served("alice", share)?;
    let local = scene
        .story
        .world
        .write(Place::Client, "again.txt", "kept")?;
    let put = |file: &str| format!("put {} {file}", local.display());
    for (user, file) in [("alice", "hers.txt"), ("bob", "his.txt")] {
        scene.smbclient(user, share, &put(file)).ok()?;
    }
    let deny = format!("{}:modify", scene.story.world.sid_of("alice")?);
    let acl = ["share", "acl", "acct1/again", "/his.txt", "--deny", &deny];
    scene.on_host(&acl).ok()?;
    let before = (
        scene.attribute(share, "his.txt")?,
        scene.attribute(share, "hers.txt")?,
    );
    scene.admin(&["share", "delete", "acct1/again"]).ok()?;
    let gone = scene.smbclient("bob", share, "ls");
    scene.until(&gone, "was expected to be gone", |output| {
        output.both().contains("NT_STATUS_BAD_NETWORK_NAME")
    })?;
    if !scene.on_disk(share, "his.txt").exists() {
        return Err(Failure::new("the files went with their share"));
    }
    scene.share(share)?;
    scene.until_served("bob", share)?;
    let read = |file: &str| format!("get {file} -");
    for file in ["his.txt", "hers.txt"] {
        scene
            .smbclient("bob", share, &read(file))
            .ok()?
            .says("kept")?;
    }
    // No grant of the old share counts in the new one.
    let denied = "NT_STATUS_ACCESS_DENIED";
    let alice = |commands: &str| scene.smbclient("alice", share, commands);
    alice("ls").refused(1)?.says(denied)?;
    scene.grant(share, "Sales", "contributor")?;
    scene.until_served("alice", share)?;
    alice(&read("hers.txt")).ok()?.says("kept")?;
    alice(&read("his.txt")).refused(1)?.says(denied)?;
    let after = (
        scene.attribute(share, "his.txt")?,
        scene.attribute(share, "hers.txt")?,
    );
    match before == after {
        true => Ok(()),
        false => Err(Failure::new("the files' permissions changed")),
    }
}

/// Kills a second host again and again while its state changes, half of the times in the middle of writing its copy; each
/// time it must start from that copy with the service away.
fn killed(scene: &mut Scene) -> Result<(), Failure> {
    scene.share("kills")?;
    scene.until_served("bob", "kills")?;
    let state = scene.story.world.path(Place::Cloud, "acct1-killed.state");
    let mut in_mid_write = 0;
    for round in 0..KILLS {
        let mut host = host(scene, &format!("killed {round}"), None)?;
        host.wait_for_line("serving acct1", CHANGE_LIMIT)?;
        let before = drafts(&state);
        let is_writing = || !drafts(&state).is_subset(&before);
        // Either as soon as a copy is being written, or at some moment.
        kill_below_changes(scene, host, || match round % 2 {
            0 => {
                let began = Instant::now();
                while !is_writing() && began.elapsed() < CHANGE_LIMIT {
                    std::thread::yield_now();
                }
            }
            _ => std::thread::sleep(Duration::from_millis(150 * round)),
        })?;
        in_mid_write += u64::from(is_writing());
        starts_from_its_copy(scene, round)?;
    }
    println!("killed {KILLS} times, {in_mid_write} times with half a copy beside the whole one");
    Ok(())
}

/// The copies of a state that are being written: each has a name of its own until it takes the place of the whole one.
fn drafts(state: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(state).into_iter().flatten().flatten();
    entries
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| name.starts_with(".last-state.sealed"))
        .collect()
}

/// A host of its own state; with another service than the true one where given.
fn host(scene: &Scene, name: &str, server: Option<&str>) -> Result<Service, Failure> {
    let run = scene.story.files_serve("acct1", "killed")?;
    let run = run.args(["--name", "killed"]);
    let run = run.arg("--listen").arg(format!("10.77.2.1:{KILLED_PORT}"));
    let data = scene.story.world.path(Place::Cloud, "killed-files");
    let run = run.arg("--data").arg(data);
    let run = match server {
        Some(server) => run.env("CROSSREALM_SERVER", server),
        None => run,
    };
    scene.story.world.service(Place::Cloud, name, &run)
}

/// Lets a role come and go without pause as long as the host lives that is killed at its moment.
fn kill_below_changes(scene: &Scene, host: Service, moment: impl FnOnce()) -> Result<(), Failure> {
    let grant = [
        "share",
        "grant",
        "acct1/kills",
        "--to",
        "Sales",
        "--role",
        "reader",
    ];
    let changes = [
        scene.admin(&grant),
        scene.admin(&["share", "revoke", "acct1/kills", "--from", "Sales"]),
    ];
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let stream = scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                for change in &changes {
                    change.ok()?;
                }
            }
            Ok(())
        });
        moment();
        drop(host);
        over.store(true, Ordering::Relaxed);
        let outcome = stream.join();
        outcome.unwrap_or_else(|_| Err(Failure::new("the stream of changes panicked")))
    })
}

fn starts_from_its_copy(scene: &Scene, round: u64) -> Result<(), Failure> {
    let away = format!("{SERVER}:9");
    let mut host = host(scene, &format!("away {round}"), Some(&away))?;
    host.wait_for_line("serving acct1", CHANGE_LIMIT)?;
    let ls = scene.smbclient("bob", "kills", "ls");
    let ls = ls.args(["-p", &KILLED_PORT.to_string()]);
    let served = scene.until(&ls, "was expected to be served", |output| {
        output.code == Some(0)
    });
    served
        .map(drop)
        .map_err(|failure| failure.with(host.log_tail()))
}
