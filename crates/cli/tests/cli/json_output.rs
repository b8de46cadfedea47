//! F18: what programs read. Every command's JSON has one format of times, lists are arrays, errors are objects, and deletions say
//! what they did; tables fit the terminal.

use crate::common::Cloud;
use crossrealm_api::{IdentityChange, SecretText};
use crossrealm_testkit::json_times::times;
use crossrealm_types::{
    HostQuota, HostReport, IdentityKind, IdentityState, PrepareTrust, QuotaHow, SyncedIdentity,
};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Stdio;

pub(crate) const ALICE: &str = "alice@corp.contoso.com";
pub(crate) const DAVE: &str = "dave@contoso.cloud.example";
pub(crate) const DOMAIN: &str = "corp.contoso.com";
const REALM: &str = "CORP.CONTOSO.COM";

/// Commands that print no JSON, or none without AD, a root shell or a terminal, each with where its JSON is tested.
const ELSEWHERE: &[(&str, &str)] = &[
    ("login", "needs prompts; sign_in.rs"),
    ("connect", "writes a context; contexts.rs"),
    ("context list", "contexts.rs"),
    ("context use", "contexts.rs"),
    ("context remove", "contexts.rs"),
    ("logout", "ends the token of this test"),
    ("serve", "prints no data"),
    ("admin recover", "needs a stopped service; sign_in.rs"),
    ("completions", "prints a script"),
    ("man", "writes files"),
    (
        "master-key rotate",
        "needs a stopped service; master_key.rs",
    ),
    (
        "kerberos-server get",
        "needs AD; commands/kerberos_server/get.rs, lab/tests/trust/main.rs",
    ),
    ("kerberos-server set", "needs AD; lab/tests/trust/main.rs"),
    (
        "kerberos-server remove",
        "needs AD; lab/tests/trust/main.rs",
    ),
    (
        "trusted-domain-object remove",
        "needs AD; lab/tests/trust/main.rs",
    ),
    ("sync once", "needs AD; lab/tests/sync/hands.rs"),
    ("sync run", "prints no data"),
    ("sync plan", "needs AD; lab/tests/sync/main.rs"),
    (
        "share acl",
        "needs the files of a host; lab/tests/files/permissions.rs",
    ),
    ("files serve", "prints no data"),
    ("client config", "prints files of other formats"),
    ("client deploy-gpo", "needs AD; lab/tests/gpo.rs"),
    ("doctor", "needs AD; lab/tests/doctor/play.rs"),
];

/// A service with something in every list, and the ids that commands need.
pub(crate) struct World {
    pub(crate) cloud: Cloud,
    token: String,
}

fn user() -> SyncedIdentity {
    SyncedIdentity {
        object_guid: uuid::Uuid::from_u128(1),
        kind: IdentityKind::User,
        sid: "S-1-5-21-1-2-3-1001".parse().unwrap(),
        account_name: "alice".into(),
        upn: ALICE.into(),
        display_name: "Alice".into(),
        state: IdentityState::Enabled,
        disabled_reason: None,
        primary_group_rid: 0,
        members: Vec::new(),
        more_members: false,
    }
}

fn group() -> SyncedIdentity {
    SyncedIdentity {
        object_guid: uuid::Uuid::from_u128(2),
        kind: IdentityKind::Group,
        sid: "S-1-5-21-1-2-3-1002".parse().unwrap(),
        account_name: "Sales".into(),
        upn: String::new(),
        display_name: String::new(),
        ..user()
    }
}

pub(crate) fn world() -> World {
    let cloud = Cloud::start();
    let members = IdentityChange::Members {
        object_guid: group().object_guid,
        add: vec![user().object_guid],
        remove: Vec::new(),
        elsewhere: None,
    };
    let upserts = [user(), group()].map(|identity| IdentityChange::Upsert { identity });
    cloud.sync(upserts.into_iter().chain([members]).collect());
    cloud.ok(&["user", "create", DAVE]);
    cloud.ok(&[
        "share",
        "grant",
        "acct1/projects",
        "--to",
        "Sales",
        "--role",
        "reader",
    ]);
    cloud.ok(&["share", "set-quota", "acct1/projects", "--quota", "1GiB"]);
    cloud.ok(&[
        "service-principal",
        "create",
        "postgres/db1.contoso.cloud.example",
    ]);
    cloud.ok(&["connector", "create", "--domain", DOMAIN]);
    cloud.ok(&["admin", "create", "carol@contoso.com", "--role", "reader"]);
    report(&cloud);
    let tokens = json(&cloud, &["storage-account", "host-tokens", "acct1"]);
    let token = tokens[0]["id"].as_str().unwrap().to_owned();
    World { cloud, token }
}

/// An SMB host reports, and a trust is prepared.
fn report(cloud: &Cloud) {
    let host = cloud.host_command("acct1", &[]);
    let token = host.get_envs().find(|(key, _)| *key == "CROSSREALM_TOKEN");
    let token = token.unwrap().1.unwrap().to_str().unwrap().to_owned();
    let quota = HostQuota {
        share: "projects".into(),
        limit_bytes: 1 << 30,
        used_bytes: Some(1 << 30),
        how: QuotaHow::Enforced,
        reason: None,
        hint: None,
        full_since: Some(1_700_000_000),
    };
    let report = HostReport {
        program: "0.3.0".into(),
        listen: "[::]:445".into(),
        serving: true,
        kvnos: vec![1, 2],
        quota_count: 1,
        quotas: vec![quota],
        ..HostReport::default()
    };
    let trust = PrepareTrust {
        realm: REALM.into(),
        flat_name: "CORP".into(),
        sid: "S-1-5-21-1-2-3".parse().unwrap(),
        top_level_names: vec!["contoso.cloud.example".into()],
        rotate: false,
    };
    let (admin, host) = (cloud.client(), cloud.client_of(SecretText::new(token)));
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        host.report_host("contoso", "acct1", "fs1", &report)
            .await
            .unwrap();
        admin
            .prepare_trust("contoso", DOMAIN, &trust)
            .await
            .unwrap();
    });
}

pub(crate) fn json(cloud: &Cloud, args: &[&str]) -> Value {
    let output = cloud.ok(&[args, &["-o", "json"]].concat());
    serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{args:?}: {error}: {output:?}"))
}

/// The commands that are run, in this order, by the words of the command and its arguments.
fn commands(world: &World) -> Vec<(&'static str, Vec<String>)> {
    let out = |name: &str| {
        let path = world.cloud.data().with_file_name(name);
        path.to_str().unwrap().to_owned()
    };
    let (init, keytab, spn) = (out("second"), out("a.keytab"), out("p.keytab"));
    let service = "postgres/db1.contoso.cloud.example";
    let with = |arguments: &[&str]| arguments.iter().map(|text| (*text).to_owned()).collect();
    vec![
        (
            "init",
            with(&["--base-domain", "fabrikam.example", "--dir", &init]),
        ),
        (
            "admin create",
            with(&["erin@contoso.com", "--role", "reader"]),
        ),
        ("admin list", with(&[])),
        ("admin reset", with(&["erin@contoso.com"])),
        ("admin remove", with(&["erin@contoso.com"])),
        ("tenant create", with(&["fabrikam"])),
        (
            "tenant policy",
            with(&["contoso", "--allow-low-rids", "false"]),
        ),
        ("tenant rotate-key", with(&["fabrikam"])),
        ("tenant list", with(&[])),
        ("tenant show", with(&["contoso"])),
        ("tenant delete", with(&["fabrikam"])),
        ("sync allow-deletions", with(&["1", "--domain", DOMAIN])),
        ("sync status", with(&["--domain", DOMAIN])),
        ("connector list", with(&[])),
        ("connector revoke", with(&["--domain", DOMAIN])),
        ("connector create", with(&["--domain", DOMAIN])),
        ("user create", with(&["frank@contoso.cloud.example"])),
        ("user delete", with(&["frank@contoso.cloud.example"])),
        ("user list", with(&[])),
        ("user show", with(&[ALICE])),
        ("group list", with(&[])),
        ("group show", with(&["Sales"])),
        ("storage-account create", with(&["acct2"])),
        ("storage-account list", with(&[])),
        ("storage-account show", with(&["acct1"])),
        (
            "storage-account alias add",
            with(&["acct1", "files.contoso.cloud.example"]),
        ),
        (
            "storage-account alias remove",
            with(&["acct1", "files.contoso.cloud.example"]),
        ),
        (
            "storage-account rotate-key",
            with(&["acct2", "--key", "kerb2"]),
        ),
        ("storage-account keytab", with(&["acct2", "--out", &keytab])),
        ("storage-account delete", with(&["acct2"])),
        ("storage-account hosts", with(&["acct1"])),
        (
            "storage-account host-token",
            with(&["acct1", "--for", "fs2"]),
        ),
        ("storage-account host-tokens", with(&["acct1"])),
        (
            "storage-account revoke-host-token",
            with(&["acct1", &world.token]),
        ),
        (
            "service-principal create",
            with(&["postgres/db2.contoso.cloud.example"]),
        ),
        ("service-principal list", with(&[])),
        ("service-principal show", with(&[service])),
        (
            "service-principal rotate-key",
            with(&[service, "--key", "kerb2"]),
        ),
        ("service-principal keytab", with(&[service, "--out", &spn])),
        ("service-principal delete", with(&[service])),
        ("share create", with(&["acct1/second"])),
        (
            "share set-quota",
            with(&["acct1/second", "--quota", "2GiB"]),
        ),
        ("share list", with(&[])),
        ("share show", with(&["acct1/projects"])),
        ("access list", with(&["acct1/projects"])),
        ("status", with(&[])),
        ("whoami", with(&[])),
        (
            "share grant",
            with(&["acct1/second", "--to", ALICE, "--role", "reader"]),
        ),
        ("share access", with(&["acct1/projects", "--user", ALICE])),
        (
            "share default-permission",
            with(&["acct1", "--role", "reader"]),
        ),
        ("share revoke", with(&["acct1/second", "--from", ALICE])),
        ("share delete", with(&["acct1/second"])),
        ("events", with(&[])),
    ]
}

/// Every command that does something, as the reference lists them.
fn all_commands() -> BTreeSet<String> {
    let reference =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference/command-line.md");
    let reference = fs::read_to_string(reference).unwrap();
    let mut all = BTreeSet::new();
    let mut name = None;
    for line in reference.lines() {
        match line.trim_start_matches('#').strip_prefix(" crossrealm ") {
            Some(found) if line.starts_with('#') => name = Some(found.to_owned()),
            // A command with a usage does something; the others have commands below them.
            _ if line == "```" => all.extend(name.take()),
            _ => {}
        }
    }
    all
}

/// F18: all times in the JSON of all commands are RFC 3339 in UTC, to the millisecond.
#[test]
fn f18_every_time_in_json_is_rfc_3339() {
    let world = world();
    let (mut wrong, mut seen) = (Vec::new(), 0);
    let commands = commands(&world);
    for (name, arguments) in &commands {
        let arguments = arguments.iter().map(String::as_str);
        let args: Vec<&str> = name.split(' ').chain(arguments).collect();
        let output = world.cloud.ok(&[&args[..], &["-o", "json"]].concat());
        assert!(!output.stdout.is_empty(), "{name} printed nothing");
        let value = serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|error| panic!("{name}: {error}: {output:?}"));
        let found = times(&value);
        seen += found.right;
        wrong.extend(
            found
                .wrong
                .into_iter()
                .map(|text| format!("{name}: {text}")),
        );
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(seen > 100, "only {seen} times were found");
    let listed = commands.iter().map(|(name, _)| *name);
    let listed: BTreeSet<String> = listed
        .chain(ELSEWHERE.iter().map(|(name, _)| *name))
        .map(str::to_owned)
        .collect();
    assert_eq!(
        listed,
        all_commands(),
        "a command is not in the lists above"
    );
}

/// Every list; `context list` is one of another machine, in contexts.rs.
const LISTS: &[&[&str]] = &[
    &["tenant", "list"],
    &["user", "list"],
    &["group", "list"],
    &["storage-account", "list"],
    &["storage-account", "hosts", "acct1"],
    &["storage-account", "host-tokens", "acct1"],
    &["service-principal", "list"],
    &["share", "list", "acct1"],
    &["share", "list"],
    &["access", "list", "acct1/projects"],
    &["access", "list", "--user", ALICE],
    &["connector", "list"],
    &["admin", "list"],
    &["events"],
];

/// F18: a list is an array, in a command of its own and inside an object.
#[test]
fn f18_lists_are_arrays() {
    let world = world();
    let named = LISTS.iter().map(|list| list.join(" "));
    let named: BTreeSet<String> = named.collect();
    let lists = all_commands().into_iter();
    for list in lists.filter(|name| name.ends_with(" list") && name != "context list") {
        assert!(
            named.iter().any(|one| one.starts_with(&list)),
            "`{list}` is not tried"
        );
    }
    for list in LISTS {
        let value = json(&world.cloud, list);
        let items = value
            .as_array()
            .unwrap_or_else(|| panic!("{list:?}: {value}"));
        assert!(!items.is_empty(), "{list:?}");
    }
    let group = json(&world.cloud, &["group", "show", "Sales"]);
    assert_eq!(group["members"][0]["name"], ALICE);
    let none = json(&world.cloud, &["events", "--user", "nobody@contoso.com"]);
    assert_eq!(none, json!([]));
}

/// F18: with `-o json` the last line of stderr is the error, for refusals, for failures before the service is asked, and for
/// wrong usage; without it errors are text.
#[test]
fn f18_errors_are_objects_under_json() {
    let cloud = Cloud::start();
    let failed = |args: &[&str], status: i32| {
        let output = cloud.command(args).output().unwrap();
        assert_eq!(output.status.code(), Some(status), "{args:?}: {output:?}");
        assert!(output.stdout.is_empty(), "{args:?}");
        let stderr = String::from_utf8(output.stderr).unwrap();
        let last = stderr.lines().last().unwrap().to_owned();
        let error: Value = serde_json::from_str(&last).unwrap_or_else(|_| panic!("{stderr}"));
        let fields: Vec<&String> = error.as_object().unwrap().keys().collect();
        assert_eq!(fields, ["code", "details", "hint", "message"]);
        assert!(error["details"].is_object() && error["message"].is_string());
        error
    };
    let refused = failed(&["-o", "json", "share", "delete", "acct1/nosuch"], 1);
    assert_eq!(refused["code"], "share_not_found");
    assert_eq!(refused["details"]["account"], "acct1");
    assert!(refused["details"]["request_id"].is_string());
    let hint = refused["hint"].as_str().unwrap();
    assert!(hint.contains("crossrealm share list acct1"), "{hint}");

    let early = failed(
        &[
            "tenant",
            "list",
            "-o",
            "json",
            "--token-file",
            "/nonexistent",
        ],
        1,
    );
    assert_eq!(early["code"], "failed");
    for usage in [
        &["share", "list", "acct1", "--no-such", "-o", "json"][..],
        &["--output=json", "nosuch"],
        &["-ojson", "share", "grant", "acct1/projects"],
    ] {
        let usage = failed(usage, 2);
        assert_eq!(usage["code"], "usage", "{usage}");
        assert!(!usage["message"].as_str().unwrap().contains('\n'));
    }
    let text = cloud
        .command(&["share", "delete", "acct1/nosuch"])
        .output()
        .unwrap();
    assert!(
        String::from_utf8(text.stderr)
            .unwrap()
            .starts_with("error: ")
    );
    let text = cloud.command(&["nosuch", "-o", "table"]).output().unwrap();
    assert!(String::from_utf8(text.stderr).unwrap().contains("Usage:"));
}

/// F18: a deletion says on stdout what it did, as a sentence or as an object.
#[test]
fn f18_deletions_say_what_they_did() {
    let cloud = Cloud::start();
    cloud.ok(&["user", "create", DAVE]);
    let grant = [
        "share",
        "grant",
        "acct1/projects",
        "--to",
        DAVE,
        "--role",
        "reader",
    ];
    cloud.ok(&grant);
    let revoke = ["share", "revoke", "acct1/projects", "--from", DAVE];
    let done = json(&cloud, &revoke);
    assert_eq!(
        (&done["action"], &done["object"], &done["name"], &done["on"]),
        (
            &json!("revoked"),
            &json!("grant"),
            &json!(DAVE),
            &json!("acct1/projects")
        )
    );
    cloud.ok(&grant);
    let text = String::from_utf8(cloud.ok(&revoke).stdout).unwrap();
    assert_eq!(
        text,
        format!("revoked grant `{DAVE}` on `acct1/projects`\n")
    );
    let done = json(&cloud, &["share", "delete", "acct1/projects"]);
    assert_eq!(
        (&done["action"], &done["name"]),
        (&json!("deleted"), &json!("acct1/projects"))
    );
    assert!(
        done["effect"]
            .as_str()
            .unwrap()
            .contains("files on the hosts are kept")
    );
}

fn fits(text: &str, width: usize) {
    let longest = text.lines().map(|line| line.chars().count()).max().unwrap();
    assert!(longest <= width, "{longest} > {width}:\n{text}");
    assert!(!text.contains("17000000"), "{text}");
}

/// F18: every list fits the terminal, and no cell of a table is blank or a Unix time.
#[test]
fn f18_tables_fit_the_terminal() {
    let world = world();
    for list in LISTS {
        for width in ["80", "120"] {
            let mut command = world.cloud.command(list);
            let output = command.env("COLUMNS", width).output().unwrap();
            let text = String::from_utf8(output.stdout).unwrap();
            fits(&text, width.parse().unwrap());
        }
    }
    // At a terminal of this width, which `script` makes.
    let events = world.cloud.command(&["events"]);
    let program = events.get_program().to_str().unwrap();
    let mut script = crossrealm_programs::command("script");
    script.args(["--quiet", "--return", "--command"]);
    script.arg(format!("stty cols 80; exec {program} events"));
    let settings = events.get_envs();
    script.envs(settings.filter_map(|(key, value)| Some((key, value?))));
    script.arg("/dev/null").env_remove("COLUMNS");
    let output = script.stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    fits(&text.replace('\r', ""), 80);
    assert!(text.lines().count() > 10, "{text}");
    let text = String::from_utf8(world.cloud.ok(&["group", "list"]).stdout).unwrap();
    let row = text.lines().find(|line| line.starts_with("Sales")).unwrap();
    assert_eq!(
        row.split_whitespace().count(),
        text.lines().next().unwrap().split_whitespace().count()
    );
}
