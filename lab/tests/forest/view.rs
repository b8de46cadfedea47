//! What `get` shows, compared with Active Directory's own tools; and what `set` repairs.

use crossrealm_lab::story::{CLOUD_REALM, SERVER};
use crossrealm_lab::{ADMIN_PASSWORD, DOMAIN, Failure, Output, Place, Run};
use serde_json::Value;

use crate::{Forest, GET, JSON, SET, WHOLE, only};

/// The fields of `Get-AzureADKerberosServer`, in its order.
const FIELDS: &[&str] = &[
    "Id",
    "UserAccount",
    "ComputerAccount",
    "DisplayName",
    "DomainDnsName",
    "KeyVersion",
    "KeyUpdatedOn",
    "KeyUpdatedFrom",
    "CloudDisplayName",
    "CloudDomainDnsName",
    "CloudId",
    "CloudKeyVersion",
    "CloudKeyUpdatedOn",
    "CloudTrustDisplay",
];
const TDO: &str = "(objectClass=trustedDomain)";
const COMPUTER: &str = "(cn=CrossrealmKerberos)";
const USER: &str = "(cn=krbtgt_Crossrealm)";

impl Forest {
    pub(crate) fn nothing_is_shown_of_a_fresh_domain(&self) -> Result<(), Failure> {
        let table = self.run(&[GET])?.ok()?;
        let lines = lines(&table);
        assert!(
            lines
                .iter()
                .map(|(name, _)| name.as_str())
                .eq(FIELDS.iter().copied())
        );
        assert!(lines.iter().all(|(_, value)| value.is_empty()), "{lines:?}");
        let json = self.get()?;
        let shown = json.as_object().into_iter().flatten();
        for (name, value) in shown {
            let is_empty = value.is_null() || value.as_array().is_some_and(Vec::is_empty);
            assert!(is_empty, "{name}: {value}");
        }
        Ok(())
    }

    /// Without a trust: the fields of the service account, and an empty `CloudTrustDisplay`.
    pub(crate) fn the_object_alone_is_shown(&self) -> Result<(), Failure> {
        self.run(&[SET])?.ok()?;
        self.the_view_is_ads(false)
    }

    pub(crate) fn view(&self) -> Result<(), Failure> {
        self.the_view_is_ads(true)?;
        self.twice_changes_nothing()?;
        self.what_differs_in_ad_is_called_out_and_repaired()?;
        self.what_the_tenant_lost_is_recorded_again()?;
        self.a_key_out_of_step_is_repaired()
    }

    /// Each field against `ldbsearch`, the table against the JSON.
    fn the_view_is_ads(&self, has_trust: bool) -> Result<(), Failure> {
        let json = self.get()?;
        let one = |filter: &str, attribute: &str| only(self.ad(filter, attribute)?, attribute);
        let user = one(USER, "dn")?;
        let number = one(USER, "msDS-SecondaryKrbTgtNumber")?;
        let name = one(USER, "sAMAccountName")?;
        let version = one(USER, "msDS-KeyVersionNumber")?;
        let ticks = one(USER, "pwdLastSet")?.parse::<i64>().unwrap_or_default();
        let updated = rfc_3339(ticks)?;
        let expected = [
            ("id", number.as_str()),
            ("user_account", &user),
            ("computer_account", &one(COMPUTER, "dn")?),
            ("display_name", &name),
            ("domain_dns_name", DOMAIN),
            ("key_version", &version),
            ("key_updated_on", &updated),
            ("key_updated_from", &format!("dc1.{DOMAIN}")),
            ("cloud_display_name", &name),
            ("cloud_domain_dns_name", DOMAIN),
            ("cloud_id", &number),
            ("cloud_key_version", &version),
            ("cloud_key_updated_on", &updated),
        ];
        for (field, value) in expected {
            assert_eq!(text(&json[field]), value, "{field}");
        }
        assert_eq!(json["findings"].as_array().map(Vec::len), Some(0), "{json}");
        let table = self.run(&[GET])?.ok()?;
        let lines = lines(&table);
        assert!(
            lines
                .iter()
                .map(|(name, _)| name.as_str())
                .eq(FIELDS.iter().copied())
        );
        for ((heading, shown), (field, value)) in lines.iter().zip(expected) {
            if !heading.ends_with("UpdatedOn") {
                assert_eq!(shown, value, "{field}");
            }
        }
        let display = lines.last().map(|(_, value)| value.clone());
        assert_eq!(
            display.as_deref(),
            Some(text(&json["cloud_trust_display"]).as_str())
        );
        if has_trust {
            self.the_trusts_view_is_ads(&json)
        } else {
            assert!(
                json["cloud_trust_display"].is_null() && json["trusted_domain_object"].is_null()
            );
            Ok(())
        }
    }

    fn the_trusts_view_is_ads(&self, json: &Value) -> Result<(), Failure> {
        let display = text(&json["cloud_trust_display"]);
        assert!(display.contains(CLOUD_REALM), "{display}");
        let held = self.trusts_of_ad("show", &[CLOUD_REALM])?.json()?;
        let shown = &json["trusted_domain_object"];
        for (field, attribute) in [
            ("name", "trustPartner"),
            ("flat_name", "flatName"),
            ("sid", "sid"),
            ("direction", "trustDirection"),
            ("type", "trustType"),
            ("attributes", "trustAttributes"),
            ("encryption_types", "msDS-SupportedEncryptionTypes"),
        ] {
            assert_eq!(text(&shown[field]), text(&held[attribute]), "{field}");
        }
        assert_eq!(shown["top_level_names"], held["names"]);
        assert_eq!(json["cloud_trust"]["top_level_names"], held["names"]);
        let account = format!("(sAMAccountName={}$)", text(&held["flatName"]));
        let version = only(self.ad(&account, "msDS-KeyVersionNumber")?, "version")?;
        assert_eq!(text(&shown["key_version"]), version);
        let ticks = only(self.ad(&account, "pwdLastSet")?, "pwdLastSet")?;
        let ticks = ticks.parse::<i64>().unwrap_or_default();
        assert_eq!(text(&shown["key_updated_on"]), rfc_3339(ticks)?);
        let keys = &json["cloud_trust"]["keys"];
        assert!(
            keys[0]["version"].is_number() && keys[0]["state"] == "current",
            "{keys}"
        );
        // Samba's own list of trusts.
        let tool = self
            .story
            .world
            .at(Place::Onprem, "samba-tool")
            .args(["domain", "trust", "list"]);
        let tool = tool
            .arg("-s")
            .arg(self.story.world.dc_folder().join("etc/smb.conf"));
        let tool = tool.args([
            "--local-dc-ipaddress=10.77.1.1",
            "--local-dc-username=Administrator",
        ]);
        let list = tool
            .arg(format!("--local-dc-password={ADMIN_PASSWORD}"))
            .ok()?;
        list.says("Type[Forest]")?
            .says("Direction[INCOMING]")?
            .says(&format!("Name[{CLOUD_REALM}]"))?;
        Ok(())
    }

    fn twice_changes_nothing(&self) -> Result<(), Failure> {
        let before = self.changes()?;
        assert_eq!(
            before.len(),
            4,
            "the trust, its account, the service account, the computer"
        );
        for words in [WHOLE, SET] {
            self.run(&[words])?
                .ok()?
                .says("nothing to change: AD and the tenant agree")?;
        }
        assert_eq!(before, self.changes()?, "nothing may change in AD");
        Ok(())
    }

    /// Changes an attribute in the domain controller's own database.
    fn damage(&self, filter: &str, change: &str) -> Result<(), Failure> {
        let dn = only(self.ad(filter, "dn")?, "dn")?;
        let database = self.story.world.dc_folder().join("private/sam.ldb");
        let modify = self
            .story
            .world
            .at(Place::Onprem, "ldbmodify")
            .arg("-H")
            .arg(database);
        let ldif = format!("dn: {dn}\nchangetype: modify\n{change}\n");
        modify.args(["--relax"]).stdin(ldif).ok().map(drop)
    }

    fn what_differs_in_ad_is_called_out_and_repaired(&self) -> Result<(), Failure> {
        let most = [
            (
                COMPUTER,
                "replace: userAccountControl\nuserAccountControl: 4096",
                "`userAccountControl`",
            ),
            (
                COMPUTER,
                "add: msDS-RevealOnDemandGroup\nmsDS-RevealOnDemandGroup: CN=Domain Users,CN=Users,DC=corp,DC=contoso,DC=com",
                "`msDS-RevealOnDemandGroup`",
            ),
            (
                COMPUTER,
                "delete: msDS-NeverRevealGroup",
                "`msDS-NeverRevealGroup`",
            ),
            (COMPUTER, "delete: msDS-KrbTgtLink", "`msDS-KrbTgtLink`"),
            (
                USER,
                "replace: userAccountControl\nuserAccountControl: 512",
                "disable the account",
            ),
            (
                TDO,
                "replace: msDS-SupportedEncryptionTypes\nmsDS-SupportedEncryptionTypes: 4",
                "set the encryption types",
            ),
            (
                TDO,
                "delete: msDS-TrustForestTrustInfo",
                "set the top-level names",
            ),
        ];
        // A trust of another kind cannot be repaired: it is made anew.
        let kind = [(
            TDO,
            "replace: trustAttributes\ntrustAttributes: 32",
            "its direction, type or attributes are not those of a cloud trust",
        )];
        for damages in [&most[..], &kind] {
            for (filter, change, _) in damages {
                self.damage(filter, change)?;
            }
            let get = self.run(&[GET])?.ok()?;
            let set = self.run(&[WHOLE])?.ok()?;
            get.says("note: to do: ")?;
            for (_, _, finding) in damages {
                get.says(finding)?;
                set.says(finding)?;
            }
            self.nothing_is_called_out()?;
        }
        // Names that somebody else replaced.
        self.run(&[
            WHOLE,
            &["--top-level-names", "contoso.cloud.example,more.example"],
        ])?
        .ok()?;
        let held = self.trusts_of_ad("show", &[CLOUD_REALM])?.json()?;
        // AD has no order of them.
        for name in ["contoso.cloud.example", "more.example"] {
            let names = held["names"].as_array().map_or(&[][..], Vec::as_slice);
            assert!(
                names.len() == 2 && names.iter().any(|held| held == name),
                "{held}"
            );
        }
        self.run(&[WHOLE, &["--top-level-names", "contoso.cloud.example"]])?
            .ok()?;
        self.the_view_is_ads(true)
    }

    fn nothing_is_called_out(&self) -> Result<(), Failure> {
        let get = self.get()?;
        assert_eq!(
            get["findings"].as_array().map(Vec::len),
            Some(0),
            "{}",
            get["findings"]
        );
        Ok(())
    }

    /// The tenant's records are deleted behind the tool's back, by the API.
    fn what_the_tenant_lost_is_recorded_again(&self) -> Result<(), Failure> {
        for (path, says) in [
            (
                "kerberos-servers",
                "the tenant has no record of the service account",
            ),
            ("trusts", "the tenant has no key for it"),
        ] {
            self.delete_by_api(path)?;
            self.run(&[GET])?.ok()?.says(says)?;
            self.run(&[WHOLE])?.ok()?;
            self.nothing_is_called_out()?;
        }
        self.the_view_is_ads(true)
    }

    fn delete_by_api(&self, what: &str) -> Result<(), Failure> {
        const CALL: &str = "import os, ssl, sys, urllib.request\n\
            context = ssl.create_default_context(cafile=os.environ['CROSSREALM_CA'])\n\
            headers = {'Authorization': 'Bearer ' + os.environ['CROSSREALM_TOKEN']}\n\
            request = urllib.request.Request(sys.argv[1], method='DELETE', headers=headers)\n\
            urllib.request.urlopen(request, context=context)\n";
        let python = self.story.world.at(Place::Admin, "/usr/bin/python3");
        let python = self.story.with_settings(python).args(["-c", CALL]);
        let url = format!("{SERVER}/api/v1/tenants/contoso/{what}/{DOMAIN}");
        python.arg(url).ok().map(drop)
    }

    /// Somebody gave the trust in AD another secret: no referral opens, and the next run mends it.
    fn a_key_out_of_step_is_repaired(&self) -> Result<(), Failure> {
        self.trusts_of_ad("replace-secret", &[CLOUD_REALM])?;
        let set = self.run(&[WHOLE])?.ok()?;
        set.says("its key is not the one that the tenant holds")?;
        self.nothing_is_called_out()?;
        self.run(&[JSON, WHOLE])?
            .ok()?
            .says("\"changed\": false")
            .map(drop)
    }
}

/// The `Name : value` lines of a record.
fn lines(output: &Output) -> Vec<(String, String)> {
    let out = output.out();
    let parts = out.lines().filter_map(|line| line.split_once(':'));
    parts
        .map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned()))
        .collect()
}

/// A JSON value as text; nothing for null.
fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// A time of AD, in units of 100 ns since 1601, as `date` writes it.
fn rfc_3339(ticks: i64) -> Result<String, Failure> {
    let unix_s = ticks / 10_000_000 - 11_644_473_600;
    let form = "+%Y-%m-%dT%H:%M:%S.000Z";
    let date = Run::here("date").args(["--utc", "--date", &format!("@{unix_s}"), form]);
    Ok(date.ok()?.out().trim().to_owned())
}
