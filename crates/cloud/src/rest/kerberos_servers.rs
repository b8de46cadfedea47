//! The records of the Kerberos server objects of AD domains.

use super::access::InTenant;
use super::error::ApiError;
use super::route::Input;
use crate::app::App;
use crossrealm_api::endpoint;
use crossrealm_directory::{NewDomain, NewKerberosServer};
use crossrealm_types::KerberosServer;

/// [`endpoint::ShowKerberosServer`]
pub(crate) async fn kerberos_server(
    app: App,
    at: InTenant<endpoint::ShowKerberosServer>,
    Input {
        path: [_, domain], ..
    }: Input<endpoint::ShowKerberosServer>,
) -> Result<KerberosServer, ApiError> {
    Ok(app.directory.kerberos_server(at.id(), &domain).await?)
}

/// [`endpoint::RecordKerberosServer`]
pub(crate) async fn record_kerberos_server(
    app: App,
    at: InTenant<endpoint::RecordKerberosServer>,
    Input {
        path: [_, domain],
        body: seen,
        ..
    }: Input<endpoint::RecordKerberosServer>,
) -> Result<KerberosServer, ApiError> {
    let seen = NewKerberosServer {
        domain: NewDomain {
            dns_name: domain,
            flat_name: seen.flat_name,
            sid: seen.sid,
            forest_root: Some(seen.forest),
        },
        number: seen.id,
        display_name: seen.display_name,
        key_version: seen.key_version,
        key_updated_at: seen.key_updated_at.unix(),
        account: seen.account,
        computer: seen.computer,
    };
    let recorded = app
        .directory
        .record_kerberos_server(&at.actor, at.id(), &seen)
        .await?;
    Ok(recorded)
}

/// [`endpoint::DeleteKerberosServer`]
pub(crate) async fn delete_kerberos_server(
    app: App,
    at: InTenant<endpoint::DeleteKerberosServer>,
    Input {
        path: [_, domain], ..
    }: Input<endpoint::DeleteKerberosServer>,
) -> Result<(), ApiError> {
    app.directory
        .delete_kerberos_server(&at.actor, at.id(), &domain)
        .await?;
    Ok(())
}

/// [`endpoint::BeginKerberosServerRemoval`]
pub(crate) async fn begin_kerberos_server_removal(
    app: App,
    at: InTenant<endpoint::BeginKerberosServerRemoval>,
    Input {
        path: [_, domain], ..
    }: Input<endpoint::BeginKerberosServerRemoval>,
) -> Result<(), ApiError> {
    app.directory
        .begin_kerberos_server_removal(&at.actor, at.id(), &domain)
        .await?;
    Ok(())
}

/// [`endpoint::CancelKerberosServerRemoval`]
pub(crate) async fn cancel_kerberos_server_removal(
    app: App,
    at: InTenant<endpoint::CancelKerberosServerRemoval>,
    Input {
        path: [_, domain], ..
    }: Input<endpoint::CancelKerberosServerRemoval>,
) -> Result<(), ApiError> {
    app.directory
        .cancel_kerberos_server_removal(&at.actor, at.id(), &domain)
        .await?;
    Ok(())
}
