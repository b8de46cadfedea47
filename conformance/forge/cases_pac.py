"""The PAC of the referral: unsigned edits, edits signed with a stolen trust key, downgraded signatures, broken layouts."""

import struct

import kerberos as k
import pac as p
from forgery import Forgery, relevant
from table import Issued, Refused, case

SIGNATURE = Refused("MODIFIED", "pac-signature")
MALFORMED = Refused("MODIFIED", "pac-malformed")
MISMATCH = Refused("BADMATCH", "pac-mismatch")
OUTSIDE = Refused("POLICY", "sid-outside-domain")
RESERVED = Refused("POLICY", "sid-reserved")


# Edited, and not signed again: by somebody who can encrypt, but does not sign or signs wrongly.


@case("another RID, unsigned", SIGNATURE)
def _(f):
    f.logon(lambda info: setattr(info.info.info3.base, "rid", 500))
    f.sign_pac = False


@case("another group, unsigned", SIGNATURE)
def _(f):
    f.logon(lambda info: p.group_rids(info, [512, 513]))
    f.sign_pac = False


@case("server signature by a key nobody has", SIGNATURE)
def _(f):
    f.pac = p.signed(f.pac, k.new_key())


@case("server signature by the other tenant's trust key", SIGNATURE)
def _(f):
    f.pac = p.signed(f.pac, f.scene.other_key)


@case("server signature of zeros", SIGNATURE)
def _(f):
    f.pac = p.zeroed(f.pac, p.SERVER)


def signature(change):
    """Replaces the server signature's buffer by `change(key, PAC with zeroed signatures, buffer)`."""

    def run(f):
        blank = p.zeroed(f.pac, p.SERVER, p.KDC)
        own = dict(p.buffers(f.pac))[p.SERVER]
        new = change(f.scene.trust_key, blank, own)
        f.pac = p.joined([(kind, new if kind == p.SERVER else data) for kind, data in p.buffers(f.pac)])

    return run


def hmac_md5(key, blank, own):
    """RC4's keyed MD5 takes a key of any length: under an AES key it would turn a strong signature into a weak one."""
    value = k.kcrypto.make_checksum(k.HMAC_MD5_RC4, key, p.KU_PAC, blank)
    return struct.pack("<i", k.HMAC_MD5_RC4) + value


case("signature downgraded to RC4's HMAC-MD5 under the AES key", SIGNATURE)(signature(hmac_md5))
case("signature without a key: plain MD5", MALFORMED)(
    signature(lambda key, blank, own: struct.pack("<i", 7) + k.kcrypto.make_checksum(7, None, 17, blank))
)
case("signature without a key: CRC32", MALFORMED)(
    signature(lambda key, blank, own: struct.pack("<i", 1) + k.kcrypto.make_checksum(1, None, 17, blank))
)
case("signature cut to 4 bytes", MALFORMED)(signature(lambda key, blank, own: own[:8]))
case("signature of no bytes", MALFORMED)(signature(lambda key, blank, own: own[:4]))
case("signature with its type alone cut", MALFORMED)(signature(lambda key, blank, own: own[:2]))
case("signature labelled as AES128's", SIGNATURE)(signature(lambda key, blank, own: struct.pack("<i", 15) + own[4:]))
case("signature of an unknown type", MALFORMED)(signature(lambda key, blank, own: struct.pack("<i", 4711) + own[4:]))


@case("no server signature", SIGNATURE)
def _(f):
    f.pac = p.without(f.pac, p.SERVER)


@case("no KDC signature: the server's, made anew, is what counts", Issued())
def _(f):
    f.pac = p.joined([part for part in p.buffers(f.pac) if part[0] != p.KDC])
    f.sign_pac = True


# Signed with the stolen trust key: the directory has the last word.


@case("the SID of a user who is not synced", Refused("C_PRINCIPAL_UNKNOWN", "identity-not-synced"))
def _(f):
    f.identify(f.scene.sids["dana"].rsplit("-", 1)[0] + "-4000000")


@case("the SID of a disabled user under an enabled one's name", Refused("CLIENT_REVOKED", "identity-disabled"))
def _(f):
    f.identify(f.scene.sids["mallory"])


@case("the SID of a group", Refused("POLICY", "identity-not-a-user"))
def _(f):
    f.identify(f.scene.sids["Sales"])


for rid in (500, 502, 512, 513, 999):

    @case(f"RID {rid}", RESERVED)
    def _(f, rid=rid):
        f.identify(f"{f.scene.domain_sid}-{rid}")


@case("RID 0", MALFORMED)
def _(f):
    f.identify(f"{f.scene.domain_sid}-0")


for sid, verdict in (
    ("S-1-5-21-1-2-3-1104", OUTSIDE),
    ("S-1-5-32-544", OUTSIDE),
    ("S-1-5-18", MALFORMED),
    ("S-1-1-0", MALFORMED),
):

    @case(f"the SID {sid}", verdict)
    def _(f, sid=sid):
        f.identify(sid)


@case("a domain SID that only begins like ours", OUTSIDE)
def _(f):
    f.identify(f"{f.scene.domain_sid}-7-1104")


@case("ExtraSids: Domain Admins, Administrators, SYSTEM", Issued())
def _(f):
    f.logon(lambda info: p.extra_sids(info, [f"{f.scene.domain_sid}-512", "S-1-5-32-544", "S-1-5-18"]))


@case("ExtraSids: a SID history of another domain", Issued())
def _(f):
    f.logon(lambda info: p.extra_sids(info, ["S-1-5-21-1-2-3-500", "S-1-5-21-1-2-3-519"]))


@case("groups: Domain Admins, Enterprise Admins and one not granted", Issued("bob"), user="bob")
def _(f):
    sales = int(f.scene.sids["Sales"].rsplit("-", 1)[1])
    f.logon(lambda info: p.group_rids(info, [512, 519, sales]))


@case("1,000 groups", Issued())
def _(f):
    f.logon(lambda info: p.group_rids(info, range(70000, 71000)))


@case("resource groups of the tenant's domain", Issued())
def _(f):
    f.logon(lambda info: p.resource_groups(info, "S-1-5-21-1-2-3", [1001, 1002]))


@case("primary group Domain Admins", Issued())
def _(f):
    f.logon(lambda info: setattr(info.info.info3.base, "primary_gid", 512))


@case("another account name in the PAC, own SID", Issued())
def _(f):
    def change(infos):
        infos[p.LOGON_INFO].info.info3.base.account_name.string = "bob"
        infos[p.UPN].ex.samaccountname = "bob"
        infos[p.UPN].upn_name = "bob@corp.contoso.com"

    f.edit_pac(change)


@case("ticket and PAC renamed to another user, own SID", Refused("BADMATCH", "client-name-mismatch"), user="bob")
def _(f):
    f.rename("alice")
    f.edit_pac(lambda infos: setattr(infos[p.CLIENT_INFO], "account_name", "alice"))


@case("renamed to a computer's account, own SID", Refused("BADMATCH", "client-name-mismatch"), user="bob")
def _(f):
    f.rename("dc1$")
    f.edit_pac(lambda infos: setattr(infos[p.CLIENT_INFO], "account_name", "dc1$"))


@case("the ticket renamed, the PAC not", MISMATCH, user="bob")
def _(f):
    f.rename("alice")


@case("the PAC's client info renamed, the ticket not", MISMATCH, user="bob")
def _(f):
    f.edit_pac(lambda infos: setattr(infos[p.CLIENT_INFO], "account_name", "alice"))


@case("a PAC of an earlier sign-in", MISMATCH)
def _(f):
    f.edit_pac(lambda infos: setattr(infos[p.CLIENT_INFO], "logon_time", infos[p.CLIENT_INFO].logon_time - 36000 * 10**7))


@case("another user's genuine PAC", MISMATCH)
def _(f):
    f.pac = Forgery(f.scene, user="bob").pac


@case("logon info of another user than the requester", MISMATCH)
def _(f):
    rid = int(f.scene.sids["bob"].rsplit("-", 1)[1])
    f.logon(lambda info: setattr(info.info.info3.base, "rid", rid))


@case("UPN info of another user", MISMATCH)
def _(f):
    f.edit_pac(lambda infos: setattr(infos[p.UPN].ex, "objectsid", p.sid(f.scene.sids["bob"])))


@case("requester of another user", MISMATCH)
def _(f):
    f.edit_pac(lambda infos: setattr(infos[p.REQUESTER], "sid", p.sid(f.scene.sids["bob"])))


# Missing, twice, hidden.


@case("no PAC", Refused("TGT_REVOKED", "pac-missing"))
def _(f):
    f.put_pacs()


@case("two PACs", MALFORMED)
def _(f):
    f.put_pacs(f.pac, f.pac)


@case("two PACs, each in an AD-IF-RELEVANT of its own", MALFORMED)
def _(f):
    element = {"ad-type": k.AD_WIN2K_PAC, "ad-data": f.pac}
    f.reseal()["authorization-data"] = [relevant([element]), relevant([element])]


@case("the PAC outside AD-IF-RELEVANT", Refused("TGT_REVOKED", "pac-missing"))
def _(f):
    f.reseal()["authorization-data"] = [{"ad-type": k.AD_WIN2K_PAC, "ad-data": f.pac}]


@case("the PAC wrapped 200 times", Refused("TGT_REVOKED", "pac-missing"))
def _(f):
    element = {"ad-type": k.AD_WIN2K_PAC, "ad-data": f.pac}
    for _ in range(200):
        element = relevant([element])
    f.reseal()["authorization-data"] = [element]


@case("garbage in AD-IF-RELEVANT", MALFORMED)
def _(f):
    f.reseal()["authorization-data"] = [{"ad-type": k.AD_IF_RELEVANT, "ad-data": b"\x30\x84\xff\xff\xff\xff"}]


# Layouts, each signed: a thief of the key may write what he likes, and still must not find a parser to break.


def layout(name, change, expected=MALFORMED):
    @case(name, expected)
    def _(f):
        f.pac = change(f.pac)


def entry(pac, kind, size=None, offset=None):
    """Lets the table's entry of a buffer lie."""
    changed = bytearray(pac)
    (count,) = struct.unpack_from("<I", pac)
    for index in range(count):
        at = 8 + 16 * index
        found, own_size, own_offset = struct.unpack_from("<IIQ", pac, at)
        if found == kind:
            struct.pack_into(
                "<IIQ", changed, at, kind, own_size if size is None else size, own_offset if offset is None else offset
            )
    return bytes(changed)


def with_buffer(pac, kind, data):
    return p.joined([(own, data if own == kind else old) for own, old in p.buffers(pac)])


layout("PAC empty", lambda pac: b"")
layout("PAC of 4 bytes", lambda pac: pac[:4])
layout("PAC without its last 40 bytes", lambda pac: pac[:-40])
layout("PAC of version 1", lambda pac: pac[:4] + b"\x01\0\0\0" + pac[8:])
layout("PAC with 2^32-1 buffers", lambda pac: b"\xff" * 4 + pac[4:])
layout("PAC with no buffers", lambda pac: bytes(8), SIGNATURE)
layout("PAC with 100 empty buffers more", lambda pac: p.joined(p.buffers(pac) + [(1000 + n, b"") for n in range(100)]))
layout("PAC of 120 KB", lambda pac: p.joined(p.buffers(pac) + [(4711, bytes(60000))]), Refused("MODIFIED", "pac-signature"))
layout("logon info twice", lambda pac: p.joined(p.buffers(pac) + [(p.LOGON_INFO, dict(p.buffers(pac))[p.LOGON_INFO])]))
layout("server signature twice", lambda pac: p.joined(p.buffers(pac) + [(p.SERVER, dict(p.buffers(pac))[p.SERVER])]))
layout("a buffer with an offset beyond the end", lambda pac: entry(pac, p.LOGON_INFO, offset=1 << 20))
layout("a buffer with an offset that overflows", lambda pac: entry(pac, p.LOGON_INFO, offset=(1 << 64) - 8))
layout("a buffer with a size beyond the end", lambda pac: entry(pac, p.LOGON_INFO, size=0xFFFFFFFF))
layout("a buffer inside the table", lambda pac: entry(pac, p.LOGON_INFO, offset=0))
layout("a buffer at an odd offset", lambda pac: entry(pac, p.CLIENT_INFO, offset=p.locate(pac, p.CLIENT_INFO)[0] + 1))
layout("client info over the server signature", lambda pac: entry(pac, p.CLIENT_INFO, offset=p.locate(pac, p.SERVER)[0], size=16))


def signed_layout(name, change, expected=MALFORMED):
    @case(name, expected)
    def _(f):
        f.pac = change(f.pac)
        f.sign_pac = True


signed_layout("logon info of no bytes, signed", lambda pac: with_buffer(pac, p.LOGON_INFO, b""))
signed_layout("logon info missing, signed", lambda pac: p.without(pac, p.LOGON_INFO))
signed_layout("client info missing, signed", lambda pac: p.without(pac, p.CLIENT_INFO))
signed_layout("client info cut, signed", lambda pac: with_buffer(pac, p.CLIENT_INFO, dict(p.buffers(pac))[p.CLIENT_INFO][:9]))
signed_layout(
    "logon info cut in half, signed", lambda pac: with_buffer(pac, p.LOGON_INFO, dict(p.buffers(pac))[p.LOGON_INFO][:150])
)
signed_layout("requester's SID cut, signed", lambda pac: with_buffer(pac, p.REQUESTER, dict(p.buffers(pac))[p.REQUESTER][:6]))
signed_layout(
    "UPN info pointing outside, signed", lambda pac: with_buffer(pac, p.UPN, b"\xff" * 4 + dict(p.buffers(pac))[p.UPN][4:])
)


def group_count(pac, count):
    """Lets logon info claim more groups than there are: GroupCount and the array's own count."""
    data = bytearray(dict(p.buffers(pac))[p.LOGON_INFO])
    # 16 bytes of NDR headers and the pointer, then GroupCount at 108 of KERB_VALIDATION_INFO ([MS-PAC] 2.5).
    struct.pack_into("<I", data, 20 + 108, count)
    return with_buffer(pac, p.LOGON_INFO, bytes(data))


signed_layout("logon info with 2^32-1 groups, signed", lambda pac: group_count(pac, 0xFFFFFFFF))


@case("logon info with every byte pattern doubled: 0xff from byte 24 on, signed", MALFORMED)
def _(f):
    data = dict(p.buffers(f.pac))[p.LOGON_INFO]
    f.pac = with_buffer(f.pac, p.LOGON_INFO, data[:24] + b"\xff" * (len(data) - 24))
    f.sign_pac = True


@case("more authorization data beside the PAC: not copied", Issued())
def _(f):
    more = {"ad-type": 4711, "ad-data": b"let me in"}
    f.reseal()["authorization-data"] = [*f.part["authorization-data"], more]


@case("a genuine PAC cannot be moved to a ticket with another sign-in time", MISMATCH)
def _(f):
    f.reseal()["authtime"] = k.time(k.seconds(f.part["authtime"]) - 60)
