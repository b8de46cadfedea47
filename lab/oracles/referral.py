#!/usr/bin/python3
"""Rewrites the referral ticket in a credential cache, with Samba's and not the product's code, as an attacker would.

  referral.py DC_FOLDER CCACHE_IN CCACHE_OUT CLOUD_REALM HOW [SID]

HOW is one of
  same          opened and sealed again with the trust key, nothing changed: the proof that this tool does it right
  wrong-key     sealed with a key nobody has
  edited-pac    the PAC's logon info names another RID (500), the signatures are left as they were
  no-pac        the PAC is taken out
  cut-pac       the PAC's last 40 bytes are missing
Reads the trust's secret out of the domain controller's own database, as only the domain's owner can.
"""
import os
import struct
import sys

from pyasn1.codec.der import decoder, encoder
from samba.dcerpc import drsblobs, krb5pac
from samba.auth import system_session
from samba.ndr import ndr_pack, ndr_unpack
from samba.param import LoadParm
from samba.samdb import SamDB
from samba.tests.krb5 import kcrypto, rfc4120_pyasn1 as asn1

TICKET_USAGE = 2
AD_IF_RELEVANT, AD_WIN2K_PAC = 1, 128
PAC_LOGON_INFO = 1
AES256 = kcrypto.Enctype.AES256


def trust_password(dc):
    lp = LoadParm()
    lp.load(os.path.join(dc, "etc/smb.conf"))
    sam = SamDB(url=os.path.join(dc, "private/sam.ldb"), session_info=system_session(lp), lp=lp)
    trusts = sam.search(expression="(objectClass=trustedDomain)", attrs=["trustAuthIncoming"])
    blob = ndr_unpack(drsblobs.trustAuthInOutBlob, trusts[0]["trustAuthIncoming"][0])
    return bytes(blob.current.array[0].AuthInfo.password).decode("utf-16-le")


class Cache:
    """A credential cache of file format 4, split into its credentials without understanding more than their ticket."""

    def __init__(self, data):
        self.data, self.at = data, 0
        if self.take(2) != b"\x05\x04":
            raise SystemExit("not a credential cache of version 4")
        self.take(struct.unpack(">H", self.take(2))[0])
        self.principal()
        self.head, self.credentials = data[: self.at], []
        while self.at < len(data):
            self.credentials.append(self.credential())

    def take(self, count):
        piece = self.data[self.at : self.at + count]
        if len(piece) != count:
            raise SystemExit("the credential cache ends too early")
        self.at += count
        return piece

    def number(self):
        return struct.unpack(">I", self.take(4))[0]

    def octets(self):
        return self.take(self.number())

    def principal(self):
        self.number()
        count = self.number()
        realm = self.octets()
        return b"/".join(self.octets() for _ in range(count)) + b"@" + realm

    def credential(self):
        start = self.at
        self.principal()
        server = self.principal()
        self.take(2)
        self.octets()
        self.take(4 * 4 + 1 + 4)
        for _ in range(2):
            for _ in range(self.number()):
                self.take(2)
                self.octets()
        before = self.data[start : self.at]
        ticket, second = self.octets(), self.octets()
        return [server, before, ticket, second]

    def pack(self):
        def octets(value):
            return struct.pack(">I", len(value)) + value

        return self.head + b"".join(before + octets(ticket) + octets(second) for _, before, ticket, second in self.credentials)


def change_pac(pac, how):
    if how == "cut-pac":
        return pac[:-40]
    parsed = ndr_unpack(krb5pac.PAC_DATA, pac)
    for buffer in parsed.buffers:
        if buffer.type == PAC_LOGON_INFO:
            buffer.info.info.info3.base.rid = 500
    return ndr_pack(parsed)


def change_part(part, how):
    """Changes the decrypted part of the ticket in place."""
    kept = []
    for element in part["authorization-data"]:
        if int(element["ad-type"]) != AD_IF_RELEVANT:
            kept.append((int(element["ad-type"]), bytes(element["ad-data"])))
            continue
        inner, _ = decoder.decode(bytes(element["ad-data"]), asn1Spec=asn1.AuthorizationData())
        inner_kept = []
        for entry in inner:
            kind, data = int(entry["ad-type"]), bytes(entry["ad-data"])
            if kind == AD_WIN2K_PAC:
                if how == "no-pac":
                    continue
                data = change_pac(data, how)
            inner_kept.append((kind, data))
        if inner_kept:
            kept.append((AD_IF_RELEVANT, encoder.encode(authorization(inner_kept, asn1.AuthorizationData()))))
    part["authorization-data"] = authorization(kept, part["authorization-data"].clone())


def authorization(entries, into):
    into.clear()
    for index, (kind, data) in enumerate(entries):
        into[index]["ad-type"] = kind
        into[index]["ad-data"] = data
    return into


def main():
    dc, source, target, realm, how = sys.argv[1:6]
    with open(source, "rb") as file:
        cache = Cache(file.read())
    service = b"krbtgt/" + realm.encode()
    referrals = [credential for credential in cache.credentials if credential[0].startswith(service + b"@")]
    if len(referrals) != 1:
        raise SystemExit(f"{len(referrals)} referral tickets in the cache, expected one")
    ad_realm = referrals[0][0].rsplit(b"@", 1)[1].decode()
    password = trust_password(dc)
    key = kcrypto.string_to_key(AES256, password.encode(), f"{ad_realm}krbtgt{realm}".encode())
    ticket, _ = decoder.decode(referrals[0][2], asn1Spec=asn1.Ticket())
    clear = kcrypto.decrypt(key, TICKET_USAGE, bytes(ticket["enc-part"]["cipher"]))
    if how in ("edited-pac", "no-pac", "cut-pac"):
        part, _ = decoder.decode(clear, asn1Spec=asn1.EncTicketPart())
        change_part(part, how)
        clear = encoder.encode(part)
    if how == "wrong-key":
        key = kcrypto.string_to_key(AES256, b"not the secret of this trust", b"salt")
    ticket["enc-part"]["cipher"] = kcrypto.encrypt(key, TICKET_USAGE, clear)
    referrals[0][2] = encoder.encode(ticket)
    # Everything that was got with the old referral goes: the client must show the new one.
    cache.credentials = [c for c in cache.credentials if not c[0].endswith(b"@" + realm.encode())]
    with open(target, "wb") as file:
        os.fchmod(file.fileno(), 0o600)
        file.write(cache.pack())
    print(f"{how}: {len(cache.credentials)} credentials written")


main()
