//! Why the directory refused or failed: errors of the caller and errors of the operator.

use crate::random::RandomError;
use crate::sealing::error::SealError;
use crate::sealing::master_key::MasterKeyError;
use crate::store_fault::StoreFault;
use crossrealm_types::Sid;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// The result of everything this crate does.
pub type Result<T> = std::result::Result<T, DirectoryError>;

/// What kind of record an error speaks of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordKind {
    /// A tenant.
    Tenant,
    /// An AD domain registered with a tenant.
    Domain,
    /// A trust with an AD forest.
    Trust,
    /// The record of an AD domain's Kerberos server object.
    KerberosServer,
    /// A user or a group.
    Identity,
    /// A user.
    User,
    /// A group.
    Group,
    /// A storage account.
    StorageAccount,
    /// A service principal.
    ServicePrincipal,
    /// A share.
    Share,
    /// An alias of a storage account.
    Alias,
    /// A grant of a role on a share.
    Grant,
    /// An access token.
    Token,
    /// An access token of an SMB host.
    HostToken,
    /// The connector of an AD domain.
    Connector,
    /// An administrator.
    Administrator,
}

impl fmt::Display for RecordKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tenant => "tenant",
            Self::Domain => "domain",
            Self::Trust => "trust",
            Self::KerberosServer => "Kerberos server object of",
            Self::Identity => "user or group",
            Self::User => "user",
            Self::Group => "group",
            Self::StorageAccount => "storage account",
            Self::ServicePrincipal => "service principal",
            Self::Share => "share",
            Self::Alias => "alias",
            Self::Grant => "grant",
            Self::Token => "token",
            Self::HostToken => "host token",
            Self::Connector => "connector for",
            Self::Administrator => "administrator",
        })
    }
}

/// Every error of the directory.
///
/// The first group is for the caller to correct, the second for the operator. No variant carries a secret.
#[derive(Debug, thiserror::Error)]
pub enum DirectoryError {
    /// There is no such record.
    #[error("no {kind} `{name}`")]
    NotFound {
        /// What was looked for.
        kind: RecordKind,
        /// The name that was looked for.
        name: String,
    },
    /// The name, or something else that must be unique, is in use.
    #[error("{kind} `{name}` already exists{}", in_use(.by))]
    Exists {
        /// What was to create.
        kind: RecordKind,
        /// The value that is taken.
        name: String,
        /// The holder, if that is not a record of the same kind and name.
        by: Option<String>,
    },
    /// A value is not of the form it must have.
    #[error("{what} `{value}` is not valid: {reason}")]
    Invalid {
        /// Which value: `tenant name`, `realm`.
        what: &'static str,
        /// The value, shortened where it is long.
        value: String,
        /// What it must look like.
        reason: &'static str,
    },
    /// More than one record has the name.
    #[error("`{name}` names more than one user or group: {candidates}")]
    Ambiguous {
        /// The name.
        name: String,
        /// The records, by names that tell them apart.
        candidates: String,
    },
    /// The request contradicts what the directory holds, or a rule of it.
    #[error(transparent)]
    Refused(#[from] Refusal),

    /// The master key cannot be used.
    #[error(transparent)]
    MasterKey(#[from] MasterKeyError),
    /// A key of the database cannot be sealed or unsealed.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// A record of the database is not what this program writes.
    #[error("the database holds a damaged {what}: {reason}")]
    Damaged {
        /// Which record.
        what: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The database cannot be opened.
    #[error("cannot open the database `{url}`: {reason}")]
    Open {
        /// The URL, without a password.
        url: String,
        /// What is wrong.
        reason: String,
        /// What to do about it, where that is known.
        hint: Option<String>,
    },
    /// The database holds no installation, and this program was not asked to make one.
    #[error("the database `{url}` holds no installation")]
    StoreEmpty {
        /// The URL, without a password.
        url: String,
    },
    /// The database of a new installation holds one already.
    #[error("the database `{url}` already holds an installation")]
    StoreInUse {
        /// The URL, without a password.
        url: String,
    },
    /// The file of the database was deleted or replaced while it was open, or its write-ahead log was.
    #[error(
        "the database file `{}`, or its write-ahead log, was deleted or replaced while it was open",
        .path.display()
    )]
    StoreReplaced {
        /// The file.
        path: PathBuf,
    },
    /// The database went back in time, and the domain was not synchronized since.
    #[error("the database went back in time, and domain `{domain}` waits for a full sync")]
    AwaitsSync {
        /// The domain.
        domain: String,
    },
    /// The database went back in time, which no heartbeat has recorded yet.
    #[error("the database went back in time: it lacks what this node wrote to it")]
    WentBack,
    /// Nothing could be written for so long that tickets would not follow what changed.
    #[error("the database could not be written for {} s: {fault}", .duration.as_secs())]
    Unwritable {
        /// For how long.
        duration: Duration,
        /// Why the last write failed.
        fault: StoreFault,
    },
    /// The database failed.
    #[error("the database failed: {0}")]
    Database(#[from] sqlx::Error),
    /// The operating system's random generator failed.
    #[error(transparent)]
    Random(#[from] RandomError),
}

/// Why the directory refuses a well-formed request: it contradicts what is recorded, or a rule.
///
/// A refusal carries the values that its message and a client's hint need; it names no command of any client.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The storage account still has shares.
    #[error("storage account `{account}` has {}", counted_shares(*.shares))]
    AccountHasShares {
        /// The account.
        account: String,
        /// How many.
        shares: i64,
    },
    /// A host that serves the account lacks the key that would encrypt new tickets after the rotation.
    #[error("host `{host}` of storage account `{account}` has {}, not kvno {kvno}, which would encrypt new tickets from then on", kvnos(.held))]
    HostLacksKey {
        /// The account.
        account: String,
        /// The host.
        host: String,
        /// The key version that the host lacks.
        kvno: u32,
        /// Those that it reported.
        held: Vec<u32>,
    },
    /// The storage account has the maximum number of host tokens.
    #[error("storage account `{account}` has {most} host tokens")]
    TooManyHostTokens {
        /// The account.
        account: String,
        /// The maximum.
        most: usize,
    },
    /// The storage account has the maximum number of SMB hosts.
    #[error("storage account `{account}` has {most} other hosts")]
    TooManyHosts {
        /// The account.
        account: String,
        /// The maximum.
        most: i64,
    },
    /// The storage account has the maximum number of aliases.
    #[error("storage account `{account}` can have {most} aliases")]
    TooManyAliases {
        /// The account.
        account: String,
        /// The maximum.
        most: usize,
    },
    /// The token reports for another host.
    #[error("the token reports for host `{host}` of storage account `{account}` and for no other")]
    HostTokenBound {
        /// The account.
        account: String,
        /// The host.
        host: String,
    },
    /// Another token reports for the host.
    #[error("the token `{token}` reports for host `{host}` of storage account `{account}`")]
    HostNameTaken {
        /// The account.
        account: String,
        /// The host.
        host: String,
        /// The name of the other token.
        token: String,
    },
    /// The user is synchronized from AD and is changed there.
    #[error("`{user}` is synced from AD")]
    UserIsHybrid {
        /// The name that was given.
        user: String,
    },
    /// The AD domain has a connector.
    #[error("domain `{domain}` already has a connector")]
    ConnectorExists {
        /// The domain.
        domain: String,
    },
    /// Another sync agent holds the lease of the domain.
    #[error("another sync agent works on domain `{domain}`: `{holder}`")]
    LeaseLost {
        /// The domain.
        domain: String,
        /// The agent.
        holder: String,
    },
    /// Another run has synchronized the domain since this one began.
    #[error("another run has synced domain `{domain}` since this one began")]
    CursorMoved {
        /// The domain.
        domain: String,
    },
    /// One request has too many changes.
    #[error(
        "a request has at most {changes} changes and {failures} failures, and a change at most {members} members"
    )]
    TooManyChanges {
        /// The most changes of one request.
        changes: usize,
        /// The most failures of one request.
        failures: usize,
        /// The most members of one change.
        members: usize,
    },
    /// The run would delete or disable more identities than need no permit.
    #[error(
        "this would make {lost} of the {held} identities of domain `{domain}` deleted or disabled within 24 hours, more than the {allowed} that need no permit; the request changed nothing"
    )]
    TooManyDeletions {
        /// The domain.
        domain: String,
        /// How many within the last 24 hours, this run included.
        lost: i64,
        /// How many identities the domain had before.
        held: i64,
        /// How many need no permit.
        allowed: i64,
        /// How many this run deletes or disables.
        by_run: i64,
    },
    /// The AD domain is registered with another domain SID.
    #[error("domain `{domain}` is registered with SID `{known}`, not `{given}`")]
    DomainSidMismatch {
        /// The domain.
        domain: String,
        /// The SID that is registered.
        known: Sid,
        /// The SID of the request.
        given: Sid,
    },
    /// The trusted domain is registered with another domain SID.
    #[error("domain `{domain}` is registered with SID `{known}`, not `{given}`")]
    TrustSidMismatch {
        /// The domain.
        domain: String,
        /// The SID that is registered.
        known: Sid,
        /// The SID of the request.
        given: Sid,
    },
    /// A sync agent reports another flat name than the one that an administrator registered.
    #[error("domain `{domain}` is registered with flat name `{known}`, not `{given}`")]
    FlatNameMismatch {
        /// The domain.
        domain: String,
        /// The flat name that is registered.
        known: String,
        /// The flat name of the request.
        given: String,
    },
    /// The flat name belongs to another domain, or to the tenant itself.
    #[error("flat name `{flat_name}` of domain `{domain}` belongs to {holder}")]
    FlatNameTaken {
        /// The domain.
        domain: String,
        /// The flat name.
        flat_name: String,
        /// Its holder.
        holder: String,
    },
    /// The domain SID belongs to another domain, or to the tenant itself.
    #[error("SID `{sid}` of domain `{domain}` belongs to {holder}")]
    DomainSidTaken {
        /// The domain.
        domain: String,
        /// The SID.
        sid: Sid,
        /// Its name.
        holder: String,
    },
    /// The trust has no pending or current key of this version.
    #[error("the trust with `{domain}` has no pending or current key version {version}")]
    TrustVersionUnknown {
        /// The trusted domain.
        domain: String,
        /// The key version.
        version: u32,
    },
    /// The realm has as many keys as it may have.
    #[error(
        "the realm of tenant `{tenant}` has {most} keys in use already; the oldest ends in {wait_s} s"
    )]
    TooManyRealmKeys {
        /// The tenant.
        tenant: String,
        /// The maximum.
        most: usize,
        /// When the oldest one ends, in seconds from now.
        wait_s: i64,
    },
    /// AD is not known to hold the trust, or it is being removed.
    #[error("the trust with `{domain}` is not completely set up")]
    TrustNotActive {
        /// The trusted domain.
        domain: String,
    },
    /// The installation itself answers at the name, or it is no name for one service.
    #[error("`{name}` cannot be claimed: {reason}")]
    NameReserved {
        /// The name.
        name: String,
        /// Why.
        reason: &'static str,
    },
    /// AD answers for the name.
    #[error("`{name}` is at, above or below {}, which answers for it", ad_domain(.domain))]
    NameInAdDomain {
        /// The name.
        name: String,
        /// The AD domain, if the caller may know it.
        domain: Option<String>,
    },
    /// Another tenant holds the name, one above it or one below it.
    #[error("`{name}` is at, above or below a name of {}", other_tenant(.tenant))]
    NameOfOtherTenant {
        /// The name.
        name: String,
        /// The other tenant, if the caller may know it.
        tenant: Option<String>,
    },
    /// The name does not belong to the tenant, and the caller may claim no others.
    #[error("`{name}` is below no domain or top-level name of the tenant; only a `global-administrator`{} may claim it", of_installation(.installation))]
    NameOutsideTenant {
        /// The name.
        name: String,
        /// Whether it is below the base domain of the installation, whose administrators decide on it.
        installation: bool,
    },
    /// A name that a tenant holds is at, above or below the AD domain.
    #[error("AD domain `{domain}` is at, above or below {}", held_name(.name))]
    AdDomainCoversName {
        /// The AD domain.
        domain: String,
        /// The name, if it is one of the tenant itself.
        name: Option<String>,
    },
    /// The service class belongs to storage accounts.
    #[error("`{spn}` is for SMB: a storage account answers at its host name and its aliases")]
    SpnOfStorageAccounts {
        /// The service principal name.
        spn: String,
    },
    /// A token of this kind belongs to one tenant.
    #[error("a {role} token belongs to one tenant")]
    TenantRequired {
        /// The kind of token.
        role: &'static str,
    },
    /// There is the maximum number of administrators.
    #[error("there are already {most} administrators")]
    TooManyAdministrators {
        /// The maximum.
        most: i64,
    },
    /// Administrators of several tenants have the name.
    #[error("administrators of several tenants are named `{upn}`")]
    AdministratorAmbiguous {
        /// The name.
        upn: String,
    },
    /// The operation would leave the installation without an administrator.
    #[error("this would leave the installation without an administrator")]
    LastAdministrator,
    /// The administrator is not a global administrator of the installation.
    #[error("`{upn}` is not a global administrator of the installation")]
    NotGlobalAdministrator {
        /// The administrator.
        upn: String,
    },
    /// Name, password or one-time code of a sign-in is wrong, or the code was used before.
    #[error("name, password or code is wrong, or the code was used before")]
    SignInRefused,
    /// Too many sign-ins of the name or from the address failed.
    #[error("too many sign-ins of this name or from this address failed: wait {wait_s} s")]
    SignInLocked {
        /// For how long, in seconds.
        wait_s: i64,
    },
    /// More sign-ins arrive than can be checked.
    #[error("too many sign-ins at once")]
    SignInBusy,
    /// A new password breaks the rules.
    #[error("the password {reason}")]
    BadPassword {
        /// Which rule: `is shorter than …`.
        reason: String,
    },
}

impl Refusal {
    /// The stable word for programs and the audit.
    pub fn code(&self) -> &'static str {
        match self {
            Self::AccountHasShares { .. } => "account_has_shares",
            Self::HostLacksKey { .. } => "host_lacks_key",
            Self::TooManyHostTokens { .. } => "too_many_host_tokens",
            Self::TooManyHosts { .. } => "too_many_hosts",
            Self::TooManyAliases { .. } => "too_many_aliases",
            Self::HostTokenBound { .. } => "host_token_bound",
            Self::HostNameTaken { .. } => "host_name_taken",
            Self::UserIsHybrid { .. } => "hybrid",
            Self::ConnectorExists { .. } => "connector_exists",
            Self::LeaseLost { .. } => "lease_lost",
            Self::CursorMoved { .. } => "cursor_moved",
            Self::TooManyChanges { .. } => "too_many_changes",
            Self::TooManyDeletions { .. } => "too_many_deletions",
            Self::DomainSidMismatch { .. } => "domain_sid_mismatch",
            Self::TrustSidMismatch { .. } => "trust_sid_mismatch",
            Self::FlatNameMismatch { .. } => "flat_name_mismatch",
            Self::FlatNameTaken { .. } => "flat_name_taken",
            Self::DomainSidTaken { .. } => "domain_sid_taken",
            Self::TrustVersionUnknown { .. } => "trust_version_unknown",
            Self::TooManyRealmKeys { .. } => "too_many_realm_keys",
            Self::TrustNotActive { .. } => "trust_not_active",
            Self::NameReserved { .. } => "name_reserved",
            Self::NameInAdDomain { .. } => "name_in_ad_domain",
            Self::NameOfOtherTenant { .. } => "name_of_other_tenant",
            Self::NameOutsideTenant { .. } => "name_outside_tenant",
            Self::AdDomainCoversName { .. } => "ad_domain_covers_name",
            Self::SpnOfStorageAccounts { .. } => "spn_of_storage_accounts",
            Self::TenantRequired { .. } => "tenant_required",
            Self::TooManyAdministrators { .. } => "too_many_administrators",
            Self::AdministratorAmbiguous { .. } => "administrator_ambiguous",
            Self::LastAdministrator => "last_administrator",
            Self::NotGlobalAdministrator { .. } => "not_global_administrator",
            Self::SignInRefused => "sign_in_refused",
            Self::SignInBusy => "overloaded",
            Self::SignInLocked { .. } => "sign_in_locked",
            Self::BadPassword { .. } => "bad_password",
        }
    }
}

fn counted_shares(count: i64) -> String {
    match count {
        1 => "a share".to_owned(),
        many => format!("{many} shares"),
    }
}

fn ad_domain(domain: &Option<String>) -> String {
    match domain {
        Some(domain) => format!("AD domain `{domain}`"),
        None => "a registered AD domain".to_owned(),
    }
}

fn other_tenant(tenant: &Option<String>) -> String {
    match tenant {
        Some(tenant) => format!("tenant `{tenant}`"),
        None => "another tenant".to_owned(),
    }
}

fn of_installation(installation: &bool) -> &'static str {
    match installation {
        true => " of the installation",
        false => "",
    }
}

fn held_name(name: &Option<String>) -> String {
    match name {
        Some(name) => format!("`{name}`, a name of the tenant"),
        None => "a name of another tenant".to_owned(),
    }
}

/// `kvno 1 and 2`, `no key`.
pub(crate) fn kvnos(versions: &[u32]) -> String {
    match versions {
        [] => "no key".to_owned(),
        some => {
            let texts: Vec<String> = some.iter().map(u32::to_string).collect();
            format!("kvno {}", texts.join(" and "))
        }
    }
}

fn in_use(by: &Option<String>) -> String {
    by.as_ref()
        .map(|by| format!(" (it belongs to {by})"))
        .unwrap_or_default()
}

impl DirectoryError {
    pub(crate) fn not_found(kind: RecordKind, name: impl fmt::Display) -> Self {
        Self::NotFound {
            kind,
            name: name.to_string(),
        }
    }

    pub(crate) fn exists(kind: RecordKind, name: impl fmt::Display) -> Self {
        Self::Exists {
            kind,
            name: name.to_string(),
            by: None,
        }
    }

    pub(crate) fn damaged(what: impl fmt::Display, reason: impl fmt::Display) -> Self {
        Self::Damaged {
            what: what.to_string(),
            reason: reason.to_string(),
        }
    }

    /// What is wrong with the database; `None` for every error of another origin.
    pub fn fault(&self) -> Option<StoreFault> {
        match self {
            Self::Database(error) => StoreFault::of(error),
            Self::Unwritable { fault, .. } => Some(*fault),
            Self::StoreReplaced { .. } => Some(StoreFault::Replaced),
            _ => None,
        }
    }

    /// The next step for a person, where one is known.
    pub fn hint(&self) -> Option<&str> {
        match self {
            Self::Open { hint, .. } => hint.as_deref(),
            Self::StoreReplaced { .. } => Some(
                "put the file back, or restore a backup, as the page *Back up and restore* of the guide shows, and restart the service",
            ),
            Self::StoreEmpty { .. } => Some(
                "restore it from your backup, as the page *Back up and restore* of the guide shows, or correct `store` in the configuration; only a new installation fills an empty database",
            ),
            Self::StoreInUse { .. } => Some(
                "for a second node copy the data folder of the first one instead of making another installation, as the page *Operations* of the guide shows; otherwise create another database",
            ),
            Self::MasterKey(error) => error.hint(),
            _ => None,
        }
    }
}
