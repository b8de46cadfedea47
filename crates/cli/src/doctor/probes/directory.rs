//! The domain controller, and what AD's directory holds: all of it is readable by every user of the domain.

use super::cloud::{now_s, skew};
use super::need;
use crate::client_config::is_at_or_below;
use crate::doctor::engine::{Finding, failed, failed_with, passed, skipped};
use crate::doctor::patient::{DirectoryTrust, Patient, connects, resolve};
use crossrealm_krb::client::{AsExchange, ClientStep, Secret};
use crossrealm_krb::messages::{self, KrbError, name_type};
use crossrealm_krb::principal::Principal;
use crossrealm_onprem::credentials::DomainCredentials;
use crossrealm_onprem::dc::{self, Choice, DomainController};
use crossrealm_onprem::error::OnpremError;
use crossrealm_onprem::kdc;
use crossrealm_onprem::kerberos_server::preflight;
use crossrealm_onprem::ldap::{Entry, Filter, Ldap, Search};
use crossrealm_onprem::os::{OsRandom, now};
use crossrealm_onprem::session::Session;
use std::net::SocketAddr;
use zeroize::Zeroizing;

/// A domain controller's ports.
const KERBEROS: u16 = 88;
/// `trustDirection` inbound, `trustType` uplevel, `trustAttributes` forest-transitive, [MS-ADTS] 6.1.6.7.
const INBOUND: u32 = 1;
const UPLEVEL: u32 = 2;
const FOREST_TRANSITIVE: u32 = 8;
/// The AES bits of `msDS-SupportedEncryptionTypes`, [MS-KILE] 2.2.7.
const AES: u32 = 0x18;
/// The most records of one trust's forest information.
const MAX_RECORDS: usize = 4000;
/// Why nothing is said of the domain in the cloud.
const IN_THE_CLOUD: &str =
    "this machine is in the cloud, which needs no way to a domain controller";
/// Why nothing is said of what AD holds.
const NO_DIRECTORY: &str = "AD was not read";

/// Whether a domain controller's name is found.
pub async fn dns_dc(patient: &mut Patient<'_>) -> Finding {
    if patient.is_in_the_cloud() && patient.args.dc.is_none() {
        return skipped(IN_THE_CLOUD);
    }
    // Whose domain it is, the tickets say best; that there are none is another check's business.
    let _ = patient.read_cache();
    let domain = need!(
        patient.domain(),
        "no domain is known; give `--domain DOMAIN`"
    );
    let configured = patient
        .conf
        .first(&["realms", &domain, "kdc"])
        .map(|value| {
            let host = value
                .value
                .rsplit_once(':')
                .map_or(value.value.as_str(), |(host, _)| host);
            host.to_owned()
        });
    let (hosts, source) = match (&patient.args.dc, configured) {
        (Some(host), _) => (vec![host.clone()], "`--dc`"),
        (None, Some(host)) => (vec![host], "krb5.conf"),
        (None, None) => match dc::controllers(&domain).await {
            Ok(hosts) => (hosts, "DNS"),
            Err(error) => return failed(error.to_string()),
        },
    };
    let mut last = format!("{source} names none");
    for host in hosts {
        match resolve(&host, KERBEROS).await {
            Ok(address) => {
                let seen = format!("`{host}` of `{domain}` is {} ({source})", address.ip());
                patient.dc = Some((host, address.ip()));
                return passed(seen);
            }
            Err(error) => last = format!("`{host}` ({source}) does not resolve: {error}"),
        }
    }
    failed(last)
}

/// Whether one of its ports answers. Without `--domain`, nobody administers anything here: then only Kerberos must.
pub async fn port_dc(patient: &mut Patient<'_>, port: u16) -> Finding {
    let (host, address) = need!(patient.dc.clone(), "no domain controller is known");
    match connects(SocketAddr::new(address, port)).await {
        Ok(()) => {
            patient.dc_ports.push(port);
            passed(format!("`{host}` TCP {port} answers"))
        }
        Err(error) if port == KERBEROS || patient.args.domain.is_some() => {
            failed(format!("`{host}` TCP {port}: {error}"))
        }
        Err(error) => skipped(format!(
            "`{host}` TCP {port} does not answer ({error}), which a workstation can do without"
        )),
    }
}

/// Whether the clocks agree: every answer of a KDC tells its time.
pub async fn clock_dc(patient: &Patient<'_>) -> Finding {
    let (host, address) = need!(patient.dc.clone(), "no domain controller is known");
    let realm = need!(patient.domain(), "no domain is known").to_uppercase();
    let name = patient
        .cache
        .as_ref()
        .and_then(|cache| cache.principal.components().first().cloned());
    let name = name.unwrap_or_else(|| "crossrealm-doctor".to_owned());
    let asked = async {
        let client = Principal::new(name_type::PRINCIPAL, [name], &realm)
            .map_err(|error| error.to_string())?;
        let mut exchange = AsExchange::new(client, Secret::Password(Zeroizing::new(String::new())));
        let step = exchange
            .begin(now(), &mut OsRandom)
            .map_err(|error| error.to_string())?;
        let ClientStep::Send(request) = step else {
            return Err("no question was made".to_owned());
        };
        let address = SocketAddr::new(address, KERBEROS);
        kdc::ask_one(&host, address, &request.message)
            .await
            .map_err(|error| error.to_string())
    };
    match asked.await {
        Err(error) => failed(error),
        Ok(reply) => match messages::decode::<KrbError>(&reply) {
            Ok(error) => skew("the domain controller's clock", error.stime.0 - now_s()),
            Err(_) => skipped("its answer does not tell its time"),
        },
    }
}

/// The domain's functional level, which every controller tells anybody.
pub async fn functional_level(patient: &Patient<'_>) -> Finding {
    let (host, _) = need!(patient.dc.clone(), "no domain controller is known");
    if !patient.dc_ports.contains(&dc::LDAP_PORT) {
        return skipped("LDAP does not answer");
    }
    let domain = need!(patient.domain(), "no domain is known");
    let found = match DomainController::find(&domain, &Choice::Named(host)).await {
        Ok(found) => found,
        Err(error) => return failed(error.to_string()),
    };
    let level = need!(
        found.root_dse.domain_functionality,
        "the domain controller does not tell it"
    );
    let name = match level {
        0 => "Windows 2000",
        1 | 2 => "Windows Server 2003",
        3 => "Windows Server 2008",
        4 => "Windows Server 2008 R2",
        5 => "Windows Server 2012",
        6 => "Windows Server 2012 R2",
        7 => "Windows Server 2016",
        _ => "newer than Windows Server 2016",
    };
    match level {
        ..=2 => failed(format!("{name} ({level}): it knows no AES")),
        3 | 4 => passed(format!(
            "{name} ({level}): enough here, since it knows AES; below the 2012 that the original asks for"
        )),
        _ => passed(format!("{name} ({level})")),
    }
}

/// Signs in to AD's directory, with the credentials given or the tickets that are here.
pub async fn directory(patient: &mut Patient<'_>) -> Finding {
    let (host, _) = need!(patient.dc.clone(), "no domain controller is known");
    if !patient.dc_ports.contains(&dc::LDAP_PORT) {
        return skipped("LDAP does not answer");
    }
    let domain = need!(patient.domain(), "no domain is known");
    let given = patient.args.credentials();
    let credentials = match given {
        Ok(Some(credentials)) => credentials,
        Ok(None) if patient.tgt.is_some() => DomainCredentials::Ccache { path: None },
        Ok(None) => {
            return skipped(
                "there are no tickets and no credentials of the domain; give `--domain-user USER`",
            );
        }
        Err(error) => return failed(error.to_string()),
    };
    let own_tickets = matches!(credentials, DomainCredentials::Ccache { .. });
    let session = match Session::open(&domain, &Choice::Named(host), &credentials).await {
        Ok(session) => session,
        Err(error) => {
            let next = error
                .hint()
                .unwrap_or_else(|| "check the credentials".to_owned());
            return failed_with(error.to_string(), next);
        }
    };
    let seen = format!("`{}` reads `{}`", session.client(), session.dc().host);
    let ldap = Ldap::connect(&session).await;
    patient.session = Some(session);
    match ldap {
        Ok(ldap) => {
            patient.ldap = Some(ldap);
            passed(seen)
        }
        // That AD refuses a person's tickets, the referral shows; here it only means that nothing is read.
        Err(OnpremError::Kerberos(error)) if own_tickets => {
            skipped(format!("AD refuses these tickets: {error}"))
        }
        Err(error) => failed(error.to_string()),
    }
}

/// Whether AD holds a trust with the tenant's realm, of the right kind and with the tenant's SID.
pub async fn tdo(patient: &mut Patient<'_>) -> Finding {
    let realm = need!(patient.realm.clone(), "the tenant's realm is not known");
    let ldap = need!(patient.ldap.as_mut(), NO_DIRECTORY);
    let root = patient
        .session
        .as_ref()
        .map(|session| &session.dc().root_dse);
    if root.is_some_and(|root| !root.is_forest_root()) {
        return skipped(
            "this is a child domain: the trust is in the forest's root, where its users arrive through",
        );
    }
    let base = format!("CN=System,{}", ldap.base());
    let filter = Filter::Equality("objectClass".to_owned(), "trustedDomain".to_owned());
    let attributes = [
        "trustPartner",
        "flatName",
        "securityIdentifier",
        "trustDirection",
        "trustType",
        "trustAttributes",
        "msDS-SupportedEncryptionTypes",
        "msDS-TrustForestTrustInfo",
    ];
    let found = match ldap
        .search(&Search::subtree(&base, filter, &attributes))
        .await
    {
        Ok(found) => found,
        Err(error) => return failed(error.to_string()),
    };
    let trusts = found.iter().map(trust);
    let (own, others): (Vec<_>, Vec<_>) =
        trusts.partition(|trust| trust.partner.eq_ignore_ascii_case(&realm));
    let others_named: Vec<String> = others
        .iter()
        .map(|trust| format!("`{}`", trust.partner))
        .collect();
    patient.other_trusts = others;
    let Some(own) = own.into_iter().next() else {
        let others = if others_named.is_empty() {
            "none".to_owned()
        } else {
            others_named.join(", ")
        };
        return failed(format!(
            "AD holds no trust with `{realm}`; its trusts: {others}"
        ));
    };
    let (kind, sid) = (own.kind, own.sid.clone());
    patient.tdo = Some(own);
    let wanted = patient.cloud.as_ref().map(|cloud| cloud.tenant.sid.clone());
    if kind != (INBOUND, UPLEVEL, FOREST_TRANSITIVE) {
        return failed(format!(
            "the trust with `{realm}` has direction {}, type {}, attributes {}, which is no cloud trust",
            kind.0, kind.1, kind.2
        ));
    }
    match (wanted, sid) {
        (Some(wanted), sid) if sid.as_ref() != Some(&wanted) => failed(format!(
            "the trust with `{realm}` is another's: its SID is {}, the tenant's is {wanted}",
            sid.as_deref().unwrap_or("not set")
        )),
        _ => passed(format!("inbound, forest-transitive, with `{realm}`")),
    }
}

/// Whether the trust may use AES.
pub fn tdo_etypes(patient: &Patient<'_>) -> Finding {
    let tdo = need!(&patient.tdo, NO_DIRECTORY);
    match tdo.enctypes {
        0 => failed("`msDS-SupportedEncryptionTypes` of the trust is not set, which means RC4"),
        bits if bits & AES == 0 => failed(format!(
            "`msDS-SupportedEncryptionTypes` of the trust is 0x{bits:x}: no AES"
        )),
        bits => passed(format!("0x{bits:x}")),
    }
}

/// Whether the trust's top-level names cover the hosts, and are in force.
pub fn top_level_names(patient: &Patient<'_>) -> Finding {
    let tdo = need!(&patient.tdo, NO_DIRECTORY);
    let wanted = patient.wanted_names();
    if wanted.is_empty() {
        return skipped(super::NO_SHARE);
    }
    let mapped = |host: &str| {
        let realm = patient.realm.as_deref().unwrap_or_default();
        patient
            .conf
            .realm_of(host)
            .is_some_and(|value| value.value.eq_ignore_ascii_case(realm))
    };
    let names: Vec<String> = tdo
        .names
        .iter()
        .map(|(name, _)| format!("`{name}`"))
        .collect();
    for host in &wanted {
        let covering: Vec<_> = tdo
            .names
            .iter()
            .filter(|(name, _)| is_at_or_below(host, name))
            .collect();
        match covering.as_slice() {
            [] if mapped(host) => {}
            [] => {
                return failed(format!(
                    "`{host}` lies below none of the trust's top-level names ({})",
                    names.join(", ")
                ));
            }
            all if all.iter().all(|(_, flags)| *flags != 0) => {
                return failed(format!(
                    "the top-level name of `{host}` is switched off in AD"
                ));
            }
            _ => {}
        }
    }
    passed(format!(
        "{} covers `{}`",
        names.join(", "),
        wanted.join("`, `")
    ))
}

/// Whether another trust claims a name that overlaps the tenant's.
pub fn collisions(patient: &Patient<'_>) -> Finding {
    let tdo = need!(&patient.tdo, NO_DIRECTORY);
    for other in &patient.other_trusts {
        for (name, _) in &other.names {
            let overlaps = |own: &str| is_at_or_below(own, name) || is_at_or_below(name, own);
            if let Some((own, _)) = tdo.names.iter().find(|(own, _)| overlaps(own)) {
                return failed(format!(
                    "`{name}` of the trust with `{}` overlaps `{own}` of this one",
                    other.partner
                ));
            }
        }
    }
    passed(format!(
        "{} other trusts, none claims a name of this one",
        patient.other_trusts.len()
    ))
}

/// Whether a service of AD's own hides the share.
pub async fn spn_shadow(patient: &mut Patient<'_>) -> Finding {
    let wanted = patient.wanted_names();
    let ldap = need!(patient.ldap.as_mut(), NO_DIRECTORY);
    if wanted.is_empty() {
        return skipped(super::NO_SHARE);
    }
    match preflight::shadowing_names(ldap, &wanted).await {
        Err(error) => failed(error.to_string()),
        Ok(found) => match found.first() {
            None => passed(format!(
                "no service of AD is called like `{}`",
                wanted.join("`, `")
            )),
            Some(first) => failed_with(
                format!(
                    "`{}` in AD has the service name `{}` itself",
                    first.owner, first.service
                ),
                format!("remove it: setspn -D {} ACCOUNT", first.service),
            ),
        },
    }
}

fn trust(entry: &Entry) -> DirectoryTrust {
    let text = |name| entry.text(name).unwrap_or_default().to_owned();
    let number = |name| entry.flags(name).unwrap_or_default();
    DirectoryTrust {
        partner: text("trustPartner"),
        flat_name: text("flatName"),
        sid: entry.sid("securityIdentifier").map(|sid| sid.to_string()),
        kind: (
            number("trustDirection"),
            number("trustType"),
            number("trustAttributes"),
        ),
        enctypes: number("msDS-SupportedEncryptionTypes"),
        names: entry
            .values("msDS-TrustForestTrustInfo")
            .first()
            .map(|blob| forest_names(blob))
            .unwrap_or_default(),
    }
}

/// The top-level names in `msDS-TrustForestTrustInfo` with their flags, [MS-ADTS] 6.1.6.9.3.1. What cannot be read is left out.
fn forest_names(blob: &[u8]) -> Vec<(String, u32)> {
    let word = |at: usize| -> Option<u32> {
        let bytes = blob.get(at..at.checked_add(4)?)?;
        Some(u32::from_le_bytes(bytes.try_into().ok()?))
    };
    let size = |at: usize| word(at).and_then(|n| usize::try_from(n).ok());
    let mut names = Vec::new();
    let count = size(4).unwrap_or_default().min(MAX_RECORDS);
    let mut at = 8;
    for _ in 0..count {
        // A record: its length, then flags, time (8 bytes), type, and for a top-level name its length and UTF-8 text.
        let Some(length) = size(at) else { break };
        let record = at + 4;
        let flags = word(record).unwrap_or_default();
        if blob.get(record + 12) == Some(&0)
            && let Some(name_length) = size(record + 13)
            && let Some(name) = blob
                .get(record + 17..)
                .and_then(|rest| rest.get(..name_length))
            && let Ok(name) = std::str::from_utf8(name)
        {
            names.push((name.to_owned(), flags));
        }
        let Some(next) = record.checked_add(length) else {
            break;
        };
        at = next;
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blob(records: &[(u8, u32, &str)]) -> Vec<u8> {
        let mut out = vec![1, 0, 0, 0];
        out.extend(u32::try_from(records.len()).unwrap().to_le_bytes());
        for (kind, flags, name) in records {
            let length = u32::try_from(17 + name.len()).unwrap();
            out.extend(length.to_le_bytes());
            out.extend(flags.to_le_bytes());
            out.extend([0; 8]);
            out.push(*kind);
            out.extend(u32::try_from(name.len()).unwrap().to_le_bytes());
            out.extend(name.as_bytes());
        }
        out
    }

    #[test]
    fn names_and_their_flags_are_read() {
        let data = blob(&[
            (0, 0, "contoso.cloud.example"),
            (2, 0, "x"),
            (0, 4, "other.example"),
        ]);
        let expected = [
            ("contoso.cloud.example".to_owned(), 0),
            ("other.example".to_owned(), 4),
        ];
        assert_eq!(forest_names(&data), expected);
        for cut in 0..data.len() {
            assert!(forest_names(&data[..cut]).len() <= 2);
        }
        assert!(forest_names(&[0xff; 64]).is_empty());
    }
}
