//! `crossrealm tenant`: the organisations that the service serves.

use crate::context::Context;
use crate::failure::Failure;
use crate::output::{Column, column, time_column};
use clap::Subcommand;
use crossrealm_api::{TenantCreate, TenantPolicy};

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
    /// Change the policy of a tenant
    Policy {
        /// Name, domain or id of the tenant
        name: String,
        /// Whether AD's built-in accounts (RID below 1000, such as Administrator) get tickets if a connector writes them;
        /// `crossrealm sync` leaves them out
        #[arg(long, value_name = "true|false", required = true)]
        allow_low_rids: Option<bool>,
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
    },
}

const LIST: &[Column] = &[
    column("Name", "/name"),
    column("Domain", "/domain"),
    column("Realm", "/realm"),
    column("Id", "/id"),
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
            context.output.record(&tenant, RECORD)
        }
        Args::Policy {
            name,
            allow_low_rids,
        } => {
            let policy = TenantPolicy { allow_low_rids };
            let tenant = client.set_tenant_policy(&name, &policy).await?;
            context.output.record(&tenant, RECORD)
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
        Args::Delete { name } => {
            client.delete_tenant(&name).await?;
            eprintln!("deleted tenant `{name}`");
            Ok(())
        }
    }
}
