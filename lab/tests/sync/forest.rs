//! Members of another domain of the forest. Samba serves no forest of several domains, so the value that such a member
//! leaves in a group is written into the database of the domain controller, which serves it as it serves any other.

use crossrealm_lab::{DOMAIN, Failure, Place};
use serde_json::json;

use super::hands::{BASE, BY_CHANGES, Play};

const CHILD: &str = "child.corp.contoso.com";
const CHILD_SID: &str = "S-1-5-21-444-555-666";
const EVE: &str = "00000000-0000-4000-8000-0000000000e1";

impl Play {
    pub(super) fn members_of_another_domain_count_once_it_is_synced(
        &mut self,
    ) -> Result<(), Failure> {
        self.sign_in("alice")?;
        self.add_member_of_the_child()?;
        // A change that the domain controller counts.
        let sales = format!("CN=Sales,CN=Users,{BASE}");
        self.ldif(&format!(
            "dn: {sales}\nchangetype: modify\nreplace: description\ndescription: two domains\n\n"
        ))?;
        let reported = self.once_with_log(&[])?;
        reported
            .says("a member from another domain")?
            .says("`Sales`")?;
        assert_eq!(reported.json()?["compared"], BY_CHANGES);
        self.agrees()?;

        self.sync_the_child()?;
        let eve = ["-o", "json", "user", "show", &format!("eve@{CHILD}")];
        let eve = self.admin(&eve).ok()?.json()?;
        let groups = eve["effective_groups"].as_array().into_iter().flatten();
        let mut groups: Vec<&str> = groups
            .filter_map(|one| one["group"]["name"].as_str())
            .collect();
        groups.sort_unstable();
        assert_eq!(groups, ["AllStaff", "Sales"], "{eve}");
        // The next full comparison leaves the member where it is.
        self.once(&["--full"])?;
        let sales = ["-o", "json", "group", "show", "Sales"];
        let sales = self.admin(&sales).ok()?;
        sales.says(&format!("{CHILD_SID}-1234"))?;
        self.ticket("alice")?;
        self.agrees()
    }

    fn add_member_of_the_child(&mut self) -> Result<(), Failure> {
        self.story.world.kill_dc();
        let member = format!(
            "<GUID={EVE}>;<RMD_ADDTIME=134000000000000000>;<RMD_CHANGETIME=134000000000000000>;<RMD_FLAGS=0>;\
             <RMD_INVOCID={EVE}>;<RMD_LOCAL_USN=1>;<RMD_ORIGINATING_USN=1>;<RMD_VERSION=1>;\
             <SID={CHILD_SID}-1234>;CN=Eve,CN=Users,DC=child,{BASE}"
        );
        self.raw_ldif(
            BASE,
            &format!(
                "dn: CN=Sales,CN=Users,{BASE}\nchangetype: modify\nadd: member\nmember: {member}\n\n"
            ),
        )?;
        self.story.world.restart_dc()
    }

    /// Writes the child domain's one user, as that domain's agent would.
    fn sync_the_child(&self) -> Result<(), Failure> {
        let eve = json!({
            "object_guid": EVE, "kind": "user", "sid": format!("{CHILD_SID}-1234"), "account_name": "eve",
            "upn": format!("eve@{CHILD}"), "state": "enabled", "primary_group_rid": 513,
        });
        let body = json!({
            "run_id": "00000000-0000-4000-8000-000000000001",
            "domain": {"dns_name": CHILD, "flat_name": "CHILD", "sid": CHILD_SID},
            "changes": [{"op": "upsert", "identity": eve}], "last": true,
        });
        let token = std::fs::read_to_string(self.story.cloud_folder().join("admin.token"))?;
        let run = self.request(token.trim(), &format!("domains/{CHILD}/identities"))?;
        let world = &self.story.world;
        let file = world.write(Place::Admin, "child.json", body.to_string())?;
        let data = format!("@{}", file.display());
        run.arg("--data").arg(data).ok()?.does_not_say(DOMAIN)?;
        Ok(())
    }
}
