//! Connections that ask for nothing, or for what they then do not read.

use crate::common::connect;
use crate::process::{BUDGET_KIB, Process, address};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_rustls::client::TlsStream;

/// Connections of one address, fewer than its limit.
const PER_ADDRESS: u32 = 200;
/// TLS handshakes at once.
const AT_ONCE: usize = 64;
/// The connections that the budget is for.
const ALL: u32 = 10_000;
/// Those of them on which a client may have sent something.
const SPEAKING: u32 = ALL / 5 * 2;

/// What a client has done on a connection before it idles.
#[derive(Clone, Copy)]
enum Spoken {
    Nothing,
    /// One request.
    Http1,
    /// The preface, and no request.
    Http2,
}

/// Opens idle connections from the `first` address on.
async fn idle(
    process: &Process,
    first: u32,
    count: u32,
    spoken: impl Fn(u32) -> Spoken,
) -> Vec<TlsStream<TcpStream>> {
    let (mut opening, mut open) = (JoinSet::new(), Vec::new());
    for n in 0..count {
        if opening.len() >= AT_ONCE {
            open.push(opening.join_next().await.unwrap().unwrap());
        }
        let (to, ca_pem) = (process.address, process.ca_pem.clone());
        let (from, spoken) = (address(first + n / PER_ADDRESS), spoken(n));
        opening.spawn(async move {
            let protocols: &[&[u8]] = match spoken {
                Spoken::Http2 => &[b"h2"],
                _ => &[],
            };
            let mut stream = connect(to, from, &ca_pem, protocols).await;
            let first: &[u8] = match spoken {
                Spoken::Nothing => return stream,
                Spoken::Http1 => b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n",
                Spoken::Http2 => b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0",
            };
            stream.write_all(first).await.unwrap();
            stream.flush().await.unwrap();
            // What the service says first: its settings, or its health.
            stream.read_u8().await.unwrap();
            stream
        });
    }
    open.extend(opening.join_all().await);
    open
}

/// What connections take, from some hundred of each kind, leaves space in the budget for all.
#[tokio::test(flavor = "multi_thread")]
async fn idle_connections_fit_the_budget() {
    let process = Process::start().await;
    let before = process.resident_kib();
    let silent = idle(&process, 0, 600, |_| Spoken::Nothing).await;
    let between = process.resident_kib();
    let speaking = idle(&process, 10, 600, |n| match n % 2 {
        0 => Spoken::Http1,
        _ => Spoken::Http2,
    });
    let speaking = speaking.await;
    let each = |kib: u64, of: usize| kib as f64 / of as f64;
    let each_silent = each(between - before, silent.len());
    let each_speaking = each(process.resident_kib() - between, speaking.len());
    println!("{before} KiB, {each_silent:.1} KiB and {each_speaking:.1} KiB each");
    let all = f64::from(ALL - SPEAKING) * each_silent + f64::from(SPEAKING) * each_speaking;
    assert!(before as f64 + all <= BUDGET_KIB as f64);
}

/// The budget itself. Each of two processes needs as many open files.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes a minute, and 10,000 open files in each of two processes"]
async fn ten_thousand_connections_fit_the_budget() {
    crossrealm_os::open_files::raise(u64::from(ALL) + 256);
    let process = Process::start().await;
    let silent = idle(&process, 0, ALL - SPEAKING, |_| Spoken::Nothing).await;
    let speaking = idle(&process, 100, SPEAKING, |_| Spoken::Http1).await;
    let open = silent.len() + speaking.len();
    println!("{} KiB with {open} connections", process.peak_kib());
    assert!(process.peak_kib() <= BUDGET_KIB);
}
