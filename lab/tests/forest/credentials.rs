//! Who speaks to the domain: each way to say so, and each reason why it does not work.

use std::path::PathBuf;

use crossrealm_lab::{ADMIN_PASSWORD, DOMAIN, Failure, Output, Place, REALM, Run, USER_PASSWORD};

use crate::{Forest, GET, JSON, WHOLE, administrator};

/// Wrong passwords until an account is locked, as the test sets it.
const LOCKOUT_THRESHOLD: usize = 3;

impl Forest {
    pub(crate) fn credentials(&self) -> Result<(), Failure> {
        self.every_way_to_sign_in_works()?;
        self.what_is_missing_is_said()?;
        self.each_state_of_an_account_has_its_own_message()?;
        self.a_keytab_that_is_old_is_reported()?;
        self.an_account_without_rights_is_reported()
    }

    /// `get` without anything that says who asks.
    fn anonymous_get(&self) -> Run {
        let run = self.story.crossrealm(Place::Admin);
        run.args(GET).args(["--domain", DOMAIN])
    }

    fn as_user(&self, user: &str) -> Run {
        self.anonymous_get().args(["--domain-user", user])
    }

    fn with_password(&self, user: &str, password: &str) -> Run {
        self.as_user(user)
            .env("CROSSREALM_DOMAIN_PASSWORD", password)
    }

    /// `samba-tool user`, on the domain controller's own database.
    fn user(&self, words: &[&str]) -> Result<Output, Failure> {
        self.story
            .world
            .samba_tool(&[&["user"], words].concat())
            .ok()
    }

    fn every_way_to_sign_in_works(&self) -> Result<(), Failure> {
        let user = administrator();
        let password = format!("{ADMIN_PASSWORD}\r\n");
        let file = self
            .story
            .world
            .write(Place::Admin, "a.password", password)?;
        let from_file = self.as_user(&user).arg("--domain-password-file").arg(file);
        let keytab = self.exported("administrator")?;
        let of_keytab = self.as_user(&user).arg("--domain-keytab").arg(&keytab);
        let any_of_keytab = self.anonymous_get().arg("--domain-keytab").arg(keytab);
        let (ccache, conf) = self.tickets("10h")?;
        let with_tickets = self
            .anonymous_get()
            .env("KRB5CCNAME", format!("FILE:{ccache}"));
        let netbios = self.with_password("CORP\\Administrator", ADMIN_PASSWORD);
        let ways = [
            from_file,
            self.with_password(&user, ADMIN_PASSWORD),
            netbios,
            of_keytab,
            any_of_keytab,
            with_tickets.env("KRB5_CONFIG", conf),
        ];
        let ways = ways.into_iter().map(|way| way.args(JSON));
        for way in ways.chain([self.prompted(&user, ADMIN_PASSWORD)]) {
            let output = way.ok()?;
            output
                .says("\"findings\": []")?
                .does_not_say(ADMIN_PASSWORD)?;
        }
        self.prompted(&user, "wrong")
            .refused(1)?
            .says("wrong password")
            .map(drop)
    }

    /// A terminal at which the password is typed. `script` makes one.
    fn prompted(&self, user: &str, password: &str) -> Run {
        let line = self.as_user(user).args(JSON).line();
        let script = self
            .story
            .with_settings(self.story.world.at(Place::Admin, "script"));
        let script = script.args(["--quiet", "--return", "--echo", "never", "--command"]);
        script
            .arg(line)
            .arg("/dev/null")
            .stdin(format!("{password}\n"))
    }

    fn exported(&self, user: &str) -> Result<PathBuf, Failure> {
        let keytab = self
            .story
            .world
            .path(Place::Admin, &format!("{user}.keytab"));
        let path = keytab.display().to_string();
        let principal = format!("--principal={user}");
        let folder = self.story.world.dc_folder();
        let tool = self.story.world.at(Place::Onprem, "samba-tool");
        let tool = tool.args(["domain", "exportkeytab", &path, &principal, "-s"]);
        tool.arg(folder.join("etc/smb.conf")).ok()?;
        Ok(keytab)
    }

    /// The administrator's tickets in a file at the administration host, and the configuration they were got with.
    fn tickets(&self, life: &str) -> Result<(String, PathBuf), Failure> {
        let conf = self.story.world.path(Place::Client, "corp-krb5.conf");
        let path = self
            .story
            .world
            .path(Place::Admin, &format!("{life}.ccache"));
        let path = path.display().to_string();
        let kinit = self
            .story
            .world
            .at(Place::Admin, "kinit")
            .args(["-l", life]);
        let kinit = kinit.arg(format!("Administrator@{REALM}"));
        kinit
            .env("KRB5_CONFIG", &conf)
            .env("KRB5CCNAME", format!("FILE:{path}"))
            .stdin(format!("{ADMIN_PASSWORD}\n"))
            .ok()?;
        Ok((path, conf))
    }

    fn what_is_missing_is_said(&self) -> Result<(), Failure> {
        let user = administrator();
        self.as_user(&user)
            .refused(1)?
            .says(&format!("error: no password for `{user}`"))?
            .says("hint: give `--domain-password-file FILE`, set `CROSSREALM_DOMAIN_PASSWORD`")?;
        self.anonymous_get()
            .env("KRB5CCNAME", "FILE:/nonexistent/ccache")
            .refused(1)?
            .says("error: there are no Kerberos tickets: `/nonexistent/ccache` does not exist")?
            .says("hint: sign in with `kinit`")?;
        let (short, _) = self.tickets("20s")?;
        self.anonymous_get()
            .env("KRB5CCNAME", format!("FILE:{short}"))
            .refused(1)?
            .says("hold no valid ticket-granting ticket")?
            .says("hint: sign in with `kinit`")?;
        self.anonymous_get()
            .env("KRB5CCNAME", "MEMORY:0")
            .refused(1)?
            .says("credential caches of type `MEMORY` cannot be read")?;
        self.anonymous_get()
            .args(["--domain-keytab", "/nonexistent/keytab"])
            .refused(1)?
            .says("cannot read the keytab `/nonexistent/keytab`")
            .map(drop)
    }

    fn each_state_of_an_account_has_its_own_message(&self) -> Result<(), Failure> {
        let settings = |threshold: &str| {
            let words = ["domain", "passwordsettings", "set"];
            let threshold = format!("--account-lockout-threshold={threshold}");
            let tool = self
                .story
                .world
                .samba_tool(&[&words[..], &[&threshold]].concat());
            tool.ok().map(drop)
        };
        let states = [
            "xr-wrong",
            "xr-disabled",
            "xr-expired",
            "xr-stale",
            "xr-locked",
        ];
        for name in states {
            self.user(&["create", name, USER_PASSWORD])?;
        }
        self.user(&["disable", "xr-disabled"])?;
        self.user(&["setexpiry", "xr-expired", "--days=-2"])?;
        let new = format!("--newpassword={USER_PASSWORD}");
        self.user(&[
            "setpassword",
            "xr-stale",
            &new,
            "--must-change-at-next-login",
        ])?;
        settings(&LOCKOUT_THRESHOLD.to_string())?;
        for _ in 0..LOCKOUT_THRESHOLD {
            let wrong = self.with_password("xr-locked", "not this").refused(1)?;
            wrong.says("error: wrong password for `xr-locked@CORP.CONTOSO.COM`")?;
        }
        for (name, password, error, hint) in [
            (
                "xr-wrong",
                "not this",
                "wrong password for `xr-wrong@CORP.CONTOSO.COM`",
                "check the password; too many wrong ones may lock the account",
            ),
            (
                "xr-disabled",
                USER_PASSWORD,
                "the account `xr-disabled@CORP.CONTOSO.COM` is disabled",
                "have an administrator enable the account",
            ),
            (
                "xr-expired",
                USER_PASSWORD,
                "the account `xr-expired@CORP.CONTOSO.COM` has expired",
                "have an administrator set another expiry date (`accountExpires`)",
            ),
            (
                "xr-stale",
                USER_PASSWORD,
                "the password of `xr-stale@CORP.CONTOSO.COM` has expired and must be changed",
                "change the password on a domain-joined computer or with `kpasswd`",
            ),
            (
                "xr-locked",
                USER_PASSWORD,
                "the account `xr-locked@CORP.CONTOSO.COM` is locked after too many wrong passwords",
                "wait until the domain's lockout time is over, or have an administrator unlock",
            ),
            (
                "xr-nobody",
                USER_PASSWORD,
                "the directory knows no account `xr-nobody@CORP.CONTOSO.COM`",
                "check the name and the realm after the `@`",
            ),
        ] {
            let refused = self.with_password(name, password).refused(1)?;
            refused
                .says(&format!("error: {error}\n"))?
                .says(&format!("hint: {hint}"))?
                .does_not_say(password)?;
        }
        settings("0")?;
        for name in states {
            self.user(&["delete", name])?;
        }
        Ok(())
    }

    fn a_keytab_that_is_old_is_reported(&self) -> Result<(), Failure> {
        self.user(&["create", "xr-keytab", USER_PASSWORD])?;
        let keytab = self.exported("xr-keytab")?;
        let run = || self.anonymous_get().arg("--domain-keytab").arg(&keytab);
        run()
            .output()?
            .does_not_say("is not the account's current one")?;
        let other = "--newpassword=P@ssw0rd-Other1";
        self.user(&["setpassword", "xr-keytab", other])?;
        run()
            .refused(1)?
            .says("error: the keytab's key for `xr-keytab@CORP.CONTOSO.COM` is not the account's current one")?
            .says("hint: export the keytab again")?;
        self.user(&["delete", "xr-keytab"])?;
        // And one of somebody else's realm.
        self.as_user(&format!("nobody@{DOMAIN}"))
            .arg("--domain-keytab")
            .arg(&keytab)
            .refused(1)?
            .says("error: the keytab holds no AES key for `nobody@CORP.CONTOSO.COM`")
            .map(drop)
    }

    fn an_account_without_rights_is_reported(&self) -> Result<(), Failure> {
        let run = self.story.crossrealm(Place::Admin).args(WHOLE);
        let run = run.args(["--domain", DOMAIN, "--domain-user", "bob"]);
        run.env("CROSSREALM_DOMAIN_PASSWORD", USER_PASSWORD)
            .refused(1)?
            .says("error: the account may not create trusts")?
            .says("hint: use a member of Domain Admins")
            .map(drop)
    }
}
