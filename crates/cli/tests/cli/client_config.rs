//! `client config` against a running service, its files read by parsers that are not ours: Python's and Samba's.

use super::common::Cloud;
use crossrealm_programs::command;
use serde_json::Value;
use std::path::Path;

/// Reads a `.reg` file into `{"KEY": {"name": value}}`.
const READ_REG: &str = r#"
import configparser, json, sys
raw = open(sys.argv[1], 'rb').read()
assert raw[:2] == b'\xff\xfe', 'no byte order mark'
text = raw.decode('utf-16')
assert text.count('\n') == text.count('\r\n') and text.endswith('\r\n\r\n'), 'line ends'
head, body = text.split('\r\n', 1)
assert head == 'Windows Registry Editor Version 5.00', head
parser = configparser.RawConfigParser(delimiters='=', comment_prefixes=';', strict=False)
parser.optionxform = str
parser.read_string(body)
def value(text):
    if text == '-': return None
    if text.startswith('dword:'): return int(text[6:], 16)
    return text[1:-1].replace('\\"', '"').replace('\\\\', '\\')
print(json.dumps({s.replace('HKEY_LOCAL_MACHINE\\SOFTWARE', 'Software'): {n[1:-1]: value(v) for n, v in parser[s].items()} for s in parser.sections()}))
"#;

/// Reads a `Registry.pol` by Samba into the same form.
const READ_POL: &str = r#"
import json, sys
from samba.dcerpc import preg
from samba.ndr import ndr_pack, ndr_unpack
raw = open(sys.argv[1], 'rb').read()
file = ndr_unpack(preg.file, raw)
assert ndr_pack(file) == raw, 'Samba writes it otherwise'
assert file.header.signature == 'PReg' and file.header.version == 1
out = {}
for entry in file.entries:
    name = entry.valuename
    gone = name.startswith('**del.')
    assert entry.type == (4 if isinstance(entry.data, int) else 1), entry.type
    out.setdefault(entry.keyname, {})[name[6:] if gone else name] = None if gone else entry.data
print(json.dumps(out))
"#;

fn python(script: &str, file: &Path) -> Value {
    let output = command("python3")
        .args(["-c", script])
        .arg(file)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Whether Samba's Python is missing: printed as a warning, and an error where CI requires it.
fn without_samba() -> bool {
    let found = command("python3")
        .args(["-c", "import samba.dcerpc.preg"])
        .output();
    if found.is_ok_and(|output| output.status.success()) {
        return false;
    }
    assert!(
        std::env::var_os("CROSSREALM_REQUIRE_WORLD").is_none(),
        "python3-samba is missing"
    );
    eprintln!("*** SKIPPED: `python3-samba` is missing ***");
    true
}

/// Every value of both forms; `None` where it is deleted.
fn expected(proxy: &str, delete: bool) -> Value {
    let kerberos = r"Software\Microsoft\Windows\CurrentVersion\Policies\System\Kerberos";
    let value = |value: Value| if delete { Value::Null } else { value };
    let realm = "KERBEROS.CONTOSO.CLOUD.EXAMPLE";
    serde_json::json!({
        kerberos: {"KdcProxyServer_Enabled": value(1.into()), "domain_realm_Enabled": value(1.into())},
        format!(r"{kerberos}\KdcProxy\ProxyServers"): {realm: value(proxy.into())},
        format!(r"{kerberos}\Parameters"): {"CloudKerberosTicketRetrievalEnabled": value(1.into())},
        format!(r"{kerberos}\domain_realm"): {realm: value("files.contoso.com".into())},
    })
}

#[test]
fn windows_files_hold_the_settings_and_undo_files_remove_them() {
    if without_samba() {
        return;
    }
    let cloud = Cloud::start();
    cloud.ok(&[
        "storage-account",
        "create",
        "acct2",
        "--alias",
        "files.contoso.com",
    ]);
    let tenant = cloud
        .ok(&["tenant", "show", "contoso", "-o", "json"])
        .stdout;
    let tenant: Value = serde_json::from_slice(&tenant).unwrap();
    let id = tenant["id"].as_str().unwrap();
    let url = tenant["kdc_proxy_url"].as_str().unwrap();
    let host = url
        .strip_prefix("https://")
        .unwrap()
        .split('/')
        .next()
        .unwrap();
    let proxy = format!("<https {host}:{id}/kerberos />");
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let write = |format: &str, name: &str, more: &[&str]| {
        let out = path(name);
        let args = [
            "client",
            "config",
            "--format",
            format,
            "--out",
            out.to_str().unwrap(),
        ];
        cloud.ok(&[&args[..], more].concat());
    };
    for (more, delete) in [(&[][..], false), (&["--undo"], true)] {
        write("reg", "crossrealm.reg", more);
        assert_eq!(
            python(READ_REG, &path("crossrealm.reg")),
            expected(&proxy, delete)
        );
        write("gpo", "policy", more);
        let pol = path("policy/Machine/Registry.pol");
        assert_eq!(python(READ_POL, &pol), expected(&proxy, delete));
        let text = std::fs::read_to_string(path("policy/lgpo.txt")).unwrap();
        assert_eq!(text.matches("\r\nComputer\r\n").count(), 5);
        assert_eq!(
            text.matches("\r\nDELETE\r\n").count(),
            if delete { 5 } else { 0 }
        );
    }
    assert!(path("policy/GPT.INI").exists() && path("policy/ca.pem").exists());
    write("intune", "intune.json", &[]);
    let profile: Value =
        serde_json::from_slice(&std::fs::read(path("intune.json")).unwrap()).unwrap();
    let value = profile["omaSettings"][1]["value"].as_str().unwrap();
    let shown = value.replace("&lt;", "<").replace("&gt;", ">");
    let list = format!(
        "<enabled/><data id=\"KdcProxyServer\" value=\"KERBEROS.CONTOSO.CLOUD.EXAMPLE&#xF000;{proxy}\"/>"
    );
    assert_eq!(shown, list);
    write("reg", "switch.reg", &["--no-revocation-check"]);
    let all = python(READ_REG, &path("switch.reg"));
    let parameters =
        r"Software\Microsoft\Windows\CurrentVersion\Policies\System\Kerberos\Parameters";
    assert_eq!(all[parameters]["NoRevocationCheck"], 1);
}

/// F16: what somebody else wrote is kept beside what replaces it; what this command wrote is replaced.
#[test]
fn f16_a_file_of_somebody_else_is_kept() {
    let cloud = Cloud::start();
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let out = path("x.conf");
    let write = |more: &[&str]| {
        let args = ["client", "config", "--format", "krb5.conf", "--out"];
        let args = [&args[..], &[out.to_str().unwrap()], more].concat();
        let output = cloud.command(&args).output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        (output.status.code(), stderr)
    };
    let kept = |name: &str| std::fs::read_to_string(path(name)).unwrap();
    for (content, name) in [
        ("[realms]\n", "x.conf.orig1"),
        ("[libdefaults]\n", "x.conf.orig2"),
    ] {
        std::fs::write(&out, content).unwrap();
        let (code, said) = write(&[]);
        assert_eq!(code, Some(0), "{said}");
        assert!(
            said.contains("kept the file that was there as") && said.contains(name),
            "{said}"
        );
        assert_eq!(kept(name), content);
    }
    assert_eq!(write(&["--map-hosts"]).0, Some(0));
    assert!(!path("x.conf.orig3").exists());
    std::fs::remove_file(&out).unwrap();
    std::fs::create_dir(&out).unwrap();
    let (code, said) = write(&[]);
    assert_eq!(code, Some(1));
    assert!(said.contains("it is no regular file"), "{said}");
}

#[test]
fn only_a_krb5_conf_of_ours_is_deleted() {
    let cloud = Cloud::start();
    let folder = tempfile::tempdir().unwrap();
    let (ours, ca) = (folder.path().join("x.conf"), folder.path().join("x.ca.pem"));
    let run = |path: &Path, more: &[&str]| {
        let args = [
            "client",
            "config",
            "--format",
            "krb5.conf",
            "--out",
            path.to_str().unwrap(),
        ];
        cloud.command(&[&args[..], more].concat()).output().unwrap()
    };
    assert!(run(&ours, &[]).status.success() && ours.exists() && ca.exists());
    assert!(run(&ours, &["--undo"]).status.success() && !ours.exists() && !ca.exists());
    std::fs::write(&ours, "[libdefaults]\n").unwrap();
    assert_eq!(run(&ours, &["--undo"]).status.code(), Some(1));
    assert!(ours.exists(), "another's file stays");
    let pathless = ["client", "config", "--format", "krb5.conf", "--undo"];
    assert_eq!(
        cloud.command(&pathless).output().unwrap().status.code(),
        Some(1)
    );
}
