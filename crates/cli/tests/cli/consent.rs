//! What cannot be undone is shown before it is done, and asked for at a terminal (F20).

use crate::common::Cloud;
use std::collections::BTreeSet;
use std::io::Write as _;
use std::process::{Output, Stdio};

const UPN: &str = "carol@contoso.cloud.example";

/// The command at a terminal, at which this line is typed. `script` makes one.
fn at_terminal(cloud: &Cloud, args: &[&str], line: &str) -> Output {
    let inner = cloud.command(args);
    let mut script = crossrealm_programs::command("script");
    script.args(["--quiet", "--return", "--echo", "never", "--command"]);
    let program = inner.get_program().to_str().unwrap();
    script.arg(format!("{program} {}", args.join(" ")));
    let settings = inner
        .get_envs()
        .filter_map(|(key, value)| Some((key, value?)));
    script.arg("/dev/null").envs(settings);
    script.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = script.spawn().unwrap();
    let typed = format!("{line}\n");
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(typed.as_bytes()).unwrap();
    drop(stdin);
    child.wait_with_output().unwrap()
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// F20: a dry run changes nothing, and says what would be lost in both forms of output.
#[test]
fn f20_a_dry_run_shows_what_would_be_lost() {
    let cloud = Cloud::start();
    cloud.ok(&["user", "create", UPN]);
    let grant = [
        "share",
        "grant",
        "acct1/projects",
        "--to",
        UPN,
        "--role",
        "reader",
    ];
    cloud.ok(&grant);
    cloud.ok(&["tenant", "create", "empty"]);
    let token = cloud.data().with_file_name("host.token");
    let token = token.to_str().unwrap();
    cloud.ok(&["storage-account", "host-token", "acct1", "--out", token]);
    let share = ["the share `acct1/projects`", "the role `reader` of `carol@"];
    let account = [
        "`acct1.file.contoso.cloud.example`",
        "the host token `",
        share[0],
        share[1],
    ];
    let tenant = ["the tenant `empty`", "its 0 users and 0 groups"];
    for (words, lost) in [
        (&["share", "delete", "acct1/projects"][..], &share[..]),
        (&["storage-account", "delete", "acct1", "--force"], &account),
        (&["tenant", "delete", "empty"], &tenant),
    ] {
        let dry = [words, &["--dry-run"]].concat();
        let shown = cloud.ok(&dry);
        let said = String::from_utf8_lossy(&shown.stderr);
        assert!(said.contains("nothing was changed"), "{said}");
        let json = cloud.ok(&[&dry[..], &["-o", "json"]].concat());
        let json: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
        assert_eq!(json["dry_run"], true);
        let lines: Vec<_> = json["lost"].as_array().unwrap().iter().collect();
        let lines: Vec<&str> = lines.iter().filter_map(|line| line.as_str()).collect();
        assert_eq!(text(&shown).lines().collect::<Vec<_>>(), lines);
        for expected in lost {
            assert!(
                text(&shown).contains(expected),
                "{expected}: {}",
                text(&shown)
            );
        }
    }
    for words in [
        &["storage-account", "delete", "acct1"][..],
        &["tenant", "delete", "contoso"],
    ] {
        let dry = [words, &["--dry-run"]].concat();
        let refused = cloud.command(&dry).output().unwrap();
        assert_eq!(refused.status.code(), Some(1), "{refused:?}");
    }
    cloud.ok(&["share", "list", "acct1"]);
    cloud.ok(&["tenant", "show", "empty"]);
    assert!(text(&cloud.ok(&["share", "list", "acct1"])).contains("projects"));
}

/// F20: at a terminal the answer decides; `--yes` and a script are not asked.
#[test]
fn f20_a_person_at_a_terminal_is_asked() {
    let cloud = Cloud::start();
    let delete = ["share", "delete", "acct1/projects"];
    for answer in ["no", "", "y"] {
        let declined = at_terminal(&cloud, &delete, answer);
        let shown = text(&declined);
        assert_eq!(declined.status.code(), Some(1), "{shown}");
        assert!(shown.contains("the share `acct1/projects`"), "{shown}");
        assert!(shown.contains("nothing was changed"), "{shown}");
    }
    assert!(text(&cloud.ok(&["share", "list", "acct1"])).contains("projects"));
    let given = at_terminal(&cloud, &delete, "yes");
    assert!(given.status.success(), "{}", text(&given));
    cloud.ok(&["share", "create", "acct1/projects"]);
    let unasked = at_terminal(&cloud, &[&delete[..], &["--yes"]].concat(), "");
    assert!(unasked.status.success() && !text(&unasked).contains("Type `yes`"));
    cloud.ok(&["share", "create", "acct1/projects"]);
    cloud.ok(&delete);
}

/// The commands that ask, but for those that read AD first: `lab/tests/trust` plays these.
const IN_AD: [&str; 2] = ["kerberos-server remove", "trusted-domain-object remove"];

/// The commands with `--yes` among their options, as the program's own help has them.
fn commands_that_ask(cloud: &Cloud) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut below = vec![String::new()];
    while let Some(command) = below.pop() {
        let words = command.split_whitespace();
        let args: Vec<&str> = words.chain(["--help"]).collect();
        let help = text(&cloud.ok(&args));
        if help.contains("--yes") {
            found.insert(command.trim().to_owned());
        }
        let Some((_, listed)) = help.split_once("\nCommands:\n") else {
            continue;
        };
        let listed = listed.lines().take_while(|line| !line.is_empty());
        // A line that is further in goes on with the description before.
        let names =
            listed.filter_map(|line| line.strip_prefix("  ").filter(|l| !l.starts_with(' ')));
        let names = names.filter_map(|line| line.split_whitespace().next());
        below.extend(
            names
                .filter(|name| *name != "help")
                .map(|name| format!("{command} {name}")),
        );
    }
    found
}

/// F20: each command that takes `--yes` asks at a terminal, names what is lost, and changes nothing without the answer; with
/// `--dry-run` it changes nothing either. The list is the program's own help.
#[test]
fn f20_every_command_that_takes_yes_asks() {
    let cloud = Cloud::start();
    cloud.ok(&["user", "create", UPN]);
    cloud.ok(&["tenant", "create", "empty"]);
    cloud.ok(&["storage-account", "create", "acct2"]);
    let spn = "postgres/db1.contoso.cloud.example";
    cloud.ok(&["service-principal", "create", spn]);
    cloud.sync(Vec::new());
    cloud.ok(&["connector", "create", "--domain", "corp.contoso.com"]);
    cloud.ok(&["admin", "create", "erin@contoso.com", "--role", "reader"]);
    let token = cloud.data().with_file_name("host.token");
    let host_token = ["storage-account", "host-token", "acct1", "--for", "fs1"];
    cloud.ok(&[&host_token[..], &["--out", token.to_str().unwrap()]].concat());
    let list = |words: &[&str]| text(&cloud.ok(&[words, &["-o", "json"]].concat()));
    let tokens: serde_json::Value =
        serde_json::from_str(&list(&["storage-account", "host-tokens", "acct1"])).unwrap();
    let id = tokens[0]["id"].as_str().unwrap();
    // What each is about, what it says is lost, and where that is seen.
    let cases: &[(&str, &[&str], &str, &[&str])] = &[
        (
            "share delete",
            &["acct1/projects"],
            "the share",
            &["share", "list"],
        ),
        (
            "storage-account delete",
            &["acct2"],
            "the storage account",
            &["storage-account", "list"],
        ),
        (
            "tenant delete",
            &["empty"],
            "the tenant",
            &["tenant", "list"],
        ),
        ("user delete", &[UPN], "the user", &["user", "list"]),
        (
            "service-principal delete",
            &[spn],
            "nobody gets tickets",
            &["service-principal", "list"],
        ),
        (
            "connector revoke",
            &["--domain", "corp.contoso.com"],
            "the connector of `corp.contoso.com`",
            &["connector", "list"],
        ),
        (
            "storage-account revoke-host-token",
            &["acct1", id],
            "the host token `fs1`",
            &["storage-account", "host-tokens", "acct1"],
        ),
        (
            "admin reset",
            &["erin@contoso.com"],
            "authenticator",
            &["admin", "list"],
        ),
        (
            "admin remove",
            &["erin@contoso.com"],
            "`erin@contoso.com`, reader",
            &["admin", "list"],
        ),
    ];
    let named = cases.iter().map(|(command, ..)| *command).chain(IN_AD);
    let named: BTreeSet<String> = named.map(str::to_owned).collect();
    assert_eq!(commands_that_ask(&cloud), named);
    for (command, arguments, lost, seen) in cases {
        let words: Vec<&str> = command
            .split(' ')
            .chain(arguments.iter().copied())
            .collect();
        let before = list(seen);
        let declined = at_terminal(&cloud, &words, "no");
        let shown = text(&declined);
        assert_eq!(declined.status.code(), Some(1), "{command}: {shown}");
        for expected in [*lost, "Type `yes`", "nothing was changed", "`--yes`"] {
            assert!(shown.contains(expected), "{command}: {expected}: {shown}");
        }
        let dry = cloud.ok(&[&words[..], &["--dry-run"]].concat());
        assert!(text(&dry).contains(lost), "{command}: {}", text(&dry));
        assert_eq!(list(seen), before, "{command}");
        let unasked = at_terminal(&cloud, &[&words[..], &["--yes"]].concat(), "");
        let shown = text(&unasked);
        assert!(unasked.status.success(), "{command}: {shown}");
        assert!(!shown.contains("Type `yes`"), "{command}: {shown}");
        assert_ne!(list(seen), before, "{command}");
        // What is not there is not taken for something else.
        for how in ["--dry-run", "--yes"] {
            if *command != "admin reset" && *command != "storage-account revoke-host-token" {
                let gone = cloud
                    .command(&[&words[..], &[how]].concat())
                    .output()
                    .unwrap();
                assert_eq!(gone.status.code(), Some(1), "{command} {how}: {gone:?}");
            }
        }
    }
}
