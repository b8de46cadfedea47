//! `crossrealm init`: the first run. Makes everything that `serve` needs, and never overwrites anything.

use crate::config::{Config, Limits, Tls, resolve_store};
use crate::tls::certificates;
use crossrealm_directory::{
    Actor, Directory, DirectoryError, MasterKey, MasterKeyError, NewToken, TokenRole,
    check_new_store, shown_store_url,
};
use crossrealm_types::AdministratorRole;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use time::OffsetDateTime;
use zeroize::Zeroizing;

const CONFIG: &str = "crossrealm.toml";
const MASTER_KEY: &str = "master.key";
const CA: &str = "tls/ca.pem";
const CA_KEY: &str = "tls/ca.key";
const CERTIFICATE: &str = "tls/login.pem";
const CERTIFICATE_KEY: &str = "tls/login.key";
const ADMIN_TOKEN: &str = "admin.token";

/// The options of a first run.
#[derive(Clone, Debug)]
pub struct InitOptions {
    /// The folder for everything. Made where it does not exist.
    pub dir: PathBuf,
    /// The DNS domain that the operator owns.
    pub base_domain: String,
    /// The database: `sqlite:PATH`, a relative path is in `dir`; or `postgres://USER@HOST/DATABASE` without a password, made
    /// and empty.
    pub store: String,
    /// Where HTTPS is to be served.
    pub https_listen: SocketAddr,
    /// Where Kerberos over TCP and UDP is to be served, if at all.
    pub kdc_listen: Option<SocketAddr>,
}

/// What a first run has made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InitReport {
    /// The configuration file, for `serve --config`.
    pub config: PathBuf,
    /// The first administrator's token, mode 0600.
    pub admin_token: PathBuf,
    /// The private authority that clients must trust; `None` where a certificate was there already.
    pub ca: Option<PathBuf>,
    /// Where the service will answer.
    pub url: String,
}

/// Why a first run was refused or failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InitError {
    /// An option makes no sense.
    #[error("`{option} {value}` is not valid: {reason}")]
    Option {
        /// The option.
        option: &'static str,
        /// What was given.
        value: String,
        /// What is wrong with it.
        reason: String,
    },
    /// There is an installation already.
    #[error("there is an installation in `{}` already: {}", .dir.display(), .found.join(", "))]
    Present {
        /// The folder.
        dir: PathBuf,
        /// The files in it.
        found: Vec<String>,
    },
    /// An earlier first run did not come to its end.
    #[error("an earlier `init` in `{}` did not finish: {}", .dir.display(), .found.join(", "))]
    Unfinished {
        /// The folder.
        dir: PathBuf,
        /// What it left behind.
        found: Vec<String>,
    },
    /// Only one of certificate and key is there.
    #[error("`{}` is there without `{}`", .present.display(), .absent.display())]
    HalfCertificate {
        /// The file that is there.
        present: PathBuf,
        /// The file that is not.
        absent: PathBuf,
    },
    /// A file or folder cannot be written.
    #[error("cannot write `{}`: {reason}", .path.display())]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// What the operating system says.
        reason: String,
    },
    /// The certificates could not be made.
    #[error("cannot make the certificates: {0}")]
    Certificates(String),
    /// The master key could not be made.
    #[error(transparent)]
    MasterKey(#[from] MasterKeyError),
    /// The database could not be made.
    #[error(transparent)]
    Store(#[from] DirectoryError),
}

impl InitError {
    /// What to do next, where that is known.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Present { dir, .. } => Some(format!(
                "start it with `crossrealm serve --config {}`, or give another folder with `--dir`; nothing was changed",
                dir.join(CONFIG).display()
            )),
            Self::Unfinished { .. } => Some(
                "nothing serves from there yet: remove these files and run `init` again".into(),
            ),
            Self::HalfCertificate { .. } => Some(
                "give both to use a certificate of your own, or neither to have one made".into(),
            ),
            Self::Write { .. } => {
                Some("check the folder's owner and mode, and the space on its disk".into())
            }
            Self::MasterKey(error) => error.hint().map(ToOwned::to_owned),
            Self::Store(error) => error.hint().map(ToOwned::to_owned),
            Self::Option { .. } | Self::Certificates(_) => None,
        }
    }
}

/// Makes an installation in `options.dir`: configuration, master key, certificates, database, first token.
///
/// The configuration is written last: where it is there, everything else is.
///
/// # Errors
///
/// [`InitError`]. Where anything of an installation is there already, nothing is changed.
pub async fn init(options: &InitOptions) -> Result<InitReport, InitError> {
    let dir = options.dir.as_path();
    let own_certificate = refuse_what_is_there(dir, &options.store)?;
    let config = configuration(options, own_certificate && !dir.join(CA).exists());
    config.check().map_err(|(key, reason)| {
        let (option, value) = match key {
            "base_domain" => ("--base-domain", options.base_domain.clone()),
            _ => ("--store", shown_store_url(&options.store)),
        };
        InitError::Option {
            option,
            value,
            reason,
        }
    })?;
    refuse_a_store_in_no_folder(&options.store, dir)?;
    check_new_store(&config.store).await?;
    make_dir(dir)?;
    make_dir(&dir.join("tls"))?;
    if !own_certificate {
        write_certificates(dir, &config.base_domain)?;
    }
    let master_key = MasterKey::create(&dir.join(MASTER_KEY))?;
    let token = first_token(&resolve_store(&config.store, dir), master_key).await?;
    write_new(
        &dir.join(ADMIN_TOKEN),
        0o600,
        format!("{}\n", *token).as_bytes(),
    )?;
    let text = render(&config).map_err(|reason| InitError::Write {
        path: dir.join(CONFIG),
        reason,
    })?;
    write_new(&dir.join(CONFIG), 0o644, text.as_bytes())?;
    Ok(InitReport {
        config: dir.join(CONFIG),
        admin_token: dir.join(ADMIN_TOKEN),
        ca: config.tls.ca.as_ref().map(|ca| dir.join(ca)),
        url: match config.https_listen.port() {
            443 => format!("https://{}", config.login_host()),
            port => format!("https://{}:{port}", config.login_host()),
        },
    })
}

/// Whether the operator has put a certificate of their own there; refuses everything else that is there.
fn refuse_what_is_there(dir: &Path, store: &str) -> Result<bool, InitError> {
    let store = resolve_store(store, Path::new(""));
    let database = store.strip_prefix("sqlite:").unwrap_or_default();
    let own_files = [CONFIG, MASTER_KEY, ADMIN_TOKEN, CA_KEY, database];
    let mut found: Vec<String> = own_files
        .into_iter()
        .filter(|name| !name.is_empty() && dir.join(name).exists())
        .map(ToOwned::to_owned)
        .collect();
    let (certificate, key) = (dir.join(CERTIFICATE), dir.join(CERTIFICATE_KEY));
    if !found.is_empty() {
        let tls = [CA, CERTIFICATE, CERTIFICATE_KEY];
        found.extend(
            tls.into_iter()
                .filter(|name| dir.join(name).exists())
                .map(Into::into),
        );
        let dir = dir.to_owned();
        return Err(match found.iter().any(|name| name == CONFIG) {
            true => InitError::Present { dir, found },
            false => InitError::Unfinished { dir, found },
        });
    }
    match (certificate.exists(), key.exists()) {
        (true, true) => Ok(true),
        (false, false) => Ok(false),
        (true, false) => Err(InitError::HalfCertificate {
            present: certificate,
            absent: key,
        }),
        (false, true) => Err(InitError::HalfCertificate {
            present: key,
            absent: certificate,
        }),
    }
}

/// A database outside `dir` needs a folder that is there: said before anything is made, so that a corrected run finds
/// nothing in its way.
fn refuse_a_store_in_no_folder(store: &str, dir: &Path) -> Result<(), InitError> {
    let store_in_dir = resolve_store(store, dir);
    let Some(database) = store_in_dir.strip_prefix("sqlite:") else {
        return Ok(());
    };
    match Path::new(database).parent() {
        Some(folder) if folder != dir && !folder.is_dir() => Err(InitError::Option {
            option: "--store",
            value: store.to_owned(),
            reason: format!("there is no folder `{}`", folder.display()),
        }),
        _ => Ok(()),
    }
}

fn configuration(options: &InitOptions, public_certificate: bool) -> Config {
    Config {
        base_domain: options.base_domain.to_ascii_lowercase(),
        store: options.store.clone(),
        https_listen: options.https_listen,
        kdc_listen: options.kdc_listen,
        public_port: None,
        master_key: MASTER_KEY.into(),
        tls: Tls {
            certificate: CERTIFICATE.into(),
            key: CERTIFICATE_KEY.into(),
            ca: (!public_certificate).then(|| CA.into()),
        },
        limits: Limits::default(),
    }
}

fn render(config: &Config) -> Result<String, String> {
    let body = toml::to_string_pretty(config).map_err(|error| error.to_string())?;
    Ok(format!(
        "# Crossrealm. Written by `crossrealm init`; read by `crossrealm serve` when it starts.\n\
         # Relative paths are relative to this file.\n\n{body}"
    ))
}

fn write_certificates(dir: &Path, base_domain: &str) -> Result<(), InitError> {
    let made = certificates::generate(base_domain, OffsetDateTime::now_utc())
        .map_err(|error| InitError::Certificates(error.to_string()))?;
    write_new(&dir.join(CA_KEY), 0o600, made.ca_key.as_bytes())?;
    write_new(
        &dir.join(CERTIFICATE_KEY),
        0o600,
        made.server_key.as_bytes(),
    )?;
    write_new(&dir.join(CERTIFICATE), 0o644, made.server.as_bytes())?;
    write_new(&dir.join(CA), 0o644, made.ca.as_bytes())
}

async fn first_token(store: &str, master_key: MasterKey) -> Result<Zeroizing<String>, InitError> {
    let directory = Directory::open(store, master_key).await?;
    let token = NewToken {
        tenant: None,
        role: TokenRole::Administrator(AdministratorRole::GlobalAdministrator),
        name: "bootstrap".into(),
        expires_at: None,
    };
    let made = directory.create_token(&Actor::local("init"), token).await;
    directory.close().await;
    Ok(made?.0)
}

fn make_dir(path: &Path) -> Result<(), InitError> {
    std::fs::create_dir_all(path).map_err(|error| write_error(path, &error))
}

/// Writes a new file with its final mode from the first byte on, and waits until it is on disk.
fn write_new(path: &Path, mode: u32, bytes: &[u8]) -> Result<(), InitError> {
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(path)
        .and_then(|mut file| {
            file.write_all(bytes)?;
            file.sync_all()
        })
        .map_err(|error| write_error(path, &error))
}

fn write_error(path: &Path, error: &std::io::Error) -> InitError {
    InitError::Write {
        path: path.to_owned(),
        reason: error.to_string(),
    }
}
