//! Who may call an endpoint.

use AdministratorRole::{
    GlobalAdministrator, HybridIdentityAdministrator, Reader, StorageAdministrator,
};
use crossrealm_types::AdministratorRole;

/// Who may call an endpoint, beside being limited to the tenant of their token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Access {
    /// The administrators' roles that may call it.
    pub roles: &'static [AdministratorRole],
    /// Whether the connector of the `{domain}` in the path may.
    pub connector: bool,
    /// Whether the connector of the `{domain}` in the path may, where it was given the right to rotate the trust.
    pub trust_rotation: bool,
    /// Whether the SMB host of the `{account}` in the path may.
    pub host: bool,
    /// Whether a token that is confined to one tenant may.
    pub confined: bool,
}

/// Administrators with one of these roles, of one tenant or of all.
const fn roles(roles: &'static [AdministratorRole]) -> Access {
    Access {
        roles,
        connector: false,
        trust_rotation: false,
        host: false,
        confined: true,
    }
}

const ALL: &[AdministratorRole] = &[
    GlobalAdministrator,
    HybridIdentityAdministrator,
    StorageAdministrator,
    Reader,
];

/// Everybody, without a token.
pub(crate) const PUBLIC: Option<Access> = None;
/// Any valid token.
pub(crate) const KNOWN: Option<Access> = Some(Access {
    connector: true,
    host: true,
    ..roles(ALL)
});
/// Read what holds no secret.
pub(crate) const READ: Option<Access> = Some(roles(ALL));
/// Read what belongs to no tenant and holds no secret.
pub(crate) const READ_INSTALLATION: Option<Access> = Some(Access {
    confined: false,
    ..roles(&[GlobalAdministrator, Reader])
});
/// Create and delete tenants.
pub(crate) const MANAGE_TENANTS: Option<Access> = Some(Access {
    confined: false,
    ..roles(&[GlobalAdministrator])
});
/// Create, reset and delete administrators; those of one tenant where the token is confined to it.
pub(crate) const MANAGE_ADMINISTRATORS: Option<Access> = Some(roles(&[GlobalAdministrator]));
/// Create, change and delete trusts, and read their passwords.
pub(crate) const MANAGE_TRUSTS: Option<Access> = Some(roles(&[GlobalAdministrator]));
/// Rotate the key of a trust that is set up, read its passwords for that, and report what was changed in AD.
pub(crate) const ROTATE_TRUSTS: Option<Access> = Some(Access {
    trust_rotation: true,
    ..roles(&[GlobalAdministrator])
});
/// Create and delete connectors and cloud-only users.
pub(crate) const MANAGE_IDENTITIES: Option<Access> =
    Some(roles(&[GlobalAdministrator, HybridIdentityAdministrator]));
/// Read and write the identities of one AD domain.
pub(crate) const SYNC_IDENTITIES: Option<Access> = Some(Access {
    connector: true,
    ..roles(&[GlobalAdministrator, HybridIdentityAdministrator])
});
/// Manage storage accounts, shares and service principals, and export their keys.
pub(crate) const MANAGE_STORAGE: Option<Access> =
    Some(roles(&[GlobalAdministrator, StorageAdministrator]));
/// Serve one storage account: its SMB hosts alone, for the answer holds keys and a report speaks for one host.
pub(crate) const SERVE_FILES: Option<Access> = Some(Access {
    host: true,
    ..roles(&[])
});
/// Resolve names and SIDs for a storage account.
pub(crate) const RESOLVE_NAMES: Option<Access> = Some(Access {
    host: true,
    ..roles(ALL)
});
