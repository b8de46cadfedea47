"""Requests that must be served: if these failed, refusing everything would look like safety."""

import kerberos as k
from forgery import Forgery
from table import USER, Issued, Refused, Tgt, case


@case("honest, without FAST", Issued(), by=USER)
def _(f):
    pass


@case("honest, under FAST", Issued(), by=USER)
def _(f):
    f.fast = True


@case("honest, with a subkey", Issued(), by=USER)
def _(f):
    f.subkey = k.new_key()


@case("honest, a name beyond ASCII", Issued("müller"), by=USER, user="müller")
def _(f):
    f.fast = True


@case("honest, opened and sealed again by Samba's library", Issued())
def _(f):
    f.reseal()


@case("honest, PAC signed again by Samba's library", Issued())
def _(f):
    f.edit_pac(lambda infos: None)


@case("service class and host in another case", Issued(), by=USER)
def _(f):
    f.body["sname"] = k.name(k.NT_SRV_INST, "CIFS", f.scene.host.upper())


@case("service name of type NT-SRV-HST", Issued(), by=USER)
def _(f):
    f.body["sname"] = k.name(k.NT_SRV_HST, "host", f.scene.host)


@case("service name of type NT-PRINCIPAL", Issued(), by=USER)
def _(f):
    f.body["sname"]["name-type"] = k.NT_PRINCIPAL


@case(
    "session key of type 17 for a client that offers only that",
    Issued(check=lambda reply, part: [] if part["key"]["keytype"] == 17 else ["not 17"]),
    by=USER,
)
def _(f):
    f.body["etype"] = [k.RC4, k.AES128]


@case("PA-PAC-OPTIONS as Windows sends it", Issued(), by=USER)
def _(f):
    options = k.der({"options": k.flags(0, 3)}, k.asn1.PA_PAC_OPTIONS)
    f.padata.append({"padata-type": k.PA_PAC_OPTIONS, "padata-value": options})


@case("no till: the longest life there is", Issued(), by=USER)
def _(f):
    f.body["till"] = b"19700101000000Z"


@case("the realm's own TGT", Tgt(), by=USER)
def _(f):
    f.body["sname"] = k.name(k.NT_SRV_INST, "krbtgt", f.scene.realm)


@case("another host name of a storage account", Issued(), by=USER)
def _(f):
    f.body["sname"] = k.name(k.NT_SRV_INST, "cifs", "files.contoso.com")


@case("a service principal that is no storage account", Issued(), by=USER)
def _(f):
    f.body["sname"] = k.name(k.NT_SRV_INST, "postgres", "db.contoso.cloud.example")


@case("that service principal by another class", Refused("S_PRINCIPAL_UNKNOWN", "service-unknown"), by=USER)
def _(f):
    f.body["sname"] = k.name(k.NT_SRV_INST, "cifs", "db.contoso.cloud.example")


def own_tgt(f, renewable=True):
    """Asks for the realm's own TGT, and stands `f` on it."""
    first = Forgery(f.scene, user=f.user, fast=True)
    first.body["sname"] = k.name(k.NT_SRV_INST, "krbtgt", f.scene.realm)
    first.option(k.FORWARDABLE, *([k.RENEWABLE] if renewable else []))
    first.body["rtime"] = first.body["till"]
    reply = first.send()
    if reply.kind != "issued":
        raise ValueError(f"no TGT to begin with: {reply.text}")
    f.ticket, f.session = reply.ticket, k.key_of(reply.part["key"])
    return reply.part


@case("a service ticket for the realm's own TGT", Issued(), by=USER)
def _(f):
    own_tgt(f)
    f.fast = True


@case("the own TGT with one bit flipped", Refused("BAD_INTEGRITY", "ticket-integrity"), by=USER)
def _(f):
    own_tgt(f)
    f.spoil_sealed = lambda cipher: cipher[:300] + bytes([cipher[300] ^ 1]) + cipher[301:]


@case("renewal of the realm's own TGT", Tgt(), by=USER)
def _(f):
    f.renewed = own_tgt(f)
    f.body["sname"] = k.name(k.NT_SRV_INST, "krbtgt", f.scene.realm)
    f.option(k.RENEW)


@case("renewal of an own TGT that is not renewable", Refused("BADOPTION", "option-not-supported"), by=USER)
def _(f):
    own_tgt(f, renewable=False)
    f.body["sname"] = k.name(k.NT_SRV_INST, "krbtgt", f.scene.realm)
    f.option(k.RENEW)


@case("renewal of the own TGT into a service ticket", Refused("BADOPTION", "option-not-supported"), by=USER)
def _(f):
    own_tgt(f)
    f.option(k.RENEW)


@case("the own TGT's user-to-user", Refused("BADOPTION", "option-not-supported"), by=USER)
def _(f):
    own_tgt(f)
    f.option(k.ENC_TKT_IN_SKEY)
