"""impacket asks a KDC over TCP for a ticket.

  impacket_ticket.py CCACHE REALM KDC SPN [--checksum]     the cache must hold a referral to REALM

impacket sends no checksum of its request, so that an attacker who holds its message could ask for another service with it. With
--checksum its message gets one before it is sent, made by its own types and cryptography.
"""

import sys

from impacket.krb5 import constants, kerberosv5
from impacket.krb5.asn1 import AP_REQ, KDC_REQ_BODY, TGS_REP, TGS_REQ, Authenticator
from impacket.krb5.ccache import CCache
from impacket.krb5.crypto import make_checksum
from impacket.krb5.types import Principal
from pyasn1.codec.der import decoder, encoder
from pyasn1.codec.native import decoder as from_plain
from pyasn1.codec.native import encoder as to_plain
from pyasn1.type.univ import noValue

HMAC_SHA1_AES256 = 16
AUTHENTICATOR, CHECKSUM = 7, 6


def with_checksum(send, cipher, key):
    def patched(message, domain, host):
        request = decoder.decode(message, asn1Spec=TGS_REQ())[0]
        ap_req = decoder.decode(request["padata"][0]["padata-value"], asn1Spec=AP_REQ())[0]
        clear = cipher.decrypt(key, AUTHENTICATOR, ap_req["authenticator"]["cipher"].asOctets())
        authenticator = decoder.decode(clear, asn1Spec=Authenticator())[0]
        # The body alone, without its tag in the request.
        body = encoder.encode(from_plain.decode(to_plain.encode(request["req-body"]), asn1Spec=KDC_REQ_BODY()))
        authenticator["cksum"] = noValue
        authenticator["cksum"]["cksumtype"] = HMAC_SHA1_AES256
        authenticator["cksum"]["checksum"] = make_checksum(HMAC_SHA1_AES256, key, CHECKSUM, body)
        ap_req["authenticator"]["cipher"] = cipher.encrypt(key, AUTHENTICATOR, encoder.encode(authenticator), None)
        request["padata"][0]["padata-value"] = encoder.encode(ap_req)
        return send(encoder.encode(request), domain, host)

    return patched


def main():
    path, realm, kdc, spn = sys.argv[1:5]
    cache = CCache.loadFile(path)
    wanted = f"krbtgt/{realm}@".encode()
    referral = next(c for c in cache.credentials if c["server"].prettyPrint().startswith(wanted))
    tgt = referral.toTGT()
    if "--checksum" in sys.argv:
        kerberosv5.sendReceive = with_checksum(kerberosv5.sendReceive, tgt["cipher"], tgt["sessionKey"])
    service = Principal(spn, type=constants.PrincipalNameType.NT_SRV_INST.value)
    reply, _, _, session = kerberosv5.getKerberosTGS(service, realm, kdc, tgt["KDC_REP"], tgt["cipher"], tgt["sessionKey"])
    ticket = decoder.decode(reply, asn1Spec=TGS_REP())[0]["ticket"]
    name = "/".join(str(part) for part in ticket["sname"]["name-string"])
    print(f"{name}@{ticket['realm']} etype {int(ticket['enc-part']['etype'])} session {session.enctype}")


main()
