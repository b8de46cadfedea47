"""Reads what PACs say, with Samba's code and not the product's.

  pac.py KEYTAB SERVICE < FILES

For each credential cache of which the name is a line of the input, the line `FILE SID SID …`: the SIDs in the PAC of the
ticket for SERVICE.
"""

import struct
import sys

from pyasn1.codec.der import decoder
from samba.dcerpc import krb5pac
from samba.ndr import ndr_unpack
from samba.tests.krb5 import kcrypto, rfc4120_pyasn1 as asn1

TICKET_USAGE = 2
AD_IF_RELEVANT, AD_WIN2K_PAC = 1, 128
PAC_LOGON_INFO = 1


class Bytes:
    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, count):
        piece = self.data[self.at : self.at + count]
        if len(piece) != count:
            raise ValueError("ends too early")
        self.at += count
        return piece

    def number(self, form):
        return struct.unpack(form, self.take(struct.calcsize(form)))[0]

    def octets(self, form=">I"):
        return self.take(self.number(form))

    def principal(self):
        self.take(4)
        count = self.number(">I")
        realm = self.octets()
        return b"/".join(self.octets() for _ in range(count)) + b"@" + realm


def keys(file):
    """The keys of a keytab of format 2, by encryption type and version."""
    with open(file, "rb") as opened:
        data = Bytes(opened.read())
    data.take(2)
    found = {}
    while data.at < len(data.data):
        size = data.number(">i")
        entry = Bytes(data.take(abs(size)))
        if size < 0:
            continue
        count = entry.number(">H")
        for _ in range(count + 1):
            entry.octets(">H")
        entry.take(4 + 4)
        version, kind = entry.number(">B"), entry.number(">H")
        key = entry.octets(">H")
        if len(entry.data) - entry.at >= 4:
            version = entry.number(">I") or version
        found[kind, version] = kcrypto.Key(kind, key)
    return found


def tickets(file):
    """Service and ticket of each credential of a cache of format 4."""
    with open(file, "rb") as opened:
        data = Bytes(opened.read())
    data.take(2)
    data.octets(">H")
    data.principal()
    while data.at < len(data.data):
        data.principal()
        service = data.principal()
        data.take(2)
        data.octets()
        data.take(4 * 4 + 1 + 4)
        for _ in range(2):
            for _ in range(data.number(">I")):
                data.take(2)
                data.octets()
        ticket = data.octets()
        data.octets()
        yield service, ticket


def pac(ticket, known):
    ticket, _ = decoder.decode(ticket, asn1Spec=asn1.Ticket())
    sealed = ticket["enc-part"]
    key = known[int(sealed["etype"]), int(sealed["kvno"])]
    clear = kcrypto.decrypt(key, TICKET_USAGE, bytes(sealed["cipher"]))
    part, _ = decoder.decode(clear, asn1Spec=asn1.EncTicketPart())
    for outer in part["authorization-data"]:
        if int(outer["ad-type"]) != AD_IF_RELEVANT:
            continue
        inner, _ = decoder.decode(bytes(outer["ad-data"]), asn1Spec=asn1.AuthorizationData())
        for entry in inner:
            if int(entry["ad-type"]) == AD_WIN2K_PAC:
                return ndr_unpack(krb5pac.PAC_DATA, bytes(entry["ad-data"]))
    raise ValueError("no PAC")


def sids(parsed):
    for buffer in parsed.buffers:
        if buffer.type != PAC_LOGON_INFO:
            continue
        info = buffer.info.info
        base = info.info3.base
        domain = str(base.domain_sid)
        yield f"{domain}-{base.rid}"
        yield f"{domain}-{base.primary_gid}"
        for group in base.groups.rids or []:
            yield f"{domain}-{group.rid}"
        for extra in info.info3.sids or []:
            yield str(extra.sid)
        if info.resource_groups.groups.rids:
            for group in info.resource_groups.groups.rids:
                yield f"{info.resource_groups.domain_sid}-{group.rid}"


def main():
    known, service = keys(sys.argv[1]), sys.argv[2].encode()
    for line in sys.stdin:
        file = line.rstrip("\n")
        ticket = next(ticket for name, ticket in tickets(file) if name == service)
        print(file, *sorted(set(sids(pac(ticket, known)))))


main()
