//! The life of the trust on a real Active Directory: made, rotated under load, killed at every moment, removed.
//!
//! What the product says is not believed: Active Directory is asked with `ldbsearch`, and the proof that the two sides
//! hold the same keys is a ticket that MIT's `kvno` gets.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::Duration;

use crossrealm_lab::story::{Account, CLOUD_REALM, SPN, STEPS, Story};
use crossrealm_lab::{DOMAIN, Failure, Output, Place, REALM, USER_PASSWORD, build_product, need};

/// How many clients fetch tickets while the keys change.
const CLIENTS: usize = 8;
/// The most a round of rotations may take on a loaded machine.
const LOAD_LIMIT: Duration = Duration::from_secs(120);
/// At how many moments of a run it is killed, evenly from its start to its end.
const MOMENTS: u32 = 9;
const WHOLE: &[&str] = &["kerberos-server", "set", "--setup-cloud-trust"];
const ROTATE: &[&str] = &[
    "kerberos-server",
    "set",
    "--setup-cloud-trust",
    "--rotate-server-key",
    "--force",
];

#[test]
fn the_trust_from_creation_to_removal() {
    if need::skipped() {
        return;
    }
    if let Err(failure) = Play::begin().and_then(|mut play| {
        let outcome = play.all();
        outcome.map_err(|failure| play.story.with_logs(failure))
    }) {
        panic!("{failure}");
    }
}

struct Play {
    story: Story,
    _scripts: tempfile::TempDir,
}

impl Play {
    /// The story up to a workstation that is configured; nothing is served over SMB.
    fn begin() -> Result<Self, Failure> {
        let scripts = tempfile::tempdir()?;
        let product = killable(&scripts, &build_product()?)?;
        let mut story = Story::begin(&product, Account::silent())?;
        for (index, step) in STEPS.iter().enumerate() {
            if step.name != "files_serve" {
                story.play(index + 1, step)?;
            }
            if step.name == "client_config" {
                break;
            }
        }
        Ok(Self {
            story,
            _scripts: scripts,
        })
    }

    fn all(&mut self) -> Result<(), Failure> {
        self.the_object_is_in_ad()?;
        self.a_second_run_changes_nothing()?;
        self.a_young_key_is_not_rotated()?;
        self.names_of_another_trust_are_refused()?;
        self.services_that_hide_the_tenants_names_are_noted()?;
        self.what_was_lost_is_made_again()?;
        self.no_ticket_fails_while_keys_rotate()?;
        self.a_killed_rotation_is_finished_by_the_next_run()?;
        self.the_trust_alone_is_removed()?;
        self.a_killed_set_up_and_removal_are_finished_by_the_next_run()?;
        self.all_of_it_is_removed()?;
        self.an_account_without_rights_is_told_which_at_once()
    }

    fn the_object_is_in_ad(&self) -> Result<(), Failure> {
        let attributes = [
            "userAccountControl",
            "sAMAccountName",
            "msDS-SecondaryKrbTgtNumber",
        ];
        let search = self
            .story
            .world
            .ldbsearch("(cn=krbtgt_AzureAD)", &attributes);
        let user = search.ok()?;
        user.says_line("userAccountControl: 514")?;
        let number = value(&user, "msDS-SecondaryKrbTgtNumber")?;
        user.says_line(&format!("sAMAccountName: krbtgt_{number}"))?;
        let attributes = ["userAccountControl", "primaryGroupID", "msDS-KrbTgtLink"];
        let search = self
            .story
            .world
            .ldbsearch("(cn=AzureADKerberos)", &attributes);
        let computer = search.ok()?;
        computer
            .says_line("userAccountControl: 83890176")?
            .says_line("primaryGroupID: 521")?
            .says("msDS-KrbTgtLink: CN=krbtgt_AzureAD,CN=Users")?;
        let get = self.get()?;
        assert_eq!(get.json()?["id"].to_string(), number);
        assert_eq!(get.json()?["cloud_id"].to_string(), number);
        assert_eq!(get.json()?["key_updated_from"], format!("dc1.{DOMAIN}"));
        self.nothing_is_left_to_do()
    }

    fn a_second_run_changes_nothing(&self) -> Result<(), Failure> {
        let before = self.changes()?;
        for words in [WHOLE, &WHOLE[..2]] {
            let output = self.story.with_domain_admin(words)?.ok()?;
            output.says("nothing to change: AD and the tenant agree")?;
        }
        let dry = [ROTATE, &["--dry-run"]].concat();
        let plan = self.story.with_domain_admin(&dry)?.ok()?;
        plan.says("have AD make a new key")?
            .says("give AD a new trust key")?
            .says("nothing was changed")?;
        assert_eq!(before, self.changes()?, "nothing may change in AD");
        Ok(())
    }

    fn a_young_key_is_not_rotated(&self) -> Result<(), Failure> {
        let before = self.changes()?;
        let unforced = &ROTATE[..4];
        let refused = self.story.with_domain_admin(unforced)?.refused(1)?;
        refused
            .says("error: the key of the service account was made less than 24 hours ago")?
            .says("error: the trust key was made less than 24 hours ago")?
            .says("hint: `--force` rotates it now")?;
        assert_eq!(before, self.changes()?, "nothing may change in AD");
        Ok(())
    }

    /// Another tenant on the same AD, whose names lie below those of the first.
    fn names_of_another_trust_are_refused(&self) -> Result<(), Failure> {
        let before = self.changes()?;
        let create = ["tenant", "create", "second"];
        self.story.crossrealm(Place::Admin).args(create).ok()?;
        let names = ["--top-level-names", "eu.contoso.cloud.example"];
        let set = self.story.with_domain_admin(&[WHOLE, &names].concat())?;
        let refused = set.env("CROSSREALM_TENANT", "second").refused(1)?;
        refused
            .says("error: the top-level name `eu.contoso.cloud.example` overlaps `contoso.cloud.example`")?
            .says("hint: choose `--top-level-names`")?;
        assert_eq!(before, self.changes()?, "nothing may change in AD");
        let show = ["-o", "json", "kerberos-server", "get"];
        let get = self.story.with_domain_admin(&show)?;
        let get = get.env("CROSSREALM_TENANT", "second").ok()?;
        assert!(get.json()?["cloud_trust"].is_null(), "nor in the tenant");
        Ok(())
    }

    fn services_that_hide_the_tenants_names_are_noted(&self) -> Result<(), Failure> {
        let hidden = "cifs/hidden.file.contoso.cloud.example";
        let spn = |verb: &str| {
            let tool = self.story.world.samba_tool(&["spn", verb, hidden, "bob"]);
            tool.ok().map(drop)
        };
        spn("add")?;
        let dry = [WHOLE, &["--dry-run"]].concat();
        let plan = self.story.with_domain_admin(&dry)?.ok()?;
        plan.says(&format!("note: AD answers for `{hidden}` itself"))?;
        spn("delete")?;
        let plan = self.story.with_domain_admin(&dry)?.ok()?;
        plan.does_not_say("AD answers for").map(drop)
    }

    fn an_account_without_rights_is_told_which_at_once(&self) -> Result<(), Failure> {
        let password = self
            .story
            .world
            .write(Place::Admin, "bob.password", USER_PASSWORD)?;
        let run = self.story.crossrealm(Place::Admin).args(WHOLE);
        let run = run.args(["--domain", DOMAIN, "--domain-user"]);
        let run = run
            .arg(format!("bob@{DOMAIN}"))
            .arg("--domain-password-file");
        let refused = run.arg(password).refused(1)?;
        for class in ["user", "computer", "trustedDomain"] {
            refused.says(&format!("`{class}`"))?;
        }
        refused.says("hint: use a member of Domain Admins")?;
        self.no_trust_is_in_ad()?;
        let search = self.story.world.ldbsearch("(cn=krbtgt_AzureAD)", &["cn"]);
        search.ok()?.does_not_say("cn: krbtgt_AzureAD").map(drop)
    }

    fn what_was_lost_is_made_again(&self) -> Result<(), Failure> {
        let database = self.story.world.dc_folder().join("private/sam.ldb");
        let delete = self.story.world.at(Place::Onprem, "ldbdel").arg("-H");
        let dn = "CN=AzureADKerberos,OU=Domain Controllers,DC=corp,DC=contoso,DC=com";
        delete.arg(database).arg(dn).ok()?;
        self.get()?.says("create the computer")?;
        self.story.with_domain_admin(&WHOLE[..2])?.ok()?;
        self.the_object_is_in_ad()
    }

    /// One rotation after the other while the domain controller still seals with the key before, and a client that
    /// holds a referral from before all of them.
    fn no_ticket_fails_while_keys_rotate(&self) -> Result<(), Failure> {
        let account = ["storage-account", "create", "acct2"];
        let admin = self.story.crossrealm(Place::Admin);
        admin.args(account).ok()?;
        self.sign_in("early")?;
        let referral = format!("krbtgt/{CLOUD_REALM}@{REALM}");
        self.story.user("early", "kvno").arg(&referral).ok()?;
        self.story.user("early", "klist").ok()?.says(&referral)?;
        let stop = self.story.world.path(Place::Client, "stop");
        let script = self.story.world.write(
            Place::Client,
            "load.sh",
            format!(
                "while [ ! -e {stop} ]; do\n if kvno --no-store {SPN}; then echo fetched; else echo FAILED; fi\ndone\necho done\n",
                stop = stop.display()
            ),
        )?;
        let mut clients = Vec::new();
        for number in 0..CLIENTS {
            let name = format!("load-{number}");
            self.sign_in(&name)?;
            let run = self.story.user(&name, "sh").arg(&script);
            clients.push(self.story.world.service(Place::Client, &name, &run)?);
        }
        let before = self.trust_version()?;
        for round in 1..=3 {
            self.story.with_domain_admin(ROTATE)?.ok()?;
            assert_eq!(self.trust_version()?, before + round);
        }
        std::fs::write(&stop, "")?;
        let mut fetched = 0;
        for client in &mut clients {
            client.wait_for_line("done", LOAD_LIMIT)?;
            let log = client.log_from(0);
            if log.contains("FAILED") {
                return Err(Failure::new(format!(
                    "a ticket failed while the keys rotated\n{log}"
                )));
            }
            fetched += log.lines().filter(|line| *line == "fetched").count();
        }
        println!("{fetched} tickets during three rotations, none failed");
        assert!(
            fetched >= 3 * CLIENTS,
            "only {fetched} tickets were fetched"
        );
        // Three keys later, with the referral of the first.
        let other = format!("cifs/acct2.file.contoso.cloud.example@{CLOUD_REALM}");
        self.story.user("early", "kvno").arg(other).ok()?;
        self.nothing_is_left_to_do()
    }

    fn a_killed_rotation_is_finished_by_the_next_run(&self) -> Result<(), Failure> {
        let whole = self.story.with_domain_admin(ROTATE)?.ok()?.took;
        let mut half_done = 0;
        for moment in 1..=MOMENTS {
            self.killed(ROTATE, whole * moment / (MOMENTS + 1))?;
            self.a_ticket_is_fetched()?;
            let findings = self.get()?.json()?;
            let left = findings["findings"].as_array().map(Vec::len);
            half_done += u32::from(left > Some(0));
            self.story.with_domain_admin(WHOLE)?.ok()?;
            self.nothing_is_left_to_do()?;
            self.a_ticket_is_fetched()?;
        }
        println!("{half_done} of {MOMENTS} killed rotations were half done");
        assert!(half_done > 0, "no rotation was killed in its midst");
        Ok(())
    }

    fn the_trust_alone_is_removed(&self) -> Result<(), Failure> {
        let remove = &["trusted-domain-object", "remove"];
        self.story.with_domain_admin(remove)?.ok()?;
        self.no_trust_is_in_ad()?;
        let search = self.story.world.ldbsearch("(cn=krbtgt_AzureAD)", &["cn"]);
        search.ok()?.says_line("cn: krbtgt_AzureAD")?;
        let get = self.get()?.json()?;
        assert!(get["id"].is_number() && get["cloud_trust_display"].is_null());
        let again = self.story.with_domain_admin(remove)?.ok()?;
        again.says("nothing to remove").map(drop)
    }

    fn a_killed_set_up_and_removal_are_finished_by_the_next_run(&self) -> Result<(), Failure> {
        let remove = &["kerberos-server", "remove"];
        let making = self.story.with_domain_admin(WHOLE)?.ok()?.took;
        let removing = self.story.with_domain_admin(remove)?.ok()?.took;
        for moment in 1..=MOMENTS {
            self.killed(WHOLE, making * moment / (MOMENTS + 1))?;
            self.story.with_domain_admin(WHOLE)?.ok()?;
            self.nothing_is_left_to_do()?;
            self.a_ticket_is_fetched()?;
            self.killed(remove, removing * moment / (MOMENTS + 1))?;
            self.story.with_domain_admin(remove)?.ok()?;
            self.no_trust_is_in_ad()?;
        }
        Ok(())
    }

    fn all_of_it_is_removed(&self) -> Result<(), Failure> {
        let remove = &["kerberos-server", "remove"];
        self.story.with_domain_admin(WHOLE)?.ok()?;
        self.story.with_domain_admin(remove)?.ok()?;
        self.no_trust_is_in_ad()?;
        for name in ["krbtgt_AzureAD", "AzureADKerberos"] {
            let filter = format!("(cn={name})");
            let search = self.story.world.ldbsearch(&filter, &["cn"]);
            search.ok()?.does_not_say(&format!("cn: {name}"))?;
        }
        let again = self.story.with_domain_admin(remove)?.ok()?;
        again.says("nothing to remove")?;
        let get = self.story.with_domain_admin(&["kerberos-server", "get"])?;
        let output = get.ok()?;
        let set = output.out();
        let set = set.lines().find(|line| !line.trim_end().ends_with(':'));
        match set {
            None => Ok(()),
            Some(line) => Err(output.failure(&format!("was expected to be empty, but: {line}"))),
        }
    }

    /// Runs a command and kills it after a while; how far it comes is the machine's choice.
    fn killed(&self, words: &[&str], after: Duration) -> Result<(), Failure> {
        let run = self.story.with_domain_admin(words)?;
        let after = format!("{:.3}", after.as_secs_f64());
        run.env("LAB_KILL_AFTER", after).output().map(drop)
    }

    fn get(&self) -> Result<Output, Failure> {
        let get = ["-o", "json", "kerberos-server", "get"];
        self.story.with_domain_admin(&get)?.ok()
    }

    fn nothing_is_left_to_do(&self) -> Result<(), Failure> {
        let output = self.get()?;
        match output.json()?["findings"].as_array() {
            Some(findings) if findings.is_empty() => Ok(()),
            _ => Err(output.failure("was expected to have no findings")),
        }
    }

    /// The version of the trust key that AD last took, as the tenant knows it.
    fn trust_version(&self) -> Result<u64, Failure> {
        let get = self.get()?.json()?;
        let version = get["cloud_trust"]["keys"][0]["version"].as_u64();
        version.ok_or_else(|| Failure::new("the trust has no key"))
    }

    /// When AD last changed what this is about: the number of its last change.
    fn changes(&self) -> Result<Vec<String>, Failure> {
        let filter = "(|(objectClass=trustedDomain)(cn=krbtgt_AzureAD)(cn=AzureADKerberos))";
        let output = self.story.world.ldbsearch(filter, &["uSNChanged"]).ok()?;
        let out = output.out();
        let lines = out.lines().filter(|line| line.starts_with("uSNChanged: "));
        let found: Vec<String> = lines.map(str::to_owned).collect();
        if found.len() == 3 {
            Ok(found)
        } else {
            Err(output.failure("was expected to show three objects"))
        }
    }

    fn no_trust_is_in_ad(&self) -> Result<(), Failure> {
        let filter = "(objectClass=trustedDomain)";
        let search = self.story.world.ldbsearch(filter, &["trustPartner"]);
        search.ok()?.does_not_say("trustPartner").map(drop)
    }

    fn sign_in(&self, ccache: &str) -> Result<(), Failure> {
        let kinit = self
            .story
            .user(ccache, "kinit")
            .arg(format!("alice@{REALM}"));
        kinit.stdin(format!("{USER_PASSWORD}\n")).ok().map(drop)
    }

    /// Through a fresh referral, by a fresh sign-in.
    fn a_ticket_is_fetched(&self) -> Result<(), Failure> {
        self.sign_in("fresh")?;
        let output = self.story.user("fresh", "kvno").arg(SPN).ok()?;
        output.says(&format!("{SPN}@"))?;
        let tickets = self.story.user("fresh", "klist").ok()?;
        tickets.says(&format!("{SPN}@{CLOUD_REALM}")).map(drop)
    }
}

/// The product behind a script that kills it after the time it is told.
fn killable(folder: &tempfile::TempDir, product: &std::path::Path) -> Result<PathBuf, Failure> {
    let path = folder.path().join("crossrealm");
    let product = product.display();
    std::fs::write(
        &path,
        format!(
            "#!/bin/sh\n[ -z \"$LAB_KILL_AFTER\" ] || exec timeout -s KILL \"$LAB_KILL_AFTER\" '{product}' \"$@\"\nexec '{product}' \"$@\"\n"
        ),
    )?;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755))?;
    Ok(path)
}

/// The value of an attribute in the output of `ldbsearch`.
fn value(output: &Output, attribute: &str) -> Result<String, Failure> {
    let prefix = format!("{attribute}: ");
    let out = output.out();
    let found = out.lines().find_map(|line| line.strip_prefix(&prefix));
    found
        .map(str::to_owned)
        .ok_or_else(|| output.failure(&format!("was expected to show `{attribute}`")))
}
