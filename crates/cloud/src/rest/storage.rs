//! Storage accounts and what their SMB hosts serve by.

use super::access::{InTenant, ManageStorage, Read, ServeFiles};
use super::body::{JsonBody, Parameters};
use super::convert;
use super::error::ApiError;
use crate::app::{App, AppState};
use axum::Json;
use axum::extract::{Path, State};
use axum::http::header::{ETAG, IF_NONE_MATCH};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use crossrealm_api::{
    DefaultPermission, HostAccount, HostDomain, HostShare, HostState, HostTenant, Keytab, Page,
    PageQuery, RotateKey, StorageAccount, StorageAccountCreate,
};
use crossrealm_directory::{self as directory, NewStorageAccount};
use crossrealm_kdc::TenantId;
use serde::Deserialize;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// The longest that a host's question is held, in seconds: below the time-outs of proxies between.
const MAX_WAIT_S: u64 = 25;
/// How often the state is looked at meanwhile. A host sees a change within this and its own turnaround.
const LOOK_EVERY: Duration = Duration::from_millis(500);

type AccountPath = Path<(String, String)>;

/// How long a host wants to wait for a change.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Wait {
    #[serde(default)]
    wait_s: u64,
}

/// `GET /tenants/{tenant}/storage-accounts`.
pub(crate) async fn list(
    State(app): State<App>,
    at: InTenant<Read>,
    Parameters(query): Parameters<PageQuery>,
) -> Result<Json<Page<StorageAccount>>, ApiError> {
    let accounts = app
        .directory
        .storage_accounts(at.id(), &convert::page(query))
        .await?;
    Ok(Json(convert::paged(accounts, convert::storage_account)))
}

/// `POST /tenants/{tenant}/storage-accounts`.
pub(crate) async fn create(
    State(app): State<App>,
    at: InTenant<ManageStorage>,
    JsonBody(wanted): JsonBody<StorageAccountCreate>,
) -> Result<(StatusCode, Json<StorageAccount>), ApiError> {
    let new = NewStorageAccount {
        name: wanted.name,
        aliases: wanted.aliases,
    };
    let account = app
        .directory
        .create_storage_account(&at.actor, at.id(), new)
        .await?;
    Ok((StatusCode::CREATED, Json(convert::storage_account(account))))
}

/// `GET /tenants/{tenant}/storage-accounts/{account}`.
pub(crate) async fn show(
    State(app): State<App>,
    at: InTenant<Read>,
    Path((_, account)): AccountPath,
) -> Result<Json<StorageAccount>, ApiError> {
    let account = app.directory.storage_account(at.id(), &account).await?;
    Ok(Json(convert::storage_account(account)))
}

/// `DELETE /tenants/{tenant}/storage-accounts/{account}`.
pub(crate) async fn delete(
    State(app): State<App>,
    at: InTenant<ManageStorage>,
    Path((_, account)): AccountPath,
) -> Result<StatusCode, ApiError> {
    app.directory
        .delete_storage_account(&at.actor, at.id(), &account)
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `POST /tenants/{tenant}/storage-accounts/{account}/rotate-key`.
pub(crate) async fn rotate_key(
    State(app): State<App>,
    at: InTenant<ManageStorage>,
    Path((_, account)): AccountPath,
    JsonBody(rotate): JsonBody<RotateKey>,
) -> Result<Json<StorageAccount>, ApiError> {
    let slot = convert::slot_in(rotate.key);
    let account = app
        .directory
        .rotate_storage_key(&at.actor, at.id(), &account, slot)
        .await?;
    Ok(Json(convert::storage_account(account)))
}

/// `POST /tenants/{tenant}/storage-accounts/{account}/keytab`.
pub(crate) async fn keytab(
    State(app): State<App>,
    at: InTenant<ManageStorage>,
    Path((_, account)): AccountPath,
) -> Result<Json<Keytab>, ApiError> {
    let material = app
        .directory
        .storage_account_keytab(&at.actor, at.id(), &account)
        .await?;
    Ok(Json(convert::keytab(&material)?))
}

/// `PUT /tenants/{tenant}/storage-accounts/{account}/default-permission`.
pub(crate) async fn set_default(
    State(app): State<App>,
    at: InTenant<ManageStorage>,
    Path((_, account)): AccountPath,
    JsonBody(wanted): JsonBody<DefaultPermission>,
) -> Result<Json<StorageAccount>, ApiError> {
    let role = wanted.role.map(convert::role_in);
    let account = app
        .directory
        .set_default_role(&at.actor, at.id(), &account, role)
        .await?;
    Ok(Json(convert::storage_account(account)))
}

/// `GET /tenants/{tenant}/storage-accounts/{account}/host-state`.
pub(crate) async fn host_state(
    State(app): State<App>,
    at: InTenant<ServeFiles>,
    Path((_, account)): AccountPath,
    Parameters(wait): Parameters<Wait>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let known = headers
        .get(IF_NONE_MATCH)
        .and_then(|value| value.to_str().ok());
    let patience = Duration::from_secs(wait.wait_s.min(MAX_WAIT_S));
    let state = changed_state(&app, at.id(), &account, known, patience).await?;
    let Some(state) = state else {
        return Ok(StatusCode::NOT_MODIFIED.into_response());
    };
    let etag = HeaderValue::from_str(&entity_tag(&state.version))
        .map_err(|_| ApiError::internal("the version of a host state cannot be sent"))?;
    Ok(([(ETAG, etag)], Json(host_view(state)?)).into_response())
}

/// The state as soon as it differs from what is known; `None` where it does not within `patience`.
async fn changed_state(
    app: &AppState,
    tenant: TenantId,
    account: &str,
    known: Option<&str>,
    patience: Duration,
) -> Result<Option<directory::HostState>, ApiError> {
    let deadline = Instant::now() + patience;
    let mut ending = app.ending.clone();
    loop {
        let state = app.directory.host_state(tenant, account).await?;
        if known != Some(entity_tag(&state.version).as_str()) {
            return Ok(Some(state));
        }
        if Instant::now() >= deadline {
            return Ok(None);
        }
        tokio::select! {
            () = sleep(LOOK_EVERY) => {}
            _ = ending.wait_for(|ending| *ending) => return Ok(None),
        }
    }
}

fn entity_tag(version: &str) -> String {
    format!("\"{version}\"")
}

fn host_view(state: directory::HostState) -> Result<HostState, ApiError> {
    let keytab = convert::keytab(&state.keytab)?.keytab;
    Ok(HostState {
        version: state.version,
        tenant: HostTenant {
            id: convert::uuid(state.tenant.id),
            name: state.tenant.name,
            realm: state.tenant.realm,
            flat_name: state.tenant.flat_name,
            sid: state.tenant.sid.to_string(),
        },
        account: HostAccount {
            name: state.account.name,
            host: state.account.host,
            aliases: state.account.aliases,
        },
        domains: state
            .domains
            .into_iter()
            .map(|domain| HostDomain {
                dns_name: domain.dns_name,
                flat_name: domain.flat_name,
                sid: domain.sid.to_string(),
            })
            .collect(),
        keytab,
        default_role: state.account.default_role.map(convert::role),
        shares: state
            .shares
            .into_iter()
            .map(|share| HostShare {
                name: share.name,
                grants: share.grants.into_iter().map(convert::grant).collect(),
            })
            .collect(),
    })
}
