//! What MIT's Kerberos library did, from its own trace (`KRB5_TRACE`): whom it asked, by which transport, how long it waited.

use std::time::Duration;

use super::account::Account;

/// One request and its answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Exchange {
    /// The realm that was asked.
    pub realm: String,
    /// `https 10.77.2.1:443`, `stream 10.77.1.1:88`, ….
    pub transport: String,
    /// From sending the request to the last byte of the answer.
    pub took: Duration,
}

/// Every exchange of a trace, in order.
pub fn exchanges(trace: &str) -> Vec<Exchange> {
    let mut found = Vec::new();
    let mut asked: Option<(f64, String)> = None;
    for line in trace.lines() {
        let Some((stamp, text)) = stamped(line) else {
            continue;
        };
        if let Some(realm) = text
            .strip_prefix("Sending request (")
            .and_then(|rest| rest.split(" to ").nth(1))
        {
            let realm = realm.split([' ', '(']).next().unwrap_or_default();
            asked = Some((stamp, realm.to_owned()));
        }
        let answer = text
            .strip_prefix("Received answer (")
            .and_then(|rest| rest.split(" from ").nth(1));
        if let (Some(transport), Some((sent, realm))) = (answer, asked.clone()) {
            let took = Duration::try_from_secs_f64(stamp - sent).unwrap_or_default();
            found.push(Exchange {
                realm,
                transport: transport.trim().to_owned(),
                took,
            });
            asked = None;
        }
    }
    found
}

/// Tells about each exchange.
pub fn tell(account: &Account, trace: &str) {
    for exchange in exchanges(trace) {
        let cloud = exchange.transport.starts_with("https");
        let (to, asks) = if cloud {
            (
                "cloud",
                "HTTPS, through the KDC proxy: here is the referral ticket, give me the service ticket",
            )
        } else {
            (
                "onprem",
                "Kerberos to the domain controller: a ticket for the service; it answers with a referral to the tenant's realm",
            )
        };
        account.fact(
            "client",
            to,
            &format!("{asks} [{}, {}]", exchange.realm, exchange.transport),
            exchange.took,
        );
    }
}

/// `[pid] seconds.micros: text`
fn stamped(line: &str) -> Option<(f64, &str)> {
    let (stamp, text) = line.split_once("] ")?.1.split_once(": ")?;
    Some((stamp.parse().ok()?, text))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "\
[9] 100.000000: Getting credentials alice -> cifs/a using ccache
[9] 100.100000: Sending request (1796 bytes) to CORP.CONTOSO.COM
[9] 100.150000: Received answer (1700 bytes) from stream 10.77.1.1:88
[9] 100.200000: Sending request (1800 bytes) to KERBEROS.CONTOSO.CLOUD.EXAMPLE
[9] 100.210000: Sending HTTPS request to https 10.77.2.1:443
[9] 100.300000: Received answer (1900 bytes) from https 10.77.2.1:443
nonsense
";

    #[test]
    fn each_exchange_is_seen_with_its_transport() {
        let found = exchanges(TRACE);
        let seen: Vec<_> = found
            .iter()
            .map(|e| (e.realm.as_str(), e.transport.as_str()))
            .collect();
        let expected = [
            ("CORP.CONTOSO.COM", "stream 10.77.1.1:88"),
            ("KERBEROS.CONTOSO.CLOUD.EXAMPLE", "https 10.77.2.1:443"),
        ];
        assert_eq!(seen, expected);
        assert!((found[1].took.as_secs_f64() - 0.1).abs() < 1e-6);
    }
}
