//! Tickets per second: our KDC against MIT's on the same machine, with requests of the same kind; and what one ticket costs
//! against the cryptography that it cannot do without.

mod exchange;
pub(crate) mod mit;
pub(crate) mod ours;

use std::path::Path;

use crossrealm_krb::crypto::Key;
use crossrealm_krb::key_usage;
use crossrealm_krb::messages::{EncTicketPart, KrbError, TgsRep, decode};
use crossrealm_testkit::two_realms::TENANT_REALM;

use crate::Size;
use crate::report::{Line, Report, Samples, Unit};
use crate::wire::{Https, Way, hammer};
use crossrealm_testkit::trusted_tenant::TENANT;
use mit::Mit;
use ours::Ours;

/// Requests at once: no more than MIT's KDC lets wait for it. It listens with a queue of five connections; the client's
/// kernel comes back a second later to one that was full, and that second would be all that is measured.
pub(crate) const CONNECTIONS: usize = 4;
/// So many answers of each load are opened with the service's key.
pub(crate) const OPENED: usize = 20;

/// Runs it all.
pub(crate) fn run(product: &Path, size: Size) -> Result<Report, String> {
    let count = size.of(5_000, 40);
    let mut report = Report::new(
        "tickets",
        format!(
            "{count} requests in each round over {CONNECTIONS} connections: referral in, service ticket out, AES256, FAST"
        ),
    );
    crate::block_on(served(product, count, size.rounds(5), &mut report))?;
    exchange::measure(size.of(3_000, 20), size.rounds(5), &mut report)?;
    Ok(report)
}

async fn served(
    product: &Path,
    count: usize,
    rounds: usize,
    report: &mut Report,
) -> Result<(), String> {
    let mit = Mit::start()?;
    let ours = Ours::start(product).await?;
    let https = |keep| {
        Way::Https(Https {
            address: ours.service.https,
            host: "login.cloud.example",
            path: format!("/{TENANT}.cloud.example/kerberos"),
            realm: TENANT_REALM,
            ca: ours.service.ca.clone(),
            keep,
        })
    };
    let (mit_keys, our_keys) = ((&mit.shared, &mit.service), (&ours.trust, &ours.account));
    // Each with the index of the peer's way it is held against.
    let ways = [
        ("MIT krb5kdc over TCP", Way::Tcp(mit.address), mit_keys, 0),
        ("MIT krb5kdc over UDP", Way::Udp(mit.address), mit_keys, 1),
        ("over TCP", Way::Tcp(ours.service.kerberos), our_keys, 0),
        ("over HTTPS, connections kept", https(true), our_keys, 0),
        (
            "over HTTPS, a connection for each",
            https(false),
            our_keys,
            0,
        ),
    ];
    let mut rates = vec![Vec::new(); ways.len()];
    let mut slowest = vec![Vec::new(); ways.len()];
    let mut pacs = vec![0; ways.len()];
    for round in 0..rounds {
        eprintln!("round {} of {rounds}", round + 1);
        for (index, (name, way, (trust, service), _)) in ways.iter().enumerate() {
            let messages = ours::requests(trust, count);
            let served = hammer(way, &messages, CONNECTIONS, is_ticket).await;
            let served = served.map_err(|reason| format!("{name}: {reason}"))?;
            rates[index].push(served.rate);
            slowest[index].push(served.latency.quantile(0.99));
            for answer in served.answers.iter().take(OPENED) {
                let inside =
                    opened(answer, service).map_err(|reason| format!("{name}: {reason}"))?;
                pacs[index] = inside.authorization_data.map_or(0, |data| {
                    data.iter().map(|element| element.data.len()).sum::<usize>()
                });
            }
        }
    }
    let of = |index: usize| Samples::new(rates[index].clone());
    for (index, (name, _, _, peer)) in ways.iter().enumerate().skip(2) {
        let note = format!(
            "no request failed; authorization data in a ticket: ours {} bytes, MIT's {} bytes: MIT looks nobody up and signs less",
            pacs[index], pacs[*peer]
        );
        report.add(
            Line::new(format!("tickets {name}"), Unit::PerSecond, of(index))
                .against(ways[*peer].0, of(*peer))
                .note(note),
        );
        report.add(
            Line::new(
                format!("the slowest hundredth {name} takes at least"),
                Unit::Seconds,
                Samples::new(slowest[index].clone()),
            )
            .against(ways[*peer].0, Samples::new(slowest[*peer].clone())),
        );
    }
    report.add(
        Line::new("tickets over TCP, again", Unit::PerSecond, of(2))
            .against(ways[1].0, of(1))
            .note("a datagram spares MIT the connection; ours sends a client to TCP, for a ticket with a PAC is too large an answer to a datagram"),
    );
    Ok(())
}

/// Whether an answer is a ticket; else what it is.
pub(crate) fn is_ticket(answer: &[u8]) -> Result<(), String> {
    match decode::<TgsRep>(answer) {
        Ok(_) => Ok(()),
        Err(_) => Err(decode::<KrbError>(answer).map_or_else(
            |_| "neither a ticket nor an error".to_owned(),
            |error| format!("error {}: {:?}", error.error_code, error.e_text),
        )),
    }
}

/// The inside of the ticket in an answer, opened as the service does it.
pub(crate) fn opened(answer: &[u8], service: &Key) -> Result<EncTicketPart, String> {
    let said = |error: &dyn std::fmt::Display| format!("the ticket does not open: {error}");
    let TgsRep(reply) = decode(answer).map_err(|error| said(&error))?;
    let plain = reply.ticket.enc_part.decrypt(service, key_usage::TICKET);
    decode(&plain.map_err(|error| said(&error))?).map_err(|error| said(&error))
}
