//! Who may do what: roles of the service, rights in AD, and the audit of every change.

use crossrealm_lab::{DOMAIN, Failure, Place, USER_PASSWORD};
use serde_json::Value;
use std::path::PathBuf;

use crate::{Play, REMOVE, REMOVE_TRUST, ROTATE, SET, TRUST, USER, WHOLE, value};

/// The account that the rights are delegated to; it has no other.
const DELEGATE: &str = "svc-trust";
/// `Reset Password`, [MS-ADTS] 5.1.3.2.1.
const RESET_PASSWORD: &str = "00299570-246d-11d0-a768-00aa006e0529";
/// `Add/Remove Replica In Domain`: to make the computer of a read-only domain controller.
const INSTALL_REPLICA: &str = "9923a32a-3607-11d2-b9be-0000f87a36b2";
/// Classes: user, computer, trustedDomain.
const CLASS_USER: &str = "bf967aba-0de6-11d0-a285-00aa003049e2";
const CLASS_COMPUTER: &str = "bf967a86-0de6-11d0-a285-00aa003049e2";
const CLASS_TRUST: &str = "bf967ab8-0de6-11d0-a285-00aa003049e2";
const BASE: &str = "DC=corp,DC=contoso,DC=com";
/// Where the commands come from.
const ADMIN_ADDRESS: &str = "10.77.2.3";

impl Play {
    /// The trust is whole before and behind.
    pub(crate) fn rights(&mut self) -> Result<(), Failure> {
        let world = &self.story.world;
        let create = ["user", "create", DELEGATE, USER_PASSWORD];
        world.samba_tool(&create).ok()?;
        self.another_role_is_refused_before_ad_is_touched()?;
        self.an_account_that_may_not_reset_the_password_is_reported()?;
        self.who_may_reset_the_password_rotates()?;
        self.the_trust_is_removed_and_made_by_delegation()?;
        self.the_object_is_removed_and_made_by_delegation()?;
        self.each_step_is_in_the_audit()
    }

    fn another_role_is_refused_before_ad_is_touched(&self) -> Result<(), Failure> {
        let before = self.changes()?;
        self.connector(&["--allow-trust-rotation"])?;
        for file in [self.token_file(), self.host_token()?] {
            let token = std::fs::read_to_string(file)?;
            let token = token.trim();
            for words in [WHOLE, ROTATE, REMOVE, REMOVE_TRUST] {
                let run = self.admin(words)?.env("CROSSREALM_TOKEN", token);
                run.refused(1)?
                    .says("may not change trusts")?
                    .says("hint: use the token of a global administrator")?;
            }
        }
        assert_eq!(before, self.changes()?, "AD was touched");
        Ok(())
    }

    /// The file with a token of an SMB host.
    fn host_token(&self) -> Result<PathBuf, Failure> {
        let file = self.story.world.path(Place::Admin, "host.token");
        let admin = || {
            self.story
                .crossrealm(Place::Admin)
                .args(["storage-account"])
        };
        admin().args(["create", "rights1"]).ok()?;
        let create = admin().args(["host-token", "rights1", "--for", "fs1", "--out"]);
        create.arg(&file).ok()?;
        Ok(file)
    }

    fn an_account_that_may_not_reset_the_password_is_reported(&self) -> Result<(), Failure> {
        let (account, before) = (self.account_version()?, self.changes()?);
        let rotate = &["kerberos-server", "set", "--rotate-server-key", "--force"];
        let refused = self.as_user(DELEGATE, rotate)?.refused(1)?;
        refused
            .says("Reset Password")?
            .says("CN=krbtgt_Crossrealm,CN=Users")?
            .says("hint: ")?;
        assert_eq!(
            (account, before),
            (self.account_version()?, self.changes()?)
        );
        let all = [ROTATE, REMOVE, REMOVE_TRUST];
        for words in all {
            self.as_user(DELEGATE, words)?.refused(1)?;
            assert!(self.is_there(TRUST)? && self.is_there(USER)?);
            self.nothing_is_left_to_do()?;
        }
        // What was refused is neither half done nor in the way of what works.
        self.admin(WHOLE)?.ok()?;
        self.nothing_is_left_to_do()?;
        self.a_ticket_is_fetched()
    }

    /// With this one right; the trust key needs none, for the trust's own account gives it to AD.
    fn who_may_reset_the_password_rotates(&self) -> Result<(), Failure> {
        let account = format!("CN=krbtgt_Crossrealm,CN=Users,{BASE}");
        self.delegate(&account, &format!("OA;;CR;{RESET_PASSWORD};;"))?;
        let before = (self.account_version()?, self.trust_version()?);
        self.as_user(DELEGATE, ROTATE)?.ok()?;
        let after = (self.account_version()?, self.trust_version()?);
        assert_eq!(after, (before.0 + 1, before.1 + 1));
        self.nothing_is_left_to_do()?;
        self.a_ticket_is_fetched()
    }

    fn the_trust_is_removed_and_made_by_delegation(&self) -> Result<(), Failure> {
        let (system, users) = (format!("CN=System,{BASE}"), format!("CN=Users,{BASE}"));
        self.delegate(&system, &format!("OA;;CC;{CLASS_TRUST};;"))?;
        self.delegate(&users, &format!("OA;;CCDC;{CLASS_USER};;"))?;
        // What is in the container later inherits it; what is there already has it put on.
        self.delegate(&system, &format!("OA;CIIO;RPWPSD;;{CLASS_TRUST};"))?;
        let search = self.story.world.ldbsearch(TRUST, &["cn"]).ok()?;
        self.delegate(&value(&search, "dn")?, "A;;RPWPSD;;;")?;
        self.as_user(DELEGATE, REMOVE_TRUST)?.ok()?;
        assert!(!self.is_there(TRUST)? && self.is_there(USER)?);
        self.as_user(DELEGATE, WHOLE)?.ok()?;
        self.nothing_is_left_to_do()?;
        self.a_ticket_is_fetched()
    }

    fn the_object_is_removed_and_made_by_delegation(&self) -> Result<(), Failure> {
        let refused = self.as_user(DELEGATE, REMOVE)?.refused(1)?;
        refused.says("lacks the right `Delete` on `CN=CrossrealmKerberos,OU=Domain Controllers")?;
        let computers = format!("OU=Domain Controllers,{BASE}");
        self.delegate(&computers, &format!("OA;;CCDC;{CLASS_COMPUTER};;"))?;
        self.delegate(BASE, &format!("OA;;CR;{INSTALL_REPLICA};;"))?;
        let grant = self.story.world.at(Place::Onprem, "net");
        let account = format!("{}\\{DELEGATE}", crossrealm_lab::FLAT_NAME);
        let grant = grant.args(["rpc", "rights", "grant", &account]);
        let grant = grant.args(["SeEnableDelegationPrivilege", "-S", "10.77.1.1", "-U"]);
        let user = format!("Administrator%{}", crossrealm_lab::ADMIN_PASSWORD);
        grant.arg(user).ok()?;
        self.as_user(DELEGATE, REMOVE)?.ok()?;
        self.nothing_is_in_ad()?;
        self.as_user(DELEGATE, SET)?.ok()?;
        self.as_user(DELEGATE, WHOLE)?.ok()?;
        self.nothing_is_left_to_do()?;
        self.a_ticket_is_fetched()
    }

    /// Gives the delegate a right: the begin of an access control entry, to which its SID is put.
    fn delegate(&self, dn: &str, entry: &str) -> Result<(), Failure> {
        let sid = self.story.world.sid_of(DELEGATE)?;
        let (dn, entry) = (format!("--objectdn={dn}"), format!("--sddl=({entry}{sid})"));
        let set = ["dsacl", "set", "--action=allow", &dn, &entry];
        self.story.world.samba_tool(&set).ok().map(drop)
    }

    /// Who (at the service and in AD), what, from where: for each step that a run reports.
    fn each_step_is_in_the_audit(&self) -> Result<(), Failure> {
        for words in [REMOVE, WHOLE, ROTATE] {
            let before = self.events()?.len();
            let run = self.admin(words)?.ok()?;
            let events = self.events()?.split_off(before);
            let reported = run.err();
            let steps: Vec<&str> = reported
                .lines()
                .filter_map(|l| l.strip_prefix("done: "))
                .collect();
            assert!(steps.len() >= 5, "{reported}");
            let of = |action: &str| -> Vec<&Value> {
                let is_it = |event: &&Value| event["action"] == action;
                events.iter().filter(is_it).collect()
            };
            assert_eq!(of("ad.begin").len(), of("ad.done").len());
            for event in of("ad.done") {
                let detail = event["detail"].as_str().unwrap_or_default();
                let is_it = |step: &&str| detail.starts_with(*step);
                assert!(steps.iter().any(is_it), "{detail}");
                assert!(detail.contains(&format!("(at dc1.{DOMAIN})")), "{detail}");
                assert_eq!(event["user"], "Administrator@CORP.CONTOSO.COM");
            }
            // What is no change in AD is one in the tenant, and audited there.
            let in_tenant = |event: &&Value| {
                let action = event["action"].as_str().unwrap_or_default();
                action.starts_with("trust.") || action.starts_with("kerberos_server.")
            };
            let in_tenant = events.iter().filter(in_tenant).count();
            assert_eq!(of("ad.done").len() + in_tenant, steps.len(), "{events:#?}");
            for event in &events {
                assert_eq!(event["actor"], "bootstrap");
                assert_eq!(event["address"], ADMIN_ADDRESS);
                assert_eq!(event["outcome"], "done");
            }
        }
        // What AD refused is there too, with the reason.
        let failed = self
            .events()?
            .into_iter()
            .find(|event| event["action"] == "ad.fail");
        let failed = failed.ok_or_else(|| Failure::new("no `ad.fail` in the audit"))?;
        assert_eq!(failed["user"], format!("{DELEGATE}@CORP.CONTOSO.COM"));
        assert_eq!(failed["outcome"], "refused");
        Ok(())
    }

    /// The tenant's events of this part of the play, in the order of recording.
    pub(crate) fn events(&self) -> Result<Vec<Value>, Failure> {
        let run = self.story.crossrealm(Place::Admin);
        let run = run.args(["-o", "json", "events", "--since", "1h"]);
        match run.ok()?.json()? {
            Value::Array(events) => Ok(events
                .into_iter()
                .filter(|event| event["kind"] == "change")
                .collect()),
            other => Err(Failure::new(format!("events are no list: {other}"))),
        }
    }
}
