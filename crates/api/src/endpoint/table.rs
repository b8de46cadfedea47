//! The declarations, by resource.

use crate::client::ClientError;
use crate::declaration::{Endpoint, MAX_BODY, Spec, access, schema_of};
use crate::*;
use crossrealm_types::{
    AdStep, ApplyIdentitiesResult, Connector, HostReport, HostToken, KerberosServer,
    ServicePrincipal, StorageAccount, StorageAccountCreate, Trust,
};
use reqwest::Method;
use uuid::Uuid;

// The server itself.
endpoints! {
    /// Whether the server is alive; says nothing about its database.
    Live PUBLIC GET "/livez"
        fn live() -> crate::Health;
    /// Whether the server can do its work; status 503 where its database cannot be read or written, or is damaged.
    Ready PUBLIC GET "/readyz"
        fn ready() -> crate::Health | 503;
    /// The same as `/readyz`, for load balancers that were set up for an earlier version.
    Health PUBLIC GET "/healthz"
        fn health() -> crate::Health | 503;
    /// The private certificate authority of the server, where it has one.
    Ca PUBLIC GET "/api/v1/ca"
        fn ca() -> CaCertificate;
    /// What the server knows of the token that was sent.
    Whoami KNOWN GET "/api/v1/whoami"
        fn whoami() -> WhoAmI;
    /// The events of no tenant, such as sign-ins and changes of administrators, oldest first.
    InstallationEvents READ_INSTALLATION GET "/api/v1/events"
        list installation_events(; query: EventQuery) -> Event;

    // Administrators and their sign-in.
    /// Creates an administrator; the answer holds the code to enrol with.
    CreateAdministrator MANAGE_ADMINISTRATORS POST "/api/v1/administrators"
        fn create_administrator(; body: AdministratorCreate) -> 201 AdministratorEnrolment;
    /// The administrators that the caller may know of, by name.
    Administrators MANAGE_ADMINISTRATORS GET "/api/v1/administrators"
        list administrators() -> Administrator;
    /// Revokes an administrator's password, authenticator and sessions; the answer holds the code to enrol with again.
    ResetAdministrator MANAGE_ADMINISTRATORS POST "/api/v1/administrators/{upn}/reset"
        fn reset_administrator(upn; query: AdministratorQuery) -> AdministratorEnrolment;
    /// Deletes an administrator and ends their sessions.
    RemoveAdministrator MANAGE_ADMINISTRATORS DELETE "/api/v1/administrators/{upn}"
        fn remove_administrator(upn; query: AdministratorQuery) -> 204 ();
    /// Begins a session: password and one-time code, both or nothing.
    SignIn PUBLIC POST "/api/v1/sign-in"
        fn sign_in(; body: crate::SignIn, 8 KiB) -> Session;
    /// Begins an enrolment.
    BeginEnrolment PUBLIC POST "/api/v1/sign-in/enrolment"
        fn begin_enrolment(; body: EnrolmentBegin, 8 KiB) -> EnrolmentBegun;
    /// Ends an enrolment, and begins a session.
    FinishEnrolment PUBLIC POST "/api/v1/sign-in/enrolment/finish"
        fn finish_enrolment(; body: EnrolmentFinish, 8 KiB) -> Session;
    /// Revokes the token that the call is made with.
    SignOut KNOWN POST "/api/v1/sign-out"
        fn sign_out() -> 204 ();

    // Tenants.
    /// Creates a tenant.
    CreateTenant MANAGE_TENANTS POST "/api/v1/tenants"
        fn create_tenant(; body: TenantCreate) -> 201 Tenant;
    /// All tenants that the token may see.
    Tenants READ GET "/api/v1/tenants"
        pages tenants() -> Tenant;
    /// A tenant by name, domain or id.
    ShowTenant READ GET "/api/v1/tenants/{tenant}"
        fn tenant(tenant) -> Tenant;
    /// Deletes a tenant that holds no storage account, service principal or trust.
    DeleteTenant MANAGE_TENANTS DELETE "/api/v1/tenants/{tenant}"
        fn delete_tenant(tenant) -> 204 ();
    /// The state of the tenant and of the service on one page, and what needs a person.
    ShowTenantStatus READ GET "/api/v1/tenants/{tenant}/status"
        fn tenant_status(tenant) -> TenantStatus;
    /// Changes what a tenant allows.
    SetTenantPolicy MANAGE_TENANTS PUT "/api/v1/tenants/{tenant}/policy"
        fn set_tenant_policy(tenant; body: TenantPolicy) -> Tenant;
    /// Creates a new key of the tenant's realm, which encrypts its TGTs.
    ///
    /// Tickets of the keys before are good until they end, unless these keys are compromised.
    RotateRealmKey MANAGE_TRUSTS POST "/api/v1/tenants/{tenant}/rotate-key"
        fn rotate_realm_key(tenant; body: crate::RotateRealmKey) -> RealmKey;
    /// Everything that a client's configuration is made from.
    ShowClientConfig READ GET "/api/v1/tenants/{tenant}/client-config"
        fn client_config(tenant) -> ClientConfig;
    /// The part of a client's configuration that a workstation needs: hosts that a referral leads to are left out.
    ShowPublicClientConfig PUBLIC GET "/api/v1/tenants/{tenant}/client-config/public"
        fn public_client_config(tenant) -> ClientConfig;
    /// Events in the order of recording.
    ///
    /// To follow them, ask again with the last one's `sequence` as `after`.
    Events READ GET "/api/v1/tenants/{tenant}/events"
        list events(tenant; query: EventQuery) -> Event;

    // Trusts with AD domains, and what the trust tool and the agent report of AD.
    /// All trusts of a tenant.
    Trusts READ GET "/api/v1/tenants/{tenant}/trusts"
        list trusts(tenant) -> Trust;
    /// The trust with an AD domain.
    ShowTrust READ GET "/api/v1/tenants/{tenant}/trusts/{domain}"
        fn trust(tenant, domain) -> Trust;
    /// Deletes the record of a trust and its keys.
    DeleteTrust MANAGE_TRUSTS DELETE "/api/v1/tenants/{tenant}/trusts/{domain}"
        fn delete_trust(tenant, domain) -> 204 ();
    /// The password to create the trust in AD with; the same again until it is confirmed.
    PrepareTrust MANAGE_TRUSTS POST "/api/v1/tenants/{tenant}/trusts/{domain}/prepare"
        fn prepare_trust(tenant, domain; body: crossrealm_types::PrepareTrust) -> PreparedTrust;
    /// Confirms that AD holds this version of the trust password.
    ConfirmTrust MANAGE_TRUSTS POST "/api/v1/tenants/{tenant}/trusts/{domain}/confirm"
        fn confirm_trust(tenant, domain; body: crate::ConfirmTrust) -> Trust;
    /// Retires the versions of a stolen trust key at once: those before the given one.
    ///
    /// Ends the TGTs of the tenant's realm that were issued for this trust, too.
    RetireTrustKeys MANAGE_TRUSTS POST "/api/v1/tenants/{tenant}/trusts/{domain}/retire-keys"
        fn retire_trust_keys(tenant, domain; body: crate::RetireTrustKeys) -> Trust;
    /// Records that a trust is about to be deleted in AD.
    BeginTrustRemoval MANAGE_TRUSTS POST "/api/v1/tenants/{tenant}/trusts/{domain}/removal"
        fn begin_trust_removal(tenant, domain) -> 204 ();
    /// Withdraws the record that a trust is about to be deleted in AD.
    CancelTrustRemoval MANAGE_TRUSTS DELETE "/api/v1/tenants/{tenant}/trusts/{domain}/removal"
        fn cancel_trust_removal(tenant, domain) -> 204 ();
    /// Whether a rotation by age is due, and with which passwords.
    RotateTrust ROTATE_TRUSTS POST "/api/v1/tenants/{tenant}/trusts/{domain}/rotation"
        fn rotate_trust(tenant, domain; body: crossrealm_types::RotateTrust) -> TrustRotation;
    /// Confirms that AD holds this version, which ends the rotation by age; the top-level names stay.
    ConfirmTrustRotation ROTATE_TRUSTS POST "/api/v1/tenants/{tenant}/trusts/{domain}/rotation/confirm"
        fn confirm_trust_rotation(tenant, domain; body: crate::ConfirmTrustRotation) -> Trust;
    /// The record of a domain's Kerberos server object.
    ShowKerberosServer READ GET "/api/v1/tenants/{tenant}/kerberos-servers/{domain}"
        fn kerberos_server(tenant, domain) -> KerberosServer;
    /// Records what AD holds as the domain's Kerberos server object.
    RecordKerberosServer MANAGE_TRUSTS PUT "/api/v1/tenants/{tenant}/kerberos-servers/{domain}"
        fn record_kerberos_server(tenant, domain; body: crate::RecordKerberosServer) -> KerberosServer;
    /// Deletes the record of a domain's Kerberos server object.
    DeleteKerberosServer MANAGE_TRUSTS DELETE "/api/v1/tenants/{tenant}/kerberos-servers/{domain}"
        fn delete_kerberos_server(tenant, domain) -> 204 ();
    /// Records that a domain's Kerberos server object is about to be deleted in AD.
    BeginKerberosServerRemoval MANAGE_TRUSTS POST "/api/v1/tenants/{tenant}/kerberos-servers/{domain}/removal"
        fn begin_kerberos_server_removal(tenant, domain) -> 204 ();
    /// Withdraws the record that a domain's Kerberos server object is about to be deleted in AD.
    CancelKerberosServerRemoval MANAGE_TRUSTS DELETE "/api/v1/tenants/{tenant}/kerberos-servers/{domain}/removal"
        fn cancel_kerberos_server_removal(tenant, domain) -> 204 ();
    /// Audits a change in AD.
    RecordAdStep ROTATE_TRUSTS POST "/api/v1/tenants/{tenant}/domains/{domain}/ad-steps"
        fn record_ad_step(tenant, domain; body: AdStep) -> 204 ();

    // Connectors and the sync of an AD domain's identities.
    /// All connectors of a tenant.
    Connectors MANAGE_IDENTITIES GET "/api/v1/tenants/{tenant}/connectors"
        list connectors(tenant) -> Connector;
    /// Registers the sync agent of an AD domain. Only a global administrator lets it rotate the trust key.
    CreateConnector MANAGE_IDENTITIES POST "/api/v1/tenants/{tenant}/connectors"
        fn create_connector(tenant; body: ConnectorCreate) -> 201 ConnectorCreated;
    /// Deletes a connector and revokes its token.
    DeleteConnector MANAGE_IDENTITIES DELETE "/api/v1/tenants/{tenant}/connectors/{domain}"
        fn delete_connector(tenant, domain) -> 204 ();
    /// One page of the identities that the tenant holds of an AD domain.
    DomainIdentities SYNC_IDENTITIES GET "/api/v1/tenants/{tenant}/domains/{domain}/identities"
        fn domain_identities(tenant, domain; query: PageQuery) -> DomainIdentitiesPage;
    /// Writes changes of one run of the sync agent, in order, in one transaction.
    ApplyIdentities SYNC_IDENTITIES POST "/api/v1/tenants/{tenant}/domains/{domain}/identities"
        fn apply_identities(tenant, domain; body: crate::ApplyIdentities, 8192 KiB) -> ApplyIdentitiesResult;
    /// What the tenant holds of these objects of an AD domain.
    LookupIdentities SYNC_IDENTITIES POST "/api/v1/tenants/{tenant}/domains/{domain}/identities/lookup"
        fn lookup_identities(tenant, domain; body: IdentityLookup, 256 KiB) -> IdentitiesFound;
    /// One page of the direct members of a group of an AD domain, by `objectGUID`, in order.
    DomainMembers SYNC_IDENTITIES GET "/api/v1/tenants/{tenant}/domains/{domain}/identities/{object}/members"
        fn domain_members(tenant, domain, object; query: PageQuery) -> Page<Uuid>;
    /// Takes or renews the lease of the sync of an AD domain.
    TakeSyncLease SYNC_IDENTITIES POST "/api/v1/tenants/{tenant}/domains/{domain}/sync-lease"
        fn take_sync_lease(tenant, domain; body: SyncLeaseRequest) -> SyncLease;
    /// Releases the lease of the sync of an AD domain; that of another holder stays.
    ReleaseSyncLease SYNC_IDENTITIES DELETE "/api/v1/tenants/{tenant}/domains/{domain}/sync-lease"
        fn release_sync_lease(tenant, domain; body: SyncLeaseRelease) -> 204 ();
    /// Lets one run of the sync of an AD domain delete or disable more identities than need no permission.
    AllowDeletions MANAGE_IDENTITIES POST "/api/v1/tenants/{tenant}/domains/{domain}/deletion-permit"
        fn allow_deletions(tenant, domain; body: crate::AllowDeletions) -> 201 DeletionPermit;
    /// How far the sync of an AD domain has come.
    ShowSyncState SYNC_IDENTITIES GET "/api/v1/tenants/{tenant}/domains/{domain}/sync-state"
        fn sync_state(tenant, domain) -> SyncState;

    // Users and groups.
    /// One page of the users of a tenant.
    Users READ GET "/api/v1/tenants/{tenant}/users"
        fn users(tenant; query: PageQuery) -> Page<Identity>;
    /// Creates a cloud-only user.
    CreateUser MANAGE_IDENTITIES POST "/api/v1/tenants/{tenant}/users"
        fn create_user(tenant; body: UserCreate) -> 201 Identity;
    /// A user by UPN, account name or SID, with effective groups.
    ShowUser READ GET "/api/v1/tenants/{tenant}/users/{user}"
        fn user(tenant, user) -> UserDetails;
    /// Deletes a cloud-only user.
    DeleteUser MANAGE_IDENTITIES DELETE "/api/v1/tenants/{tenant}/users/{user}"
        fn delete_user(tenant, user) -> 204 ();
    /// The shares on which a role applies to a user, and why.
    UserShares READ GET "/api/v1/tenants/{tenant}/users/{user}/shares"
        pages user_shares(tenant, user) -> OpenShare;
    /// One page of the groups of a tenant.
    Groups READ GET "/api/v1/tenants/{tenant}/groups"
        fn groups(tenant; query: PageQuery) -> Page<Identity>;
    /// A group by name or SID, with one page of its direct members.
    ShowGroup READ GET "/api/v1/tenants/{tenant}/groups/{group}"
        fn group(tenant, group; query: PageQuery) -> GroupDetails;

    // Storage accounts and their SMB hosts.
    /// Creates a storage account with its two keys.
    CreateStorageAccount MANAGE_STORAGE POST "/api/v1/tenants/{tenant}/storage-accounts"
        fn create_storage_account(tenant; body: StorageAccountCreate) -> 201 StorageAccount;
    /// All storage accounts of a tenant.
    StorageAccounts READ GET "/api/v1/tenants/{tenant}/storage-accounts"
        pages storage_accounts(tenant) -> StorageAccount;
    /// A storage account.
    ShowStorageAccount READ GET "/api/v1/tenants/{tenant}/storage-accounts/{account}"
        fn storage_account(tenant, account) -> StorageAccount;
    /// Deletes a storage account with its keys. Files on its hosts stay.
    DeleteStorageAccount MANAGE_STORAGE DELETE "/api/v1/tenants/{tenant}/storage-accounts/{account}"
        fn delete_storage_account(tenant, account; query: StorageAccountDelete) -> 204 ();
    /// Adds an alias: another host name of a storage account. Nothing changes if the account has it.
    ///
    /// Names that are not below the tenant's own need a global administrator. Names of AD domains, of other tenants and of the
    /// installation are refused to all.
    AddAlias MANAGE_STORAGE PUT "/api/v1/tenants/{tenant}/storage-accounts/{account}/aliases/{alias}"
        fn add_alias(tenant, account, alias) -> StorageAccount;
    /// Removes an alias from a storage account; tickets for it are refused from then on.
    RemoveAlias MANAGE_STORAGE DELETE "/api/v1/tenants/{tenant}/storage-accounts/{account}/aliases/{alias}"
        fn remove_alias(tenant, account, alias) -> 204 ();
    /// Replaces one of the two keys.
    RotateStorageAccountKey MANAGE_STORAGE POST "/api/v1/tenants/{tenant}/storage-accounts/{account}/rotate-key"
        fn rotate_storage_account_key(tenant, account; body: RotateAccountKey) -> RotatedAccount;
    /// The keys of a storage account as a keytab. Audited.
    StorageAccountKeytab MANAGE_STORAGE POST "/api/v1/tenants/{tenant}/storage-accounts/{account}/keytab"
        fn storage_account_keytab(tenant, account) -> Keytab;
    /// Sets what every user may do without a grant.
    SetDefaultPermission MANAGE_STORAGE PUT "/api/v1/tenants/{tenant}/storage-accounts/{account}/default-permission"
        fn set_default_permission(tenant, account; body: DefaultPermission) -> StorageAccount;
    /// What the SMB host of a storage account serves by, with the account's keys.
    ///
    /// Audited when a host token gets keys that it did not get from the same address before.
    ///
    /// The answer carries an `ETag`. With `If-None-Match` and `wait_s` the server answers as soon as the state differs from
    /// that one, else with status 304.
    ShowHostState SERVE_FILES GET "/api/v1/tenants/{tenant}/storage-accounts/{account}/host-state"
        raw host_state(tenant, account; query: HostStateQuery) -> HostState | 304;
    /// Creates a token for an SMB host of the account.
    CreateHostToken MANAGE_STORAGE POST "/api/v1/tenants/{tenant}/storage-accounts/{account}/host-tokens"
        fn create_host_token(tenant, account; body: HostTokenCreate) -> 201 HostTokenCreated;
    /// The tokens of the account's SMB hosts, revoked ones included.
    HostTokens READ GET "/api/v1/tenants/{tenant}/storage-accounts/{account}/host-tokens"
        fn host_tokens(tenant, account) -> Vec<HostToken>;
    /// Revokes a token of an SMB host of the account.
    RevokeHostToken MANAGE_STORAGE DELETE "/api/v1/tenants/{tenant}/storage-accounts/{account}/host-tokens/{id}"
        fn revoke_host_token(tenant, account, id) -> 204 ();
    /// The SMB hosts of the account, and the last report of each.
    Hosts READ GET "/api/v1/tenants/{tenant}/storage-accounts/{account}/hosts"
        fn hosts(tenant, account) -> Vec<Host>;
    /// Reports the state of an SMB host of the account.
    ReportHost SERVE_FILES PUT "/api/v1/tenants/{tenant}/storage-accounts/{account}/hosts/{host}"
        fn report_host(tenant, account, host; body: HostReport, 1024 KiB) -> 204 ();
    /// Resolves SIDs and names to users and groups.
    ResolveNames RESOLVE_NAMES POST "/api/v1/tenants/{tenant}/storage-accounts/{account}/names"
        fn resolve_names(tenant, account; body: crate::ResolveNames, 1024 KiB) -> ResolvedNames;

    // Shares and the roles granted on them.
    /// Creates a share.
    CreateShare MANAGE_STORAGE POST "/api/v1/tenants/{tenant}/storage-accounts/{account}/shares"
        fn create_share(tenant, account; body: ShareCreate) -> 201 Share;
    /// All shares of a storage account, with their grants.
    Shares READ GET "/api/v1/tenants/{tenant}/storage-accounts/{account}/shares"
        list shares(tenant, account) -> Share;
    /// The shares of all storage accounts of a tenant, with their grants.
    TenantShares READ GET "/api/v1/tenants/{tenant}/shares"
        pages tenant_shares(tenant) -> Share;
    /// A share with its grants.
    ShowShare READ GET "/api/v1/tenants/{tenant}/storage-accounts/{account}/shares/{share}"
        fn share(tenant, account, share) -> Share;
    /// Deletes the record of a share and its grants. Files on its hosts stay.
    DeleteShare MANAGE_STORAGE DELETE "/api/v1/tenants/{tenant}/storage-accounts/{account}/shares/{share}"
        fn delete_share(tenant, account, share) -> 204 ();
    /// Sets or removes the quota of a share.
    SetShareQuota MANAGE_STORAGE PUT "/api/v1/tenants/{tenant}/storage-accounts/{account}/shares/{share}/quota"
        fn set_share_quota(tenant, account, share; body: ShareQuota) -> Share;
    /// Grants a user or group a role on a share; replaces the one it had.
    GrantRole MANAGE_STORAGE PUT "/api/v1/tenants/{tenant}/storage-accounts/{account}/shares/{share}/grants"
        fn grant(tenant, account, share; body: GrantCreate) -> Grant;
    /// Revokes the role of a user or group on a share.
    RevokeRole MANAGE_STORAGE DELETE "/api/v1/tenants/{tenant}/storage-accounts/{account}/shares/{share}/grants/{principal}"
        fn revoke(tenant, account, share, principal) -> 204 ();
    /// The users who may open a share, what they may do, and why; at most 200 in a page.
    ShareUsers READ GET "/api/v1/tenants/{tenant}/storage-accounts/{account}/shares/{share}/users"
        pages share_users(tenant, account, share) -> ShareAccess;
    /// What a user may do on a share, and why.
    ShowShareAccess READ GET "/api/v1/tenants/{tenant}/storage-accounts/{account}/shares/{share}/access"
        fn share_access(tenant, account, share; query: ShareAccessQuery) -> ShareAccess;

    // Service principals.
    /// Creates a service principal with its keys.
    CreateServicePrincipal MANAGE_STORAGE POST "/api/v1/tenants/{tenant}/service-principals"
        fn create_service_principal(tenant; body: ServicePrincipalCreate) -> 201 ServicePrincipal;
    /// All service principals of a tenant.
    ServicePrincipals READ GET "/api/v1/tenants/{tenant}/service-principals"
        pages service_principals(tenant) -> ServicePrincipal;
    /// A service principal.
    ShowServicePrincipal READ GET "/api/v1/tenants/{tenant}/service-principals/{spn}"
        fn service_principal(tenant, spn) -> ServicePrincipal;
    /// Deletes a service principal and its keys.
    DeleteServicePrincipal MANAGE_STORAGE DELETE "/api/v1/tenants/{tenant}/service-principals/{spn}"
        fn delete_service_principal(tenant, spn) -> 204 ();
    /// Replaces one of the two keys.
    RotateServicePrincipalKey MANAGE_STORAGE POST "/api/v1/tenants/{tenant}/service-principals/{spn}/rotate-key"
        fn rotate_service_principal_key(tenant, spn; body: RotateKey) -> ServicePrincipal;
    /// The keys of a service principal as a keytab. Audited.
    ServicePrincipalKeytab MANAGE_STORAGE POST "/api/v1/tenants/{tenant}/service-principals/{spn}/keytab"
        fn service_principal_keytab(tenant, spn) -> Keytab;
}
