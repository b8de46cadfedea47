//! `crossrealm client deploy-gpo`: one group policy object that configures the domain's computers for the tenant.
//!
//! Every step is a change in AD and so an event of the tenant's audit, which takes a global administrator's token.

use crate::client_config::settings::{ClientOptions, settings};
use crate::client_config::{CheckedConfig, mapped_hosts, private_ca_notes, warn_of_unmapped};
use crate::context::Context;
use crate::domain_credentials::DomainArgs;
use crate::failure::Failure;
use crate::output::{Column, column};
use crate::progress::Console;
use crate::terminal::say;
use crossrealm_agent::gpo::GroupPolicy;
use crossrealm_onprem::gpo::GpoStep;
use crossrealm_types::registry_pol::registry_pol;
use serde::Serialize;
use serde_json::{Value, json};

/// The arguments of `client deploy-gpo`.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    #[command(flatten)]
    domain: DomainArgs,
    /// DN of the organizational unit or domain to link it to [default: the whole domain]
    #[arg(long, value_name = "DN")]
    link: Option<String>,
    /// Group or computer that it applies to, by account name (repeatable) [default: every computer]
    #[arg(long, value_name = "ACCOUNT", conflicts_with = "remove")]
    apply_to: Vec<String>,
    /// Map all of the tenant's hosts to its realm, not only those outside its top-level names
    #[arg(long, conflicts_with = "remove")]
    map_hosts: bool,
    /// Disable Windows' revocation check of the KDC proxy's certificate, for a private CA without a revocation list
    #[arg(long, conflicts_with = "remove")]
    no_revocation_check: bool,
    /// Show the steps, and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Delete the group policy object; computers drop its settings at their next refresh
    #[arg(long)]
    remove: bool,
}

/// What is printed.
#[derive(Debug, Serialize)]
struct View {
    domain: String,
    controller: String,
    name: String,
    id: String,
    linked_to: Vec<String>,
    /// The computer half of the version; 0 where there is no object.
    version: u32,
    changed: bool,
}

const COLUMNS: &[Column] = &[
    column("Domain", "/domain"),
    column("Controller", "/controller"),
    column("Name", "/name"),
    column("Id", "/id"),
    column("LinkedTo", "/linked_to"),
    column("Version", "/version"),
    column("Changed", "/changed"),
];

/// Runs `crossrealm client deploy-gpo`.
pub(crate) async fn run(args: Args, context: &Context) -> Result<(), Failure> {
    let client = context.client()?;
    let config = client.client_config(context.tenant()?).await?;
    let credentials = args.domain.sign_in.credentials()?;
    let session = args.domain.target(&credentials).sign_in().await?;
    let tenant = config.tenant.clone();
    let mut policy = GroupPolicy::open(&tenant, session, args.link.as_deref()).await?;
    let mut mapped = Vec::new();
    let steps = match args.remove {
        true => policy.plan_removal(),
        false => {
            let (config, refused) = CheckedConfig::new(config, policy.ad_names().await?)?;
            warn_of_unmapped(&config, &refused);
            mapped = mapped_hosts(&config, args.map_hosts);
            private_ca_notes(&config, args.no_revocation_check);
            let options = ClientOptions {
                map_hosts: args.map_hosts,
                no_revocation_check: args.no_revocation_check,
            };
            let settings = registry_pol(&settings(&config, options)?, false);
            policy.plan(settings, &args.apply_to).await?
        }
    };
    if args.dry_run {
        return show_plan(&steps, &mapped, &tenant.realm, context);
    }
    policy.apply(&steps, &client, &Console::new()).await?;
    if steps.is_empty() {
        say!("{}", nothing_to_do(args.remove));
    }
    for (dn, _) in policy.links().filter(|(_, disabled)| *disabled) {
        say!("note: the link at `{dn}` is disabled, so computers there do not apply the policy");
    }
    let view = View {
        domain: policy.domain().to_owned(),
        controller: policy.controller().to_owned(),
        name: policy.name(),
        id: policy.id(),
        linked_to: policy.links().map(|(dn, _)| dn.to_owned()).collect(),
        version: policy.version(),
        changed: !steps.is_empty(),
    };
    context.output.record(&view, COLUMNS)
}

fn nothing_to_do(remove: bool) -> &'static str {
    match remove {
        true => "nothing to remove: AD holds no group policy object of this tenant",
        false => "nothing to change: the group policy object is as it should be",
    }
}

/// The steps. The settings are followed by what they do to tickets: each host or suffix whose tickets come from the
/// tenant's realm from then on.
fn planned(steps: &[GpoStep], mapped: &[String], realm: &str) -> Vec<Value> {
    let mut planned = Vec::new();
    for step in steps {
        planned.push(step.to_string());
        if matches!(step, GpoStep::Settings(_)) {
            let mapping = |name| format!("in Registry.pol: map `{name}` to realm `{realm}`");
            planned.extend(mapped.iter().map(mapping));
        }
    }
    planned.iter().map(|step| json!({"step": step})).collect()
}

fn show_plan(
    steps: &[GpoStep],
    mapped: &[String],
    realm: &str,
    context: &Context,
) -> Result<(), Failure> {
    let planned = planned(steps, mapped, realm);
    say!("nothing was changed");
    let columns = &[column("Step", "/step")];
    context
        .output
        .list(&planned, columns, "there is nothing to do")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// S1: the plan shows each name that computers are to ask the tenant's realm for.
    #[test]
    fn the_plan_names_each_mapped_host() {
        let steps = [GpoStep::CreateFolder, GpoStep::Settings(vec![0; 10])];
        let mapped = ["files.contoso.com".to_owned(), ".cloud.example".to_owned()];
        let planned = planned(&steps, &mapped, "KERBEROS.CONTOSO.CLOUD.EXAMPLE");
        let lines: Vec<&str> = planned
            .iter()
            .filter_map(|line| line["step"].as_str())
            .collect();
        assert_eq!(lines.len(), 4);
        for name in &mapped {
            let line = format!("map `{name}` to realm `KERBEROS.CONTOSO.CLOUD.EXAMPLE`");
            assert!(lines.iter().any(|one| one.ends_with(&line)), "{lines:?}");
        }
    }
}
