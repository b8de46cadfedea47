//! `crossrealm service-principal`: Kerberos services of a tenant that are not storage accounts.

use super::storage_account::keys;
use crate::consent::ConsentArgs;
use crate::context::Context;
use crate::failure::Failure;
use crate::keytab;
use crate::output::{Column, Done, column, shown, time_column};
use clap::Subcommand;
use crossrealm_api::{RotateKey, ServicePrincipalCreate};
use crossrealm_types::{KeySlot, ServicePrincipal};
use std::path::PathBuf;

/// What can be done with service principals.
#[derive(Subcommand, Debug)]
pub(crate) enum Args {
    /// Create a service principal
    Create {
        /// Service principal name, `class/host`
        spn: String,
    },
    /// List the service principals
    List,
    /// Show a service principal
    Show {
        /// Service principal name, `class/host`
        spn: String,
    },
    /// Delete a service principal and its keys
    Delete {
        /// Service principal name, `class/host`
        spn: String,
        #[command(flatten)]
        consent: ConsentArgs,
    },
    /// Replace one of the two keys; the other one stays valid
    RotateKey {
        /// Service principal name, `class/host`
        spn: String,
        /// The key to replace
        #[arg(long)]
        key: KeySlot,
    },
    /// Write the service's keys as an MIT keytab
    Keytab {
        /// Service principal name, `class/host`
        spn: String,
        /// File to write, readable by its owner alone
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
}

const COLUMNS: &[Column] = &[
    column("Spn", "/spn"),
    shown("Keys", "/keys", keys),
    time_column("CreatedAt", "/created_at"),
];

/// What is lost with a service principal.
fn losses(service: &ServicePrincipal) -> Vec<String> {
    vec![format!(
        "the service principal `{}` and its keys: nobody gets tickets for it, and the keytab of the service is of no use",
        service.spn
    )]
}

/// Runs `crossrealm service-principal`.
pub(crate) async fn run(args: Args, context: &Context) -> Result<(), Failure> {
    let (client, tenant) = (context.client()?, context.tenant()?);
    match args {
        Args::Create { spn } => {
            let service = ServicePrincipalCreate { spn };
            let service = client.create_service_principal(tenant, &service).await?;
            context.output.record(&service, COLUMNS)
        }
        Args::List => {
            let services = client.service_principals(tenant).await?;
            context.output.list(
                &services,
                COLUMNS,
                "no service principals; `crossrealm service-principal create SPN` creates one",
            )
        }
        Args::Show { spn } => {
            let service = client.service_principal(tenant, &spn).await?;
            context.output.record(&service, COLUMNS)
        }
        Args::Delete { spn, consent } => {
            let question = consent.question(context.output);
            if question.is_put() {
                let found = client.service_principal(tenant, &spn).await?;
                if !question.is_consented(&losses(&found)) {
                    return question.not_consented();
                }
            }
            client.delete_service_principal(tenant, &spn).await?;
            context.output.done(&Done {
                action: "deleted",
                object: "service principal",
                name: &spn,
                on: None,
                effect: "its keys are gone, and tickets for it are refused from now on",
            })
        }
        Args::RotateKey { spn, key } => {
            let service = client
                .rotate_service_principal_key(tenant, &spn, &RotateKey { key })
                .await?;
            context.output.record(&service, COLUMNS)
        }
        Args::Keytab { spn, out } => {
            let answer = client.service_principal_keytab(tenant, &spn).await?;
            keytab::write(&answer, &out, context)
        }
    }
}
