//! The tickets: sign-in, referral, service ticket, and whether the service can open it.

use super::cloud::now_s;
use super::{NO_SHARE, need};
use crate::doctor::engine::{Failed, Finding, failed, failed_with, passed, skipped};
use crate::doctor::https::{self, Error};
use crate::doctor::patient::{Patient, host_and_port, read_bounded, resolve};
use crossrealm_krb::client::{ClientError, ClientStep, TgsExchange};
use crossrealm_krb::credential::Credential;
use crossrealm_krb::crypto::Enctype;
use crossrealm_krb::keytab::{Keytab, MAX_KEYTAB_LEN};
use crossrealm_krb::kkdcp;
use crossrealm_krb::messages::{self, KrbError, Ticket, key_usage, name_type};
use crossrealm_krb::principal::Principal;
use crossrealm_onprem::credentials::current_ccache;
use crossrealm_onprem::kdc::Kdcs;
use crossrealm_onprem::os::{OsRandom, now};

/// Why a ticket was not tried.
const NO_TGT: &str = "there are no tickets of the person here; sign in with `kinit`";

/// Whether somebody is signed in to the domain.
pub async fn tgt(patient: &mut Patient<'_>) -> Finding {
    if patient.is_in_the_cloud() {
        return skipped("nobody signs in to the domain in the cloud");
    }
    if let Err(error) = current_ccache() {
        return skipped(format!("{error}; {}", error.hint().unwrap_or_default()));
    }
    let path = match patient.read_cache() {
        Ok(path) => path,
        Err(error)
            if patient.is_workstation()
                && !patient
                    .places
                    .contains(&super::super::patient::Place::AdministrationHost) =>
        {
            return failed(format!("there are no Kerberos tickets ({error})"));
        }
        Err(error) => return skipped(format!("there are no tickets here ({error})")),
    };
    let cache = need!(&patient.cache, NO_TGT);
    let who = cache.principal.clone();
    let tgt = cache.tgt(who.realm()).cloned();
    if tgt.is_none() && cache.skipped == 0 {
        return failed_with(
            format!(
                "`{}` holds no ticket-granting ticket of `{who}`",
                path.display()
            ),
            format!("kinit {who}"),
        );
    }
    patient.tgt = tgt;
    passed(format!("`{who}`, in `{}`", path.display()))
}

/// Whether the sign-in still holds.
pub fn tgt_valid(patient: &Patient<'_>) -> Finding {
    let tgt = need!(&patient.tgt, NO_TGT);
    let left = tgt.end_time - now_s();
    if left <= 0 {
        return failed_with(
            format!(
                "the ticket of `{}` ended {} min ago",
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

/// Whether the sign-in uses AES: the session key, and what the ticket is sealed with.
pub fn tgt_etype(patient: &Patient<'_>) -> Finding {
    let cache = need!(&patient.cache, NO_TGT);
    let Some(tgt) = &patient.tgt else {
        return failed(format!(
            "the session key of `{}`'s ticket is not of an AES type",
            cache.principal
        ));
    };
    match sealed_with(tgt) {
        Ok(etype) if Enctype::from_number(etype).is_some() => passed(format!(
            "encryption type {etype}, session key {}",
            tgt.key.enctype().number()
        )),
        Ok(etype) => failed(format!(
            "the ticket is sealed with encryption type {etype}, which is not AES"
        )),
        Err(error) => failed(error),
    }
}

/// Asks the domain controller for the share's ticket, which answers with a referral to the tenant.
pub async fn referral(patient: &mut Patient<'_>) -> Finding {
    let host = need!(patient.share_host(), NO_SHARE);
    let own = patient.tgt.clone();
    let signed_in = patient
        .session
        .as_ref()
        .map(|session| session.tgt().clone());
    let tgt = need!(own.or(signed_in), NO_TGT);
    let (dc, address) = need!(patient.dc.clone(), "no domain controller is known");
    let realm = need!(patient.realm.clone(), "the tenant's realm is not known");
    let from = tgt.client.realm().to_uppercase();
    let Ok(service) = Principal::new(name_type::SRV_INST, ["cifs", &host], &from) else {
        return failed(format!("`{host}` is no host name"));
    };
    let kdcs = Kdcs::pinned(&from, &dc, address);
    let mut exchange = TgsExchange::new(tgt, service);
    let mut step = exchange.begin(now(), &mut OsRandom);
    loop {
        match step {
            Err(ClientError::UnknownService(_)) => {
                return failed(format!(
                    "`{dc}` knows no `cifs/{host}`, and refers nobody for it"
                ));
            }
            Err(ClientError::Refused { .. } | ClientError::Revoked(_)) => {
                return failed_with(
                    format!(
                        "`{dc}` refuses the person's tickets: the account was disabled, locked or changed since the sign-in"
                    ),
                    "enable the account in AD, or sign in again with `kinit`",
                );
            }
            Err(error) => {
                let next = error
                    .hint()
                    .unwrap_or("`crossrealm kerberos-server get` compares both sides");
                return failed_with(error.to_string(), next);
            }
            Ok(ClientStep::Done(ticket)) => {
                return failed_with(
                    format!(
                        "`{}` issued the ticket itself, for a service of its own",
                        ticket.server.realm()
                    ),
                    format!("setspn -Q cifs/{host}"),
                );
            }
            Ok(ClientStep::Send(request)) if request.realm.eq_ignore_ascii_case(&realm) => {
                patient.exchange = Some((exchange, request));
                return passed(format!("`{dc}` refers to `{realm}`"));
            }
            Ok(ClientStep::Send(request)) => match kdcs.ask(&request).await {
                Ok(reply) => step = exchange.received(&reply, now(), &mut OsRandom),
                Err(error) => return failed(error.to_string()),
            },
        }
    }
}

/// What the referral is sealed with.
pub fn referral_etype(patient: &Patient<'_>) -> Finding {
    let (exchange, _) = need!(&patient.exchange, "there is no referral");
    let referral = need!(exchange.referrals().last(), "there is no referral");
    match sealed_with(referral) {
        Ok(etype) if Enctype::from_number(etype).is_some() => {
            passed(format!("encryption type {etype}"))
        }
        Ok(etype) => failed(format!("encryption type {etype}, which is not AES")),
        Err(error) => failed(error),
    }
}

/// Shows the referral to the tenant's KDC through the KDC proxy.
pub async fn service_ticket(patient: &mut Patient<'_>) -> Finding {
    if patient.tgt.is_none() {
        return skipped(NO_TGT);
    }
    let (mut exchange, request) = need!(patient.exchange.take(), "there is no referral");
    let configured = patient.proxied().map(|(_, value)| value.value.clone());
    let url = configured.or_else(|| {
        patient
            .cloud
            .as_ref()
            .map(|cloud| cloud.kdc_proxy_url.clone())
    });
    let url = need!(url, "the KDC proxy's address is not known");
    let reply = match ask_proxy(patient, &url, &request.message, &request.realm).await {
        Ok(reply) => reply,
        Err(error) => return failed(error),
    };
    let refusal = messages::decode::<KrbError>(&reply).ok();
    if let Some(error) = refusal {
        let text = error
            .e_text
            .as_ref()
            .map(|text| text.as_str().to_owned())
            .unwrap_or_default();
        return refused(error.error_code, &text);
    }
    match exchange.received(&reply, now(), &mut OsRandom) {
        Ok(ClientStep::Done(ticket)) => {
            let seen = format!(
                "`{}`, until {} min from now",
                ticket.server,
                (ticket.end_time - now_s()) / 60
            );
            patient.ticket = Some(*ticket);
            passed(seen)
        }
        Ok(ClientStep::Send(request)) => {
            failed(format!("the tenant's KDC refers on to `{}`", request.realm))
        }
        Err(error) => failed(error.to_string()),
    }
}

/// A refusal with its reason, `text [reason, event id]`.
fn refused(code: i32, text: &str) -> Finding {
    let text = crate::output::printable(text);
    let inside = text
        .rsplit_once('[')
        .and_then(|(_, rest)| rest.strip_suffix(']'));
    let reason = inside
        .and_then(|inside| inside.split(',').next())
        .map(str::trim);
    let known = reason.filter(|reason| {
        !reason.is_empty() && reason.bytes().all(|b| b.is_ascii_lowercase() || b == b'-')
    });
    Finding::Failed(Failed {
        seen: format!("refused: {text} (Kerberos error {code})"),
        next: known.map(|reason| {
            format!(
                "read docs/reference/refusal-reasons.md#{reason}; `crossrealm events` shows what was seen"
            )
        }),
        reason: known.map(str::to_owned),
    })
}

async fn ask_proxy(
    patient: &Patient<'_>,
    url: &str,
    message: &[u8],
    realm: &str,
) -> Result<Vec<u8>, String> {
    let (host, port) = host_and_port(url).ok_or("the KDC proxy's address is none")?;
    let path = url.splitn(4, '/').nth(3).unwrap_or_default();
    let (anchors, _) = patient.anchors()?;
    let address = resolve(&host, port).await?;
    let body = kkdcp::wrap_request(message, realm).map_err(|error| error.to_string())?;
    match https::ask(&host, address, &anchors, "POST", &format!("/{path}"), &body).await {
        Ok(answer) if answer.status == 200 => {
            kkdcp::open_reply(&answer.body).map_err(|error| error.to_string())
        }
        Ok(answer) => Err(format!("the KDC proxy answers with HTTP {}", answer.status)),
        Err(Error::Certificate(reason) | Error::Other(reason)) => Err(reason),
    }
}

/// Whether the key version of the ticket is that of the account's sealing key.
pub fn ticket_kvno(patient: &Patient<'_>) -> Finding {
    let ticket = need!(&patient.ticket, "there is no ticket");
    let kvno = match version(ticket) {
        Ok(kvno) => kvno,
        Err(error) => return failed(error),
    };
    let account = need!(&patient.account, super::NO_RECORDS);
    let key = need!(
        account.keys.iter().find(|key| key.seals),
        "the account has no sealing key"
    );
    if kvno != Some(key.kvno) {
        let shown = kvno.map_or("none".to_owned(), |kvno| kvno.to_string());
        return failed(format!(
            "the ticket has key version {shown}, the account seals with {} ({})",
            key.kvno, key.name
        ));
    }
    passed(format!("version {} ({})", key.kvno, key.name))
}

/// Whether the keytab that was named opens the ticket.
pub fn keytab(patient: &Patient<'_>) -> Finding {
    let path = need!(
        &patient.args.keytab,
        "no keytab was named; give `--keytab FILE`"
    );
    let ticket = need!(&patient.ticket, "there is no ticket to try it with");
    let keytab = read_bounded(path, MAX_KEYTAB_LEN)
        .map_err(|error| error.to_string())
        .and_then(|bytes| Keytab::from_bytes(&bytes).map_err(|error| error.to_string()));
    let keytab = match keytab {
        Ok(keytab) => keytab,
        Err(error) => return failed(format!("`{}`: {error}", path.display())),
    };
    let decoded = match messages::decode::<Ticket>(&ticket.ticket) {
        Ok(decoded) => decoded,
        Err(error) => return failed(error.to_string()),
    };
    let of_service: Vec<_> = keytab
        .entries
        .iter()
        .filter(|entry| entry.principal.matches(&ticket.server))
        .collect();
    if of_service.is_empty() {
        return failed(format!(
            "`{}` holds no key of `{}`",
            path.display(),
            ticket.server
        ));
    }
    let opens = of_service.iter().find(|entry| {
        decoded
            .enc_part
            .decrypt(&entry.key, key_usage::TICKET)
            .is_ok()
    });
    let versions: Vec<String> = of_service
        .iter()
        .map(|entry| entry.kvno.to_string())
        .collect();
    match opens {
        Some(entry) => passed(format!("version {} opens it", entry.kvno)),
        None => failed(format!(
            "`{}` holds versions {} of `{}`; none opens the ticket, which has {}",
            path.display(),
            versions.join(", "),
            ticket.server,
            decoded
                .enc_part
                .kvno()
                .map_or("none".to_owned(), |kvno| kvno.to_string())
        )),
    }
}

fn sealed_with(credential: &Credential) -> Result<i32, String> {
    let ticket =
        messages::decode::<Ticket>(&credential.ticket).map_err(|error| error.to_string())?;
    Ok(ticket.enc_part.etype)
}

fn version(credential: &Credential) -> Result<Option<u32>, String> {
    let ticket =
        messages::decode::<Ticket>(&credential.ticket).map_err(|error| error.to_string())?;
    Ok(ticket.enc_part.kvno())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_of_a_refusal_is_read_from_its_text() {
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
