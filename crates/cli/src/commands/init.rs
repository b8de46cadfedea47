//! `crossrealm init`: creates an installation of the service.

use crate::context::Context;
use crate::failure::Failure;
use crate::hints;
use crate::output::{Column, column};
use crate::terminal::say;
use crossrealm_cloud::{InitError, InitOptions};
use serde::Serialize;
use std::net::SocketAddr;
use std::path::PathBuf;

/// The default directory of an installation.
pub(crate) const DEFAULT_DIR: &str = "/var/lib/crossrealm";

/// The arguments of `crossrealm init`.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Directory of the installation; created if it does not exist
    #[arg(long, default_value = DEFAULT_DIR)]
    dir: PathBuf,
    /// DNS domain that you own; the service answers at login.BASE-DOMAIN
    #[arg(long, value_name = "D")]
    base_domain: String,
    /// Database: `sqlite:PATH`, relative to DIR; or `postgres://USER@HOST/DATABASE`, with the password in the file that
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
    ca: Option<PathBuf>,
}

const COLUMNS: &[Column] = &[
    column("Url", "/url"),
    column("Config", "/config"),
    column("AdminToken", "/admin_token"),
    column("Ca", "/ca"),
];

impl From<InitError> for Failure {
    fn from(error: InitError) -> Self {
        Self::new(error.to_string()).maybe_hint(hints::server::of_init(&error))
    }
}

/// Runs `crossrealm init`.
pub(crate) async fn run(args: Args, context: &Context) -> Result<(), Failure> {
    let dir = std::path::absolute(&args.dir).map_err(|error| {
        Failure::new(format!(
            "`{}` is not a directory: {error}",
            args.dir.display()
        ))
    })?;
    let report = crossrealm_cloud::init(&InitOptions {
        dir,
        base_domain: args.base_domain,
        store: args.store,
        https_listen: args.https_listen,
        kdc_listen: args.kdc_listen,
    })
    .await?;
    let created = Created {
        url: report.url,
        config: report.config,
        admin_token: report.admin_token,
        ca: report.ca,
    };
    context.output.record(&created, COLUMNS)?;
    say!(
        "\nnext: `crossrealm serve --config {}`, and in another terminal\n  export CROSSREALM_SERVER={}\n  export CROSSREALM_TOKEN=\"$(cat {})\"",
        created.config.display(),
        created.url,
        created.admin_token.display(),
    );
    if let Some(ca) = &created.ca {
        say!("  export CROSSREALM_CA={}", ca.display());
    }
    say!("  crossrealm tenant create NAME");
    Ok(())
}
