//! Between the API's types and the directory's: texts become checked values on the way in, values texts on the way out.

use super::error::ApiError;
use crossrealm_api as api;
use crossrealm_api::Code;
use crossrealm_directory as directory;
use crossrealm_directory::Uuid;
use crossrealm_kdc as kdc;
use crossrealm_kdc::TenantId;
use crossrealm_krb::keytab::{Keytab, KeytabEntry};
use crossrealm_krb::principal::Principal;
use crossrealm_types::Sid;

/// A SID from its text.
pub(crate) fn sid(text: &str) -> Result<Sid, ApiError> {
    text.parse().map_err(|_| {
        ApiError::new(
            Code::InvalidSid,
            format!("`{}` is not a SID", shorten(text)),
        )
    })
}

/// A GUID from its text.
pub(crate) fn guid(text: &str) -> Result<Uuid, ApiError> {
    Uuid::try_parse(text)
        .map_err(|_| ApiError::invalid(format!("`{}` is not a GUID", shorten(text))))
}

/// What a message quotes of a value: enough to recognise it.
pub(crate) fn shorten(text: &str) -> String {
    text.chars().take(80).collect()
}

/// The id of a tenant as the API writes it.
pub(crate) fn uuid(id: TenantId) -> Uuid {
    Uuid::from_bytes(*id.as_bytes())
}

/// One page of a list.
pub(crate) fn page(query: api::PageQuery) -> directory::Page {
    directory::Page {
        after: query.after,
        limit: query.limit.unwrap_or(500),
    }
}

/// A page of the directory as one of the API.
pub(crate) fn paged<T, U>(paged: directory::Paged<T>, convert: impl Fn(T) -> U) -> api::Page<U> {
    api::Page {
        items: paged.items.into_iter().map(convert).collect(),
        next: paged.next,
    }
}

/// A complete list as one page.
pub(crate) fn complete<T, U>(items: Vec<T>, convert: impl Fn(T) -> U) -> api::Page<U> {
    api::Page {
        items: items.into_iter().map(convert).collect(),
        next: None,
    }
}

/// A tenant; `kdc_proxy_url` is where its clients go.
pub(crate) fn tenant(tenant: directory::TenantInfo, kdc_proxy_url: String) -> api::Tenant {
    api::Tenant {
        id: uuid(tenant.id),
        name: tenant.name,
        domain: tenant.domain,
        realm: tenant.realm,
        flat_name: tenant.flat_name,
        sid: tenant.sid.to_string(),
        top_level_names: tenant.top_level_names,
        kdc_proxy_url,
        allow_low_rids: tenant.policy.allow_low_rids,
        created_at: tenant.created_at,
    }
}

/// A trust, without its secrets.
pub(crate) fn trust(trust: directory::TrustInfo) -> api::Trust {
    api::Trust {
        domain: trust.domain,
        realm: trust.realm,
        flat_name: trust.flat_name,
        sid: trust.sid.to_string(),
        state: match trust.state {
            directory::TrustState::Pending => api::TrustState::Pending,
            directory::TrustState::Active => api::TrustState::Active,
        },
        top_level_names: trust.top_level_names,
        created_at: trust.created_at,
        confirmed_at: trust.confirmed_at,
        removal_begun_at: trust.removal_begun_at,
        keys: trust.keys.into_iter().map(trust_key).collect(),
    }
}

fn trust_key(key: directory::TrustKeyInfo) -> api::TrustKey {
    api::TrustKey {
        version: key.version,
        state: trust_key_state(key.state),
        created_at: key.created_at,
        confirmed_at: key.confirmed_at,
        retires_at: key.retires_at,
        last_seen_at: key.last_seen_at,
    }
}

/// A trust secret for the tool that gives it to AD.
pub(crate) fn prepared_trust(prepared: &directory::PreparedTrust) -> api::PreparedTrust {
    api::PreparedTrust {
        version: prepared.version,
        state: trust_key_state(prepared.state),
        secret: api::SecretText::new(prepared.secret.as_str()),
        held: prepared
            .held
            .iter()
            .map(|held| api::HeldSecret {
                version: held.version,
                state: trust_key_state(held.state),
                secret: api::SecretText::new(held.secret.as_str()),
            })
            .collect(),
    }
}

/// Where a version of a trust key is in its life.
pub(crate) fn trust_key_state(state: directory::TrustKeyState) -> api::TrustKeyState {
    match state {
        directory::TrustKeyState::Pending => api::TrustKeyState::Pending,
        directory::TrustKeyState::Current => api::TrustKeyState::Current,
        directory::TrustKeyState::Previous => api::TrustKeyState::Previous,
        directory::TrustKeyState::Retired => api::TrustKeyState::Retired,
    }
}

/// User or group.
pub(crate) fn kind(kind: kdc::IdentityKind) -> api::IdentityKind {
    match kind {
        kdc::IdentityKind::User => api::IdentityKind::User,
        kdc::IdentityKind::Group => api::IdentityKind::Group,
    }
}

/// User or group, for the directory.
pub(crate) fn kind_in(kind: api::IdentityKind) -> kdc::IdentityKind {
    match kind {
        api::IdentityKind::User => kdc::IdentityKind::User,
        api::IdentityKind::Group => kdc::IdentityKind::Group,
    }
}

/// Whether an identity may sign in.
pub(crate) fn state(state: kdc::IdentityState) -> api::IdentityState {
    match state {
        kdc::IdentityState::Enabled => api::IdentityState::Enabled,
        kdc::IdentityState::Disabled => api::IdentityState::Disabled,
        kdc::IdentityState::Deleted => api::IdentityState::Deleted,
    }
}

/// Whether an identity may sign in, for the directory.
pub(crate) fn state_in(state: api::IdentityState) -> kdc::IdentityState {
    match state {
        api::IdentityState::Enabled => kdc::IdentityState::Enabled,
        api::IdentityState::Disabled => kdc::IdentityState::Disabled,
        api::IdentityState::Deleted => kdc::IdentityState::Deleted,
    }
}

/// Why an identity may not sign in; `None` for what this version does not know.
pub(crate) fn disabled_reason(text: Option<&str>) -> Option<api::DisabledReason> {
    Some(match text? {
        "disabled" => api::DisabledReason::Disabled,
        "expired" => api::DisabledReason::Expired,
        "locked" => api::DisabledReason::Locked,
        _ => return None,
    })
}

/// Why an identity may not sign in, for the directory.
pub(crate) fn disabled_reason_in(reason: api::DisabledReason) -> String {
    match reason {
        api::DisabledReason::Disabled => "disabled",
        api::DisabledReason::Expired => "expired",
        api::DisabledReason::Locked => "locked",
    }
    .into()
}

/// A user or group.
pub(crate) fn identity(identity: directory::IdentityInfo) -> api::Identity {
    api::Identity {
        sid: identity.sid.to_string(),
        kind: kind(identity.kind),
        source: match identity.source {
            kdc::IdentitySource::Hybrid => api::IdentitySource::Hybrid,
            kdc::IdentitySource::CloudOnly => api::IdentitySource::CloudOnly,
        },
        state: state(identity.state),
        disabled_reason: disabled_reason(identity.disabled_reason.as_deref()),
        account_name: identity.account_name,
        upn: identity.upn,
        display_name: identity.display_name,
        domain: identity.domain_dns_name,
    }
}

/// Where each attribute of an identity came from, by attribute.
pub(crate) fn origins(identity: &directory::IdentityInfo) -> Vec<api::AttributeOrigin> {
    let mut all = Vec::new();
    for origin in identity.provenance() {
        for attribute in origin.attributes {
            all.push(api::AttributeOrigin {
                attribute,
                source: identity.domain_dns_name.clone(),
                changed_at: origin.changed_at,
                changed_by: origin.changed_by.clone(),
                run_id: origin.run_id.map(|id| id.to_string()),
            });
        }
    }
    all.sort_by(|a, b| a.attribute.cmp(&b.attribute));
    all
}

/// A group that an identity is in, and how.
pub(crate) fn effective_group(group: directory::EffectiveGroup) -> api::EffectiveGroup {
    api::EffectiveGroup {
        group: principal(group.group),
        path: group.path.into_iter().map(principal).collect(),
        omitted: u64::try_from(group.omitted).unwrap_or(u64::MAX),
        by_primary_group: group.by_primary_group,
    }
}

/// A user or group, in short.
pub(crate) fn principal(principal: directory::IdentityRef) -> api::PrincipalRef {
    api::PrincipalRef {
        sid: principal.sid.to_string(),
        kind: kind(principal.kind),
        name: principal.name,
    }
}

/// A share role.
pub(crate) fn role(role: directory::ShareRole) -> api::ShareRole {
    match role {
        directory::ShareRole::Reader => api::ShareRole::Reader,
        directory::ShareRole::Contributor => api::ShareRole::Contributor,
        directory::ShareRole::ElevatedContributor => api::ShareRole::ElevatedContributor,
    }
}

/// A share role, for the directory.
pub(crate) fn role_in(role: api::ShareRole) -> directory::ShareRole {
    match role {
        api::ShareRole::Reader => directory::ShareRole::Reader,
        api::ShareRole::Contributor => directory::ShareRole::Contributor,
        api::ShareRole::ElevatedContributor => directory::ShareRole::ElevatedContributor,
    }
}

/// A grant.
pub(crate) fn grant(grant: directory::Grant) -> api::Grant {
    api::Grant {
        sid: grant.identity.sid.to_string(),
        name: grant.identity.name,
        kind: kind(grant.identity.kind),
        role: role(grant.role),
    }
}

/// Which key of a service, for the directory.
pub(crate) fn slot_in(key: api::KeyName) -> directory::KeySlot {
    match key {
        api::KeyName::Kerb1 => directory::KeySlot::Kerb1,
        api::KeyName::Kerb2 => directory::KeySlot::Kerb2,
    }
}

/// The keys of a service, without their secrets.
pub(crate) fn keys(keys: Vec<directory::KeyInfo>) -> Vec<api::KerberosKey> {
    let convert = |key: directory::KeyInfo| api::KerberosKey {
        name: match key.slot {
            directory::KeySlot::Kerb1 => api::KeyName::Kerb1,
            directory::KeySlot::Kerb2 => api::KeyName::Kerb2,
        },
        kvno: key.kvno,
        seals: key.sealing,
        created_at: key.created_at,
        retires_at: key.retires_at,
    };
    keys.into_iter().map(convert).collect()
}

/// A storage account.
pub(crate) fn storage_account(account: directory::StorageAccount) -> api::StorageAccount {
    api::StorageAccount {
        name: account.name,
        host: account.host,
        aliases: account.aliases,
        default_permission: account.default_role.map(role),
        keys: keys(account.keys),
        created_at: account.created_at,
    }
}

/// A keytab from what it is made of: every key for every principal.
pub(crate) fn keytab(material: &directory::KeytabMaterial) -> Result<api::Keytab, ApiError> {
    let mut file = Keytab::default();
    let mut entries = Vec::new();
    for name in &material.principals {
        let principal = Principal::parse(name, Some(&material.realm))
            .map_err(|error| ApiError::internal(format!("service `{name}`: {error}")))?;
        for key in &material.keys {
            entries.push(api::KeytabEntry {
                principal: format!("{name}@{}", material.realm),
                kvno: key.kvno,
                enctype: key.key.enctype().number(),
            });
            file.entries.push(KeytabEntry {
                principal: principal.clone(),
                kvno: key.kvno,
                set_at: 0,
                key: key.key.clone(),
            });
        }
    }
    let bytes = file
        .to_bytes()
        .map_err(|error| ApiError::internal(format!("keytab: {error}")))?;
    Ok(api::Keytab {
        keytab: api::Base64Secret::new(bytes.as_slice()),
        entries,
    })
}
