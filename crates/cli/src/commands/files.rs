//! `crossrealm files`: the SMB host of a storage account on this machine.

use crate::context::Context;
use crate::failure::Failure;
use crate::output::write_stdout;
use clap::Subcommand;
use crossrealm_files::{FilesError, Listen, Options, Progress};
use std::path::PathBuf;
use tokio::signal::unix::{SignalKind, signal};

/// What can be done with SMB hosts.
#[derive(Subcommand, Debug)]
pub enum Args {
    /// Serve a storage account by SMB until SIGTERM or Ctrl-C; needs root and the packages of Samba
    Serve {
        /// The storage account
        #[arg(long, value_name = "NAME")]
        account: String,
        /// Folder of the data; the files of a share are in DIR/ACCOUNT/shares/SHARE and are never deleted
        #[arg(long, value_name = "DIR", default_value = "/var/lib/crossrealm/files")]
        data: PathBuf,
        /// Folder of this host's own state, on a local disk [default: DATA/.host/ACCOUNT]
        #[arg(long, value_name = "DIR")]
        state: Option<PathBuf>,
        /// Address of this machine to listen on, with or without a port [default: 0.0.0.0:445]
        #[arg(long, value_name = "ADDR")]
        listen: Option<Listen>,
    },
    /// The host's inner process; `serve` starts it
    #[command(hide = true)]
    Inside,
}

impl From<FilesError> for Failure {
    fn from(error: FilesError) -> Self {
        Self::new(error.to_string()).maybe_hint(error.hint())
    }
}

/// Runs `crossrealm files`.
pub async fn run(args: Args, context: &Context) -> Result<(), Failure> {
    let Args::Serve {
        account,
        data,
        state,
        listen,
    } = args
    else {
        // It has told the outer process why, which tells the person.
        let code = if crossrealm_files::inside::run().await {
            0
        } else {
            3
        };
        std::process::exit(code);
    };
    let program = std::env::current_exe()
        .map_err(|error| Failure::new(format!("cannot find this program itself: {error}")))?;
    let options = Options {
        tenant: context.tenant()?.to_owned(),
        data: absolute(data)?,
        state: state.map(absolute).transpose()?,
        listen: listen.unwrap_or_default(),
        inside: vec![program.into(), "files".into(), "inside".into()],
        account,
    };
    let stop = stop_signal()?;
    crossrealm_files::serve(context.client()?, options, stop, announce).await?;
    Ok(())
}

fn announce(progress: Progress) {
    let Progress::Serving {
        host,
        listen,
        shares,
    } = progress;
    let shares = match shares {
        1 => "1 share".to_owned(),
        n => format!("{n} shares"),
    };
    // A reader that does not listen any more is no reason to stop serving.
    let _ = write_stdout(&format!(
        "serving {host} with {shares} on {}\n",
        listen.address()
    ));
}

fn absolute(path: PathBuf) -> Result<PathBuf, Failure> {
    std::path::absolute(&path)
        .map_err(|error| Failure::new(format!("`{}` is no folder: {error}", path.display())))
}

/// Completes at the first SIGTERM or SIGINT.
pub fn stop_signal() -> Result<impl Future<Output = ()>, Failure> {
    let failed = |error| Failure::new(format!("cannot wait for signals: {error}"));
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}
