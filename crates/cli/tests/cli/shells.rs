//! Completion in a real shell, and manual pages.

use super::common::Cloud;
use crossrealm_programs::command;
use std::path::Path;
use std::process::Command;

/// Prints what bash would offer at the end of the given words, the last of which is not finished.
const OFFERED: &str = include_str!("offered.bash");

/// What bash offers with this environment.
fn offered(environment: &Command, words: &[&str]) -> Vec<String> {
    let folder = Path::new(env!("CARGO_BIN_EXE_crossrealm"))
        .parent()
        .unwrap();
    let mut bash = command("env");
    bash.args(["bash", "-c", OFFERED, "bash"]).arg(folder);
    bash.arg("crossrealm").args(words);
    bash.envs(
        environment
            .get_envs()
            .filter_map(|(name, value)| Some((name, value?))),
    );
    let output = bash.output().unwrap();
    assert!(output.stderr.is_empty(), "{words:?}: {output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(|line| line.trim().to_owned()).collect()
}

/// F22: the shell completes commands, and the names of what the tenant has.
#[test]
fn f22_bash_completes_commands_and_names() {
    let cloud = Cloud::start();
    cloud.ok(&["share", "create", "acct1/it's $(touch x)"]);
    let environment = cloud.command(&[]);
    for (words, expected) in [
        (&["stor"][..], &["storage-account"][..]),
        (&["share", "show", "acct1/"], &["acct1/projects"]),
        (&["share", "show", "p"], &[""]),
        (&["storage-account", "delete", "a"], &["acct1"]),
        (&["--tenant", "con"], &["contoso"]),
    ] {
        assert_eq!(offered(&environment, words), expected, "{words:?}");
    }
}

/// F22: a service that is not there costs the shell the names, and nothing else.
#[test]
fn f22_without_a_service_no_names_are_offered() {
    let mut environment = command("true");
    environment.env("CROSSREALM_SERVER", "https://127.0.0.1:1");
    environment.env("CROSSREALM_TOKEN", "none");
    assert_eq!(offered(&environment, &["share", "show", "a"]), [""]);
    assert_eq!(offered(&environment, &["whoa"]), ["whoami"]);
}

/// F22: each command has its manual page.
#[test]
fn f22_every_command_has_a_manual_page() {
    let folder = tempfile::tempdir().unwrap();
    let pages = folder.path().join("man1");
    let written = Command::new(env!("CARGO_BIN_EXE_crossrealm"))
        .args(["man", "--out"])
        .arg(&pages)
        .output()
        .unwrap();
    assert!(written.status.success(), "{written:?}");
    let page = |name: &str| std::fs::read_to_string(pages.join(name)).unwrap();
    assert!(page("crossrealm.1").contains("crossrealm\\-share(1)"));
    let create = page("crossrealm-share-create.1");
    assert!(
        create.starts_with(".ie") && create.contains("ACCOUNT/SHARE"),
        "{create}"
    );
    let blocked = folder.path().join("file");
    std::fs::write(&blocked, "").unwrap();
    let refused = Command::new(env!("CARGO_BIN_EXE_crossrealm"))
        .args(["man", "--out"])
        .arg(blocked.join("man1"))
        .output()
        .unwrap();
    assert_eq!(refused.status.code(), Some(1));
    assert!(
        String::from_utf8(refused.stderr)
            .unwrap()
            .contains("cannot write pages to")
    );
}
