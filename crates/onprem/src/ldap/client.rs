//! LDAP operations.

use super::connection::Connection;
use super::entry::{Entry, RootDse};
use super::{Filter, Scope};
use crate::error::{LdapError, OnpremError};
use ldap3_proto::control::LdapControl;
use ldap3_proto::proto::{
    LdapAddRequest, LdapAttribute, LdapDerefAliases, LdapModify, LdapModifyRequest, LdapModifyType,
    LdapOp, LdapPartialAttribute, LdapSearchRequest,
};
use std::collections::BTreeSet;

/// Objects in a page; AD's limit is 1,000 (MaxPageSize).
const PAGE_SIZE: i64 = 1000;

/// The most objects that [`Ldap::search`] collects; larger sets are read page by page.
const MAX_COLLECTED: usize = 100_000;

/// The most objects in one response. A server may return a whole domain as one page of a DirSync search.
const MAX_OBJECTS: usize = 10_000_000;

/// The most values of one attribute that are read.
const MAX_RANGED_VALUES: usize = 5_000_000;

/// How many values a range asks for, which bounds the message. Windows returns 1,500 at most, Samba as many as it is asked
/// for.
const RANGE: u64 = 5_000;

/// How often the reading of an attribute restarts because the object changed.
const MAX_READINGS: usize = 5;

/// The flags of the SD flags control, [MS-ADTS] 3.1.1.3.4.1.11.
pub mod sd_flags {
    pub use ldap3_proto::control::{SD_FLAG_DACL, SD_FLAG_GROUP, SD_FLAG_OWNER, SD_FLAG_SACL};
}

/// A request control.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Control {
    /// The parts of a security descriptor that are returned or written: bits of [`sd_flags`].
    SdFlags(i32),
    /// Deleted objects are returned too, [MS-ADTS] 3.1.1.3.4.1.14.
    ShowDeleted,
    /// DNs are returned as `<GUID=…>;<SID=…>;DN`, [MS-ADTS] 3.1.1.3.4.1.5.
    ExtendedDn,
    /// A critical control without a value, by its object identifier.
    Plain(&'static str),
    /// One page of the changes since the cookie, [MS-ADTS] 3.1.1.3.4.1.3.
    DirSync {
        /// Flags of the control.
        flags: i64,
        /// The cookie of the previous response; empty at first.
        cookie: Vec<u8>,
    },
}

/// A search request.
#[derive(Clone, Debug)]
pub struct Search {
    /// The base DN.
    pub base: String,
    /// The scope.
    pub scope: Scope,
    /// The filter.
    pub filter: Filter,
    /// The attributes to return.
    pub attributes: Vec<String>,
    /// Further controls.
    pub controls: Vec<Control>,
}

/// One modification of an object.
#[derive(Clone, PartialEq, Eq)]
pub enum Change {
    /// Adds values.
    Add(String, Vec<Vec<u8>>),
    /// Replaces all values; without a value the attribute is removed.
    Replace(String, Vec<Vec<u8>>),
    /// Deletes these values; without a value, all.
    Delete(String, Vec<Vec<u8>>),
}

impl Search {
    /// A subtree search below `base`.
    pub fn subtree(base: &str, filter: Filter, attributes: &[&str]) -> Self {
        Self {
            base: base.to_owned(),
            scope: Scope::Subtree,
            filter,
            attributes: attributes.iter().map(|name| (*name).to_owned()).collect(),
            controls: Vec::new(),
        }
    }

    /// A search for the object `dn` alone.
    pub fn object(dn: &str, attributes: &[&str]) -> Self {
        Self {
            scope: Scope::Base,
            ..Self::subtree(dn, Filter::Present("objectClass".to_owned()), attributes)
        }
    }

    /// The same search with a control.
    #[must_use]
    pub fn with(mut self, control: Control) -> Self {
        self.controls.push(control);
        self
    }

    fn request(&self) -> LdapSearchRequest {
        LdapSearchRequest {
            base: self.base.clone(),
            scope: self.scope.clone(),
            aliases: LdapDerefAliases::Never,
            sizelimit: 0,
            timelimit: 0,
            typesonly: false,
            filter: self.filter.clone(),
            attrs: self.attributes.clone(),
        }
    }
}

impl Control {
    fn wire(&self) -> LdapControl {
        match self {
            Self::SdFlags(flags) => LdapControl::SdFlags {
                criticality: true,
                flags: *flags,
            },
            Self::ShowDeleted => LdapControl::ShowDeleted { criticality: true },
            Self::ExtendedDn => LdapControl::ExtendedDn {
                criticality: true,
                format: 1,
            },
            Self::Plain(oid) => LdapControl::Unknown {
                oid: (*oid).to_owned(),
                criticality: true,
                value: None,
            },
            Self::DirSync { flags, cookie } => LdapControl::AdDirsync {
                flags: *flags,
                max_bytes: DIRSYNC_BYTES,
                cookie: Some(cookie.clone()),
            },
        }
    }
}

/// How large a page of a DirSync search may become, in bytes.
const DIRSYNC_BYTES: i64 = 4 << 20;

impl Change {
    fn wire(self) -> LdapModify {
        let (operation, atype, vals) = match self {
            Self::Add(name, values) => (LdapModifyType::Add, name, values),
            Self::Replace(name, values) => (LdapModifyType::Replace, name, values),
            Self::Delete(name, values) => (LdapModifyType::Delete, name, values),
        };
        LdapModify {
            operation,
            modification: LdapPartialAttribute { atype, vals },
        }
    }
}

/// All values of an attribute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AllValues {
    /// The values; if the object was not [`AllValues::steady`], every value that any reading returned.
    pub values: Vec<Vec<u8>>,
    /// Whether the object stayed unchanged while they were read.
    pub steady: bool,
}

/// The attribute description of `count` values from index `start` on, [MS-ADTS] 3.1.1.3.1.3.3.
pub fn range(attribute: &str, start: u64, count: u64) -> String {
    let last = start.saturating_add(count).saturating_sub(1);
    format!("{attribute};range={start}-{last}")
}

/// A bound, encrypted connection to a domain controller.
pub struct Ldap {
    connection: Connection,
    base: String,
}

impl Ldap {
    /// Over a connection to a domain controller of the domain with the DN `base`.
    pub(crate) fn over(connection: Connection, base: String) -> Self {
        Self { connection, base }
    }

    /// The DN of the domain.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// The object `dn`; `None` if there is none.
    pub async fn object(
        &mut self,
        dn: &str,
        attributes: &[&str],
    ) -> Result<Option<Entry>, OnpremError> {
        match self.few(&Search::object(dn, attributes)).await {
            Ok(entries) => Ok(entries.into_iter().next()),
            Err(OnpremError::Ldap(error)) if error.is_no_such_object() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// All results of a search, up to 100,000 objects.
    pub async fn search(&mut self, search: &Search) -> Result<Vec<Entry>, OnpremError> {
        let mut all = Vec::new();
        let mut pages = self.pages(search.clone());
        while let Some(page) = pages.next().await? {
            all.extend(page);
            if all.len() > MAX_COLLECTED {
                return Err(
                    LdapError::Protocol(format!("more than {MAX_COLLECTED} objects")).into(),
                );
            }
        }
        Ok(all)
    }

    /// All results of a search that finds about a hundred objects at most, without paging: Samba reads each object of a paged
    /// search a second time.
    pub async fn few(&mut self, search: &Search) -> Result<Vec<Entry>, OnpremError> {
        let controls = search.controls.iter().map(Control::wire).collect();
        Ok(self.search_once(search, controls).await?.0)
    }

    /// The pages of a search (RFC 2696).
    pub fn pages(&mut self, search: Search) -> Pages<'_> {
        self.pages_of(PAGE_SIZE, search)
    }

    /// The pages of a search, with another page size.
    pub fn pages_of(&mut self, size: i64, search: Search) -> Pages<'_> {
        Pages {
            ldap: self,
            size,
            search,
            cookie: Some(Vec::new()),
        }
    }

    /// One page of a DirSync search; `each` receives the objects as they arrive. Returns whether more is available now, and
    /// the cookie for the next request.
    pub async fn dirsync(
        &mut self,
        search: &Search,
        flags: i64,
        cookie: Vec<u8>,
        each: &mut (dyn FnMut(Entry) + Send),
    ) -> Result<(bool, Vec<u8>), OnpremError> {
        let mut controls: Vec<_> = search.controls.iter().map(Control::wire).collect();
        controls.push(Control::DirSync { flags, cookie }.wire());
        let answer = self
            .search_each(search, controls, MAX_OBJECTS, each)
            .await?;
        answer
            .into_iter()
            .find_map(|control| match control {
                LdapControl::AdDirsync { flags, cookie, .. } => {
                    Some((flags != 0, cookie.unwrap_or_default()))
                }
                _ => None,
            })
            .ok_or_else(|| LdapError::Protocol("it lacks the DirSync cookie".to_owned()).into())
    }

    /// Reads the rootDSE.
    pub async fn root_dse(&mut self) -> Result<RootDse, OnpremError> {
        self.connection.root_dse().await
    }

    /// All values of an attribute that may have many, read by ranges ([MS-ADTS] 3.1.1.3.1.3.3). A change of the object shifts
    /// the ranges that follow, so the reading restarts.
    pub async fn all_values(
        &mut self,
        dn: &str,
        attribute: &str,
        controls: &[Control],
    ) -> Result<AllValues, OnpremError> {
        let mut all = BTreeSet::new();
        for _ in 0..MAX_READINGS {
            let (values, steady) = self.read_through(dn, attribute, controls).await?;
            if steady {
                return Ok(AllValues { values, steady });
            }
            all.extend(values);
        }
        Ok(AllValues {
            values: all.into_iter().collect(),
            steady: false,
        })
    }

    /// Reads all ranges once; returns whether the object stayed unchanged meanwhile.
    async fn read_through(
        &mut self,
        dn: &str,
        attribute: &str,
        controls: &[Control],
    ) -> Result<(Vec<Vec<u8>>, bool), OnpremError> {
        const VERSION: &str = "uSNChanged";
        let mut all = Vec::new();
        let mut start = 0u64;
        let mut version = None;
        loop {
            let ranged = range(attribute, start, RANGE);
            let mut search = Search::object(dn, &[&ranged, VERSION]);
            search.controls = controls.to_vec();
            let Some(entry) = self.few(&search).await?.into_iter().next() else {
                return Err(LdapError::Missing(dn.to_owned()).into());
            };
            let now = entry.text(VERSION).map(str::to_owned);
            if *version.get_or_insert_with(|| now.clone()) != now {
                return Ok((all, false));
            }
            let (values, end) = match entry.ranged(attribute) {
                Some(part) => part,
                // A server that returns all values omits the option. A range without values is the end too.
                None => (entry.values(attribute), None),
            };
            all.extend(values.iter().cloned());
            if all.len() > MAX_RANGED_VALUES {
                return Err(LdapError::Protocol(format!(
                    "`{dn}` has too many values of `{attribute}`"
                ))
                .into());
            }
            match end {
                Some(end) if end >= start && !values.is_empty() => start = end + 1,
                _ => return Ok((all, true)),
            }
        }
    }

    /// Creates an object.
    pub async fn add(
        &mut self,
        dn: &str,
        attributes: Vec<(String, Vec<Vec<u8>>)>,
        controls: &[Control],
    ) -> Result<(), OnpremError> {
        let attributes = attributes
            .into_iter()
            .map(|(atype, vals)| LdapAttribute { atype, vals })
            .collect();
        let request = LdapAddRequest {
            dn: dn.to_owned(),
            attributes,
        };
        self.write("add", dn, LdapOp::AddRequest(request), controls)
            .await
    }

    /// Modifies an object: every change, or none.
    pub async fn modify(
        &mut self,
        dn: &str,
        changes: Vec<Change>,
        controls: &[Control],
    ) -> Result<(), OnpremError> {
        let request = LdapModifyRequest {
            dn: dn.to_owned(),
            changes: changes.into_iter().map(Change::wire).collect(),
        };
        self.write("modify", dn, LdapOp::ModifyRequest(request), controls)
            .await
    }

    /// Deletes an object.
    pub async fn delete(&mut self, dn: &str, controls: &[Control]) -> Result<(), OnpremError> {
        self.write("delete", dn, LdapOp::DelRequest(dn.to_owned()), controls)
            .await
    }

    async fn write(
        &mut self,
        operation: &'static str,
        dn: &str,
        request: LdapOp,
        controls: &[Control],
    ) -> Result<(), OnpremError> {
        let controls = controls.iter().map(Control::wire).collect();
        self.connection.send(request, controls).await?;
        match self.connection.receive().await?.op {
            LdapOp::AddResponse(result)
            | LdapOp::ModifyResponse(result)
            | LdapOp::DelResponse(result) => Ok(LdapError::check(operation, dn, result)?),
            _ => Err(LdapError::Protocol("it does not fit the request".to_owned()).into()),
        }
    }

    async fn search_once(
        &mut self,
        search: &Search,
        controls: Vec<LdapControl>,
    ) -> Result<(Vec<Entry>, Vec<LdapControl>), OnpremError> {
        let mut entries = Vec::new();
        let answer = self
            .search_each(search, controls, MAX_COLLECTED, &mut |entry| {
                entries.push(entry)
            })
            .await?;
        Ok((entries, answer))
    }

    async fn search_each(
        &mut self,
        search: &Search,
        controls: Vec<LdapControl>,
        limit: usize,
        each: &mut (dyn FnMut(Entry) + Send),
    ) -> Result<Vec<LdapControl>, OnpremError> {
        self.connection
            .send(LdapOp::SearchRequest(search.request()), controls)
            .await?;
        let mut count = 0usize;
        loop {
            let message = self.connection.receive().await?;
            match message.op {
                LdapOp::SearchResultEntry(entry) => {
                    count += 1;
                    each(Entry::new(entry));
                }
                // A continuation reference names another naming context, which is not read.
                LdapOp::SearchResultReference(_) => {}
                LdapOp::SearchResultDone(result) => {
                    LdapError::check("read", &search.base, result)?;
                    return Ok(message.ctrl);
                }
                _ => {
                    return Err(
                        LdapError::Protocol("it does not fit the request".to_owned()).into(),
                    );
                }
            }
            if count > limit {
                return Err(LdapError::Protocol("a page is too large".to_owned()).into());
            }
        }
    }
}

/// The pages of a search.
pub struct Pages<'a> {
    ldap: &'a mut Ldap,
    size: i64,
    search: Search,
    /// `None` after the last page.
    cookie: Option<Vec<u8>>,
}

impl Pages<'_> {
    /// The next page, or `None` after the last.
    pub async fn next(&mut self) -> Result<Option<Vec<Entry>>, OnpremError> {
        let Some(cookie) = self.cookie.take() else {
            return Ok(None);
        };
        let mut controls: Vec<_> = self.search.controls.iter().map(Control::wire).collect();
        controls.push(LdapControl::SimplePagedResults {
            size: self.size,
            cookie,
        });
        let (entries, answer) = self.ldap.search_once(&self.search, controls).await?;
        self.cookie = answer.into_iter().find_map(|control| match control {
            LdapControl::SimplePagedResults { cookie, .. } if !cookie.is_empty() => Some(cookie),
            _ => None,
        });
        Ok(Some(entries))
    }
}
