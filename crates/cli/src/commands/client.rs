//! `crossrealm client`: configuration of workstations for a tenant.

use crate::client_config::krb5::{self, KdcOf};
use crate::client_config::settings::{ClientOptions, settings};
use crate::client_config::{
    CheckedConfig, intune, preg, private_ca_notes, reg, system, warn_of_unmapped,
};
use crate::commands::deploy_gpo;
use crate::context::Context;
use crate::failure::Failure;
use crate::input_file::read_bounded;
use crate::terminal::{say, write_bytes, write_stdout};
use crate::trust_anchor::FingerprintArgs;
use clap::{Subcommand, ValueEnum};
use crossrealm_api::{Client, ClientConfig};
use crossrealm_onprem::trust::AdNames;
use crossrealm_os::file::replace;
use crossrealm_types::registry_pol::registry_pol;
use std::fmt::Display;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// The path of the private CA in a printed configuration, unless `--ca` names it.
const DEFAULT_CA: &str = "/etc/crossrealm/ca.pem";
/// The longest configuration that this command writes.
const MAX_CONFIG_BYTES: usize = 1 << 20;
/// The most earlier files that are kept beside one that this command writes.
const MOST_KEPT: u32 = 99;

/// What can be done for clients.
#[derive(Subcommand, Debug)]
pub(crate) enum Args {
    /// Write the configuration that lets a workstation get tickets for the tenant's shares
    Config(Config),
    /// Create or update a group policy object in AD with the configuration for Windows
    DeployGpo(deploy_gpo::Args),
}

/// The arguments of `client config`.
#[derive(clap::Args, Debug)]
pub(crate) struct Config {
    /// Format to write
    #[arg(long, value_enum, default_value = "krb5.conf")]
    format: ConfigFormat,
    /// File to write (for `gpo`: directory); a private CA is written beside it [default: stdout]
    #[arg(long, value_name = "PATH")]
    out: Option<PathBuf>,
    /// Configure this machine: write /etc/krb5.conf.d/crossrealm.conf, and include that directory in /etc/krb5.conf, which Debian's
    /// does not by itself
    #[arg(long, conflicts_with = "out")]
    install: bool,
    #[command(flatten)]
    fingerprint: FingerprintArgs,
    /// Domain controller of the AD domain, by name or address, for `krb5.conf` [default: found by DNS]
    #[arg(long, value_name = "HOST")]
    dc: Option<String>,
    /// Map all of the tenant's hosts to its realm, for clients whose KDC sends no referrals; needs the token of an administrator
    ///
    /// Hosts outside the tenant's top-level names are always mapped: no referral leads to them.
    #[arg(long)]
    map_hosts: bool,
    /// Disable Windows' revocation check of the KDC proxy's certificate, for a private CA without a revocation list
    #[arg(long)]
    no_revocation_check: bool,
    /// Write the reverse, which removes the same settings; for `krb5.conf`: delete the file that was written
    #[arg(long)]
    undo: bool,
}

/// The kinds of configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ConfigFormat {
    /// MIT Kerberos on Linux and macOS, as a drop-in of /etc/krb5.conf.d or a file for KRB5_CONFIG
    #[value(name = "krb5.conf")]
    Krb5Conf,
    /// Windows: a file for `regedit` or `reg import`
    Reg,
    /// Windows: a custom configuration profile for Intune, as JSON that Microsoft Graph imports
    Intune,
    /// Windows: a folder with Machine/Registry.pol, GPT.INI, and the same as text for LGPO.exe
    Gpo,
}

/// Runs `crossrealm client`.
pub(crate) async fn run(args: Args, context: &Context) -> Result<(), Failure> {
    let args = match args {
        Args::Config(args) => args,
        Args::DeployGpo(args) => return deploy_gpo::run(args, context).await,
    };
    if args.install && args.format != ConfigFormat::Krb5Conf {
        return Err(Failure::new("`--install` configures Linux, by `krb5.conf`")
            .hint("leave out `--format`, or write a file with `--out PATH`"));
    }
    if args.undo && args.format == ConfigFormat::Krb5Conf {
        return remove_krb5(args.krb5_path().as_deref());
    }
    let config = fetch(&args, context).await?;
    let (config, refused) = CheckedConfig::new(config, AdNames::default())?;
    warn_of_unmapped(&config, &refused);
    if config.ad_realms.is_empty() && !args.undo {
        say!(
            "note: no AD domain trusts the tenant yet; `crossrealm kerberos-server set --setup-cloud-trust` sets up the trust"
        );
    }
    match args.format {
        ConfigFormat::Krb5Conf => krb5_conf(&config, args, context),
        ConfigFormat::Reg => {
            let bytes = reg::render(&settings(&config, args.options())?, args.undo);
            file(&config, &args, &bytes)
        }
        ConfigFormat::Intune => {
            let text = intune::render(&config, args.options(), args.undo)?;
            file(&config, &args, text.as_bytes())
        }
        ConfigFormat::Gpo => folder(&config, &args),
    }
}

/// What the tenant's clients are configured with. Only the hosts that every client finds by a referral need a token.
async fn fetch(args: &Config, context: &Context) -> Result<ClientConfig, Failure> {
    let tenant = context.tenant()?;
    if args.map_hosts {
        return Ok(context.client()?.client_config(tenant).await?);
    }
    let server = context.server()?;
    let ca = args.fingerprint.ca_pem(server, context).await?;
    let client = Client::new(server, None, ca.as_deref().map(str::as_bytes))?;
    Ok(client.public_client_config(tenant).await?)
}

impl Config {
    /// The `krb5.conf` to write or delete.
    fn krb5_path(&self) -> Option<PathBuf> {
        match self.install {
            true => Some(Path::new(system::DROP_INS).join("crossrealm.conf")),
            false => self.out.clone(),
        }
    }

    fn options(&self) -> ClientOptions {
        ClientOptions {
            map_hosts: self.map_hosts,
            no_revocation_check: self.no_revocation_check,
        }
    }
}

fn krb5_conf(config: &CheckedConfig, args: Config, context: &Context) -> Result<(), Failure> {
    let path = args.krb5_path();
    let kdc = args.dc.map_or(KdcOf::Dns, KdcOf::Host);
    let Some(out) = path else {
        return print(config, &kdc, args.map_hosts, context);
    };
    if args.install {
        system::make_drop_ins()?;
    }
    let out = absolute(&out)?;
    let ca_path = ca_beside(&out);
    let anchor = config.ca_pem.as_ref().map(|_| ca_path.as_path());
    let text = krb5::render(config, &kdc, args.map_hosts, anchor)?;
    write_ca(config, &ca_path)?;
    write(&out, text.as_bytes())?;
    if args.install {
        include_drop_ins()?;
    }
    if let [realm, ..] = config.ad_realms.as_slice() {
        context.suggest(&format!("kinit USER@{}", realm.realm));
    }
    Ok(())
}

/// Lets the system's `krb5.conf` include the directory of drop-ins; the file that was there is kept beside it.
fn include_drop_ins() -> Result<(), Failure> {
    let path = Path::new(system::CONFIG);
    let present = match path.exists() {
        true => read_bounded(path, MAX_CONFIG_BYTES, "configuration")?,
        false => Vec::new(),
    };
    match system::with_drop_ins(&present) {
        Some(text) => write(path, &text),
        None => Ok(()),
    }
}

/// Deletes what `--out` wrote, and no other file.
fn remove_krb5(out: Option<&Path>) -> Result<(), Failure> {
    let out = out.ok_or_else(|| {
        Failure::new("no file given").hint("give `--out PATH`, the file to delete")
    })?;
    let out = absolute(out)?;
    let text = read_bounded(&out, MAX_CONFIG_BYTES, "configuration")?;
    if !krb5::is_ours(&String::from_utf8_lossy(&text)) {
        return Err(Failure::new(format!(
            "`{}` was not written by this command, and is kept",
            out.display()
        )));
    }
    for path in [ca_beside(&out), out] {
        match std::fs::remove_file(&path) {
            Ok(()) => say!("deleted `{}`", path.display()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => {
                let message = format!("cannot delete `{}`: {error}", path.display());
                return Err(Failure::new(message));
            }
        }
    }
    Ok(())
}

/// One file, or stdout.
fn file(config: &CheckedConfig, args: &Config, bytes: &[u8]) -> Result<(), Failure> {
    match &args.out {
        None => write_bytes(bytes)?,
        Some(out) => {
            let out = absolute(out)?;
            write(&out, bytes)?;
            if !args.undo {
                write_ca(config, &ca_beside(&out))?;
            }
        }
    }
    show_notes(config, args);
    Ok(())
}

/// The policy folder.
fn folder(config: &CheckedConfig, args: &Config) -> Result<(), Failure> {
    let settings = settings(config, args.options())?;
    let out = args
        .out
        .as_ref()
        .ok_or_else(|| Failure::new("a policy is a directory of files").hint("give `--out DIR`"))?;
    let out = absolute(out)?;
    let machine = out.join("Machine");
    std::fs::create_dir_all(&machine)
        .map_err(|error| Failure::new(format!("cannot create `{}`: {error}", machine.display())))?;
    let pol = registry_pol(&settings, args.undo);
    write(&machine.join("Registry.pol"), &pol)?;
    write(&out.join("GPT.INI"), preg::gpt_ini().as_bytes())?;
    let text = preg::lgpo(&settings, args.undo);
    write(&out.join("lgpo.txt"), text.as_bytes())?;
    if !args.undo {
        write_ca(config, &out.join("ca.pem"))?;
    }
    show_notes(config, args);
    Ok(())
}

/// Notes on what a Windows workstation needs beside the files.
fn show_notes(config: &CheckedConfig, args: &Config) {
    if args.undo {
        say!(
            "note: this disables KDC proxies and mappings of other realms too, where the computer has some"
        );
        return;
    }
    private_ca_notes(config, args.no_revocation_check);
}

/// Not `.conf`, and not a name without a dot: /etc/krb5.conf.d reads both as configuration.
fn ca_beside(out: &Path) -> PathBuf {
    out.with_extension("ca.pem")
}

fn write_ca(config: &CheckedConfig, path: &Path) -> Result<(), Failure> {
    match &config.ca_pem {
        Some(pem) => write(path, pem.as_bytes()),
        None => Ok(()),
    }
}

/// Replaces a file, or creates it. What somebody else wrote there is kept beside it.
fn write(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    keep_foreign(path, bytes)?;
    replace(path, bytes, 0o644)
        .map_err(|error| Failure::new(format!("cannot write `{}`: {error}", path.display())))?;
    say!("wrote `{}`", path.display());
    Ok(())
}

/// Keeps a file that this command did not write: all but a `krb5.conf` that says so, and what would be written anyway.
fn keep_foreign(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let failed = |reason: &dyn Display| {
        let message = format!(
            "cannot keep the file that is at `{}`: {reason}",
            path.display()
        );
        Failure::new(message).hint("give another path")
    };
    match std::fs::symlink_metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed(&error)),
        Ok(found) if !found.is_file() => return Err(failed(&"it is no regular file")),
        Ok(_) => {}
    }
    let present = read_bounded(path, MAX_CONFIG_BYTES, "file")?;
    if present == bytes || krb5::is_ours(&String::from_utf8_lossy(&present)) {
        return Ok(());
    }
    let kept = (1..=MOST_KEPT).find_map(|number| {
        let mut name = path.as_os_str().to_owned();
        name.push(format!(".orig{number}"));
        // Unlike a rename, this replaces nothing.
        match std::fs::hard_link(path, &name) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => None,
            linked => Some(linked.map(|()| PathBuf::from(name))),
        }
    });
    let kept = kept.unwrap_or_else(|| Err(ErrorKind::AlreadyExists.into()));
    let kept = kept.map_err(|error: std::io::Error| failed(&error))?;
    say!("kept the file that was there as `{}`", kept.display());
    Ok(())
}

fn absolute(path: &Path) -> Result<PathBuf, Failure> {
    std::path::absolute(path)
        .map_err(|error| Failure::new(format!("`{}` is not a path: {error}", path.display())))
}

fn print(
    config: &CheckedConfig,
    kdc: &KdcOf,
    map_hosts: bool,
    context: &Context,
) -> Result<(), Failure> {
    let given = context.ca_path()?.map(std::path::absolute).transpose();
    let given = given.map_err(|error| {
        Failure::new(format!("cannot resolve the path of the CA file: {error}"))
    })?;
    let anchor = config.ca_pem.as_ref().map(|_| {
        given.unwrap_or_else(|| {
            say!("note: copy the private CA to `{DEFAULT_CA}`, or let `--out PATH` write it");
            PathBuf::from(DEFAULT_CA)
        })
    });
    write_stdout(&krb5::render(config, kdc, map_hosts, anchor.as_deref())?)
}
