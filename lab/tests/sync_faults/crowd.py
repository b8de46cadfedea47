"""Puts many users and a group of them into a domain controller's database while it does not run, as Samba itself would have
written them: `ldbadd` takes many minutes for as many. Arguments: the controller's folder, its base DN, how many.

The first user and the group are made by Samba; the others are copies of the first with names, GUID and SID of their own,
and so are the values of the group's `member`. The indexes are made anew at the end, by Samba: it knows the schema."""

import sys
import uuid

import ldb
from samba.auth import system_session
from samba.dcerpc import misc, security
from samba.ndr import ndr_pack, ndr_unpack
from samba.param import LoadParm
from samba.samdb import SamDB

INDEXES = ("@IDXATTR", "@IDXONE")
# Far from the RIDs that the controller gives to new accounts.
FIRST_RID = 1_000_000

folder, base, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
ou, group = "OU=Crowd," + base, "CN=Crowd,CN=Users," + base
first = "CN=crowd00000," + ou

settings = LoadParm()
settings.load(folder + "/etc/smb.conf")
samba = SamDB(folder + "/private/sam.ldb", session_info=system_session(), lp=settings)
samba.add({"dn": ou, "objectClass": "organizationalUnit"})
samba.add({"dn": first, "objectClass": "user", "sAMAccountName": "crowd00000", "userAccountControl": "544"})
samba.add({"dn": group, "objectClass": "group", "sAMAccountName": "Crowd", "member": first})
del samba

raw = ldb.Ldb("tdb://%s/private/sam.ldb.d/%s.ldb" % (folder, base.upper()))
model = raw.search(first, scope=ldb.SCOPE_BASE)[0]
link = bytes(raw.search(group, scope=ldb.SCOPE_BASE)[0]["member"][0])
first_guid = bytes(model["objectGUID"][0])
first_sid = str(ndr_unpack(security.dom_sid, bytes(model["objectSid"][0])))
domain = first_sid.rsplit("-", 1)[0]
links = [(first_guid, link)]




def indexes(database, values):
    change = ldb.Message(ldb.Dn(database, "@INDEXLIST"))
    for name in INDEXES:
        change[name] = ldb.MessageElement(values(name), ldb.FLAG_MOD_REPLACE, name)
    database.modify(change)


before = raw.search(ldb.Dn(raw, "@INDEXLIST"), scope=ldb.SCOPE_BASE)[0]
raw.transaction_start()
indexes(raw, lambda name: [])
for number in range(1, count):
    name = "crowd%05d" % number
    guid, sid = misc.GUID(str(uuid.uuid4())), "%s-%d" % (domain, FIRST_RID + number)
    own = {"objectGUID": ndr_pack(guid), "objectSid": ndr_pack(security.dom_sid(sid))}
    own.update(dict.fromkeys(("cn", "name", "sAMAccountName"), name.encode()))
    user = ldb.Message(ldb.Dn(raw, "CN=%s,%s" % (name, ou)))
    for attribute in model:
        if attribute != "dn":
            values = [own[attribute]] if attribute in own else [bytes(value) for value in model[attribute]]
            user[attribute] = ldb.MessageElement(values, ldb.FLAG_MOD_ADD, attribute)
    raw.add(user)
    value = link.replace(str(ndr_unpack(misc.GUID, first_guid)).encode(), str(guid).encode())
    value = value.replace(b"<SID=%s>" % first_sid.encode(), b"<SID=%s>" % sid.encode())
    links.append((own["objectGUID"], value.replace(b"CN=crowd00000", b"CN=" + name.encode())))
change = ldb.Message(ldb.Dn(raw, group))
change["member"] = ldb.MessageElement([value for _, value in sorted(links)], ldb.FLAG_MOD_REPLACE, "member")
raw.modify(change)
raw.transaction_commit()
del raw
samba = SamDB(folder + "/private/sam.ldb", session_info=system_session(), lp=settings)
indexes(samba, lambda name: [bytes(value) for value in before[name]])
