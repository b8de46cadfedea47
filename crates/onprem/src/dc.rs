//! Locating a domain controller: a host that the caller names, or DNS SRV records ([MS-ADTS] 6.3.2.3).
//!
//! DNS and an unauthenticated rootDSE only locate the host. That it is a domain controller of the domain is proven later, by a
//! ticket for `ldap/host/domain`: only domain controllers hold a key for that name.

use crate::error::OnpremError;
use crate::ldap::{self, Connection, RootDse};
use crossrealm_os::clock;
use hickory_resolver::TokioResolver;
use hickory_resolver::proto::rr::{RData, RecordType};
use std::net::{IpAddr, SocketAddr};

/// The most SRV targets that are considered.
const MAX_TARGETS: usize = 32;

/// Which domain controller is used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Choice {
    /// The one with this host name or address.
    Named(String),
    /// Any that answers.
    Any,
    /// The PDC emulator: the one that may change trusts.
    Pdc,
}

impl Choice {
    /// `Named(host)` if a host was given, else `otherwise`.
    pub fn named_or(host: Option<&str>, otherwise: Self) -> Self {
        host.map_or(otherwise, |host| Self::Named(host.to_owned()))
    }
}

/// A domain controller that has answered.
#[derive(Clone, Debug)]
pub struct DomainController {
    /// `dnsHostName` of its rootDSE.
    pub host: String,
    /// The address that answered.
    pub address: IpAddr,
    /// The DNS name of its domain, lower case.
    pub domain: String,
    /// Its rootDSE, read without authentication.
    pub root_dse: RootDse,
    /// How far its clock was ahead of this computer's when it answered, in seconds; negative if it was behind.
    pub clock_ahead_s: Option<i64>,
}

impl DomainController {
    /// Finds a domain controller of `domain` that answers LDAP.
    pub async fn find(domain: &str, choice: &Choice) -> Result<Self, OnpremError> {
        let domain = domain_name(domain)?;
        let candidates = match choice {
            Choice::Named(host) => vec![Target {
                host: host.clone(),
                port: ldap::PORT,
            }],
            Choice::Any => targets(&format!("_ldap._tcp.dc._msdcs.{domain}"), &domain).await?,
            Choice::Pdc => targets(&format!("_ldap._tcp.pdc._msdcs.{domain}"), &domain).await?,
        };
        let mut last = None;
        for candidate in &candidates {
            match Self::try_host(candidate, &domain).await {
                Ok(controller) => return Ok(controller),
                Err(error) => {
                    tracing::debug!(host = candidate.host, %error, "domain controller passed over");
                    last = Some(error);
                }
            }
        }
        match last {
            Some(error) if candidates.len() == 1 => Err(error),
            last => Err(OnpremError::NoneAnswers {
                domain,
                reason: last.map_or_else(|| "none is named".to_owned(), |error| error.to_string()),
            }),
        }
    }

    /// The Kerberos realm of its domain.
    pub fn realm(&self) -> String {
        self.domain.to_uppercase()
    }

    async fn try_host(target: &Target, domain: &str) -> Result<Self, OnpremError> {
        let mut last = None;
        for address in addresses(&target.host, target.port).await? {
            let found = async {
                let mut connection = Connection::open(&target.host, address).await?;
                connection.root_dse().await
            };
            match found.await {
                Ok(root_dse) => return Self::accept(target, address.ip(), domain, root_dse),
                Err(error) => last = Some(error),
            }
        }
        Err(last.unwrap_or_else(|| OnpremError::NoAddress {
            host: target.host.clone(),
            reason: "it has no address".to_owned(),
        }))
    }

    fn accept(
        target: &Target,
        address: IpAddr,
        domain: &str,
        root_dse: RootDse,
    ) -> Result<Self, OnpremError> {
        let found = root_dse
            .domain()
            .ok_or_else(|| OnpremError::NotAController(target.host.clone()))?;
        if found != domain {
            return Err(OnpremError::OtherDomain {
                host: target.host.clone(),
                found,
                wanted: domain.to_owned(),
            });
        }
        let now = clock::now_s();
        Ok(Self {
            host: root_dse.dns_host_name.to_lowercase(),
            address,
            domain: found,
            clock_ahead_s: root_dse.time_s().map(|time| time.saturating_sub(now)),
            root_dse,
        })
    }
}

/// The host names of the domain's controllers from DNS, in order of preference.
///
/// # Errors
pub async fn controllers(domain: &str) -> Result<Vec<String>, OnpremError> {
    let domain = domain_name(domain)?;
    let found = targets(&format!("_ldap._tcp.dc._msdcs.{domain}"), &domain).await?;
    Ok(found.into_iter().map(|target| target.host).collect())
}

/// A host and port from an SRV record.
pub(crate) struct Target {
    pub(crate) host: String,
    pub(crate) port: u16,
}

/// The targets of an SRV record, in order of preference (RFC 2782). Within a priority, the higher weight comes first instead
/// of a random choice: a tool that runs occasionally has no load to balance.
pub(crate) async fn targets(name: &str, domain: &str) -> Result<Vec<Target>, OnpremError> {
    let failed = |reason: String| OnpremError::NoController {
        domain: domain.to_owned(),
        reason,
    };
    let resolver = TokioResolver::builder_tokio()
        .and_then(|builder| builder.build())
        .map_err(|error| failed(error.to_string()))?;
    let lookup = resolver
        .lookup(format!("{name}."), RecordType::SRV)
        .await
        .map_err(|error| match error.is_no_records_found() {
            true => failed(format!("there is no SRV record `{name}`")),
            false => failed(error.to_string()),
        })?;
    let mut found: Vec<_> = lookup
        .answers()
        .iter()
        .filter_map(|record| match &record.data {
            RData::SRV(srv) => Some(srv),
            _ => None,
        })
        .take(MAX_TARGETS)
        .collect();
    found.sort_by_key(|srv| (srv.priority, u16::MAX - srv.weight));
    Ok(found
        .into_iter()
        .map(|srv| Target {
            host: srv.target.to_utf8().trim_end_matches('.').to_owned(),
            port: srv.port,
        })
        .filter(|target| !target.host.is_empty())
        .collect())
}

/// The addresses of a host from the system's resolver, which reads `/etc/hosts` too.
pub(crate) async fn addresses(host: &str, port: u16) -> Result<Vec<SocketAddr>, OnpremError> {
    let found = crate::net::within(
        crate::net::CONNECT_TIMEOUT,
        tokio::net::lookup_host((host, port)),
    );
    match found.await {
        Ok(addresses) => Ok(addresses.collect()),
        Err(error) => Err(OnpremError::NoAddress {
            host: host.to_owned(),
            reason: error.to_string(),
        }),
    }
}

/// The domain name in lower case and without a trailing dot.
fn domain_name(text: &str) -> Result<String, OnpremError> {
    let name = text.trim_end_matches('.').to_lowercase();
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && label
                .chars()
                .all(|c| c.is_alphanumeric() || c == '-' || c == '_')
    };
    if name.len() <= 253 && name.contains('.') && name.split('.').all(label) {
        Ok(name)
    } else {
        Err(OnpremError::BadDomain(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn domain_names() {
        assert_eq!(
            domain_name("Corp.Contoso.COM.").unwrap(),
            "corp.contoso.com"
        );
        for bad in [
            "",
            "corp",
            ".com",
            "a..b",
            "corp.contoso.com/x",
            "a b.c",
            &"x".repeat(300),
        ] {
            assert!(domain_name(bad).is_err(), "{bad}");
        }
    }

    #[tokio::test]
    async fn a_host_that_does_not_listen_is_named() {
        let choice = Choice::Named("127.0.0.2".to_owned());
        let error = DomainController::find("corp.contoso.com", &choice)
            .await
            .unwrap_err();
        assert!(
            error.to_string().contains("`127.0.0.2` port 389 (LDAP)"),
            "{error}"
        );
        assert!(error.hint().is_some());
    }
}
