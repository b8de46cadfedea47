//! Between the API's types and the directory's: texts become checked values on the way in, values texts on the way out.

use super::error::ApiError;
use crossrealm_api as api;
use crossrealm_directory as directory;
use crossrealm_directory::Uuid;
use crossrealm_kdc::TenantId;
use crossrealm_krb::keytab::{Keytab, KeytabEntry};
use crossrealm_krb::principal::Principal;
use crossrealm_types::Timestamp;

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
        sid: tenant.sid,
        top_level_names: tenant.top_level_names,
        kdc_proxy_url,
        allow_low_rids: tenant.policy.allow_low_rids,
        created_at: Timestamp::from_unix(tenant.created_at),
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
        sid: identity.sid,
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
                changed_at: Timestamp::from_unix(origin.changed_at),
                changed_by: origin.changed_by.clone(),
                run_id: origin.run_id,
            });
        }
    }
    all.sort_by(|a, b| a.attribute.cmp(&b.attribute));
    all
}

/// A group that an identity is in, and how.
pub(crate) fn effective_group(group: directory::EffectiveGroup) -> api::EffectiveGroup {
    api::EffectiveGroup {
        group: identity_ref(group.group),
        path: group.path.into_iter().map(identity_ref).collect(),
        omitted: u64::try_from(group.omitted).unwrap_or(u64::MAX),
        by_primary_group: group.by_primary_group,
    }
}

/// A user or group, in short.
pub(crate) fn identity_ref(identity: directory::IdentityRef) -> api::IdentityRef {
    api::IdentityRef {
        sid: identity.sid,
        kind: identity.kind,
        name: identity.name,
    }
}

/// A grant.
pub(crate) fn grant(grant: directory::Grant) -> api::Grant {
    api::Grant {
        sid: grant.identity.sid,
        name: grant.identity.name,
        kind: grant.identity.kind,
        role: grant.role,
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
