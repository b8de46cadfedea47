//! `crossrealm files`: the SMB host of storage accounts on this machine.

use crate::activity;
use crate::context::Context;
use crate::failure::Failure;
use crate::hints;
use crate::input_file::token_in;
use crate::join_file::JoinFile;
use crate::signs_of_life::Signs;
use crate::terminal::{self, say, write_stdout};
use clap::Subcommand;
use crossrealm_api::{Authority, Client, DismissalKey, SecretText};
use crossrealm_files::{FilesError, Listen, Options, Progress, SealKey};
use crossrealm_os::service_manager;
use std::path::PathBuf;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// What can be done with SMB hosts.
#[derive(Subcommand, Debug)]
pub(crate) enum Args {
    /// Serve storage accounts over SMB until SIGTERM or Ctrl-C; needs root and Samba's packages
    Serve(Serve),
    /// The worker process of an SMB host; `serve` starts it
    #[command(name = "inside", hide = true)]
    Worker,
}

/// How to serve.
#[derive(clap::Args, Debug)]
pub(crate) struct Serve {
    /// Storage account; may be given more than once, with one `--listen` for each in the same order
    #[arg(
        long = "account",
        value_name = "NAME",
        required_unless_present = "join"
    )]
    accounts: Vec<String>,
    /// Join file of `crossrealm storage-account host-token`, in place of `--account`, a token and the options for the service; may
    /// be given more than once
    #[arg(long, value_name = "FILE", conflicts_with_all = ["accounts", "host_tokens", "token_file"])]
    join: Vec<PathBuf>,
    /// Directory with the host token of each account in a file `NAME.token`, for several accounts
    #[arg(long, value_name = "DIR", conflicts_with = "token_file")]
    host_tokens: Option<PathBuf>,
    /// Data directory; the files of a share are in DIR/ACCOUNT/shares/SHARE and are never deleted
    #[arg(long, value_name = "DIR", default_value = crossrealm_files::DEFAULT_DATA)]
    data: PathBuf,
    /// Directory of this host's own state, on a local disk that users cannot fill; with several accounts each uses DIR/ACCOUNT
    /// [default: /var/lib/crossrealm/smb/ACCOUNT]
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
    /// Address of this machine to listen on, with or without a port [default: 0.0.0.0:445]
    #[arg(long = "listen", value_name = "ADDR")]
    listen: Vec<Listen>,
    /// Directory of snapshots, shown to users as previous versions; those of a share are
    /// DIR/ACCOUNT/SHARE/@GMT-2026.01.31-23.59.59, named by their time in UTC. The host neither creates nor deletes them
    #[arg(long, value_name = "DIR")]
    snapshots: Option<PathBuf>,
    /// Name of this host in its reports to the service [default: the machine's host name]
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
}

impl From<FilesError> for Failure {
    fn from(error: FilesError) -> Self {
        Self::new(error.to_string()).maybe_hint(hints::server::of_files(&error))
    }
}

/// Runs `crossrealm files`.
pub(crate) async fn run(args: Args, context: &Context) -> Result<(), Failure> {
    let Args::Serve(serve) = args else {
        // It has reported the reason to the supervisor, which prints it.
        let code = if crossrealm_files::worker::run().await {
            0
        } else {
            3
        };
        std::process::exit(code);
    };
    let next = workstation_command(&serve, context)?;
    let hosts = hosts(serve, context)?;
    let stop = stop_signal()?;
    let (stopping, stopped) = watch::channel(false);
    let mut running = JoinSet::new();
    for (client, options) in hosts {
        let mut stopped = stopped.clone();
        let stop = async move {
            // An end without a word is one too.
            let _ = stopped.wait_for(|stopping| *stopping).await;
        };
        let next = next.clone();
        let announce = move |progress| announce(progress, &next);
        running.spawn(crossrealm_files::serve(client, options, stop, announce));
    }
    until_all_ended(running, stop, &stopping).await
}

/// Waits until every account's host ended. A host whose token was revoked is reported and leaves the others alone; any
/// other failure ends all: something is wrong with the command or the machine.
async fn until_all_ended(
    mut running: JoinSet<Result<(), FilesError>>,
    stop: impl Future<Output = ()>,
    stopping: &watch::Sender<bool>,
) -> Result<(), Failure> {
    let mut stop = std::pin::pin!(stop);
    let mut dismissed = Vec::new();
    let mut failure = None;
    let mut signs = Signs::new();
    loop {
        let ended = tokio::select! {
            () = signs.due() => {
                service_manager::alive();
                continue;
            }
            () = &mut stop, if !*stopping.borrow() => {
                service_manager::stopping();
                stopping.send_replace(true);
                continue;
            }
            ended = running.join_next() => ended,
        };
        let error = match ended {
            None => break,
            Some(Ok(Ok(()))) => continue,
            Some(Ok(Err(error))) => error,
            Some(Err(error)) => {
                return Err(Failure::new(format!(
                    "the host of an account failed: {error}"
                )));
            }
        };
        match error {
            FilesError::Terminated { ref account, .. } if !running.is_empty() => {
                dismissed.push(format!("`{account}`"));
                say!("{}", Failure::from(error));
            }
            error => {
                stopping.send_replace(true);
                failure.get_or_insert(Failure::from(error));
            }
        }
    }
    match failure {
        Some(failure) => Err(failure),
        None if dismissed.is_empty() => Ok(()),
        None => Err(Failure::new(format!(
            "the service wanted {} served no more; the reason is above",
            dismissed.join(", ")
        ))),
    }
}

/// What to serve, and with which client: one item for each account.
fn hosts(serve: Serve, context: &Context) -> Result<Vec<(Client, Options)>, Failure> {
    let served = served(&serve, context)?;
    let count = served.len();
    let several = count > 1;
    if several && serve.listen.len() != count {
        return Err(Failure::new(format!(
            "{count} accounts need {count} addresses, and {} were given",
            serve.listen.len()
        ))
        .hint("give one `--listen ADDR` for each `--account` or `--join`, in the same order"));
    }
    if serve.listen.len() > count {
        return Err(Failure::new("one account listens on one address")
            .hint("leave `--listen` out to listen on every address of the machine"));
    }
    for (at, Served { account, .. }) in served.iter().enumerate() {
        if served[..at].iter().any(|before| before.account == *account) {
            return Err(Failure::new(format!("account `{account}` is given twice")));
        }
    }
    let program = std::env::current_exe()
        .map_err(|error| Failure::new(format!("cannot find this program itself: {error}")))?;
    let data = absolute(serve.data)?;
    let state = serve.state.map(absolute).transpose()?;
    let snapshots = serve.snapshots.map(absolute).transpose()?;
    let name = match serve.name {
        Some(name) => name,
        None => machine_name(),
    };
    let mut listen = serve.listen.into_iter();
    let mut hosts = Vec::new();
    for one in served {
        let Served {
            account,
            tenant,
            token,
            client,
        } = one;
        let options = Options {
            tenant,
            data: data.clone(),
            state: match (&state, several) {
                (Some(folder), true) => Some(folder.join(&account)),
                (state, _) => state.clone(),
            },
            listen: listen.next().unwrap_or_default(),
            snapshots: snapshots.clone(),
            name: name.clone(),
            seal_key: SealKey::of_token(&token),
            dismissal_key: DismissalKey::of_token(&token),
            worker: vec![program.clone().into(), "files".into(), "inside".into()],
            account,
        };
        hosts.push((client, options));
    }
    Ok(hosts)
}

/// An account to serve, and how to reach its tenant.
struct Served {
    account: String,
    tenant: String,
    token: SecretText,
    client: Client,
}

/// The accounts of the join files, or those that are named.
fn served(serve: &Serve, context: &Context) -> Result<Vec<Served>, Failure> {
    let mut served = Vec::new();
    for path in &serve.join {
        let file = JoinFile::read(path)?;
        let account = file.account(path)?.to_owned();
        let context = context.joined(file);
        served.push(Served {
            account,
            tenant: context.tenant()?.to_owned(),
            token: context.token()?,
            client: context.client()?,
        });
    }
    for account in &serve.accounts {
        let token = match &serve.host_tokens {
            Some(folder) => token_in(&folder.join(format!("{account}.token")))?,
            None => context.token()?,
        };
        served.push(Served {
            account: account.clone(),
            tenant: context.tenant()?.to_owned(),
            client: context.client_with(token.clone())?,
            token,
        });
    }
    Ok(served)
}

/// The host name of the machine, with what the service takes as a name.
fn machine_name() -> String {
    let text = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let good = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    let name: String = text.trim().chars().filter(good).take(63).collect();
    if name.is_empty() {
        "host".to_owned()
    } else {
        name
    }
}

/// The command that configures a workstation for the shares of this host.
fn workstation_command(serve: &Serve, context: &Context) -> Result<String, Failure> {
    let joined = match serve.join.first() {
        Some(path) => Some(context.joined(JoinFile::read(path)?)),
        None => None,
    };
    let context = joined.as_ref().unwrap_or(context);
    let fingerprint = match context.ca_pem()? {
        // A bundle of several authorities has no fingerprint.
        Some(pem) => Authority::from_pem(String::from_utf8_lossy(&pem)).map_or_else(
            |_| String::new(),
            |ca| format!(" --fingerprint {}", ca.fingerprint),
        ),
        None => String::new(),
    };
    let (server, tenant) = (context.server()?, context.tenant()?);
    Ok(format!(
        "crossrealm client config --install --server {server} --tenant {tenant}{fingerprint}"
    ))
}

fn announce(progress: Progress, next: &str) {
    let Progress::Serving {
        host,
        listen,
        shares,
    } = progress;
    let shares = match shares {
        1 => "1 share".to_owned(),
        n => format!("{n} shares"),
    };
    activity::end();
    let serving = format!("serving {host} with {shares} on {}", listen.address());
    service_manager::ready(&serving);
    // A reader that does not listen any more is no reason to stop serving.
    let _ = write_stdout(&format!("{serving}\n"));
    // A service manager starts the host again and again; its log needs no advice.
    if terminal::stderr_is_terminal() {
        say!("next, on a workstation: `{next}`");
    }
}

fn absolute(path: PathBuf) -> Result<PathBuf, Failure> {
    std::path::absolute(&path)
        .map_err(|error| Failure::new(format!("`{}` is no folder: {error}", path.display())))
}

/// Completes at the first SIGTERM or SIGINT.
pub(crate) fn stop_signal() -> Result<impl Future<Output = ()>, Failure> {
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
