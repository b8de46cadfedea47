//! The people and groups of a large company, as LDIF for Samba's database.

use crossrealm_lab::Population;

/// The domain's distinguished name.
pub(super) const BASE: &str = "DC=corp,DC=contoso,DC=com";
/// Where everybody is.
pub(super) const UNIT: &str = "OU=Company,DC=corp,DC=contoso,DC=com";

/// How many there are.
#[derive(Clone, Copy, Debug)]
pub(super) struct Size {
    pub users: usize,
    pub groups: usize,
}

/// Objects in one transaction; with more, Samba's database becomes very slow.
const BATCH: usize = 3_000;
/// Direct users of a group.
const MEMBERS: usize = 10;
/// So many groups are nested in each other, one in the next.
const DEPTH: usize = 10;

/// The LDIF of a company of this size.
pub(super) fn company(size: Size) -> Population {
    let mut records = vec![format!("dn: {UNIT}\nobjectClass: organizationalUnit\n\n")];
    records.extend((0..size.users).map(user));
    // A member must be there before the group: the innermost group of each chain comes first.
    records.extend((0..size.groups).rev().map(|n| group(n, size)));
    Population {
        name: format!("company-{}-{}", size.users, size.groups),
        batches: records.chunks(BATCH).map(<[String]>::concat).collect(),
    }
}

fn user(n: usize) -> String {
    format!(
        "dn: CN=user{n},{UNIT}\nobjectClass: user\nsAMAccountName: user{n}\nuserPrincipalName: user{n}@{domain}\n\
         displayName: User number {n} of Contoso\nuserAccountControl: 512\n\n",
        domain = crossrealm_lab::DOMAIN
    )
}

fn group(n: usize, size: Size) -> String {
    let mut text =
        format!("dn: CN=group{n},{UNIT}\nobjectClass: group\nsAMAccountName: group{n}\n");
    for k in 0..MEMBERS.min(size.users) {
        text += &format!("member: CN=user{},{UNIT}\n", (n * MEMBERS + k) % size.users);
    }
    if n % DEPTH != DEPTH - 1 && n + 1 < size.groups {
        text += &format!("member: CN=group{},{UNIT}\n", n + 1);
    }
    text.push('\n');
    text
}

/// A new group of the first `members` users.
pub(super) fn new_group(name: &str, members: usize) -> String {
    let mut text = format!(
        "dn: CN={name},{UNIT}\nchangetype: add\nobjectClass: group\nsAMAccountName: {name}\n"
    );
    for n in 0..members {
        text += &format!("member: CN=user{n},{UNIT}\n");
    }
    text.push('\n');
    text
}
