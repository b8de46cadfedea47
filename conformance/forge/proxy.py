"""The KDC proxy ([MS-KKDCP]) as a client sees it: one TLS connection and one HTTP/1.0 request for each message."""

import socket
import ssl
import struct
from dataclasses import dataclass
from time import sleep
from urllib.parse import urlsplit

PATIENCE_S = 40


def element(tag, content):
    """One DER element."""
    size = len(content)
    if size < 128:
        return bytes([tag, size]) + content
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(length)]) + length + content


def envelope(message, realm=None, length=None):
    """A KDC-PROXY-MESSAGE; `length` lies about the message inside."""
    framed = struct.pack(">I", len(message) if length is None else length) + message
    content = element(0xA0, element(0x04, framed))
    if realm is not None:
        content += element(0xA1, element(0x1B, realm.encode()))
    return element(0x30, content)


def opened(body):
    """The Kerberos message in a reply's envelope; strict, as MIT's client is."""

    def inside(tag, data):
        if not data or data[0] != tag:
            raise ValueError(f"tag {tag:#x} expected in {data[:4].hex()}")
        size, head = data[1], 2
        if size & 0x80:
            head += size & 0x7F
            size = int.from_bytes(data[2:head], "big")
        if len(data) != head + size:
            raise ValueError("length mismatch in the envelope")
        return data[head:]

    framed = inside(0x04, inside(0xA0, inside(0x30, body)))
    if struct.unpack(">I", framed[:4])[0] != len(framed) - 4:
        raise ValueError("length mismatch of the message")
    return framed[4:]


@dataclass
class Answer:
    """What came back: an HTTP status (0: the connection ended without an answer), head and body."""

    status: int
    head: str = ""
    body: bytes = b""


def head(path, length, version="1.0", method="POST", more=()):
    lines = [f"{method} {path} HTTP/{version}", "Host: login.cloud.example", "Content-Type: application/kerberos"]
    if length is not None:
        lines.append(f"Content-Length: {length}")
    return ("\r\n".join([*lines, *more]) + "\r\n\r\n").encode()


def split_answer(received):
    """The first HTTP answer, and what is behind it. Its length must be given, and right."""
    first, _, rest = received.partition(b"\r\n\r\n")
    lines = first.decode("latin-1").split("\r\n")
    words = lines[0].split(" ")
    if len(words) < 2 or not words[1].isdigit():
        raise ValueError(f"no HTTP answer: {received[:100]!r}")
    lengths = [int(line.split(":")[1]) for line in lines if line.lower().startswith("content-length:")]
    if len(lengths) != 1 or lengths[0] > len(rest):
        raise ValueError(f"Content-Length {lengths}, but {len(rest)} bytes came")
    return Answer(int(words[1]), first.decode("latin-1"), rest[: lengths[0]]), rest[lengths[0] :]


class Proxy:
    def __init__(self, server, ca):
        self.host = urlsplit(server).hostname
        self.context = ssl.create_default_context(cafile=ca)

    def exchange(self, pieces, pause_s=0.0):
        """Sends raw bytes, in pieces if need be, and reads the answer to the connection's end."""
        (answer,) = self.answers(pieces, pause_s) or [Answer(0)]
        return answer

    def answers(self, pieces, pause_s=0.0):
        """The same for any number of answers on one connection."""
        with socket.create_connection((self.host, 443), timeout=PATIENCE_S) as plain:
            received = self.converse(plain, pieces, pause_s)
        found = []
        while received:
            answer, received = split_answer(received)
            found.append(answer)
        return found

    def converse(self, plain, pieces, pause_s):
        # TLS beside the socket: a server may answer and close before everything was sent, and that answer counts.
        arriving, leaving = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = self.context.wrap_bio(arriving, leaving, server_hostname=self.host)

        def hear():
            data = plain.recv(65536)
            arriving.write(data) if data else arriving.write_eof()

        while True:
            try:
                tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                plain.sendall(leaving.read())
                hear()
        received = b""
        try:
            for number, piece in enumerate(pieces):
                if number:
                    sleep(pause_s)
                tls.write(piece)
                plain.sendall(leaving.read())
        except ConnectionError:
            pass
        while True:
            try:
                data = tls.read(65536)
                if not data:
                    return received
                received += data
            except ssl.SSLWantReadError:
                try:
                    hear()
                except (ConnectionError, TimeoutError):
                    return received
            except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
                return received

    def post(self, tenant, body):
        return self.exchange([head(f"/{tenant}/kerberos", len(body)) + body])
