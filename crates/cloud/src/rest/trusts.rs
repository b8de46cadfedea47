//! Trusts with AD domains: the secret is generated here, stays *pending* until AD is known to hold it, and is handed out
//! to the trust tool alone.

use super::access::InTenant;
use super::convert;
use super::error::ApiError;
use super::route::Input;
use crate::app::App;
use crossrealm_api::endpoint;
use crossrealm_api::{Page, PreparedTrust, Trust, TrustRotation};
use crossrealm_directory as directory;

/// [`endpoint::Trusts`]
pub(crate) async fn trusts(
    app: App,
    at: InTenant<endpoint::Trusts>,
    _: Input<endpoint::Trusts>,
) -> Result<Page<Trust>, ApiError> {
    let trusts = app.directory.trusts(at.id()).await?;
    Ok(convert::complete(trusts, convert::trust))
}

/// [`endpoint::ShowTrust`]
pub(crate) async fn trust(
    app: App,
    at: InTenant<endpoint::ShowTrust>,
    Input {
        path: [_, domain], ..
    }: Input<endpoint::ShowTrust>,
) -> Result<Trust, ApiError> {
    let trust = app.directory.trust(at.id(), &domain).await?;
    Ok(convert::trust(trust))
}

/// [`endpoint::PrepareTrust`]
pub(crate) async fn prepare_trust(
    app: App,
    at: InTenant<endpoint::PrepareTrust>,
    Input {
        path: [_, domain],
        body: wanted,
        ..
    }: Input<endpoint::PrepareTrust>,
) -> Result<PreparedTrust, ApiError> {
    let wanted = directory::PrepareTrust {
        sid: convert::sid(&wanted.sid)?,
        realm: wanted.realm,
        flat_name: wanted.flat_name,
        top_level_names: wanted.top_level_names,
        rotate: wanted.rotate,
    };
    let prepared = app
        .directory
        .prepare_trust(&at.actor, at.id(), &domain, &wanted)
        .await?;
    Ok(convert::prepared_trust(&prepared))
}

/// [`endpoint::ConfirmTrust`]
pub(crate) async fn confirm_trust(
    app: App,
    at: InTenant<endpoint::ConfirmTrust>,
    Input {
        path: [_, domain],
        body: done,
        ..
    }: Input<endpoint::ConfirmTrust>,
) -> Result<Trust, ApiError> {
    let trust = app
        .directory
        .confirm_trust(
            &at.actor,
            at.id(),
            &domain,
            done.version,
            &done.top_level_names,
        )
        .await?;
    Ok(convert::trust(trust))
}

/// [`endpoint::DeleteTrust`]
pub(crate) async fn delete_trust(
    app: App,
    at: InTenant<endpoint::DeleteTrust>,
    Input {
        path: [_, domain], ..
    }: Input<endpoint::DeleteTrust>,
) -> Result<(), ApiError> {
    app.directory
        .delete_trust(&at.actor, at.id(), &domain)
        .await?;
    Ok(())
}

/// [`endpoint::BeginTrustRemoval`]
pub(crate) async fn begin_trust_removal(
    app: App,
    at: InTenant<endpoint::BeginTrustRemoval>,
    Input {
        path: [_, domain], ..
    }: Input<endpoint::BeginTrustRemoval>,
) -> Result<(), ApiError> {
    app.directory
        .begin_trust_removal(&at.actor, at.id(), &domain)
        .await?;
    Ok(())
}

/// [`endpoint::CancelTrustRemoval`]
pub(crate) async fn cancel_trust_removal(
    app: App,
    at: InTenant<endpoint::CancelTrustRemoval>,
    Input {
        path: [_, domain], ..
    }: Input<endpoint::CancelTrustRemoval>,
) -> Result<(), ApiError> {
    app.directory
        .cancel_trust_removal(&at.actor, at.id(), &domain)
        .await?;
    Ok(())
}

/// [`endpoint::RotateTrust`]
pub(crate) async fn rotate_trust(
    app: App,
    at: InTenant<endpoint::RotateTrust>,
    Input {
        path: [_, domain],
        body: wanted,
        ..
    }: Input<endpoint::RotateTrust>,
) -> Result<TrustRotation, ApiError> {
    let wanted = directory::RotateTrust {
        every_s: wanted.every_s,
        holder: wanted.holder,
    };
    let rotation = app
        .directory
        .rotate_trust(&at.actor, at.id(), &domain, &wanted)
        .await?;
    let (held_by, held_until) = rotation.held_by.unzip();
    Ok(TrustRotation {
        due_at: rotation.due_at,
        prepared: rotation.prepared.as_ref().map(convert::prepared_trust),
        held_by,
        held_until,
        realm: at.tenant.realm,
        flat_name: at.tenant.flat_name,
        domain_flat_name: rotation.domain_flat_name,
    })
}

/// [`endpoint::ConfirmTrustRotation`]
pub(crate) async fn confirm_trust_rotation(
    app: App,
    at: InTenant<endpoint::ConfirmTrustRotation>,
    Input {
        path: [_, domain],
        body: done,
        ..
    }: Input<endpoint::ConfirmTrustRotation>,
) -> Result<Trust, ApiError> {
    let trust = app
        .directory
        .confirm_trust(&at.actor, at.id(), &domain, done.version, &[])
        .await?;
    Ok(convert::trust(trust))
}

/// [`endpoint::RecordAdStep`]
pub(crate) async fn record_ad_step(
    app: App,
    at: InTenant<endpoint::RecordAdStep>,
    Input {
        path: [_, domain],
        body: step,
        ..
    }: Input<endpoint::RecordAdStep>,
) -> Result<(), ApiError> {
    let step = directory::AdStep {
        phase: step.phase,
        principal: step.principal,
        controller: step.controller,
        step: step.step,
        reason: step.reason,
    };
    app.directory
        .record_ad_step(&at.actor, at.id(), &domain, &step)
        .await?;
    Ok(())
}
