//! Administrators at the command line: enrol, sign in, work, sign out; with every answer on standard input.

use super::common::Cloud;
use crossrealm_testkit::authenticator::Authenticator;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};

const PASSWORD: &str = "correct horse battery";

/// The binary without the first administrator's token, with a configuration folder of its own.
fn at(cloud: &Cloud, home: &Path, args: &[&str]) -> Command {
    let mut command = cloud.command(args);
    command
        .env_remove("CROSSREALM_TOKEN")
        .env("XDG_CONFIG_HOME", home)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

fn answered(mut command: Command, answers: &str) -> Output {
    let mut child = command.spawn().unwrap();
    // A command that refuses before it asks does not read.
    let _ = child.stdin.take().unwrap().write_all(answers.as_bytes());
    child.wait_with_output().unwrap()
}

/// Enrols: reads the secret off what is shown, as a person does.
fn enrol(cloud: &Cloud, home: &Path, upn: &str, code: &str) -> Authenticator {
    let mut child = at(cloud, home, &["login", "--user", upn, "--enrol"])
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    writeln!(stdin, "{code}").unwrap();
    let mut shown = BufReader::new(child.stderr.take().unwrap()).lines();
    let uri = shown
        .by_ref()
        .map(Result::unwrap)
        .find(|line| line.starts_with("otpauth://"))
        .expect("no otpauth URI was shown");
    let app = Authenticator::new(&uri);
    writeln!(stdin, "{PASSWORD}\n{}", app.code(-1)).unwrap();
    drop(stdin);
    let rest: Vec<_> = shown.map(Result::unwrap).collect();
    assert!(child.wait().unwrap().success(), "{rest:?}");
    app
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn an_administrator_enrols_signs_in_works_and_signs_out() {
    let cloud = Cloud::start();
    let home = tempfile::tempdir().unwrap();
    let upn = "ada@contoso.com";
    let created = cloud.ok(&[
        "-o",
        "json",
        "admin",
        "create",
        upn,
        "--role",
        "storage-administrator",
    ]);
    let created: serde_json::Value = serde_json::from_slice(&created.stdout).unwrap();
    let code = created["enrolment_code"].as_str().unwrap();

    let nobody = answered(at(&cloud, home.path(), &["tenant", "list"]), "");
    assert_eq!(nobody.status.code(), Some(1));
    assert!(
        text(&nobody.stderr).contains("crossrealm login"),
        "{nobody:?}"
    );

    let app = enrol(&cloud, home.path(), upn, code);
    let folder = home.path().join("crossrealm");
    let kept: Vec<_> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    assert_eq!(kept.len(), 1, "{kept:?}");
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&kept[0]), mode(&folder)), (0o600, 0o700));

    // The session is used without being named, and its role is its bound.
    let listed = answered(at(&cloud, home.path(), &["tenant", "list"]), "");
    assert!(listed.status.success(), "{listed:?}");
    let refused = answered(
        at(&cloud, home.path(), &["tenant", "create", "another"]),
        "",
    );
    assert!(
        text(&refused.stderr).contains("global-administrator"),
        "{refused:?}"
    );

    let wrong = format!("{PASSWORD}\n{}\n", app.wrong_code());
    let refused = answered(at(&cloud, home.path(), &["login", "--user", upn]), &wrong);
    assert_eq!(refused.status.code(), Some(1));
    let stderr = text(&refused.stderr);
    assert!(
        stderr.contains("error:") && stderr.contains("hint:"),
        "{stderr}"
    );
    let right = format!("{upn}\n{PASSWORD}\n{}\n", app.code(0));
    let signed_in = answered(at(&cloud, home.path(), &["-o", "json", "login"]), &right);
    assert!(signed_in.status.success(), "{signed_in:?}");
    let shown: serde_json::Value = serde_json::from_slice(&signed_in.stdout).unwrap();
    assert_eq!(
        (&shown["upn"], &shown["role"]),
        (&upn.into(), &"storage-administrator".into())
    );
    let all = format!("{}{}", text(&signed_in.stdout), text(&signed_in.stderr));
    assert!(!all.contains(PASSWORD) && !all.contains("xr_"), "{all}");

    // A copy of the session is worth nothing after the sign-out.
    let copy = std::fs::read(&kept[0]).unwrap();
    let out = answered(at(&cloud, home.path(), &["logout"]), "");
    assert!(out.status.success() && !kept[0].exists(), "{out:?}");
    std::fs::write(&kept[0], copy).unwrap();
    let refused = answered(at(&cloud, home.path(), &["tenant", "list"]), "");
    assert!(text(&refused.stderr).contains("revoked"), "{refused:?}");

    let list = text(&cloud.ok(&["admin", "list"]).stdout);
    assert!(
        list.contains(upn) && list.contains("storage-administrator"),
        "{list}"
    );
    let events = text(&cloud.ok(&["events", "--installation"]).stdout);
    for action in ["admin.create", "admin.enrol", "admin.sign-in"] {
        assert!(events.contains(action), "{action}: {events}");
    }
    let confined = [
        "admin",
        "create",
        "carol@contoso.com",
        "--role",
        "reader",
        "--only",
        "contoso",
    ];
    cloud.ok(&confined);
    let list = cloud.ok(&["-o", "json", "admin", "list"]).stdout;
    let list: serde_json::Value = serde_json::from_slice(&list).unwrap();
    let of = |upn: &str| {
        list.as_array()
            .unwrap()
            .iter()
            .find(|one| one["upn"] == upn)
            .unwrap()
    };
    assert_eq!(of("carol@contoso.com")["tenant_name"], "contoso", "{list}");
    assert!(of(upn)["tenant_name"].is_null(), "{list}");
    assert!(text(&cloud.ok(&["admin", "list"]).stdout).contains(" contoso "));
    cloud.ok(&["admin", "reset", upn]);
    cloud.ok(&["admin", "remove", upn]);
    assert!(!text(&cloud.ok(&["admin", "list"]).stdout).contains(upn));
}

#[test]
fn the_policy_of_a_tenant_is_shown_and_changed() {
    let cloud = Cloud::start();
    let shown = |args: &[&str]| {
        let output = cloud.ok(&[&["-o", "json"], args].concat());
        serde_json::from_slice::<serde_json::Value>(&output.stdout).unwrap()["allow_low_rids"]
            .clone()
    };
    assert_eq!(shown(&["tenant", "show", "contoso"]), false);
    assert_eq!(
        shown(&["tenant", "policy", "contoso", "--allow-low-rids", "true"]),
        true
    );
    assert_eq!(shown(&["tenant", "show", "contoso"]), true);
    assert_eq!(
        shown(&["tenant", "policy", "contoso", "--allow-low-rids", "false"]),
        false
    );
    assert_eq!(
        shown(&["tenant", "create", "lenient", "--allow-low-rids"]),
        true
    );
}

#[test]
fn the_first_token_can_be_revoked_and_no_secret_is_an_argument() {
    let cloud = Cloud::start();
    let home = tempfile::tempdir().unwrap();
    let refused = cloud.command(&["logout"]).output().unwrap();
    assert!(
        text(&refused.stderr).contains("hint: let another global administrator"),
        "{refused:?}"
    );
    let upn = "ada@contoso.com";
    let created = cloud.ok(&[
        "-o",
        "json",
        "admin",
        "create",
        upn,
        "--role",
        "global-administrator",
    ]);
    let created: serde_json::Value = serde_json::from_slice(&created.stdout).unwrap();
    enrol(
        &cloud,
        home.path(),
        upn,
        created["enrolment_code"].as_str().unwrap(),
    );
    cloud.ok(&["logout"]);
    let refused = cloud.command(&["tenant", "list"]).output().unwrap();
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");
    let listed = answered(at(&cloud, home.path(), &["tenant", "list"]), "");
    assert!(listed.status.success(), "{listed:?}");
    for args in [
        ["login", "--password", PASSWORD],
        ["login", "--code", "000000"],
        ["admin", "create", upn],
    ] {
        let wrong = cloud.command(&args).output().unwrap();
        assert_eq!(wrong.status.code(), Some(2), "{args:?}");
    }
}
