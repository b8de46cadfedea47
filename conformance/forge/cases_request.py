"""The request around a genuine referral: authenticator, checksum, FAST, options, padata. Sent by a user with a sign-in."""

import os
import re
from time import time as now

import kerberos as k
from forgery import Forgery
from kerberos import asn1, kcrypto
from table import ANYBODY, USER, Http, Issued, Refused, case

AUTHENTICATOR = Refused("BAD_INTEGRITY", "authenticator-integrity")
MISMATCH = Refused("BADMATCH", "authenticator-mismatch")
MODIFIED = Refused("MODIFIED", "request-modified")
MISSING = Refused("INAPP_CKSUM", "checksum-missing")
ARMOR = Refused("BAD_INTEGRITY", "armor-integrity")
OPTION = Refused("BADOPTION", "option-not-supported")
ETYPE = Refused("ETYPE_NOSUPP", "encryption-type-not-supported")
UNKNOWN = Refused("S_PRINCIPAL_UNKNOWN", "service-unknown")
DROPPED = Http(400, ("dropped", "not-kerberos"))


# The authenticator.


@case("a stolen referral without its session key", AUTHENTICATOR, by=ANYBODY)
def _(f):
    f.authenticator_key = k.new_key()


@case("authenticator sealed with RC4", AUTHENTICATOR, by=USER)
def _(f):
    f.authenticator_key = k.new_key(k.RC4)


@case("authenticator of another user", MISMATCH, by=USER)
def _(f):
    f.authenticator["cname"] = k.name(k.NT_PRINCIPAL, "bob")


@case("authenticator of another realm", MISMATCH, by=USER)
def _(f):
    f.authenticator["crealm"] = b"EVIL.EXAMPLE"


# A clock that is ahead must be far ahead: the difference shrinks while the request is under way. The exact bound of 300 s is
# tested where the time is an argument (`crates/kdc/tests`).
for offset in (-301, -86400, 3600, 86400):

    @case(f"client's clock {offset:+} s", Refused("SKEW", "clock-skew"), by=USER)
    def _(f, offset=offset):
        f.authenticator["ctime"] = k.time(now() + offset)


@case("client's clock +290 s", Issued(), by=USER)
def _(f):
    f.authenticator["ctime"] = k.time(now() + 290)


@case("no checksum of the body", MISSING, by=USER)
def _(f):
    f.checksum = False


@case("unkeyed checksum: MD5", MISSING, by=USER)
def _(f):
    f.checksum = lambda key, body: {"cksumtype": 7, "checksum": kcrypto.make_checksum(7, key, 6, body)}


@case("checksum by RC4's HMAC-MD5 under the AES key", MISSING, by=USER)
def _(f):
    f.checksum = lambda key, body: k.checksum(key, k.KU_TGS_CHECKSUM, body, k.HMAC_MD5_RC4)


@case("checksum cut to 4 bytes", MODIFIED, by=USER)
def _(f):
    def cut(key, body):
        whole = k.checksum(key, k.KU_TGS_CHECKSUM, body)
        return {**whole, "checksum": whole["checksum"][:4]}

    f.checksum = cut


@case("checksum of no bytes", MODIFIED, by=USER)
def _(f):
    f.checksum = lambda key, body: {"cksumtype": k.HMAC_SHA1_AES256, "checksum": b""}


@case("checksum for another use of the key", MODIFIED, by=USER)
def _(f):
    f.checksum = lambda key, body: k.checksum(key, k.KU_AUTHENTICATOR, body)


@case("RC4 subkey", ETYPE, by=USER)
def _(f):
    f.subkey = k.new_key(k.RC4)


@case("a replayed request, unchanged: the same ticket again, for its holder only", Issued(), by=ANYBODY)
def _(f):
    f.message = f.encode()
    first = f.send()
    if first.kind != "issued":
        raise ValueError(first.text)


@case("a replayed request with a changed service", MODIFIED, by=ANYBODY)
def _(f):
    f.after_checksum = lambda body: {**body, "sname": k.name(k.NT_SRV_INST, "host", f.scene.host)}


@case("a replayed request with a changed nonce", MODIFIED, by=ANYBODY)
def _(f):
    f.after_checksum = lambda body: {**body, "nonce": 1}


@case("a replayed request with a changed end time", MODIFIED, by=ANYBODY)
def _(f):
    f.after_checksum = lambda body: {**body, "till": b"20370101000000Z"}


# Encryption types, services, times that are asked for.


@case("only RC4 and DES are offered", ETYPE, by=USER)
def _(f):
    f.body["etype"] = [k.RC4, 24, 3, 1]


@case("no encryption type is offered", ETYPE, by=USER)
def _(f):
    f.body["etype"] = []


@case("10,000 unknown encryption types", ETYPE, by=USER)
def _(f):
    f.body["etype"] = list(range(1000, 11000))


@case("an end time in the past", Refused("NEVER_VALID", "never-valid"), by=USER)
def _(f):
    f.body["till"] = b"20010101000000Z"


for words in (("cifs", "acct9.file.contoso.cloud.example"), ("cifs",), ("cifs", "acct1.file.contoso.cloud.example", "x"),
              ("krbtgt", "EVIL.EXAMPLE"), ("krbtgt", "CORP.CONTOSO.COM"), ("krbtgt", "KERBEROS.OTHER.CLOUD.EXAMPLE"),
              ("kadmin", "changepw"), ("http", "acct1.file.contoso.cloud.example"), ("cifs", ""), ("cifs", "' OR 1=1 --")):  # fmt: skip

    @case(f"a ticket for the service `{'/'.join(words)}`", UNKNOWN, by=USER)
    def _(f, words=words):
        f.body["sname"] = k.name(k.NT_SRV_INST, *words)


@case("a service name of 20,000 bytes", UNKNOWN, by=USER)
def _(f):
    f.body["sname"] = k.name(k.NT_SRV_INST, "cifs", "a" * 20000)


@case("no service name", UNKNOWN, by=USER)
def _(f):
    f.body.pop("sname")


@case("a request for another realm", Refused("WRONG_REALM", "wrong-realm"), by=USER)
def _(f):
    f.body["realm"] = b"EVIL.EXAMPLE"


@case("a service of another realm under FAST", Refused("WRONG_REALM", "wrong-realm"), by=USER)
def _(f):
    f.fast = True
    f.inner = {"realm": b"EVIL.EXAMPLE"}


# Options and padata that are not done across a cloud trust (docs/design.md 6).

for bit, word in ((k.ENC_TKT_IN_SKEY, "user-to-user"), (k.CNAME_IN_ADDL_TKT, "S4U2Proxy"), (k.POSTDATED, "POSTDATED"),
                  (k.ALLOW_POSTDATE, "ALLOW-POSTDATE"), (k.VALIDATE, "VALIDATE"), (k.FORWARDED, "FORWARDED"),
                  (k.PROXY, "PROXY"), (k.RENEW, "RENEW")):  # fmt: skip
    for fast in (False, True):

        @case(f"option {word} on a referral{', under FAST' if fast else ''}", OPTION, by=USER)
        def _(f, bit=bit, fast=fast):
            f.fast = fast
            f.option(bit)


@case("renewal of the referral for the realm's TGT", OPTION, by=USER)
def _(f):
    f.body["sname"] = k.name(k.NT_SRV_INST, "krbtgt", f.scene.realm)
    f.option(k.RENEW)


@case("an additional ticket without an option", OPTION, by=USER)
def _(f):
    f.body["additional-tickets"] = [Forgery(f.scene, user="bob").ticket]


@case("S4U2Proxy with a ticket as evidence", OPTION, by=USER)
def _(f):
    f.body["additional-tickets"] = [Forgery(f.scene, user="bob").send().ticket]
    f.option(k.CNAME_IN_ADDL_TKT)


def for_user(f):
    name = k.name(k.NT_PRINCIPAL, "administrator")
    value = {"name": name, "realm": b"CORP.CONTOSO.COM", "cksum": k.checksum(f.session, 17, b"x"), "auth": b"Kerberos"}
    f.padata.append({"padata-type": k.PA_FOR_USER, "padata-value": k.der(value, asn1.PA_S4U2Self)})


@case("S4U2Self: PA-FOR-USER", OPTION, by=USER)
def _(f):
    for_user(f)


@case("S4U2Self: PA-FOR-USER under FAST", OPTION, by=USER)
def _(f):
    f.fast = True
    for_user(f)


@case("S4U2Self: PA-S4U-X509-USER", OPTION, by=USER)
def _(f):
    f.padata.append({"padata-type": k.PA_S4U_X509_USER, "padata-value": b"\x30\x00"})


@case("user-to-user in the AP-REQ", OPTION, by=USER)
def _(f):
    f.ap_options = k.flags(1)


@case("authorization data of the client's own: not copied", Issued(), by=USER)
def _(f):
    data = k.der([{"ad-type": 1, "ad-data": b"\x30\x00"}], asn1.AuthorizationData)
    f.body["enc-authorization-data"] = k.seal(f.session, 4, data)


# The presented ticket in PA-TGS-REQ.


def padata(f, *values):
    """A request with other PA-TGS-REQs than the genuine one."""
    f.body["kdc-options"] = k.flags()
    entries = [{"padata-type": k.PA_TGS_REQ, "padata-value": value} for value in values]
    f.message = k.der({"pvno": 5, "msg-type": 12, "padata": entries, "req-body": f.body}, asn1.TGS_REQ)


NO_TICKET = Refused("PADATA_TYPE_NOSUPP", "no-ticket")


@case("no ticket at all", NO_TICKET, by=ANYBODY)
def _(f):
    padata(f)


@case("two tickets", NO_TICKET, by=USER)
def _(f):
    f.body["kdc-options"] = k.flags()
    ap_req = f.ap_req(k.der(f.body, asn1.KDC_REQ_BODY))
    padata(f, ap_req, ap_req)


for word, value in (("garbage", b"this is no AP-REQ"), ("nothing", b""), ("a length that lies", b"\x6e\x84\x7f\xff\xff\xff\x30"),
                    ("nesting 10,000 deep", b"\x6e\x80" + b"\x30\x80" * 10000)):  # fmt: skip

    @case(f"an AP-REQ of {word}", Refused("GENERIC", "malformed-ticket"), by=ANYBODY)
    def _(f, value=value):
        padata(f, value)


@case("an AP-REQ with bytes behind it", Refused("GENERIC", "malformed-ticket"), by=USER)
def _(f):
    f.body["kdc-options"] = k.flags()
    padata(f, f.ap_req(k.der(f.body, asn1.KDC_REQ_BODY)) + b"\x00")


PVNO = b"\xa0\x03\x02\x01\x05"  # the first field of an AP-REQ, and of the ticket in it

for word, count in (("protocol version 4", 1), ("a ticket of version 4", 2)):

    @case(f"an AP-REQ of {word}", Refused("GENERIC", "malformed-ticket"), by=USER)
    def _(f, count=count):
        f.body["kdc-options"] = k.flags()
        ap_req = f.ap_req(k.der(f.body, asn1.KDC_REQ_BODY))
        start = [found.start() for found in re.finditer(re.escape(PVNO), ap_req)][count - 1]
        padata(f, ap_req[: start + 4] + b"\x04" + ap_req[start + 5 :])


# FAST.


@case("FAST without a subkey in the authenticator", ARMOR, by=USER)
def _(f):
    f.fast = True
    f.subkey = k.new_key()
    whole = f.ap_req

    def without_subkey(body):
        kept, f.subkey = f.subkey, None
        f.fast = False
        made = whole(body)
        f.subkey, f.fast = kept, True
        return made

    f.ap_req = without_subkey
    f.message = f.encode()
    f.fast = False


def spoilt(name, change, expected=ARMOR):
    @case(name, expected, by=USER)
    def _(f):
        f.fast = True
        f.spoil_armor = change
        f.message = f.encode()
        # Whether the error comes armored depends on how far the service came; the plain one says the same.
        f.fast = False


def flip(request):
    cipher = bytearray(request["enc-fast-req"]["cipher"])
    cipher[40] ^= 1
    request["enc-fast-req"]["cipher"] = bytes(cipher)


spoilt("FAST: one bit of the sealed request flipped", flip)
spoilt("FAST: checksum of zeros", lambda request: request["req-checksum"].update(checksum=bytes(12)))
spoilt("FAST: checksum of no bytes", lambda request: request["req-checksum"].update(checksum=b""))
spoilt("FAST: checksum labelled as unkeyed", lambda request: request["req-checksum"].update(cksumtype=7))
spoilt("FAST: sealed with RC4", lambda request: request["enc-fast-req"].update(etype=k.RC4))
spoilt(
    "FAST: an explicit armor in a TGS-REQ",
    lambda request: request.update(armor={"armor-type": 1, "armor-value": b"\x30\x00"}),
    OPTION,
)


@case("FAST: a critical option that nobody knows", OPTION, by=USER)
def _(f):
    f.fast = True
    f.fast_options = k.flags(3)
    f.message = f.encode()
    f.fast = False


@case("FAST: the outer body names another service, the inner one counts", Issued(), by=USER)
def _(f):
    f.fast = True
    f.body["sname"] = k.name(k.NT_SRV_INST, "cifs", "acct9.file.contoso.cloud.example")
    f.inner = {"sname": k.name(k.NT_SRV_INST, "cifs", f.scene.host)}


# Two tenants.

OTHER = "other_tenant"


@case("this tenant's request at the other tenant's address", Refused("WRONG_REALM", "wrong-realm"), by=USER, tenant=OTHER)
def _(f):
    f.target_domain = f.scene.other_realm


@case("this tenant's referral at the other tenant's address", Refused("NOT_US", "ticket-not-for-us"), by=USER, tenant=OTHER)
def _(f):
    f.body["realm"] = f.scene.other_realm.encode()
    f.target_domain = f.scene.other_realm


@case("… relabelled for the other tenant", Refused("BAD_INTEGRITY", "ticket-integrity"), by=USER, tenant=OTHER)
def _(f):
    f.body["realm"] = f.scene.other_realm.encode()
    f.target_domain = f.scene.other_realm
    f.ticket["sname"] = k.name(k.NT_SRV_INST, "krbtgt", f.scene.other_realm)


@case(
    "this tenant's own TGT at the other tenant's address, relabelled",
    Refused("BAD_INTEGRITY", "ticket-integrity"),
    by=USER,
    tenant=OTHER,
)
def _(f):
    first = Forgery(f.scene)
    first.body["sname"] = k.name(k.NT_SRV_INST, "krbtgt", f.scene.realm)
    reply = first.send()
    f.ticket, f.session = reply.ticket, k.key_of(reply.part["key"])
    other = f.scene.other_realm
    f.ticket["realm"], f.ticket["sname"] = other.encode(), k.name(k.NT_SRV_INST, "krbtgt", other)
    f.body["realm"], f.target_domain = other.encode(), other


@case("the other tenant's service asked for here", UNKNOWN, by=USER)
def _(f):
    f.body["sname"] = k.name(k.NT_SRV_INST, "cifs", "acct1.file.other.cloud.example")


# Messages that are not TGS-REQs.


@case("AS-REQ for a synced user", Refused("POLICY", "sign-in-is-on-premises"), by=ANYBODY)
def _(f):
    as_req(f, "alice")


@case("AS-REQ for a user nobody knows", Refused("POLICY", "sign-in-is-on-premises"), by=ANYBODY)
def _(f):
    as_req(f, "nobody")


@case("AS-REQ for krbtgt", Refused("POLICY", "sign-in-is-on-premises"), by=ANYBODY)
def _(f):
    as_req(f, "krbtgt")


def as_req(f, user):
    f.body["kdc-options"] = k.flags()
    f.body["cname"] = k.name(k.NT_PRINCIPAL, user)
    f.body["sname"] = k.name(k.NT_SRV_INST, "krbtgt", f.scene.realm)
    f.message = k.der({"pvno": 5, "msg-type": 10, "req-body": f.body}, asn1.AS_REQ)


UNSUPPORTED = Refused("MSG_TYPE", "unsupported-message")


@case("an AP-REQ instead of a request", UNSUPPORTED, by=USER)
def _(f):
    f.message = f.ap_req(b"")


@case("a ticket instead of a request", UNSUPPORTED, by=USER)
def _(f):
    f.message = f.genuine


@case("a TGS-REP instead of a request", UNSUPPORTED, by=USER)
def _(f):
    sealed = k.seal(f.session, 8, b"x")
    reply = {"pvno": 5, "msg-type": 13, "crealm": b"X", "cname": k.name(1, "x"), "ticket": f.ticket, "enc-part": sealed}
    f.message = k.der(reply, asn1.TGS_REP)


@case("a KRB-ERROR: answering would never end", DROPPED, by=ANYBODY)
def _(f):
    error = {
        "pvno": 5,
        "msg-type": 30,
        "stime": k.time(now()),
        "susec": 0,
        "error-code": 60,
        "realm": b"X",
        "sname": k.name(1, "x"),
    }
    f.message = k.der(error, asn1.KRB_ERROR)


@case("a change of the password", Refused("POLICY", "password-change"), by=USER)
def _(f):
    ap_req = f.ap_req(b"")
    rest = (
        b"\xff\x80"
        + len(ap_req).to_bytes(2, "big")
        + ap_req
        + k.der({"pvno": 5, "msg-type": 21, "enc-part": k.seal(f.session, 13, b"new password")}, asn1.KRB_PRIV)
    )
    f.message = (2 + len(rest)).to_bytes(2, "big") + rest


for word, value in (("random bytes", os.urandom(700)), ("text", b"GET / HTTP/1.0\r\n\r\n"), ("one byte", b"\x6c"),
                    ("zeros", bytes(500)), ("a TGS-REQ's head alone", b"\x6c\x82\x05\x00\x30"), ("an LDAP search", b"\x30\x0c\x02\x01\x01\x63\x07\x04\x00"),
                    ("ASN.1 nested 30,000 deep", b"\x6c\x80" + b"\x30\x80" * 30000)):  # fmt: skip

    @case(f"in a good envelope: {word}", DROPPED, by=ANYBODY)
    def _(f, value=value):
        f.message = value


@case("a genuine request without its last byte", DROPPED, by=USER)
def _(f):
    f.message = f.encode()[:-1]


@case("a genuine request with a byte behind it", DROPPED, by=USER)
def _(f):
    f.message = f.encode() + b"\x00"
