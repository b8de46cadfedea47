//! Users and groups, as the API shows them, and those that exist only in the tenant.

use crate::access::PrincipalRef;
use crate::{Actor, Directory, Page, Paged, Result};
use crossrealm_kdc::{IdentityKind, IdentitySource, IdentityState, TenantId};
use crossrealm_krb::sid::Sid;
use uuid::Uuid;

/// A user or group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdentityInfo {
    /// Its anchor: `objectGUID` of a hybrid identity, a random UUID of a cloud-only one.
    pub guid: Uuid,
    /// Its SID.
    pub sid: Sid,
    /// User or group.
    pub kind: IdentityKind,
    /// Synced from AD, or made here.
    pub source: IdentitySource,
    /// Whether it may sign in.
    pub state: IdentityState,
    /// Why it may not: `disabled`, `expired`, `locked`.
    pub disabled_reason: Option<String>,
    /// `sAMAccountName`.
    pub account_name: String,
    /// The user principal name; empty for groups.
    pub upn: String,
    /// The display name; may be empty.
    pub display_name: String,
    /// The DNS name of its AD domain; the tenant's own for a cloud-only identity.
    pub domain_dns_name: String,
    /// The flat name of its AD domain; the tenant's own for a cloud-only identity.
    pub domain_flat_name: String,
    /// The RID of a user's primary group; 0 for groups and cloud-only identities.
    pub primary_group_rid: u32,
    /// When it was first written here, Unix seconds.
    pub created_at: i64,
    /// When it was last changed here, Unix seconds.
    pub changed_at: i64,
}

/// Which identities a list shows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IdentityFilter {
    /// Users or groups; `None` is both.
    pub kind: Option<IdentityKind>,
    /// Whether deleted ones are shown too.
    pub deleted: bool,
}

/// A user or group that exists only in the tenant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewCloudIdentity {
    /// User or group.
    pub kind: IdentityKind,
    /// The user principal name; empty for a group.
    pub upn: String,
    /// The account name; for a user the part of the UPN before the `@` where empty.
    pub account_name: String,
    /// The display name; may be empty.
    pub display_name: String,
}

/// A group that a user is in, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EffectiveGroup {
    /// The group.
    pub group: PrincipalRef,
    /// The shortest way to it: the user's direct group first, `group` last.
    pub path: Vec<PrincipalRef>,
    /// Whether the first step is the user's primary group.
    pub by_primary_group: bool,
}

impl Directory {
    /// Makes a user or group that exists only in the tenant, with a SID under the authority for such identities
    /// (`S-1-12-1-…`) that no AD domain can hold.
    pub async fn create_cloud_identity(
        &self,
        by: &Actor,
        tenant: TenantId,
        new: NewCloudIdentity,
    ) -> Result<IdentityInfo> {
        todo!()
    }

    /// Removes an identity that exists only in the tenant. Refused with `hybrid` for one that is synced.
    pub async fn delete_cloud_identity(
        &self,
        by: &Actor,
        tenant: TenantId,
        principal: &str,
    ) -> Result<()> {
        todo!()
    }

    /// The identities, by account name.
    pub async fn identities(
        &self,
        tenant: TenantId,
        filter: &IdentityFilter,
        page: &Page,
    ) -> Result<Paged<IdentityInfo>> {
        todo!()
    }

    /// The identity named by UPN, SID, GUID, `FLAT\name` or account name, compared without case. Deleted ones are found
    /// by SID and GUID only. `kind` narrows the search. A name that fits several is [`DirectoryError::Ambiguous`].
    ///
    /// [`DirectoryError::Ambiguous`]: crate::DirectoryError::Ambiguous
    pub async fn principal(
        &self,
        tenant: TenantId,
        principal: &str,
        kind: Option<IdentityKind>,
    ) -> Result<IdentityInfo> {
        todo!()
    }

    /// A group's direct members, by account name.
    pub async fn members(
        &self,
        tenant: TenantId,
        group: Uuid,
        page: &Page,
    ) -> Result<Paged<PrincipalRef>> {
        todo!()
    }

    /// Every group an identity is in, directly or through others, each with the shortest way to it.
    pub async fn effective_groups(
        &self,
        tenant: TenantId,
        identity: Uuid,
    ) -> Result<Vec<EffectiveGroup>> {
        todo!()
    }
}
