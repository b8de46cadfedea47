"""A tenant whose keys have a history: its trust key was rotated three times, its storage account has both keys.

Made by the REST interface alone. Active Directory never hears of it: the forger holds each version as if it had sealed
with it then. Time cannot be waited for, so the end of the oldest key's retirement is written into the database.
"""

import base64
import os
import sqlite3
from time import sleep

import kerberos as k
from people import apply, call, identities

HOST = "acctr.file.rotation.cloud.example"
# A change is seen by every node within two seconds.
SEEN_S = 3


def prepare(scene):
    call(scene, "POST", "tenants", {"name": scene.rotation_tenant})
    trust = f"tenants/{scene.rotation_tenant}/trusts/{scene.domain}"
    scene.rotation_keys = {}
    for turn in range(5):
        prepared = call(scene, "POST", f"{trust}/prepare", {
            "realm": scene.ad_realm, "flat_name": "CORP", "sid": scene.domain_sid, "top_level_names": [], "rotate": turn > 0,
        })  # fmt: skip
        key = k.trust_key(prepared["secret"], scene.ad_realm, scene.rotation_realm)
        scene.rotation_keys[prepared["version"]] = key
        # The last one is on its way to Active Directory.
        if turn < 4:
            call(scene, "POST", f"{trust}/confirm", {"version": prepared["version"], "top_level_names": []})
    if sorted(scene.rotation_keys) != [1, 2, 3, 4, 5]:
        raise ValueError(f"the trust has the versions {sorted(scene.rotation_keys)}")
    with sqlite3.connect(scene.store, timeout=20) as store:
        tenant = "(SELECT id FROM tenants WHERE name = 'rotation')"
        old = f"version = 1 AND trust_id IN (SELECT id FROM trusts WHERE tenant_id = {tenant})"
        if store.execute(f"UPDATE trust_secrets SET retires_at = 1 WHERE {old}").rowcount != 1:
            raise ValueError("there is no first version")
        store.execute(f"UPDATE tenants SET parties_change = parties_change + 1 WHERE id = {tenant}")
    store.close()

    known, page = identities(scene)
    wanted = [one for one in known if one["kind"] == "group" or one["account_name"] == "alice"]
    guids = {one["object_guid"] for one in wanted}
    changes = [{"op": "upsert", "identity": {**one, "members": []}} for one in wanted if one["state"] == "enabled"]
    for one in wanted:
        members = [member for member in one.get("members", []) if member in guids]
        if members:
            changes.append({"op": "members", "object_guid": one["object_guid"], "add": members, "remove": []})
    apply(scene, page["domain"], changes, None, tenant=scene.rotation_tenant)
    call(scene, "POST", f"tenants/{scene.rotation_tenant}/storage-accounts", {"name": "acctr"})
    export(scene)
    sleep(SEEN_S)


def export(scene):
    """Exports the account's keytab anew; returns its keys."""
    exported = call(scene, "POST", f"tenants/{scene.rotation_tenant}/storage-accounts/acctr/keytab")
    file = os.path.join(scene.scratch, "acctr.keytab")
    with open(file, "wb") as keytab:
        keytab.write(base64.b64decode(exported["keytab"]))
    scene.service_keys[HOST] = k.keytab_keys(file)
    return scene.service_keys[HOST]


def rotate(scene, slot):
    call(scene, "POST", f"tenants/{scene.rotation_tenant}/storage-accounts/acctr/rotate-key", {"key": slot})
