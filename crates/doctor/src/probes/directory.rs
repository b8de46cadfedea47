//! The domain controller, and the objects in AD: every user of the domain can read all of them.

use super::clock::skew;
use super::workstation::section_of;
use crate::error::ProbeError;
use crate::facts::{DirectoryTrust, Facts, NO_DIRECTORY, NO_SHARE};
use crate::finding::{Finding, failed, failed_with, need, passed, quoted, skipped, try_or_fail};
use crate::net::{connect, resolve};
use crossrealm_krb::client::{AsExchange, ClientStep, Secret};
use crossrealm_krb::messages::{self, KrbError, name_type};
use crossrealm_krb::principal::Principal;
use crossrealm_onprem::credentials::DomainCredentials;
use crossrealm_onprem::dc::{self, Choice, DomainController};
use crossrealm_onprem::error::OnpremError;
use crossrealm_onprem::kdc;
use crossrealm_onprem::kerberos_server::{self, preflight};
use crossrealm_onprem::ldap::{self, Entry, Filter, Search};
use crossrealm_onprem::lsa::{
    ATTRIBUTE_FOREST_TRANSITIVE, DIRECTION_INBOUND, ENCTYPES_AES, TYPE_UPLEVEL,
};
use crossrealm_onprem::random::OsRandom;
use crossrealm_onprem::session::Session;
use crossrealm_onprem::trust::{is_at_or_below, overlap};
use crossrealm_os::clock::{now_s, since_epoch};
use std::net::SocketAddr;
use zeroize::Zeroizing;

/// The Kerberos port of a domain controller.
const KERBEROS: u16 = 88;
/// The most records of one trust's forest information that are parsed.
const MAX_RECORDS: usize = 4000;
/// Why the domain is not checked in the cloud.
const IN_CLOUD: &str = "this computer is in the cloud, which does not connect to AD";

/// Whether a domain controller is found.
pub(super) async fn dns_dc(facts: &mut Facts) -> Finding {
    if facts.is_in_the_cloud() && facts.options.dc.is_none() {
        return skipped(IN_CLOUD);
    }
    // The tickets name the domain; another check reports that there are none.
    let _ = facts.read_cache();
    let domain = need!(facts.domain(), "no domain is known; give `--domain DOMAIN`");
    let kdc = &["realms", &domain.to_uppercase(), "kdc"];
    let configured = facts.conf.first(kdc).map(|value| {
        let host = value
            .value
            .rsplit_once(':')
            .map_or(value.value.as_str(), |(host, _)| host);
        host.to_owned()
    });
    if configured.is_none()
        && facts.options.dc.is_none()
        && facts.is_workstation()
        && facts.conf.flag(&["libdefaults", "dns_lookup_kdc"]) == Some(false)
    {
        let realm = domain.to_uppercase();
        let misspelled = facts.conf.section_in_other_case(&realm);
        return match misspelled.map(|value| (section_of(value), &value.place)) {
            Some((name, place)) => failed_with(
                format!("the section of {place} is named `{name}`, the realm is `{realm}`"),
                format!("write the realm as `{realm}` there: {place}"),
            ),
            None => failed_with(
                format!(
                    "krb5.conf names no KDC of `{domain}`, and `dns_lookup_kdc = false` in it forbids to look for one"
                ),
                "remove `dns_lookup_kdc`, or add a `kdc` line to the section of the realm",
            ),
        };
    }
    let (hosts, source) = match (&facts.options.dc, configured) {
        (Some(host), _) => (vec![host.clone()], "`--dc`"),
        (None, Some(host)) => (vec![host], "krb5.conf"),
        (None, None) => match dc::controllers(&domain).await {
            Ok(hosts) => (hosts, "DNS"),
            Err(error) => return failed(error),
        },
    };
    let mut last = format!("{source} has no domain controller");
    for host in hosts {
        match resolve(&host, KERBEROS).await {
            Ok(address) => {
                let seen = format!("`{host}` of `{domain}` is {} ({source})", address.ip());
                facts.dc = Some((host, address.ip()));
                return passed(seen);
            }
            Err(error) => last = format!("`{host}` ({source}) does not resolve: {error}"),
        }
    }
    failed(last)
}

/// Whether one of its ports answers. Without `--domain` this is not an administration host, and only needs Kerberos.
pub(super) async fn port_dc(facts: &mut Facts, port: u16) -> Finding {
    let (host, address) = need!(facts.dc.clone(), "no domain controller is known");
    match connect(SocketAddr::new(address, port)).await {
        Ok(()) => {
            facts.dc_ports.push(port);
            passed(format!("`{host}` TCP {port} answers"))
        }
        Err(error) if port == KERBEROS || facts.options.domain.is_some() => {
            failed(format!("`{host}` TCP {port}: {error}"))
        }
        Err(error) => skipped(format!(
            "`{host}` TCP {port} does not answer ({error}); a workstation does not need it"
        )),
    }
}

/// Whether the clocks agree: every error reply of a KDC contains its time (RFC 4120 §5.9.1).
pub(super) async fn clock_dc(facts: &Facts) -> Finding {
    let (host, address) = need!(facts.dc.clone(), "no domain controller is known");
    let realm = need!(facts.domain(), "no domain is known").to_uppercase();
    let name = facts
        .cache
        .as_ref()
        .and_then(|cache| cache.principal.components().first().cloned());
    let name = name.unwrap_or_else(|| "crossrealm-doctor".to_owned());
    let exchange = async {
        let client = Principal::new(name_type::PRINCIPAL, [name], &realm);
        let client = client.map_err(ProbeError::other)?;
        let mut request = AsExchange::new(client, Secret::Password(Zeroizing::new(String::new())));
        let step = request.begin(since_epoch(), &mut OsRandom);
        let ClientStep::Send(request) = step.map_err(ProbeError::other)? else {
            return Err(ProbeError::other("no request was made"));
        };
        let address = SocketAddr::new(address, KERBEROS);
        let reply = kdc::ask_one(&host, address, &request.message).await;
        reply.map_err(ProbeError::other)
    };
    match messages::decode::<KrbError>(&try_or_fail!(exchange.await)) {
        Ok(error) => skew("the domain controller's clock", error.stime.0 - now_s()),
        Err(_) => skipped("its reply contains no time"),
    }
}

/// The domain's functional level, which the rootDSE shows to anonymous clients.
pub(super) async fn functional_level(facts: &Facts) -> Finding {
    let (host, _) = need!(
        facts.dc.clone(),
        "no domain controller is known; give `--domain DOMAIN`"
    );
    if !facts.dc_ports.contains(&ldap::PORT) {
        return skipped("LDAP does not answer");
    }
    let domain = need!(facts.domain(), "no domain is known");
    let found = try_or_fail!(DomainController::find(&domain, &Choice::Named(host)).await);
    let level = need!(
        found.root_dse.domain_functionality,
        "the domain controller does not report it"
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
        ..=2 => failed(format!("{name} ({level}): no AES")),
        3 | 4 => passed(format!(
            "{name} ({level}): sufficient, since it has AES; Microsoft Entra Kerberos requires 2012"
        )),
        _ => passed(format!("{name} ({level})")),
    }
}

/// Whether AD can be read, with the given credentials or the current tickets.
pub(super) async fn directory(facts: &mut Facts) -> Finding {
    let (host, _) = need!(facts.dc.clone(), "no domain controller is known");
    if !facts.dc_ports.contains(&ldap::PORT) {
        return skipped("LDAP does not answer");
    }
    let domain = need!(facts.domain(), "no domain is known");
    let tickets = DomainCredentials::Ccache { path: None };
    let credentials = match &facts.options.credentials {
        Some(given) => try_or_fail!(given),
        None if facts.tgt.is_some() => &tickets,
        None => {
            return skipped(
                "there are no tickets and no domain credentials; give `--domain-user USER`",
            );
        }
    };
    let own_tickets = matches!(credentials, DomainCredentials::Ccache { .. });
    let session = match Session::open(&domain, &Choice::Named(host), credentials).await {
        Ok(session) => session,
        Err(error) => {
            let next = error.hint().unwrap_or("check the credentials");
            return failed_with(error, next);
        }
    };
    let seen = format!("`{}` reads `{}`", session.client(), session.dc().host);
    let ldap = session.ldap().await;
    facts.session = Some(session);
    match ldap {
        Ok(ldap) => {
            facts.ldap = Some(ldap);
            passed(seen)
        }
        // The referral check reports refused tickets of the user; here AD only cannot be read.
        Err(OnpremError::Kerberos(error)) if own_tickets => {
            skipped(format!("AD refuses these tickets: {error}"))
        }
        Err(error) => failed(error),
    }
}

/// Whether AD has a trusted domain object of the tenant's realm, of the right kind and with the tenant's SID.
pub(super) async fn tdo(facts: &mut Facts) -> Finding {
    let realm = need!(facts.realm.clone(), "the tenant's realm is not known");
    let ldap = need!(facts.ldap.as_mut(), NO_DIRECTORY);
    let root = facts.session.as_ref().map(|session| &session.dc().root_dse);
    if root.is_some_and(|root| !root.is_forest_root()) {
        return skipped("this is a child domain: its users use the trust of the forest's root");
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
    let search = Search::subtree(&base, filter, &attributes);
    let found = try_or_fail!(ldap.search(&search).await);
    let microsoft = try_or_fail!(kerberos_server::microsoft_account(ldap).await);
    let trusts = found.iter().map(trust);
    let (own, others): (Vec<_>, Vec<_>) =
        trusts.partition(|trust| trust.partner.eq_ignore_ascii_case(&realm));
    facts.other_trusts = others;
    let Some(own) = own.into_iter().next() else {
        let others = match facts.other_trusts.as_slice() {
            [] => "none".to_owned(),
            others => quoted(others.iter().map(|trust| &trust.partner)),
        };
        return failed(format!(
            "AD has no trust with `{realm}`; its trusts: {others}"
        ));
    };
    let (kind, sid) = (own.kind, own.sid.clone());
    facts.tdo = Some(own);
    let wanted = facts.cloud.as_ref().map(|cloud| cloud.tenant.sid.clone());
    if kind != (DIRECTION_INBOUND, TYPE_UPLEVEL, ATTRIBUTE_FOREST_TRANSITIVE) {
        return failed(format!(
            "the trust with `{realm}` has direction {}, type {}, attributes {}, which is not a cloud trust",
            kind.0, kind.1, kind.2
        ));
    }
    match (wanted, sid) {
        (Some(wanted), sid) if sid.as_ref() != Some(&wanted) => failed(format!(
            "the trust with `{realm}` is of another tenant: its SID is {}, the tenant's is {wanted}",
            sid.map_or_else(|| "not set".to_owned(), |sid| sid.to_string())
        )),
        _ => {
            let beside = microsoft.map(|dn| {
                format!("; `{dn}` belongs to Microsoft Entra Kerberos and is never changed")
            });
            let beside = beside.unwrap_or_default();
            passed(format!(
                "inbound, forest-transitive, with `{realm}`{beside}"
            ))
        }
    }
}

/// Whether the trust allows AES.
pub(super) fn tdo_etypes(facts: &Facts) -> Finding {
    let tdo = need!(&facts.tdo, NO_DIRECTORY);
    match tdo.enctypes {
        0 => failed("`msDS-SupportedEncryptionTypes` of the trust is not set, which means RC4"),
        bits if bits & ENCTYPES_AES == 0 => failed(format!(
            "`msDS-SupportedEncryptionTypes` of the trust is 0x{bits:x}: no AES"
        )),
        bits => passed(format!("0x{bits:x}")),
    }
}

/// Whether the trust's top-level names cover the hosts, and are enabled.
pub(super) fn top_level_names(facts: &Facts) -> Finding {
    let tdo = need!(&facts.tdo, NO_DIRECTORY);
    let wanted = facts.wanted_names();
    if wanted.is_empty() {
        return skipped(NO_SHARE);
    }
    let mapped = |host: &str| {
        let realm = facts.realm.as_deref().unwrap_or_default();
        facts
            .conf
            .realm_of(host)
            .is_some_and(|value| value.value.eq_ignore_ascii_case(realm))
    };
    let names = quoted(tdo.names.iter().map(|(name, _)| name));
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
                    "`{host}` is below none of the trust's top-level names ({names})"
                ));
            }
            all if all.iter().all(|(_, flags)| *flags != 0) => {
                return failed(format!("the top-level name of `{host}` is disabled in AD"));
            }
            _ => {}
        }
    }
    passed(format!("{names} covers {}", quoted(&wanted)))
}

/// Whether another trust claims a name that overlaps the tenant's.
pub(super) fn collisions(facts: &Facts) -> Finding {
    let tdo = need!(&facts.tdo, NO_DIRECTORY);
    for other in &facts.other_trusts {
        for (name, _) in &other.names {
            if let Some((own, _)) = tdo.names.iter().find(|(own, _)| overlap(own, name)) {
                return failed(format!(
                    "`{name}` of the trust with `{}` overlaps `{own}` of this one",
                    other.partner
                ));
            }
        }
    }
    passed(format!(
        "{} other trusts, none of which claims a name of this one",
        facts.other_trusts.len()
    ))
}

/// Whether a service principal name in AD takes precedence over the share.
pub(super) async fn spn_shadow(facts: &mut Facts) -> Finding {
    let wanted = facts.wanted_names();
    let ldap = need!(facts.ldap.as_mut(), NO_DIRECTORY);
    if wanted.is_empty() {
        return skipped(NO_SHARE);
    }
    match preflight::shadowing_names(ldap, &wanted).await {
        Err(error) => failed(error),
        Ok(found) => match found.first() {
            None => passed(format!(
                "no service principal name in AD covers {}",
                quoted(&wanted)
            )),
            Some(first) => failed_with(
                format!(
                    "`{}` in AD has the service principal name `{}`",
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
        sid: entry.sid("securityIdentifier"),
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

/// The top-level names in `msDS-TrustForestTrustInfo` with their flags, [MS-ADTS] 6.1.6.9.3.1. What cannot be parsed is
/// omitted.
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
        // A record: its length, flags, timestamp (8 bytes), type; of a top-level name its length and UTF-8 text.
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
    fn top_level_names_are_parsed_with_their_flags() {
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
