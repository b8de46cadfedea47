//! What can be checked before the first change: ports, clocks, functional levels, rights, conflicting names.
//!
//! Each function returns its findings instead of failing at the first, so that all of them are reported at once.

use super::{ObjectStep, rights};
use crate::dc;
use crate::error::OnpremError;
use crate::ldap::{Filter, Ldap, RootDse, Search};
use crate::net;
use crate::trust::is_at_or_below;
use crate::{kdc, smb};
use crossrealm_krb::credential::MAX_SKEW_S;
use ldap3_proto::proto::LdapSubstringFilter;
use std::net::{IpAddr, SocketAddr};

/// `forestFunctionality` of Windows Server 2003, below which there are no forest trusts ([MS-ADTS] 6.1.4.4).
const FOREST_2003: i64 = 2;
/// `domainFunctionality` of Windows Server 2012 ([MS-ADTS] 6.1.4.3).
const DOMAIN_2012: i64 = 5;
/// The most service names that are listed in a finding.
const MAX_NAMED: usize = 5;

/// The services of the domain controller, beside LDAP, whose port does not answer.
pub async fn silent_ports(host: &str, address: IpAddr) -> Vec<OnpremError> {
    let ports = [(kdc::PORT, "Kerberos"), (smb::PORT, "SMB")];
    let mut silent = Vec::new();
    for (port, service) in ports {
        let address = SocketAddr::new(address, port);
        silent.extend(net::connect(host, address, service).await.err());
    }
    silent
}

/// The reason why no domain controller was found; if that is a silent LDAP port, with the other ports that are silent.
pub async fn all_silent_ports(error: OnpremError) -> Vec<OnpremError> {
    let mut all = vec![error];
    if let Some(OnpremError::Unreachable { host, port, .. }) = all.first() {
        let host = host.clone();
        let address = dc::addresses(&host, *port).await.unwrap_or_default();
        if let Some(address) = address.first() {
            all.extend(silent_ports(&host, address.ip()).await);
        }
    }
    all
}

/// Two clocks that differ by more than Kerberos permits.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the clock of {one} is {} {} that of {other}: Kerberos allows 5 min", span(.ahead_s.unsigned_abs()), if *.ahead_s < 0 { "behind" } else { "ahead of" })]
pub struct Skew {
    /// The clock that is compared.
    pub one: String,
    /// How far it is ahead, in seconds; negative if it is behind.
    pub ahead_s: i64,
    /// The clock that it is compared with.
    pub other: String,
}

/// Clocks that are too far apart: the domain controller's (`host`) from this computer's, with which nobody can sign in, and
/// from the service's, which then refuses every ticket. Each is given in seconds ahead of this computer's.
pub fn skewed_clocks(host: &str, controller_s: Option<i64>, service_s: Option<i64>) -> Vec<Skew> {
    let too_far = |ahead_s: i64| ahead_s.saturating_abs() > MAX_SKEW_S;
    let controller = || format!("the domain controller `{host}`");
    let mut found = Vec::new();
    let Some(controller_s) = controller_s else {
        return found;
    };
    if too_far(controller_s) {
        found.push(Skew {
            one: "this computer".to_owned(),
            ahead_s: controller_s.saturating_neg(),
            other: controller(),
        });
    }
    let Some(service_s) = service_s else {
        return found;
    };
    let apart_s = service_s.saturating_sub(controller_s);
    if too_far(apart_s) {
        found.push(Skew {
            one: "the service".to_owned(),
            ahead_s: apart_s,
            other: controller(),
        });
    }
    found
}

/// A duration for display; below an hour to the second.
fn span(seconds: u64) -> String {
    match (seconds / 3600, seconds % 3600 / 60, seconds % 60) {
        (0, 0, seconds) => format!("{seconds} s"),
        (0, minutes, 0) => format!("{minutes} min"),
        (0, minutes, seconds) => format!("{minutes} min {seconds} s"),
        (hours, minutes, _) => format!("{hours} h {minutes} min"),
    }
}

/// The PDC emulator of the domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Primary {
    /// The DN of its NTDS settings object, `dsServiceName` of its rootDSE.
    pub settings: String,
    /// Its DNS name.
    pub host: Option<String>,
}

/// The PDC emulator by `fSMORoleOwner` ([MS-ADTS] 6.1.5.3); `None` if it is not set. LSA is not asked: Samba reports every
/// domain controller as primary.
///
/// # Errors
///
/// If the directory cannot be read.
pub async fn primary(ldap: &mut Ldap) -> Result<Option<Primary>, OnpremError> {
    let base = ldap.base().to_owned();
    let domain = ldap.object(&base, &["fSMORoleOwner"]).await?;
    let Some(settings) = domain.and_then(|domain| domain.text("fSMORoleOwner").map(str::to_owned))
    else {
        return Ok(None);
    };
    let server = settings.split_once(',').map_or("", |(_, server)| server);
    let server = ldap.object(server, &["dNSHostName"]).await?;
    let host = server.and_then(|server| server.text("dNSHostName").map(str::to_lowercase));
    Ok(Some(Primary { settings, host }))
}

/// A domain of the forest, by its cross-reference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForestDomain {
    /// Its DNS name, lower case.
    pub dns_name: String,
    /// Its flat name.
    pub flat_name: String,
}

/// The domains of the forest ([MS-ADTS] 6.1.1.2.1.1). `configuration` is the DN of the configuration naming context.
///
/// # Errors
///
/// If the directory cannot be read.
pub async fn forest_domains(
    ldap: &mut Ldap,
    configuration: &str,
) -> Result<Vec<ForestDomain>, OnpremError> {
    let partitions = format!("CN=Partitions,{configuration}");
    let filter = Filter::And(vec![
        Filter::Equality("objectClass".to_owned(), "crossRef".to_owned()),
        Filter::Present("nETBIOSName".to_owned()),
    ]);
    let search = Search::subtree(&partitions, filter, &["dnsRoot", "nETBIOSName"]);
    let found = ldap.search(&search).await?;
    let domain = |entry: &crate::ldap::Entry| {
        Some(ForestDomain {
            dns_name: entry.text("dnsRoot")?.to_lowercase(),
            flat_name: entry.text("nETBIOSName")?.to_owned(),
        })
    };
    Ok(found.iter().filter_map(domain).collect())
}

/// The DN of an account that has the name which AD will give to the account of a trust with this flat name.
///
/// # Errors
///
/// If the directory cannot be read.
pub async fn account_of_trust(
    ldap: &mut Ldap,
    flat_name: &str,
) -> Result<Option<String>, OnpremError> {
    let base = ldap.base().to_owned();
    let name = Filter::Equality("sAMAccountName".to_owned(), format!("{flat_name}$"));
    let search = Search::subtree(&base, name, &["objectClass"]);
    let found = ldap.search(&search).await?;
    Ok(found.first().map(|entry| entry.dn().to_owned()))
}

/// Whether the signed-in account may create an object of this class in a container.
///
/// # Errors
///
/// If the directory cannot be read.
pub async fn may_create(
    ldap: &mut Ldap,
    container: &str,
    class: &str,
) -> Result<bool, OnpremError> {
    let attribute = "allowedChildClassesEffective";
    let entry = ldap.object(container, &[attribute]).await?;
    Ok(entry.is_some_and(|entry| {
        entry
            .texts(attribute)
            .iter()
            .any(|allowed| allowed.eq_ignore_ascii_case(class))
    }))
}

/// The attributes, of those given, that the signed-in account may not write on an object.
///
/// # Errors
///
/// If the directory cannot be read.
pub async fn unwritable<'a>(
    ldap: &mut Ldap,
    dn: &str,
    attributes: &[&'a str],
) -> Result<Vec<&'a str>, OnpremError> {
    let effective = "allowedAttributesEffective";
    let entry = ldap.object(dn, &[effective]).await?;
    let writable = entry.as_ref().map(|entry| entry.texts(effective));
    let writable = writable.unwrap_or_default();
    let missing = attributes.iter().copied().filter(|attribute| {
        !writable
            .iter()
            .any(|allowed| allowed.eq_ignore_ascii_case(attribute))
    });
    Ok(missing.collect())
}

/// The rights that the signed-in account lacks for these steps, one line for each. AD computes which objects may be created
/// and which attributes written; the rights to reset a key and to delete are judged from the permissions.
///
/// # Errors
///
/// If the directory cannot be read.
pub async fn missing_rights(
    ldap: &mut Ldap,
    steps: &[ObjectStep],
) -> Result<Vec<String>, OnpremError> {
    let mut missing = Vec::new();
    for step in steps {
        match step {
            ObjectStep::CreateUser { dn } => {
                missing.extend(missing_creation(ldap, dn, "user").await?);
            }
            ObjectStep::CreateComputer { dn, .. } => {
                missing.extend(missing_creation(ldap, dn, "computer").await?);
            }
            ObjectStep::DisableUser { dn } => {
                missing.extend(missing_writes(ldap, dn, &["userAccountControl"]).await?);
            }
            ObjectStep::RepairComputer { dn, what, .. } => {
                missing.extend(missing_writes(ldap, dn, what).await?);
            }
            ObjectStep::NewKey { dn } => {
                if !rights::may_reset_password(ldap, dn).await? {
                    missing.push(format!(
                        "the account lacks the right `Reset Password` on `{dn}`"
                    ));
                }
            }
            ObjectStep::DeleteComputer { dn } | ObjectStep::DeleteUser { dn } => {
                if !rights::may_delete(ldap, dn).await? {
                    missing.push(format!("the account lacks the right `Delete` on `{dn}`"));
                }
            }
        }
    }
    Ok(missing)
}

async fn missing_creation(
    ldap: &mut Ldap,
    dn: &str,
    class: &str,
) -> Result<Option<String>, OnpremError> {
    let container = dn.split_once(',').map_or("", |(_, parent)| parent);
    let may = may_create(ldap, container, class).await?;
    Ok((!may)
        .then(|| format!("the account may not create objects of class `{class}` in `{container}`")))
}

async fn missing_writes(
    ldap: &mut Ldap,
    dn: &str,
    attributes: &[&str],
) -> Result<Option<String>, OnpremError> {
    let unwritable = unwritable(ldap, dn, attributes).await?;
    Ok((!unwritable.is_empty()).then(|| {
        let names = unwritable.join("`, `");
        format!("the account may not write `{names}` of `{dn}`")
    }))
}

/// Whether the forest functional level supports forest trusts; `None` if the rootDSE does not hold it.
pub fn forest_knows_trusts(root: &RootDse) -> Option<bool> {
    root.forest_functionality.map(|level| level >= FOREST_2003)
}

/// Whether the domain functional level is the recommended one; `None` if the rootDSE does not hold it.
pub fn domain_is_recent(root: &RootDse) -> Option<bool> {
    root.domain_functionality.map(|level| level >= DOMAIN_2012)
}

/// A service principal name in AD that shadows a name of the tenant: AD issues the ticket itself instead of a referral.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shadow {
    /// The service name.
    pub service: String,
    /// The DN of the account that has it.
    pub owner: String,
}

/// The service principal names in AD for hosts at or below these suffixes, the first five.
///
/// # Errors
///
/// If the directory cannot be read.
pub async fn shadowing_names(
    ldap: &mut Ldap,
    suffixes: &[String],
) -> Result<Vec<Shadow>, OnpremError> {
    let attribute = "servicePrincipalName";
    let like = |any: Vec<String>, end: Option<String>| {
        let filter = LdapSubstringFilter {
            any,
            final_: end,
            ..LdapSubstringFilter::default()
        };
        Filter::Substring(attribute.to_owned(), filter)
    };
    // Behind the host, the name ends, or a port or a third component follows.
    let filters = suffixes.iter().flat_map(|suffix| {
        [format!(".{suffix}"), format!("/{suffix}")]
            .into_iter()
            .flat_map(|text| {
                let followed = [":", "/"].map(|mark| like(vec![format!("{text}{mark}")], None));
                followed.into_iter().chain([like(Vec::new(), Some(text))])
            })
    });
    let base = ldap.base().to_owned();
    let search = Search::subtree(&base, Filter::Or(filters.collect()), &[attribute]);
    let found = ldap.search(&search).await?;
    let shadows = found.iter().flat_map(|entry| {
        let names = entry.texts(attribute).into_iter();
        names.map(|service| Shadow {
            service: service.to_owned(),
            owner: entry.dn().to_owned(),
        })
    });
    Ok(shadows
        .filter(|shadow| {
            suffixes
                .iter()
                .any(|suffix| lies_at_or_below(&shadow.service, suffix))
        })
        .take(MAX_NAMED)
        .collect())
}

/// Whether the host of a service principal name is at or below the suffix.
fn lies_at_or_below(name: &str, suffix: &str) -> bool {
    let Some(host) = name.split('/').nth(1) else {
        return false;
    };
    is_at_or_below(host.split(':').next().unwrap_or(host), suffix)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels() {
        let root = |forest, domain| RootDse {
            forest_functionality: forest,
            domain_functionality: domain,
            ..RootDse::default()
        };
        assert_eq!(forest_knows_trusts(&root(Some(1), None)), Some(false));
        assert_eq!(forest_knows_trusts(&root(Some(2), None)), Some(true));
        assert_eq!(forest_knows_trusts(&root(None, None)), None);
        assert_eq!(domain_is_recent(&root(None, Some(4))), Some(false));
        assert_eq!(domain_is_recent(&root(None, Some(7))), Some(true));
    }

    #[test]
    fn clocks_that_are_too_far_apart_are_named_with_who_is_off() {
        let lines = |controller, service| -> Vec<String> {
            let found = skewed_clocks("dc1", controller, service);
            found.iter().map(ToString::to_string).collect()
        };
        assert_eq!(lines(Some(0), Some(0)), [""; 0]);
        assert_eq!(
            lines(Some(-300), Some(0)),
            [""; 0],
            "five minutes are allowed"
        );
        assert_eq!(lines(None, Some(9000)), [""; 0], "nothing to compare with");
        // This computer's clock is wrong: domain controller and service agree.
        assert_eq!(
            lines(Some(301), Some(301)),
            [
                "the clock of this computer is 5 min 1 s behind that of the domain controller `dc1`: Kerberos allows 5 min"
            ]
        );
        // The service's clock is wrong.
        assert_eq!(
            lines(Some(0), Some(7260)),
            [
                "the clock of the service is 2 h 1 min ahead of that of the domain controller `dc1`: Kerberos allows 5 min"
            ]
        );
        // The domain controller's clock is wrong; and: each is close to this computer's, but not to the other.
        assert_eq!(lines(Some(-600), Some(0)).len(), 2);
        assert_eq!(lines(Some(-200), Some(200)).len(), 1);
        assert_eq!(lines(Some(i64::MIN), Some(i64::MAX)).len(), 2);
    }

    #[test]
    fn only_hosts_at_or_below_the_suffix_are_in_its_shadow() {
        let suffix = "contoso.cloud.example";
        for name in [
            "cifs/acct1.file.Contoso.cloud.example",
            "HTTP/contoso.cloud.example",
            "MSSQLSvc/db.contoso.cloud.example:1433",
        ] {
            assert!(lies_at_or_below(name, suffix), "{name}");
        }
        for name in [
            "cifs/xcontoso.cloud.example",
            "cifs/cloud.example",
            "contoso.cloud.example",
            "",
        ] {
            assert!(!lies_at_or_below(name, suffix), "{name}");
        }
    }
}
