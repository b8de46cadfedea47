//! `crossrealm login` and `crossrealm logout`: sessions of administrators, who authenticate with a password and the one-time
//! code of an authenticator app.

use crate::context::Context;
use crate::failure::Failure;
use crate::output::{Column, Done, column, time_column};
use crate::terminal::say;
use crate::{prompt, session};
use crossrealm_api::{EnrolmentBegin, EnrolmentFinish, SecretText, Session, SignIn};
use crossrealm_types::Timestamp;
use serde::Serialize;
use uuid::Uuid;

/// The arguments of `crossrealm login`.
///
/// Password and codes are prompted for, or taken from standard input, one per line, in the order of the prompts; never from
/// the command line.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Administrator that signs in [default: prompted for]
    #[arg(long, value_name = "UPN")]
    user: Option<String>,
    /// The tenant of an administrator of one tenant
    #[arg(long, value_name = "TENANT")]
    only: Option<String>,
    /// First sign-in, with the enrolment code of `crossrealm admin create` or `reset`: choose a password, pair an authenticator
    #[arg(long)]
    enrol: bool,
}

/// A session without its token.
#[derive(Serialize)]
struct Shown<'a> {
    upn: &'a str,
    role: &'a str,
    tenant: Option<Uuid>,
    expires_at: Timestamp,
}

const RECORD: &[Column] = &[
    column("Upn", "/upn"),
    column("Role", "/role"),
    column("Tenant", "/tenant"),
    time_column("ExpiresAt", "/expires_at"),
];

/// Runs `crossrealm login`.
pub(crate) async fn run(args: Args, context: &Context) -> Result<(), Failure> {
    let client = context.anonymous_client()?;
    let upn = match args.user {
        Some(upn) => upn,
        None => prompt::name("Name (UPN)")?,
    };
    let session = match args.enrol {
        false => {
            let wanted = SignIn {
                upn,
                tenant: args.only,
                password: secret("Password")?,
                code: secret("Code of the authenticator")?,
            };
            client.sign_in(&wanted).await?
        }
        true => enrol(context, upn, args.only).await?,
    };
    let path = session::store(context.server()?, &session)?;
    say!(
        "signed in; the session is stored in `{}`; `crossrealm logout` ends it",
        path.display()
    );
    if context.token_is_given() {
        say!(
            "warning: `CROSSREALM_TOKEN` or `--token-file` is given, and takes precedence over the session"
        );
    }
    show(context, &session)
}

async fn enrol(context: &Context, upn: String, tenant: Option<String>) -> Result<Session, Failure> {
    let client = context.anonymous_client()?;
    let begin = EnrolmentBegin {
        upn: upn.clone(),
        tenant: tenant.clone(),
        enrolment_code: secret("Enrolment code")?,
    };
    let begun = client.begin_enrolment(&begin).await?;
    say!(
        "Add this to your authenticator app (as a QR code or by its `secret`); it is not shown again:"
    );
    say!("{}", begun.otpauth_uri.expose());
    let password = prompt::new_secret("New password (at least 12 characters)")?;
    let finish = EnrolmentFinish {
        upn,
        tenant,
        enrolment_code: begin.enrolment_code,
        password: SecretText::new(password.as_str()),
        code: secret("Code of the authenticator")?,
    };
    Ok(client.finish_enrolment(&finish).await?)
}

/// Runs `crossrealm logout`.
pub(crate) async fn end(context: &Context) -> Result<(), Failure> {
    let given = context.token_is_given();
    let ended = context.client()?.sign_out().await;
    if !given {
        // A session that the service has ended is of no use here either.
        session::delete(context.server()?)?;
    }
    ended?;
    let (object, name) = match given {
        true => ("token", context.server()?),
        false => ("session", context.server()?),
    };
    context.output.done(&Done {
        action: "revoked",
        object,
        name,
        on: None,
        effect: "it is refused from now on",
    })
}

fn secret(question: &str) -> Result<SecretText, Failure> {
    Ok(SecretText::new(prompt::secret(question)?.as_str()))
}

fn show(context: &Context, session: &Session) -> Result<(), Failure> {
    let shown = Shown {
        upn: &session.upn,
        role: session.role.as_str(),
        tenant: session.tenant,
        expires_at: session.expires_at,
    };
    context.output.record(&shown, RECORD)
}
