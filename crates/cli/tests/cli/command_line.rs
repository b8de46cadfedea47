//! The binary as a person or script meets it: exit codes, what goes where, and what is refused before any work.

use std::process::{Command, Output};

fn crossrealm(args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_crossrealm"));
    for name in ["SERVER", "TENANT", "TOKEN", "CA", "LOG", "CONTEXT"] {
        command.env_remove(format!("CROSSREALM_{name}"));
    }
    command.env("XDG_CONFIG_HOME", "/nonexistent");
    command.args(args).output().unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// Failed with exit code 1, nothing on stdout, this error and hint on stderr.
fn assert_fails(args: &[&str], error: &str, hint: &str) {
    let output = crossrealm(args);
    let text = stderr(&output);
    assert_eq!(output.status.code(), Some(1), "{args:?}: {text}");
    assert!(output.stdout.is_empty(), "{args:?}");
    assert!(text.starts_with("error: "), "{args:?}: {text}");
    assert!(text.contains(error), "{args:?}: {text}");
    assert!(
        text.contains(&format!("\n\nhint: {hint}")),
        "{args:?}: {text}"
    );
}

#[test]
fn help_and_version_are_data() {
    for args in [
        &["--help"][..],
        &["--version"],
        &["share", "--help"],
        &["help", "files"],
    ] {
        let output = crossrealm(args);
        assert_eq!(output.status.code(), Some(0), "{args:?}");
        assert!(
            !output.stdout.is_empty() && output.stderr.is_empty(),
            "{args:?}"
        );
    }
}

#[test]
fn the_worker_process_is_a_hidden_command() {
    let output = crossrealm(&["files", "--help"]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("serve") && !text.contains("inside"), "{text}");
}

/// F15: what the environment gives is not shown as required.
#[test]
fn f15_the_usage_of_an_error_is_that_of_the_help() {
    let wrong = crossrealm_with_environment(&["share", "show"]);
    let help = crossrealm_with_environment(&["share", "show", "--help"]);
    let help = String::from_utf8(help.stdout).unwrap();
    let usage = help
        .lines()
        .find(|line| line.starts_with("Usage: "))
        .unwrap();
    assert_eq!(
        usage,
        "Usage: crossrealm share show [OPTIONS] <ACCOUNT/SHARE>"
    );
    assert!(stderr(&wrong).contains(usage), "{}", stderr(&wrong));
    assert_eq!(wrong.status.code(), Some(2));
}

fn crossrealm_with_environment(args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_crossrealm"));
    command.env("CROSSREALM_SERVER", "https://login.cloud.example");
    command.env("CROSSREALM_TENANT", "contoso");
    command.args(args).output().unwrap()
}

#[test]
fn wrong_usage_is_exit_code_2() {
    for args in [
        &[][..],
        &["no-such-command"],
        &["tenant", "create"],
        &["share", "create", "no-slash"],
        &[
            "share",
            "grant",
            "acct1/projects",
            "--to",
            "AllStaff",
            "--role",
            "owner",
        ],
        &["storage-account", "rotate-key", "acct1", "--key", "kerb3"],
        &["events", "--since", "yesterday"],
        &[
            "files",
            "serve",
            "--account",
            "acct1",
            "--listen",
            "everywhere",
        ],
        &["client", "config", "--format", "yaml"],
        &["tenant", "list", "-o", "xml"],
        &["init"],
    ] {
        let output = crossrealm(args);
        assert_eq!(
            output.status.code(),
            Some(2),
            "{args:?}: {}",
            stderr(&output)
        );
        assert!(output.stdout.is_empty(), "{args:?}");
    }
}

#[test]
fn missing_options_are_named() {
    let server = &["--server", "https://127.0.0.1:9"];
    assert_fails(
        &["tenant", "list"],
        "no service given",
        "`crossrealm connect https://login.BASE-DOMAIN` remembers one",
    );
    assert_fails(
        &[&["tenant", "list"], &server[..]].concat(),
        "no API token",
        "sign in with `crossrealm login`, give `--token-file",
    );
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("admin.token");
    std::fs::write(&token, "secret-token\n").unwrap();
    let token = ["--token-file", token.to_str().unwrap()];
    let args = [&["user", "list"], &server[..], &token].concat();
    assert_fails(&args, "no tenant given", "give `--tenant NAME`");
    let args = [&["tenant", "list"], &server[..], &token].concat();
    assert_fails(
        &args,
        "cannot reach `https://127.0.0.1:9",
        "check that `crossrealm serve` runs there",
    );
    assert!(!stderr(&crossrealm(&args)).contains("secret-token"));
}

#[test]
fn an_empty_variable_counts_as_unset() {
    let run = |server: &str, args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_crossrealm"));
        for name in ["TENANT", "TOKEN", "CA"] {
            command.env(format!("CROSSREALM_{name}"), "");
        }
        let output = command
            .env("CROSSREALM_SERVER", server)
            .args(args)
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(1), "{args:?}");
        stderr(&output)
    };
    assert!(run("", &["tenant", "list"]).contains("no service given"));
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("a.token");
    std::fs::write(&token, "xr_00").unwrap();
    let args = ["user", "list", "--token-file", token.to_str().unwrap()];
    let message = run("https://127.0.0.1:9", &args);
    assert!(message.contains("no tenant given"), "{message}");
}

#[test]
fn unusable_files_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let huge = folder.path().join("huge");
    std::fs::write(&huge, vec![b'x'; 5000]).unwrap();
    let empty = folder.path().join("empty");
    std::fs::write(&empty, "\n").unwrap();
    let empty = empty.to_str().unwrap();
    let no_token = format!("the token file `{empty}` is empty");
    let args = [
        "tenant",
        "list",
        "--server",
        "https://127.0.0.1:9",
        "--token-file",
    ];
    for (path, reason) in [
        (huge.to_str().unwrap(), "larger than 4096 bytes"),
        (
            "/no/such/file",
            "cannot read the token file `/no/such/file`",
        ),
        (empty, no_token.as_str()),
    ] {
        let output = crossrealm(&[&args[..], &[path]].concat());
        assert_eq!(output.status.code(), Some(1));
        assert!(stderr(&output).contains(reason), "{}", stderr(&output));
    }
    let token = folder.path().join("a.token");
    std::fs::write(&token, "xr_00").unwrap();
    assert_fails(
        &[&args[..], &[token.to_str().unwrap(), "--ca", empty]].concat(),
        &format!("the CA file `{empty}` holds no usable PEM certificate"),
        "give the `tls/ca.pem`",
    );
}

#[test]
fn init_creates_an_installation_and_a_second_init_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("xr");
    let args = [
        "init",
        "--base-domain",
        "cloud.example",
        "-o",
        "json",
        "--dir",
        dir.to_str().unwrap(),
    ];
    // A value that is wrong leaves nothing that the right one would trip over.
    for (option, what, value) in [
        ("--base-domain", "base domain", "not a domain"),
        ("--store", "database URL", "mysql:x"),
        ("--store", "database URL", "sqlite:/no/such/folder/x.db"),
    ] {
        let mut wrong = args.to_vec();
        match option {
            "--base-domain" => wrong[2] = value,
            _ => wrong.extend([option, value]),
        }
        let output = crossrealm(&wrong);
        assert_eq!(output.status.code(), Some(1));
        let message = format!("invalid {what} `{value}`: ");
        assert!(stderr(&output).contains(&message), "{}", stderr(&output));
        assert!(!dir.exists(), "{option} {value}");
    }
    let output = crossrealm(&args);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let created: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(created["url"], "https://login.cloud.example");
    for key in ["config", "admin_token", "ca"] {
        assert!(
            std::path::Path::new(created[key].as_str().unwrap()).is_file(),
            "{key}"
        );
    }
    let token = std::fs::read_to_string(created["admin_token"].as_str().unwrap()).unwrap();
    assert!(
        !stderr(&output).contains(token.trim()),
        "the token is shown"
    );
    let again = crossrealm(&args);
    assert_eq!(again.status.code(), Some(1));
    let next = format!("serve --config {}`", created["config"].as_str().unwrap());
    assert!(
        stderr(&again).contains("installation") && stderr(&again).contains(&next),
        "{}",
        stderr(&again)
    );
    assert_eq!(
        std::fs::read_to_string(created["admin_token"].as_str().unwrap()).unwrap(),
        token
    );
}

#[test]
fn a_damaged_configuration_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("crossrealm.toml");
    std::fs::write(&config, "base_domain = [").unwrap();
    for path in [config.to_str().unwrap(), "/no/such/crossrealm.toml"] {
        let output = crossrealm(&["serve", "--config", path]);
        assert_eq!(output.status.code(), Some(1));
        assert!(stderr(&output).starts_with("error: ") && stderr(&output).contains(path));
    }
}
