//! `crossrealm master-key`: the key under which every other key of an installation is sealed.

use crate::context::Context;
use crate::failure::Failure;
use crate::installation;
use crate::output::{Column, column};
use crate::terminal::say;
use clap::Subcommand;
use serde::Serialize;
use std::path::PathBuf;

/// What can be done with the master key.
#[derive(Subcommand, Debug)]
pub(crate) enum Args {
    /// Give the installation a new master key: everything in the database is sealed anew. Runs on the service's machine while
    /// no node of the service runs
    Rotate {
        /// Configuration file that `crossrealm init` wrote [default: /etc/crossrealm/crossrealm.toml]
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
    },
}

#[derive(Serialize)]
struct Rotated {
    master_key: String,
    earlier: Option<String>,
    kerberos_keys: Option<usize>,
    trust_passwords: Option<usize>,
    authenticators: Option<usize>,
}

const ROTATED: &[Column] = &[
    column("MasterKey", "/master_key"),
    column("Earlier", "/earlier"),
    column("KerberosKeys", "/kerberos_keys"),
    column("TrustPasswords", "/trust_passwords"),
    column("Authenticators", "/authenticators"),
];

/// Runs `crossrealm master-key`.
pub(crate) async fn run(args: Args, context: &Context) -> Result<(), Failure> {
    let Args::Rotate { config } = args;
    let config = config.unwrap_or_else(installation::usual_config);
    let rotated = crossrealm_cloud::rotate_master_key(&config).await?;
    let count = |of: fn(&crossrealm_cloud::Resealed) -> usize| rotated.resealed.as_ref().map(of);
    let shown = Rotated {
        master_key: rotated.master_key.display().to_string(),
        earlier: rotated
            .earlier
            .as_ref()
            .map(|path| path.display().to_string()),
        kerberos_keys: count(|of| of.kerberos_keys),
        trust_passwords: count(|of| of.trust_passwords),
        authenticators: count(|of| of.authenticators),
    };
    context.output.record(&shown, ROTATED)?;
    say!(
        "back the new key up, apart from the database, and copy it to every other node before it starts"
    );
    if let Some(earlier) = &shown.earlier {
        say!(
            "keep `{earlier}` with the backups of before, which need it, and remove it from this machine"
        );
    }
    Ok(())
}
