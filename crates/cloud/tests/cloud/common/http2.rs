//! As much of an HTTP/2 client (RFC 9113) as it takes to misbehave.

use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
/// END_STREAM of DATA and HEADERS, ACK of SETTINGS and PING.
const END_OR_ACK: u8 = 1;
const END_HEADERS: u8 = 4;

struct Frame {
    kind: u8,
    flags: u8,
    payload: Vec<u8>,
}

/// A client of one request.
pub(crate) struct Client<'a, S> {
    stream: &'a mut S,
}

impl<'a, S: AsyncRead + AsyncWrite + Unpin> Client<'a, S> {
    pub(crate) async fn begin(stream: &'a mut S) -> Self {
        stream
            .write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
            .await
            .unwrap();
        let mut client = Self { stream };
        client.send(SETTINGS, 0, 0, &[]).await;
        client
    }

    /// Answers pings until the service closes the connection.
    pub(crate) async fn answer_pings(mut self) {
        while let Some(frame) = self.receive().await {
            if frame.kind == PING && frame.flags & END_OR_ACK == 0 {
                self.send(PING, END_OR_ACK, 0, &frame.payload).await;
            }
        }
    }

    /// Posts a body in pieces, with a pause before each. Returns the status of the response, and whether the stream was reset,
    /// which makes clients discard it.
    pub(crate) async fn post_slowly(mut self, path: &str, pieces: u8, len: usize) -> (u16, bool) {
        // Literals without indexing (RFC 7541 §6.2.2) with names of the static table: `:path`, `:method` POST, `:scheme` https,
        // `:authority`.
        let literal = |name: u8, value: &str| {
            let mut field = vec![name, value.len() as u8];
            field.extend(value.bytes());
            field
        };
        let head = [literal(0x04, path), vec![0x83, 0x87], literal(0x01, "x")].concat();
        self.send(HEADERS, END_HEADERS, 1, &head).await;
        for piece in 1..=pieces {
            tokio::time::sleep(Duration::from_millis(100)).await;
            let flags = if piece == pieces { END_OR_ACK } else { 0 };
            self.send(DATA, flags, 1, &vec![0; len]).await;
        }
        let (mut status, mut reset) = (0, false);
        while let Some(frame) = self.receive().await {
            match frame.kind {
                HEADERS => {
                    status = status_of(&frame.payload);
                    // A reset, if there is one, comes before the answer to this.
                    self.send(PING, 0, 0, b"the last").await;
                }
                RST_STREAM => reset = true,
                PING if frame.flags & END_OR_ACK != 0 => break,
                _ => {}
            }
        }
        (status, reset)
    }

    async fn send(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        let len = u32::try_from(payload.len()).unwrap().to_be_bytes();
        let head = [&len[1..], &[kind, flags], &stream.to_be_bytes()].concat();
        // The service may have closed the connection.
        let _ = self.stream.write_all(&[&head[..], payload].concat()).await;
        let _ = self.stream.flush().await;
    }

    async fn receive(&mut self) -> Option<Frame> {
        let mut head = [0; 9];
        self.stream.read_exact(&mut head).await.ok()?;
        let [a, b, c, kind, flags, ..] = head;
        let mut payload = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
        self.stream.read_exact(&mut payload).await.ok()?;
        Some(Frame {
            kind,
            flags,
            payload,
        })
    }
}

/// The `:status` that a block of fields begins with: an index of the static table (RFC 7541 appendix A), or a literal.
fn status_of(fields: &[u8]) -> u16 {
    const INDEXED: [u16; 7] = [200, 204, 206, 304, 400, 404, 500];
    match fields {
        [index @ 0x88..=0x8E, ..] => INDEXED[usize::from(index - 0x88)],
        // Huffman-coded digits (appendix B): five bits each for 0 to 2, six for 3 to 9.
        [0x48 | 0x08, 0x82, a, b, ..] => {
            let bits = u16::from_be_bytes([*a, *b]);
            match bits >> 10 {
                // `4` is 011010, `0` 00000, `1` 00001.
                0b01_1010 => 400 + ((bits >> 5) & 1) * 10 + (bits & 1),
                _ => u16::MAX,
            }
        }
        [0x48 | 0x08, 3, digits @ ..] => {
            std::str::from_utf8(&digits[..3]).unwrap().parse().unwrap()
        }
        _ => u16::MAX,
    }
}
