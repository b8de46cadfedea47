//! The tickets: sign-in, referral, service ticket, and whether the service can decrypt it.

use crate::bounded::read_bounded;
use crate::environment::Place;
use crate::error::ProbeError;
use crate::facts::{Facts, NO_RECORDS, NO_SHARE, server_of};
use crate::finding::{Failed, Finding, failed, failed_with, need, passed, skipped, try_or_fail};
use crossrealm_krb::client::{ClientError, ClientStep, TgsExchange};
use crossrealm_krb::credential::Credential;
use crossrealm_krb::crypto::Enctype;
use crossrealm_krb::key_usage;
use crossrealm_krb::keytab::{Keytab, MAX_KEYTAB_LEN};
use crossrealm_krb::kkdcp;
use crossrealm_krb::messages::{self, KrbError, Ticket, name_type};
use crossrealm_krb::principal::Principal;
use crossrealm_onprem::ccache::CacheError;
use crossrealm_onprem::kdc::Kdcs;
use crossrealm_onprem::random::OsRandom;
use crossrealm_os::clock::{now_s, since_epoch};

/// Why a ticket is not checked.
const NO_TGT: &str = "the user has no tickets here; sign in with `kinit`";

/// Whether a user is signed in to the domain.
pub(super) async fn tgt(facts: &mut Facts) -> Finding {
    if facts.is_in_the_cloud() {
        return skipped("users do not sign in to the domain here");
    }
    let name = match facts.read_cache() {
        Ok(name) => name,
        Err(error @ CacheError::NoTickets(_))
            if facts.is_workstation() && !facts.places.contains(&Place::AdministrationHost) =>
        {
            return failed(error);
        }
        Err(error @ CacheError::NoTickets(_)) => {
            return skipped(format!("there are no tickets here ({error})"));
        }
        Err(error) => {
            let next = error.hint();
            return failed_with(error, next);
        }
    };
    let cache = need!(&facts.cache, NO_TGT);
    let who = cache.principal.clone();
    let tgt = cache.tgt(who.realm()).cloned();
    if tgt.is_none() && cache.skipped == 0 {
        return failed_with(
            format!("`{name}` holds no ticket-granting ticket of `{who}`"),
            format!("kinit {who}"),
        );
    }
    facts.tgt = tgt;
    passed(format!("`{who}`, in `{name}`"))
}

/// Whether the ticket-granting ticket is still valid.
pub(super) fn tgt_valid(facts: &Facts) -> Finding {
    let tgt = need!(&facts.tgt, NO_TGT);
    let left = tgt.end_time - now_s();
    if left <= 0 {
        return failed_with(
            format!(
                "the ticket of `{}` expired {} min ago",
                tgt.client,
                -left / 60
            ),
            format!("kinit {}", tgt.client),
        );
    }
    if !tgt.is_valid_at(now_s(), 0) {
        return failed("the ticket is not valid yet");
    }
    passed(format!(
        "for another {} h {} min",
        left / 3600,
        left % 3600 / 60
    ))
}

/// Whether the sign-in uses AES: for the session key and for the ticket.
pub(super) fn tgt_etype(facts: &Facts) -> Finding {
    let cache = need!(&facts.cache, NO_TGT);
    let Some(tgt) = &facts.tgt else {
        return failed(format!(
            "the session key of `{}`'s ticket is not of an AES type",
            cache.principal
        ));
    };
    match ticket_etype(tgt) {
        Ok(etype) if Enctype::from_number(etype).is_some() => passed(format!(
            "encryption type {etype}, session key {}",
            tgt.key.enctype().number()
        )),
        Ok(etype) => failed(format!(
            "the ticket is encrypted with encryption type {etype}, which is not AES"
        )),
        Err(error) => failed(error),
    }
}

/// Requests the share's ticket from the domain controller, which should answer with a referral to the tenant.
pub(super) async fn referral(facts: &mut Facts) -> Finding {
    let host = need!(facts.share_host(), NO_SHARE);
    let own = facts.tgt.clone();
    let signed_in = facts.session.as_ref().map(|session| session.tgt().clone());
    let tgt = need!(own.or(signed_in), NO_TGT);
    let (dc, address) = need!(facts.dc.clone(), "no domain controller is known");
    let realm = need!(facts.realm.clone(), "the tenant's realm is not known");
    let from = tgt.client.realm().to_uppercase();
    let Ok(service) = Principal::new(name_type::SRV_INST, ["cifs", &host], &from) else {
        return failed(format!("`{host}` is not a host name"));
    };
    let kdcs = Kdcs::pinned(&from, &dc, address);
    let mut exchange = TgsExchange::new(tgt, service);
    let mut step = exchange.begin(since_epoch(), &mut OsRandom);
    loop {
        match step {
            Err(ClientError::UnknownService(_)) => {
                return failed(format!(
                    "`{dc}` has neither a service `cifs/{host}` nor a referral for it"
                ));
            }
            Err(ClientError::Refused { .. } | ClientError::Revoked(_)) => {
                return failed_with(
                    format!(
                        "`{dc}` refuses the user's tickets: the account was disabled, locked or changed since the sign-in"
                    ),
                    "enable the account in AD, or sign in again with `kinit`",
                );
            }
            Err(error) => {
                let next = error
                    .hint()
                    .unwrap_or("`crossrealm kerberos-server get` compares both sides");
                return failed_with(error, next);
            }
            Ok(ClientStep::Done(ticket)) => {
                return failed_with(
                    format!(
                        "`{}` issued the ticket itself, for a service in its own realm",
                        ticket.server.realm()
                    ),
                    format!("setspn -Q cifs/{host}"),
                );
            }
            Ok(ClientStep::Send(request)) if request.realm.eq_ignore_ascii_case(&realm) => {
                facts.exchange = Some((exchange, request));
                return passed(format!("`{dc}` refers to `{realm}`"));
            }
            Ok(ClientStep::Send(request)) => match kdcs.ask(&request).await {
                Ok(reply) => step = exchange.received(&reply, since_epoch(), &mut OsRandom),
                Err(error) => return failed(error),
            },
        }
    }
}

/// Whether the referral is encrypted with AES.
pub(super) fn referral_etype(facts: &Facts) -> Finding {
    let (exchange, _) = need!(&facts.exchange, "there is no referral");
    let referral = need!(exchange.referrals().last(), "there is no referral");
    match ticket_etype(referral) {
        Ok(etype) if Enctype::from_number(etype).is_some() => {
            passed(format!("encryption type {etype}"))
        }
        Ok(etype) => failed(format!("encryption type {etype}, which is not AES")),
        Err(error) => failed(error),
    }
}

/// Sends the referral to the tenant's KDC through the KDC proxy.
pub(super) async fn service_ticket(facts: &mut Facts) -> Finding {
    if facts.tgt.is_none() {
        return skipped(NO_TGT);
    }
    let (mut exchange, request) = need!(facts.exchange.take(), "there is no referral");
    let configured = facts.kdc_proxy().map(|(_, value)| value.value.clone());
    let url = configured.or_else(|| {
        facts
            .cloud
            .as_ref()
            .map(|cloud| cloud.kdc_proxy_url.clone())
    });
    let url = need!(url, "the URL of the KDC proxy is not known");
    let reply = exchange_with_kdc_proxy(facts, &url, &request.message, &request.realm).await;
    let reply = try_or_fail!(reply);
    let refusal = messages::decode::<KrbError>(&reply).ok();
    if let Some(error) = refusal {
        let text = error
            .e_text
            .as_ref()
            .map(|text| text.as_str().to_owned())
            .unwrap_or_default();
        return refused(error.error_code, &text);
    }
    match exchange.received(&reply, since_epoch(), &mut OsRandom) {
        Ok(ClientStep::Done(ticket)) => {
            let seen = format!(
                "`{}`, until {} min from now",
                ticket.server,
                (ticket.end_time - now_s()) / 60
            );
            facts.ticket = Some(*ticket);
            passed(seen)
        }
        Ok(ClientStep::Send(request)) => {
            failed(format!("the tenant's KDC refers to `{}`", request.realm))
        }
        Err(error) => failed(error),
    }
}

/// A refusal whose text ends in `[reason, event ID]`.
fn refused(code: i32, text: &str) -> Finding {
    let bracketed = text
        .rsplit_once('[')
        .and_then(|(_, rest)| rest.strip_suffix(']'));
    let reason = bracketed
        .and_then(|bracketed| bracketed.split(',').next())
        .map(str::trim);
    let known = reason.filter(|reason| {
        !reason.is_empty() && reason.bytes().all(|b| b.is_ascii_lowercase() || b == b'-')
    });
    Finding::Failed(Failed {
        seen: format!("refused: {text} (Kerberos error {code})"),
        next: known.and_then(after_reason).map(str::to_owned),
        reason: known.map(str::to_owned),
        ..Failed::default()
    })
}

/// What mends a refusal for this reason, where a command or a setting of the caller does.
fn after_reason(reason: &str) -> Option<&'static str> {
    Some(match reason {
        "service-unknown" => {
            "check the account's name, or `--host`: `crossrealm storage-account list` lists the accounts"
        }
        "identity-not-synced" => {
            "crossrealm sync once --domain DOMAIN --domain-user READER, and check that the user is in the scope of the sync"
        }
        "identity-disabled" | "identity-deleted" => {
            "enable or restore the user in AD, then: crossrealm sync once"
        }
        "too-many-groups" => "remove the user from groups, then: crossrealm sync once",
        "ticket-integrity" | "issuer-not-trusted" => {
            "crossrealm kerberos-server set --setup-cloud-trust --domain DOMAIN --domain-user ADMINISTRATOR"
        }
        "clock-skew" => "set the clocks by NTP: here, on the domain controller, of the service",
        "enctype-not-supported" => "remove settings of encryption types from krb5.conf",
        _ => return None,
    })
}

async fn exchange_with_kdc_proxy(
    facts: &Facts,
    url: &str,
    message: &[u8],
    realm: &str,
) -> Result<Vec<u8>, ProbeError> {
    let (anchors, _) = facts.trust_anchors()?;
    let server = server_of(url, anchors).await?;
    let path = url.splitn(4, '/').nth(3).unwrap_or_default();
    let body = kkdcp::wrap_request(message, realm).map_err(ProbeError::other)?;
    let response = server.post(&format!("/{path}"), &body).await?;
    match response.status {
        200 => kkdcp::open_reply(&response.body).map_err(ProbeError::other),
        status => Err(ProbeError::Other(format!(
            "the KDC proxy returns HTTP {status}"
        ))),
    }
}

/// Whether the ticket is encrypted with the account's active key.
pub(super) fn ticket_kvno(facts: &Facts) -> Finding {
    let ticket = need!(&facts.ticket, "there is no ticket");
    let kvno = try_or_fail!(decoded(ticket)).enc_part.kvno();
    let account = need!(&facts.account, NO_RECORDS);
    let key = need!(
        account.keys.iter().find(|key| key.encrypts),
        "the account has no active key"
    );
    if kvno != Some(key.kvno) {
        return failed(format!(
            "the ticket has key version {}, the account's active key has {} ({})",
            shown(kvno),
            key.kvno,
            key.slot
        ));
    }
    passed(format!("version {} ({})", key.kvno, key.slot))
}

/// Whether the given keytab decrypts the ticket.
pub(super) fn keytab(facts: &Facts) -> Finding {
    let path = need!(
        &facts.options.keytab,
        "no keytab is given; give `--keytab FILE`"
    );
    let ticket = need!(&facts.ticket, "there is no ticket to decrypt");
    let bytes = try_or_fail!(read_bounded(path, MAX_KEYTAB_LEN));
    let keytab = Keytab::from_bytes(&bytes).map_err(|error| ProbeError::file(path, error));
    let keytab = try_or_fail!(keytab);
    let decoded = try_or_fail!(decoded(ticket));
    let of_service: Vec<_> = keytab
        .entries
        .iter()
        .filter(|entry| entry.principal.matches(&ticket.server))
        .collect();
    let (file, server, sealed) = (path.display(), &ticket.server, &decoded.enc_part);
    if of_service.is_empty() {
        return failed(format!("`{file}` holds no key of `{server}`"));
    }
    let decrypts = |key| sealed.decrypt(key, key_usage::TICKET).is_ok();
    if let Some(entry) = of_service.iter().find(|entry| decrypts(&entry.key)) {
        return passed(format!("version {} decrypts it", entry.kvno));
    }
    let versions: Vec<String> = of_service.iter().map(|e| e.kvno.to_string()).collect();
    let (held, wanted) = (versions.join(", "), shown(sealed.kvno()));
    failed(format!(
        "`{file}` holds versions {held} of `{server}`; none decrypts the ticket, which has {wanted}"
    ))
}

fn shown(kvno: Option<u32>) -> String {
    kvno.map_or("none".to_owned(), |kvno| kvno.to_string())
}

fn ticket_etype(credential: &Credential) -> Result<i32, ProbeError> {
    Ok(decoded(credential)?.enc_part.etype)
}

fn decoded(credential: &Credential) -> Result<Ticket, ProbeError> {
    messages::decode(&credential.ticket).map_err(ProbeError::other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_of_a_refusal_is_parsed_from_its_text() {
        let reason = |text: &str| match refused(18, text) {
            Finding::Failed(failed) => failed.reason,
            _ => None,
        };
        assert_eq!(
            reason("the user is disabled [identity-disabled, event 4f0c]").as_deref(),
            Some("identity-disabled")
        );
        for other in ["", "no", "x [", "x []", "x [../../etc, event 1]", "x [a b]"] {
            assert_eq!(reason(other), None, "{other}");
        }
    }
}
