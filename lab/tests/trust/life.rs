//! Made, repaired, rotated by rule and under load, removed, and shared with another tenant.

use crossrealm_lab::story::{CLOUD_REALM, SPN};
use crossrealm_lab::{DOMAIN, Failure, PATIENCE, Place, REALM, Run};

use crate::{COMPUTER, Play, REMOVE, REMOVE_TRUST, ROTATE, SET, TRUST, USER, WHOLE, value};

/// How many clients fetch tickets while the keys change.
const CLIENTS: usize = 8;

impl Play {
    pub(crate) fn life(&mut self) -> Result<(), Failure> {
        self.the_object_is_in_ad()?;
        self.a_second_run_changes_nothing()?;
        self.a_young_key_is_not_rotated()?;
        self.names_of_another_trust_are_refused()?;
        self.services_that_hide_the_tenants_names_are_noted()?;
        self.what_was_lost_is_made_again()?;
        self.keys_that_differ_are_reported()?;
        self.the_servers_key_alone_is_rotated()?;
        self.no_ticket_fails_while_keys_rotate()?;
        self.what_would_be_removed_is_shown()?;
        self.the_trust_alone_is_removed()?;
        self.what_two_tenants_share_stays_until_the_last_goes()
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
            .ldbsearch("(cn=krbtgt_Crossrealm)", &attributes);
        let user = search.ok()?;
        user.says_line("userAccountControl: 514")?;
        let number = value(&user, "msDS-SecondaryKrbTgtNumber")?;
        user.says_line(&format!("sAMAccountName: krbtgt_{number}"))?;
        let attributes = ["userAccountControl", "primaryGroupID", "msDS-KrbTgtLink"];
        let search = self
            .story
            .world
            .ldbsearch("(cn=CrossrealmKerberos)", &attributes);
        let computer = search.ok()?;
        computer
            .says_line("userAccountControl: 83890176")?
            .says_line("primaryGroupID: 521")?
            .says("msDS-KrbTgtLink: CN=krbtgt_Crossrealm,CN=Users")?;
        let get = self.get()?;
        assert_eq!(get.json()?["id"].to_string(), number);
        assert_eq!(get.json()?["cloud_id"].to_string(), number);
        assert_eq!(get.json()?["key_updated_from"], format!("dc1.{DOMAIN}"));
        self.nothing_is_left_to_do()
    }

    fn a_second_run_changes_nothing(&self) -> Result<(), Failure> {
        let before = self.changes()?;
        for words in [WHOLE, SET] {
            let output = self.admin(words)?.ok()?;
            output.says("nothing to change: AD and the tenant agree")?;
        }
        let set = self.json(WHOLE)?;
        assert_eq!(set["changed"], false, "{set}");
        let dry = [ROTATE, &["--dry-run"]].concat();
        let plan = self.admin(&dry)?.ok()?;
        plan.says("have AD make a new key")?
            .says("give AD a new trust key")?
            .says("nothing was changed")?;
        assert_eq!(before, self.changes()?, "nothing may change in AD");
        Ok(())
    }

    fn a_young_key_is_not_rotated(&self) -> Result<(), Failure> {
        let before = self.changes()?;
        let unforced = &ROTATE[..4];
        let refused = self.admin(unforced)?.refused(1)?;
        refused
            .says("error: the key of the service account was made less than 24 hours ago; it may be rotated again in 2")?
            .says("error: the trust key was made less than 24 hours ago; it may be rotated again in 2")?
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
        let set = self.admin(&[WHOLE, &names].concat())?;
        let refused = set.env("CROSSREALM_TENANT", "second").refused(1)?;
        refused
            .says("error: the top-level name `eu.contoso.cloud.example` overlaps `contoso.cloud.example`")?
            .says("hint: choose `--top-level-names`")?;
        assert_eq!(before, self.changes()?, "nothing may change in AD");
        let show = ["-o", "json", "kerberos-server", "get"];
        let get = self.admin(&show)?;
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
        let plan = self.admin(&dry)?.ok()?;
        plan.says(&format!("note: AD answers for `{hidden}` itself"))?;
        spn("delete")?;
        let plan = self.admin(&dry)?.ok()?;
        plan.does_not_say("AD answers for").map(drop)
    }

    fn what_was_lost_is_made_again(&self) -> Result<(), Failure> {
        let dn = "CN=CrossrealmKerberos,OU=Domain Controllers,DC=corp,DC=contoso,DC=com";
        let deleted = format!("dn: {dn}\nchangetype: delete\n");
        self.story.world.ldbmodify(&deleted).ok()?;
        self.get()?.says("create the computer")?;
        self.admin(SET)?.ok()?;
        self.the_object_is_in_ad()
    }

    /// Somebody else gave the account a new key: both versions are reported, and `set` records what is.
    fn keys_that_differ_are_reported(&self) -> Result<(), Failure> {
        let before = self.account_version()?;
        let reset = ["user", "setpassword", "--random-password"];
        let tool = self.story.world.samba_tool(&reset);
        tool.arg(format!("--filter={USER}")).ok()?;
        let now = self.account_version()?;
        assert_eq!(now, before + 1);
        let get = self.get()?;
        let json = get.json()?;
        assert_eq!(json["key_version"], now);
        assert_eq!(json["cloud_key_version"], before);
        get.says(&format!("key version {now}"))?;
        get.says(&format!("key version {before}"))?;
        self.admin(SET)?.ok()?;
        let json = self.get()?.json()?;
        assert_eq!(json["cloud_key_version"], now);
        self.nothing_is_left_to_do()
    }

    /// Without the trust, and without force once the key is old enough.
    fn the_servers_key_alone_is_rotated(&self) -> Result<(), Failure> {
        const ROTATE_SERVER: &[&str] = &["kerberos-server", "set", "--rotate-server-key"];
        let young = self.admin(ROTATE_SERVER)?.refused(1)?;
        young
            .says("error: the key of the service account was made less than 24 hours ago")?
            .does_not_say("error: the trust key")?;
        self.age_account_key(2)?;
        let (account, trust) = (self.account_version()?, self.trust_version()?);
        self.admin(ROTATE_SERVER)?.ok()?;
        assert_eq!(self.account_version()?, account + 1);
        assert_eq!(self.trust_version()?, trust);
        self.nothing_is_left_to_do()?;
        self.admin(ROTATE_SERVER)?.refused(1).map(drop)
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
        // One by rule, of keys that are old enough, and two by force.
        self.age_account_key(2)?;
        self.age_trust_key(2)?;
        for (round, words) in (1..).zip([&ROTATE[..4], ROTATE, ROTATE]) {
            self.admin(words)?.ok()?;
            assert_eq!(self.trust_version()?, before + round);
        }
        std::fs::write(&stop, "")?;
        let mut fetched = 0;
        for client in &mut clients {
            client.wait_for_line("done", PATIENCE)?;
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

    /// F20: nothing is changed by a dry run of either removal, nor at a terminal without the answer.
    fn what_would_be_removed_is_shown(&self) -> Result<(), Failure> {
        let before = self.changes()?;
        let dry = |words: &[&str]| self.admin(&[words, &["--dry-run"]].concat())?.ok();
        dry(REMOVE_TRUST)?
            .says("delete the trust and its keys from the tenant")?
            .says("nothing was changed")?
            .does_not_say("krbtgt_Crossrealm")?;
        dry(REMOVE)?
            .says("delete the account `CN=krbtgt_Crossrealm,CN=Users")?
            .says("delete the computer `CN=CrossrealmKerberos,OU=Domain Controllers")?
            .says("delete the record of the Kerberos server object from the tenant")?
            .says("nothing was changed")?;
        assert_eq!(before, self.changes()?, "nothing may change in AD");
        for (words, lost) in [
            (
                REMOVE_TRUST,
                "delete the trust and its keys from the tenant",
            ),
            (REMOVE, "delete the account `CN=krbtgt_Crossrealm,CN=Users"),
        ] {
            self.at_terminal(words, "no")?
                .refused(1)?
                .says(lost)?
                .says("Type `yes` to go on: ")?
                .says("nothing was changed: the answer was not `yes`")?;
        }
        assert_eq!(before, self.changes()?, "nothing may change in AD");
        self.nothing_is_left_to_do()
    }

    /// The administrator's command at a terminal, at which this is typed. `script` makes one.
    fn at_terminal(&self, words: &[&str], answer: &str) -> Result<Run, Failure> {
        let line = self.admin(words)?.line();
        let script = self.story.world.at(Place::Admin, "script");
        let script = self.story.with_settings(script);
        let script = script.args(["--quiet", "--return", "--echo", "never", "--command"]);
        Ok(script
            .arg(line)
            .arg("/dev/null")
            .stdin(format!("{answer}\n")))
    }

    fn the_trust_alone_is_removed(&self) -> Result<(), Failure> {
        self.json(REMOVE_TRUST)?;
        assert!(!self.is_there(TRUST)? && self.is_there(USER)?);
        let get = self.get()?.json()?;
        assert!(get["id"].is_number() && get["cloud_trust_display"].is_null());
        let before = self.changes()?;
        let again = self.admin(REMOVE_TRUST)?.ok()?;
        again.says("nothing to remove")?;
        assert_eq!(before, self.changes()?, "nothing may change in AD");
        self.admin(WHOLE)?.ok()?;
        self.a_ticket_is_fetched()
    }

    /// The service account serves every tenant that AD trusts: it goes with the last one.
    fn what_two_tenants_share_stays_until_the_last_goes(&self) -> Result<(), Failure> {
        let second = |words: &[&str]| -> Result<_, Failure> {
            Ok(self.admin(words)?.env("CROSSREALM_TENANT", "second"))
        };
        let finding = |words: &[&str]| second(words)?.ok()?.json();
        second(WHOLE)?.ok()?;
        assert_eq!(
            finding(&["-o", "json", "kerberos-server", "get"])?["findings"],
            serde_json::json!([])
        );
        let removed = self.admin(REMOVE)?.ok()?;
        removed
            .says("the service account is kept")?
            .says("`KERBEROS.SECOND.CLOUD.EXAMPLE`")?;
        assert!(self.is_there(USER)? && self.is_there(COMPUTER)?);
        let trusts = self.story.world.ldbsearch(TRUST, &["trustPartner"]).ok()?;
        trusts.does_not_say(CLOUD_REALM)?;
        trusts.says_line("trustPartner: KERBEROS.SECOND.CLOUD.EXAMPLE")?;
        assert_eq!(
            finding(&["-o", "json", "kerberos-server", "get"])?["findings"],
            serde_json::json!([])
        );
        // The first tenant holds nothing any more, and that is no finding.
        self.nothing_is_left_to_do()?;
        let before = self.changes()?;
        self.admin(REMOVE)?.ok()?.says("nothing to remove")?;
        assert_eq!(before, self.changes()?, "nothing may change in AD");
        second(REMOVE)?.ok()?;
        self.nothing_is_in_ad()?;
        self.admin(WHOLE)?.ok()?;
        self.nothing_is_left_to_do()?;
        self.a_ticket_is_fetched()
    }

    pub(crate) fn all_of_it_is_removed(&self) -> Result<(), Failure> {
        self.json(REMOVE)?;
        self.nothing_is_in_ad()?;
        let again = self.admin(REMOVE)?.ok()?;
        again.says("nothing to remove")?;
        let get = self.admin(&["kerberos-server", "get"])?;
        let output = get.ok()?;
        let set = output.out();
        let set = set.lines().find(|line| !line.trim_end().ends_with(':'));
        match set {
            None => Ok(()),
            Some(line) => Err(output.failure(&format!("was expected to be empty, but: {line}"))),
        }
    }
}
