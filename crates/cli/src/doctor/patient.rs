//! What is known so far of the person, the computer and the tenant: each probe adds to it, later ones build on it.

use super::Args;
use super::https::Anchors;
use super::krb5_conf::Krb5Conf;
use crate::context::Context;
use crossrealm_api::{Client, ClientConfig, SecretText, StorageAccount, Trust, UserDetails};
use crossrealm_krb::ccache::{Ccache, MAX_CCACHE_LEN};
use crossrealm_krb::client::{Request, TgsExchange};
use crossrealm_krb::credential::Credential;
use crossrealm_krb::messages::{self, Ticket};
use crossrealm_onprem::credentials::current_ccache;
use crossrealm_onprem::ldap::Ldap;
use crossrealm_onprem::session::Session;
use crossrealm_onprem::smb::share::ShareError;
use serde::Serialize;
use std::io::Read;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::path::PathBuf;
use std::time::Duration;

/// How long a name may take to resolve.
const RESOLVE: Duration = Duration::from_secs(8);
/// How long a connection may take to be made.
const CONNECT: Duration = Duration::from_secs(4);
/// The port of the service where none is named.
const HTTPS: u16 = 443;

/// Where this runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Place {
    /// The service's own machine.
    Cloud,
    /// The machine that serves the share.
    FileHost,
    /// A person's computer: Kerberos is configured for the tenant, or there are tickets.
    Workstation,
    /// A computer with credentials for the domain.
    AdministrationHost,
}

/// The service's address, and where it was read.
#[derive(Clone, Debug)]
pub struct Login {
    /// Its host name.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Who said so.
    pub source: String,
}

/// A trust as AD's directory shows it to every user.
#[derive(Clone, Debug)]
pub struct DirectoryTrust {
    /// The partner's name.
    pub partner: String,
    /// Its flat name.
    pub flat_name: String,
    /// Its SID.
    pub sid: Option<String>,
    /// Direction, type and attributes, [MS-ADTS] 6.1.6.7.
    pub kind: (u32, u32, u32),
    /// `msDS-SupportedEncryptionTypes`.
    pub enctypes: u32,
    /// Top-level names, with the flags that switch them off.
    pub names: Vec<(String, u32)>,
}

/// Everything known.
pub struct Patient<'a> {
    pub args: &'a Args,
    pub context: &'a Context,
    pub conf: Krb5Conf,
    pub places: Vec<Place>,
    pub login: Option<Login>,
    pub login_address: Option<SocketAddr>,
    /// The tenant's realm.
    pub realm: Option<String>,
    pub client: Option<Client>,
    pub cloud: Option<ClientConfig>,
    pub trust: Option<Trust>,
    pub user: Option<UserDetails>,
    pub account: Option<StorageAccount>,
    /// The domain controller: the name it is called by, and its address.
    pub dc: Option<(String, IpAddr)>,
    pub dc_ports: Vec<u16>,
    pub cache: Option<Ccache>,
    /// The person's own ticket-granting ticket.
    pub tgt: Option<Credential>,
    pub session: Option<Session>,
    pub ldap: Option<Ldap>,
    pub tdo: Option<DirectoryTrust>,
    pub other_trusts: Vec<DirectoryTrust>,
    /// The exchange that has come as far as the tenant's KDC, with its next request.
    pub exchange: Option<(TgsExchange, Request)>,
    pub ticket: Option<Credential>,
    pub share_address: Option<SocketAddr>,
    /// The hosts of the account, with the versions of their keys.
    pub host_kvnos: Vec<(String, Vec<u32>)>,
    pub opened: Option<Result<(), ShareError>>,
}

impl<'a> Patient<'a> {
    /// What can be known without asking anybody.
    pub fn new(args: &'a Args, context: &'a Context) -> Self {
        let conf = Krb5Conf::load();
        let mut patient = Self {
            args,
            context,
            login: None,
            realm: None,
            places: Vec::new(),
            login_address: None,
            client: None,
            cloud: None,
            trust: None,
            user: None,
            account: None,
            dc: None,
            dc_ports: Vec::new(),
            cache: None,
            tgt: None,
            session: None,
            ldap: None,
            tdo: None,
            other_trusts: Vec::new(),
            exchange: None,
            ticket: None,
            share_address: None,
            host_kvnos: Vec::new(),
            opened: None,
            conf,
        };
        patient.login = patient.find_login();
        patient.realm = patient.proxied().map(|(realm, _)| realm.to_owned());
        patient
    }

    /// The realm whose KDC is reached by HTTPS, and its address, as Kerberos is configured.
    pub fn proxied(&self) -> Option<(&str, &super::krb5_conf::Value)> {
        let all = self.conf.proxied();
        let named = self.cloud.as_ref().map(|cloud| cloud.tenant.realm.as_str());
        let ours = all
            .iter()
            .find(|(realm, _)| named.is_some_and(|named| realm.eq_ignore_ascii_case(named)));
        match named {
            Some(_) => ours.copied(),
            None => all.first().copied(),
        }
    }

    fn find_login(&self) -> Option<Login> {
        if let Ok(server) = self.context.server() {
            let (host, port) = host_and_port(server)?;
            let source = "`--server` or `CROSSREALM_SERVER`".to_owned();
            return Some(Login { host, port, source });
        }
        let (_, value) = self.proxied()?;
        let (host, port) = host_and_port(&value.value)?;
        let source = value.place.clone();
        Some(Login { host, port, source })
    }

    /// Which machine this is. Addresses tell: the cloud and the file host bear those that the names resolve to.
    pub async fn find_places(&mut self) {
        self.places.clear();
        let login = self
            .login
            .as_ref()
            .map(|login| (login.host.clone(), login.port));
        if let Some((host, port)) = login
            && is_here(&host, port).await
        {
            self.places.push(Place::Cloud);
        }
        if let Some(host) = self.share_host()
            && is_here(&host, 445).await
        {
            self.places.push(Place::FileHost);
        }
        let has_tickets = current_ccache().is_ok_and(|path| path.exists());
        if self.places.is_empty()
            && (self.proxied().is_some()
                || has_tickets
                || std::env::var_os("KRB5_CONFIG").is_some())
        {
            self.places.push(Place::Workstation);
        }
        if self.args.domain.is_some() && !self.is_in_the_cloud() {
            self.places.push(Place::AdministrationHost);
        }
    }

    /// Whether this is a machine that needs no domain controller.
    pub fn is_in_the_cloud(&self) -> bool {
        self.places
            .iter()
            .any(|place| matches!(place, Place::Cloud | Place::FileHost))
    }

    /// Whether people work here.
    pub fn is_workstation(&self) -> bool {
        self.places.contains(&Place::Workstation)
    }

    /// The name or id of the tenant: given, or the one in the KDC proxy's address.
    pub fn tenant_name(&self) -> Option<String> {
        if let Ok(tenant) = self.context.tenant() {
            return Some(tenant.to_owned());
        }
        let (_, value) = self.proxied()?;
        let path = value.value.splitn(4, '/').nth(3)?;
        path.split('/')
            .next()
            .filter(|name| !name.is_empty())
            .map(str::to_owned)
    }

    /// The key version that the ticket for the share is sealed with.
    pub fn ticket_kvno(&self) -> Option<u32> {
        let ticket = messages::decode::<Ticket>(&self.ticket.as_ref()?.ticket).ok()?;
        ticket.enc_part.kvno()
    }

    /// The host that the ticket is for: named, or that of the share's account.
    pub fn share_host(&self) -> Option<String> {
        if let Some(host) = &self.args.host {
            return Some(host.to_lowercase());
        }
        let share = self.args.share.as_ref()?;
        if let Some(account) = &self.account {
            return Some(account.host.clone());
        }
        let domain = match &self.cloud {
            Some(cloud) => cloud.tenant.domain.clone(),
            None => self
                .realm
                .as_ref()?
                .to_lowercase()
                .strip_prefix("kerberos.")?
                .to_owned(),
        };
        Some(format!("{}.file.{domain}", share.account))
    }

    /// The on-premises domain, lower case.
    pub fn domain(&self) -> Option<String> {
        if let Some(domain) = &self.args.domain {
            return Some(domain.trim_end_matches('.').to_lowercase());
        }
        if let Some(cache) = &self.cache {
            return Some(cache.principal.realm().to_lowercase());
        }
        let usual = self.conf.first(&["libdefaults", "default_realm"]);
        let usual = usual.map(|realm| realm.value.to_lowercase());
        match &self.cloud {
            // A default realm that nobody chose, such as Debian's, is none of the tenant's.
            Some(cloud) => match cloud.ad_realms.as_slice() {
                [only] => Some(only.dns_name.clone()),
                several => usual.filter(|usual| several.iter().any(|ad| ad.dns_name == *usual)),
            },
            None if self.proxied().is_some() => usual,
            None => None,
        }
    }

    /// The user it is about: given, or whose tickets are here.
    pub fn user_name(&self) -> Option<String> {
        if let Some(user) = &self.args.user {
            return Some(user.clone());
        }
        let principal = &self.cache.as_ref()?.principal;
        Some(format!(
            "{}@{}",
            principal.components().first()?,
            principal.realm().to_lowercase()
        ))
    }

    /// What stands for what in the next steps of the list of checks, where it is known; the longer words first.
    pub fn blanks(&self) -> [(&'static str, Option<String>); 6] {
        let share = self.args.share.as_ref();
        let domain = self.domain();
        let user = self.user_name();
        let principal = user.as_ref().and_then(|user| {
            let (name, domain) = user.rsplit_once('@')?;
            Some(format!("{name}@{}", domain.to_uppercase()))
        });
        [
            ("USER@REALM", principal),
            (
                "ACCOUNT/SHARE",
                share.map(|share| format!("{}/{}", share.account, share.share)),
            ),
            (
                "--user USER",
                user.as_ref().map(|user| format!("--user {user}")),
            ),
            (
                "--to USER",
                user.as_ref().map(|user| format!("--to {user}")),
            ),
            (
                "--domain DOMAIN",
                domain.as_ref().map(|domain| format!("--domain {domain}")),
            ),
            (
                "-account keytab ACCOUNT",
                share.map(|share| format!("-account keytab {}", share.account)),
            ),
        ]
    }

    /// The names that the trust must cover: the share's host, or the tenant's top-level names.
    pub fn wanted_names(&self) -> Vec<String> {
        match (self.share_host(), &self.cloud) {
            (Some(host), _) => vec![host],
            (None, Some(cloud)) => cloud.tenant.top_level_names.clone(),
            (None, None) => Vec::new(),
        }
    }

    /// The authorities that the API is trusted by: those given, those of Kerberos' configuration, the computer's.
    pub fn anchors(&self) -> Result<(Anchors, String), String> {
        if let Some(path) = self.context.ca_path() {
            let pem = self
                .context
                .ca_pem()
                .map_err(|error| error.to_string())?
                .unwrap_or_default();
            let anchors = Anchors::from_pem(&pem)
                .map_err(|error| format!("`{}`: {error}", path.display()))?;
            return Ok((anchors, format!("`{}`", path.display())));
        }
        match self.http_anchors() {
            Some((path, pem)) => Ok((
                Anchors::from_pem(&pem?).map_err(|error| format!("`{path}`: {error}"))?,
                format!("`{path}`"),
            )),
            None => Ok((Anchors::system()?, "this computer's authorities".to_owned())),
        }
    }

    /// The file that `http_anchors` names, and what is in it.
    pub fn http_anchors(&self) -> Option<(String, Result<Vec<u8>, String>)> {
        let (realm, _) = self.proxied()?;
        let value = &self.conf.first(&["realms", realm, "http_anchors"])?.value;
        let path = value.strip_prefix("FILE:").unwrap_or(value).to_owned();
        let read = read_bounded(&PathBuf::from(&path), 1 << 20);
        Some((
            path.clone(),
            read.map_err(|error| format!("cannot read `{path}`: {error}")),
        ))
    }

    /// A client of the API, where there is a token.
    pub fn api(&self) -> Option<Result<Client, String>> {
        let token: SecretText = self.context.token().ok()?;
        let login = self.login.as_ref()?;
        let server = match self.context.server() {
            Ok(server) => server.to_owned(),
            Err(_) => format!("https://{}:{}", login.host, login.port),
        };
        let pem = match self.context.ca_pem() {
            Ok(Some(pem)) => Some(pem),
            _ => self.http_anchors().and_then(|(_, pem)| pem.ok()),
        };
        Some(Client::new(&server, Some(token), pem.as_deref()).map_err(|error| error.to_string()))
    }

    /// Reads the credential cache, if there is one.
    pub fn read_cache(&mut self) -> Result<PathBuf, String> {
        let path = current_ccache().map_err(|error| error.to_string())?;
        let bytes = read_bounded(&path, MAX_CCACHE_LEN)
            .map_err(|error| format!("`{}`: {error}", path.display()))?;
        let cache =
            Ccache::from_bytes(&bytes).map_err(|error| format!("`{}`: {error}", path.display()))?;
        self.cache = Some(cache);
        Ok(path)
    }
}

/// A whole file, up to `limit` bytes.
pub fn read_bounded(path: &std::path::Path, limit: usize) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let bound = u64::try_from(limit).unwrap_or(u64::MAX);
    std::fs::File::open(path)?
        .take(bound)
        .read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The host and port of an address `https://host[:port][/…]`; the scheme may be left out.
pub fn host_and_port(url: &str) -> Option<(String, u16)> {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split('/').next()?;
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) => (host, port.parse().ok()?),
        None => (authority, HTTPS),
    };
    (!host.is_empty()).then(|| (host.to_owned(), port))
}

/// The first address of a host; those of IPv4 first, as most firewalls know them.
pub async fn resolve(host: &str, port: u16) -> Result<SocketAddr, String> {
    let found = tokio::time::timeout(RESOLVE, tokio::net::lookup_host((host, port))).await;
    let mut addresses: Vec<SocketAddr> = match found {
        Err(_) => return Err(format!("no answer within {} s", RESOLVE.as_secs())),
        Ok(Err(error)) => return Err(error.to_string()),
        Ok(Ok(addresses)) => addresses.collect(),
    };
    addresses.sort_by_key(SocketAddr::is_ipv6);
    addresses
        .first()
        .copied()
        .ok_or_else(|| "it has no address".to_owned())
}

/// Whether a TCP connection can be made.
pub async fn connects(address: SocketAddr) -> Result<(), String> {
    match tokio::time::timeout(CONNECT, tokio::net::TcpStream::connect(address)).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(format!("no answer within {} s", CONNECT.as_secs())),
    }
}

/// Whether a host's address is one of this machine: only such an address can be bound.
async fn is_here(host: &str, port: u16) -> bool {
    match resolve(host, port).await {
        Ok(address) => UdpSocket::bind((address.ip(), 0)).is_ok(),
        Err(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_services() {
        let parts = |url| host_and_port(url);
        assert_eq!(
            parts("https://login.cloud.example"),
            Some(("login.cloud.example".into(), 443))
        );
        assert_eq!(
            parts("https://login.cloud.example:8443/x/kerberos"),
            Some(("login.cloud.example".into(), 8443))
        );
        assert_eq!(
            parts("login.cloud.example"),
            Some(("login.cloud.example".into(), 443))
        );
        assert_eq!(parts("https://:443/"), None);
        assert_eq!(parts("https://a:b/"), None);
    }

    #[tokio::test]
    async fn only_an_own_address_is_here() {
        assert!(is_here("127.0.0.1", 1).await);
        assert!(!is_here("192.0.2.1", 1).await);
    }
}
