# Writes a PAC with Samba's own encoder (Debian package python3-samba) to stdout.
import sys
from samba.dcerpc import krb5pac, netlogon, samr, security
from samba.ndr import ndr_pack

SID = "S-1-5-21-1-2-3"
NEVER = 0x7FFFFFFFFFFFFFFF
TIME = 133444736000000000  # 1700000000 in Unix seconds


def buffer(kind, info):
    made = krb5pac.PAC_BUFFER()
    made.type = kind
    made.info = info
    return made


def logon_info():
    ctr = krb5pac.PAC_LOGON_INFO_CTR()
    ctr.info = krb5pac.PAC_LOGON_INFO()
    base = ctr.info.info3.base
    base.logon_time = TIME
    base.logoff_time = base.kickoff_time = base.force_password_change = NEVER
    texts = {"account_name": "müller", "full_name": "Jörg Müller", "logon_server": "DC1", "logon_domain": "CORP"}
    for field in ("logon_script", "profile_path", "home_directory"):
        texts[field] = ""
    for field, text in texts.items():
        getattr(base, field).string = text
    base.rid = 1104
    base.primary_gid = 513
    group = samr.RidWithAttribute()
    group.rid, group.attributes = 513, 7
    base.groups.rids, base.groups.count = [group], 1
    base.user_flags = 0x20
    base.domain_sid = security.dom_sid(SID)
    base.acct_flags = 0x10
    extra = netlogon.netr_SidAttr()
    extra.sid, extra.attributes = security.dom_sid("S-1-18-1"), 7
    ctr.info.info3.sids, ctr.info.info3.sidcount = [extra], 1
    return ctr


def client_info():
    info = krb5pac.PAC_LOGON_NAME()
    info.logon_time, info.account_name, info.size = TIME, "müller", 12
    return info


def upn_dns_info():
    info = krb5pac.PAC_UPN_DNS_INFO()
    info.upn_name, info.dns_domain_name = "müller@corp.contoso.com", "CORP.CONTOSO.COM"
    info.upn_name_size = 2 * len(info.upn_name)
    info.dns_domain_name_size = 2 * len(info.dns_domain_name)
    info.flags = 2
    info.ex.samaccountname, info.ex.samaccountname_size = "müller", 12
    info.ex.objectsid, info.ex.objectsid_size = security.dom_sid(SID + "-1104"), 28
    return info


def attributes():
    info = krb5pac.PAC_ATTRIBUTES_INFO()
    info.flags_length, info.flags = 2, 1
    return info


def requester():
    info = krb5pac.PAC_REQUESTER_SID()
    info.sid = security.dom_sid(SID + "-1104")
    return info


def signature():
    data = krb5pac.PAC_SIGNATURE_DATA()
    data.type, data.signature = 16, bytes(12)
    return data


buffers = [
    buffer(1, logon_info()),
    buffer(10, client_info()),
    buffer(12, upn_dns_info()),
    buffer(17, attributes()),
    buffer(18, requester()),
    buffer(6, signature()),
    buffer(7, signature()),
]
pac = krb5pac.PAC_DATA()
pac.num_buffers, pac.version, pac.buffers = len(buffers), 0, buffers
sys.stdout.buffer.write(ndr_pack(pac))
