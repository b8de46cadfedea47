//! What MIT's Kerberos library did, from its own trace (`KRB5_TRACE`): which server it asked, by which transport, how much was said
//! and how long it waited.
//!
//! The library's own time stamps only count upwards within a second, so the lines are timed as they appear in the file.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::account::Account;

const POLL: Duration = Duration::from_micros(200);

/// One request and its answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Exchange {
    /// The realm that was asked.
    pub realm: String,
    /// `https 10.77.2.1:443`, `stream 10.77.1.1:88`, ….
    pub transport: String,
    /// The size of the request in bytes, without its transport.
    pub asked: u32,
    /// The size of the answer in bytes.
    pub answered: u32,
    /// From sending the request to the last byte of the answer.
    pub took: Duration,
}

/// Watches a trace file while a command writes it.
pub(super) struct Watch {
    path: PathBuf,
    done: Arc<AtomicBool>,
    lines: JoinHandle<Vec<(Instant, String)>>,
}

impl Watch {
    /// Starts with an empty file at this path.
    pub(super) fn start(path: &Path) -> std::io::Result<Self> {
        std::fs::write(path, "")?;
        let mut file = File::open(path)?;
        let done = Arc::new(AtomicBool::new(false));
        let stop = Arc::clone(&done);
        let lines = std::thread::spawn(move || {
            let (mut lines, mut rest) = (Vec::new(), String::new());
            loop {
                let last = stop.load(Ordering::Acquire);
                // A read that fails shows nothing new; the evidence is then missing, which a test notices.
                let _ = file.read_to_string(&mut rest);
                while let Some((line, tail)) = rest.split_once('\n') {
                    lines.push((Instant::now(), line.to_owned()));
                    rest = tail.to_owned();
                }
                if last {
                    return lines;
                }
                std::thread::sleep(POLL);
            }
        });
        Ok(Self {
            path: path.into(),
            done,
            lines,
        })
    }

    /// The file's path, for `KRB5_TRACE`.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// What was written, each line with the time it was seen.
    pub(super) fn finish(self) -> Trace {
        self.done.store(true, Ordering::Release);
        Trace(self.lines.join().unwrap_or_default())
    }
}

/// A whole trace.
#[derive(Debug, Default)]
pub(super) struct Trace(Vec<(Instant, String)>);

impl Trace {
    /// The text, for failures.
    pub(super) fn text(&self) -> String {
        let lines: Vec<&str> = self.0.iter().map(|(_, line)| line.as_str()).collect();
        format!("--- trace of the Kerberos library\n{}", lines.join("\n"))
    }

    /// Every exchange, in order.
    pub(super) fn exchanges(&self) -> Vec<Exchange> {
        let mut found = Vec::new();
        let mut open: Option<(Instant, u32, String)> = None;
        for (at, line) in &self.0 {
            let text = line.split_once(": ").map_or("", |(_, text)| text);
            if let Some((asked, realm)) = sized(text, "Sending request (", " to ") {
                open = Some((*at, asked, realm.to_owned()));
            } else if let Some((answered, transport)) = sized(text, "Received answer (", " from ")
                && let Some((sent, asked, realm)) = open.take()
            {
                let (transport, took) = (transport.to_owned(), at.duration_since(sent));
                found.push(Exchange {
                    realm,
                    transport,
                    asked,
                    answered,
                    took,
                });
            }
        }
        found
    }

    /// Whether this realm was asked by this transport.
    pub(super) fn asked(&self, realm: &str, transport: &str) -> bool {
        self.exchanges()
            .iter()
            .any(|exchange| exchange.realm == realm && exchange.transport == transport)
    }

    /// Adds each exchange to the account.
    pub(super) fn tell(&self, account: &Account) {
        for Exchange {
            realm,
            transport,
            asked,
            answered,
            took,
        } in self.exchanges()
        {
            let (to, asks) = if transport.starts_with("https") {
                (
                    "cloud",
                    "through the KDC proxy: here is my referral, give me the service ticket",
                )
            } else {
                (
                    "onprem",
                    "a ticket for this service? The answer is a referral to the tenant's realm",
                )
            };
            account.fact("client", to, asks, took);
            account.say(&format!(
                "     │ {realm} by {transport}: {asked} bytes asked, {answered} bytes answered"
            ));
        }
    }
}

/// `Sending request (1796 bytes) to REALM (…)` → the size and the first words after the middle.
fn sized<'t>(text: &'t str, start: &str, middle: &str) -> Option<(u32, &'t str)> {
    let (size, rest) = text.strip_prefix(start)?.split_once(" bytes)")?;
    let object = rest.strip_prefix(middle)?.trim();
    let object = object.split_once(" (").map_or(object, |(object, _)| object);
    Some((size.parse().ok()?, object))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_exchange_is_seen_with_its_transport() {
        let text = "\
[9] 100.1: Getting credentials alice -> cifs/a using ccache
[9] 100.2: Sending request (1796 bytes) to CORP.CONTOSO.COM
[9] 100.3: Received answer (1700 bytes) from stream 10.77.1.1:88
[9] 100.4: Sending request (1800 bytes) to KERBEROS.CONTOSO.CLOUD.EXAMPLE (tcp only)
[9] 100.5: Sending HTTPS request to https 10.77.2.1:443
[9] 100.6: Received answer (1900 bytes) from https 10.77.2.1:443
nonsense
";
        let start = Instant::now();
        let lines = text
            .lines()
            .zip(0..)
            .map(|(line, n)| (start + Duration::from_secs(n), line.to_owned()));
        let trace = Trace(lines.collect());
        let expected = [
            ("CORP.CONTOSO.COM", "stream 10.77.1.1:88", 1796, 1700, 1),
            (
                "KERBEROS.CONTOSO.CLOUD.EXAMPLE",
                "https 10.77.2.1:443",
                1800,
                1900,
                2,
            ),
        ];
        let exchanges = trace.exchanges();
        let seen = exchanges.iter().map(|e| {
            (
                e.realm.as_str(),
                e.transport.as_str(),
                e.asked,
                e.answered,
                e.took.as_secs(),
            )
        });
        assert_eq!(seen.collect::<Vec<_>>(), expected);
        assert!(trace.asked("KERBEROS.CONTOSO.CLOUD.EXAMPLE", "https 10.77.2.1:443"));
        assert!(!trace.asked("CORP.CONTOSO.COM", "https 10.77.2.1:443"));
    }

    #[test]
    fn lines_are_seen_as_they_are_written() {
        let folder = tempfile::tempdir().unwrap();
        let watch = Watch::start(&folder.path().join("trace")).unwrap();
        let mut file = File::options().append(true).open(watch.path()).unwrap();
        for line in ["one\n", "two", " more\n"] {
            std::io::Write::write_all(&mut file, line.as_bytes()).unwrap();
            std::thread::sleep(Duration::from_millis(5));
        }
        let lines: Vec<String> = watch.finish().0.into_iter().map(|(_, line)| line).collect();
        assert_eq!(lines, ["one", "two more"]);
    }
}
