//! The test world itself: it does what the story relies on, and leaves nothing behind.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crossrealm_lab::{Failure, PATIENCE, Place, World, need, until};

/// Runs a check in a world, or says loudly that it did not.
fn in_a_world(check: impl FnOnce(World) -> Result<(), Failure>) {
    if need::skipped() {
        return;
    }
    if let Err(failure) = World::start().and_then(check) {
        panic!("{failure}");
    }
}

#[test]
fn users_sign_in_and_the_two_sides_cannot_reach_each_other() {
    in_a_world(|world| {
        println!("world started in {} ms", world.started_in().as_millis());
        let conf = world.path(Place::Client, "corp-krb5.conf");
        for user in ["alice", "bob", "mallory", "müller", "svc-sync"] {
            world.kinit(user, &format!("{user}.ccache"), &conf)?;
            world
                .as_user(
                    world.at(Place::Client, "klist"),
                    &format!("{user}.ccache"),
                    &conf,
                )
                .ok()?
                .says(&format!("{user}@CORP.CONTOSO.COM"))?;
        }
        let alice = world.sid_of("alice")?;
        assert!(alice.starts_with("S-1-5-21-"), "{alice}");

        // What must work does: otherwise the refusals below would prove nothing.
        for from in [Place::Client, Place::Admin, Place::Onprem] {
            let (reached, why) = world.can_connect(from, "10.77.1.1", 88)?;
            assert!(
                reached,
                "{} should reach the domain controller: {why}",
                from.name()
            );
        }
        for (from, to, port) in [
            (Place::Cloud, "10.77.1.1", 88),
            (Place::Cloud, "10.77.1.2", 22),
            (Place::Onprem, "10.77.2.1", 443),
        ] {
            let (reached, why) = world.can_connect(from, to, port)?;
            assert!(!reached, "{} reached {to}", from.name());
            assert!(
                why.contains("Network is unreachable"),
                "{} → {to}: {why}",
                from.name()
            );
        }
        for (from, to) in [(Place::Cloud, "10.77.1.1"), (Place::Onprem, "10.77.2.1")] {
            let route = world.at(from, "ip").args(["route", "get", to]).refused(2)?;
            route.says("Network is unreachable")?;
        }
        Ok(())
    });
}

#[test]
fn a_world_leaves_nothing_behind() {
    in_a_world(|world| {
        let (scratch, space) = (world.dc_folder(), world.namespace(Place::Onprem));
        let mut sleeper = world.service(
            Place::Cloud,
            "sleeper",
            &world
                .at(Place::Cloud, "sh")
                .args(["-c", "sleep 7654 & sleep 7653"]),
        )?;
        std::thread::sleep(Duration::from_millis(200));
        assert_eq!(sleeper.ended(), None, "{}", sleeper.log_tail());
        let inside = processes_with(&scratch.display().to_string());
        assert!(
            !inside.is_empty(),
            "the domain controller's processes name its folder"
        );
        drop((sleeper, world));
        assert!(!scratch.exists(), "scratch folder is gone");
        assert!(
            !Path::new("/run/netns").join(&space).exists(),
            "namespace is gone"
        );
        assert!(
            !Path::new("/etc/netns").join(&space).exists(),
            "its configuration is gone"
        );
        assert_eq!(
            processes_with(&scratch.display().to_string()),
            Vec::<String>::new()
        );
        assert_eq!(processes_with("sleep\u{0}765"), Vec::<String>::new());
        Ok(())
    });
}

/// A run that dies of SIGKILL cannot clean up; the kernel ends its processes, and the next world sweeps the rest.
#[test]
fn a_killed_run_leaves_no_process_and_is_swept() {
    const INNER: &str = "CROSSREALM_LAB_KILL_ME";
    if std::env::var_os(INNER).is_some() {
        let world = World::start().unwrap_or_else(|failure| panic!("{failure}"));
        println!(
            "WORLD {} {}",
            world.namespace(Place::Onprem),
            world.dc_folder().display()
        );
        std::thread::sleep(Duration::from_secs(600));
        drop(world);
        return;
    }
    in_a_world(|outer| {
        use std::io::{BufRead, BufReader};
        let mut child = Command::new(std::env::current_exe()?)
            .args([
                "--exact",
                "a_killed_run_leaves_no_process_and_is_swept",
                "--nocapture",
            ])
            .env(INNER, "1")
            .stdout(std::process::Stdio::piped())
            .spawn()?;
        let stdout = child.stdout.take().ok_or_else(|| Failure::new("no pipe"))?;
        let line = BufReader::new(stdout)
            .lines()
            .map_while(Result::ok)
            .find(|line| line.contains("WORLD "));
        let line = line.ok_or_else(|| Failure::new("the inner run never started its world"))?;
        let mut words = line
            .split_once("WORLD ")
            .map(|(_, rest)| rest.split(' '))
            .into_iter()
            .flatten();
        let (space, folder) = (
            words.next().unwrap_or_default().to_owned(),
            words.next().unwrap_or_default().to_owned(),
        );
        assert!(!processes_with(&folder).is_empty());
        let name = Path::new("/run/netns").join(&space);
        assert!(name.exists() && Path::new(&folder).exists());
        child.kill()?;
        child.wait()?;
        until("the processes of the killed run end", PATIENCE, || {
            Ok(processes_with(&folder).is_empty().then_some(()))
        })?;
        // From here on any world that starts on this machine sweeps them, one of another test program too, and may still be
        // at it when ours has started.
        drop(outer);
        let next = World::start()?;
        until("the killed run is swept", PATIENCE, || {
            Ok((!name.exists() && !Path::new(&folder).exists()).then_some(()))
        })?;
        drop(next);
        Ok(())
    });
}

/// Command lines of running processes that hold this text.
fn processes_with(text: &str) -> Vec<String> {
    let entries = std::fs::read_dir("/proc")
        .map(|entries| entries.flatten().collect::<Vec<_>>())
        .unwrap_or_default();
    let lines = entries
        .iter()
        .filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok());
    lines
        .map(|line| String::from_utf8_lossy(&line).into_owned())
        .filter(|line| line.contains(text))
        .collect()
}
