//! `crossrealm tenant`: the organisations that the service serves.

use crate::consent::ConsentArgs;
use crate::context::Context;
use crate::contexts::Contexts;
use crate::failure::Failure;
use crate::output::{Column, Done, column, time_column};
use crate::terminal::say;
use clap::Subcommand;
use crossrealm_api::{Client, Page, PageQuery, RotateRealmKey, TenantCreate, TenantPolicy};
use serde::Serialize;

/// What can be done with tenants.
#[derive(Subcommand, Debug)]
pub(crate) enum Args {
    /// Create a tenant
    Create {
        /// Name: letters, digits and inner hyphens
        name: String,
        /// DNS domain [default: NAME.BASE-DOMAIN]
        #[arg(long)]
        domain: Option<String>,
        /// Kerberos realm [default: KERBEROS.DOMAIN in upper case]
        #[arg(long)]
        realm: Option<String>,
        /// DNS suffixes whose services AD refers to the tenant [default: its domain]
        #[arg(long, value_delimiter = ',', value_name = "NAMES")]
        top_level_names: Option<Vec<String>>,
        /// Issue tickets to AD's built-in accounts (RID below 1000, such as Administrator) if a connector writes them;
        /// `crossrealm sync` leaves them out
        #[arg(long)]
        allow_low_rids: bool,
    },
    /// Show the policy of a tenant, or change it
    Policy {
        /// Name, domain or id of the tenant
        name: String,
        /// Whether AD's built-in accounts (RID below 1000, such as Administrator) get tickets if a connector writes them;
        /// `crossrealm sync` leaves them out
        #[arg(long, value_name = "true|false")]
        allow_low_rids: Option<bool>,
    },
    /// Give the tenant's realm a new key for its ticket-granting tickets; tickets of the earlier keys stay good until they end
    RotateKey {
        /// Name, domain or id of the tenant
        name: String,
        /// The earlier keys may be known to somebody: delete them now. Every ticket-granting ticket of the realm ends
        #[arg(long)]
        compromised: bool,
    },
    /// List the tenants
    List,
    /// Show a tenant
    Show {
        /// Name, domain or id of the tenant
        name: String,
    },
    /// Delete a tenant that has no storage accounts, service principals or trusts
    Delete {
        /// Name, domain or id of the tenant
        name: String,
        #[command(flatten)]
        consent: ConsentArgs,
    },
}

const LIST: &[Column] = &[
    column("Name", "/name"),
    column("Domain", "/domain"),
    column("Realm", "/realm"),
    column("Id", "/id"),
];

/// The policy of a tenant.
#[derive(Serialize)]
struct Policy<'a> {
    tenant: &'a str,
    allow_low_rids: bool,
}

const POLICY: &[Column] = &[
    column("Tenant", "/tenant"),
    column("AllowLowRids", "/allow_low_rids"),
];

const KEY: &[Column] = &[
    column("Realm", "/realm"),
    column("Kvno", "/kvno"),
    time_column("EncryptsFrom", "/encrypts_from"),
    time_column("PreviousUntil", "/previous_until"),
];

const RECORD: &[Column] = &[
    column("Name", "/name"),
    column("Id", "/id"),
    column("Domain", "/domain"),
    column("Realm", "/realm"),
    column("FlatName", "/flat_name"),
    column("Sid", "/sid"),
    column("TopLevelNames", "/top_level_names"),
    column("KdcProxyUrl", "/kdc_proxy_url"),
    column("AllowLowRids", "/allow_low_rids"),
    time_column("CreatedAt", "/created_at"),
];

/// What is lost with a tenant; an error where it is not deleted before other things are.
async fn losses(client: &Client, name: &str) -> Result<Vec<String>, Failure> {
    let tenant = client.tenant(name).await?;
    let accounts = client.storage_accounts(name).await?.len();
    let principals = client.service_principals(name).await?.len();
    let trusts = client.trusts(name).await?.len();
    if accounts + principals + trusts > 0 {
        let failure = Failure::new(format!(
            "`{name}` has {accounts} storage accounts, {principals} service principals and {trusts} trusts"
        ));
        return Err(failure.hint("delete these first"));
    }
    let page = PageQuery::default();
    let users = client.users(name, &page).await?;
    let groups = client.groups(name, &page).await?;
    Ok(vec![
        format!(
            "the tenant `{}` and its realm `{}`",
            tenant.name, tenant.realm
        ),
        format!("its {} users and {} groups", count(&users), count(&groups)),
        "its administrators and their sessions, its connectors, and its events".to_owned(),
    ])
}

/// How many records there are, as far as the first page shows.
fn count<T>(page: &Page<T>) -> String {
    let or_more = if page.next.is_some() { " or more" } else { "" };
    format!("{}{or_more}", page.items.len())
}

/// Runs `crossrealm tenant`.
pub(crate) async fn run(args: Args, context: &Context) -> Result<(), Failure> {
    let client = context.client()?;
    match args {
        Args::Create {
            name,
            domain,
            realm,
            top_level_names,
            allow_low_rids,
        } => {
            let wanted = TenantCreate {
                name,
                domain,
                realm,
                flat_name: None,
                top_level_names,
                allow_low_rids,
            };
            let tenant = client.create_tenant(&wanted).await?;
            context.output.record(&tenant, RECORD)?;
            if Contexts::load()?.remember_tenant(context.server()?, &tenant.name)? {
                say!("the current context is for `{}` from now on", tenant.name);
            }
            context.suggest(
                "crossrealm kerberos-server set --domain DOMAIN --domain-user USER --setup-cloud-trust",
            );
            Ok(())
        }
        Args::Policy {
            name,
            allow_low_rids,
        } => {
            let tenant = match allow_low_rids {
                None => client.tenant(&name).await?,
                Some(_) => {
                    let policy = TenantPolicy { allow_low_rids };
                    client.set_tenant_policy(&name, &policy).await?
                }
            };
            let shown = Policy {
                tenant: &tenant.name,
                allow_low_rids: tenant.allow_low_rids,
            };
            context.output.record(&shown, POLICY)
        }
        Args::RotateKey { name, compromised } => {
            let wanted = RotateRealmKey { compromised };
            let key = client.rotate_realm_key(&name, &wanted).await?;
            context.output.record(&key, KEY)
        }
        Args::List => {
            let tenants = client.tenants().await?;
            context.output.list(
                &tenants,
                LIST,
                "no tenants; `crossrealm tenant create NAME` creates one",
            )
        }
        Args::Show { name } => context.output.record(&client.tenant(&name).await?, RECORD),
        Args::Delete { name, consent } => {
            let question = consent.question(context.output);
            if question.is_put() && !question.is_consented(&losses(&client, &name).await?) {
                return question.not_consented();
            }
            client.delete_tenant(&name).await?;
            context.output.done(&Done {
                action: "deleted",
                object: "tenant",
                name: &name,
                on: None,
                effect: "",
            })
        }
    }
}
