"""What a tenant must hold of a domain, worked out from `ldbsearch` alone: argument 1 is the domain controller's sam.ldb,
argument 2 the domain's DNS name. Prints JSON: users and groups by SID."""

import base64
import json
import subprocess
import sys
import time

NEVER = (0, 9223372036854775807)
EPOCH = 11644473600
PRIVILEGED = ["-512", "-516", "-518", "-519", "-521", "-526", "-527"]
BUILTIN = ["S-1-5-32-%d" % rid for rid in (544, 548, 549, 550, 551, 552)]


def entries(database):
    command = ["ldbsearch", "-H", database, "(|(sAMAccountType=805306368)(objectClass=group)(objectClass=domainDNS))"]
    command += "objectClass objectSid sAMAccountName userPrincipalName displayName userAccountControl accountExpires".split()
    command += "lockoutTime lockoutDuration primaryGroupID groupType isCriticalSystemObject member".split()
    command += ["msDS-SecondaryKrbTgtNumber"]
    text = subprocess.run(command, check=True, capture_output=True).stdout.decode()
    for block in text.replace("\n ", "").split("\n\n"):
        entry = {}
        for line in block.splitlines():
            if line.startswith("#") or ":" not in line:
                continue
            name, value = line.split(":", 1)
            if value.startswith(":"):
                value = base64.b64decode(value[1:].strip()).decode("utf-8", "replace")
            entry.setdefault(name, []).append(value.strip())
        if "objectClass" in entry:
            yield entry


def first(entry, name, otherwise=""):
    return entry.get(name, [otherwise])[0]


def state(user, now, lockout):
    if int(first(user, "userAccountControl", "0")) & 2:
        return "disabled"
    expires = int(first(user, "accountExpires", "0"))
    if expires not in NEVER and expires // 10**7 - EPOCH <= now:
        return "expired"
    locked = int(first(user, "lockoutTime", "0"))
    if locked and (lockout is None or locked // 10**7 - EPOCH + lockout > now):
        return "locked"
    return "enabled"


def main():
    now = time.time()
    all_entries = list(entries(sys.argv[1]))
    head = next(e for e in all_entries if "domainDNS" in e["objectClass"])
    domain = first(head, "objectSid")
    lockout = int(first(head, "lockoutDuration", "0"))
    lockout = -lockout // 10**7 if -(2**63) < lockout < 0 else None
    objects = {first(e, "dn").lower(): e for e in all_entries if "objectSid" in e}
    groups = {dn: e for dn, e in objects.items() if "group" in e["objectClass"]}

    admins, rids, todo = set(), set(), []
    for dn, group in groups.items():
        sid = first(group, "objectSid")
        if sid in BUILTIN or sid in [domain + rid for rid in PRIVILEGED]:
            todo.append(dn)
    while todo:
        dn = todo.pop()
        if dn in admins or dn not in objects:
            continue
        admins.add(dn)
        if dn in groups:
            rids.add(first(groups[dn], "objectSid").rsplit("-", 1)[1])
            todo += [member.lower() for member in groups[dn].get("member", [])]

    kept = {}
    for dn, e in objects.items():
        sid = first(e, "objectSid")
        if not sid.startswith(domain + "-"):
            continue
        if dn in groups:
            if int(first(e, "groupType", "0")) < 0:
                kept[dn] = sid
            continue
        own = first(e, "isCriticalSystemObject") == "TRUE" or "msDS-SecondaryKrbTgtNumber" in e
        if "user" in e["objectClass"] and int(sid.rsplit("-", 1)[1]) >= 1000 and not own:
            if dn not in admins and first(e, "primaryGroupID") not in rids:
                kept[dn] = sid

    result = {"users": {}, "groups": {}}
    for dn, sid in kept.items():
        e = objects[dn]
        name = first(e, "sAMAccountName")
        common = {"name": name, "display": first(e, "displayName")}
        if dn in groups:
            members = [kept[m.lower()] for m in e.get("member", []) if m.lower() in kept]
            result["groups"][sid] = dict(common, members=sorted(members))
        else:
            upn = first(e, "userPrincipalName", "%s@%s" % (name, sys.argv[2]))
            result["users"][sid] = dict(common, upn=upn, state=state(e, now, lockout))
    json.dump(result, sys.stdout)


main()
