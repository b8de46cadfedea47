//! Creates an installation: everything that the service needs to start. Nothing is overwritten.

use crate::config::{Config, Limits, Tls, resolve_store};
use crate::tls::certificates;
use crossrealm_directory::{
    Actor, Directory, DirectoryError, MasterKey, MasterKeyError, NewTenant, NewToken, TokenRole,
    check_new_store, shown_store_url,
};
use crossrealm_os::clock;
use crossrealm_types::{AdministratorRole, TenantName};
use std::fs::{DirBuilder, OpenOptions};
use std::io::Write as _;
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, lchown};
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
/// How long the first token can be used where it creates nobody, in seconds: 72 hours. A forgotten file must not be a key
/// for ever.
const FIRST_TOKEN_LIFE_S: i64 = 72 * 3600;

/// The options of a new installation.
#[derive(Clone, Debug)]
pub struct InitOptions {
    /// The directory of the installation, created if it does not exist.
    pub dir: PathBuf,
    /// The directory of what the service writes, database and certificates, where that is another one. What is created there
    /// belongs to its owner.
    pub state: Option<PathBuf>,
    /// The DNS domain that the operator owns.
    pub base_domain: String,
    /// The name of the first tenant, if one is created.
    pub tenant: Option<TenantName>,
    /// The database: `sqlite:PATH`, relative to `state` or `dir`; or `postgres://USER@HOST/DATABASE` without a password, which exists and
    /// is empty.
    pub store: String,
    /// The address of HTTPS.
    pub https_listen: SocketAddr,
    /// The address of Kerberos over TCP and UDP, if it is served there.
    pub kdc_listen: Option<SocketAddr>,
}

/// What was created.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InitReport {
    /// The configuration file.
    pub config: PathBuf,
    /// The bootstrap token, mode 0600.
    pub admin_token: PathBuf,
    /// The master key, mode 0600.
    pub master_key: PathBuf,
    /// The private CA that clients must trust; `None` with a certificate of the operator's.
    pub ca: Option<PathBuf>,
    /// The URL of the service.
    pub url: String,
}

/// Why an installation could not be created.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InitError {
    /// An option is not valid.
    #[error("invalid {what} `{value}`: {reason}")]
    Option {
        /// The option, in words.
        what: &'static str,
        /// Its value.
        value: String,
        /// Why it is not valid.
        reason: String,
    },
    /// There is an installation in the directory.
    #[error("there is an installation in `{}` already: {}", .dir.display(), .found.join(", "))]
    Present {
        /// The directory.
        dir: PathBuf,
        /// The files in it.
        found: Vec<String>,
    },
    /// An earlier call did not complete.
    #[error("an earlier installation in `{}` was not finished: {}", .dir.display(), .found.join(", "))]
    Unfinished {
        /// The directory.
        dir: PathBuf,
        /// The files that it left behind.
        found: Vec<String>,
    },
    /// Certificate and key must both exist, or neither.
    #[error("`{}` is there without `{}`", .present.display(), .absent.display())]
    HalfCertificate {
        /// The file that exists.
        present: PathBuf,
        /// The file that is missing.
        absent: PathBuf,
    },
    /// A file or directory cannot be written.
    #[error("cannot write `{}`: {reason}", .path.display())]
    Write {
        /// The file or directory.
        path: PathBuf,
        /// The operating system's reason.
        reason: String,
    },
    /// The certificates could not be created.
    #[error("cannot make the certificates: {0}")]
    Certificates(String),
    /// The master key could not be created.
    #[error(transparent)]
    MasterKey(#[from] MasterKeyError),
    /// The database could not be created.
    #[error(transparent)]
    Store(#[from] DirectoryError),
}

impl InitError {
    /// What to do next, where that is known.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Present { dir, .. } => Some(format!(
                "start the service with its configuration `{}`, or choose another folder; nothing was changed",
                dir.join(CONFIG).display()
            )),
            Self::Unfinished { .. } => Some(
                "nothing serves from there yet: remove these files and make the installation again"
                    .into(),
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

/// Creates an installation in `options.dir`: configuration, master key, certificates, database, bootstrap token.
///
/// The configuration is written last: if it exists, the installation is complete.
///
/// # Errors
///
/// [`InitError`]. If the directory holds any part of an installation, nothing is changed.
pub async fn init(options: &InitOptions) -> Result<InitReport, InitError> {
    let dir = options.dir.as_path();
    let state = options.state.as_deref().unwrap_or(dir);
    let own_certificate = refuse_what_is_there(dir, state, &options.store)?;
    let config = configuration(options, own_certificate && !state.join(CA).exists());
    config.check().map_err(|(key, reason)| {
        let (what, value) = match key {
            "base_domain" => ("base domain", options.base_domain.clone()),
            _ => ("database URL", shown_store_url(&options.store)),
        };
        InitError::Option {
            what,
            value,
            reason,
        }
    })?;
    refuse_a_store_in_no_folder(&options.store, state)?;
    check_new_store(&config.store).await?;
    make_dir(dir)?;
    if state != dir {
        make_private_dir(state)?;
    }
    make_dir(&state.join("tls"))?;
    if !own_certificate {
        write_certificates(state, &config.base_domain)?;
    }
    let master_key = MasterKey::create(&dir.join(MASTER_KEY))?;
    let store = resolve_store(&config.store, dir);
    let directory = Directory::create(&store, master_key, config.names()).await?;
    let filled = fill(&directory, options.tenant.as_ref(), &config.base_domain).await;
    directory.close().await;
    let token = filled?;
    if options.state.is_some() {
        hand_to_owner(state, config.database_file(), own_certificate)?;
    }
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
        master_key: dir.join(MASTER_KEY),
        ca: config.tls.ca.as_ref().map(|ca| dir.join(ca)),
        url: match config.https_listen.port() {
            443 => format!("https://{}", config.login_host()),
            port => format!("https://{}:{port}", config.login_host()),
        },
    })
}

/// Gives what was created in the directory of the service's state to the owner of that directory, the user of the service.
fn hand_to_owner(
    state: &Path,
    database: Option<&Path>,
    own_certificate: bool,
) -> Result<(), InitError> {
    let owner = std::fs::metadata(state).map_err(|error| write_error(state, &error))?;
    let mut made = vec![state.join("tls")];
    if !own_certificate {
        made.extend([CA, CA_KEY, CERTIFICATE, CERTIFICATE_KEY].map(|name| state.join(name)));
    }
    for database in database.into_iter().filter(|path| path.starts_with(state)) {
        made.extend(["", "-wal", "-shm"].map(|suffix| {
            let mut path = database.as_os_str().to_owned();
            path.push(suffix);
            PathBuf::from(path)
        }));
    }
    for path in made.iter().filter(|path| path.exists()) {
        // Not followed: the user of the service can write in this directory.
        lchown(path, Some(owner.uid()), Some(owner.gid()))
            .map_err(|error| write_error(path, &error))?;
    }
    Ok(())
}

/// Whether the operator has provided a certificate and its key; every other file of an installation is refused.
fn refuse_what_is_there(dir: &Path, state: &Path, store: &str) -> Result<bool, InitError> {
    let store = resolve_store(store, Path::new(""));
    let database = store.strip_prefix("sqlite:").unwrap_or_default();
    let is_there = |folder: &Path, names: &[&str]| -> Vec<String> {
        let names = names.iter().filter(|name| !name.is_empty());
        let there = names.filter(|name| folder.join(name).exists());
        there
            .map(|name| match folder == dir {
                true => (*name).to_owned(),
                false => folder.join(name).display().to_string(),
            })
            .collect()
    };
    // Also where an installation of one folder is in the place of the state.
    let own_files = [CONFIG, MASTER_KEY, ADMIN_TOKEN, CA_KEY, database];
    let mut found = is_there(dir, &own_files);
    if state != dir {
        found.extend(is_there(state, &own_files));
    }
    let (certificate, key) = (state.join(CERTIFICATE), state.join(CERTIFICATE_KEY));
    if !found.is_empty() {
        found.extend(is_there(state, &[CA, CERTIFICATE, CERTIFICATE_KEY]));
        let is_config = |name: &String| Path::new(name).ends_with(CONFIG);
        let of_state = state.join(CONFIG).display().to_string();
        let dir = match found.contains(&of_state) {
            true => state.to_owned(),
            false => dir.to_owned(),
        };
        return Err(match found.iter().any(is_config) {
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

/// The directory of a database outside `dir` must exist. This is checked before anything is created, so that a second attempt
/// is not refused for the remains of the first.
fn refuse_a_store_in_no_folder(store: &str, dir: &Path) -> Result<(), InitError> {
    let store_in_dir = resolve_store(store, dir);
    let Some(database) = store_in_dir.strip_prefix("sqlite:") else {
        return Ok(());
    };
    match Path::new(database).parent() {
        Some(folder) if folder != dir && !folder.is_dir() => Err(InitError::Option {
            what: "database URL",
            value: store.to_owned(),
            reason: format!("there is no folder `{}`", folder.display()),
        }),
        _ => Ok(()),
    }
}

fn configuration(options: &InitOptions, public_certificate: bool) -> Config {
    let state = options.state.as_deref();
    let place = |name: &str| state.map_or_else(|| PathBuf::from(name), |state| state.join(name));
    Config {
        base_domain: options.base_domain.to_ascii_lowercase(),
        store: match state {
            Some(state) => resolve_store(&options.store, state),
            None => options.store.clone(),
        },
        https_listen: options.https_listen,
        kdc_listen: options.kdc_listen,
        metrics_listen: None,
        public_port: None,
        master_key: MASTER_KEY.into(),
        docs: crate::documentation::INSTALLED.into(),
        state: state.map(Path::to_owned),
        tls: Tls {
            certificate: place(CERTIFICATE),
            key: place(CERTIFICATE_KEY),
            ca: (!public_certificate).then(|| place(CA)),
        },
        limits: Limits::default(),
    }
}

fn render(config: &Config) -> Result<String, String> {
    let body = toml::to_string_pretty(config).map_err(|error| error.to_string())?;
    Ok(format!(
        "# The configuration of this Crossrealm installation; the service reads it when it starts, and on SIGHUP.\n\
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

/// Creates the bootstrap token, which is returned, and the first tenant.
async fn fill(
    directory: &Directory,
    tenant: Option<&TenantName>,
    base_domain: &str,
) -> Result<Zeroizing<String>, DirectoryError> {
    let init = Actor::local("init");
    if let Some(name) = tenant {
        let tenant = NewTenant::named(name.as_str(), base_domain);
        directory.create_tenant(&init, tenant).await?;
    }
    let token = NewToken {
        tenant: None,
        role: TokenRole::Administrator(AdministratorRole::GlobalAdministrator),
        name: "bootstrap".into(),
        expires_at: Some(clock::now_s() + FIRST_TOKEN_LIFE_S),
    };
    Ok(directory.create_token(&init, token).await?.0)
}

fn make_dir(path: &Path) -> Result<(), InitError> {
    std::fs::create_dir_all(path).map_err(|error| write_error(path, &error))
}

/// The same for the service's user alone, if it does not exist.
fn make_private_dir(path: &Path) -> Result<(), InitError> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.map_err(|error| write_error(path, &error))
}

/// Creates a file with its final mode, so that a secret is never readable by others, and waits until it is on disk.
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

/// An installation for the tests of other modules.
#[cfg(test)]
pub(crate) mod test_support {
    use super::{InitOptions, init};
    use std::path::{Path, PathBuf};

    /// Makes one in this folder, which listens on ports that the system chooses; returns the path of its configuration.
    pub(crate) async fn installed(folder: &Path) -> PathBuf {
        let options = InitOptions {
            dir: folder.to_owned(),
            state: None,
            base_domain: "cloud.example".into(),
            tenant: None,
            store: "sqlite:crossrealm.db".into(),
            https_listen: "127.0.0.1:0".parse().unwrap(),
            kdc_listen: None,
        };
        init(&options).await.unwrap().config
    }
}
