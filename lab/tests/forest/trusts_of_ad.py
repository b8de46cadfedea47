"""The trusts in a Samba domain controller's own database, read and changed by Samba's library alone.

    trusts_of_ad.py DATABASE CONF add NAME FLAT SID TLN...     another forest's trust, as an administrator would have made it
    trusts_of_ad.py DATABASE CONF delete NAME                  takes it away again
    trusts_of_ad.py DATABASE CONF show NAME                    its attributes and top-level names as JSON
    trusts_of_ad.py DATABASE CONF secrets NAME                 its current and previous incoming secret as JSON
                                                               (hexadecimal UTF-16LE, or null)
    trusts_of_ad.py DATABASE CONF two-hours-later NAME         makes the current secret two hours older: a domain
                                                               controller seals with the previous one for an hour
    trusts_of_ad.py DATABASE CONF replace-secret NAME          gives it a secret that nobody else knows
"""

import json
import os
import sys

import ldb
from samba.auth import system_session
from samba.dcerpc import drsblobs, lsa, security
from samba.ndr import ndr_pack, ndr_unpack
from samba.param import LoadParm
from samba.samdb import SamDB


def records(names):
    """ForestTrustInfo with a top-level name for each name."""
    info = drsblobs.ForestTrustInfo()
    info.version = 1
    armors = []
    for name in names:
        record = drsblobs.ForestTrustInfoRecord()
        record.flags = 0
        record.timestamp = 0
        record.type = drsblobs.FOREST_TRUST_TOP_LEVEL_NAME
        record.data.string = name
        armor = drsblobs.ForestTrustInfoRecordArmor()
        armor.record = record
        armors.append(armor)
    info.count = len(armors)
    info.records = armors
    return ndr_pack(info)


def names_of(blob):
    info = ndr_unpack(drsblobs.ForestTrustInfo, blob)
    return [armor.record.data.string for armor in info.records]


def secret_blob(secret):
    """A trustAuthInOutBlob with one clear-text secret."""
    clear = drsblobs.AuthInfoClear()
    clear.size = len(secret)
    clear.password = list(secret)
    info = drsblobs.AuthenticationInformation()
    info.LastUpdateTime = 133_000_000_000_000_000
    info.AuthType = lsa.TRUST_AUTH_TYPE_CLEAR
    info.AuthInfo = clear
    array = drsblobs.AuthenticationInformationArray()
    array.count = 1
    array.array = [info]
    blob = drsblobs.trustAuthInOutBlob()
    blob.count = 1
    blob.current = array
    return ndr_pack(blob)


def incoming(sam, dn):
    found = sam.search(base=dn, scope=ldb.SCOPE_BASE, attrs=["trustAuthIncoming"])[0]
    return ndr_unpack(drsblobs.trustAuthInOutBlob, found["trustAuthIncoming"][0])


def clear(array):
    for info in array.array:
        if info.AuthType == lsa.TRUST_AUTH_TYPE_CLEAR:
            return bytes(info.AuthInfo.password).hex()
    return None


def write(sam, dn, blob):
    message = ldb.Message(ldb.Dn(sam, dn))
    message["x"] = ldb.MessageElement(blob, ldb.FLAG_MOD_REPLACE, "trustAuthIncoming")
    sam.modify(message, ["relax:0"])


def main():
    database, conf, verb, name = sys.argv[1:5]
    lp = LoadParm()
    lp.load(conf)
    sam = SamDB(url=database, session_info=system_session(), lp=lp)
    base = str(sam.domain_dn())
    dn = f"CN={name},CN=System,{base}"
    if verb == "add":
        flat, sid, *names = sys.argv[5:]
        sam.add({
            "dn": dn,
            "objectClass": "trustedDomain",
            "trustType": "2",
            "trustAttributes": "8",
            "trustDirection": "1",
            "trustPartner": name,
            "flatName": flat,
            "securityIdentifier": ndr_pack(security.dom_sid(sid)),
            "msDS-TrustForestTrustInfo": records(names),
            "showInAdvancedViewOnly": "TRUE",
        }, ["relax:0"])
    elif verb == "delete":
        sam.delete(dn)
    elif verb == "show":
        found = sam.search(base=dn, scope=ldb.SCOPE_BASE)[0]
        shown = {
            key: str(found[key])
            for key in ("flatName", "trustPartner", "trustDirection", "trustType", "trustAttributes", "msDS-SupportedEncryptionTypes")
            if key in found
        }
        shown["sid"] = str(ndr_unpack(security.dom_sid, found["securityIdentifier"][0]))
        shown["names"] = names_of(found["msDS-TrustForestTrustInfo"][0])
        print(json.dumps(shown))
    elif verb == "secrets":
        blob = incoming(sam, dn)
        print(json.dumps({"current": clear(blob.current), "previous": clear(blob.previous)}))
    elif verb == "two-hours-later":
        blob = incoming(sam, dn)
        for info in blob.current.array:
            info.LastUpdateTime -= 2 * 3600 * 10_000_000
        write(sam, dn, ndr_pack(blob))
    elif verb == "replace-secret":
        write(sam, dn, secret_blob(os.urandom(24).hex().encode("utf-16-le")))
    else:
        sys.exit(f"unknown: {verb}")


main()
