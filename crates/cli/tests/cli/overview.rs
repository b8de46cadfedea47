//! F22: what an administrator looks at: the state of a tenant, who may open what, whose token it is.

use crate::json_output::{ALICE, DAVE, DOMAIN, World, json, world};
use serde_json::{Value, json};
use std::process::Output;

/// An AS-REQ (RFC 4120 §5.4.1) of `alice` for the tenant's realm in a KDC-PROXY-MESSAGE, in hexadecimal.
const AS_REQ: &str = "3081b3a081b00481ad000000a96a81a63081a3a103020105a20302010aa48196308193a00703050000000000a1123010a003\
    020101a10930071b05616c696365a2201b1e4b45524245524f532e434f4e544f534f2e434c4f55442e4558414d504c45a333\
    3031a003020102a12a30281b066b72627467741b1e4b45524245524f532e434f4e544f534f2e434c4f55442e4558414d504c\
    45a511180f32303337303931333032343830355aa70302014da8053003020112";

fn text(world: &World, args: &[&str]) -> String {
    String::from_utf8(world.cloud.ok(args).stdout).unwrap()
}

fn failed(world: &World, args: &[&str], status: i32) -> String {
    let output: Output = world.cloud.command(args).output().unwrap();
    assert_eq!(output.status.code(), Some(status), "{args:?}: {output:?}");
    String::from_utf8(output.stderr).unwrap()
}

/// F22: one screen with the facts of the JSON; what needs a person is named with its code and the next step.
#[test]
fn f22_the_status_shows_what_needs_a_person() {
    let world = world();
    let status = json(&world.cloud, &["status"]);
    let attention = status["attention"].as_array().unwrap();
    let codes: Vec<&str> = attention
        .iter()
        .filter_map(|one| one["code"].as_str())
        .collect();
    // The trust was prepared and never confirmed.
    assert_eq!(codes, ["trust_pending"], "{status}");
    assert_eq!(attention[0]["severity"], "failure");
    assert_eq!(attention[0]["object"], DOMAIN);
    let hint = attention[0]["hint"].as_str().unwrap();
    assert!(
        hint.contains("kerberos-server set --setup-cloud-trust"),
        "{hint}"
    );
    assert_eq!(status["domains"][0]["users"], 1);
    assert_eq!(status["storage_accounts"][0]["hosts"][0]["name"], "fs1");
    assert_eq!(status["service"]["private_authority"], true);
    let screen = text(&world, &["status"]);
    assert!(screen.lines().count() <= 24, "{screen}");
    for part in [
        "contoso, realm KERBEROS.CONTOSO.CLOUD.EXAMPLE",
        "corp.contoso.com: half set up, no ticket yet",
        "corp.contoso.com: synchronized just now, 1 users, 1 groups, no agent at work",
        "acct1 (1 share): fs1 serving on [::]:445, 0 sessions",
        "Needs a person (1):",
        "next: `crossrealm kerberos-server set",
    ] {
        assert!(screen.contains(part), "`{part}` is missing in\n{screen}");
    }
    let missing = ["status", "--tenant", "nosuch"];
    assert!(failed(&world, &missing, 1).contains("nosuch"));
}

/// F22: everyone who may open a share and everything that a user may open, by grant and groups; one of both must be asked for.
#[test]
fn f22_access_is_listed_by_share_and_by_user() {
    let world = world();
    let users = text(&world, &["access", "list", "acct1/projects"]);
    let row = users.lines().nth(1).unwrap();
    assert!(
        row.starts_with(ALICE) && row.contains("reader by Sales"),
        "{users}"
    );
    assert_eq!(users.lines().count(), 2, "{users}");
    let shares = text(&world, &["access", "list", "--user", ALICE]);
    assert!(
        shares.contains("projects") && shares.contains("reader by Sales"),
        "{shares}"
    );
    let list = json(&world.cloud, &["access", "list", "acct1/projects"]);
    assert_eq!(list[0]["reasons"][0]["path"][0]["name"], "Sales");
    assert_eq!(list[0]["effective"], "reader");
    let nothing = json(&world.cloud, &["access", "list", "--user", DAVE]);
    assert_eq!(nothing, json!([]));
    for wrong in [
        &["access", "list"][..],
        &["access", "list", "acct1/projects", "--user", ALICE],
    ] {
        failed(&world, wrong, 2);
    }
    assert!(failed(&world, &["access", "list", "acct1/nosuch"], 1).contains("nosuch"));
    assert!(failed(&world, &["access", "list", "--user", "nobody"], 1).contains("nobody"));
}

/// F22: whose token it is, also a machine's, which may ask for nothing else.
#[test]
fn f22_whoami_knows_every_kind_of_token() {
    let world = world();
    let me = json(&world.cloud, &["whoami"]);
    assert_eq!(
        (&me["kind"], &me["role"]),
        (&json!("administrator"), &json!("global-administrator"))
    );
    assert!(me["server"].is_string(), "{me}");
    let host = world
        .cloud
        .host_command("acct1", &["whoami", "-o", "json"])
        .output()
        .unwrap();
    let host: Value = serde_json::from_slice(&host.stdout).unwrap();
    assert_eq!(
        (&host["kind"], &host["account"]),
        (&json!("host"), &json!("acct1"))
    );
    assert_eq!(host["tenant_name"], Value::Null);
}

/// F22: a cloud-only user is deleted with their grants, which are shown before; a user of AD is not.
#[test]
fn f22_a_cloud_only_user_is_deleted() {
    let world = world();
    world.cloud.ok(&[
        "share",
        "grant",
        "acct1/projects",
        "--to",
        DAVE,
        "--role",
        "reader",
    ]);
    let dry = text(&world, &["user", "delete", DAVE, "--dry-run"]);
    assert!(dry.contains(&format!("the user `{DAVE}`")), "{dry}");
    assert!(
        dry.contains("the role `reader`") && dry.contains("acct1/projects"),
        "{dry}"
    );
    assert!(text(&world, &["user", "list"]).contains(DAVE));
    let done = json(&world.cloud, &["user", "delete", DAVE]);
    assert_eq!(
        (&done["action"], &done["name"]),
        (&json!("deleted"), &json!(DAVE))
    );
    assert!(!text(&world, &["user", "list"]).contains(DAVE));
    assert!(!text(&world, &["share", "show", "acct1/projects"]).contains(DAVE));
    let refused = failed(&world, &["user", "delete", ALICE, "-o", "json"], 1);
    assert!(
        refused.contains("user_is_hybrid") && refused.contains("delete it in AD"),
        "{refused}"
    );
}

/// F22: shares of all accounts where none is named, one share with its grants, and a policy that is shown without a change.
#[test]
fn f22_shares_and_policies_are_shown() {
    let world = world();
    world.cloud.ok(&["storage-account", "create", "acct2"]);
    world.cloud.ok(&["share", "create", "acct2/other"]);
    let all = json(&world.cloud, &["share", "list"]);
    let names = all.as_array().unwrap().iter().map(|share| {
        let text = |name: &str| share[name].as_str().unwrap().to_owned();
        format!("{}/{}", text("account"), text("name"))
    });
    assert_eq!(names.collect::<Vec<_>>(), ["acct1/projects", "acct2/other"]);
    // What the hosts report is there as in the list of one account.
    let one = json(&world.cloud, &["share", "list", "acct1"]);
    assert_eq!(one[0], all[0]);
    assert_eq!(one[0]["quota_on_hosts"][0]["host"], "fs1");
    let shown = text(&world, &["share", "show", "acct1/projects"]);
    assert!(
        shown.contains("Quota     : 1 GiB") && shown.contains("Sales"),
        "{shown}"
    );
    let policy = ["tenant", "policy", "contoso"];
    assert_eq!(json(&world.cloud, &policy)["allow_low_rids"], false);
    let changed = json(&world.cloud, &["events", "--action", "tenant.policy"]);
    assert_eq!(changed, json!([]), "showing a policy is no change");
    world
        .cloud
        .ok(&[&policy[..], &["--allow-low-rids", "true"]].concat());
    assert!(text(&world, &policy).contains("AllowLowRids : yes"));
    let changed = json(&world.cloud, &["events", "--action", "tenant."]);
    let actions: Vec<&str> = changed
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|e| e["action"].as_str())
        .collect();
    assert_eq!(actions, ["tenant.create", "tenant.policy"]);
}

fn bytes(hexadecimal: &str) -> Vec<u8> {
    let pairs = hexadecimal.as_bytes().chunks(2);
    let pairs = pairs.map(|pair| std::str::from_utf8(pair).unwrap());
    pairs
        .map(|pair| u8::from_str_radix(pair, 16).unwrap())
        .collect()
}

/// F22: one event by its id, what was refused alone, and what happened before a time; a wrong time is refused.
#[test]
fn f22_events_are_chosen_by_id_refusal_and_time() {
    let world = world();
    for body in [&b"garbage"[..], &bytes(AS_REQ)] {
        let file = world.cloud.data().with_file_name("body");
        std::fs::write(&file, body).unwrap();
        let sent = crossrealm_programs::command("curl")
            .args(["--disable", "--silent", "--output", "/dev/null", "--cacert"])
            .arg(world.cloud.path("tls/ca.pem"))
            .arg("--data-binary")
            .arg(format!("@{}", file.display()))
            .arg(format!(
                "{}/contoso.cloud.example/kerberos",
                world.cloud.url()
            ))
            .output()
            .unwrap();
        assert!(sent.status.success(), "{sent:?}");
    }
    let events = |words: &[&str]| json(&world.cloud, &[&["events"], words].concat());
    let of = |events: &Value, name: &str| -> Vec<String> {
        let all = events.as_array().unwrap().iter();
        all.map(|one| one[name].as_str().unwrap_or_default().to_owned())
            .collect()
    };
    // Events are written beside the answer.
    let are_recorded = || events(&["--refused"]).as_array().unwrap().len() == 2;
    crate::common::until("the refusals are recorded", are_recorded);
    let all = events(&[]);
    let refused = events(&["--refused"]);
    let mut outcomes = of(&refused, "outcome");
    outcomes.sort();
    assert_eq!(outcomes, ["dropped", "refused"], "{refused}");
    assert!(of(&all, "outcome").len() > 7, "{all}");
    assert_eq!(events(&["--refused", "--action", "tenant."]), json!([]));

    // What was dropped carried no id to anybody.
    let mut answered = refused
        .as_array()
        .unwrap()
        .iter()
        .filter(|one| one["id"].is_string());
    let (Some(answered), None) = (answered.next(), answered.next()) else {
        panic!("{refused}");
    };
    let id = answered["id"].as_str().unwrap();
    assert_eq!(events(&["--id", id]), json!([answered]));
    assert_eq!(events(&["--id", "0000000000000000"]), json!([]));

    let first = all[0]["at"].as_str().unwrap();
    assert_eq!(
        events(&["--until", first]),
        json!([]),
        "it is no bound of its own"
    );
    let last = of(&all, "at").last().unwrap().clone();
    let before = events(&["--until", &last]);
    let expected = of(&all, "at").iter().filter(|at| **at < last).count();
    assert_eq!(before.as_array().unwrap().len(), expected);
    assert_eq!(events(&["--until", "1d"]), json!([]));
    let wrong = failed(&world, &["events", "--until", "yesterday"], 2);
    assert!(wrong.contains("RFC 3339"), "{wrong}");
}
