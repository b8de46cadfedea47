"""Kerberos over TCP and UDP (RFC 4120 section 7.2.2), where no address names the tenant: the realm of the request does."""

import os
import socket
import struct

from forgery import Reply
from table import ANYBODY, USER, Http, Issued, Refused, TooBig, case

# There is no status here: an end without an answer counts as 0.
CLOSED = Http(0)
PATIENCE_S = 20


def converse(f, data):
    """Sends raw bytes and reads one framed answer, or notes that the connection was closed without one."""
    received = b""
    with socket.create_connection((f.scene.proxy.host, 88), timeout=PATIENCE_S) as stream:
        try:
            stream.sendall(data)
            while len(received) < 4 or len(received) < 4 + struct.unpack(">I", received[:4])[0]:
                piece = stream.recv(65536)
                if not piece:
                    break
                received += piece
        except ConnectionError:
            pass
    if not received:
        return Reply("http", status=0)
    if struct.unpack(">I", received[:4])[0] != len(received) - 4:
        raise ValueError("the answer's length lies")
    return f.read_message(received[4:])


def framed(message):
    return struct.pack(">I", len(message)) + message


def tcp(name, expected, make, by=ANYBODY, tenant=""):
    @case(f"port 88: {name}", expected, by=by, tenant=tenant)
    def _(f):
        return converse(f, make(f))


def honest(f):
    f.fast = True
    return framed(f.encode())


def other_realm(f):
    f.body["realm"] = f.scene.other_realm.encode()
    return framed(f.encode())


def foreign_realm(f):
    f.body["realm"] = b"EVIL.EXAMPLE"
    return framed(f.encode())


def changed(f):
    f.after_checksum = lambda body: {**body, "nonce": 1}
    return framed(f.encode())


tcp("an honest request", Issued(), honest, by=USER)
tcp("a changed request", Refused("MODIFIED", "request-modified"), changed)
tcp(
    "this tenant's referral for the other tenant's realm",
    Refused("NOT_US", "ticket-not-for-us"),
    other_realm,
    by=USER,
    tenant="other_tenant",
)
tcp("a realm nobody has: never resolved, never connected to", CLOSED, foreign_realm, by=USER)
tcp("garbage", CLOSED, lambda f: framed(os.urandom(500)))
tcp("a length of zero", CLOSED, lambda f: framed(b""))
tcp("a length of 2 GiB", CLOSED, lambda f: b"\x7f\xff\xff\xff" + f.encode())
tcp("the reserved bit of the length (RFC 5021)", CLOSED, lambda f: b"\x80\x00\x00\x01" + f.encode())
tcp("a length larger than the message, then silence", CLOSED, lambda f: struct.pack(">I", 5000) + f.encode()[:1000])
tcp("HTTP", CLOSED, lambda f: b"POST /kerberos HTTP/1.0\r\n\r\n" + bytes(4))


# Datagrams: each is one message, and its source address proves nothing.

SILENCE_S = 2
# An answer is at most three times as long as what asked for it, and fits into one packet of any link.
GAIN, LARGEST = 3, 1400


def datagram(f, data):
    """Sends one datagram and reads its answer, or notes that there was none."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.settimeout(PATIENCE_S if data[:1] in (b"\x6a", b"\x6c") else SILENCE_S)
        sender.connect((f.scene.proxy.host, 88))
        sender.send(data)
        try:
            received = sender.recv(65536)
        except TimeoutError:
            return Reply("http", status=0)
    if len(received) > min(GAIN * len(data), LARGEST):
        raise ValueError(f"{len(data)} bytes were answered with {len(received)}")
    return f.read_datagram_error(received)


def udp(name, expected, make, by=ANYBODY):
    @case(f"port 88, datagram: {name}", expected, by=by)
    def _(f):
        return datagram(f, make(f))


def honest_without_fast(f):
    return f.encode()


udp("an honest request, whose ticket is too big for it", TooBig(), honest_without_fast, by=USER)
udp("an honest request under FAST", TooBig(), lambda f: honest(f)[4:], by=USER)
udp("garbage", CLOSED, lambda f: os.urandom(500))
udp("nothing", CLOSED, lambda f: b"")
udp("a KRB-ERROR: two services must not talk for ever", CLOSED, lambda f: b"\x7e\x03\x30\x01\x00")
