//! Reads the object by encrypted LDAP.

use super::ownership::{self, Found, USER_DESCRIPTION};
use super::{
    COMPUTER_NAME, Computer, MICROSOFT_COMPUTER_NAME, MICROSOFT_USER_NAME, Object, RevealGroups,
    TrustKey, USER_NAME, User, group_sids,
};
use crate::error::OnpremError;
use crate::ldap::{Entry, Filter, Ldap, LdapError, Search};
use crossrealm_types::{AdObject, KerberosServer, Sid};

/// The ATTRTYP of `unicodePwd` ([MS-ADA3], OID 1.2.840.113556.1.4.90) in replication metadata.
const ATTID_PASSWORD: u32 = 0x0009_005A;
/// Bytes before the entries of `replPropertyMetaData`: version, reserved, count, reserved.
const META_HEADER: usize = 16;
/// Bytes of an entry: attribute, version, time, invocation id, two USNs ([MS-DRSR] 5.166 PROPERTY_META_DATA_VECTOR).
const META_ENTRY: usize = 48;

/// Reads the object. `configuration` is the DN of the configuration naming context, `recorded` the tenant's record of it.
pub async fn observe(
    ldap: &mut Ldap,
    configuration: &str,
    recorded: Option<&KerberosServer>,
) -> Result<Object, OnpremError> {
    let base = ldap.base().to_owned();
    let users = find_users(ldap, &base, configuration).await?;
    let computers = find_computers(ldap, &base).await?;
    let groups = reveal_groups(ldap, &base).await?;
    Ok(ownership::object(&base, users, computers, groups, recorded))
}

/// The version of a trust's key and the time it was set (Unix seconds), from the trust's account `flat_name$`: AD gives that
/// account every password of an inbound trust. `None` if there is no such account.
///
/// # Errors
///
/// If the directory cannot be read.
pub async fn trust_key(ldap: &mut Ldap, flat_name: &str) -> Result<Option<TrustKey>, OnpremError> {
    /// `userAccountControl` of a trust's account ([MS-ADTS] 2.2.16).
    const INTERDOMAIN_TRUST_ACCOUNT: u32 = 0x800;
    let base = ldap.base().to_owned();
    let filter = equal("sAMAccountName", &format!("{flat_name}$"));
    let attributes = ["userAccountControl", "msDS-KeyVersionNumber", "pwdLastSet"];
    let found = ldap
        .search(&Search::subtree(&base, filter, &attributes))
        .await?;
    let account = found.into_iter().next().filter(|account| {
        account
            .flags("userAccountControl")
            .is_some_and(|flags| flags & INTERDOMAIN_TRUST_ACCOUNT != 0)
    });
    Ok(account.map(|account| TrustKey {
        version: account.flags("msDS-KeyVersionNumber"),
        updated_at: account.file_time("pwdLastSet"),
    }))
}

/// The DN of the account of Microsoft Entra Kerberos, as far as that is known without the tenant's record.
///
/// # Errors
///
/// If the directory cannot be read.
pub async fn microsoft_account(ldap: &mut Ldap) -> Result<Option<String>, OnpremError> {
    let base = ldap.base().to_owned();
    let is_named = equal("cn", MICROSOFT_USER_NAME);
    let filter = Filter::And(vec![equal("objectClass", "user"), is_named]);
    let attributes = ["description", "msDS-SecondaryKrbTgtNumber"];
    let found = ldap
        .search(&Search::subtree(&base, filter, &attributes))
        .await?;
    let theirs = found.iter().find(|entry| {
        entry.has("msDS-SecondaryKrbTgtNumber")
            && entry.text("description") != Some(USER_DESCRIPTION)
    });
    Ok(theirs.map(|entry| entry.dn().to_owned()))
}

/// The accounts with one of the names. Another account may have the same common name elsewhere: the right one has a number.
async fn find_users(
    ldap: &mut Ldap,
    base: &str,
    configuration: &str,
) -> Result<Vec<Found<User>>, OnpremError> {
    let names = [USER_NAME, MICROSOFT_USER_NAME];
    let is_named = Filter::Or(names.iter().map(|name| equal("cn", name)).collect());
    let filter = Filter::And(vec![equal("objectClass", "user"), is_named]);
    let attributes = [
        "cn",
        "description",
        "objectGUID",
        "objectSid",
        "sAMAccountName",
        "msDS-SecondaryKrbTgtNumber",
        "userAccountControl",
        "msDS-KeyVersionNumber",
        "pwdLastSet",
        "replPropertyMetaData",
    ];
    let search = Search::subtree(base, filter, &attributes);
    let is_in_place = |entry: &Entry| {
        let place = |name| format!("CN={name},CN=Users,{base}");
        names
            .iter()
            .any(|name| entry.dn().eq_ignore_ascii_case(&place(name)))
    };
    let mut users = Vec::new();
    for entry in ldap.search(&search).await? {
        if entry.has("msDS-SecondaryKrbTgtNumber") || is_in_place(&entry) {
            users.push(found(&entry, user(ldap, &entry, configuration).await?));
        }
    }
    Ok(users)
}

async fn find_computers(ldap: &mut Ldap, base: &str) -> Result<Vec<Found<Computer>>, OnpremError> {
    let names = [COMPUTER_NAME, MICROSOFT_COMPUTER_NAME];
    let named = |name: &&str| equal("sAMAccountName", &format!("{name}$"));
    let filter = Filter::Or(names.iter().map(named).collect());
    let attributes = [
        "cn",
        "description",
        "objectGUID",
        "objectSid",
        "userAccountControl",
        "msDS-KrbTgtLink",
        "msDS-RevealOnDemandGroup",
        "msDS-NeverRevealGroup",
    ];
    let search = Search::subtree(base, filter, &attributes);
    let entries = ldap.search(&search).await?;
    entries
        .iter()
        .map(|entry| Ok(found(entry, computer(entry)?)))
        .collect()
}

fn found<T>(entry: &Entry, seen: T) -> Found<T> {
    Found {
        dn: entry.dn().to_owned(),
        name: entry.text("cn").unwrap_or_default().to_owned(),
        description: entry.text("description").map(str::to_owned),
        seen,
    }
}

fn ad_object(entry: &Entry) -> Result<AdObject, OnpremError> {
    Ok(AdObject {
        guid: entry.require_guid("objectGUID")?,
        sid: entry.require_sid("objectSid")?,
    })
}

async fn user(ldap: &mut Ldap, entry: &Entry, configuration: &str) -> Result<User, OnpremError> {
    let writer = entry
        .values("replPropertyMetaData")
        .first()
        .and_then(|metadata| originating_invocation(metadata, ATTID_PASSWORD));
    let key_updated_from = match writer {
        Some(invocation) => controller_of(ldap, configuration, &invocation).await?,
        None => None,
    };
    let number = |name: &str| entry.number(name).and_then(|n| u32::try_from(n).ok());
    Ok(User {
        object: ad_object(entry)?,
        is_ours: false,
        account_name: entry.require_text("sAMAccountName")?.to_owned(),
        number: number("msDS-SecondaryKrbTgtNumber"),
        flags: entry.flags("userAccountControl").unwrap_or_default(),
        key_version: entry.flags("msDS-KeyVersionNumber").unwrap_or_default(),
        key_updated_at: entry.file_time("pwdLastSet"),
        key_updated_from,
    })
}

fn computer(entry: &Entry) -> Result<Computer, OnpremError> {
    let texts = |name: &str| entry.texts(name).into_iter().map(str::to_owned).collect();
    Ok(Computer {
        object: ad_object(entry)?,
        is_ours: false,
        flags: entry.flags("userAccountControl").unwrap_or_default(),
        link: entry.text("msDS-KrbTgtLink").map(str::to_owned),
        reveal: texts("msDS-RevealOnDemandGroup"),
        never: texts("msDS-NeverRevealGroup"),
    })
}

/// The DNs of the groups of the password replication policy. They may have been renamed or moved, so they are found by SID.
async fn reveal_groups(ldap: &mut Ldap, base: &str) -> Result<RevealGroups, OnpremError> {
    let domain = ldap.object(base, &["objectSid"]).await?;
    let sid = domain
        .ok_or_else(|| LdapError::Missing(base.to_owned()))?
        .require_sid("objectSid")?;
    let unusable = || LdapError::BadValue {
        dn: base.to_owned(),
        attribute: "objectSid".to_owned(),
    };
    let (reveal, never) = group_sids(&sid).ok_or_else(unusable)?;
    let any = reveal.iter().chain(&never);
    let filter = Filter::Or(
        any.map(|sid| equal("objectSid", &sid.to_string()))
            .collect(),
    );
    let found = ldap
        .search(&Search::subtree(base, filter, &["objectSid"]))
        .await?;
    let dns = |sids: &[Sid]| -> Vec<String> {
        found
            .iter()
            .filter(|entry| {
                entry
                    .sid("objectSid")
                    .is_some_and(|sid| sids.contains(&sid))
            })
            .map(|entry| entry.dn().to_owned())
            .collect()
    };
    Ok(RevealGroups {
        reveal: dns(&reveal),
        never: dns(&never),
    })
}

/// The DNS name of the domain controller whose database has this invocation id; `None` if it was removed.
async fn controller_of(
    ldap: &mut Ldap,
    configuration: &str,
    invocation: &[u8; 16],
) -> Result<Option<String>, OnpremError> {
    let filter = equal("objectClass", "nTDSDSA");
    let settings = ldap
        .search(&Search::subtree(configuration, filter, &["invocationId"]))
        .await?;
    let server = settings
        .iter()
        .find(|entry| {
            entry
                .values("invocationId")
                .first()
                .is_some_and(|id| id == invocation)
        })
        .and_then(|entry| {
            entry
                .dn()
                .split_once(',')
                .map(|(_, server)| server.to_owned())
        });
    let Some(server) = server else {
        return Ok(None);
    };
    let server = ldap.object(&server, &["dNSHostName"]).await?;
    Ok(server.and_then(|entry| entry.text("dNSHostName").map(str::to_lowercase)))
}

/// The invocation id of the last write of an attribute, from `replPropertyMetaData` ([MS-DRSR] 4.1.10.5.8,
/// PROPERTY_META_DATA_VECTOR version 1).
fn originating_invocation(metadata: &[u8], attribute: u32) -> Option<[u8; 16]> {
    let version = metadata.first_chunk::<4>()?;
    if u32::from_le_bytes(*version) != 1 {
        return None;
    }
    metadata
        .get(META_HEADER..)?
        .chunks_exact(META_ENTRY)
        .find(|entry| {
            entry
                .first_chunk::<4>()
                .is_some_and(|id| u32::from_le_bytes(*id) == attribute)
        })
        .and_then(|entry| entry.get(16..32)?.try_into().ok())
}

fn equal(attribute: &str, value: &str) -> Filter {
    Filter::Equality(attribute.to_owned(), value.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metadata(entries: &[(u32, u8)]) -> Vec<u8> {
        let mut out = vec![1, 0, 0, 0, 0, 0, 0, 0];
        out.extend(u32::try_from(entries.len()).unwrap().to_le_bytes());
        out.extend([0; 4]);
        for (attribute, invocation) in entries {
            out.extend(attribute.to_le_bytes());
            out.extend([0; 12]);
            out.extend([*invocation; 16]);
            out.extend([0; 16]);
        }
        out
    }

    #[test]
    fn the_writer_of_the_key_is_found() {
        let data = metadata(&[(3, 1), (ATTID_PASSWORD, 7), (0x9_0060, 9)]);
        assert_eq!(originating_invocation(&data, ATTID_PASSWORD), Some([7; 16]));
        assert_eq!(originating_invocation(&data, 4), None);
    }

    #[test]
    fn metadata_that_is_none_names_nobody() {
        let whole = metadata(&[(ATTID_PASSWORD, 7)]);
        for cut in 0..whole.len() {
            assert_eq!(originating_invocation(&whole[..cut], ATTID_PASSWORD), None);
        }
        let mut other_version = whole;
        other_version[0] = 2;
        assert_eq!(originating_invocation(&other_version, ATTID_PASSWORD), None);
    }
}
