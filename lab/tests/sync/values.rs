//! Values that no program should have written into the directory, and that stand there all the same.

use super::*;

type Damage = (&'static str, &'static str, &'static str, &'static [u8]);

/// Users, an attribute that counts and is damaged, a value that no other object has, and what stands there instead. The values
/// are of one length: they are exchanged in the file of the domain controller's database, past Samba's checks.
const DAMAGED: &[Damage] = &[
    ("carla", "userAccountControl", "66176", b"66i76"),
    (
        "dirk",
        "accountExpires",
        "133333333333331337",
        b"1333333333333313E7",
    ),
    ("Depot", "sAMAccountName", "zxzxzxzx", b"zxzx\xe9xzx"),
];

/// What Samba lets any program write: the attribute and a value in base64.
const ODD: &[(&str, &str)] = &[
    ("userPrincipalName", "YgFiQGNvcnAuY29udG9zby5jb20="),
    ("userPrincipalName", "bm9kb21haW4="),
    ("userPrincipalName", "QGNvcnAuY29udG9zby5jb20="),
    ("displayName", "YQpi"),
];

#[test]
fn malformed_values_are_reported_until_they_are_mended() {
    played(&[
        ("odd values", Play::odd_values_keep_nobody_enabled),
        ("damaged values", Play::damaged_values_are_reported_by_name),
    ]);
}

impl Play {
    /// F1: a name that cannot be stored as it is refuses nobody, and least of all the disabling that comes with it.
    fn odd_values_keep_nobody_enabled(&mut self) -> Result<(), Failure> {
        for (name, value) in ODD {
            let bob = format!("dn: CN=Bob Baker,CN=Users,{BASE}\nchangetype: modify\n");
            self.ldif(&format!("{bob}replace: {name}\n{name}:: {value}\n\n"))?;
            self.tool(&["user", "disable", "bob"])?;
            let said = format!("note: `{name}` cannot be stored as it is");
            let once = self.sync(&["once"]).ok()?;
            once.says(&said)?.says(": bob")?.does_not_say("refused")?;
            self.status(&[]).ok()?.says("Failed      : 0")?;
            let held = self.held()?;
            let sid = self.story.world.sid_of("bob")?;
            assert_eq!(held["users"][&sid]["state"], "disabled", "{held}");
            self.tool(&["user", "enable", "bob"])?;
            self.ldif(&format!("{bob}delete: {name}\n\n"))?;
            self.once(&[])?;
            self.agrees()?;
        }
        Ok(())
    }

    fn damaged_values_are_reported_by_name(&mut self) -> Result<(), Failure> {
        for user in ["carla", "dirk"] {
            self.tool(&["user", "create", user, USER_PASSWORD])?;
        }
        self.tool(&["group", "add", "Depot"])?;
        self.once(&[])?;
        self.agrees()?;
        let before = self.held()?;
        // Samba's own KDC will trip over the value.
        self.sign_in("dirk")?;
        for (object, name, value, _) in DAMAGED {
            self.ldif(&replace(&self.dn(object)?, name, value))?;
        }
        self.tool(&["user", "create", "frank", USER_PASSWORD])?;
        self.exchange(|(_, _, value, damaged)| (value.as_bytes(), damaged))?;

        let reported = self.once(&[])?;
        let status = self.status(&[]).ok()?;
        for (object, name, ..) in DAMAGED {
            // The group, whose account name is damaged, is called by its common name.
            let mut failures = reported["failures"].as_array().into_iter().flatten();
            let named = failures.find(|one| one["name"] == *object);
            let reason = named.and_then(|one| one["reason"].as_str());
            assert!(reason.is_some_and(|why| why.contains(name)), "{reported}");
            let said = match *object == "Depot" {
                true => format!("not synchronized: `{object}`: `{name}` is missing or unusable"),
                false => format!(
                    "`{object}` may have more rights in the tenant than in AD, where `{name}` is missing or unusable"
                ),
            };
            status.says(&said)?;
        }
        self.doctor_names_those_who_exceed()?;
        // What was synced stays in force, and healthy users go on.
        let mut held = self.held()?;
        let frank = self.story.world.sid_of("frank")?;
        let users = held["users"].as_object_mut();
        assert!(users.is_some_and(|users| users.remove(&frank).is_some()));
        assert_eq!(held, before);
        self.ticket("dirk")?;

        // Samba does not let go of a value that it cannot read.
        self.exchange(|(_, _, value, damaged)| (damaged, value.as_bytes()))?;
        self.tool(&["user", "create", "gina", USER_PASSWORD])?;
        let mended = self.once(&[])?;
        assert_eq!(mended["compared"], BY_CHANGES);
        self.status(&[]).ok()?.says("Failed      : 0")?;
        self.agrees()
    }

    /// F1: the diagnosis fails at the sync, and names each user who may have more rights in the tenant than in AD, and no group.
    fn doctor_names_those_who_exceed(&self) -> Result<(), Failure> {
        let doctor = self.story.with_domain_admin(&["doctor", "-o", "json"])?;
        let doctor = doctor.refused(1)?;
        let report = doctor.json()?;
        let mut checks = report["checks"].as_array().into_iter().flatten();
        let sync = checks.find(|check| check["id"] == "sync");
        let sync = sync.ok_or_else(|| doctor.failure("was expected to look at the sync"))?;
        assert_eq!(sync["verdict"], "failed", "{sync}");
        let seen = sync["seen"].as_str().unwrap_or_default();
        for (object, name, ..) in DAMAGED {
            let named = format!("`{object}` (`{name}`");
            assert_eq!(seen.contains(&named), *object != "Depot", "{named}: {seen}");
        }
        Ok(())
    }

    fn dn(&self, object: &str) -> Result<String, Failure> {
        self.attribute(
            &format!("(|(cn={object})(displayName={object})(cn={object} *))"),
            "dn",
        )
    }

    /// Exchanges values in the file of a domain controller that does not run, wherever they stand in it.
    fn exchange(
        &mut self,
        values: impl Fn(&Damage) -> (&'static [u8], &'static [u8]),
    ) -> Result<(), Failure> {
        self.story.world.kill_dc();
        let file = self.partition(BASE);
        let mut bytes = std::fs::read(&file)?;
        for damage in DAMAGED {
            let (from, to) = values(damage);
            let places: Vec<usize> = (0..bytes.len())
                .filter(|at| bytes[*at..].starts_with(from))
                .collect();
            if places.is_empty() {
                let what = format!("the value of {} is not in the file", damage.0);
                return Err(Failure::new(what));
            }
            for at in places {
                bytes[at..at + to.len()].copy_from_slice(to);
            }
        }
        std::fs::write(&file, bytes)?;
        self.story.world.restart_dc()
    }
}

fn replace(dn: &str, name: &str, value: &str) -> String {
    format!("dn: {dn}\nchangetype: modify\nreplace: {name}\n{name}: {value}\n\n")
}
