//! What every command is given: how to reach the service, the tenant, and the format of the output.

use crate::failure::Failure;
use crate::hints;
use crate::input_file::{read_bounded, token_in};
use crate::output::Format;
use crate::session;
use clap::Args;
use clap::builder::{OsStringValueParser, TypedValueParser as _};
use crossrealm_api::{Client, ClientError, SecretText};
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// A bundle of public authorities has some 200 KiB.
const MAX_CA_BYTES: usize = 1 << 20;

/// The options that every command takes.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Global options")]
pub(crate) struct Global {
    /// Format of the output: aligned text for people, JSON for programs
    #[arg(
        short,
        long,
        global = true,
        value_enum,
        default_value = "table",
        value_name = "FORM"
    )]
    pub output: Format,
    /// Address of the service, e.g. `https://login.cloud.example`
    #[arg(
        long,
        global = true,
        env = "CROSSREALM_SERVER",
        hide_env_values = true,
        value_name = "URL"
    )]
    pub server: Option<String>,
    /// Name, domain or id of the tenant
    #[arg(
        long,
        global = true,
        env = "CROSSREALM_TENANT",
        hide_env_values = true,
        value_name = "NAME"
    )]
    pub tenant: Option<String>,
    /// File with the private CA (PEM) that issued the service's certificate
    #[arg(
        long,
        global = true,
        env = "CROSSREALM_CA",
        hide_env_values = true,
        value_parser = OsStringValueParser::new().map(PathBuf::from),
        value_name = "FILE"
    )]
    pub ca: Option<PathBuf>,
    /// File with the API token [default: the environment variable `CROSSREALM_TOKEN`, then the session of `crossrealm
    /// login`]
    #[arg(long, global = true, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
}

/// What a command runs with.
pub(crate) struct Context {
    /// The format of the output; all data goes through it.
    pub output: Format,
    global: Global,
}

impl Context {
    /// The context of one run. A variable that is set to nothing counts as not set.
    pub(crate) fn new(mut global: Global) -> Self {
        global.server = global.server.filter(|server| !server.is_empty());
        global.tenant = global.tenant.filter(|tenant| !tenant.is_empty());
        global.ca = global.ca.filter(|ca| !ca.as_os_str().is_empty());
        Self {
            output: global.output,
            global,
        }
    }

    /// The tenant that was given.
    pub(crate) fn tenant(&self) -> Result<&str, Failure> {
        self.global.tenant.as_deref().ok_or_else(|| {
            Failure::new("no tenant given").hint("give `--tenant NAME` or set `CROSSREALM_TENANT`")
        })
    }

    /// A client of the service's API.
    pub(crate) fn client(&self) -> Result<Client, Failure> {
        self.client_with(self.token()?)
    }

    /// A client of the service's API with a token of its own.
    pub(crate) fn client_with(&self, token: SecretText) -> Result<Client, Failure> {
        self.client_that_sends(Some(token))
    }

    /// Whether a token was given for this run, by `--token-file` or the environment.
    pub(crate) fn token_is_given(&self) -> bool {
        self.global.token_file.is_some()
            || std::env::var_os("CROSSREALM_TOKEN").is_some_and(|token| !token.is_empty())
    }

    /// A client of the service's API that sends no token.
    pub(crate) fn anonymous_client(&self) -> Result<Client, Failure> {
        self.client_that_sends(None)
    }

    fn client_that_sends(&self, token: Option<SecretText>) -> Result<Client, Failure> {
        let ca = self.ca_pem()?;
        Client::new(self.server()?, token, ca.as_deref()).map_err(|error| {
            match (&error, self.ca_path()) {
                // The client got the file's bytes and cannot name the file.
                (ClientError::BadCa { reason }, Some(path)) => Failure::new(format!(
                    "the CA file `{}` holds no usable PEM certificate: {reason}",
                    path.display()
                ))
                .maybe_hint(hints::api::of_client_error(&error)),
                _ => error.into(),
            }
        })
    }

    /// The address of the service.
    pub(crate) fn server(&self) -> Result<&str, Failure> {
        self.global.server.as_deref().ok_or_else(|| {
            Failure::new("no service given")
                .hint("give `--server https://login.BASE-DOMAIN` or set `CROSSREALM_SERVER`")
        })
    }

    /// The private CA of the service in PEM, where one was given.
    pub(crate) fn ca_pem(&self) -> Result<Option<Vec<u8>>, Failure> {
        match &self.global.ca {
            Some(path) => read_bounded(path, MAX_CA_BYTES, "CA").map(Some),
            None => Ok(None),
        }
    }

    /// The file with the private CA of the service, where one was given.
    pub(crate) fn ca_path(&self) -> Option<&Path> {
        self.global.ca.as_deref()
    }

    /// The API token: from `--token-file`, else from the environment, else of the session of `crossrealm login`.
    pub(crate) fn token(&self) -> Result<SecretText, Failure> {
        if let Some(path) = &self.global.token_file {
            return token_in(path);
        }
        let text = Zeroizing::new(std::env::var("CROSSREALM_TOKEN").unwrap_or_default());
        match text.trim() {
            "" => session::token(self.server()?),
            token => Ok(SecretText::new(token)),
        }
    }
}
