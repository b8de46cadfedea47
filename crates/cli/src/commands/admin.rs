//! `crossrealm admin`: the administrators of the installation or of a tenant.

use crate::consent::{ConsentArgs, Question};
use crate::context::Context;
use crate::failure::Failure;
use crate::installation;
use crate::output::{Column, Done, column, time_column};
use crate::terminal::say;
use clap::Subcommand;
use crossrealm_api::{AdministratorCreate, AdministratorEnrolment, AdministratorQuery};
use crossrealm_types::{AdministratorRole, Timestamp};
use serde::Serialize;
use std::path::PathBuf;

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
        /// Their tenant, if they administer one tenant and others have the name
        #[arg(long, value_name = "TENANT")]
        only: Option<String>,
        #[command(flatten)]
        consent: ConsentArgs,
    },
    /// On the machine of the service: let a global administrator enrol anew when nobody else can
    Recover {
        /// The administrator's name; created if there is none
        upn: String,
        /// Configuration file that `crossrealm init` wrote [default: /etc/crossrealm/crossrealm.toml]
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
    },
    /// Remove an administrator and end their sessions
    Remove {
        /// The administrator's name
        upn: String,
        /// Their tenant, if they administer one tenant and others have the name
        #[arg(long, value_name = "TENANT")]
        only: Option<String>,
        #[command(flatten)]
        consent: ConsentArgs,
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
    let client = || context.client();
    match args {
        Args::Recover { upn, config } => recover(&upn, config, context).await,
        Args::Create { upn, role, only } => {
            let wanted = AdministratorCreate {
                upn,
                role,
                tenant: only,
            };
            show(context, &client()?.create_administrator(&wanted).await?)
        }
        Args::List => {
            let administrators = client()?.administrators().await?;
            context.output.list(
                &administrators,
                LIST,
                "no administrators; `crossrealm admin create UPN --role ROLE` creates one",
            )
        }
        Args::Reset { upn, only, consent } => {
            let lost = "password, authenticator and sessions";
            if let Some(question) = declined(&upn, only.as_deref(), lost, consent, context).await? {
                return question.not_consented();
            }
            let which = AdministratorQuery { tenant: only };
            let reset = client()?.reset_administrator(&upn, &which).await?;
            show(context, &reset)
        }
        Args::Remove { upn, only, consent } => {
            let lost = "role, password, authenticator and sessions";
            if let Some(question) = declined(&upn, only.as_deref(), lost, consent, context).await? {
                return question.not_consented();
            }
            let which = AdministratorQuery {
                tenant: only.clone(),
            };
            client()?.remove_administrator(&upn, &which).await?;
            context.output.done(&Done {
                action: "removed",
                object: "administrator",
                name: &upn,
                on: only.as_deref(),
                effect: "their sessions have ended",
            })
        }
    }
}

/// The question, if it was put and what an administrator loses is not consented to.
async fn declined(
    upn: &str,
    only: Option<&str>,
    lost: &str,
    consent: ConsentArgs,
    context: &Context,
) -> Result<Option<Question>, Failure> {
    let question = consent.question(context.output);
    if !question.is_put() {
        return Ok(None);
    }
    let all = context.client()?.administrators().await?;
    let found = all.iter().filter(|one| one.upn.eq_ignore_ascii_case(upn));
    let found = found.filter(|one| only.is_none() || one.tenant_name.as_deref() == only);
    let [found] = found.collect::<Vec<_>>()[..] else {
        return Err(
            Failure::new(format!("no administrator `{upn}`, or more than one"))
                .hint("`crossrealm admin list` shows them; `--only TENANT` chooses one of several"),
        );
    };
    let of = found.tenant_name.as_deref().map_or_else(
        || "of the installation".to_owned(),
        |tenant| format!("of the tenant `{tenant}`"),
    );
    let lost = format!("the {lost} of `{}`, {} {of}", found.upn, found.role);
    let goes_on = question.is_consented(&[lost]);
    Ok((!goes_on).then_some(question))
}

/// What a recovered administrator enrols with.
#[derive(Serialize)]
struct Recovered {
    upn: String,
    enrolment_code: String,
    code_expires_at: Option<Timestamp>,
}

const RECOVERED: &[Column] = &[
    column("Upn", "/upn"),
    column("EnrolmentCode", "/enrolment_code"),
    time_column("CodeExpiresAt", "/code_expires_at"),
];

async fn recover(upn: &str, config: Option<PathBuf>, context: &Context) -> Result<(), Failure> {
    let config = config.unwrap_or_else(installation::usual_config);
    let recovered = crossrealm_cloud::recover(&config, upn).await?;
    let shown = Recovered {
        upn: recovered.upn,
        enrolment_code: recovered.enrolment_code.to_string(),
        code_expires_at: recovered.code_expires_at,
    };
    context.output.record(&shown, RECOVERED)?;
    say!(
        "`{upn}` runs `crossrealm login --user {upn} --enrol` with the code; it is not shown again",
        upn = shown.upn
    );
    Ok(())
}

fn show(context: &Context, created: &AdministratorEnrolment) -> Result<(), Failure> {
    context.output.record(created, ENROLMENT)?;
    let upn = &created.administrator.upn;
    let only = match &created.administrator.tenant_name {
        Some(tenant) => format!(" --only {tenant}"),
        None => String::new(),
    };
    say!(
        "give the code to `{upn}`, who runs `crossrealm login --user {upn}{only} --enrol`; it is not shown again"
    );
    Ok(())
}

fn role(text: &str) -> Result<AdministratorRole, String> {
    text.parse().map_err(|_| {
        "expected `global-administrator`, `hybrid-identity-administrator`, `storage-administrator` or `reader`".into()
    })
}
