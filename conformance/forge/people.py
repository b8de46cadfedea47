"""People that Active Directory does not have: put into the directory by the REST interface, in the way the sync agent does.

`crowd` joins more groups than a ticket may hold; `kim` belongs to a child domain of the forest, whose sync registers it.
"""

import json
import ssl
import urllib.request
import uuid
from urllib.parse import quote

GROUPS = 1011
CHILD_DOMAIN, CHILD_SID = "sub.corp.contoso.com", "S-1-5-21-7-7-7"


def call(scene, method, path, body=None):
    request = urllib.request.Request(scene.server + "/api/v1/" + path, method=method)
    request.add_header("Authorization", f"Bearer {scene.token}")
    data = None
    if body is not None:
        request.add_header("Content-Type", "application/json")
        data = json.dumps(body).encode()
    with urllib.request.urlopen(request, data, context=ssl.create_default_context(cafile=scene.ca)) as answer:
        return json.load(answer)


def guid(name):
    return str(uuid.uuid5(uuid.NAMESPACE_DNS, name))


def upsert(kind, name, sid, upn="", primary=0):
    return {
        "op": "upsert",
        "identity": {
            "object_guid": guid(name), "kind": kind, "sid": sid, "account_name": name, "upn": upn, "display_name": "",
            "state": "enabled", "disabled_reason": None, "primary_group_rid": primary,
        },
    }  # fmt: skip


def join(group, member):
    return {"op": "members", "object_guid": guid(group), "add": [member], "remove": []}


def identities(scene):
    """Everybody the directory knows of the domain, and the last page with its frame."""
    path = f"tenants/{scene.tenant}/domains/{scene.domain}/identities?limit=1000"
    page = call(scene, "GET", path)
    known = page["identities"]
    while page["next"]:
        page = call(scene, "GET", f"{path}&after={quote(page['next'])}")
        known += page["identities"]
    return known, page


def apply(scene, domain, changes, cursor, tenant=None):
    run = str(uuid.uuid4())
    path = f"tenants/{tenant or scene.tenant}/domains/{domain['dns_name']}/identities"
    while changes:
        batch, changes = changes[:500], changes[500:]
        result = call(scene, "POST", path, {
            "run_id": run, "domain": domain, "changes": batch, "skipped": 0, "cursor": cursor, "last": not changes,
        })  # fmt: skip
        if result["refused"]:
            raise ValueError(f"the directory refused: {result['refused'][:3]}")


def gather(scene):
    known, page = identities(scene)
    crowd = next(identity for identity in known if identity["account_name"] == "crowd")
    groups = [f"crowd-{number}" for number in range(GROUPS)]
    made = [upsert("group", name, f"{scene.domain_sid}-{60000 + number}") for number, name in enumerate(groups)]
    joined = [join(name, crowd["object_guid"]) for name in groups]
    apply(scene, page["domain"], made + joined, page["sync"]["cursor"])

    child = {"dns_name": CHILD_DOMAIN, "flat_name": "SUB", "sid": CHILD_SID}
    kim = upsert("user", "kim", f"{CHILD_SID}-1104", f"kim@{CHILD_DOMAIN}", 513)
    team = upsert("group", "child-team", f"{CHILD_SID}-1200")
    apply(scene, child, [kim, team, join("child-team", guid("kim"))], None)
    scene.sids["kim"] = f"{CHILD_SID}-1104"
    scene.groups["kim"] = {f"{CHILD_SID}-513", f"{CHILD_SID}-1200"}
