//! Beside the objects of Microsoft Entra Kerberos, which Hello for Business, FIDO2 sign-in and Azure Files need (F19).

use crossrealm_lab::Failure;

use crate::{Play, REMOVE, ROTATE, SET, WHOLE};

const ACCOUNT: &str = "CN=krbtgt_AzureAD,CN=Users,DC=corp,DC=contoso,DC=com";
const COMPUTER: &str = "CN=AzureADKerberos,OU=Domain Controllers,DC=corp,DC=contoso,DC=com";
/// The server chooses the account's number and name.
const RODC_PROMOTION: &str = "--controls=local_oid:1.2.840.113556.1.4.1341:1";
const THEIRS: &str = "(|(cn=krbtgt_AzureAD)(cn=AzureADKerberos))";

impl Play {
    /// F19: set, rotated and removed, ours leaves theirs as they are. The trust is whole before and behind.
    pub(crate) fn beside_microsoft(&mut self) -> Result<(), Failure> {
        self.they_are_made()?;
        let before = self.theirs()?;
        for words in [SET, WHOLE, ROTATE, &[REMOVE, &["--force"]].concat()] {
            self.admin(words)?.ok()?;
            self.they_are_shown_as_such()?;
            assert_eq!(before, self.theirs()?, "changed by {words:?}");
        }
        self.nothing_is_in_ad()?;
        self.admin(WHOLE)?.ok()?;
        assert_eq!(before, self.theirs()?, "adopted");
        self.nothing_is_left_to_do()?;
        self.a_ticket_is_fetched()?;
        self.the_doctor_names_them()?;
        self.they_are_deleted()
    }

    /// As Microsoft's PowerShell module makes them.
    fn they_are_made(&self) -> Result<(), Failure> {
        let world = &self.story.world;
        let account = format!(
            "dn: {ACCOUNT}\nchangetype: add\nobjectClass: user\nuserAccountControl: 514\n\
             showInAdvancedViewOnly: TRUE\ndescription: Key Distribution Center service account for Azure AD\n"
        );
        world.ldbmodify(&account).arg(RODC_PROMOTION).ok()?;
        let computer = format!(
            "dn: {COMPUTER}\nchangetype: add\nobjectClass: computer\nsAMAccountName: AzureADKerberos$\n\
             userAccountControl: 83890176\nmsDS-KrbTgtLink: {ACCOUNT}\n"
        );
        world.ldbmodify(&computer).ok().map(drop)
    }

    /// Every attribute of theirs, with the number of the last change.
    fn theirs(&self) -> Result<String, Failure> {
        let attributes = ["*", "msDS-KeyVersionNumber"];
        let search = self.story.world.ldbsearch(THEIRS, &attributes).ok()?;
        search.says("uSNChanged: ")?.says("msDS-KrbTgtLink: ")?;
        Ok(search.out())
    }

    fn they_are_shown_as_such(&self) -> Result<(), Failure> {
        let json = self.get()?.json()?;
        let shown = json["microsoft_objects"].as_array().map(Vec::len);
        assert_eq!(shown, Some(2), "{json}");
        let get = self.admin(&["kerberos-server", "get"])?.ok()?;
        get.says("note: `CN=krbtgt_AzureAD,CN=Users")?
            .says("belongs to Microsoft Entra Kerberos and is never changed")
            .map(drop)
    }

    fn the_doctor_names_them(&self) -> Result<(), Failure> {
        let doctor = self.admin(&["doctor", "--all"])?.output()?;
        doctor
            .says("`CN=krbtgt_AzureAD,CN=Users")?
            .says("belongs to Microsoft Entra Kerberos and is never changed")
            .map(drop)
    }

    fn they_are_deleted(&self) -> Result<(), Failure> {
        let deleted =
            format!("dn: {COMPUTER}\nchangetype: delete\n\ndn: {ACCOUNT}\nchangetype: delete\n");
        self.story.world.ldbmodify(&deleted).ok().map(drop)
    }
}
