//! Carries out steps by encrypted LDAP.

use super::ownership::{COMPUTER_DESCRIPTION, USER_DESCRIPTION};
use super::{COMPUTER_FLAGS, COMPUTER_NAME, ObjectStep, RevealGroups, USER_FLAGS};
use crate::error::OnpremError;
use crate::ldap::{Change, Control, Ldap};
use crate::random::OsRandom;
use crossrealm_krb::random::Random;
use zeroize::Zeroizing;

/// LDAP_SERVER_RODC_DCPROMO_OID, [MS-ADTS] 3.1.1.3.4.1.23: the server chooses the number and the name of the new account.
const RODC_PROMOTION: Control = Control::Plain("1.2.840.113556.1.4.1341");
/// Random bytes of the password that AD requires and then replaces.
const PASSWORD_BYTES: usize = 32;

/// Carries out one step.
pub async fn apply(ldap: &mut Ldap, step: &ObjectStep) -> Result<(), OnpremError> {
    match step {
        ObjectStep::CreateUser { dn } => {
            let attributes = vec![
                value("objectClass", "user"),
                value("userAccountControl", &USER_FLAGS.to_string()),
                value("showInAdvancedViewOnly", "TRUE"),
                value("description", USER_DESCRIPTION),
            ];
            ldap.add(dn, attributes, &[RODC_PROMOTION]).await
        }
        ObjectStep::DisableUser { dn } => {
            let change = replace("userAccountControl", vec![USER_FLAGS.to_string()]);
            ldap.modify(dn, vec![change], &[]).await
        }
        ObjectStep::NewKey { dn } => {
            let change = Change::Replace("unicodePwd".to_owned(), vec![random_password()]);
            ldap.modify(dn, vec![change], &[]).await
        }
        ObjectStep::CreateComputer {
            dn,
            user_dn,
            groups,
        } => {
            let mut attributes = vec![
                value("objectClass", "computer"),
                value("sAMAccountName", &format!("{COMPUTER_NAME}$")),
                value("userAccountControl", &COMPUTER_FLAGS.to_string()),
                value("description", COMPUTER_DESCRIPTION),
            ];
            for (name, values) in linked(user_dn, groups) {
                let values = values.into_iter().map(String::into_bytes).collect();
                attributes.push((name.to_owned(), values));
            }
            ldap.add(dn, attributes, &[]).await
        }
        ObjectStep::RepairComputer {
            dn,
            user_dn,
            groups,
            what,
        } => {
            let flags = ("userAccountControl", vec![COMPUTER_FLAGS.to_string()]);
            let changes = linked(user_dn, groups)
                .into_iter()
                .chain([flags])
                .filter(|(name, _)| what.contains(name))
                .map(|(name, values)| replace(name, values))
                .collect();
            ldap.modify(dn, changes, &[]).await
        }
        ObjectStep::DeleteComputer { dn } | ObjectStep::DeleteUser { dn } => {
            match ldap.delete(dn, &[]).await {
                Err(OnpremError::Ldap(error)) if error.is_no_such_object() => Ok(()),
                other => other,
            }
        }
    }
}

fn linked(user_dn: &str, groups: &RevealGroups) -> [(&'static str, Vec<String>); 3] {
    [
        ("msDS-KrbTgtLink", vec![user_dn.to_owned()]),
        ("msDS-RevealOnDemandGroup", groups.reveal.clone()),
        ("msDS-NeverRevealGroup", groups.never.clone()),
    ]
}

fn value(name: &str, text: &str) -> (String, Vec<Vec<u8>>) {
    (name.to_owned(), vec![text.as_bytes().to_vec()])
}

fn replace(name: &str, values: Vec<String>) -> Change {
    let values = values.into_iter().map(String::into_bytes).collect();
    Change::Replace(name.to_owned(), values)
}

/// A value of `unicodePwd`: quoted, in UTF-16LE ([MS-ADTS] 3.1.1.3.1.5). AD replaces it by a key of its own, so it only has to
/// satisfy the password policy.
fn random_password() -> Vec<u8> {
    let mut bytes = Zeroizing::new([0; PASSWORD_BYTES]);
    OsRandom.fill(bytes.as_mut());
    let text = Zeroizing::new(format!("\"Aa1-{}\"", *Zeroizing::new(hex::encode(*bytes))));
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_passwords_are_the_same_and_each_is_quoted() {
        let (one, two) = (random_password(), random_password());
        assert_ne!(one, two);
        assert_eq!(one[..2], [b'"', 0]);
        assert_eq!(one[one.len() - 2..], [b'"', 0]);
        assert_eq!(one.len(), 2 * (1 + 4 + 2 * PASSWORD_BYTES + 1));
    }
}
