//! `connect`, contexts and join files: a service is named once, and no later command needs its address, CA or tenant.

use super::common::Cloud;
use crossrealm_programs::command;
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A machine without any setting: no variable, and no file of the user.
struct Machine(tempfile::TempDir);

impl Machine {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_crossrealm"));
        command
            .env_clear()
            .env("HOME", self.0.path())
            .args(args)
            .stdin(std::process::Stdio::null());
        command
    }

    fn run(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    fn ok(&self, args: &[&str]) -> Output {
        let output = self.run(args);
        assert!(output.status.success(), "{args:?}: {output:?}");
        output
    }

    fn json(&self, args: &[&str]) -> Value {
        let output = self.ok(&[&["-o", "json"][..], args].concat());
        let value = serde_json::from_slice(&output.stdout).unwrap();
        // F18.
        let wrong = crossrealm_testkit::json_times::times(&value).wrong;
        assert!(wrong.is_empty(), "{args:?}: {wrong:?}");
        value
    }

    /// Runs what must fail; its error output.
    fn refused(&self, args: &[&str]) -> String {
        let output = self.run(args);
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{args:?}: {text}");
        text
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn has_contexts(&self) -> bool {
        self.file(".config/crossrealm/contexts.json").exists()
    }
}

/// The fingerprint of the service's CA as OpenSSL computes it.
fn fingerprint(cloud: &Cloud) -> String {
    let output = command("openssl")
        .args(["x509", "-noout", "-fingerprint", "-sha256", "-in"])
        .arg(cloud.path("tls/ca.pem"))
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    text.trim().split_once('=').unwrap().1.to_owned()
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// F24: after `connect`, commands need no option for the service.
#[test]
fn f24_a_connected_machine_knows_service_ca_tenant_and_session() {
    let cloud = Cloud::start();
    let machine = Machine::new();
    let (url, fingerprint) = (cloud.url(), fingerprint(&cloud));
    let token = cloud.path("admin.token");
    let connect = [
        "connect",
        &url,
        "--fingerprint",
        &fingerprint,
        "--token-file",
        text(&token),
    ];
    let known = machine.json(&connect);
    assert_eq!(known["tenant"], "contoso");
    assert_eq!(known["private_ca"], true);
    assert_eq!(known["signed_in"], "bootstrap");
    let shares = machine.json(&["share", "list", "acct1"]);
    assert_eq!(shares[0]["name"], "projects");
    let listed = machine.json(&["context", "list"]);
    // F18: a list is an array, and as a table fits the terminal.
    assert_eq!(listed.as_array().map(Vec::len), Some(1));
    let mut table = machine.command(&["context", "list"]);
    let table = table.env("COLUMNS", "80").output().unwrap().stdout;
    let table = String::from_utf8(table).unwrap();
    assert!(table.lines().count() > 1, "{table}");
    assert!(
        table.lines().all(|line| line.chars().count() <= 80),
        "{table}"
    );
    assert_eq!(listed[0]["current"], true);
    assert_eq!(listed[0]["server"], url);
    // Options and other contexts take precedence.
    let other = machine.refused(&["--tenant", "fabrikam", "share", "list", "acct1"]);
    assert!(other.contains("`fabrikam`"), "{other}");
    let unknown = machine.refused(&["--context", "fabrikam", "tenant", "list"]);
    assert!(unknown.contains("no context `fabrikam`"), "{unknown}");
    // A CA belongs to its service: another address is not trusted by it.
    let elsewhere = url.replace("127.0.0.1", "localhost");
    let elsewhere = machine.refused(&["--server", &elsewhere, "tenant", "list"]);
    assert!(!elsewhere.contains("contoso"), "{elsewhere}");

    let name = listed[0]["name"].as_str().unwrap();
    machine.ok(&["context", "remove", name]);
    let forgotten = machine.refused(&["tenant", "list"]);
    assert!(forgotten.contains("no service given"), "{forgotten}");
    let left = fs::read_dir(machine.file(".config/crossrealm")).unwrap();
    let left = left.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    assert!(left.into_iter().all(|name| !name.contains("ca.pem")));
}

/// F24: a CA is trusted by its fingerprint or by a person, and the certificate must be one for the name.
#[test]
fn f24_an_unknown_ca_is_refused() {
    let cloud = Cloud::start();
    let machine = Machine::new();
    let (url, right) = (cloud.url(), fingerprint(&cloud));
    let wrong = "00".repeat(32);
    let mismatch = machine.refused(&["connect", &url, "--fingerprint", &wrong]);
    assert!(mismatch.contains(&wrong), "{mismatch}");
    let plain = right.replace(':', "").to_lowercase();
    assert!(mismatch.contains(&plain), "{mismatch}");
    let unasked = machine.refused(&["connect", &url]);
    assert!(
        unasked.contains("private CA") && unasked.contains(&plain),
        "{unasked}"
    );
    let other_name = url.replace("127.0.0.1", "127.0.0.2");
    machine.refused(&["connect", &other_name, "--fingerprint", &right]);
    let output = machine.run(&["connect", &url, "--fingerprint", "12:34"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(!machine.has_contexts());
}

/// F24: a join file is enough for an SMB host or a sync agent, and for nobody else.
#[test]
fn f24_a_join_file_is_for_one_member() {
    let cloud = Cloud::start();
    cloud.sync(vec![]);
    let machine = Machine::new();
    let (host, agent) = (machine.file("acct1.join"), machine.file("sync.join"));
    cloud.ok(&[
        "storage-account",
        "host-token",
        "acct1",
        "--join",
        text(&host),
    ]);
    let domain = "corp.contoso.com";
    cloud.ok(&[
        "connector",
        "create",
        "--domain",
        domain,
        "--join",
        text(&agent),
    ]);
    for path in [&host, &agent] {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = fs::metadata(path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
    let file: Value = serde_json::from_slice(&fs::read(&host).unwrap()).unwrap();
    assert_eq!(file["server"], cloud.url());
    assert_eq!(file["tenant"], "contoso");
    let token = file["token"].as_str().unwrap();

    let mixed_up = machine.refused(&["files", "serve", "--join", text(&agent)]);
    assert!(
        mixed_up.contains("is for the sync agent of `corp.contoso.com`"),
        "{mixed_up}"
    );
    let mixed_up = machine.refused(&["sync", "once", "--join", text(&host)]);
    assert!(
        mixed_up.contains("is for an SMB host of `acct1`"),
        "{mixed_up}"
    );
    // The agent gets as far as its domain controller, which is not there.
    let keytab = machine.file("none.keytab");
    let agent = ["sync", "once", "--join", text(&agent), "--dc", "127.0.0.1"];
    let reached = machine.refused(&[&agent[..], &["--domain-keytab", text(&keytab)]].concat());
    assert!(
        reached.contains("none.keytab") || reached.contains("127.0.0.1"),
        "{reached}"
    );

    let damaged = machine.file("damaged.join");
    let bytes = fs::read(&host).unwrap();
    for content in [
        &bytes[..bytes.len() / 2],
        b"",
        b"[]",
        token.as_bytes(),
        &String::from_utf8_lossy(&bytes)
            .replace("\"join\": 1", "\"join\": 2")
            .into_bytes(),
        &String::from_utf8_lossy(&bytes)
            .replace("\"token\": \"", "\"token\": 1, \"x\": \"")
            .into_bytes(),
        &[b' '; 100_000],
    ] {
        fs::write(&damaged, content).unwrap();
        let refused = machine.refused(&["files", "serve", "--join", text(&damaged)]);
        assert!(refused.contains("damaged.join"), "{refused}");
        assert!(!refused.contains(token), "{refused}");
    }
    let both = machine.run(&[
        "files",
        "serve",
        "--join",
        text(&host),
        "--account",
        "acct1",
    ]);
    assert_eq!(both.status.code(), Some(2));
}

/// F16: what a workstation needs is public: no token, and no more than that.
#[test]
fn f16_a_workstation_is_configured_without_a_token() {
    let cloud = Cloud::start();
    cloud.ok(&[
        "storage-account",
        "alias",
        "add",
        "acct1",
        "files.contoso.com",
    ]);
    let machine = Machine::new();
    let (url, fingerprint, out) = (cloud.url(), fingerprint(&cloud), machine.file("x.conf"));
    let service = ["--server", &url, "--tenant", "contoso"];
    let config = ["client", "config", "--fingerprint", &fingerprint];
    let args = [&service[..], &config, &["--out", text(&out)]].concat();
    machine.ok(&args);
    let written = fs::read_to_string(&out).unwrap();
    assert!(
        written.contains("files.contoso.com = KERBEROS.CONTOSO"),
        "{written}"
    );
    let ca = fs::read(machine.file("x.ca.pem")).unwrap();
    assert_eq!(ca, fs::read(cloud.path("tls/ca.pem")).unwrap());
    assert!(!machine.has_contexts());
    // Other hosts are not public.
    assert!(!written.contains("acct1"), "{written}");
    let all = machine.refused(&[&args[..], &["--map-hosts"]].concat());
    assert!(
        all.contains("no API token") || all.contains("cannot trust"),
        "{all}"
    );
    let none = ["--server", &url, "--tenant", "fabrikam"];
    let none = machine.refused(&[&none[..], &config].concat());
    assert!(none.contains("no tenant `fabrikam`"), "{none}");
}

/// F24: the first tenant can be created with the installation, and `init` names the CA's fingerprint.
#[test]
fn f24_init_creates_the_first_tenant_and_names_the_fingerprint() {
    let machine = Machine::new();
    let dir = machine.file("xr");
    let init = [
        "init",
        "--base-domain",
        "cloud.example",
        "--dir",
        text(&dir),
    ];
    let bad = machine.run(&[&init[..], &["--tenant", "not a name"]].concat());
    assert_eq!(bad.status.code(), Some(2));
    assert!(!dir.exists());
    let made = machine.json(&[&init[..], &["--tenant", "contoso"]].concat());
    assert_eq!(made["tenant"], "contoso");
    let output = command("openssl")
        .args(["x509", "-noout", "-fingerprint", "-sha256", "-in"])
        .arg(dir.join("tls/ca.pem"))
        .output()
        .unwrap();
    let openssl = String::from_utf8(output.stdout).unwrap();
    let plain = openssl.replace(':', "").to_lowercase();
    assert!(
        plain.contains(made["ca_fingerprint"].as_str().unwrap()),
        "{made}"
    );
}
