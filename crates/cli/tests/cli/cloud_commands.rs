//! The cloud-side commands against a running service: what they do, what they refuse, and that text and JSON hold the same values.

use super::common::{Cloud, PATIENCE};
use crossrealm_api::IdentityChange;
use crossrealm_types::{IdentityKind, IdentityState, SyncedIdentity};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;
use std::sync::mpsc::channel;

const UPN: &str = "dave@contoso.cloud.example";

fn json(cloud: &Cloud, args: &[&str]) -> Value {
    let output = cloud.ok(&[args, &["-o", "json"]].concat());
    serde_json::from_slice(&output.stdout).unwrap()
}

fn text(cloud: &Cloud, args: &[&str]) -> String {
    String::from_utf8(cloud.ok(args).stdout).unwrap()
}

/// Refused with exit code 1 and this in the error; nothing on stdout.
fn refused(cloud: &Cloud, args: &[&str], error: &str) {
    let output = cloud.command(args).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{args:?}: {stderr}");
    assert!(output.stdout.is_empty(), "{args:?}");
    assert!(
        stderr.starts_with("error: ") && stderr.contains(error),
        "{args:?}: {stderr}"
    );
}

/// Every text and whole number of the JSON, times and the internal apart.
fn facts(value: &Value, all: &mut Vec<String>) {
    match value {
        Value::String(text) if !text.is_empty() => all.push(text.clone()),
        Value::Array(items) => items.iter().for_each(|item| facts(item, all)),
        Value::Object(fields) => {
            let shown = fields.iter().filter(|(name, _)| !name.ends_with("_at"));
            shown.for_each(|(_, field)| facts(field, all));
        }
        _ => {}
    }
}

#[test]
fn text_and_json_hold_the_same_values() {
    let cloud = Cloud::start();
    cloud.ok(&["user", "create", UPN, "--display-name", "Dave"]);
    cloud.ok(&[
        "share",
        "grant",
        "acct1/projects",
        "--to",
        UPN,
        "--role",
        "contributor",
    ]);
    cloud.ok(&[
        "service-principal",
        "create",
        "postgres/db1.contoso.cloud.example",
    ]);
    for args in [
        &["tenant", "show", "contoso"][..],
        &["storage-account", "show", "acct1"],
        &["service-principal", "list"],
    ] {
        let (text, mut expected) = (text(&cloud, args), Vec::new());
        facts(&json(&cloud, args), &mut expected);
        assert!(expected.len() >= 3, "{args:?}: {expected:?}");
        for fact in expected {
            assert!(
                text.contains(&fact),
                "{args:?}: `{fact}` is missing in\n{text}"
            );
        }
    }
    for (args, expected) in [
        (
            &["user", "list"][..],
            &["dave", UPN, "Dave", "cloud-only", "enabled"][..],
        ),
        (
            &["share", "list", "acct1"],
            &["acct1", "projects", UPN, "contributor"],
        ),
        (
            &["share", "access", "acct1/projects", "--user", UPN],
            &[UPN, "contributor by own grant"],
        ),
        (&["events"], &["share.grant", "bootstrap", "acct1/projects"]),
    ] {
        let text = text(&cloud, args);
        for fact in expected {
            assert!(
                text.contains(fact),
                "{args:?}: `{fact}` is missing in\n{text}"
            );
        }
    }
}

#[test]
fn changes_are_shown_and_reverted() {
    let cloud = Cloud::start();
    cloud.ok(&["user", "create", UPN]);
    cloud.ok(&[
        "share",
        "grant",
        "acct1/projects",
        "--to",
        UPN,
        "--role",
        "reader",
    ]);
    cloud.ok(&[
        "share",
        "grant",
        "acct1/projects",
        "--to",
        UPN,
        "--role",
        "elevated-contributor",
    ]);
    let shares = json(&cloud, &["share", "list", "acct1"]);
    let grants = shares[0]["grants"].as_array().unwrap();
    assert_eq!(
        (grants.len(), &grants[0]["role"]),
        (1, &json!("elevated-contributor"))
    );
    cloud.ok(&["share", "revoke", "acct1/projects", "--from", UPN]);
    assert_eq!(
        json(&cloud, &["share", "list", "acct1"])[0]["grants"],
        json!([])
    );
    refused(
        &cloud,
        &["share", "revoke", "acct1/projects", "--from", UPN],
        UPN,
    );

    let role = |role| {
        json(
            &cloud,
            &["share", "default-permission", "acct1", "--role", role],
        )
    };
    assert_eq!(role("reader")["default_permission"], "reader");
    assert_eq!(role("none")["default_permission"], Value::Null);

    let kvno = |account: &Value| {
        let keys = account["keys"].as_array().unwrap().iter();
        keys.map(|key| key["kvno"].as_u64().unwrap()).max().unwrap()
    };
    let before = json(&cloud, &["storage-account", "show", "acct1"]);
    let after = json(
        &cloud,
        &["storage-account", "rotate-key", "acct1", "--key", "kerb2"],
    );
    assert!(kvno(&after) > kvno(&before));

    let keytab = cloud.data().with_file_name("k");
    cloud.ok(&[
        "storage-account",
        "keytab",
        "acct1",
        "--out",
        keytab.to_str().unwrap(),
    ]);
    let file = std::fs::metadata(&keytab).unwrap();
    assert_eq!(file.permissions().mode() & 0o777, 0o600);
    assert!(std::fs::read(&keytab).unwrap().starts_with(&[5, 2]));
    let exported = json(&cloud, &["events"]).to_string();
    assert!(
        exported.contains("keytab"),
        "an export is not audited: {exported}"
    );
}

#[test]
fn missing_objects_are_named() {
    let cloud = Cloud::start();
    refused(&cloud, &["share", "create", "nosuch/projects"], "nosuch");
    refused(&cloud, &["share", "create", "acct1/projects"], "projects");
    refused(&cloud, &["share", "create", "acct1/..%2Fx"], "..%2Fx");
    refused(
        &cloud,
        &["storage-account", "create", "Not_A_Name"],
        "Not_A_Name",
    );
    refused(&cloud, &["storage-account", "delete", "acct1"], "share");
    let args = [
        "share",
        "grant",
        "acct1/projects",
        "--to",
        "nobody",
        "--role",
        "reader",
    ];
    refused(&cloud, &args, "nobody");
    refused(
        &cloud,
        &[
            "share",
            "grant",
            "acct1/nosuch",
            "--to",
            UPN,
            "--role",
            "reader",
        ],
        "nosuch",
    );
    for (args, next) in [
        (
            &["storage-account", "show", "nosuch"][..],
            "storage-account list`",
        ),
        (
            &["service-principal", "show", "x/y.example"],
            "service-principal list`",
        ),
        (&["share", "delete", "acct1/nosuch"], "share list acct1`"),
        (
            &["share", "revoke", "acct1/projects", "--from", "nobody"],
            "user list`",
        ),
        (&["admin", "reset", "x@contoso.com"], "admin list`"),
        (
            &["connector", "revoke", "--domain", "x.example"],
            "connector list`",
        ),
    ] {
        refused(&cloud, args, &format!("hint: `crossrealm {next}"));
        let list: Vec<&str> = next.trim_end_matches('`').split(' ').collect();
        cloud.ok(&list);
    }
    let spn = ["service-principal", "create", "x/y.contoso.cloud.example"];
    cloud.ok(&spn);
    refused(&cloud, &spn, "`x/y.contoso.cloud.example` already exists\n");
    for args in [
        &["user", "create", "some one@contoso.cloud.example"][..],
        &[
            "admin",
            "create",
            "some one@contoso.com",
            "--role",
            "reader",
        ],
    ] {
        refused(&cloud, args, "without spaces");
    }
    refused(&cloud, &["user", "show", "nobody"], "nobody");
    refused(&cloud, &["group", "show", "nobody"], "nobody");
    refused(&cloud, &["tenant", "delete", "contoso"], "contoso");
    refused(&cloud, &["tenant", "show", "../../etc"], "../../etc");
    let mut command = cloud.command(&["tenant", "list"]);
    let output = command
        .env("CROSSREALM_TOKEN", "not-a-token")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("token"));
    let mut command = cloud.command(&["tenant", "list"]);
    let output = command.env_remove("CROSSREALM_CA").output().unwrap();
    let message = String::from_utf8_lossy(&output.stderr);
    assert!(
        message.starts_with("error: cannot trust the server"),
        "{message}"
    );
    assert!(
        message.contains("hint: a server with a private CA"),
        "{message}"
    );
}

#[test]
fn a_host_token_that_cannot_be_written_is_revoked() {
    let cloud = Cloud::start();
    let nowhere = cloud.data().join("no/such/folder/host.token");
    let token = ["storage-account", "host-token", "acct1", "--out"];
    let path = nowhere.to_str().unwrap();
    refused(
        &cloud,
        &[&token[..], &[path]].concat(),
        "the token was revoked",
    );
    let list = ["-o", "json", "storage-account", "host-tokens", "acct1"];
    let list: Value = serde_json::from_slice(&cloud.ok(&list).stdout).unwrap();
    let live = |token: &&Value| token["revoked_at"].is_null();
    assert_eq!(
        list.as_array().unwrap().iter().filter(live).count(),
        0,
        "{list}"
    );
}

#[test]
fn a_change_of_policy_names_its_tenant() {
    let cloud = Cloud::start();
    cloud.ok(&["tenant", "policy", "contoso", "--allow-low-rids", "true"]);
    let events = cloud.ok(&["-o", "json", "events"]).stdout;
    let events: Value = serde_json::from_slice(&events).unwrap();
    let all = events.as_array().unwrap();
    let change = all.iter().find(|event| event["action"] == "tenant.policy");
    assert_eq!(change.unwrap()["target"], "contoso", "{events}");
}

#[test]
fn doctor_reports_an_unknown_user_and_asks_for_no_token_that_it_has() {
    let cloud = Cloud::start();
    let output = cloud
        .command(&["doctor", "--share", "acct1/projects", "-o", "json"])
        .env("KRB5_CONFIG", "/dev/null")
        .env("KRB5CCNAME", "FILE:/no/such/tickets")
        .output()
        .unwrap();
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    for id in ["user-synced", "user-enabled", "user-sid", "group-count"] {
        let checks = report["checks"].as_array().unwrap();
        let check = checks.iter().find(|check| check["id"] == id).unwrap();
        let seen = check["seen"].as_str().unwrap();
        assert!(seen.starts_with("no user is known"), "{check:#}");
    }
}

#[test]
fn a_client_configuration_includes_the_private_ca() {
    let cloud = Cloud::start();
    let out = cloud.data().with_file_name("client.conf");
    cloud.ok(&[
        "client",
        "config",
        "--format",
        "krb5.conf",
        "--out",
        out.to_str().unwrap(),
    ]);
    let text = std::fs::read_to_string(&out).unwrap();
    let ca = out.with_file_name("client.ca.pem");
    assert!(
        text.contains(&format!("http_anchors = FILE:{}\n", ca.display())),
        "{text}"
    );
    assert!(
        std::fs::read_to_string(&ca)
            .unwrap()
            .starts_with("-----BEGIN CERTIFICATE-----")
    );
    let tenant = json(&cloud, &["tenant", "show", "contoso"]);
    let kdc = format!("kdc = {}\n", tenant["kdc_proxy_url"].as_str().unwrap());
    assert!(text.contains(&kdc), "{kdc} is missing in\n{text}");
    let printed = self::text(&cloud, &["client", "config", "--format", "krb5.conf"]);
    assert!(printed.contains("http_anchors = FILE:") && printed.contains("tls/ca.pem"));
}

#[test]
fn events_are_followed_as_they_happen() {
    let mut cloud = Cloud::start();
    let mut child = cloud
        .command(&["events", "--follow", "--since", "1m", "-o", "json"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let stdout = BufReader::new(child.stdout.take().unwrap());
    let (sender, lines) = channel();
    std::thread::spawn(move || {
        stdout
            .lines()
            .map_while(Result::ok)
            .try_for_each(|l| sender.send(l))
    });
    let mut seen = Vec::new();
    let mut until = |action: &str| {
        while seen.last().is_none_or(|last| last != action) {
            let line = lines
                .recv_timeout(PATIENCE)
                .unwrap_or_else(|_| panic!("no {action}: {seen:?}"));
            let event: Value = serde_json::from_str(&line).unwrap();
            seen.push(event["action"].as_str().unwrap().to_owned());
        }
    };
    until("share.create");
    cloud.ok(&["share", "create", "acct1/second"]);
    until("share.create");
    // A service that is away for a moment is waited for.
    cloud.away(|_| {});
    cloud.ok(&["user", "create", UPN]);
    until("identity.create");
    child.kill().unwrap();
    child.wait().unwrap();
    let count = |action: &str| seen.iter().filter(|s| *s == action).count();
    assert_eq!(
        (count("tenant.create"), count("share.create")),
        (1, 2),
        "{seen:?}"
    );
}

#[test]
fn a_connector_token_is_shown_once_and_revoked() {
    let cloud = Cloud::start();
    let create = ["connector", "create", "--domain", "corp.contoso.com"];
    refused(&cloud, &create, "no domain `corp.contoso.com`");
    cloud.sync(vec![]);
    let created = json(&cloud, &create);
    let token = created["token"].as_str().unwrap();
    assert!(token.starts_with("xr_") && created["token_file"].is_null());
    refused(
        &cloud,
        &create,
        "domain `corp.contoso.com` already has a connector",
    );
    let list = text(&cloud, &["connector", "list"]);
    assert!(
        list.contains("corp.contoso.com") && !list.contains(token),
        "{list}"
    );
    cloud.ok(&["connector", "revoke", "--domain", "corp.contoso.com"]);
    assert_eq!(json(&cloud, &["connector", "list"]), json!([]));
    refused(
        &cloud,
        &["connector", "revoke", "--domain", "corp.contoso.com"],
        "no connector for `corp.contoso.com`",
    );

    // Into a file: for its owner alone, and nowhere else.
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("connector.token");
    let path = file.to_str().unwrap();
    let wanted = [&create[..], &["--allow-trust-rotation", "--out", path]].concat();
    let shown = text(&cloud, &wanted);
    let token = std::fs::read_to_string(&file).unwrap();
    assert!(
        !shown.contains(token.trim()) && shown.contains(path),
        "{shown}"
    );
    assert!(shown.contains("TrustRotation : yes"), "{shown}");
    let mode = std::fs::metadata(&file).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let status = ["sync", "status", "--domain", "corp.contoso.com"];
    let as_connector = |args: &[&str]| {
        cloud
            .command(args)
            .env("CROSSREALM_TOKEN", token.trim())
            .output()
            .unwrap()
    };
    assert!(as_connector(&status).status.success());
    let forbidden = as_connector(&["user", "list"]);
    let stderr = String::from_utf8_lossy(&forbidden.stderr);
    assert!(
        stderr.contains("is the connector of `corp.contoso.com`"),
        "{stderr}"
    );

    // A file that cannot be written: the token would be lost, so the connector is taken back.
    cloud.ok(&["connector", "revoke", "--domain", "corp.contoso.com"]);
    let nowhere = [&create[..], &["--out", "/no/such/folder/token"]].concat();
    refused(
        &cloud,
        &nowhere,
        "cannot write the token to `/no/such/folder/token`",
    );
    assert_eq!(json(&cloud, &["connector", "list"]), json!([]));
}

/// A user or group of `corp.contoso.com`.
fn synced(number: u32, kind: IdentityKind, name: &str) -> SyncedIdentity {
    SyncedIdentity {
        object_guid: format!("11111111-1111-1111-1111-{number:012}")
            .parse()
            .unwrap(),
        kind,
        sid: format!("S-1-5-21-1-2-3-{}", 1000 + number).parse().unwrap(),
        account_name: name.into(),
        upn: match kind {
            IdentityKind::User => format!("{name}@corp.contoso.com"),
            IdentityKind::Group => String::new(),
        },
        display_name: format!("The {name}"),
        state: IdentityState::Enabled,
        disabled_reason: None,
        primary_group_rid: if kind == IdentityKind::User { 1003 } else { 0 },
        members: vec![],
        more_members: false,
    }
}

#[test]
fn a_user_is_shown_with_sources_and_group_paths() {
    let cloud = Cloud::start();
    let upsert = |number, kind, name| IdentityChange::Upsert {
        identity: synced(number, kind, name),
    };
    let member = |group: u32, member: u32| IdentityChange::Members {
        object_guid: format!("11111111-1111-1111-1111-{group:012}")
            .parse()
            .unwrap(),
        add: vec![
            format!("11111111-1111-1111-1111-{member:012}")
                .parse()
                .unwrap(),
        ],
        remove: vec![],
        elsewhere: None,
    };
    let result = cloud.sync(vec![
        upsert(1, IdentityKind::User, "alice"),
        upsert(2, IdentityKind::Group, "Sales"),
        upsert(3, IdentityKind::Group, "Everyone"),
        upsert(4, IdentityKind::Group, "AllStaff"),
        member(2, 1),
        member(4, 2),
    ]);
    assert_eq!((result.created, result.refused.len()), (4, 0), "{result:?}");
    for (args, lines) in [
        (
            ["user", "show", "alice@corp.contoso.com"],
            &[
                "AllStaff|S-1-5-21-1-2-3-1004|Sales > AllStaff",
                "Everyone|S-1-5-21-1-2-3-1003|Everyone (primary group)",
                "Sales|S-1-5-21-1-2-3-1002|Sales",
                "upn|corp.contoso.com|TIME|bootstrap|99999999-9999-9999-9999-999999999999",
            ][..],
        ),
        (
            ["group", "show", "Sales"],
            &[
                "alice@corp.contoso.com|user|S-1-5-21-1-2-3-1001",
                "AllStaff|S-1-5-21-1-2-3-1004|AllStaff",
                "members|corp.contoso.com|TIME|bootstrap|99999999-9999-9999-9999-999999999999",
            ],
        ),
    ] {
        let (text, value) = (text(&cloud, &args), json(&cloud, &args));
        let mut expected = Vec::new();
        facts(&value, &mut expected);
        for fact in expected {
            assert!(text.contains(&fact), "`{fact}` is missing in\n{text}");
        }
        // Tables show times to the second.
        let at = value["origins"][0]["changed_at"].as_str().unwrap();
        let time = format!("{}Z", at.split_once('.').unwrap().0);
        let cells = |line: &str| {
            let cells = line
                .split("  ")
                .map(str::trim)
                .filter(|cell| !cell.is_empty());
            cells.collect::<Vec<_>>().join("|").replace(&time, "TIME")
        };
        let shown: Vec<String> = text.lines().map(cells).collect();
        for line in lines {
            assert!(
                shown.iter().any(|s| s == line),
                "`{line}` is missing in\n{text}"
            );
        }
    }
}
