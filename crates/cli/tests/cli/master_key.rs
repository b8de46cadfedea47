//! `master-key rotate` beside a service that runs, that is stopped, and after an interruption.

use super::common::Cloud;
use std::fs;
use std::process::{Command, Output};

fn rotate(cloud: &Cloud) -> Output {
    Command::new(env!("CARGO_BIN_EXE_crossrealm"))
        .args(["-o", "json", "master-key", "rotate", "--config"])
        .arg(cloud.path("crossrealm.toml"))
        .output()
        .unwrap()
}

fn rotated(cloud: &Cloud) -> serde_json::Value {
    let output = rotate(cloud);
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// S8: one command replaces the master key; the installation goes on under the new one, and a run that was interrupted is finished
/// by the next.
#[test]
fn s8_the_master_key_is_rotated_while_no_node_runs() {
    let mut cloud = Cloud::start();
    let key = || fs::read_to_string(cloud.path("master.key")).unwrap();
    let first = key();
    let refused = rotate(&cloud);
    assert_eq!(refused.status.code(), Some(1));
    let said = String::from_utf8(refused.stderr).unwrap();
    assert!(said.contains("a node of the service is running"), "{said}");
    assert!(said.contains("stop every node"), "{said}");
    assert!(key() == first && !cloud.path("master.key.next").exists());

    cloud.away(|cloud| {
        let done = rotated(cloud);
        // The realm's key, and two of the account.
        assert_eq!(done["kerberos_keys"], 3);
        let earlier = done["earlier"].as_str().unwrap();
        assert!(fs::read_to_string(earlier).unwrap() == first);
        let second = fs::read_to_string(cloud.path("master.key")).unwrap();
        assert_ne!(second, first);

        // Stopped after the database had the new key, and before the files were put in place.
        fs::rename(cloud.path("master.key"), cloud.path("master.key.next")).unwrap();
        fs::rename(earlier, cloud.path("master.key")).unwrap();
        let finished = rotated(cloud);
        assert!(finished["kerberos_keys"].is_null());
        assert!(fs::read_to_string(cloud.path("master.key")).unwrap() == second);
        assert!(!cloud.path("master.key.next").exists());

        // Stopped between the two files.
        fs::rename(cloud.path("master.key"), cloud.path("master.key.next")).unwrap();
        rotated(cloud);
        assert!(fs::read_to_string(cloud.path("master.key")).unwrap() == second);
    });
    cloud.ok(&[
        "storage-account",
        "keytab",
        "acct1",
        "--out",
        cloud.path("k").to_str().unwrap(),
    ]);
    let events = cloud.ok(&["events", "--installation", "--action", "master-key.rotate"]);
    assert!(
        String::from_utf8(events.stdout)
            .unwrap()
            .contains("master-key.rotate")
    );
}
