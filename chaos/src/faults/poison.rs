//! Requests that nobody should send. They excuse nothing.

use crossrealm_lab::{Failure, Place};

use super::Playing;
use crate::world::{LOGIN, address};

type Outcome = Result<(), Failure>;

/// Garbage, half a request, a body that is no Kerberos, one that is too long, over TLS and without it.
const GARBAGE: &str = r#"
import os, socket, ssl, sys
host, name, ca = sys.argv[1:4]
head = b"POST /contoso/kerberos HTTP/1.1\r\nHost: login.cloud.example\r\nContent-Type: application/kerberos\r\nContent-Length: %d\r\n\r\n"
der = bytes([0x30, 0x84, 0xff, 0xff, 0xff, 0xff])
nested = bytes([0x30, 0x80]) * 4000
bodies = [b"", der, nested, os.urandom(3000), b"\x60" * 60000, b"\x6c\x82\xff\xff" + os.urandom(500)]
sent = [head % len(body) + body for body in bodies]
sent += [head % 10 + b"x", head % 10**9 + b"x", b"GET " + b"/" * 20000, os.urandom(2000), b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + os.urandom(900)]
context = ssl.create_default_context(cafile=ca)
for over_tls in (True, False):
    for data in sent:
        try:
            raw = socket.create_connection((host, 443), 5)
            raw.settimeout(1)
            wire = context.wrap_socket(raw, server_hostname=name) if over_tls else raw
            wire.sendall(data)
            wire.recv(1000)
        except OSError:
            pass
        raw.close()
"#;

/// Connections that say nothing, fewer than one address may have.
const IDLE: &str = r#"
import socket, sys, time
opened = []
for _ in range(200):
    try:
        opened.append(socket.create_connection((sys.argv[1], 443), 5))
    except OSError:
        pass
time.sleep(2)
"#;

pub(super) fn send(playing: &Playing) -> Outcome {
    python(playing, GARBAGE)
}

pub(super) fn idle(playing: &Playing) -> Outcome {
    python(playing, IDLE)
}

fn python(playing: &Playing, script: &str) -> Outcome {
    let story = &playing.ground.story;
    let run = story
        .world
        .at(Place::Client, "python3")
        .args(["-c", script]);
    let run = run.arg(address(playing.target)).arg(LOGIN).arg(story.ca());
    run.ok().map(drop)
}
