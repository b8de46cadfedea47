"""smbprotocol opens a share with a ticket of MIT's library: list, write, read, delete.

  smb_smbprotocol.py HOST SHARE FILE        the cache is KRB5CCNAME; what was seen is printed, one fact on a line
"""

import os
import sys
import types

# pyspnego imports this module beside Debian's gssapi, and uses it with passwords and keytabs alone; as a package it has to be
# compiled, for minutes.
sys.modules["krb5"] = types.ModuleType("krb5")

import smbclient  # noqa: E402
from smbprotocol.exceptions import SMBException  # noqa: E402

host, share, name = sys.argv[1:4]
folder = rf"\\{host}\{share}"
file = rf"{folder}\{name}"

session = smbclient.register_session(host, auth_protocol="kerberos", connection_timeout=60)
print("dialect %#x" % session.connection.dialect)
try:
    before = smbclient.listdir(folder)
except SMBException as error:
    sys.exit(str(error))
print("encrypted", any(tree.encrypt_data for tree in session.tree_connect_table.values()) or session.encrypt_data)
content = os.urandom(300_000)
with smbclient.open_file(file, mode="wb") as out:
    out.write(content)
with smbclient.open_file(file, mode="rb") as back:
    print("read back", back.read() == content)
print("listed", name not in before and name in smbclient.listdir(folder))
smbclient.remove(file)
print("deleted", name not in smbclient.listdir(folder))
