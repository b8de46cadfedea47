"""The referral ticket itself: keys, encryption types, times, flags, names, realms and the path it took."""

import os
from time import time as now

import kerberos as k
from forgery import Forgery
from table import ANYBODY, USER, Issued, Refused, case

EVIL = "EVIL.EXAMPLE"


# Keys.


@case("sealed with a key nobody has", Refused("BAD_INTEGRITY", "ticket-integrity"), by=ANYBODY)
def _(f):
    f.seal_with = k.new_key()


@case("sealed with the other tenant's trust key", Refused("BAD_INTEGRITY", "ticket-integrity"))
def _(f):
    f.seal_with = f.scene.other_key


@case("one bit of the sealed part flipped", Refused("BAD_INTEGRITY", "ticket-integrity"), by=USER)
def _(f):
    f.spoil_sealed = lambda cipher: cipher[:200] + bytes([cipher[200] ^ 1]) + cipher[201:]


@case("sealed part cut to 20 bytes", Refused("BAD_INTEGRITY", "ticket-integrity"), by=USER)
def _(f):
    f.spoil_sealed = lambda cipher: cipher[:20]


@case("sealed part empty", Refused("BAD_INTEGRITY", "ticket-integrity"), by=USER)
def _(f):
    f.spoil_sealed = lambda cipher: b""


@case("sealed part without its MAC", Refused("BAD_INTEGRITY", "ticket-integrity"), by=USER)
def _(f):
    f.spoil_sealed = lambda cipher: cipher[:-12]


@case("sealed for another use of the key", Refused("BAD_INTEGRITY", "ticket-integrity"))
def _(f):
    f.reseal()
    f.seal_usage = k.KU_REP_SESSION


@case("another user's sealed part in one's own request", Refused("BAD_INTEGRITY", "authenticator-integrity"), by=USER)
def _(f):
    f.ticket = Forgery(f.scene, user="bob").ticket


@case("a service ticket shown as a referral, relabelled", Refused("BAD_INTEGRITY", "ticket-integrity"), by=USER)
def _(f):
    reply = Forgery(f.scene).send()
    f.ticket, f.session = reply.ticket, k.key_of(reply.part["key"])
    f.ticket["sname"] = k.name(k.NT_SRV_INST, "krbtgt", f.scene.realm)


@case("a service ticket shown as it is", Refused("NOT_US", "ticket-not-for-us"), by=USER)
def _(f):
    reply = Forgery(f.scene).send()
    f.ticket, f.session = reply.ticket, k.key_of(reply.part["key"])


@case("a referral relabelled as the realm's own TGT", Refused("BAD_INTEGRITY", "ticket-integrity"))
def _(f):
    f.ticket["realm"] = f.scene.realm.encode()


@case("a key version that nobody knows, the key is right", Issued())
def _(f):
    f.ticket["enc-part"]["kvno"] = 4711


# Encryption types.


@case("sealed with RC4", Refused("ETYPE_NOSUPP", "encryption-type-not-supported"))
def _(f):
    f.seal_with = k.new_key(k.RC4)


for number in (1, 3, 16, 24, 0, -1, 99):

    @case(
        f"sealed part labelled with encryption type {number}", Refused("ETYPE_NOSUPP", "encryption-type-not-supported"), by=USER
    )
    def _(f, number=number):
        f.ticket["enc-part"]["etype"] = number


@case("AES256 labelled as AES128", Refused("BAD_INTEGRITY", "ticket-integrity"), by=USER)
def _(f):
    f.ticket["enc-part"]["etype"] = k.AES128


@case("RC4 session key in the ticket", Refused("ETYPE_NOSUPP", "encryption-type-not-supported"))
def _(f):
    f.session = k.new_key(k.RC4)
    f.reseal()["key"] = {"keytype": k.RC4, "keyvalue": f.session.contents}


@case("AES256 session key of 16 bytes", Refused("ETYPE_NOSUPP", "encryption-type-not-supported"))
def _(f):
    f.reseal()["key"] = {"keytype": k.AES256, "keyvalue": os.urandom(16)}


# Times and flags.


@case("expired a minute ago", Refused("TKT_EXPIRED", "ticket-expired"))
def _(f):
    f.reseal()["endtime"] = k.time(now() - 60)


@case("expired years ago", Refused("TKT_EXPIRED", "ticket-expired"))
def _(f):
    f.reseal()["endtime"] = b"20010101000000Z"


@case("valid in one hour", Refused("TKT_NYV", "ticket-not-yet-valid"))
def _(f):
    f.reseal()["starttime"] = k.time(now() + 3600)


@case("valid in four minutes: within the skew", Issued())
def _(f):
    f.reseal()["starttime"] = k.time(now() + 240)


@case("no start time, signed in one hour from now", Refused("TKT_NYV", "ticket-not-yet-valid"))
def _(f):
    f.reseal()["authtime"] = k.time(now() + 3600)
    f.part.pop("starttime", None)


@case("flag INVALID", Refused("TKT_NYV", "ticket-not-yet-valid"))
def _(f):
    f.reseal()["flags"] = k.with_bit(f.part["flags"], k.INVALID)


@case("flags POSTDATED and INVALID", Refused("TKT_NYV", "ticket-not-yet-valid"))
def _(f):
    f.reseal()["flags"] = k.with_bit(k.with_bit(f.part["flags"], k.INVALID), k.POSTDATED)


@case("every flag but INVALID: none that matters is copied", Issued())
def _(f):
    f.reseal()["flags"] = k.flags(*(bit for bit in range(1, 32) if bit != k.INVALID))


@case("a referral for ten years: cut to the tenant's policy", Issued())
def _(f):
    f.reseal()["endtime"] = k.time(now() + 10 * 365 * 86400)
    f.body["till"] = f.part["endtime"]


# Names and realms.


for words in (("krbtgt", "KERBEROS.OTHER.CLOUD.EXAMPLE"), ("krbtgt", EVIL), ("cifs", "dc1.corp.contoso.com"), ("krbtgt",)):

    @case(f"a ticket for `{'/'.join(words)}`", Refused("NOT_US", "ticket-not-for-us"))
    def _(f, words=words):
        f.ticket["sname"] = k.name(k.NT_SRV_INST, *words)


@case("a ticket for krbtgt with a third component", Refused("NOT_US", "ticket-not-for-us"))
def _(f):
    f.ticket["sname"] = k.name(k.NT_SRV_INST, "krbtgt", f.scene.realm, "x")


@case("a ticket from a realm without a trust", Refused("POLICY", "issuer-not-trusted"))
def _(f):
    f.ticket["realm"] = EVIL.encode()


@case("a ticket from a realm with a name of 5000 bytes", Refused("POLICY", "issuer-not-trusted"))
def _(f):
    f.ticket["realm"] = b"A" * 5000


for realm in (EVIL, "corp.contoso.com", "KERBEROS.CONTOSO.CLOUD.EXAMPLE", "LAB.CORP.CONTOSO.COM", ""):

    @case(f"a client of realm `{realm}` under our trust key", Refused("POLICY", "client-realm-not-trusted"))
    def _(f, realm=realm):
        f.reseal()["crealm"] = f.authenticator["crealm"] = realm.encode()


def path(contents, kind=1):
    def change(f):
        f.reseal()["transited"] = {"tr-type": kind, "contents": contents}

    return change


NOT_ACCEPTED = Refused("PATH_NOT_ACCEPTED", "path-not-accepted")
case("passed through an unknown realm", NOT_ACCEPTED)(path(EVIL.encode()))
case("passed through a known realm and an unknown one", NOT_ACCEPTED)(path(b"CORP.CONTOSO.COM,EVIL.EXAMPLE"))
case("a path compressed so that it hides a realm", NOT_ACCEPTED)(path(b"COM,EVIL.,"))
case("a path of another encoding", NOT_ACCEPTED)(path(b"EVIL.EXAMPLE", kind=99))
case("a path of 60,000 commas", NOT_ACCEPTED)(path(b"," * 60000))
case("a path of bytes that are no text", NOT_ACCEPTED)(path(b"\xff\xfe\x00,\x80"))
case("a path that ends in an escape", NOT_ACCEPTED)(path(b"EVIL\\"))
case("an X.500 path", NOT_ACCEPTED)(path(b"/COM/EVIL"))


# What is sealed is no ticket.


@case("the sealed part is garbage", Refused("GENERIC", "malformed-ticket"))
def _(f):
    f.plain_part = b"this is no EncTicketPart"


@case("bytes behind the sealed part", Refused("GENERIC", "malformed-ticket"))
def _(f):
    f.plain_part = k.der(f.part, k.asn1.EncTicketPart) + b"\x00"


@case("the sealed part with a length that lies", Refused("GENERIC", "malformed-ticket"))
def _(f):
    f.plain_part = b"\x63\x84\x7f\xff\xff\xff" + k.der(f.part, k.asn1.EncTicketPart)[4:]


@case("the sealed part nested 10,000 deep", Refused("GENERIC", "malformed-ticket"))
def _(f):
    f.plain_part = b"\x63\x80" + b"\x30\x80" * 10000
