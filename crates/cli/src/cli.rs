//! The command line itself: which commands there are, and which module runs each of them.
//!
//! A command is added here when it works. Each noun has a module in [`crate::commands`] with its arguments
//! and `async fn run(args, &Context) -> Result<(), Failure>`; adding one takes a variant of [`Command`] and a line in
//! [`Command::run`].

use crate::activity;
use crate::commands::{
    access, admin, client, completions, connect, connector, context as contexts, doctor, events,
    files, group, init, kerberos_server, login, man, master_key, serve, service_principal, share,
    status, storage_account, sync, tenant, trusted_domain_object, user, whoami,
};
use crate::context::{Context, Global};
use crate::examples;
use crate::failure::Failure;
use crate::hints::caller::{self, Caller};
use crate::output::Format;
use crate::sanitize::one_line;
use crate::terminal::say;
use clap::error::{ContextKind, ContextValue};
use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
use std::ffi::OsString;

/// A cloud trust for Active Directory: its users open file shares in the cloud.
#[derive(Parser, Debug)]
#[command(name = "crossrealm", version, about, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

impl Cli {
    /// The command line of this process; ends it with exit code 2 for wrong usage, 0 for help.
    pub(crate) fn parse_or_exit() -> Self {
        let parsed = examples::added_to(Self::command())
            .try_get_matches()
            .and_then(|mut matches| Self::from_arg_matches_mut(&mut matches));
        parsed.unwrap_or_else(|error| {
            let error = with_plain_usage(error);
            if error.use_stderr() && wants_json(std::env::args_os().skip(1)) {
                // The parser's message without its own `error: `, and without the usage.
                let message = error.render().to_string();
                let message = message.split("\n\nUsage:").next().unwrap_or_default();
                let message = message.trim_start_matches("error: ").trim();
                let failure = Failure::usage(one_line(&message.replace('\n', " ")));
                say!("{}", failure.json_line());
                std::process::exit(error.exit_code());
            }
            error.exit()
        })
    }

    /// The format of the output.
    pub(crate) fn format(&self) -> Format {
        self.global.output
    }
}

/// Whether arguments that the parser refused ask for JSON.
fn wants_json(arguments: impl Iterator<Item = OsString>) -> bool {
    let mut arguments = arguments.map(|argument| argument.to_string_lossy().into_owned());
    while let Some(argument) = arguments.next() {
        let value = match argument.as_str() {
            "-o" | "--output" => arguments.next(),
            "--" => return false,
            other => ["--output=", "-o=", "-o"]
                .iter()
                .find_map(|prefix| other.strip_prefix(prefix))
                .map(str::to_owned),
        };
        if let Some(value) = value {
            return value == "json";
        }
    }
    false
}

/// The error with the usage of its command. The parser's own shows what was given as if it were required, also what came from
/// the environment.
fn with_plain_usage(mut error: clap::Error) -> clap::Error {
    if error.get(ContextKind::Usage).is_none() {
        return error;
    }
    let mut root = Cli::command();
    root.build();
    let mut command = &root;
    for word in std::env::args_os().skip(1) {
        command = command.find_subcommand(&word).unwrap_or(command);
    }
    let usage = ContextValue::StyledStr(command.clone().render_usage());
    error.insert(ContextKind::Usage, usage);
    error
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Create an installation: configuration, database, certificates and the first administrator's token
    Init(init::Args),
    /// Verify a service, and remember it with its private CA and a tenant: later commands use them
    Connect(connect::Args),
    /// Manage the contexts that `connect` remembered
    #[command(subcommand)]
    Context(contexts::Args),
    /// Sign in as an administrator, with password and one-time code; later commands use the session
    Login(login::Args),
    /// Revoke the token of `--token-file` or `CROSSREALM_TOKEN`; without one, end the session of `login`
    Logout,
    /// Show who the token of this command line is, and until when
    Whoami,
    /// Show a tenant on one screen: service, trust, sync, SMB hosts, certificate, and what needs a person
    Status,
    /// Manage administrators and their roles
    #[command(subcommand)]
    Admin(admin::Args),
    /// Replace the key under which every other key is sealed
    #[command(subcommand)]
    MasterKey(master_key::Args),
    /// Run the service (KDC proxy and API) until SIGTERM or Ctrl-C
    Serve(serve::Args),
    /// Manage tenants: the organisations that the service serves
    #[command(subcommand)]
    Tenant(tenant::Args),
    /// Manage the trust between AD and a tenant, and the Kerberos server object
    #[command(subcommand)]
    KerberosServer(kerberos_server::Args),
    /// Manage the trusted domain object in AD alone
    #[command(subcommand)]
    TrustedDomainObject(trusted_domain_object::Args),
    /// Synchronize users, groups and memberships of an AD domain to a tenant
    #[command(subcommand)]
    Sync(sync::Args),
    /// Manage connectors: the tokens of sync agents, one for each AD domain
    #[command(subcommand)]
    Connector(connector::Args),
    /// Manage the users of a tenant
    #[command(subcommand)]
    User(user::Args),
    /// Show the groups of a tenant
    #[command(subcommand)]
    Group(group::Args),
    /// Manage storage accounts: named SMB endpoints with two Kerberos keys
    #[command(subcommand)]
    StorageAccount(storage_account::Args),
    /// Manage service principals: Kerberos services other than storage accounts
    #[command(subcommand)]
    ServicePrincipal(service_principal::Args),
    /// Manage shares, their quotas, grants and permissions
    #[command(subcommand)]
    Share(share::Args),
    /// Show who may open a share, and what a user may open
    #[command(subcommand)]
    Access(access::Args),
    /// Run the SMB host of a storage account
    #[command(subcommand)]
    Files(files::Args),
    /// Configure workstations for a tenant
    #[command(subcommand)]
    Client(client::Args),
    /// Diagnose why a share does not open: check each hop of the ticket and report the first fault
    Doctor(doctor::Args),
    /// Show audit events: tickets requested and changes made, each with who, what and why
    Events(events::Args),
    /// Print the script that lets a shell complete commands, options and the names of accounts, shares and tenants
    ///
    /// bash: add `source <(crossrealm completions bash)` to ~/.bashrc. zsh: the same in ~/.zshrc, with `zsh`. fish: write it to
    /// ~/.config/fish/completions/crossrealm.fish
    Completions(completions::Args),
    /// Write the manual pages of all commands to a folder
    Man(man::Args),
}

impl Cli {
    /// Runs the command to its end.
    pub(crate) fn run(self) -> Result<(), Failure> {
        let context = Context::new(self.global);
        init_tracing();
        let runtime = tokio::runtime::Runtime::new()
            .map_err(|error| Failure::new(format!("cannot start the runtime: {error}")))?;
        runtime.block_on(self.command.run(&context))
    }
}

impl Command {
    /// Whose token the command sends.
    fn caller(&self) -> Caller {
        match self {
            Self::Sync(sync::Args::Run { .. }) => Caller::SyncAgent,
            Self::Sync(_) => Caller::AdministratorOrSyncAgent,
            Self::Files(_) => Caller::SmbHost,
            _ => Caller::Administrator,
        }
    }

    /// What a person at a terminal reads while the command says nothing more exact; `None` for what ends at once, and for services,
    /// which log.
    fn doing(&self) -> Option<&'static str> {
        Some(match self {
            Self::Completions(_) | Self::Man(_) | Self::Sync(sync::Args::Run { .. }) => {
                return None;
            }
            Self::Serve(args) if !args.is_check() => return None,
            Self::Serve(_) => "checking the installation",
            Self::Files(files::Args::Worker) => return None,
            Self::Files(files::Args::Serve(_)) => "starting the SMB host",
            Self::Init(_) => "creating the installation",
            Self::MasterKey(_) => "sealing every key under a new master key",
            Self::Doctor(_) => "looking at this machine",
            Self::KerberosServer(_) | Self::TrustedDomainObject(_) => {
                "looking for the domain controller"
            }
            _ => "waiting for the service",
        })
    }

    async fn run(self, context: &Context) -> Result<(), Failure> {
        caller::set(self.caller());
        if let Some(doing) = self.doing() {
            activity::doing(doing);
        }
        match self {
            Self::Init(args) => init::run(args, context).await,
            Self::Serve(args) => serve::run(args, context).await,
            Self::Connect(args) => connect::run(args, context).await,
            Self::Context(args) => contexts::run(args, context),
            Self::Login(args) => login::run(args, context).await,
            Self::Logout => login::end(context).await,
            Self::Whoami => whoami::run(context).await,
            Self::Status => status::run(context).await,
            Self::Access(args) => access::run(args, context).await,
            Self::Admin(args) => admin::run(args, context).await,
            Self::MasterKey(args) => master_key::run(args, context).await,
            Self::Tenant(args) => tenant::run(args, context).await,
            Self::KerberosServer(args) => Box::pin(kerberos_server::run(args, context)).await,
            Self::Sync(args) => sync::run(args, context).await,
            Self::TrustedDomainObject(args) => trusted_domain_object::run(args, context).await,
            Self::Connector(args) => connector::run(args, context).await,
            Self::User(args) => user::run(args, context).await,
            Self::Group(args) => group::run(args, context).await,
            Self::StorageAccount(args) => storage_account::run(args, context).await,
            Self::ServicePrincipal(args) => service_principal::run(args, context).await,
            Self::Share(args) => share::run(args, context).await,
            Self::Files(args) => files::run(args, context).await,
            Self::Client(args) => client::run(args, context).await,
            Self::Doctor(args) => doctor::run(args, context).await,
            Self::Events(args) => events::run(args, context).await,
            Self::Completions(args) => completions::run(&args),
            Self::Man(args) => man::run::<Cli>(&args, context),
        }
    }
}

/// Logs go to stderr; `CROSSREALM_LOG` chooses what, e.g. `info,crossrealm_files=debug`.
///
/// An untrusted server is reported once, as the failure of the command, and not by the verifier too.
fn init_tracing() {
    let filter =
        tracing_subscriber::EnvFilter::try_from_env("CROSSREALM_LOG").unwrap_or_else(|_| {
            tracing_subscriber::EnvFilter::new("info,rustls_platform_verifier=off")
        });
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(false)
        .with_writer(|| crate::terminal::Log)
        .init();
}
