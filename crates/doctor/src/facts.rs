//! The facts: what is known of the user, this computer and the tenant. Each probe adds some; later probes build on them.

use crate::environment::Place;
use crate::error::ProbeError;
use crate::https::{Server, TrustAnchors};
use crate::krb5_conf::{Krb5Conf, Value};
use crate::net::{host_and_port, is_local, resolve};
use crate::options::{Options, Share};
use crossrealm_api::{Client, ClientConfig, UserDetails};
use crossrealm_krb::ccache::Ccache;
use crossrealm_krb::client::{Request, TgsExchange};
use crossrealm_krb::credential::Credential;
use crossrealm_krb::messages::{self, Ticket};
use crossrealm_onprem::ccache::{CacheError, CacheName};
use crossrealm_onprem::ldap::Ldap;
use crossrealm_onprem::session::Session;
use crossrealm_onprem::smb::PORT;
use crossrealm_onprem::smb::share::ShareError;
use crossrealm_types::{Sid, StorageAccount, Trust};
use std::io::Read;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

/// A bundle of public authorities has some 200 KiB.
const MAX_CA_BYTES: usize = 1 << 20;

/// Why a check of the tenant's records is skipped.
pub(crate) const NO_RECORDS: &str =
    "the tenant's records are not known; give a token with `--token-file FILE`";
/// Why a check of AD's objects is skipped.
pub(crate) const NO_DIRECTORY: &str = "AD was not read";
/// Why a check of the share is skipped.
pub(crate) const NO_SHARE: &str = "no share is given; give `--share ACCOUNT/SHARE`";
/// Why a check of the user is skipped.
pub(crate) const NO_USER: &str = "no user is known; give `--user UPN`, or sign in with `kinit`";

/// The service's address, and where it was configured.
#[derive(Clone, Debug)]
pub(crate) struct Service {
    /// The host name.
    pub(crate) host: String,
    /// The port.
    pub(crate) port: u16,
    /// The option or the line of krb5.conf.
    pub(crate) source: String,
}

/// A trusted domain object, as every user of AD can read it.
#[derive(Clone, Debug)]
pub(crate) struct DirectoryTrust {
    /// `trustPartner`.
    pub(crate) partner: String,
    /// `flatName`.
    pub(crate) flat_name: String,
    /// `securityIdentifier`.
    pub(crate) sid: Option<Sid>,
    /// `trustDirection`, `trustType` and `trustAttributes`, [MS-ADTS] 6.1.6.7.
    pub(crate) kind: (u32, u32, u32),
    /// `msDS-SupportedEncryptionTypes`.
    pub(crate) enctypes: u32,
    /// The top-level names, with the flags that disable them.
    pub(crate) names: Vec<(String, u32)>,
}

/// Everything known.
#[derive(Default)]
pub(crate) struct Facts {
    pub(crate) options: Options,
    pub(crate) conf: Krb5Conf,
    pub(crate) places: Vec<Place>,
    pub(crate) service: Option<Service>,
    pub(crate) service_address: Option<SocketAddr>,
    /// The tenant's realm.
    pub(crate) realm: Option<String>,
    pub(crate) client: Option<Client>,
    pub(crate) cloud: Option<ClientConfig>,
    pub(crate) trust: Option<Trust>,
    pub(crate) user: Option<UserDetails>,
    pub(crate) account: Option<StorageAccount>,
    /// The host name of the domain controller, and its address.
    pub(crate) dc: Option<(String, IpAddr)>,
    pub(crate) dc_ports: Vec<u16>,
    pub(crate) cache: Option<Ccache>,
    /// The user's own ticket-granting ticket.
    pub(crate) tgt: Option<Credential>,
    pub(crate) session: Option<Session>,
    pub(crate) ldap: Option<Ldap>,
    pub(crate) tdo: Option<DirectoryTrust>,
    pub(crate) other_trusts: Vec<DirectoryTrust>,
    /// The TGS exchange at the referral to the tenant's KDC, with its next request.
    pub(crate) exchange: Option<(TgsExchange, Request)>,
    pub(crate) ticket: Option<Credential>,
    pub(crate) share_address: Option<SocketAddr>,
    /// The SMB hosts of the account, with the versions of their keys.
    pub(crate) host_kvnos: Vec<(String, Vec<u32>)>,
    /// What opening the share's root directory ended in.
    pub(crate) share_opened: Option<Result<(), ShareError>>,
}

impl Facts {
    /// What the options and this computer's Kerberos configuration say.
    pub(crate) fn new(options: Options) -> Self {
        let mut facts = Self {
            options,
            conf: Krb5Conf::load(),
            ..Self::default()
        };
        facts.service = facts.configured_service();
        facts.realm = facts.kdc_proxy().map(|(realm, _)| realm.to_owned());
        facts
    }

    /// The tenant's realm and its KDC proxy in krb5.conf; before the tenant is known, the first realm with a KDC proxy.
    pub(crate) fn kdc_proxy(&self) -> Option<(&str, &Value)> {
        let all = self.conf.kdc_proxies();
        let named = self.cloud.as_ref().map(|cloud| cloud.tenant.realm.as_str());
        let ours = all
            .iter()
            .find(|(realm, _)| named.is_some_and(|named| realm.eq_ignore_ascii_case(named)));
        match named {
            Some(_) => ours.copied(),
            None => all.first().copied(),
        }
    }

    fn configured_service(&self) -> Option<Service> {
        if let Some(server) = &self.options.server {
            let (host, port) = host_and_port(server)?;
            let source = "`--server` or `CROSSREALM_SERVER`".to_owned();
            return Some(Service { host, port, source });
        }
        let (_, value) = self.kdc_proxy()?;
        let (host, port) = host_and_port(&value.value)?;
        let source = value.place.clone();
        Some(Service { host, port, source })
    }

    /// Detects which parts this computer plays: the service and the SMB host have the addresses that their names resolve to.
    pub(crate) async fn detect_places(&mut self) {
        self.places.clear();
        if let Some(service) = &self.service
            && is_local(&service.host, service.port).await
        {
            self.places.push(Place::Cloud);
        }
        if let Some(host) = self.share_host()
            && is_local(&host, PORT).await
        {
            self.places.push(Place::SmbHost);
        }
        if !self.places.is_empty() {
            return;
        }
        let has_kerberos = self.kdc_proxy().is_some()
            || has_tickets()
            || std::env::var_os("KRB5_CONFIG").is_some();
        if has_kerberos {
            self.places.push(Place::Workstation);
        }
        if self.options.domain.is_some() {
            self.places.push(Place::AdministrationHost);
        }
    }

    /// Whether this computer runs the service or the SMB host, which need no domain controller.
    pub(crate) fn is_in_the_cloud(&self) -> bool {
        self.places
            .iter()
            .any(|place| matches!(place, Place::Cloud | Place::SmbHost))
    }

    /// Whether this is a user's computer.
    pub(crate) fn is_workstation(&self) -> bool {
        self.places.contains(&Place::Workstation)
    }

    /// The name or id of the tenant: given, or from the path of the KDC proxy.
    pub(crate) fn tenant_name(&self) -> Option<String> {
        if let Some(tenant) = &self.options.tenant {
            return Some(tenant.clone());
        }
        let (_, value) = self.kdc_proxy()?;
        let path = value.value.splitn(4, '/').nth(3)?;
        path.split('/')
            .next()
            .filter(|name| !name.is_empty())
            .map(str::to_owned)
    }

    /// The version of the key that the ticket for the share is encrypted with.
    pub(crate) fn ticket_kvno(&self) -> Option<u32> {
        let ticket = messages::decode::<Ticket>(&self.ticket.as_ref()?.ticket).ok()?;
        ticket.enc_part.kvno()
    }

    /// The host name that the ticket is for: given, or that of the share's account.
    pub(crate) fn share_host(&self) -> Option<String> {
        if let Some(host) = &self.options.host {
            return Some(host.to_lowercase());
        }
        let share = self.options.share.as_ref()?;
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
    pub(crate) fn domain(&self) -> Option<String> {
        if let Some(domain) = &self.options.domain {
            return Some(domain.trim_end_matches('.').to_lowercase());
        }
        if let Some(cache) = &self.cache {
            return Some(cache.principal.realm().to_lowercase());
        }
        let usual = self.conf.first(&["libdefaults", "default_realm"]);
        let usual = usual.map(|realm| realm.value.to_lowercase());
        match &self.cloud {
            // A default realm that nobody chose, such as the one of Debian's package, is not an AD realm of the tenant.
            Some(cloud) => match cloud.ad_realms.as_slice() {
                [only] => Some(only.dns_name.clone()),
                several => usual.filter(|usual| several.iter().any(|ad| ad.dns_name == *usual)),
            },
            None if self.kdc_proxy().is_some() => usual,
            None => None,
        }
    }

    /// The user: given, or the client of the tickets.
    pub(crate) fn user_name(&self) -> Option<String> {
        if let Some(user) = &self.options.user {
            return Some(user.clone());
        }
        let principal = &self.cache.as_ref()?.principal;
        Some(format!(
            "{}@{}",
            principal.components().first()?,
            principal.realm().to_lowercase()
        ))
    }

    /// The placeholders in the next steps of the checks, with their values where known; the longer placeholders first.
    pub(crate) fn placeholders(&self) -> [(&'static str, Option<String>); 6] {
        let share = self.options.share.as_ref();
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
                share.map(|Share { account, name }| format!("{account}/{name}")),
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
    pub(crate) fn wanted_names(&self) -> Vec<String> {
        match (self.share_host(), &self.cloud) {
            (Some(host), _) => vec![host],
            (None, Some(cloud)) => cloud.tenant.top_level_names.clone(),
            (None, None) => Vec::new(),
        }
    }

    /// The authorities to verify the service with, and what to call them: the given file, else `http_anchors` of krb5.conf,
    /// else this computer's.
    pub(crate) fn trust_anchors(&self) -> Result<(TrustAnchors, String), ProbeError> {
        match &self.options.ca {
            Some(path) => anchors_in(path),
            None => self.kerberos_trust_anchors(),
        }
    }

    /// The authorities that the Kerberos library verifies the KDC proxy with, and what to call them.
    pub(crate) fn kerberos_trust_anchors(&self) -> Result<(TrustAnchors, String), ProbeError> {
        match self.http_anchors() {
            Some(path) => anchors_in(&path),
            None => Ok((
                TrustAnchors::system()?,
                "this computer's certificate authorities".to_owned(),
            )),
        }
    }

    /// The file that `http_anchors` names.
    fn http_anchors(&self) -> Option<PathBuf> {
        let (realm, _) = self.kdc_proxy()?;
        let value = &self.conf.first(&["realms", realm, "http_anchors"])?.value;
        Some(PathBuf::from(value.strip_prefix("FILE:").unwrap_or(value)))
    }

    /// The service's HTTPS server, and what to call the authorities that it is verified with.
    pub(crate) fn https_server(&self) -> Result<(Server, String), ProbeError> {
        let (anchors, whose) = self.trust_anchors()?;
        let unknown = || ProbeError::NoServiceAddress;
        let server = Server {
            host: self.service.as_ref().ok_or_else(unknown)?.host.clone(),
            address: self.service_address.ok_or_else(unknown)?,
            anchors,
        };
        Ok((server, whose))
    }

    /// A client of the API, where there is a token.
    pub(crate) fn api_client(&self) -> Option<Result<Client, String>> {
        let token = self.options.token.clone()?;
        let service = self.service.as_ref()?;
        let server = match &self.options.server {
            Some(server) => server.clone(),
            None => format!("https://{}:{}", service.host, service.port),
        };
        let given = self.options.ca.as_deref();
        let pem = given
            .and_then(|path| read_bounded(path, MAX_CA_BYTES).ok())
            .or_else(|| read_bounded(&self.http_anchors()?, MAX_CA_BYTES).ok());
        Some(Client::new(&server, Some(token), pem.as_deref()).map_err(|error| error.to_string()))
    }

    /// The API client and the tenant's id, once both are known.
    pub(crate) fn tenant_api(&self) -> Option<(&Client, String)> {
        let cloud = self.cloud.as_ref()?;
        Some((self.client.as_ref()?, cloud.tenant.id.to_string()))
    }

    /// Why the tenant's record of the user is not known.
    pub(crate) fn why_no_user(&self) -> &'static str {
        match self.tenant_api() {
            None => NO_RECORDS,
            Some(_) => NO_USER,
        }
    }

    /// Reads the credential cache; returns its name.
    pub(crate) fn read_cache(&mut self) -> Result<CacheName, CacheError> {
        let name = CacheName::current()?;
        self.cache = Some(name.read()?);
        Ok(name)
    }
}

/// Whether this user has a credential cache, be it unreadable.
fn has_tickets() -> bool {
    let read = CacheName::current().map(|name| name.read());
    read.is_ok_and(|cache| !matches!(cache, Err(CacheError::NoTickets(_))))
}

fn anchors_in(path: &Path) -> Result<(TrustAnchors, String), ProbeError> {
    let pem = read_bounded(path, MAX_CA_BYTES)?;
    let anchors = TrustAnchors::from_pem(&pem).map_err(|error| ProbeError::file(path, error))?;
    Ok((anchors, format!("`{}`", path.display())))
}

/// The HTTPS server of a URL, with its name resolved.
pub(crate) async fn server_of(url: &str, anchors: TrustAnchors) -> Result<Server, ProbeError> {
    let (host, port) = host_and_port(url)
        .ok_or_else(|| ProbeError::other("the address of the KDC proxy is not a URL"))?;
    let address = resolve(&host, port).await;
    let address = address
        .map_err(|reason| ProbeError::Other(format!("`{host}` does not resolve: {reason}")))?;
    Ok(Server {
        host,
        address,
        anchors,
    })
}

/// A file, up to `limit` bytes.
pub(crate) fn read_bounded(path: &Path, limit: usize) -> Result<Vec<u8>, ProbeError> {
    let mut bytes = Vec::new();
    let limit = u64::try_from(limit).unwrap_or(u64::MAX);
    std::fs::File::open(path)
        .and_then(|file| file.take(limit).read_to_end(&mut bytes))
        .map_err(|error| ProbeError::file(path, error))?;
    Ok(bytes)
}
