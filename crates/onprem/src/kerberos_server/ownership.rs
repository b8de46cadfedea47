//! Which objects this product made.
//!
//! Microsoft Entra Kerberos has objects of the same kind in many forests. Changing, rotating or deleting one would break the
//! sign-in of others, so a name alone proves nothing. An object is ours if the tenant recorded its GUID, or if it has our name
//! and the description that it was created with. Versions before 0.3 gave their objects Microsoft's names and recorded no GUID: such
//! an account is ours if it has our description and is the very account that the tenant recorded; its computer, if it is
//! linked to that account.

use super::{COMPUTER_NAME, Computer, MICROSOFT_USER_NAME, Object, RevealGroups, USER_NAME, User};
use crossrealm_types::KerberosServer;
use uuid::Uuid;

/// The description that the account is created with.
pub(super) const USER_DESCRIPTION: &str =
    "Key distribution center service account for cloud sign-in";
/// The description that the computer is created with.
pub(super) const COMPUTER_DESCRIPTION: &str = "Kerberos server object of Crossrealm";

/// An account or a computer with one of the names.
#[derive(Clone, Debug)]
pub(super) struct Found<T> {
    pub(super) dn: String,
    /// Its common name.
    pub(super) name: String,
    pub(super) description: Option<String>,
    pub(super) seen: T,
}

impl<T> Found<T> {
    fn is_named(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name)
    }

    fn is_described(&self, description: &str) -> bool {
        self.description.as_deref() == Some(description)
    }
}

/// What the domain with the DN `base` holds, from all accounts and computers with one of the names and from the tenant's record.
pub(super) fn object(
    base: &str,
    mut users: Vec<Found<User>>,
    mut computers: Vec<Found<Computer>>,
    groups: RevealGroups,
    recorded: Option<&KerberosServer>,
) -> Object {
    let mut microsoft = Vec::new();
    for user in &mut users {
        user.seen.is_ours = is_our_user(user, recorded);
    }
    let guid = recorded.and_then(|recorded| Some(recorded.account.as_ref()?.guid));
    let identity = |user: &User| (user.object.guid, user.is_ours);
    let user = choose(users, identity, (USER_NAME, guid), &mut microsoft);
    let account = user.as_ref().filter(|user| user.seen.is_ours);
    for computer in &mut computers {
        computer.seen.is_ours = is_our_computer(computer, account, recorded);
    }
    let guid = recorded.and_then(|recorded| Some(recorded.computer.as_ref()?.guid));
    let identity = |computer: &Computer| (computer.object.guid, computer.is_ours);
    let computer = choose(computers, identity, (COMPUTER_NAME, guid), &mut microsoft);
    let (user_dn, user) = match user {
        Some(found) => (found.dn, Some(found.seen)),
        None => (format!("CN={USER_NAME},CN=Users,{base}"), None),
    };
    let (computer_dn, computer) = match computer {
        Some(found) => (found.dn, Some(found.seen)),
        None => (
            format!("CN={COMPUTER_NAME},OU=Domain Controllers,{base}"),
            None,
        ),
    };
    Object {
        user_dn,
        user,
        computer_dn,
        computer,
        groups,
        microsoft,
    }
}

/// The object that is looked at: the recorded one, else ours by the name that we give, else what bears that name. Those of
/// Microsoft's name that are not ours are set aside.
fn choose<T>(
    found: Vec<Found<T>>,
    identity: impl Fn(&T) -> (Uuid, bool),
    (own_name, recorded): (&str, Option<Uuid>),
    microsoft: &mut Vec<String>,
) -> Option<Found<T>> {
    let is_ours = |one: &Found<T>| identity(&one.seen).1;
    let (candidates, others): (Vec<_>, Vec<_>) = found
        .into_iter()
        .partition(|one| is_ours(one) || one.is_named(own_name));
    microsoft.extend(others.into_iter().map(|one| one.dn));
    candidates.into_iter().min_by_key(|one| {
        let is_recorded = recorded == Some(identity(&one.seen).0);
        (!is_ours(one), !is_recorded, !one.is_named(own_name))
    })
}

fn is_our_user(found: &Found<User>, recorded: Option<&KerberosServer>) -> bool {
    let user = &found.seen;
    if user.number.is_none() {
        return false;
    }
    let account = recorded.and_then(|recorded| recorded.account.as_ref());
    if account == Some(&user.object) {
        return true;
    }
    if !found.is_described(USER_DESCRIPTION) {
        return false;
    }
    let is_recorded = recorded.is_some_and(|recorded| {
        user.number == Some(recorded.id) && user.account_name == recorded.display_name
    });
    found.is_named(USER_NAME)
        || found.is_named(MICROSOFT_USER_NAME) && account.is_none() && is_recorded
}

fn is_our_computer(
    found: &Found<Computer>,
    account: Option<&Found<User>>,
    recorded: Option<&KerberosServer>,
) -> bool {
    let computer = &found.seen;
    let is_recorded =
        recorded.and_then(|recorded| recorded.computer.as_ref()) == Some(&computer.object);
    let is_linked = match (account, &computer.link) {
        (Some(account), Some(link)) => link.eq_ignore_ascii_case(&account.dn),
        _ => false,
    };
    let is_made = found.is_named(COMPUTER_NAME) && found.is_described(COMPUTER_DESCRIPTION);
    is_recorded || is_linked || is_made
}

#[cfg(test)]
mod tests {
    use super::super::{COMPUTER_FLAGS, MICROSOFT_COMPUTER_NAME, USER_FLAGS};
    use super::*;
    use crossrealm_types::{AdObject, Timestamp};

    const BASE: &str = "DC=corp,DC=contoso,DC=com";

    fn ad_object(rid: u32) -> AdObject {
        AdObject {
            guid: Uuid::from_u128(u128::from(rid)),
            sid: format!("S-1-5-21-1-2-3-{rid}").parse().unwrap(),
        }
    }

    fn user(name: &str, description: Option<&str>) -> Found<User> {
        let number = if name == USER_NAME { 1 } else { 2 };
        Found {
            dn: format!("CN={name},CN=Users,{BASE}"),
            name: name.to_owned(),
            description: description.map(str::to_owned),
            seen: User {
                object: ad_object(1000 + number),
                is_ours: false,
                account_name: format!("krbtgt_{number}"),
                number: Some(number),
                flags: USER_FLAGS,
                key_version: 1,
                key_updated_at: Some(1),
                key_updated_from: None,
            },
        }
    }

    fn computer(name: &str, link: &Found<User>, description: Option<&str>) -> Found<Computer> {
        let number = if name == COMPUTER_NAME { 3 } else { 4 };
        Found {
            dn: format!("CN={name},OU=Domain Controllers,{BASE}"),
            name: name.to_owned(),
            description: description.map(str::to_owned),
            seen: Computer {
                object: ad_object(1000 + number),
                is_ours: false,
                flags: COMPUTER_FLAGS,
                link: Some(link.dn.clone()),
                reveal: Vec::new(),
                never: Vec::new(),
            },
        }
    }

    fn record(user: &Found<User>) -> KerberosServer {
        KerberosServer {
            domain: "corp.contoso.com".to_owned(),
            id: user.seen.number.unwrap(),
            display_name: user.seen.account_name.clone(),
            key_version: 1,
            key_updated_at: Timestamp::default(),
            recorded_at: Timestamp::default(),
            removal_begun_at: None,
            account: None,
            computer: None,
        }
    }

    fn seen(
        users: Vec<Found<User>>,
        computers: Vec<Found<Computer>>,
        recorded: Option<&KerberosServer>,
    ) -> Object {
        object(BASE, users, computers, RevealGroups::default(), recorded)
    }

    /// F19: neither the name nor a record that took it over makes Microsoft's objects ours.
    #[test]
    fn f19_objects_of_microsoft_are_not_ours() {
        let theirs = user(
            MICROSOFT_USER_NAME,
            Some("Key Distribution Center Service Account"),
        );
        let machine = computer(MICROSOFT_COMPUTER_NAME, &theirs, None);
        for recorded in [None, Some(&record(&theirs))] {
            let found = seen(vec![theirs.clone()], vec![machine.clone()], recorded);
            assert_eq!((&found.user, &found.computer), (&None, &None));
            assert_eq!(found.user_dn, format!("CN={USER_NAME},CN=Users,{BASE}"));
            assert_eq!(found.microsoft, [theirs.dn.clone(), machine.dn.clone()]);
        }
    }

    /// F19: both products in one domain.
    #[test]
    fn f19_ours_are_found_beside_those_of_microsoft() {
        let theirs = user(MICROSOFT_USER_NAME, None);
        let their_machine = computer(MICROSOFT_COMPUTER_NAME, &theirs, None);
        let ours = user(USER_NAME, Some(USER_DESCRIPTION));
        let machine = computer(COMPUTER_NAME, &ours, Some(COMPUTER_DESCRIPTION));
        let users = vec![theirs.clone(), ours.clone()];
        let found = seen(users, vec![their_machine.clone(), machine.clone()], None);
        assert!(found.user.unwrap().is_ours && found.computer.unwrap().is_ours);
        assert_eq!((found.user_dn, found.computer_dn), (ours.dn, machine.dn));
        assert_eq!(found.microsoft, [theirs.dn, their_machine.dn]);
    }

    /// F19: what versions before 0.3 made goes on under its name, and is known by its GUID from the next record on.
    #[test]
    fn f19_objects_of_earlier_versions_go_on() {
        let ours = user(MICROSOFT_USER_NAME, Some(USER_DESCRIPTION));
        let machine = computer(MICROSOFT_COMPUTER_NAME, &ours, None);
        let mut recorded = record(&ours);
        let found = seen(vec![ours.clone()], vec![machine.clone()], Some(&recorded));
        assert!(found.user.unwrap().is_ours && found.computer.unwrap().is_ours);
        assert_eq!(found.microsoft, Vec::<String>::new());
        // Another tenant did not record it.
        let found = seen(vec![ours.clone()], vec![machine.clone()], None);
        assert_eq!(found.microsoft, [ours.dn.clone(), machine.dn.clone()]);
        recorded.account = Some(ours.seen.object.clone());
        recorded.computer = Some(machine.seen.object.clone());
        let mut altered = (ours.clone(), machine.clone());
        (altered.0.description, altered.1.seen.link) = (None, None);
        let found = seen(vec![altered.0], vec![altered.1], Some(&recorded));
        assert!(found.user.unwrap().is_ours && found.computer.unwrap().is_ours);
        // Deleted and made again by somebody else: the same name and number, another object.
        let mut again = (ours, machine);
        again.0.seen.object = ad_object(2000);
        again.1.seen.object = ad_object(2001);
        let found = seen(
            vec![again.0.clone()],
            vec![again.1.clone()],
            Some(&recorded),
        );
        assert_eq!(found.microsoft, [again.0.dn, again.1.dn]);
    }

    /// F19: objects with our names that somebody else made.
    #[test]
    fn f19_our_names_alone_make_nothing_ours() {
        let other = user(USER_NAME, None);
        let machine = computer(COMPUTER_NAME, &other, None);
        let found = seen(vec![other], vec![machine], None);
        assert!(!found.user.unwrap().is_ours && !found.computer.unwrap().is_ours);
        let mut numberless = user(USER_NAME, Some(USER_DESCRIPTION));
        numberless.seen.number = None;
        assert!(!seen(vec![numberless], vec![], None).user.unwrap().is_ours);
    }
}
