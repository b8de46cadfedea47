"""impacket opens a share with a ticket of MIT's cache: list, write, read, query security, delete.

  smb_impacket.py HOST SHARE FILE        the cache is KRB5CCNAME; what was seen is printed, one fact on a line

With --writer STOP FOLDER instead: keeps one session open until the file STOP is there, and writes and reads back a file
after the other in FOLDER, each with content of its own; prints `name sha256` for each and `ended` at the end.
"""

import hashlib
import io
import os
import sys

from impacket.ldap.ldaptypes import SR_SECURITY_DESCRIPTOR
from impacket.smb3structs import (
    DACL_SECURITY_INFORMATION,
    FILE_READ_ATTRIBUTES,
    GROUP_SECURITY_INFORMATION,
    OWNER_SECURITY_INFORMATION,
    READ_CONTROL,
    SMB2_0_INFO_SECURITY,
    SMB2_SESSION_FLAG_ENCRYPT_DATA,
)
from impacket.smbconnection import SMBConnection

host, share, name = sys.argv[1:4]
os.environ["KRB5CCNAME"] = os.environ["KRB5CCNAME"].removeprefix("FILE:")
connection = SMBConnection(host, host, sess_port=445, timeout=60)
connection.kerberosLogin("", "", useCache=True)


def security(file):
    smb = connection.getSMBServer()
    tree = connection.connectTree(share)
    handle = connection.openFile(tree, file, desiredAccess=READ_CONTROL | FILE_READ_ATTRIBUTES)
    what = OWNER_SECURITY_INFORMATION | GROUP_SECURITY_INFORMATION | DACL_SECURITY_INFORMATION
    raw = smb.queryInfo(tree, handle, infoType=SMB2_0_INFO_SECURITY, fileInfoClass=0, additionalInformation=what)
    connection.closeFile(tree, handle)
    return SR_SECURITY_DESCRIPTOR(data=raw)


def write(file, content):
    connection.putFile(share, file, io.BytesIO(content).read)


def read(file):
    back = io.BytesIO()
    connection.getFile(share, file, back.write)
    return back.getvalue()


if sys.argv[4:5] == ["--writer"]:
    end, folder = sys.argv[5:7]
    count = 0
    while not os.path.exists(end):
        content = os.urandom(20_000)
        file = "%s\\w%05d" % (folder, count)
        write(file, content)
        if read(file) != content:
            sys.exit("%s came back different" % file)
        print("w%05d %s" % (count, hashlib.sha256(content).hexdigest()), flush=True)
        count += 1
    print("ended", flush=True)
    sys.exit(0)

print("dialect %#x" % connection.getDialect())
flags = connection.getSMBServer()._Session["SessionFlags"]
print("encrypted", bool(flags & SMB2_SESSION_FLAG_ENCRYPT_DATA))
content = os.urandom(300_000)
write(name, content)
print("read back", read(name) == content)
print("listed", name in [entry.get_longname() for entry in connection.listPath(share, "*")])
descriptor = security(name)
print("owner", descriptor["OwnerSid"].formatCanonical())
for ace in descriptor["Dacl"].aces:
    print("ace", ace["AceType"], "%#010x" % ace["Ace"]["Mask"]["Mask"], ace["Ace"]["Sid"].formatCanonical())
connection.deleteFile(share, name)
print("deleted", name not in [entry.get_longname() for entry in connection.listPath(share, "*")])
