"""A ticket request that can be wrong in any one place: honest unless a case changes it.

A case gets a `Forgery`, changes what it attacks, and the runner sends it. Everything is put together at the last moment, so
that a change of the ticket or the PAC is sealed, and signed where the case wants that, as an attacker would do it.
"""

import os
from dataclasses import dataclass, field
from time import time as now

import kerberos as k
import pac as p
from kerberos import asn1, kcrypto
from proxy import envelope, opened


# What stands behind the length of a reply to a change of password: version 1, no AP-REP (RFC 3244 section 2).
PASSWORD_REPLY = b"\x00\x01\x00\x00"


@dataclass
class Reply:
    """A Kerberos answer, opened as far as its receiver can."""

    kind: str  # "issued", "refused", "http"
    code: int = 0
    text: str = ""
    status: int = 200
    ticket: dict = None
    part: dict = None


@dataclass
class Forgery:
    scene: object
    user: str = "alice"
    tenant: str = ""
    message: bytes = None  # sent instead of everything below
    target_domain: str = ""  # of the envelope; None leaves it out
    # The ticket.
    part: dict = None
    ticket: dict = None
    seal_with: object = None
    seal_usage: int = k.KU_TICKET
    sign_pac: bool = False
    sign_with: object = None  # the trust key unless a case changes it
    spoil_sealed: object = None  # changes the cipher text
    plain_part: bytes = None  # sealed instead of `part`
    # The request.
    session: object = None  # the client's idea of the session key
    subkey: object = None
    body: dict = None
    options: set = field(default_factory=lambda: {k.CANONICALIZE})
    padata: list = field(default_factory=list)
    authenticator: dict = None
    checksum: object = True  # False: none; or a function (key, body) -> dict
    after_checksum: object = None  # changes the encoded body behind the checksum's back
    authenticator_key: object = None
    ap_options: str = k.flags()
    ap_fields: dict = field(default_factory=dict)
    # FAST.
    fast: bool = False
    fast_options: str = k.flags()
    inner: dict = None  # fields of the inner body that differ
    spoil_armor: object = None
    # The reply's encrypted part of the ticket that is renewed.
    renewed: dict = None

    def __post_init__(self):
        scene = self.scene
        self.tenant = self.tenant or scene.tenant
        self.session, encoded = k.referral_in(scene.referrals[self.user], scene.realm)
        self.ticket = k.plain(encoded, asn1.Ticket)
        self.genuine = encoded
        self.seal_with = scene.trust_key
        clear = kcrypto.decrypt(scene.trust_key, k.KU_TICKET, self.ticket["enc-part"]["cipher"])
        self.part = k.plain(clear, asn1.EncTicketPart)
        self.body = {
            "realm": scene.realm.encode(),
            "sname": k.name(k.NT_SRV_INST, "cifs", scene.host),
            "till": k.time(now() + 36000),
            "nonce": int.from_bytes(os.urandom(4), "big") >> 1,
            "etype": [k.AES256, k.AES128],
        }
        self.authenticator = {
            "authenticator-vno": 5,
            "crealm": self.part["crealm"],
            "cname": dict(self.part["cname"]),
            "cusec": 0,
            "ctime": k.time(now()),
        }
        self.target_domain = self.target_domain or scene.realm
        self.resealed = False

    # What cases change.

    def option(self, *bits):
        self.options |= set(bits)

    @property
    def pac(self):
        """The PAC's bytes in the ticket."""
        for element in self.part["authorization-data"]:
            for inner in k.plain(element["ad-data"], asn1.AuthorizationData):
                if inner["ad-type"] == k.AD_WIN2K_PAC:
                    return inner["ad-data"]
        raise ValueError("the referral holds no PAC")

    @pac.setter
    def pac(self, value):
        self.put_pacs(value)

    def put_pacs(self, *values):
        """Lets the ticket hold these PACs in one AD-IF-RELEVANT, or none."""
        self.resealed = True
        self.part.pop("authorization-data", None)
        if values:
            inner = [{"ad-type": k.AD_WIN2K_PAC, "ad-data": value} for value in values]
            self.part["authorization-data"] = [relevant(inner)]

    def edit_pac(self, change):
        """Lets `change` at the parsed PAC and signs it with the trust key: all that a thief of that key can sign."""
        self.pac = p.edited(self.pac, change)
        self.sign_pac = True

    def logon(self, change):
        self.edit_pac(lambda infos: change(infos[p.LOGON_INFO]))

    def identify(self, sid):
        """Makes every buffer of the PAC say that the client has this SID."""
        domain, rid = sid.rsplit("-", 1)

        def change(infos):
            base = infos[p.LOGON_INFO].info.info3.base
            base.domain_sid, base.rid = p.sid(domain), int(rid)
            if p.UPN in infos:
                infos[p.UPN].ex.objectsid = p.sid(sid)
            if p.REQUESTER in infos:
                infos[p.REQUESTER].sid = p.sid(sid)

        self.edit_pac(change)

    def rename(self, name, realm=None):
        """Another client name in ticket and authenticator."""
        self.reseal()
        self.part["cname"] = k.name(k.NT_PRINCIPAL, name)
        self.authenticator["cname"] = k.name(k.NT_PRINCIPAL, name)
        if realm:
            self.part["crealm"] = self.authenticator["crealm"] = realm.encode()

    def reseal(self):
        self.resealed = True
        return self.part

    # Putting it together.

    def encoded_ticket(self):
        if self.sign_pac:
            self.pac = p.signed(self.pac, self.sign_with or self.scene.trust_key)
        if self.resealed or self.plain_part or self.seal_with is not self.scene.trust_key:
            clear = self.plain_part or k.der(self.part, asn1.EncTicketPart)
            self.ticket["enc-part"].update(k.seal(self.seal_with, self.seal_usage, clear))
        if self.spoil_sealed:
            self.ticket["enc-part"]["cipher"] = self.spoil_sealed(self.ticket["enc-part"]["cipher"])
        return self.ticket

    def ap_req(self, body):
        authenticator = dict(self.authenticator)
        if callable(self.checksum):
            authenticator["cksum"] = self.checksum(self.session, body)
        elif self.checksum:
            authenticator["cksum"] = k.checksum(self.session, k.KU_TGS_CHECKSUM, body)
        if self.fast and self.subkey is None:
            self.subkey = k.new_key()
        if self.subkey:
            authenticator["subkey"] = {"keytype": self.subkey.enctype, "keyvalue": self.subkey.contents}
        clear = k.der(authenticator, asn1.Authenticator)
        fields = {
            "pvno": 5,
            "msg-type": 14,
            "ap-options": self.ap_options,
            "ticket": self.encoded_ticket(),
            "authenticator": k.seal(self.authenticator_key or self.session, k.KU_AUTHENTICATOR, clear),
        }
        return k.der({**fields, **self.ap_fields}, asn1.AP_REQ)

    def encode(self):
        """The TGS-REQ."""
        self.body["kdc-options"] = k.flags(*self.options)
        body = k.der(self.body, asn1.KDC_REQ_BODY)
        ap_req = self.ap_req(body)
        padata = [{"padata-type": k.PA_TGS_REQ, "padata-value": ap_req}]
        padata += [self.armored(ap_req)] if self.fast else self.padata
        sent = self.after_checksum(dict(self.body)) if self.after_checksum else self.body
        request = {"pvno": 5, "msg-type": 12, "padata": padata, "req-body": sent}
        return k.der(request, asn1.TGS_REQ)

    def armor(self):
        return kcrypto.cf2(self.subkey, self.session, b"subkeyarmor", b"ticketarmor")

    def armored(self, ap_req):
        """PA-FX-FAST with the inner request, RFC 6113 section 5.4.2."""
        body = {**self.body, **(self.inner or {})}
        inner = {"fast-options": self.fast_options, "padata": self.padata, "req-body": body}
        armor = self.armor()
        sealed = k.seal(armor, k.KU_FAST_REQUEST, k.der(inner, asn1.KrbFastReq))
        request = {"req-checksum": k.checksum(armor, k.KU_FAST_CHECKSUM, ap_req), "enc-fast-req": sealed}
        if self.spoil_armor:
            self.spoil_armor(request)
        value = k.der({"armored-data": request}, asn1.PA_FX_FAST_REQUEST)
        return {"padata-type": k.PA_FX_FAST, "padata-value": value}

    # Sending, and reading what comes back.

    def send(self):
        message = self.message if self.message is not None else self.encode()
        answer = self.scene.proxy.post(self.scene.addresses[self.tenant], self.wrap(message))
        return self.read(answer)

    def wrap(self, message):
        return envelope(message, self.target_domain)

    def read(self, answer):
        if answer.status != 200 or not answer.body:
            return Reply("http", status=answer.status, text=answer.body.decode("latin-1").strip())
        return self.read_message(opened(answer.body))

    def read_message(self, message):
        if message[2:6] == PASSWORD_REPLY and int.from_bytes(message[:2], "big") == len(message):
            message = message[6:]
        if message[:1] == b"\x7e":
            return self.read_error(k.plain(message, asn1.KRB_ERROR))
        return self.read_reply(k.plain(message, asn1.TGS_REP))

    def read_datagram_error(self, message):
        """An error about the way a request came: it stands outside of any armor."""
        error = k.plain(message, asn1.KRB_ERROR)
        return Reply("refused", code=error["error-code"], text=error.get("e-text", b"").decode())

    def read_error(self, error):
        text = error.get("e-text", b"").decode()
        reply = Reply("refused", code=error["error-code"], text=text)
        if self.fast:
            # RFC 6113 section 5.4.4: a request under armor is refused under armor.
            padata = {entry["padata-type"]: entry["padata-value"] for entry in k.plain(error["e-data"], asn1.METHOD_DATA)}
            inner = self.unarmored(padata[k.PA_FX_FAST])
            protected = {entry["padata-type"]: entry["padata-value"] for entry in inner["padata"]}
            protected = k.plain(protected[k.PA_FX_ERROR], asn1.KRB_ERROR)
            if protected["error-code"] != reply.code or protected["e-text"] != error["e-text"]:
                raise ValueError("the error under the armor is another one")
        return reply

    def unarmored(self, value):
        sealed = k.plain(value, asn1.PA_FX_FAST_REPLY)["armored-data"]["enc-fast-rep"]
        return k.plain(kcrypto.decrypt(self.armor(), k.KU_FAST_REPLY, sealed["cipher"]), asn1.KrbFastResponse)

    def read_reply(self, reply):
        key, usage = (self.subkey, k.KU_REP_SUBKEY) if self.subkey else (self.session, k.KU_REP_SESSION)
        if self.fast:
            padata = {entry["padata-type"]: entry["padata-value"] for entry in reply["padata"]}
            response = self.unarmored(padata[k.PA_FX_FAST])
            key = kcrypto.cf2(k.key_of(response["strengthen-key"]), key, b"strengthenkey", b"replykey")
            done = response["finished"]["ticket-checksum"]
            ticket = k.der(reply["ticket"], asn1.Ticket)
            kcrypto.verify_checksum(done["cksumtype"], self.armor(), k.KU_FAST_FINISHED, ticket, done["checksum"])
            if response["nonce"] != self.body["nonce"]:
                raise ValueError("another nonce under the armor")
        part = k.plain(kcrypto.decrypt(key, usage, reply["enc-part"]["cipher"]), asn1.EncTGSRepPart)
        if part["nonce"] != self.body["nonce"]:
            raise ValueError("another nonce in the reply")
        return Reply("issued", ticket=reply["ticket"], part=part)


def relevant(inner):
    return {"ad-type": k.AD_IF_RELEVANT, "ad-data": k.der(inner, asn1.AD_IF_RELEVANT)}
