//! `crossrealm admin`: the administrators of the installation or of a tenant.

use crate::context::Context;
use crate::failure::Failure;
use crate::output::{Column, column, time_column};
use clap::Subcommand;
use crossrealm_api::{AdministratorCreate, AdministratorEnrolment};
use crossrealm_types::AdministratorRole;

/// What can be done with administrators.
#[derive(Subcommand, Debug)]
pub(crate) enum Args {
    /// Create an administrator, and show the code to enrol with
    Create {
        /// The name to sign in with
        upn: String,
        /// Role: `global-administrator`, `hybrid-identity-administrator`, `storage-administrator` or `reader`
        #[arg(long, value_parser = role)]
        role: AdministratorRole,
        /// Restrict them to this tenant [default: every tenant that you may administer]
        #[arg(long, value_name = "TENANT")]
        only: Option<String>,
    },
    /// List the administrators
    List,
    /// Revoke an administrator's password, authenticator and sessions, and show a new code to enrol with
    Reset {
        /// The administrator's name
        upn: String,
    },
    /// Remove an administrator and end their sessions
    Remove {
        /// The administrator's name
        upn: String,
    },
}

const LIST: &[Column] = &[
    column("Upn", "/upn"),
    column("Role", "/role"),
    column("Tenant", "/tenant_name"),
    time_column("EnrolledAt", "/enrolled_at"),
    time_column("CodeExpiresAt", "/code_expires_at"),
    time_column("SignedInAt", "/signed_in_at"),
];

const ENROLMENT: &[Column] = &[
    column("Upn", "/administrator/upn"),
    column("Role", "/administrator/role"),
    column("Tenant", "/administrator/tenant_name"),
    column("EnrolmentCode", "/enrolment_code"),
    time_column("CodeExpiresAt", "/administrator/code_expires_at"),
];

/// Runs `crossrealm admin`.
pub(crate) async fn run(args: Args, context: &Context) -> Result<(), Failure> {
    let client = context.client()?;
    match args {
        Args::Create { upn, role, only } => {
            let wanted = AdministratorCreate {
                upn,
                role,
                tenant: only,
            };
            show(context, &client.create_administrator(&wanted).await?)
        }
        Args::List => {
            let administrators = client.administrators().await?;
            context.output.list(
                &administrators,
                LIST,
                "no administrators; `crossrealm admin create UPN --role ROLE` creates one",
            )
        }
        Args::Reset { upn } => show(context, &client.reset_administrator(&upn).await?),
        Args::Remove { upn } => {
            client.remove_administrator(&upn).await?;
            eprintln!("removed administrator `{upn}`; their sessions have ended");
            Ok(())
        }
    }
}

fn show(context: &Context, created: &AdministratorEnrolment) -> Result<(), Failure> {
    context.output.record(created, ENROLMENT)?;
    eprintln!(
        "give the code to `{upn}`, who runs `crossrealm login --user {upn} --enrol`; it is not shown again",
        upn = created.administrator.upn
    );
    Ok(())
}

fn role(text: &str) -> Result<AdministratorRole, String> {
    text.parse().map_err(|_| {
        "expected `global-administrator`, `hybrid-identity-administrator`, `storage-administrator` or `reader`".into()
    })
}
