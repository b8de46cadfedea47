//! The KDC proxy: ours, which is the KDC too, against Python's `kdcproxy` in front of MIT's KDC, over HTTPS and with
//! requests of the same kind.

mod kdcproxy;

use std::path::Path;

use crossrealm_krb::crypto::Key;
use crossrealm_testkit::two_realms::TENANT_REALM;

use crate::Size;
use crate::process::processor_s;
use crate::report::{Line, Report, Samples, Unit};
use crate::tickets::mit::Mit;
use crate::tickets::ours::{self, Ours};
use crate::tickets::{CONNECTIONS, OPENED, is_ticket, opened};
use crate::wire::{Https, Served, Way, hammer};
use crossrealm_testkit::trusted_tenant::TENANT;
use kdcproxy::KdcProxy;

/// The host in the certificate, which both sides use.
const HOST: &str = "login.cloud.example";
const PEER: &str = "kdcproxy and krb5kdc";
/// Requests before the clock starts, so that every worker is there.
const WARM_UP: usize = 40;

/// Runs it all.
pub(crate) fn run(product: &Path, size: Size) -> Result<Report, String> {
    let count = size.of(1_500, 20);
    let mut report = Report::new(
        "proxy",
        format!(
            "{count} requests in each round over {CONNECTIONS} connections, MS-KKDCP over TLS: referral in, service ticket out, AES256, FAST"
        ),
    );
    crate::block_on(compared(product, count, size.rounds(5), &mut report))?;
    Ok(report)
}

/// One side: where it is asked, with which keys, and the processes that do its work.
struct Side<'a> {
    name: &'static str,
    https: Https,
    trust: &'a Key,
    service: &'a Key,
    processes: Vec<u32>,
}

/// What a side's rounds gave for one way of connecting.
#[derive(Default)]
struct Seen {
    rates: Vec<f64>,
    slowest: Vec<f64>,
    /// Seconds of processor time for one ticket.
    processor: Vec<f64>,
}

async fn compared(
    product: &Path,
    count: usize,
    rounds: usize,
    report: &mut Report,
) -> Result<(), String> {
    let mit = Mit::start()?;
    let ours = Ours::start(product).await?;
    let peer = KdcProxy::start(mit.address, &ours.service.tls)?;
    let https = |address, path: String| Https {
        address,
        host: HOST,
        path,
        realm: TENANT_REALM,
        ca: ours.service.ca.clone(),
        keep: true,
    };
    let sides = [
        Side {
            name: "crossrealm serve",
            https: https(
                ours.service.https,
                format!("/{TENANT}.cloud.example/kerberos"),
            ),
            trust: &ours.trust,
            service: &ours.account,
            processes: vec![ours.service.pid()],
        },
        Side {
            name: PEER,
            https: https(peer.address, "/KdcProxy".to_owned()),
            trust: &mit.shared,
            service: &mit.service,
            processes: vec![peer.pid(), mit.pid()],
        },
    ];
    for side in &sides {
        ask(side, true, WARM_UP).await?;
    }
    let mut direct = Vec::new();
    for (keep, how) in [(true, "connections kept"), (false, "a connection for each")] {
        let mut seen = [Seen::default(), Seen::default()];
        for round in 0..rounds {
            eprintln!("{how}: round {} of {rounds}", round + 1);
            for (side, seen) in sides.iter().zip(&mut seen) {
                let before = processor_s(&side.processes)?;
                let served = ask(side, keep, count).await?;
                let spent = processor_s(&side.processes)? - before;
                seen.rates.push(served.rate);
                seen.slowest.push(served.latency.quantile(0.99));
                seen.processor.push(spent / count as f64);
            }
            let messages = ours::requests(&mit.shared, count);
            let served = hammer(&Way::Tcp(mit.address), &messages, CONNECTIONS, is_ticket).await;
            direct.push(served.map_err(|reason| format!("krb5kdc: {reason}"))?.rate);
        }
        tell(how, seen, &direct, report);
    }
    Ok(())
}

/// Sends `count` requests to a side, each answered by a ticket, of which some are opened with the service's key.
async fn ask(side: &Side<'_>, keep: bool, count: usize) -> Result<Served, String> {
    let reported = |reason: String| format!("{}: {reason}", side.name);
    let messages = ours::requests(side.trust, count);
    let way = Way::Https(Https {
        keep,
        ..side.https.clone()
    });
    let served = hammer(&way, &messages, CONNECTIONS, is_ticket).await;
    let served = served.map_err(reported)?;
    for answer in served.answers.iter().take(OPENED) {
        opened(answer, side.service).map_err(reported)?;
    }
    Ok(served)
}

fn tell(how: &str, seen: [Seen; 2], direct: &[f64], report: &mut Report) {
    let [ours, peer] = seen;
    let note = format!(
        "no request failed; the same krb5kdc asked without its proxy, over TCP: {:.0}/s",
        Samples::new(direct.to_vec()).median()
    );
    let lines = [
        (
            "tickets through the proxy",
            Unit::PerSecond,
            ours.rates,
            peer.rates,
            note.as_str(),
        ),
        (
            "the slowest hundredth through the proxy takes at least",
            Unit::Seconds,
            ours.slowest,
            peer.slowest,
            "",
        ),
        (
            "processor time for one ticket",
            Unit::Seconds,
            ours.processor,
            peer.processor,
            "of the server's processes, proxy and KDC together",
        ),
    ];
    for (what, unit, ours, peer, note) in lines {
        report.add(
            Line::new(format!("{what}, {how}"), unit, Samples::new(ours))
                .against(PEER, Samples::new(peer))
                .note(note),
        );
    }
}
