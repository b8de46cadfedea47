"""Puts the user `crowd` into more groups than a ticket may hold, in the way the sync agent does: by the REST interface."""
import json
import ssl
import urllib.request
import uuid
from urllib.parse import quote

GROUPS = 1011


def call(scene, method, path, body=None):
    request = urllib.request.Request(scene.server + "/api/v1/" + path, method=method)
    request.add_header("Authorization", f"Bearer {scene.token}")
    data = None
    if body is not None:
        request.add_header("Content-Type", "application/json")
        data = json.dumps(body).encode()
    with urllib.request.urlopen(request, data, context=ssl.create_default_context(cafile=scene.ca)) as answer:
        return json.load(answer)


def gather(scene):
    path = f"tenants/{scene.tenant}/domains/{scene.domain}/identities"
    page = call(scene, "GET", path + "?limit=1000")
    known = page["identities"]
    while page["next"]:
        page = call(scene, "GET", f"{path}?limit=1000&after={quote(page['next'])}")
        known += page["identities"]
    crowd = next(identity for identity in known if identity["account_name"] == "crowd")
    groups = [str(uuid.uuid5(uuid.NAMESPACE_DNS, f"crowd-{number}")) for number in range(GROUPS)]
    made = [
        {"op": "upsert", "identity": {
            "object_guid": guid, "kind": "group", "sid": f"{scene.domain_sid}-{60000 + number}",
            "account_name": f"crowd-number-{number}", "upn": "", "display_name": "", "state": "enabled",
            "disabled_reason": None, "primary_group_rid": 0}}
        for number, guid in enumerate(groups)
    ]  # fmt: skip
    joined = [{"op": "members", "object_guid": guid, "add": [crowd["object_guid"]], "remove": []} for guid in groups]
    changes = made + joined
    run = str(uuid.uuid4())
    while changes:
        batch, changes = changes[:500], changes[500:]
        result = call(scene, "POST", path, {
            "run_id": run, "domain": page["domain"], "changes": batch, "skipped": 0,
            "cursor": page["sync"]["cursor"], "last": not changes})  # fmt: skip
        if result["refused"]:
            raise ValueError(f"the crowd was not let in: {result['refused'][:3]}")
