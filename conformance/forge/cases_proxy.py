"""The KDC proxy: envelopes, lengths and paces that no decent client sends."""

import os
import socket
from time import monotonic, sleep

from forgery import Reply
from proxy import PATIENCE_S, element, envelope, head
from table import ANYBODY, USER, Http, Issued, case

BAD, TOO_LARGE, NO_LENGTH, TIMEOUT = Http(400), Http(413), Http(411), Http(408)
UNREADABLE = Http(400, ("dropped", "not-kerberos"))


def raw(f, *pieces, pause_s=0.0):
    return f.read(f.scene.proxy.exchange(list(pieces), pause_s))


def path(f):
    return f"/{f.scene.addresses[f.tenant]}/kerberos"


def posted(name, body, expected=UNREADABLE, by=ANYBODY):
    """A case that posts these bytes; a function makes them of the forgery."""

    @case(name, expected, by=by)
    def _(f):
        content = body(f) if callable(body) else body
        return raw(f, head(path(f), len(content)) + content)


@case("an envelope without a target-domain", Issued(), by=USER)
def _(f):
    f.wrap = lambda message: envelope(message)


@case("an empty target-domain", Issued(), by=USER)
def _(f):
    f.wrap = lambda message: envelope(message, "")


@case("a target-domain in lower case", Issued(), by=USER)
def _(f):
    f.target_domain = f.scene.realm.lower()


FOREIGN = Http(404, ("refused", "wrong-realm"))
for domain in ("EVIL.EXAMPLE", "CORP.CONTOSO.COM", "KERBEROS.OTHER.CLOUD.EXAMPLE", "10.77.1.1", "localhost", "A" * 5000):

    @case(f"target-domain `{domain[:40]}`: never resolved, never connected to", FOREIGN, by=ANYBODY)
    def _(f, domain=domain):
        f.wrap = lambda message: envelope(message, domain)


posted("the health check: an empty body", b"", Http(200))
posted("garbage", os.urandom(300))
posted("text", b"hello")
posted("zeros", bytes(4000))
posted("an empty sequence", element(0x30, b""))
posted("an envelope with an empty message", envelope(b""), Http(400, ("dropped", "not-kerberos")))
posted(
    "an envelope around an envelope",
    lambda f: envelope(envelope(f.encode(), f.scene.realm), f.scene.realm),
    Http(400, ("dropped", "not-kerberos")),
    USER,
)
posted("the message without its envelope", lambda f: f.encode(), UNREADABLE, USER)
posted("the message's own length too large", lambda f: envelope(f.encode(), f.scene.realm, length=0x7FFFFFFF), UNREADABLE, USER)
posted("the message's own length too small", lambda f: envelope(f.encode(), f.scene.realm, length=10), UNREADABLE, USER)
posted("the message's own length zero", lambda f: envelope(f.encode(), f.scene.realm, length=0), UNREADABLE, USER)
posted("an envelope with bytes behind it", lambda f: envelope(f.encode(), f.scene.realm) + b"\x00", UNREADABLE, USER)
posted("an envelope without its last byte", lambda f: envelope(f.encode(), f.scene.realm)[:-1], UNREADABLE, USER)
posted("an envelope with a length of 4 GiB inside", b"\x30\x84\xff\xff\xff\xff\xa0\x84\xff\xff\xff\xf0")
posted("an envelope of indefinite length", lambda f: b"\x30\x80" + envelope(f.encode())[4:] + b"\x00\x00", UNREADABLE, USER)
posted("an envelope nested 20,000 deep", b"\x30\x80" * 20000)
posted("a body of 128 KiB and one byte", bytes(128 * 1024 + 1), TOO_LARGE)
posted("a body of 10 MB", bytes(10_000_000), TOO_LARGE)


@case("a length of 4 GB, and no body", TOO_LARGE, by=ANYBODY)
def _(f):
    return raw(f, head(path(f), 4_000_000_000))


@case("no length", NO_LENGTH, by=ANYBODY)
def _(f):
    return raw(f, head(path(f), None) + envelope(f.encode(), f.scene.realm))


@case("a chunked body", NO_LENGTH, by=ANYBODY)
def _(f):
    return raw(
        f, head(path(f), None, "1.1", more=["Transfer-Encoding: chunked", "Connection: close"]) + b"5\r\nhello\r\n0\r\n\r\n"
    )


@case("a length and chunks: request smuggling", NO_LENGTH, by=ANYBODY)
def _(f):
    return raw(f, head(path(f), 10, "1.1", more=["Transfer-Encoding: chunked", "Connection: close"]) + b"5\r\nhello\r\n0\r\n\r\n")


for length in ("-1", "0x10", "1e3", "18446744073709551616"):

    @case(f"the length `{length}`", BAD, by=ANYBODY)
    def _(f, length=length):
        return raw(f, head(path(f), length) + b"hello")


@case("two lengths that differ", BAD, by=ANYBODY)
def _(f):
    return raw(f, head(path(f), 5, more=["Content-Length: 50"]) + b"hello")


@case("a length larger than the body, then silence", TIMEOUT, by=ANYBODY)
def _(f):
    body = envelope(f.encode(), f.scene.realm)
    return raw(f, head(path(f), len(body) + 10) + body)


@case("a body of one byte a second", TIMEOUT, by=ANYBODY)
def _(f):
    body = envelope(f.encode(), f.scene.realm)
    return raw(f, head(path(f), len(body)), *(bytes([byte]) for byte in body[:60]), pause_s=1.0)


@case("a body in two pieces", Issued(), by=USER)
def _(f):
    body = envelope(f.encode(), f.scene.realm)
    return raw(f, head(path(f), len(body)) + body[:100], body[100:], pause_s=0.3)


@case("HTTP/1.1", Issued(), by=USER)
def _(f):
    body = envelope(f.encode(), f.scene.realm)
    return raw(f, head(path(f), len(body), "1.1", more=["Connection: close"]) + body)


@case("HTTP/1.1, two requests on one connection", Issued(), by=USER)
def _(f):
    body = envelope(f.encode(), f.scene.realm)
    kept, last = head(path(f), len(body), "1.1"), head(path(f), len(body), "1.1", more=["Connection: close"])
    first, second = f.scene.proxy.answers([kept + body, last + body], 0.2)
    if first.status != 200 or first.head.lower().count("connection: close"):
        raise ValueError(f"the first answer: {first.head}")
    return f.read(second)


@case("300 idle connections from one address: those beyond the limit end at once", Http(0), by=ANYBODY)
def _(f):
    idle = [socket.create_connection((f.scene.proxy.host, 443), timeout=PATIENCE_S) for _ in range(300)]
    # Those within the limit end too, after 10 s without a handshake: all but a few of those beyond it must end long before.
    until(lambda: sum(map(is_ended, idle)) >= 30)
    ended = sum(map(is_ended, idle))
    for connection in idle:
        connection.close()
    if not until(lambda: is_served(f)):
        return Reply("http", status=503, text="nothing is served after the idle connections went away")
    return Reply("http", status=0 if 30 <= ended <= 60 else 200, text=f"{ended} of 300 were ended")


def until(holds):
    """Asks until it holds, however busy the machine is; returns whether it did."""
    end = monotonic() + PATIENCE_S
    while not (held := holds()) and monotonic() < end:
        sleep(0.1)
    return held


def is_ended(connection):
    connection.setblocking(False)
    try:
        return connection.recv(1, socket.MSG_PEEK) == b""
    except BlockingIOError:
        return False
    except ConnectionError:
        return True


def is_served(f):
    """Whether a new connection is: by the health check, which leaves no event."""
    try:
        return f.scene.proxy.exchange([head(path(f), 0)]).status == 200
    except OSError:
        return False


@case("GET", Http(405), by=ANYBODY)
def _(f):
    return raw(f, head(path(f), None, method="GET"))


@case("another media type", Issued(), by=USER)
def _(f):
    body = envelope(f.encode(), f.scene.realm)
    made = head(path(f), len(body)).replace(b"application/kerberos", b"text/html")
    return raw(f, made + body)


@case("a head of 100 KB", Http(431), by=ANYBODY)
def _(f):
    return raw(f, head(path(f), 5, more=["X-Filler: " + "a" * 100_000]) + b"hello")


for tenant in ("nosuchtenant", "..%2f..%2fadmin", "contoso", "%00", "10.77.1.1"):

    @case(f"the address /{tenant}/kerberos", Http(404), by=ANYBODY)
    def _(f, tenant=tenant):
        body = envelope(f.encode(), f.scene.realm)
        return raw(f, head(f"/{tenant}/kerberos", len(body)) + body)
