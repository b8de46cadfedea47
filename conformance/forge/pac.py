"""PACs taken apart, edited, signed and checked with Samba's Python library ([MS-PAC])."""

import struct
import subprocess
import tempfile

from samba.dcerpc import krb5pac, netlogon, samr, security
from samba.ndr import ndr_pack, ndr_unpack
from samba.tests.krb5 import kcrypto

LOGON_INFO, SERVER, KDC, CLIENT_INFO, UPN, TICKET, ATTRIBUTES, REQUESTER, FULL = 1, 6, 7, 10, 12, 16, 17, 18, 19
KU_PAC = 17
LENGTHS = {15: 12, 16: 12, -138: 16, 19: 16, 20: 24}


def edited(pac, change):
    """The PAC after `change` was let at its parsed form. Signatures stay as they were."""
    parsed = ndr_unpack(krb5pac.PAC_DATA, pac)
    change({buffer.type: buffer.info for buffer in parsed.buffers})
    return ndr_pack(parsed)


def buffers(pac):
    """The buffers as (type, bytes), by nothing but the PACTYPE header ([MS-PAC] 2.3)."""
    count, _ = struct.unpack_from("<II", pac)
    entries = [struct.unpack_from("<IIQ", pac, 8 + 16 * index) for index in range(count)]
    return [(kind, pac[offset : offset + size]) for kind, size, offset in entries]


def joined(parts):
    """A PACTYPE around these buffers."""
    offset = 8 + 16 * len(parts)
    table, body = b"", b""
    for kind, data in parts:
        table += struct.pack("<IIQ", kind, len(data), offset + len(body))
        body += data + bytes(-len(data) % 8)
    return struct.pack("<II", len(parts), 0) + table + body


def without(pac, kind):
    return joined([part for part in buffers(pac) if part[0] != kind])


def locate(pac, kind):
    count, _ = struct.unpack_from("<II", pac)
    for index in range(count):
        found, size, offset = struct.unpack_from("<IIQ", pac, 8 + 16 * index)
        if found == kind:
            return offset, size
    return None


def zeroed(pac, *kinds):
    pac = bytearray(pac)
    for kind in kinds:
        if place := locate(pac, kind):
            offset, size = place
            size = max(4, min(size, len(pac) - offset))
            pac[offset + 4 : offset + size] = bytes(size - 4)
    return bytes(pac)


def signed(pac, key, kind=16):
    """The PAC with a fresh server signature; all that the holder of the trust key alone can sign."""
    offset, size = locate(pac, SERVER)
    if offset + size > len(pac):
        raise ValueError("the signature lies outside the PAC")
    pac = bytearray(zeroed(pac, SERVER, KDC))
    struct.pack_into("<i", pac, offset, kind)
    value = kcrypto.make_checksum(kind, key, KU_PAC, bytes(pac))
    pac[offset + 4 : offset + 4 + len(value)] = value
    return bytes(pac)


def sid(text):
    return security.dom_sid(text)


def extra_sids(info, texts):
    """Puts SIDs into ExtraSids, as a forged SID history would be."""
    entries = []
    for text in texts:
        entry = netlogon.netr_SidAttr()
        entry.sid, entry.attributes = sid(text), 7
        entries.append(entry)
    info3 = info.info.info3
    info3.sids, info3.sidcount = entries, len(entries)
    info3.base.user_flags |= netlogon.NETLOGON_EXTRA_SIDS


def group_rids(info, rids):
    entries = []
    for rid in rids:
        entry = samr.RidWithAttribute()
        entry.rid, entry.attributes = rid, 7
        entries.append(entry)
    groups = info.info.info3.base.groups
    groups.rids, groups.count = entries, len(entries)


def resource_groups(info, domain, rids):
    entries = []
    for rid in rids:
        entry = samr.RidWithAttribute()
        entry.rid, entry.attributes = rid, 0x20000007
        entries.append(entry)
    groups = samr.RidWithAttributeArray()
    groups.rids, groups.count = entries, len(entries)
    info.info.resource_groups.domain_sid = sid(domain)
    info.info.resource_groups.groups = groups
    info.info.info3.base.user_flags |= netlogon.NETLOGON_RESOURCE_GROUPS


def facts(pac):
    """Who a PAC says the user is: (user's SID, set of all group SIDs, account name)."""
    found = {buffer.type: buffer.info for buffer in ndr_unpack(krb5pac.PAC_DATA, pac).buffers}
    info = found[LOGON_INFO].info
    base = info.info3.base
    groups = {f"{base.domain_sid}-{entry.rid}" for entry in base.groups.rids or []}
    groups.add(f"{base.domain_sid}-{base.primary_gid}")
    groups |= {str(entry.sid) for entry in info.info3.sids or []}
    resource = info.resource_groups
    if resource.groups.count:
        groups |= {f"{resource.domain_sid}-{entry.rid}" for entry in resource.groups.rids}
    return f"{base.domain_sid}-{base.rid}", groups, str(base.account_name)


def signature_complaints(pac, service_key, ticket_without_pac):
    """What is wrong with a service ticket's PAC, as far as the service can see."""
    wrong = []
    kinds = [kind for kind, _ in buffers(pac)]
    if sorted(kinds) != [LOGON_INFO, SERVER, KDC, CLIENT_INFO, UPN, TICKET, FULL]:
        wrong.append(f"the PAC has buffers {kinds}")
        return wrong
    server = dict(buffers(pac))[SERVER]
    (kind,) = struct.unpack_from("<i", server)
    if kind not in (15, 16, 19, 20) or len(server) != 4 + LENGTHS[kind]:
        wrong.append(f"the server signature has type {kind} and {len(server) - 4} bytes")
    try:
        kcrypto.verify_checksum(kind, service_key, KU_PAC, zeroed(pac, SERVER, KDC), server[4:])
    except kcrypto.InvalidChecksum:
        wrong.append("the server signature does not verify")
    return wrong


def ndrdump_complaint(pac):
    """Samba's `ndrdump` must understand the PAC to its end."""
    with tempfile.NamedTemporaryFile() as file:
        file.write(pac)
        file.flush()
        words = ["ndrdump", "--validate", "krb5pac", "PAC_DATA", "struct", file.name]
        dump = subprocess.run(words, capture_output=True, text=True, check=False)
    if dump.returncode or "dump OK" not in dump.stdout:
        return [f"ndrdump: {(dump.stdout + dump.stderr).strip().splitlines()[-1:]}"]
    return []
