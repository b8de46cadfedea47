"""Kerberos messages in the hands of Samba's Python library: plain dictionaries in, DER out, and back.

Strings and times are bytes in these dictionaries (that is how they come out of the decoder), flags are text of 32 digits.
"""

import os
import struct
from datetime import datetime, timezone

from pyasn1.codec.der import decoder, encoder
from pyasn1.codec.native import decoder as from_plain
from pyasn1.codec.native import encoder as to_plain
from samba.dcerpc import krb5ccache
from samba.ndr import ndr_unpack
from samba.tests.krb5 import kcrypto
from samba.tests.krb5 import rfc4120_pyasn1 as asn1

AES128, AES256, RC4 = 17, 18, 23
HMAC_SHA1_AES256, HMAC_MD5_RC4 = 16, -138
AD_IF_RELEVANT, AD_WIN2K_PAC = 1, 128
PA_TGS_REQ, PA_FOR_USER, PA_S4U_X509_USER, PA_FX_FAST, PA_FX_ERROR, PA_PAC_OPTIONS = 1, 129, 130, 136, 137, 167
NT_PRINCIPAL, NT_SRV_INST, NT_SRV_HST, NT_ENTERPRISE = 1, 2, 3, 10
# RFC 4120 section 7.5.1, RFC 6113 section 7.
KU_TICKET, KU_TGS_CHECKSUM, KU_AUTHENTICATOR, KU_REP_SESSION, KU_REP_SUBKEY = 2, 6, 7, 8, 9
KU_FAST_CHECKSUM, KU_FAST_REQUEST, KU_FAST_REPLY, KU_FAST_FINISHED = 50, 51, 52, 53
# Bits of KDCOptions and TicketFlags, RFC 4120 sections 5.4.1 and 5.3.
FORWARDABLE, FORWARDED, PROXIABLE, PROXY, ALLOW_POSTDATE, POSTDATED, INVALID = 1, 2, 3, 4, 5, 6, 7
RENEWABLE, CNAME_IN_ADDL_TKT, CANONICALIZE, ENC_TKT_IN_SKEY, RENEW, VALIDATE = 8, 14, 15, 28, 30, 31


def der(value, kind):
    return encoder.encode(from_plain.decode(value, asn1Spec=kind()))


def plain(data, kind):
    value, rest = decoder.decode(bytes(data), asn1Spec=kind())
    if rest:
        raise ValueError(f"{len(rest)} bytes behind a {kind.__name__}")
    return to_plain.encode(value)


def flags(*bits):
    return "".join("1" if bit in bits else "0" for bit in range(32))


def with_bit(text, bit):
    return text[:bit] + "1" + text[bit + 1 :]


def name(kind, *parts):
    return {"name-type": kind, "name-string": [part.encode() for part in parts]}


def time(seconds):
    return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y%m%d%H%M%SZ").encode()


def seconds(text):
    return int(datetime.strptime(text.decode(), "%Y%m%d%H%M%SZ").replace(tzinfo=timezone.utc).timestamp())


def seal(key, usage, data, etype=None, kvno=None):
    sealed = {"etype": key.enctype if etype is None else etype, "cipher": kcrypto.encrypt(key, usage, data)}
    if kvno is not None:
        sealed["kvno"] = kvno
    return sealed


def checksum(key, usage, data, kind=None):
    kind = kind or {AES128: 15, AES256: HMAC_SHA1_AES256, RC4: HMAC_MD5_RC4}[key.enctype]
    return {"cksumtype": kind, "checksum": kcrypto.make_checksum(kind, key, usage, data)}


def key_of(value):
    return kcrypto.Key(value["keytype"], value["keyvalue"])


def new_key(etype=AES256):
    return kcrypto.Key(etype, os.urandom({AES128: 16, AES256: 32, RC4: 16}[etype]))


def trust_key(password, ad_realm, realm):
    """The inter-realm key of a trust password, [MS-KILE] 3.1.1.2."""
    return kcrypto.string_to_key(AES256, password.encode(), f"{ad_realm}krbtgt{realm}".encode())


def referral_in(path, realm):
    """The session key, the ticket (DER) and the client of krbtgt/REALM in a credential cache."""
    with open(path, "rb") as file:
        cache = ndr_unpack(krb5ccache.CCACHE, file.read())
    while True:
        found = cache.cred
        parts = [str(part) for part in found.server.components]
        if parts == ["krbtgt", realm]:
            return kcrypto.Key(found.keyblock.enctype, bytes(found.keyblock.data)), bytes(found.ticket)
        if not cache.further_creds:
            raise ValueError(f"no ticket for krbtgt/{realm} in {path}")
        cache = ndr_unpack(krb5ccache.MULTIPLE_CREDENTIALS, bytes(cache.further_creds))


def keytab_keys(path):
    """The keys of a keytab of MIT's format 2, by (encryption type, version)."""
    with open(path, "rb") as file:
        data = file.read()
    if data[:2] != b"\x05\x02":
        raise ValueError("not a keytab of format 2")
    keys, at = {}, 2
    while at < len(data):
        (size,) = struct.unpack_from(">i", data, at)
        entry, at = data[at + 4 : at + 4 + abs(size)], at + 4 + abs(size)
        if size <= 0:
            continue
        (count,), here = struct.unpack_from(">H", entry), 2
        for _ in range(count + 1):
            here += 2 + struct.unpack_from(">H", entry, here)[0]
        # name type, timestamp, short version, then the key; a long version may follow.
        version, etype, length = struct.unpack_from(">BHH", entry, here + 8)
        value, rest = entry[here + 13 : here + 13 + length], entry[here + 13 + length :]
        version = struct.unpack(">I", rest[:4])[0] if len(rest) >= 4 else version
        keys[etype, version] = kcrypto.Key(etype, value)
    return keys
