//! What cannot be undone is shown before it is done, and asked for at a terminal (F20).

use crate::common::Cloud;
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
