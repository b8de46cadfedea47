//! `crossrealm whoami`: what the service knows of the token that this command line sends.

use crate::context::Context;
use crate::failure::Failure;
use crate::output::{Column, column, time_column};
use crossrealm_api::{TokenKind, WhoAmI};
use serde::Serialize;

/// What is printed: the service's answer, and the names that go with it.
#[derive(Serialize)]
struct View<'a> {
    server: &'a str,
    #[serde(flatten)]
    who: WhoAmI,
    /// The name of the only tenant that the token is valid for, where the token may read it.
    tenant_name: Option<String>,
}

const RECORD: &[Column] = &[
    column("Name", "/name"),
    column("Kind", "/kind"),
    column("Role", "/role"),
    column("Server", "/server"),
    column("Tenant", "/tenant_name"),
    column("TenantId", "/tenant"),
    column("Domain", "/domain"),
    column("StorageAccount", "/account"),
    time_column("ExpiresAt", "/expires_at"),
];

/// Runs `crossrealm whoami`.
pub(crate) async fn run(context: &Context) -> Result<(), Failure> {
    let client = context.client()?;
    let who = client.whoami().await?;
    let tenant_name = match (who.kind, who.tenant) {
        (TokenKind::Administrator, Some(id)) => Some(client.tenant(&id.to_string()).await?.name),
        _ => None,
    };
    let view = View {
        server: context.server()?,
        who,
        tenant_name,
    };
    context.output.record(&view, RECORD)
}
