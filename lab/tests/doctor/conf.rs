//! Faults in the configuration of MIT Kerberos, which cost an edited file each. The witness is MIT's own client: with each fault
//! it gets no ticket, and with what only looks like one it does.

use std::path::PathBuf;

use crossrealm_lab::story::CLOUD_REALM;
use crossrealm_lab::{Failure, Place, REALM, Run};

use crate::play::{HOST, Play, SHARE, cause_alone};
use crate::tried;

/// The beginning of the tenant's `kdc` line.
const URL: &str = "https://login.cloud.example:443/";
/// The domain's section, as `client config` writes it.
const AD_SECTION: &str = "    CORP.CONTOSO.COM = {\n    }\n";

/// Whether the doctor has the settings and a token, or has to find everything.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Given {
    Token,
    Nothing,
}
use Given::{Nothing, Token};

/// A change of the configuration.
type Edit = fn(&str) -> String;

/// Name, the check that must be named, what is given, what must be in the next step, and the change.
const FAULTS: &[(&str, &str, Given, &str, Edit)] = &[
    (
        "F13: the tenant's realm is in lower case",
        "realm-case",
        Token,
        "KERBEROS.CONTOSO",
        tenant_in_lower_case,
    ),
    (
        "F13: the tenant's realm is in lower case, without a token",
        "realm-case",
        Nothing,
        "KERBEROS.CONTOSO",
        tenant_in_lower_case,
    ),
    (
        "the domain's realm is in lower case, and DNS is not asked",
        "dns-dc",
        Token,
        "`CORP.CONTOSO.COM`",
        domain_in_lower_case,
    ),
    (
        "the host is mapped to the realm in lower case",
        "realm-case",
        Token,
        "KERBEROS.CONTOSO",
        |text| mapped(text, HOST, &CLOUD_REALM.to_lowercase()),
    ),
    (
        "the host is mapped to another realm",
        "realm-mapping",
        Token,
        "remove",
        |text| mapped(text, HOST, "OTHER.EXAMPLE"),
    ),
    (
        "all hosts of the tenant are mapped to another realm",
        "realm-mapping",
        Nothing,
        "remove",
        |text| mapped(text, ".contoso.cloud.example", "OTHER.EXAMPLE"),
    ),
    (
        "F13: only RC4 is permitted",
        "enctypes",
        Token,
        "`permitted_enctypes`",
        |text| with_default(text, "permitted_enctypes = rc4-hmac"),
    ),
    (
        "F13: only RC4 is permitted, without a token",
        "enctypes",
        Nothing,
        "`permitted_enctypes`",
        |text| with_default(text, "permitted_enctypes = arcfour-hmac-md5"),
    ),
    (
        "tickets for services may use RC4 only",
        "enctypes",
        Token,
        "`default_tgs_enctypes`",
        |text| with_default(text, "default_tgs_enctypes = arcfour-hmac"),
    ),
    (
        "AES is taken away from the default",
        "enctypes",
        Token,
        "`permitted_enctypes`",
        |text| with_default(text, "permitted_enctypes = DEFAULT -aes"),
    ),
    (
        "F13: an included directory is not there",
        "krb5-files",
        Token,
        "mkdir -p /nonexistent/krb5.conf.d",
        |text| format!("includedir /nonexistent/krb5.conf.d\n{text}"),
    ),
    (
        "F13: an included directory is not there, without a token",
        "krb5-files",
        Nothing,
        "mkdir -p /nonexistent/krb5.conf.d",
        |text| format!("includedir /nonexistent/krb5.conf.d\n{text}"),
    ),
    (
        "an included file is not there",
        "krb5-files",
        Token,
        "remove the `include` line",
        |text| format!("include /nonexistent/krb5.conf\n{text}"),
    ),
    (
        "a closing brace is missing",
        "krb5-files",
        Token,
        "correct `",
        |text| text.replacen("    }\n", "", 1),
    ),
    (
        "there is a closing brace too many",
        "krb5-files",
        Token,
        "correct `",
        |text| text.replace("\n[domain_realm]\n", "\n    }\n[domain_realm]\n"),
    ),
    (
        "a line is no setting",
        "krb5-files",
        Nothing,
        "correct `",
        |text| text.replace("[libdefaults]\n", "[libdefaults]\n    rdns false\n"),
    ),
    (
        "a section is not closed",
        "krb5-files",
        Nothing,
        "correct `",
        |text| text.replace("[realms]", "[realms"),
    ),
    (
        "plug-ins are looked for elsewhere",
        "client-system",
        Token,
        "remove",
        |text| with_default(text, "plugin_base_dir = /nonexistent/plugins"),
    ),
    (
        "the plug-in for HTTPS is disabled",
        "client-system",
        Token,
        "remove",
        |text| format!("[plugins]\n    tls = {{\n        disable = k5tls\n    }}\n{text}"),
    ),
    (
        "the KDC proxy is written as for Windows",
        "krb5-conf",
        Token,
        "client config",
        |text| kdc(text, "<https login.cloud.example:443:contoso/kerberos />"),
    ),
    (
        "the KDC proxy is a host without a URL",
        "krb5-conf",
        Token,
        "client config",
        |text| kdc(text, "login.cloud.example"),
    ),
    (
        "the URL of the KDC proxy names no tenant",
        "proxy-string",
        Token,
        "write `kdc = https://",
        |text| kdc(text, &format!("{URL}kerberos")),
    ),
    (
        "the URL of the KDC proxy has a comment behind it",
        "proxy-string",
        Token,
        "write `kdc = https://",
        |text| text.replace("/kerberos\n", "/kerberos # ours\n"),
    ),
    (
        "the URL of the KDC proxy has another port",
        "proxy-string",
        Token,
        "write `kdc = https://",
        |text| text.replace(":443/", ":8443/"),
    ),
    (
        "the URL of the KDC proxy has another port, without a token",
        "port-login",
        Nothing,
        "TCP 443",
        |text| text.replace(":443/", ":8443/"),
    ),
    (
        "the URL of the KDC proxy has another host",
        "proxy-string",
        Token,
        "write `kdc = https://",
        |text| text.replace("https://login.", "https://logon."),
    ),
    (
        "the URL of the KDC proxy has another host, without a token",
        "dns-login",
        Nothing,
        "DNS",
        |text| text.replace("https://login.", "https://logon."),
    ),
    (
        "the authority's file is not there",
        "http-anchors",
        Token,
        "client config",
        |text| anchors(text, "FILE:/nonexistent/ca.pem"),
    ),
    (
        "the authority's file is not there, without a token",
        "tls-login",
        Nothing,
        "client config",
        |text| anchors(text, "FILE:/nonexistent/ca.pem"),
    ),
    (
        "the authority's file holds no certificate",
        "http-anchors",
        Token,
        "client config",
        |text| anchors(text, "FILE:/etc/hostname"),
    ),
    (
        "the authority's file is named without its kind",
        "http-anchors",
        Token,
        "client config",
        |text| text.replace("FILE:", ""),
    ),
    (
        "no KDC of the domain is named, and DNS is not asked",
        "dns-dc",
        Token,
        "`dns_lookup_kdc`",
        |text| without_dns(text),
    ),
    (
        "the domain's KDC does not resolve",
        "dns-dc",
        Token,
        "--dc HOST",
        |text| domain_at(text, "dc9.corp.contoso.com"),
    ),
    (
        "the domain's KDC is another computer",
        "port-dc-88",
        Token,
        "TCP 88",
        |text| domain_at(text, "10.77.2.1"),
    ),
];

/// What only looks like a fault, and the change.
const HARMLESS: &[(&str, Edit)] = &[
    ("the URL of the KDC proxy ends in a slash", |text| {
        text.replace("/kerberos\n", "/kerberos/\n")
    }),
    ("the first lines belong to no section", |text| {
        format!("this is ignored }} by Kerberos\n{text}")
    }),
    ("AES is permitted among others", |text| {
        with_default(text, "permitted_enctypes = rc4-hmac aes256-cts")
    }),
    ("a mapping in upper case has no effect", |text| {
        mapped(text, &HOST.to_uppercase(), REALM)
    }),
    (
        "the host is mapped to the domain, whose controller refers",
        |text| mapped(text, HOST, REALM),
    ),
    ("the host is mapped to its realm", |text| {
        mapped(text, HOST, CLOUD_REALM)
    }),
    ("a brace is on a line of its own", |text| {
        text.replace("COM = {\n", "COM =\n    {\n")
    }),
];

impl Play {
    /// Each fault of the configuration is named, and is one for MIT's client.
    pub(crate) fn faults_of_the_configuration(&self, only: Option<&str>, wrong: &mut Vec<String>) {
        let is_chosen = |name: &str| only.is_none_or(|only| only == name);
        for (name, cause, given, next, edit) in FAULTS.iter().filter(|fault| is_chosen(fault.0)) {
            tried(wrong, name, || self.conf_fault(cause, *given, next, *edit));
        }
        for (name, edit) in HARMLESS.iter().filter(|fault| is_chosen(fault.0)) {
            tried(wrong, name, || self.harmless_conf(*edit));
        }
    }

    fn conf_fault(&self, cause: &str, given: Given, next: &str, edit: Edit) -> Result<(), Failure> {
        let conf = self.edited(|text| edit(&text))?;
        let doctor = match given {
            Token => self.doctor("alice"),
            Nothing => self.bare_doctor("alice"),
        };
        let output = doctor.env("KRB5_CONFIG", &conf).output()?;
        let found = cause_alone(cause, &output)?;
        if !found["next"].as_str().unwrap_or_default().contains(next) {
            return Err(output.failure(&format!("was expected to say `{next}` as the next step")));
        }
        let kvno = self.witness(&conf)?.output()?;
        match kvno.code {
            Some(0) => Err(kvno.failure("was expected to fail: this is no fault")),
            _ => Ok(()),
        }
    }

    fn harmless_conf(&self, edit: Edit) -> Result<(), Failure> {
        let conf = self.edited(|text| edit(&text))?;
        self.is_harmless(&self.doctor("alice").env("KRB5_CONFIG", &conf), &conf)
    }

    /// F13: a drop-in that the main file does not include, or whose name it does not take, is named with what mends it.
    pub(crate) fn drop_ins_that_are_not_read(&self) -> Result<(), Failure> {
        let main = self.story.world.path(Place::Client, "main.conf");
        let folder = self.story.world.path(Place::Client, "main.conf.d");
        std::fs::create_dir_all(&folder)?;
        let (good, bad) = (
            folder.join("crossrealm.conf"),
            folder.join("crossrealm.conf.new"),
        );
        std::fs::copy(self.story.krb5_conf(), &good)?;
        std::fs::write(&main, format!("[libdefaults]\n default_realm = {REALM}\n"))?;
        let doctor = |run: Run| run.env("KRB5_CONFIG", &main).output();
        let first_line = format!("includedir {}", folder.display());
        for run in [self.bare_doctor("alice"), self.doctor("alice")] {
            self.next_says("krb5-conf", &doctor(run)?, &first_line)?;
        }
        std::fs::write(&main, format!("{first_line}\n"))?;
        self.is_harmless(&self.bare_doctor("alice").env("KRB5_CONFIG", &main), &main)?;
        std::fs::rename(&good, &bad)?;
        self.next_says("krb5-conf", &doctor(self.bare_doctor("alice"))?, "rename `")?;
        std::fs::rename(&bad, &good)?;
        let missing = self
            .doctor("alice")
            .env("KRB5_CONFIG", "/nonexistent/krb5.conf");
        self.next_says("krb5-conf", &missing.output()?, "unset KRB5_CONFIG")
    }

    fn next_says(
        &self,
        cause: &str,
        output: &crossrealm_lab::Output,
        part: &str,
    ) -> Result<(), Failure> {
        let found = cause_alone(cause, output)?;
        match found["next"].as_str().unwrap_or_default().contains(part) {
            true => Ok(()),
            false => Err(output.failure(&format!("was expected to say `{part}`"))),
        }
    }

    /// F13: where two tenants are configured, `--tenant` says which is meant; the second has no trust.
    pub(crate) fn one_of_two_tenants(&self) -> Result<(), Failure> {
        let create = ["tenant", "create", "second"];
        self.story.crossrealm(Place::Admin).args(create).ok()?;
        let second: PathBuf = self.story.world.path(Place::Client, "second.conf");
        let words = ["client", "config", "--format", "krb5.conf", "--out"];
        let config = self
            .story
            .crossrealm(Place::Client)
            .args(words)
            .arg(&second);
        config.env("CROSSREALM_TENANT", "second").ok()?;
        let host = "acct1.file.second.cloud.example";
        self.story.world.add_cloud_host(host)?;
        let both = format!("{}:{}", second.display(), self.story.krb5_conf().display());
        let doctor = |tenant: &str| {
            let run = self.bare_doctor("alice").env("KRB5_CONFIG", &both);
            run.args(["--tenant", tenant]).output()
        };
        for tenant in ["contoso", "contoso.cloud.example"] {
            let found = doctor(tenant)?;
            if found.code != Some(0) {
                return Err(found.failure("was expected to check the given tenant"));
            }
        }
        let found = doctor("second")?;
        let cause = cause_alone("tdo", &found)?;
        assert!(
            cause["seen"].to_string().contains("KERBEROS.SECOND"),
            "{cause}"
        );
        self.next_says("settings", &doctor("third")?, "`--tenant`")
    }

    /// F13: a web proxy in the environment is no fault, since Kerberos uses none.
    pub(crate) fn a_web_proxy_is_no_fault(&self) -> Result<(), Failure> {
        let conf = self.story.krb5_conf();
        for (variable, run) in [
            ("https_proxy", self.doctor("alice")),
            ("HTTPS_PROXY", self.bare_doctor("alice")),
        ] {
            let run = run.env(variable, "http://user:secret@proxy.corp.contoso.com:3128");
            self.is_harmless(&run, &conf)?;
            let output = run.ok()?;
            output
                .says("\"verdict\": \"noted\"")?
                .says("`proxy.corp.contoso.com:3128`")?
                .does_not_say("secret")?;
        }
        Ok(())
    }
}

impl Play {
    /// F13: without a token, a share that the SMB host does not have is no fault of the domain controller.
    pub(crate) fn a_wrong_share_is_not_the_controllers_fault(&self) -> Result<(), Failure> {
        let output = self.bare_doctor_for("alice", "acct1/projcts").output()?;
        let cause = cause_alone("smb-share", &output)?;
        assert_eq!(cause["seen"], "the SMB host has no share `projcts`");
        output.does_not_say("domain controller refused").map(drop)
    }

    /// F13: the verdict is the first line; what passed is shown on request; a pipe gets no colours, a terminal does.
    pub(crate) fn the_verdict_comes_first(&self) -> Result<(), Failure> {
        let doctor = |user: &str, words: &[&str]| {
            let run = self
                .story
                .crossrealm(Place::Client)
                .args(["doctor", "--share", SHARE]);
            let run =
                self.story
                    .world
                    .as_user(run, &format!("{user}.ccache"), &self.story.krb5_conf());
            run.args(words)
        };
        let good = doctor("alice", &[]).ok()?;
        let verdict = "OK: `acct1/projects` opens for `alice@corp.contoso.com`\n";
        if !good.out().starts_with(verdict) || good.out().lines().count() > 4 {
            return Err(good.failure("was expected to say that it works, and little more"));
        }
        let all = doctor("alice", &["--all"]).ok()?;
        all.says("passed   file-acl")?.does_not_say("\u{1b}")?;
        let bad = doctor("bob", &[]).refused(1)?;
        bad.says("FAILED: `bob@corp.contoso.com` has no role")?
            .says("next crossrealm share grant acct1/projects --to bob@corp.contoso.com")?
            .does_not_say("passed ")?
            .does_not_say("error:")?;
        self.colours_are_for_a_terminal()
    }

    /// The doctor on a pseudo-terminal.
    fn colours_are_for_a_terminal(&self) -> Result<(), Failure> {
        let doctor = format!("{} doctor --share {SHARE}", self.story.binary().display());
        let on_terminal = |form: &str, variable: &str, value: &str| {
            let doctor = format!("{doctor} -o {form}");
            let run = self.story.world.at(Place::Client, "script");
            let run = run.args(["--quiet", "--return", "--command", &doctor, "/dev/null"]);
            let run = self
                .story
                .world
                .as_user(run, "alice.ccache", &self.story.krb5_conf());
            run.env("TERM", "xterm").env(variable, value).output()
        };
        on_terminal("table", "X", "1")?.says("\u{1b}[1;32mOK\u{1b}[0m: ")?;
        on_terminal("json", "X", "1")?
            .says("\"verdict\": \"passed\"")?
            .does_not_say("\u{1b}")?;
        on_terminal("table", "NO_COLOR", "1")?
            .says("OK: ")?
            .does_not_say("\u{1b}")
            .map(drop)
    }
}

fn tenant_in_lower_case(text: &str) -> String {
    text.replace(
        &format!("{CLOUD_REALM} = {{"),
        &format!("{} = {{", CLOUD_REALM.to_lowercase()),
    )
}

fn domain_in_lower_case(text: &str) -> String {
    let section = "    corp.contoso.com = {\n        kdc = dc1.corp.contoso.com\n    }\n";
    without_dns(text).replace(AD_SECTION, section)
}

fn domain_at(text: &str, kdc: &str) -> String {
    text.replace(
        AD_SECTION,
        &format!("    {REALM} = {{\n        kdc = {kdc}\n    }}\n"),
    )
}

fn without_dns(text: &str) -> String {
    text.replace("dns_lookup_kdc = true", "dns_lookup_kdc = false")
}

fn with_default(text: &str, line: &str) -> String {
    text.replace("[libdefaults]\n", &format!("[libdefaults]\n    {line}\n"))
}

fn mapped(text: &str, name: &str, realm: &str) -> String {
    text.replace(
        "[domain_realm]\n",
        &format!("[domain_realm]\n    {name} = {realm}\n"),
    )
}

fn kdc(text: &str, value: &str) -> String {
    replaced_value(text, "kdc", value)
}

fn anchors(text: &str, value: &str) -> String {
    replaced_value(text, "http_anchors", value)
}

/// The text with another value in each line that sets a name.
pub(crate) fn replaced_value(text: &str, name: &str, value: &str) -> String {
    let lines = text
        .lines()
        .map(|line| match line.trim_start().starts_with(name) {
            true => format!("        {name} = {value}\n"),
            false => format!("{line}\n"),
        });
    lines.collect()
}
