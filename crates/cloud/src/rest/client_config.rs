//! What the configuration of a tenant's clients is made from.
//!
//! A workstation has no token, so that what it needs is public: the realm and its KDC proxy, the AD realms, and the hosts that
//! no referral leads to. Everything else about a tenant's hosts is for its administrators.

use super::access::{Anyone, InTenant, find_tenant};
use super::error::{ApiError, refused};
use super::route::Input;
use super::tenants::view;
use crate::app::{App, AppState};
use crossrealm_api::{AdRealm, ClientConfig, UnmappedHost, endpoint};
use crossrealm_directory::{Page, TenantInfo, is_at_or_below};
use crossrealm_kdc::TenantId;
use std::sync::Arc;

/// The most services whose hosts a client's configuration lists.
const MAX_HOSTS: usize = 10_000;

/// [`endpoint::ShowClientConfig`]
pub(crate) async fn client_config(
    app: App,
    at: InTenant<endpoint::ShowClientConfig>,
    _: Input<endpoint::ShowClientConfig>,
) -> Result<ClientConfig, ApiError> {
    load(&app, at.tenant).await
}

/// [`endpoint::ShowPublicClientConfig`]
pub(crate) async fn public_client_config(
    app: App,
    _: Anyone<endpoint::ShowPublicClientConfig>,
    Input { path: [tenant], .. }: Input<endpoint::ShowPublicClientConfig>,
) -> Result<ClientConfig, ApiError> {
    let tenant = find_tenant(&app, &tenant).await?;
    let id = tenant.id;
    let config = app
        .public_configs
        .get_or(id, async { load(&app, tenant).await.map(public) });
    config.await.map_err(Arc::unwrap_or_clone)
}

/// The part that needs no token.
fn public(mut config: ClientConfig) -> ClientConfig {
    let suffixes = &config.tenant.top_level_names;
    let is_referred = |host: &str| suffixes.iter().any(|suffix| is_at_or_below(host, suffix));
    config.hosts.retain(|host| !is_referred(host));
    config.unmapped_hosts.clear();
    config
}

async fn load(app: &AppState, tenant: TenantInfo) -> Result<ClientConfig, ApiError> {
    let id = tenant.id;
    let ad_realms = app.directory.domains(id).await?;
    let mut hosts = hosts(app, id).await?;
    let unmapped = app.directory.unmappable_hosts(id, &hosts).await?;
    hosts.retain(|host| !unmapped.iter().any(|(refused, _)| refused == host));
    let tenant = view(app, tenant);
    Ok(ClientConfig {
        kdc_proxy_url: tenant.kdc_proxy_url.clone(),
        tenant,
        ca_pem: app.ca_pem.clone(),
        ad_realms: ad_realms
            .into_iter()
            .map(|domain| AdRealm {
                realm: domain.realm,
                dns_name: domain.dns_name,
                flat_name: domain.flat_name,
                sid: domain.sid,
            })
            .collect(),
        hosts,
        unmapped_hosts: unmapped
            .into_iter()
            .map(|(host, refusal)| UnmappedHost {
                host,
                reason: refused(&refusal),
                message: refusal.to_string(),
            })
            .collect(),
    })
}

async fn hosts(app: &AppState, tenant: TenantId) -> Result<Vec<String>, ApiError> {
    let mut hosts = Vec::new();
    let mut page = Page::first();
    while hosts.len() < MAX_HOSTS {
        let accounts = app.directory.storage_accounts(tenant, &page).await?;
        for account in accounts.items {
            hosts.push(account.host);
            hosts.extend(account.aliases);
        }
        page.after = accounts.next;
        if page.after.is_none() {
            break;
        }
    }
    page = Page::first();
    while hosts.len() < MAX_HOSTS {
        let services = app.directory.service_principals(tenant, &page).await?;
        let host = |spn: &str| spn.split_once('/').map(|(_, host)| host.to_owned());
        hosts.extend(services.items.iter().filter_map(|s| host(&s.spn)));
        page.after = services.next;
        if page.after.is_none() {
            break;
        }
    }
    hosts.sort();
    hosts.dedup();
    Ok(hosts)
}
