//! Between the API's types and the directory's: texts become checked values on the way in, values texts on the way out.

use super::error::ApiError;
use crossrealm_api as api;
use crossrealm_api::Code;
use crossrealm_directory as directory;
use crossrealm_directory::Uuid;
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
        state: trust.state,
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
        state: key.state,
        created_at: key.created_at,
        confirmed_at: key.confirmed_at,
        retires_at: key.retires_at,
        last_seen_at: key.last_seen_at,
    }
}

/// A trust password for the tool that stores it in AD.
pub(crate) fn prepared_trust(prepared: &directory::PreparedTrust) -> api::PreparedTrust {
    api::PreparedTrust {
        version: prepared.version,
        state: prepared.state,
        secret: api::SecretText::new(prepared.secret.as_str()),
        held: prepared
            .held
            .iter()
            .map(|held| api::HeldSecret {
                version: held.version,
                state: held.state,
                secret: api::SecretText::new(held.secret.as_str()),
            })
            .collect(),
    }
}

/// A user or group.
pub(crate) fn identity(identity: directory::IdentityInfo) -> api::Identity {
    api::Identity {
        sid: identity.sid.to_string(),
        kind: identity.kind,
        source: identity.source,
        state: identity.state,
        disabled_reason: identity.disabled_reason,
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
        kind: principal.kind,
        name: principal.name,
    }
}

/// A grant.
pub(crate) fn grant(grant: directory::Grant) -> api::Grant {
    api::Grant {
        sid: grant.identity.sid.to_string(),
        name: grant.identity.name,
        kind: grant.identity.kind,
        role: grant.role,
    }
}

/// The keys of a service, without their secrets.
pub(crate) fn keys(keys: Vec<directory::KeyInfo>) -> Vec<api::KerberosKey> {
    let convert = |key: directory::KeyInfo| api::KerberosKey {
        name: key.slot,
        kvno: key.kvno,
        seals: key.encrypts,
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
        default_permission: account.default_role,
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
