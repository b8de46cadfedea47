//! What every command is given: how to reach the service, the tenant, and the format of the output.

use crate::contexts::{ContextName, Contexts, Remembered, address};
use crate::failure::Failure;
use crate::hints;
use crate::input_file::{MAX_CA_BYTES, read_bounded, token_in};
use crate::join_file::{self, JoinFile, Member};
use crate::output::Format;
use crate::session;
use crate::terminal::say;
use clap::Args;
use clap::builder::{OsStringValueParser, TypedValueParser as _};
use crossrealm_api::{Client, ClientError, SecretText};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use zeroize::Zeroizing;

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
    /// Context of `crossrealm connect` that gives the service, its CA and the tenant [default: the last one]
    #[arg(
        long,
        global = true,
        env = "CROSSREALM_CONTEXT",
        hide_env_values = true,
        value_name = "NAME"
    )]
    pub context: Option<ContextName>,
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

impl Global {
    /// The options that the environment sets, where no command line is parsed.
    pub(crate) fn of_environment() -> Result<Self, Failure> {
        #[derive(clap::Parser)]
        struct Alone {
            #[command(flatten)]
            global: Global,
        }
        let alone = <Alone as clap::Parser>::try_parse_from(["crossrealm"]);
        alone
            .map(|alone| alone.global)
            .map_err(|error| Failure::usage(error.to_string()))
    }
}

/// What a command runs with. An option of the command line or its environment variable takes precedence over the context, and
/// a join file over both.
pub(crate) struct Context {
    /// The format of the output; all data goes through it.
    pub output: Format,
    global: Global,
    joined: Option<JoinFile>,
    remembered: OnceLock<Option<Remembered>>,
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
            joined: None,
            remembered: OnceLock::new(),
        }
    }

    /// The same run with what a join file says.
    pub(crate) fn joined(&self, file: JoinFile) -> Self {
        Self {
            output: self.output,
            global: self.global.clone(),
            joined: Some(file),
            remembered: OnceLock::new(),
        }
    }

    /// What the holder of `token` needs to reach the tenant of this run.
    pub(crate) fn join_file(
        &self,
        member: Member,
        token: &SecretText,
    ) -> Result<JoinFile, Failure> {
        let pem = self.ca_pem()?.map(String::from_utf8).transpose();
        Ok(JoinFile {
            join: join_file::VERSION,
            server: address(self.server()?),
            ca_pem: pem.map_err(|_| Failure::new("the CA of the service is not PEM"))?,
            tenant: self.tenant()?.to_owned(),
            member,
            token: token.clone(),
        })
    }

    /// The tenant to work on.
    pub(crate) fn tenant(&self) -> Result<&str, Failure> {
        if let Some(joined) = &self.joined {
            return Ok(&joined.tenant);
        }
        if let Some(tenant) = &self.global.tenant {
            return Ok(tenant);
        }
        let remembered = self.remembered_server()?;
        remembered
            .and_then(|remembered| remembered.tenant.as_deref())
            .ok_or_else(|| {
                Failure::new("no tenant given").hint(
                    "give `--tenant NAME`, set `CROSSREALM_TENANT`, or let `crossrealm connect URL --tenant NAME` remember it",
                )
            })
    }

    /// The tenant that was given for this run alone.
    pub(crate) fn given_tenant(&self) -> Option<&str> {
        self.global.tenant.as_deref()
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
                (ClientError::BadCa { reason }, Ok(Some(path))) => Failure::new(format!(
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
        if let Some(joined) = &self.joined {
            return Ok(&joined.server);
        }
        if let Some(server) = &self.global.server {
            return Ok(server);
        }
        let remembered = self.remembered()?;
        remembered
            .map(|remembered| remembered.server.as_str())
            .ok_or_else(|| {
                Failure::new("no service given").hint(
                    "`crossrealm connect https://login.BASE-DOMAIN` remembers one; or give `--server URL` or set `CROSSREALM_SERVER`",
                )
            })
    }

    /// The private CA of the service in PEM, where it has one.
    pub(crate) fn ca_pem(&self) -> Result<Option<Vec<u8>>, Failure> {
        if let Some(joined) = &self.joined {
            return Ok(joined.ca_pem.clone().map(String::into_bytes));
        }
        let path = self.ca_path()?;
        path.map(|path| read_bounded(path, MAX_CA_BYTES, "CA"))
            .transpose()
    }

    /// The file with the private CA of the service, where there is one.
    pub(crate) fn ca_path(&self) -> Result<Option<&Path>, Failure> {
        if let Some(given) = &self.global.ca {
            return Ok(Some(given));
        }
        let remembered = self.remembered_server()?;
        Ok(remembered.and_then(|remembered| remembered.ca.as_deref()))
    }

    /// The API token: from `--token-file`, else from the environment, else of the session of `crossrealm login`.
    pub(crate) fn token(&self) -> Result<SecretText, Failure> {
        if let Some(joined) = &self.joined {
            return Ok(joined.token.clone());
        }
        match self.given_token()? {
            Some(token) => Ok(token),
            None => session::token(self.server()?),
        }
    }

    /// The token that was given for this run alone.
    pub(crate) fn given_token(&self) -> Result<Option<SecretText>, Failure> {
        if let Some(path) = &self.global.token_file {
            return token_in(path).map(Some);
        }
        let text = Zeroizing::new(std::env::var("CROSSREALM_TOKEN").unwrap_or_default());
        let text = Some(text.trim()).filter(|text| !text.is_empty());
        Ok(text.map(SecretText::new))
    }

    /// Names the command that usually follows, for people.
    pub(crate) fn suggest(&self, command: &str) {
        if self.output == Format::Table {
            say!("next: `{command}`");
        }
    }

    /// What `crossrealm connect` remembered, if it concerns the service of this run.
    fn remembered_server(&self) -> Result<Option<&Remembered>, Failure> {
        let remembered = self.remembered()?;
        Ok(remembered.filter(|remembered| {
            let given = self.global.server.as_deref();
            given.is_none_or(|given| address(given) == remembered.server)
        }))
    }

    /// The context that was chosen, else the current one.
    fn remembered(&self) -> Result<Option<&Remembered>, Failure> {
        if let Some(known) = self.remembered.get() {
            return Ok(known.as_ref());
        }
        let all = Contexts::load()?;
        let chosen = match (&self.global.context, &all.current) {
            (Some(name), _) => Some(all.named(name)?.clone()),
            (None, Some(current)) => all.contexts.get(current).cloned(),
            (None, None) => None,
        };
        Ok(self.remembered.get_or_init(|| chosen).as_ref())
    }
}
