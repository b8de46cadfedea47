//! The key that AD holds is the key that the tenant holds, shown without the product ever showing a key.
//!
//! The secret is read from the domain controller's own database, a keytab is made of it by MIT's `ktutil`, and MIT's
//! `kvno` opens a referral with that. The very same referral is then accepted by the tenant, which opens it with its own
//! key: both opened one sealed and authenticated message, so both keys are one.

use crossrealm_lab::story::{CLOUD_REALM, SPN};
use crossrealm_lab::{Failure, Place, REALM, Run, USER_PASSWORD};

use crate::{Forest, GET, JSON, WHOLE};

impl Forest {
    pub(crate) fn keys(&mut self) -> Result<(), Failure> {
        let steps = ["sync_once", "share_is_granted", "client_config"];
        self.story.play_steps(&steps)?;
        self.ads_key_is_the_tenants("first", "current")?;
        self.run(&[WHOLE, &["--rotate-server-key", "--force"]])?
            .ok()?;
        // For an hour the domain controller goes on with the key before; then it turns to the new one.
        self.ads_key_is_the_tenants("rotated", "previous")?;
        self.trusts_of_ad("two-hours-later", &[CLOUD_REALM])?;
        self.ads_key_is_the_tenants("later", "current")?;
        self.the_view_names_the_version_that_arrived()
    }

    fn ads_key_is_the_tenants(&self, name: &str, which: &str) -> Result<(), Failure> {
        let secrets = self.trusts_of_ad("secrets", &[CLOUD_REALM])?.json()?;
        let secret = utf16(secrets[which].as_str().unwrap_or_default())?;
        let referral = format!("krbtgt/{CLOUD_REALM}@{REALM}");
        self.user_signs_in(name)?;
        let user = |program: &str| self.story.user(name, program);
        let right = self.keytab(&format!("{name}.right"), &referral, &secret)?;
        let wrong = self.keytab(&format!("{name}.wrong"), &referral, "not the secret")?;
        user("kvno").arg(&referral).ok()?;
        self.opened(user("kvno"), &right, &referral).ok()?;
        self.opened(user("kvno"), &wrong, &referral).refused(1)?;
        let before = user("klist").ok()?.out();
        user("kvno").arg(SPN).ok()?.says(SPN)?;
        let after = user("klist").ok()?.out();
        let referrals = |out: &str| out.lines().filter(|line| line.contains(&referral)).count();
        assert_eq!(
            (referrals(&before), referrals(&after)),
            (1, 1),
            "one referral served both"
        );
        for words in [&[JSON, GET][..], &[WHOLE]] {
            self.run(words)?.ok()?.does_not_say(&secret)?;
        }
        Ok(())
    }

    fn user_signs_in(&self, ccache: &str) -> Result<(), Failure> {
        let kinit = self
            .story
            .user(ccache, "kinit")
            .arg(format!("alice@{REALM}"));
        kinit.stdin(format!("{USER_PASSWORD}\n")).ok().map(drop)
    }

    /// A keytab with the key that MIT makes of the secret; the salt is AD's for trusts.
    fn keytab(&self, name: &str, principal: &str, secret: &str) -> Result<String, Failure> {
        let path = self
            .story
            .world
            .path(Place::Client, &format!("{name}.keytab"));
        let path = path.display().to_string();
        let salt = format!("{REALM}krbtgt{CLOUD_REALM}");
        let orders = format!(
            "addent -password -p {principal} -k 1 -e aes256-cts-hmac-sha1-96 -s {salt}\n{secret}\nwrite_kt {path}\nquit\n"
        );
        let ktutil = self.story.world.at(Place::Client, "ktutil").stdin(orders);
        ktutil.env("KRB5_CONFIG", self.story.krb5_conf()).ok()?;
        Ok(path)
    }

    fn opened(&self, kvno: Run, keytab: &str, principal: &str) -> Run {
        kvno.args(["-k", keytab, principal])
    }

    fn the_view_names_the_version_that_arrived(&self) -> Result<(), Failure> {
        let get = self.get()?;
        let arrived = &get["tickets_last_arrived"];
        let seen = get["cloud_trust"]["keys"].as_array().into_iter().flatten();
        let newest = seen
            .filter(|key| key["last_seen_at"].is_string())
            // Two versions can arrive in the same second; the view then names the newer one.
            .max_by_key(|key| (key["last_seen_at"].as_str(), key["version"].as_i64()));
        let Some(newest) = newest else {
            return Err(Failure::new(format!("no ticket arrived: {get}")));
        };
        assert_eq!(arrived["key_version"], newest["version"]);
        assert_eq!(arrived["at"], newest["last_seen_at"]);
        Ok(())
    }
}

/// Text from hexadecimal UTF-16LE.
fn utf16(hex: &str) -> Result<String, Failure> {
    let failed = || Failure::new("AD's secret is not UTF-16LE");
    let bytes = (0..hex.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(hex.get(at..at + 2)?, 16).ok());
    let bytes: Vec<u8> = bytes.collect::<Option<_>>().ok_or_else(failed)?;
    let units: Vec<u16> = bytes
        .chunks_exact(2)
        .map(|pair| u16::from_le_bytes([pair[0], pair[1]]))
        .collect();
    String::from_utf16(&units).map_err(|_| failed())
}
