//! Reads both parts of the object, and carries out steps.

use super::observe::{self, Link, Observed};
use super::permissions::{filtered, of_folder};
use super::{ALL_OFF, EXTENSIONS, GpoError, GpoStep, USERS_OFF};
use crate::kerberos_server::preflight::forest_domains;
use crate::ldap::{Change, Control, Filter, Ldap, Search, sd_flags};
use crate::session::Session;
use crate::smb::{self, FileShare};
use crate::trust::AdNames;
use crossrealm_krb::security_descriptor::SecurityDescriptor;
use crossrealm_types::Sid;
use std::net::SocketAddr;

/// A group policy object on one domain controller.
pub struct Policies {
    ldap: Ldap,
    sysvol: FileShare,
    id: String,
    dn: String,
    /// The domain's DNS name.
    domain: String,
    /// The DN of the configuration naming context.
    configuration: String,
    /// Where links can be: the domain, and the forest's sites.
    roots: Vec<String>,
}

impl Policies {
    /// Connects to the session's domain controller for the object with this id: a GUID in upper case, in braces.
    pub async fn open(session: &Session, id: &str) -> Result<Self, GpoError> {
        let dc = session.dc();
        let ldap = session.ldap().await?;
        let ticket = session.controller_ticket("cifs").await?;
        let address = SocketAddr::new(dc.address, smb::PORT);
        let sysvol = FileShare::connect(&dc.host, address, ticket, "sysvol").await?;
        let base = ldap.base().to_owned();
        let configuration = dc.root_dse.configuration_naming_context.clone();
        Ok(Self {
            dn: format!("CN={id},CN=Policies,CN=System,{base}"),
            id: id.to_owned(),
            domain: dc.domain.clone(),
            roots: vec![base, format!("CN=Sites,{configuration}")],
            configuration,
            ldap,
            sysvol,
        })
    }

    /// The DN of the domain.
    pub fn base(&self) -> &str {
        self.ldap.base()
    }

    /// The DN of the container.
    pub fn dn(&self) -> &str {
        &self.dn
    }

    /// The folder as clients open it, `gPCFileSysPath`.
    pub fn path(&self) -> String {
        format!(r"\\{}\sysvol\{}", self.domain, self.folder())
    }

    /// The path of the folder in the share.
    fn folder(&self) -> String {
        format!(r"{}\Policies\{}", self.domain, self.id)
    }

    /// Reads the object; `link` is the DN of the domain or organisational unit that it should be linked to.
    pub async fn observe(&mut self, link: &str) -> Result<Observed, GpoError> {
        let folder = self.folder();
        Ok(Observed {
            container: observe::container(&mut self.ldap, &self.dn).await?,
            folder: observe::folder(&mut self.sysvol, &folder).await?,
            links: observe::links(&mut self.ldap, &self.roots, &self.id, &self.dn).await?,
            target: observe::target(&mut self.ldap, link).await?,
        })
    }

    /// The names of the forest that no computer may map to another realm.
    pub async fn ad_names(&mut self) -> Result<AdNames, GpoError> {
        let domains = forest_domains(&mut self.ldap, &self.configuration).await?;
        let partitions = format!("CN=Partitions,{}", self.configuration);
        let suffixes = self.ldap.object(&partitions, &["uPNSuffixes"]).await?;
        let mut domains: Vec<String> = domains.into_iter().map(|d| d.dns_name).collect();
        domains.push(self.domain.clone());
        let lower = |suffix: &str| suffix.to_lowercase();
        Ok(AdNames {
            domains,
            upn_suffixes: suffixes
                .map(|entry| {
                    entry
                        .texts("uPNSuffixes")
                        .iter()
                        .map(|s| lower(s))
                        .collect()
                })
                .unwrap_or_default(),
        })
    }

    /// The SID of the group or computer with this account name (of a computer, with or without its `$`); `None` if there is
    /// none.
    pub async fn sid_of(&mut self, account: &str) -> Result<Option<Sid>, GpoError> {
        let equal = |name: &str, value: &str| Filter::Equality(name.to_owned(), value.to_owned());
        let filter = Filter::And(vec![
            Filter::Or(vec![
                equal("objectClass", "group"),
                equal("objectClass", "computer"),
            ]),
            Filter::Or(vec![
                equal("sAMAccountName", account),
                equal("sAMAccountName", &format!("{account}$")),
            ]),
        ]);
        let search = Search::subtree(self.ldap.base(), filter, &["objectSid"]);
        let found = self.ldap.search(&search).await?;
        Ok(found.first().and_then(|entry| entry.sid("objectSid")))
    }

    /// Carries out one step.
    pub async fn apply(&mut self, step: &GpoStep) -> Result<(), GpoError> {
        match step {
            GpoStep::CreateContainer => self.create_container().await,
            GpoStep::CreateHalf(half) => {
                let dn = format!("CN={half},{}", self.dn);
                let class = vec![value("objectClass", "container")];
                Ok(self.ldap.add(&dn, class, &[]).await?)
            }
            GpoStep::Filter(sids) => {
                let security = filtered(&self.security().await?, sids);
                let change =
                    Change::Replace("nTSecurityDescriptor".to_owned(), vec![encoded(&security)?]);
                let control = Control::SdFlags(sd_flags::SD_FLAG_DACL);
                Ok(self.ldap.modify(&self.dn, vec![change], &[control]).await?)
            }
            GpoStep::CreateFolder => Ok(self.sysvol.create_folder(&self.folder()).await?),
            GpoStep::FolderPermissions => {
                let descriptor = encoded(&of_folder(&self.security().await?))?;
                let folder = self.folder();
                Ok(self.sysvol.set_folder_security(&folder, descriptor).await?)
            }
            GpoStep::FolderVersion(version) => {
                let ini = format!("[General]\r\nVersion={version}\r\n");
                let path = format!(r"{}\GPT.INI", self.folder());
                Ok(self.sysvol.write(&path, ini.as_bytes()).await?)
            }
            GpoStep::Settings(bytes) => self.write_settings(bytes).await,
            GpoStep::Container { name, version } => {
                let version = version.to_string();
                let changes = self.attributes(name, &version, USERS_OFF);
                let changes = changes
                    .into_iter()
                    .map(|(name, values)| Change::Replace(name, values));
                Ok(self.ldap.modify(&self.dn, changes.collect(), &[]).await?)
            }
            GpoStep::Link(link) => self.relink(link, link.with(&self.dn)).await,
            GpoStep::Unlink(link) => self.relink(link, link.without(&self.dn)).await,
            GpoStep::RemoveFolder => Ok(self.sysvol.remove_all(&self.folder()).await.map(drop)?),
            GpoStep::RemoveContainer => self.remove_container().await,
        }
    }

    async fn create_container(&mut self) -> Result<(), GpoError> {
        let mut attributes = vec![value("objectClass", "groupPolicyContainer")];
        attributes.extend(self.attributes(&self.id, "0", ALL_OFF));
        Ok(self.ldap.add(&self.dn, attributes, &[]).await?)
    }

    fn attributes(&self, name: &str, version: &str, flags: i64) -> Vec<(String, Vec<Vec<u8>>)> {
        vec![
            value("displayName", name),
            value("versionNumber", version),
            value("flags", &flags.to_string()),
            value("gPCFunctionalityVersion", "2"),
            value("gPCMachineExtensionNames", EXTENSIONS),
            value("gPCFileSysPath", &self.path()),
        ]
    }

    async fn security(&mut self) -> Result<SecurityDescriptor, GpoError> {
        let container = observe::container(&mut self.ldap, &self.dn).await?;
        container
            .map(|container| container.security)
            .ok_or_else(|| GpoError::Damaged(format!("`{}` is gone", self.dn)))
    }

    /// The folders are created here and not with the object's folder: they inherit its permissions, which are set between.
    async fn write_settings(&mut self, bytes: &[u8]) -> Result<(), GpoError> {
        let folder = self.folder();
        for half in ["Machine", "User"] {
            let path = format!(r"{folder}\{half}");
            self.sysvol.create_folder(&path).await?;
        }
        let path = format!(r"{folder}\Machine\Registry.pol");
        Ok(self.sysvol.write(&path, bytes).await?)
    }

    /// Changes `gPLink`, unless it was changed since it was read.
    async fn relink(&mut self, link: &Link, new: String) -> Result<(), GpoError> {
        let values = |text: &str| vec![text.as_bytes().to_vec()];
        let mut changes = Vec::new();
        if !link.value.is_empty() {
            changes.push(Change::Delete("gPLink".to_owned(), values(&link.value)));
        }
        if !new.is_empty() {
            changes.push(Change::Add("gPLink".to_owned(), values(&new)));
        }
        Ok(self.ldap.modify(&link.dn, changes, &[]).await?)
    }

    /// AD deletes only an object without children.
    async fn remove_container(&mut self) -> Result<(), GpoError> {
        use crate::error::OnpremError::Ldap as Refused;
        let own = self.dn.clone();
        for dn in [format!("CN=Machine,{own}"), format!("CN=User,{own}"), own] {
            match self.ldap.delete(&dn, &[]).await {
                Err(Refused(error)) if error.is_no_such_object() => {}
                other => other?,
            }
        }
        Ok(())
    }
}

fn encoded(security: &SecurityDescriptor) -> Result<Vec<u8>, GpoError> {
    security.to_bytes().map_err(|_| {
        GpoError::Damaged("the permissions of the group policy have too many entries".to_owned())
    })
}

fn value(name: &str, text: &str) -> (String, Vec<Vec<u8>>) {
    (name.to_owned(), vec![text.as_bytes().to_vec()])
}
