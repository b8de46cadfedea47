//! The facts: what is known of the user, this computer and the tenant. Each probe adds some; later probes build on them.

use crate::anchor;
use crate::bounded::{MAX_CA_BYTES, read_bounded};
use crate::environment::{Place, served_here};
use crate::error::ProbeError;
use crate::finding::quoted;
use crate::https::{Server, TrustAnchors};
use crate::net::{host_and_port, is_local, resolve};
use crate::options::{Options, Share};
use crossrealm_api::{Client, ClientConfig, UserDetails};
use crossrealm_krb::ccache::Ccache;
use crossrealm_krb::client::{Request, TgsExchange};
use crossrealm_krb::credential::Credential;
use crossrealm_krb::messages::{self, Ticket};
use crossrealm_onprem::ccache::{CacheError, CacheName};
use crossrealm_onprem::krb5_conf::{Krb5Conf, Value};
use crossrealm_onprem::ldap::Ldap;
use crossrealm_onprem::session::Session;
use crossrealm_onprem::smb::PORT;
use crossrealm_onprem::smb::share::ShareError;
use crossrealm_types::{Sid, StorageAccount, Trust};
use std::net::{IpAddr, SocketAddr};
use std::path::Path;

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
        facts.realm = facts
            .configured_proxy()
            .map(|(realm, _)| realm.to_uppercase());
        facts
    }

    /// The tenant's realm and its KDC proxy, as Kerberos reads them in krb5.conf. Of several tenants it is the one that was given,
    /// before that is known the first one.
    pub(crate) fn kdc_proxy(&self) -> Option<(&str, &Value)> {
        let all = self.conf.kdc_proxies();
        if let Some(cloud) = &self.cloud {
            let named = &cloud.tenant.realm;
            let ours = |(realm, _): &&(&str, &Value)| realm.eq_ignore_ascii_case(named);
            return all.iter().find(ours).copied();
        }
        let given = self.options.tenant.as_deref();
        let ours = |(realm, value): &&(&str, &Value)| {
            given.is_some_and(|tenant| is_of_tenant(realm, &value.value, tenant))
        };
        let only = || (all.len() == 1 || given.is_none()).then(|| all.first());
        all.iter().find(ours).or_else(|| only().flatten()).copied()
    }

    /// The same, also of a file that Kerberos does not read: its author meant this tenant.
    fn configured_proxy(&self) -> Option<(&str, &Value)> {
        let left_out = self.conf.left_out.first();
        self.kdc_proxy().or_else(|| {
            let (realm, value) = &left_out?.proxy;
            Some((realm.as_str(), value))
        })
    }

    fn configured_service(&self) -> Option<Service> {
        if let Some(server) = &self.options.server {
            let (host, port) = host_and_port(server)?;
            let source = "`--server` or `CROSSREALM_SERVER`".to_owned();
            return Some(Service { host, port, source });
        }
        // All tenants of one configuration are mostly of one service: with a token it says which is meant.
        let first = self.conf.kdc_proxies().first().copied();
        let (_, value) = self.configured_proxy().or(first)?;
        let (host, port) = host_and_port(&value.value)?;
        let source = value.place.clone();
        Some(Service { host, port, source })
    }

    /// Detects which parts this computer plays: the service and the SMB host run here, or have the addresses that their names
    /// resolve to.
    pub(crate) async fn detect_places(&mut self) {
        self.places = served_here();
        if let Some(service) = &self.service
            && is_local(&service.host, service.port).await
        {
            self.add_place(Place::Cloud);
        }
        if let Some(host) = self.share_host()
            && is_local(&host, PORT).await
        {
            self.add_place(Place::SmbHost);
        }
        if !self.places.is_empty() {
            return;
        }
        let has_kerberos = self.configured_proxy().is_some()
            || !self.conf.faults.is_empty()
            || has_tickets()
            || std::env::var_os("KRB5_CONFIG").is_some();
        if has_kerberos {
            self.places.push(Place::Workstation);
        }
        if self.options.domain.is_some() {
            self.places.push(Place::AdministrationHost);
        }
    }

    fn add_place(&mut self, place: Place) {
        if !self.places.contains(&place) {
            self.places.push(place);
        }
    }

    /// Whether neither options nor configuration name a service.
    pub(crate) fn is_unconfigured(&self) -> bool {
        self.service.is_none() && self.options.server.is_none() && self.conf.faults.is_empty()
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
        let (_, value) = self.configured_proxy()?;
        tenant_in(&value.value).map(str::to_owned)
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
        let named = self.http_anchors();
        if named.is_empty() {
            let system = "this computer's certificate authorities".to_owned();
            return Ok((TrustAnchors::system()?, system));
        }
        let mut pem = Vec::new();
        for value in &named {
            pem.extend(anchor::read(&value.value, &value.place)?);
            pem.push(b'\n');
        }
        let names = named.iter().map(|value| &value.value);
        let anchors = TrustAnchors::from_pem(&pem).map_err(|error| {
            ProbeError::Other(format!(
                "{} ({}): {error}",
                quoted(names.clone()),
                place(&named)
            ))
        })?;
        Ok((anchors, quoted(names)))
    }

    /// The values of `http_anchors` beside the tenant's KDC proxy: the Kerberos library trusts all of them.
    pub(crate) fn http_anchors(&self) -> Vec<&Value> {
        match (self.kdc_proxy(), self.conf.left_out.first()) {
            (Some((realm, _)), _) => self.conf.all(&["realms", realm, "http_anchors"]),
            (None, Some(left_out)) => left_out.anchors.iter().collect(),
            (None, None) => Vec::new(),
        }
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

    /// A client of the API, where there is a token. It connects directly, as Kerberos does.
    pub(crate) fn api_client(&self) -> Option<Result<Client, String>> {
        let token = self.options.token.clone()?;
        let service = self.service.as_ref()?;
        let server = match &self.options.server {
            Some(server) => server.clone(),
            None => format!("https://{}:{}", service.host, service.port),
        };
        let pem = match &self.options.ca {
            Some(path) => read_bounded(path, MAX_CA_BYTES).ok(),
            None => {
                let named = self.http_anchors();
                let first = named.first();
                first.and_then(|value| anchor::read(&value.value, &value.place).ok())
            }
        };
        let client = Client::without_web_proxy(&server, Some(token), pem.as_deref());
        Some(client.map_err(|error| error.to_string()))
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

/// The tenant in the URL of a KDC proxy: its id or domain.
pub(crate) fn tenant_in(url: &str) -> Option<&str> {
    let path = url.splitn(4, '/').nth(3)?;
    path.split('/').next().filter(|name| !name.is_empty())
}

/// Whether the realm and URL of a KDC proxy are those of a tenant that was given by id, domain or name. A tenant's realm is
/// `KERBEROS.` and its domain unless it was chosen otherwise, and the domain begins with its name.
fn is_of_tenant(realm: &str, url: &str, tenant: &str) -> bool {
    let realm = realm.to_ascii_lowercase();
    let tenant = tenant.to_ascii_lowercase();
    let domain = realm.strip_prefix("kerberos.").unwrap_or(&realm);
    let is_in_url = tenant_in(url).is_some_and(|name| name.eq_ignore_ascii_case(&tenant));
    is_in_url || realm == tenant || domain.split('.').next() == Some(&tenant) || domain == tenant
}

fn place(values: &[&Value]) -> String {
    let places: Vec<&str> = values.iter().map(|value| value.place.as_str()).collect();
    places.join(", ")
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

#[cfg(test)]
mod tests {
    use super::*;

    /// F13: of two tenants in one configuration the given one is meant.
    #[test]
    fn f13_a_tenant_is_found_by_id_domain_or_name() {
        let realm = "KERBEROS.CONTOSO.CLOUD.EXAMPLE";
        let url = "https://login.cloud.example:443/0f8fad5b-d9cb-469f-a165-70867728950e/kerberos";
        for tenant in [
            "0F8FAD5B-d9cb-469f-a165-70867728950e",
            "contoso.cloud.example",
            "Contoso",
            realm,
        ] {
            assert!(is_of_tenant(realm, url, tenant), "{tenant}");
        }
        for other in ["second", "cloud.example", "kerberos", ""] {
            assert!(!is_of_tenant(realm, url, other), "{other}");
        }
        assert!(is_of_tenant(
            "TENANT.EXAMPLE",
            "https://x/y/kerberos",
            "tenant.example"
        ));
    }
}
