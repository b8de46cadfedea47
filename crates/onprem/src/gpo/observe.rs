//! The object as the directory and SYSVOL hold it.

use super::{GpoError, MAX_FILE};
use crate::ldap::{Control, Entry, Filter, Ldap, Search, sd_flags};
use crate::smb::FileShare;
use crossrealm_krb::security_descriptor::SecurityDescriptor;

/// The object as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Observed {
    /// The container in the directory.
    pub container: Option<Container>,
    /// The folder in SYSVOL.
    pub folder: Option<Folder>,
    /// Everything that it is linked to.
    pub links: Vec<Link>,
    /// The `gPLink` of the domain or organisational unit that it should be linked to.
    pub target: Option<Link>,
}

/// The container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Container {
    /// `displayName`.
    pub name: String,
    /// `versionNumber`: user settings in the high 16 bits, computer settings in the low.
    pub version: u32,
    /// `flags`: which settings are disabled.
    pub flags: i64,
    /// `gPCMachineExtensionNames`.
    pub extensions: String,
    /// `gPCFileSysPath`.
    pub path: String,
    /// Its permissions.
    pub security: SecurityDescriptor,
    /// Which of `Machine` and `User` exist.
    pub halves: Vec<String>,
}

/// The folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Folder {
    /// The version in `GPT.INI`; `None` if it holds none.
    pub version: Option<u32>,
    /// `Machine\Registry.pol`.
    pub settings: Option<Vec<u8>>,
    /// Its permissions.
    pub security: SecurityDescriptor,
}

/// A domain, organisational unit or site, and its links.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Its DN.
    pub dn: String,
    /// `gPLink`, [MS-GPOL] 2.2.2; empty without links.
    pub value: String,
}

impl Link {
    /// The entries of the value, `[LDAP://DN;options]`, with their brackets.
    pub(super) fn entries(&self) -> Vec<&str> {
        self.value
            .split_inclusive(']')
            .map(str::trim)
            .filter(|entry| !entry.is_empty())
            .collect()
    }

    /// Whether an entry links the object with this DN.
    pub(super) fn is_about(entry: &str, dn: &str) -> bool {
        let inner = entry.trim_start_matches('[').trim_end_matches(']');
        let path = inner.rsplit_once(';').map_or(inner, |(path, _)| path);
        let found = path
            .get(..7)
            .filter(|head| head.eq_ignore_ascii_case("LDAP://"));
        found.is_some()
            && path
                .get(7..)
                .is_some_and(|own| own.eq_ignore_ascii_case(dn))
    }

    /// The options of the object's link, [MS-GPOL] 2.2.2: 1 is disabled, 2 is enforced; `None` if it is not linked.
    pub fn options(&self, dn: &str) -> Option<u32> {
        let entries = self.entries();
        let entry = entries.iter().find(|entry| Self::is_about(entry, dn))?;
        let (_, options) = entry.trim_end_matches(']').rsplit_once(';')?;
        options.parse().ok()
    }
}

pub(super) async fn container(ldap: &mut Ldap, dn: &str) -> Result<Option<Container>, GpoError> {
    let attributes = [
        "displayName",
        "versionNumber",
        "flags",
        "gPCMachineExtensionNames",
        "gPCFileSysPath",
        "nTSecurityDescriptor",
    ];
    let parts = sd_flags::SD_FLAG_OWNER | sd_flags::SD_FLAG_GROUP | sd_flags::SD_FLAG_DACL;
    let search = Search::object(dn, &attributes).with(Control::SdFlags(parts));
    let Some(entry) = one(ldap, &search).await? else {
        return Ok(None);
    };
    let text = |name| entry.text(name).unwrap_or_default().to_owned();
    let version = entry.number("versionNumber").unwrap_or_default();
    Ok(Some(Container {
        name: text("displayName"),
        version: u32::try_from(version).unwrap_or_default(),
        flags: entry.number("flags").unwrap_or_default(),
        extensions: text("gPCMachineExtensionNames"),
        path: text("gPCFileSysPath"),
        security: entry
            .values("nTSecurityDescriptor")
            .first()
            .and_then(|bytes| SecurityDescriptor::parse(bytes).ok())
            .ok_or_else(|| {
                GpoError::Damaged(format!("the permissions of `{dn}` cannot be read"))
            })?,
        halves: halves(ldap, dn).await?,
    }))
}

async fn halves(ldap: &mut Ldap, dn: &str) -> Result<Vec<String>, GpoError> {
    let mut found = Vec::new();
    for half in ["Machine", "User"] {
        if ldap
            .object(&format!("CN={half},{dn}"), &["cn"])
            .await?
            .is_some()
        {
            found.push(half.to_owned());
        }
    }
    Ok(found)
}

pub(super) async fn folder(sysvol: &mut FileShare, path: &str) -> Result<Option<Folder>, GpoError> {
    let Some(security) = sysvol.folder_security(path).await? else {
        return Ok(None);
    };
    let ini = sysvol.read(&format!(r"{path}\GPT.INI"), MAX_FILE).await?;
    let settings = sysvol
        .read(&format!(r"{path}\Machine\Registry.pol"), MAX_FILE)
        .await?;
    Ok(Some(Folder {
        version: ini.as_deref().and_then(version),
        settings,
        security: SecurityDescriptor::parse(&security).map_err(|_| {
            GpoError::Damaged(format!(
                "the permissions of the folder `{path}` cannot be read"
            ))
        })?,
    }))
}

/// The version in a `GPT.INI`, [MS-GPOL] 2.2.4.
fn version(ini: &[u8]) -> Option<u32> {
    String::from_utf8_lossy(ini).lines().find_map(|line| {
        let (name, value) = line.split_once('=')?;
        let is_it = name.trim().eq_ignore_ascii_case("Version");
        is_it.then(|| value.trim().parse().ok())?
    })
}

/// Everything in these subtrees that the object is linked to.
pub(super) async fn links(
    ldap: &mut Ldap,
    roots: &[String],
    id: &str,
    dn: &str,
) -> Result<Vec<Link>, GpoError> {
    let mut found = Vec::new();
    for root in roots {
        let filter = Filter::Substring("gPLink".to_owned(), format!("*{id}*").into());
        let search = Search::subtree(root, filter, &["gPLink"]);
        let entries = ldap.search(&search).await?;
        let links = entries.iter().map(link);
        found.extend(links.filter(|link| link.options(dn).is_some()));
    }
    Ok(found)
}

pub(super) async fn target(ldap: &mut Ldap, dn: &str) -> Result<Option<Link>, GpoError> {
    let entry = one(ldap, &Search::object(dn, &["gPLink"])).await?;
    Ok(entry.as_ref().map(link))
}

fn link(entry: &Entry) -> Link {
    Link {
        dn: entry.dn().to_owned(),
        value: entry.text("gPLink").unwrap_or_default().trim().to_owned(),
    }
}

async fn one(ldap: &mut Ldap, search: &Search) -> Result<Option<Entry>, GpoError> {
    use crate::error::OnpremError::Ldap as Refused;
    match ldap.search(search).await {
        Ok(entries) => Ok(entries.into_iter().next()),
        Err(Refused(error)) if error.is_no_such_object() => Ok(None),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_told_apart() {
        let dn = "CN={A},CN=Policies,CN=System,DC=x";
        let link = Link {
            dn: "DC=x".into(),
            value: "[LDAP://cn={B},cn=policies,cn=system,DC=x;0][LDAP://cn={A},cn=policies,cn=system,DC=x;2]".into(),
        };
        assert_eq!(link.entries().len(), 2);
        assert_eq!(link.options(dn), Some(2));
        assert_eq!(link.options("CN={C},CN=Policies,CN=System,DC=x"), None);
        let empty = Link {
            value: " ".into(),
            ..link
        };
        assert_eq!((empty.entries().len(), empty.options(dn)), (0, None));
    }

    #[test]
    fn a_version_is_found_in_any_ini() {
        assert_eq!(version(b"[General]\r\nVersion=65538\r\n"), Some(65538));
        assert_eq!(version(b"[General]\nversion = 3\ndisplayName=x"), Some(3));
        for bad in [&b""[..], b"\xff\xfe", b"[General]\r\nVersion=-1\r\n"] {
            assert_eq!(version(bad), None);
        }
    }
}
