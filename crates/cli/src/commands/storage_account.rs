//! `crossrealm storage-account`: named SMB endpoints with two Kerberos keys each.

use super::share::quota;
use crate::commands::share;
use crate::consent::ConsentArgs;
use crate::context::Context;
use crate::failure::Failure;
use crate::join_file::Member;
use crate::keytab;
use crate::output;
use crate::output::{Column, Done, Format, column, shown, time_column};
use crate::terminal::{say, write_stdout};
use crate::token_file::TokenFileArgs;
use clap::Subcommand;
use crossrealm_api::{
    Client, Host, HostTokenCreate, HostTokenCreated, RotateAccountKey, StorageAccountDelete,
};
use crossrealm_types::{HostToken, KeySlot, StorageAccount, StorageAccountCreate};
use serde::Serialize;
use serde_json::Value;
use std::path::{Path, PathBuf};
use uuid::Uuid;

/// What can be done with storage accounts.
#[derive(Subcommand, Debug)]
pub(crate) enum Args {
    /// Create a storage account
    Create {
        /// Name: 3 to 24 lower-case letters and digits
        name: String,
        /// Additional host name of the account; may be given more than once
        #[arg(long = "alias", value_name = "HOST")]
        aliases: Vec<String>,
        /// Create a token for its first host too, in a join file for `files serve`
        #[arg(long, value_name = "FILE")]
        join: Option<PathBuf>,
    },
    /// List the storage accounts
    List,
    /// Show a storage account
    Show {
        /// Name of the account
        name: String,
    },
    /// Add and remove the account's other host names
    #[command(subcommand)]
    Alias(AliasArgs),
    /// Delete a storage account that has no shares, and its keys; files on its host are kept
    Delete {
        /// Name of the account
        name: String,
        /// Delete its shares too; their files on the host are kept all the same
        #[arg(long)]
        force: bool,
        #[command(flatten)]
        consent: ConsentArgs,
    },
    /// Replace one of the two keys; the other one stays valid
    RotateKey {
        /// Name of the account
        name: String,
        /// The key to replace
        #[arg(long)]
        key: KeySlot,
        /// Rotate although a host lacks the key that will encrypt tickets; tickets fail there until the host has fetched it
        #[arg(long)]
        force: bool,
    },
    /// Write the account's keys as an MIT keytab, for an SMB server that `files serve` does not run
    Keytab {
        /// Name of the account
        name: String,
        /// File to write, readable by its owner alone
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
    /// List the hosts that serve the account, with their sessions
    Hosts {
        /// Name of the account
        name: String,
    },
    /// Create a token for one host that runs `files serve`; it grants access to this account alone
    HostToken {
        /// Name of the account
        name: String,
        /// Name of the token, e.g. that of the machine; shown in lists and events
        #[arg(long = "for", value_name = "HOST", default_value = "")]
        host: String,
        #[command(flatten)]
        file: TokenFileArgs,
    },
    /// List the tokens of the account's hosts
    HostTokens {
        /// Name of the account
        name: String,
    },
    /// Revoke the token of a host; a host that uses it stops serving
    RevokeHostToken {
        /// Name of the account
        name: String,
        /// Id of the token, from `host-tokens`
        #[arg(value_parser = token_id)]
        id: Uuid,
        #[command(flatten)]
        consent: ConsentArgs,
    },
}

/// What can be done with aliases.
#[derive(Subcommand, Debug)]
pub(crate) enum AliasArgs {
    /// Add a host name; a name outside the tenant's top-level names needs a global administrator
    Add {
        /// Name of the account
        name: String,
        /// DNS name
        #[arg(value_name = "HOST")]
        alias: String,
    },
    /// Remove a host name; tickets for it are refused from then on
    Remove {
        /// Name of the account
        name: String,
        /// DNS name
        #[arg(value_name = "HOST")]
        alias: String,
    },
}

const LIST: &[Column] = &[
    column("Name", "/name"),
    column("Host", "/host"),
    column("Aliases", "/aliases"),
    column("DefaultPermission", "/default_permission"),
];

const RECORD: &[Column] = &[
    column("Name", "/name"),
    column("Host", "/host"),
    column("Aliases", "/aliases"),
    column("DefaultPermission", "/default_permission"),
    shown("Keys", "/keys", keys),
    time_column("CreatedAt", "/created_at"),
];

const SHOWN: &[Column] = &[
    column("Name", "/name"),
    column("Host", "/host"),
    column("Aliases", "/aliases"),
    column("DefaultPermission", "/default_permission"),
    shown("Keys", "/keys", keys),
    time_column("CreatedAt", "/created_at"),
    shown("Hosts", "/hosts", hosts),
];

/// An account with the hosts that serve it.
#[derive(Serialize)]
struct Shown {
    #[serde(flatten)]
    account: StorageAccount,
    #[serde(serialize_with = "output::with_times")]
    hosts: Vec<Host>,
}

/// A host, with the times of its report.
#[derive(Serialize)]
struct ShownHost(#[serde(serialize_with = "output::with_times")] Host);

const HOSTS: &[Column] = &[
    column("Name", "/name"),
    column("Listen", "/listen"),
    column("Serving", "/serving"),
    column("Silent", "/silent"),
    column("UpToDate", "/up_to_date"),
    column("Kvnos", "/kvnos"),
    time_column("ReportedAt", "/reported_at"),
    column("Problem", "/problem"),
    shown("Quotas", "/quotas", quota::of_shares),
    shown("Sessions", "/sessions", sessions),
];

/// Sessions as `CORP\alice from 10.0.0.7 (projects)`.
fn sessions(sessions: &Value) -> String {
    let shown = sessions.as_array().into_iter().flatten().map(|session| {
        format!(
            "{} from {} ({})",
            output::plain(&session["user"]),
            output::plain(&session["client"]),
            output::plain(&session["shares"])
        )
    });
    shown.collect::<Vec<_>>().join("; ")
}

const TOKENS: &[Column] = &[
    column("Id", "/id"),
    column("For", "/name"),
    time_column("CreatedAt", "/created_at"),
    time_column("RevokedAt", "/revoked_at"),
];

/// Keys as `kerb1 kvno 1 (encrypts), kerb2 kvno 2`.
pub(super) fn keys(keys: &Value) -> String {
    let shown = keys.as_array().into_iter().flatten().map(|key| {
        let name = key["name"].as_str().unwrap_or_default();
        let encrypts = if key["seals"] == true {
            " (encrypts)"
        } else {
            ""
        };
        format!("{name} kvno {}{encrypts}", key["kvno"])
    });
    shown.collect::<Vec<_>>().join(", ")
}

/// Hosts as `fs1 (serving on 10.0.0.5:445, state up to date, 3 sessions, kvno 1 and 2, 12 GiB free of 40)`.
fn hosts(hosts: &Value) -> String {
    let shown = hosts.as_array().into_iter().flatten().map(|host| {
        let text = |name: &str| host[name].as_str().unwrap_or_default();
        let does = match (host["silent"] == true, host["serving"] == true) {
            (true, _) => format!("silent since {}", output::time(&host["reported_at"])),
            (false, true) => format!("serving on {}", text("listen")),
            (false, false) => "not serving".to_owned(),
        };
        let mut facts = vec![does];
        facts.extend(match &host["up_to_date"] {
            Value::Bool(true) => Some("state up to date".to_owned()),
            Value::Bool(false) => Some("state not the newest".to_owned()),
            _ => None,
        });
        let kvnos = host["kvnos"].as_array().into_iter().flatten();
        let kvnos: Vec<String> = kvnos.map(Value::to_string).collect();
        facts.push(format!("sessions {}", host["session_count"]));
        facts.push(format!("kvno {}", kvnos.join(" and ")));
        let gib = |name: &str| host[name].as_u64().map(|bytes| bytes >> 30);
        if let (Some(free), Some(size)) = (gib("disk_free_bytes"), gib("disk_bytes")) {
            facts.push(format!("{free} of {size} GiB free"));
        }
        for daemon in ["smbd", "winbindd"] {
            let restarts = host[format!("{daemon}_restarts")].as_u64().unwrap_or(0);
            if restarts > 0 {
                facts.push(format!("{daemon} restarted {restarts} times"));
            }
        }
        if let Some(problem) = host["problem"].as_str() {
            facts.push(problem.to_owned());
        }
        format!("{} ({})", text("name"), facts.join(", "))
    });
    shown.collect::<Vec<_>>().join("; ")
}

/// What is lost with an account; an error where the account is not deleted without `--force`.
async fn losses(
    client: &Client,
    tenant: &str,
    name: &str,
    force: bool,
) -> Result<Vec<String>, Failure> {
    let account = client.storage_account(tenant, name).await?;
    let shares = client.shares(tenant, name).await?;
    if !force && !shares.is_empty() {
        let failure = Failure::new(format!("`{name}` has {} shares", shares.len()));
        return Err(failure.hint("`--force` deletes them too"));
    }
    let tokens = client.host_tokens(tenant, name).await?;
    let mut lost = vec![format!(
        "the storage account `{name}` and its keys: nobody gets tickets for `{}`",
        account.host
    )];
    let aliases = account.aliases.iter();
    lost.extend(aliases.map(|alias| format!("its alias `{alias}`")));
    let valid = tokens.iter().filter(|token| token.revoked_at.is_none());
    lost.extend(valid.map(|token| format!("the host token `{}`", token.name)));
    lost.extend(shares.iter().flat_map(share::losses));
    Ok(lost)
}

/// What is lost with a host token.
fn lost_token(token: &HostToken) -> String {
    format!(
        "the host token `{}`: a host that uses it stops serving, and its open connections end",
        token.name
    )
}

/// Runs `crossrealm storage-account`.
pub(crate) async fn run(args: Args, context: &Context) -> Result<(), Failure> {
    let (client, tenant) = (context.client()?, context.tenant()?);
    match args {
        Args::Create {
            name,
            aliases,
            join,
        } => {
            let account = StorageAccountCreate { name, aliases };
            let account = client.create_storage_account(tenant, &account).await?;
            if let Some(path) = join {
                let file = TokenFileArgs::join_file(path);
                let token = host_token(&account.name, "", &file, context);
                let without = format!("storage account `{}` was created without it", account.name);
                token.await.map_err(|failure| failure.and(&without))?;
            }
            context.output.record(&account, RECORD)?;
            let account = &account.name;
            context.suggest(&format!(
                "crossrealm share create {account}/SHARE --to PRINCIPAL --role ROLE"
            ));
            Ok(())
        }
        Args::List => {
            let accounts = client.storage_accounts(tenant).await?;
            context.output.list(
                &accounts,
                LIST,
                "no storage accounts; `crossrealm storage-account create NAME` creates one",
            )
        }
        Args::Show { name } => {
            let account = client.storage_account(tenant, &name).await?;
            let hosts = client.hosts(tenant, &name).await?;
            context.output.record(&Shown { account, hosts }, SHOWN)
        }
        Args::Alias(AliasArgs::Add { name, alias }) => {
            let account = client.add_alias(tenant, &name, &alias).await?;
            context.output.record(&account, RECORD)
        }
        Args::Alias(AliasArgs::Remove { name, alias }) => {
            client.remove_alias(tenant, &name, &alias).await?;
            context.output.done(&Done {
                action: "removed",
                object: "alias",
                name: &alias,
                on: Some(&name),
                effect: "tickets for it are refused from now on",
            })
        }
        Args::Delete {
            name,
            force,
            consent,
        } => {
            let question = consent.question(context.output);
            if question.is_put()
                && !question.is_consented(&losses(&client, tenant, &name, force).await?)
            {
                return question.not_consented();
            }
            let how = StorageAccountDelete { with_shares: force };
            client.delete_storage_account(tenant, &name, &how).await?;
            context.output.done(&Done {
                action: "deleted",
                object: "storage account",
                name: &name,
                on: None,
                effect: "files on its hosts are kept",
            })
        }
        Args::RotateKey { name, key, force } => {
            let rotate = RotateAccountKey { key, force };
            let rotated = client
                .rotate_storage_account_key(tenant, &name, &rotate)
                .await?;
            for warning in &rotated.warnings {
                say!("warning: {warning}");
            }
            context.output.record(&rotated, RECORD)
        }
        Args::Keytab { name, out } => {
            let answer = client.storage_account_keytab(tenant, &name).await?;
            keytab::write(&answer, &out, context)
        }
        Args::Hosts { name } => {
            let hosts = client.hosts(tenant, &name).await?;
            let nothing =
                "no host has reported; `crossrealm files serve --account NAME` starts one";
            let hosts: Vec<ShownHost> = hosts.into_iter().map(ShownHost).collect();
            context.output.list(&hosts, HOSTS, nothing)
        }
        Args::HostToken { name, host, file } => {
            let created = host_token(&name, &host, &file, context).await?;
            show_token(&created, file.path(), context)?;
            if let Some(path) = file.join() {
                context.suggest(&format!("crossrealm files serve --join {}", path.display()));
            }
            Ok(())
        }
        Args::HostTokens { name } => {
            let tokens = client.host_tokens(tenant, &name).await?;
            let nothing =
                "no host tokens; `crossrealm storage-account host-token NAME` creates one";
            context.output.list(&tokens, TOKENS, nothing)
        }
        Args::RevokeHostToken { name, id, consent } => {
            let question = consent.question(context.output);
            if question.is_put() {
                let tokens = client.host_tokens(tenant, &name).await?;
                let found = tokens.iter().find(|one| one.id == id);
                let found = found.ok_or_else(|| {
                    Failure::new(format!("`{name}` has no host token `{id}`")).hint(format!(
                        "`crossrealm storage-account host-tokens {name}` shows those there are"
                    ))
                })?;
                if !question.is_consented(&[lost_token(found)]) {
                    return question.not_consented();
                }
            }
            let id = id.to_string();
            client.revoke_host_token(tenant, &name, &id).await?;
            context.output.done(&Done {
                action: "revoked",
                object: "host token",
                name: &id,
                on: Some(&name),
                effect: "a host that uses it stops serving",
            })
        }
    }
}

/// A token's id on the command line.
fn token_id(text: &str) -> Result<Uuid, String> {
    text.parse()
        .map_err(|_| "expected an id, as `host-tokens` shows it".into())
}

/// Creates a token for a host, in a file where one is wanted. Without a name it is named after the account.
async fn host_token(
    account: &str,
    host: &str,
    file: &TokenFileArgs,
    context: &Context,
) -> Result<HostTokenCreated, Failure> {
    let (client, tenant) = (context.client()?, context.tenant()?);
    let name = match host {
        "" => format!("host of {account}"),
        host => host.to_owned(),
    };
    let new = HostTokenCreate { name };
    let created = client.create_host_token(tenant, account, &new).await?;
    let id = created.host_token.id.to_string();
    let revoke = client.revoke_host_token(tenant, account, &id);
    let member = Member::SmbHost(account.to_owned());
    file.write_or_revoke(&created.token, member, context, revoke)
        .await?;
    Ok(created)
}

/// Shows the new token's record; without a file the token too, alone on stdout.
fn show_token(
    created: &HostTokenCreated,
    out: Option<&Path>,
    context: &Context,
) -> Result<(), Failure> {
    match (out, context.output) {
        (Some(path), _) => {
            say!("wrote `{}`", path.display());
            context.output.record(&created.host_token, TOKENS)
        }
        (None, Format::Json) => context.output.record(created, TOKENS),
        (None, Format::Table) => {
            say!("token `{}`, shown this once:", created.host_token.id);
            write_stdout(&format!("{}\n", created.token.expose()))
        }
    }
}
