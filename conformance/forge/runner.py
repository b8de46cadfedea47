"""Plays every case, judges its answer, and asks honestly after each. Events are judged by the caller, who knows the times."""

import json
import os
import subprocess
import sys
import traceback
from time import time

import cases_chance  # noqa: F401  (these fill the table)
import cases_directory  # noqa: F401
import cases_honest  # noqa: F401
import cases_keys  # noqa: F401
import cases_pac  # noqa: F401
import cases_proxy  # noqa: F401
import cases_request  # noqa: F401
import cases_tcp  # noqa: F401
import cases_ticket  # noqa: F401
import kerberos as k
import people
import rotation
from forgery import Forgery
from judge import judge
from proxy import Proxy
from table import CASES, Case, Issued


class Scene:
    def __init__(self, described):
        self.__dict__.update(described)
        self.proxy = Proxy(self.server, self.ca)
        self.trust_key = k.trust_key(self.secrets[self.realm], self.ad_realm, self.realm)
        self.other_key = k.trust_key(self.secrets[self.other_realm], self.ad_realm, self.other_realm)
        self.service_keys = {host: k.keytab_keys(path) for host, path in self.keytabs.items()}
        self.issued = []  # what MIT's library verifies in the end
        # What the directory grants: the truth of Active Directory, asked by its own tools.
        domain_users = self.sids["Domain Users"]
        nested = {self.sids["Sales"], self.sids["AllStaff"]}
        self.groups = {user: {domain_users} for user in self.sids}
        for member in ("alice", "müller"):
            self.groups[member] |= nested
        self.domain_sid = self.sids["alice"].rsplit("-", 1)[0]


def now_ms():
    return int(time() * 1000)


def play(scene, case):
    """Runs one case; returns its row."""
    began = now_ms()
    try:
        forgery = Forgery(scene, user=case.user, tenant=case.tenant and getattr(scene, case.tenant))
        reply = case.run(forgery)
        if reply is None:
            reply = forgery.send()
        got, wrong, event = judge(scene, forgery, reply, case.expected)
    except Exception as error:
        traceback.print_exc()
        got, wrong, event = "nothing usable", [f"{type(error).__name__}: {error}"], None
    return {
        "case": case.name, "by": case.by, "expected": str(case.expected), "got": got, "wrong": wrong, "gap": case.gap,
        "tenant": case.tenant and getattr(scene, case.tenant) or scene.tenant,
        "event": event, "from_ms": began, "to_ms": now_ms(),
    }  # fmt: skip


def mit_complaints(issued):
    """MIT's word on each PAC: empty where its signature verifies and it belongs to its client."""
    if not issued:
        return []
    # A witness that never says no is none: one PAC is shown with a key that did not sign it.
    spoilt = {**issued[0], "key": os.urandom(32).hex()}
    words = [sys.executable, "-B", os.path.join(os.path.dirname(__file__), "mit.py")]
    said = subprocess.run(words, input=json.dumps([*issued, spoilt]), capture_output=True, text=True, check=True)
    *texts, refusal = json.loads(said.stdout)
    if not refusal:
        raise ValueError("MIT's library accepts any signature")
    return [f"MIT's library on the PAC: {text}" if text else "" for text in texts]


HONEST = Case("an honest request", Issued(), "a user", lambda forgery: None, "alice", "", "")


def main():
    scene = Scene(json.load(sys.stdin))
    people.gather(scene)
    rotation.prepare(scene)
    words = scene.words
    rows, owners = [], []
    for case in CASES:
        if words and not any(word in case.name for word in words):
            continue
        row = play(scene, case)
        honest = play(scene, HONEST)
        row["honest"] = {key: honest[key] for key in ("got", "wrong", "event", "from_ms", "to_ms", "tenant")}
        rows.append(row)
        owners += [row] * (len(scene.issued) - len(owners))
    for row, complaint in zip(owners, mit_complaints(scene.issued), strict=True):
        row["wrong"] += [complaint] if complaint else []
    print(f"{len(owners)} PACs of issued tickets: read by Samba's library and ndrdump, verified by MIT's", file=sys.stderr)
    json.dump(rows, sys.stdout)
