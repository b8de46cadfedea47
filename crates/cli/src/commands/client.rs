//! `crossrealm client`: what workstations need to know of a tenant.

use crate::client_config::krb5::{self, KdcOf};
use crate::context::Context;
use crate::failure::Failure;
use crate::keytab::replace;
use crate::output::write_stdout;
use clap::{Subcommand, ValueEnum};
use crossrealm_api::ClientConfig;
use std::path::{Path, PathBuf};

/// Where the private CA is expected when the configuration is printed and nobody said where it is.
const USUAL_CA: &str = "/etc/crossrealm/ca.pem";

/// What can be done for clients.
#[derive(Subcommand, Debug)]
pub enum Args {
    /// Write the configuration that lets a workstation get tickets for the tenant's shares
    Config {
        /// What to write
        #[arg(long, value_enum)]
        format: ConfigFormat,
        /// File to write; the private CA, where there is one, is put beside it [default: stdout]
        #[arg(long, value_name = "PATH")]
        out: Option<PathBuf>,
        /// Domain controller of the AD domain, by name or address [default: found by DNS]
        #[arg(long, value_name = "HOST")]
        dc: Option<String>,
        /// Map the tenant's hosts to its realm, for clients whose KDC sends no referrals
        #[arg(long)]
        map_hosts: bool,
    },
}

/// The kinds of configuration.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum ConfigFormat {
    /// MIT Kerberos on Linux and macOS, as a drop-in of /etc/krb5.conf.d or a file for KRB5_CONFIG
    #[value(name = "krb5.conf")]
    Krb5Conf,
}

/// Runs `crossrealm client`.
pub async fn run(args: Args, context: &Context) -> Result<(), Failure> {
    let Args::Config {
        format: ConfigFormat::Krb5Conf,
        out,
        dc,
        map_hosts,
    } = args;
    let config = context.client()?.client_config(context.tenant()?).await?;
    if config.ad_realms.is_empty() {
        eprintln!(
            "note: no AD domain trusts the tenant yet, so the file names none; `crossrealm kerberos-server set --setup-cloud-trust` makes the trust"
        );
    }
    let kdc = match dc {
        Some(host) => KdcOf::Host(host),
        None => KdcOf::Dns,
    };
    match out {
        Some(path) => write(&config, &kdc, map_hosts, &path),
        None => print(&config, &kdc, map_hosts, context),
    }
}

fn write(config: &ClientConfig, kdc: &KdcOf, map_hosts: bool, out: &Path) -> Result<(), Failure> {
    let out = std::path::absolute(out)
        .map_err(|error| Failure::new(format!("`{}` is no file: {error}", out.display())))?;
    // Not `.conf`, and not a name without a dot: neither kind is read from /etc/krb5.conf.d as configuration.
    let ca_path = out.with_extension("ca.pem");
    let ca = config.ca_pem.as_ref().map(|pem| (pem, ca_path));
    let anchor = ca.as_ref().map(|(_, path)| path.as_path());
    let text = krb5::render(config, kdc, map_hosts, anchor)?;
    let files = ca
        .iter()
        .map(|(pem, path)| (path.as_path(), pem.as_str()))
        .chain([(out.as_path(), text.as_str())]);
    for (path, text) in files {
        replace(path, text.as_bytes(), 0o644)
            .map_err(|error| Failure::new(format!("cannot write `{}`: {error}", path.display())))?;
        eprintln!("wrote `{}`", path.display());
    }
    Ok(())
}

fn print(
    config: &ClientConfig,
    kdc: &KdcOf,
    map_hosts: bool,
    context: &Context,
) -> Result<(), Failure> {
    let given = context.ca_path().map(std::path::absolute).transpose();
    let given = given.map_err(|error| Failure::new(format!("cannot name the CA file: {error}")))?;
    let anchor = config.ca_pem.as_ref().map(|_| {
        given.unwrap_or_else(|| {
            eprintln!("note: put the private CA at `{USUAL_CA}`, or let `--out PATH` write it");
            PathBuf::from(USUAL_CA)
        })
    });
    write_stdout(&krb5::render(config, kdc, map_hosts, anchor.as_deref())?)
}
