//! F14: the tenant's database is an older one than AD's. `get`, `set` and the doctor judge it alike, and `set` mends it.

use std::os::unix::fs::PermissionsExt;

use crossrealm_lab::{Failure, PATIENCE, Place, Run};

use crate::play::{Play, cause_alone, verdict};

const GET: &[&str] = &["-o", "json", "kerberos-server", "get"];
const SET: &[&str] = &["kerberos-server", "set"];
const REPAIR: &[&str] = &["kerberos-server", "set", "--setup-cloud-trust"];
const ROTATE: &[&str] = &[
    "kerberos-server",
    "set",
    "--setup-cloud-trust",
    "--rotate-server-key",
    "--force",
];
/// What AD's key of another time is called.
const OTHER_KEY: &str = "AD holds another trust key than the tenant";

impl Play {
    /// A backup of yesterday is restored after a rotation of today.
    pub(crate) fn an_older_database_is_restored(&mut self) -> Result<(), Failure> {
        self.back_up()?;
        self.admin(ROTATE)?.ok()?;
        self.restore_of_yesterday()?;
        // Users of a restored service get tickets after a full sync.
        self.admin(&["sync", "once", "--full"])?.ok()?;
        let key = "trust-keys";
        cause_alone(key, &self.doctor("alice").output()?)?;
        let get = self.admin(GET)?.ok()?;
        get.says(OTHER_KEY)?;
        // For about an hour AD still encrypts with the key before, which the tenant holds: a ticket proves nothing.
        self.witness(&self.story.krb5_conf())?.ok()?;
        self.admin(SET)?
            .ok()?
            .says(OTHER_KEY)?
            .does_not_say("AD and the tenant agree\n")?;
        let plan = self.admin(&[REPAIR, &["--dry-run"]].concat())?.ok()?;
        plan.does_not_say("nothing to change")?;
        self.admin(REPAIR)?
            .ok()?
            .does_not_say("nothing to change")?;
        self.both_sides_agree()
    }

    fn both_sides_agree(&self) -> Result<(), Failure> {
        let get = self.admin(GET)?.ok()?;
        if get.json()?["findings"]
            .as_array()
            .is_none_or(|found| !found.is_empty())
        {
            return Err(get.failure("was expected to have no findings"));
        }
        self.admin(REPAIR)?
            .ok()?
            .says("nothing to change: AD and the tenant agree")?;
        self.sign_in("alice")?;
        let doctor = self.doctor("alice").ok()?;
        for id in ["trust-keys", "service-ticket", "file-acl"] {
            if verdict(&doctor.json()?, id) != "passed" {
                return Err(doctor.failure(&format!("was expected to have `{id}` passed")));
            }
        }
        Ok(())
    }

    fn admin(&self, words: &[&str]) -> Result<Run, Failure> {
        self.story.with_domain_admin(words)
    }

    /// A copy of the database, which is one of yesterday as far as the trust's key is concerned.
    fn back_up(&self) -> Result<(), Failure> {
        const SCRIPT: &str = "import sqlite3, sys\n\
            store, copy = sqlite3.connect(sys.argv[1], timeout=30), sqlite3.connect(sys.argv[2])\n\
            store.backup(copy)\n\
            done = copy.execute('UPDATE trust_secrets SET created_at = created_at - 86400, confirmed_at = confirmed_at - 86400')\n\
            copy.commit()\n\
            sys.exit(0 if done.rowcount > 0 else 'nothing was changed')";
        let store = self.story.cloud_folder().join("crossrealm.db");
        let copy = self.story.world.path(Place::Cloud, "backup.db");
        let run = Run::here("python3").args(["-c", SCRIPT]).arg(store);
        run.arg(copy).ok().map(drop)
    }

    /// As the guide says: the database goes with its write-ahead log.
    fn restore_of_yesterday(&mut self) -> Result<(), Failure> {
        if let Some(cloud) = self.story.cloud.take() {
            cloud.stop(PATIENCE)?;
        }
        let store = self.story.cloud_folder().join("crossrealm.db");
        for end in ["", "-wal", "-shm"] {
            let file = store.with_file_name(format!("crossrealm.db{end}"));
            if file.exists() {
                std::fs::remove_file(file)?;
            }
        }
        let copy = self.story.world.path(Place::Cloud, "backup.db");
        std::fs::copy(copy, &store)?;
        std::fs::set_permissions(&store, std::fs::Permissions::from_mode(0o600))?;
        self.story.start_cloud().map(drop)
    }
}
