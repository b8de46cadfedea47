//! `crossrealm init`: creates an installation of the service.

use crate::context::Context;
use crate::failure::Failure;
use crate::hints;
use crate::input_file::{MAX_CA_BYTES, read_bounded};
use crate::installation;
use crate::output::{Column, column};
use crate::terminal::say;
use crossrealm_api::Authority;
use crossrealm_cloud::{InitError, InitOptions};
use crossrealm_types::{NameError, TenantName};
use serde::Serialize;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// The arguments of `crossrealm init`.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Directory of the whole installation; created if it does not exist [default: /etc/crossrealm for configuration and keys,
    /// /var/lib/crossrealm for the rest]
    #[arg(long)]
    dir: Option<PathBuf>,
    /// DNS domain that you own; the service answers at login.BASE-DOMAIN
    #[arg(long, value_name = "D")]
    base_domain: String,
    /// Create this tenant too
    #[arg(long, value_name = "NAME", value_parser = tenant_name)]
    tenant: Option<String>,
    /// Database: `sqlite:PATH`, relative to DIR or /var/lib/crossrealm; or `postgres://USER@HOST/DATABASE`, with the password in the file that
    /// PGPASSFILE names
    #[arg(long, value_name = "URL", default_value = "sqlite:crossrealm.db")]
    store: String,
    /// Address of the HTTPS listener: KDC proxy and API
    #[arg(long, value_name = "ADDR", default_value = "0.0.0.0:443")]
    https_listen: SocketAddr,
    /// Address of the Kerberos listener over TCP and UDP, e.g. 0.0.0.0:88 [default: none]
    #[arg(long, value_name = "ADDR")]
    kdc_listen: Option<SocketAddr>,
}

/// What was created, and where.
#[derive(Serialize)]
struct Created {
    url: String,
    config: PathBuf,
    admin_token: PathBuf,
    master_key: PathBuf,
    ca: Option<PathBuf>,
    /// The SHA-256 fingerprint of the private CA.
    ca_fingerprint: Option<String>,
    tenant: Option<String>,
}

const COLUMNS: &[Column] = &[
    column("Url", "/url"),
    column("Config", "/config"),
    column("AdminToken", "/admin_token"),
    column("MasterKey", "/master_key"),
    column("Ca", "/ca"),
    column("CaFingerprint", "/ca_fingerprint"),
    column("Tenant", "/tenant"),
];

impl From<InitError> for Failure {
    fn from(error: InitError) -> Self {
        Self::new(error.to_string()).maybe_hint(hints::server::of_init(&error))
    }
}

/// Runs `crossrealm init`.
pub(crate) async fn run(args: Args, context: &Context) -> Result<(), Failure> {
    let (dir, state) = match &args.dir {
        Some(dir) => (absolute(dir)?, None),
        None => (
            PathBuf::from(installation::CONFIG_DIR),
            Some(PathBuf::from(installation::STATE_DIR)),
        ),
    };
    let report = crossrealm_cloud::init(&InitOptions {
        dir,
        state,
        base_domain: args.base_domain,
        tenant: args.tenant.as_deref().and_then(|name| name.parse().ok()),
        store: args.store,
        https_listen: args.https_listen,
        kdc_listen: args.kdc_listen,
    })
    .await?;
    let created = Created {
        url: report.url,
        config: report.config,
        admin_token: report.admin_token,
        master_key: report.master_key,
        ca_fingerprint: report.ca.as_deref().map(fingerprint).transpose()?,
        ca: report.ca,
        tenant: args.tenant,
    };
    context.output.record(&created, COLUMNS)?;
    say!(
        "keep a copy of `{}` elsewhere: without it the database cannot be read",
        created.master_key.display()
    );
    context.suggest(&installation::start_command(&created.config));
    let fingerprint = created.ca_fingerprint.as_deref();
    let fingerprint = fingerprint.map_or_else(String::new, |f| format!(" --fingerprint {f}"));
    context.suggest(&format!(
        "crossrealm connect {}{fingerprint} --token-file {}",
        created.url,
        created.admin_token.display()
    ));
    Ok(())
}

fn absolute(dir: &Path) -> Result<PathBuf, Failure> {
    std::path::absolute(dir)
        .map_err(|error| Failure::new(format!("`{}` is not a directory: {error}", dir.display())))
}

/// The name of a tenant, checked. It stays text: the option replaces the global one of the same name, which the environment may
/// set.
fn tenant_name(text: &str) -> Result<String, NameError> {
    text.parse::<TenantName>().map(|name| name.to_string())
}

/// The fingerprint of the CA in a file.
fn fingerprint(ca: &Path) -> Result<String, Failure> {
    let pem = read_bounded(ca, MAX_CA_BYTES, "CA")?;
    let authority = Authority::from_pem(String::from_utf8_lossy(&pem))?;
    Ok(authority.fingerprint.to_string())
}
