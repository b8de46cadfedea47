//! `crossrealm connector`: the tokens of sync agents, one for each AD domain.

use crate::consent::ConsentArgs;
use crate::context::Context;
use crate::failure::Failure;
use crate::join_file::Member;
use crate::output::{Column, Done, column, time_column};
use crate::token_file::TokenFileArgs;
use clap::Subcommand;
use crossrealm_api::{ConnectorCreate, ConnectorCreated};
use crossrealm_types::{Connector, Timestamp};
use serde::Serialize;
use std::path::Path;

/// What can be done with connectors.
#[derive(Subcommand, Debug)]
pub(crate) enum Args {
    /// Create the connector of an AD domain; its token lets a sync agent write the identities of that domain, and no more
    Create {
        /// DNS name of the AD domain; the tenant must have recorded it
        #[arg(long, value_name = "DOMAIN")]
        domain: String,
        /// Let the token rotate the trust key of the domain too
        #[arg(long)]
        allow_trust_rotation: bool,
        #[command(flatten)]
        file: TokenFileArgs,
    },
    /// List the connectors
    List,
    /// Revoke a connector; its token is refused from then on
    Revoke {
        /// DNS name of the AD domain
        #[arg(long, value_name = "DOMAIN")]
        domain: String,
        #[command(flatten)]
        consent: ConsentArgs,
    },
}

const LIST: &[Column] = &[
    column("Domain", "/domain"),
    column("TrustRotation", "/rotate_trust"),
    time_column("CreatedAt", "/created_at"),
    time_column("LastSync", "/last_success_at"),
];

const CREATED: &[Column] = &[
    column("Domain", "/domain"),
    column("TrustRotation", "/rotate_trust"),
    time_column("CreatedAt", "/created_at"),
    column("Token", "/token"),
    column("TokenFile", "/token_file"),
];

/// A new connector, and where its token is.
#[derive(Serialize)]
struct Shown<'a> {
    domain: &'a str,
    rotate_trust: bool,
    created_at: Timestamp,
    token: Option<&'a str>,
    token_file: Option<&'a Path>,
}

/// Runs `crossrealm connector`.
pub(crate) async fn run(args: Args, context: &Context) -> Result<(), Failure> {
    let (client, tenant) = (context.client()?, context.tenant()?);
    match args {
        Args::Create {
            domain,
            allow_trust_rotation,
            file,
        } => {
            let wanted = ConnectorCreate {
                domain,
                rotate_trust: allow_trust_rotation,
            };
            let created = client.create_connector(tenant, &wanted).await?;
            let domain = &created.connector.domain;
            let member = Member::SyncAgent(domain.clone());
            let revoke = client.delete_connector(tenant, domain);
            file.write_or_revoke(&created.token, member, context, revoke)
                .await?;
            show(&created, &file, context)?;
            if let Some(path) = file.join() {
                context.suggest(&format!(
                    "crossrealm sync run --join {} --domain-user USER",
                    path.display()
                ));
            }
            Ok(())
        }
        Args::List => context.output.list(
            &client.connectors(tenant).await?,
            LIST,
            "no connectors; `crossrealm connector create --domain DOMAIN` creates one",
        ),
        Args::Revoke { domain, consent } => {
            let question = consent.question(context.output);
            if question.is_put() {
                let all = client.connectors(tenant).await?;
                let mut all = all.iter();
                let found = all.find(|one| one.domain.eq_ignore_ascii_case(&domain));
                let found = found.ok_or_else(|| {
                    Failure::new(format!("no connector for `{domain}`"))
                        .hint("`crossrealm connector list` shows those there are")
                })?;
                if !question.is_consented(&losses(found)) {
                    return question.not_consented();
                }
            }
            client.delete_connector(tenant, &domain).await?;
            context.output.done(&Done {
                action: "revoked",
                object: "connector",
                name: &domain,
                on: None,
                effect: "its token is refused from now on",
            })
        }
    }
}

/// What is lost with a connector.
fn losses(connector: &Connector) -> Vec<String> {
    vec![format!(
        "the connector of `{}` and its token: changes in AD, a user's disabling among them, reach the tenant no more until an agent has another one",
        connector.domain
    )]
}

/// Shows the new connector; without a file the token too.
fn show(
    created: &ConnectorCreated,
    file: &TokenFileArgs,
    context: &Context,
) -> Result<(), Failure> {
    let shown = Shown {
        domain: &created.connector.domain,
        rotate_trust: created.connector.rotate_trust,
        created_at: created.connector.created_at,
        token: file.path().is_none().then_some(created.token.expose()),
        token_file: file.path(),
    };
    context.output.record(&shown, CREATED)
}
