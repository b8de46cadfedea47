//! The group policy object on a real Active Directory: made, kept right, narrowed, cut off at every step, removed.
//!
//! Whether it is right is said by `samba-tool gpo`, `ldbsearch` and Samba's own parser of `Registry.pol`, not by the product.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use crossrealm_lab::story::{Account, Story, TENANT_STEPS};
use crossrealm_lab::{ADMIN_PASSWORD, DOMAIN, Failure, Output, Place, Run, build_product, need};
use crossrealm_testkit::json_times::times;

/// The part of the story that comes before: a cloud with a tenant.
const DEPLOY: &[&str] = &["client", "deploy-gpo"];
/// What Windows needs beside the policy where the service has a private CA.
const PRIVATE_CA: &str =
    "note: the service has a private CA: add it to the computers' trusted root certificates";
/// What it needs besides, unless it is configured not to look for a revocation list.
const NO_REVOCATION_LIST: &str =
    "note: Windows refuses a KDC proxy whose CA has no revocation list";
/// Runs the product and kills it when it begins its n-th step.
const KILL_AT_STEP: &str = r#"#!/usr/bin/python3
import os, signal, subprocess, sys
product, at = "PRODUCT", os.environ.get("LAB_KILL_AT_STEP")
if not at:
    os.execv(product, [product] + sys.argv[1:])
child = subprocess.Popen([product] + sys.argv[1:], stderr=subprocess.PIPE)
for number, line in enumerate(child.stderr, 1):
    sys.stderr.buffer.write(line)
    if number == int(at):
        child.send_signal(signal.SIGKILL)
sys.exit(1 if child.wait() else 0)
"#;
/// Prints what a `Registry.pol` holds, as Samba reads it.
const READ_POL: &str = r#"
import sys
from samba.ndr import ndr_unpack
from samba.dcerpc import preg
for entry in ndr_unpack(preg.file, open(sys.argv[1], "rb").read()).entries:
    print(f"{entry.keyname}|{entry.valuename}|{entry.type}|{entry.data}")
"#;

#[test]
fn a_group_policy_object_configures_the_domains_computers() {
    if need::skipped() {
        return;
    }
    if let Err(failure) = Play::begin().and_then(|play| {
        let outcome = play.all();
        outcome.map_err(|failure| play.story.with_logs(failure))
    }) {
        panic!("{failure}");
    }
}

struct Play {
    story: Story,
    /// The object's name in AD: the tenant's id in capitals, in braces.
    id: String,
    tenant: String,
    _scripts: tempfile::TempDir,
}

impl Play {
    fn begin() -> Result<Self, Failure> {
        let scripts = tempfile::tempdir()?;
        let script = scripts.path().join("crossrealm");
        let product = build_product()?.display().to_string();
        std::fs::write(&script, KILL_AT_STEP.replace("PRODUCT", &product))?;
        std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755))?;
        let mut story = Story::begin(&script, Account::silent())?;
        story.play_steps(TENANT_STEPS)?;
        let show = ["-o", "json", "tenant", "show", "contoso"];
        let shown = story.crossrealm(Place::Admin).args(show).ok()?.json()?;
        let tenant = shown["id"].as_str().unwrap_or_default().to_owned();
        Ok(Self {
            story,
            id: format!("{{{}}}", tenant.to_uppercase()),
            tenant,
            _scripts: scripts,
        })
    }

    fn all(&self) -> Result<(), Failure> {
        self.a_dry_run_changes_nothing()?;
        self.it_is_made()?;
        self.a_second_run_changes_nothing()?;
        self.other_settings_are_a_new_version()?;
        self.what_was_changed_by_hand_is_put_right()?;
        self.it_is_for_a_group_and_a_unit_only()?;
        self.what_is_not_there_is_refused()?;
        self.it_is_removed()?;
        self.every_step_is_an_event()?;
        self.a_run_cut_off_at_any_step_is_finished_by_the_next()
    }

    fn a_dry_run_changes_nothing(&self) -> Result<(), Failure> {
        let plan = self.deploy(&["--dry-run"])?.ok()?;
        plan.says("nothing was changed")?
            .says("create the group policy object in AD")?
            .says("write version 1 to GPT.INI")?;
        self.gpo(&["listall"])?.does_not_say(&self.id)?;
        assert!(!self.folder().exists());
        Ok(())
    }

    fn it_is_made(&self) -> Result<(), Failure> {
        // F17: the service of the lab has a private CA.
        self.deploy(&[])?
            .ok()?
            .says(PRIVATE_CA)?
            .says(NO_REVOCATION_LIST)?;
        let list = self.gpo(&["listall"])?;
        list.says(&self.id)?
            .says("display name : Crossrealm: contoso")?
            .says(&format!(
                r"path         : \\{DOMAIN}\sysvol\{DOMAIN}\Policies\{}",
                self.id
            ))?;
        self.gpo(&["show", &self.id])?
            .says("display name : Crossrealm: contoso")?
            .says("version      : 1")?;
        self.gpo(&["getlink", "DC=corp,DC=contoso,DC=com"])?
            .says(&self.id)?;
        self.permissions_agree()?;
        let object = self.object()?;
        object
            .says_line("versionNumber: 1")?
            .says_line("flags: 1")?
            .says_line("gPCFunctionalityVersion: 2")?
            .says("gPCMachineExtensionNames: [{35378EAC-683F-11D2-A89A-00C04FBBCFA2}{")?;
        let kerberos = r"Software\Microsoft\Windows\CurrentVersion\Policies\System\Kerberos";
        let proxy = format!("<https login.cloud.example:443:{}/kerberos />", self.tenant);
        self.fetched()?
            .says_line(&format!("{kerberos}|KdcProxyServer_Enabled|4|1"))?
            .says_line(&format!(
                r"{kerberos}\KdcProxy\ProxyServers|KERBEROS.CONTOSO.CLOUD.EXAMPLE|1|{proxy}"
            ))?
            .says_line(&format!(
                r"{kerberos}\Parameters|CloudKerberosTicketRetrievalEnabled|4|1"
            ))?
            .does_not_say("NoRevocationCheck")
            .map(drop)
    }

    fn a_second_run_changes_nothing(&self) -> Result<(), Failure> {
        let before = self.object()?.out();
        let again = self.deploy(&[])?.ok()?;
        again.says("nothing to change: the group policy object is as it should be")?;
        assert_eq!(before, self.object()?.out());
        Ok(())
    }

    fn other_settings_are_a_new_version(&self) -> Result<(), Failure> {
        let words = ["-o", "json"];
        let run = self.deploy(&["--no-revocation-check", "--map-hosts"])?;
        let outcome = run.args(words).ok()?;
        outcome.says(PRIVATE_CA)?.does_not_say(NO_REVOCATION_LIST)?;
        let outcome = outcome.json()?;
        // F18.
        let wrong = times(&outcome).wrong;
        assert!(wrong.is_empty(), "{wrong:?}");
        assert_eq!(
            (&outcome["version"], &outcome["changed"]),
            (&2.into(), &true.into())
        );
        self.object()?.says_line("versionNumber: 2")?;
        assert_eq!(self.ini()?, "[General]\r\nVersion=2\r\n");
        self.fetched()?
            .says("NoRevocationCheck|4|1")?
            .says(".contoso.cloud.example")?;
        Ok(())
    }

    fn what_was_changed_by_hand_is_put_right(&self) -> Result<(), Failure> {
        std::fs::write(self.folder().join("Machine/Registry.pol"), b"torn")?;
        self.deploy(&[])?.ok()?;
        self.object()?.says_line("versionNumber: 3")?;
        self.fetched()?.says("KdcProxyServer_Enabled|4|1")?;
        std::fs::remove_file(self.folder().join("GPT.INI"))?;
        self.deploy(&[])?.ok()?;
        assert_eq!(self.ini()?, "[General]\r\nVersion=4\r\n");
        Ok(())
    }

    fn it_is_for_a_group_and_a_unit_only(&self) -> Result<(), Failure> {
        let unit = "OU=Workstations,DC=corp,DC=contoso,DC=com";
        let samba_tool = |words: &[&str]| self.story.world.samba_tool(words).ok();
        samba_tool(&["ou", "create", unit])?;
        samba_tool(&["group", "add", "Workstations"])?;
        self.deploy(&["--link", unit, "--apply-to", "Workstations"])?
            .ok()?;
        self.gpo(&["getlink", unit])?.says(&self.id)?;
        self.gpo(&["getlink", "DC=corp,DC=contoso,DC=com"])?
            .does_not_say(&self.id)?;
        self.permissions_agree()?;
        let sid = self.story.world.sid_of("Workstations")?;
        // "Apply Group Policy" for the group, and no longer for Authenticated Users, who still read.
        let security = self.security()?;
        let apply = "(OA;CI;CR;edacfd8f-ffb3-11d1-b41d-00a0c968f939;;";
        security
            .says(&format!("{apply}{sid})"))?
            .does_not_say(&format!("{apply}AU)"))?
            .says(";;;AU)")?;
        let again = self.deploy(&["--link", unit, "--apply-to", "Workstations"])?;
        again.ok()?.says("nothing to change")?;
        self.deploy(&[])?.ok()?;
        self.security()?.says(&format!("{apply}AU)"))?;
        self.permissions_agree()
    }

    fn what_is_not_there_is_refused(&self) -> Result<(), Failure> {
        let before = self.object()?.out();
        self.deploy(&["--apply-to", "Nobody"])?
            .refused(1)?
            .says("error: AD holds no group or computer `Nobody`")?;
        self.deploy(&["--link", "OU=Nowhere,DC=corp,DC=contoso,DC=com"])?
            .refused(1)?
            .says("error: there is no `OU=Nowhere,DC=corp,DC=contoso,DC=com`")?
            .says("hint: give the DN")?;
        let run = self.story.crossrealm(Place::Admin).args(DEPLOY);
        let password = self.story.world.write(
            Place::Admin,
            "alice.password",
            crossrealm_lab::USER_PASSWORD,
        )?;
        run.args(["--domain", DOMAIN, "--remove"])
            .args(["--domain-user", &format!("alice@{DOMAIN}")])
            .arg("--domain-password-file")
            .arg(password)
            .refused(1)?
            .says("error: ")?
            .says("hint: ")?;
        assert_eq!(before, self.object()?.out());
        Ok(())
    }

    fn it_is_removed(&self) -> Result<(), Failure> {
        self.deploy(&["--remove"])?.ok()?;
        self.gpo(&["listall"])?.does_not_say(&self.id)?;
        self.gpo(&["getlink", "DC=corp,DC=contoso,DC=com"])?
            .does_not_say(&self.id)?;
        assert!(!self.folder().exists());
        let again = self.deploy(&["--remove"])?.ok()?;
        again.says("nothing to remove").map(drop)
    }

    fn every_step_is_an_event(&self) -> Result<(), Failure> {
        let events = self.story.crossrealm(Place::Admin).arg("events").ok()?;
        events
            .says("create the group policy object in AD")?
            .says("write Registry.pol")?
            .says("delete the group policy object from AD")
            .map(drop)
    }

    fn a_run_cut_off_at_any_step_is_finished_by_the_next(&self) -> Result<(), Failure> {
        for at in 1..=10 {
            self.deploy(&[])?
                .env("LAB_KILL_AT_STEP", at.to_string())
                .output()?;
        }
        self.deploy(&[])?.ok()?;
        self.permissions_agree()?;
        self.fetched()?.says("KdcProxyServer_Enabled|4|1")?;
        let version = self.object()?.out();
        let version = version
            .lines()
            .find_map(|line| line.strip_prefix("versionNumber: "));
        assert_eq!(
            self.ini()?,
            format!("[General]\r\nVersion={}\r\n", version.unwrap_or_default())
        );
        for at in 1..=3 {
            self.deploy(&["--remove"])?
                .env("LAB_KILL_AT_STEP", at.to_string())
                .output()?;
        }
        self.deploy(&["--remove"])?.ok()?;
        self.gpo(&["listall"])?.does_not_say(&self.id)?;
        assert!(!self.folder().exists());
        Ok(())
    }

    fn deploy(&self, words: &[&str]) -> Result<Run, Failure> {
        self.story.with_domain_admin(&[DEPLOY, words].concat())
    }

    /// `samba-tool gpo`, through LDAP and SMB like any other client.
    fn gpo(&self, words: &[&str]) -> Result<Output, Failure> {
        let credentials = format!("administrator%{ADMIN_PASSWORD}");
        let controller = format!("ldap://dc1.{DOMAIN}");
        let words = [&["gpo"], words, &["-H", &controller, "-U", &credentials]].concat();
        self.story.world.samba_tool(&words).ok()
    }

    /// The folder's permissions are those that go with the object's.
    fn permissions_agree(&self) -> Result<(), Failure> {
        self.gpo(&["aclcheck"]).map(drop)
    }

    /// The settings as a client would fetch them, read by Samba's parser.
    fn fetched(&self) -> Result<Output, Failure> {
        let folder = tempfile::tempdir_in(self.story.world.scratch())?;
        let path = folder.path().display().to_string();
        self.gpo(&["fetch", &self.id, "--tmpdir", &path])?;
        let pol = folder
            .path()
            .join("policy")
            .join(&self.id)
            .join("Machine/Registry.pol");
        let run = Run::here("/usr/bin/python3")
            .args(["-c", READ_POL])
            .arg(pol);
        run.ok()
    }

    fn object(&self) -> Result<Output, Failure> {
        let attributes = [
            "versionNumber",
            "flags",
            "gPCFunctionalityVersion",
            "gPCMachineExtensionNames",
            "uSNChanged",
        ];
        let filter = format!("(cn={})", self.id);
        self.story.world.ldbsearch(&filter, &attributes).ok()
    }

    fn security(&self) -> Result<Output, Failure> {
        let dn = format!(
            "CN={},CN=Policies,CN=System,DC=corp,DC=contoso,DC=com",
            self.id
        );
        let words = ["dsacl", "get", "--objectdn", &dn];
        self.story.world.samba_tool(&words).ok()
    }

    fn folder(&self) -> PathBuf {
        let policies = format!("state/sysvol/{DOMAIN}/Policies");
        self.story.world.dc_folder().join(policies).join(&self.id)
    }

    fn ini(&self) -> Result<String, Failure> {
        Ok(std::fs::read_to_string(self.folder().join("GPT.INI"))?)
    }
}
