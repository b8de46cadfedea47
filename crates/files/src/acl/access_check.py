"""Samba's own answer to what descriptors permit: SDDL on each line of stdin, on each line of stdout the rights as a number.

  access_check.py SID...      the SIDs of who asks, the user's own first
"""

import sys

import samba.security
from samba import NTSTATUSError
from samba.dcerpc import security

RIGHTS = 0x001F01FF
token = security.token()
token.sids = [security.dom_sid(sid) for sid in sys.argv[1:]]
token.num_sids = len(sys.argv) - 1
nowhere = security.dom_sid("S-1-5-21-9-9-9")


def permitted(descriptor, right):
    try:
        samba.security.access_check(descriptor, token, right)
        return True
    except NTSTATUSError:
        return False


for line in sys.stdin:
    descriptor = security.descriptor.from_sddl(line.strip(), nowhere)
    rights = (1 << bit for bit in range(21) if RIGHTS >> bit & 1)
    print(sum(right for right in rights if permitted(descriptor, right)))
