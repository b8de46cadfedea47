"""Plays every case, judges its answer, and asks honestly after each. Events are judged by the caller, who knows the times."""
import json
import os
import re
import subprocess
import sys
import traceback
from time import time

import cases_directory  # noqa: F401  (these fill the table)
import cases_honest  # noqa: F401
import cases_pac  # noqa: F401
import cases_proxy  # noqa: F401
import cases_request  # noqa: F401
import cases_tcp  # noqa: F401
import cases_ticket  # noqa: F401
import kerberos as k
import pac as p
import people
from forgery import Forgery
from kerberos import asn1, kcrypto
from proxy import Proxy
from table import CASES, CODES, NAMES, Case, Http, Issued, Refused, Tgt, status

E_TEXT = re.compile(r"^[^\[\]]+ \[([a-z0-9-]+), event ([0-9a-f]{32})\]$")
LONGEST_LIFE_S = 36000


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


def clear_part(scene, ticket):
    sealed = ticket["enc-part"]
    host = ticket["sname"]["name-string"][1].decode().lower()
    key = scene.service_keys[host][sealed["etype"], sealed["kvno"]]
    return key, k.plain(kcrypto.decrypt(key, k.KU_TICKET, sealed["cipher"]), asn1.EncTicketPart)


def complaints_of_life(forgery, part):
    """What is wrong with the bounds of an issued ticket: `part` is its own or the reply's encrypted part."""
    wrong = []
    end, referral_end = k.seconds(part["endtime"]), k.seconds(forgery.part["endtime"])
    if end > referral_end:
        wrong.append(f"it lives {end - referral_end} s longer than the referral")
    if end > time() + LONGEST_LIFE_S + 60:
        wrong.append("it lives longer than the tenant's policy allows")
    never = {2: "FORWARDED", 4: "PROXY", 5: "MAY-POSTDATE", 6: "POSTDATED", 7: "INVALID", 13: "OK-AS-DELEGATE"}
    wrong += [f"it has the flag {word}" for bit, word in never.items() if part["flags"][bit] == "1"]
    if part["key"]["keytype"] not in (17, 18, 19, 20):
        wrong.append(f"its session key has type {part['key']['keytype']}")
    return wrong


def complaints_of_ticket(scene, forgery, reply, expected):
    """Everything that is wrong with an issued service ticket, looked at with the service's own key."""
    key, part = clear_part(scene, reply.ticket)
    wrong = []
    elements = [pair for element in part["authorization-data"] for pair in k.plain(element["ad-data"], asn1.AuthorizationData)]
    if [element["ad-type"] for element in elements] != [k.AD_WIN2K_PAC]:
        wrong.append("the ticket does not hold exactly one PAC")
    pac = elements[0]["ad-data"]
    wrong += p.signature_complaints(pac, key, None) + p.ndrdump_complaint(pac)
    client = b"/".join(part["cname"]["name-string"]).decode() + "@" + part["crealm"].decode()
    scene.issued.append({
        "pac": pac.hex(), "key": key.contents.hex(), "etype": key.enctype, "authtime": k.seconds(part["authtime"]), "client": client,
    })  # fmt: skip
    sid, groups, _ = p.facts(pac)
    if sid != scene.sids[expected.user]:
        wrong.append(f"the PAC is for {sid}, {expected.user} is {scene.sids[expected.user]}")
    if groups != scene.groups[expected.user]:
        wrong.append(f"the PAC holds the groups {sorted(groups)}, granted are {sorted(scene.groups[expected.user])}")
    if part["key"] != reply.part["key"]:
        wrong.append("the client's session key is another one than the service's")
    if reply.ticket["enc-part"]["etype"] != expected.etype:
        wrong.append(f"the ticket has encryption type {reply.ticket['enc-part']['etype']}")
    wrong += complaints_of_life(forgery, part)
    if part["cname"]["name-string"] != forgery.part["cname"]["name-string"] or part["crealm"] != forgery.part["crealm"]:
        wrong.append("it names another client")
    return wrong + (expected.check(reply, part) if expected.check else [])


def judge(scene, forgery, reply, expected):
    """(what came, what is wrong with it, the event that must be there)"""
    if reply.kind == "issued":
        own = reply.ticket["sname"]["name-string"][0] == b"krbtgt"
        got = "a TGT of the tenant's realm" if own else "a ticket"
        event = {"outcome": "done", "reason": ""}
        if isinstance(expected, Tgt) and own:
            return got, complaints_of_life(forgery, reply.part), event
        if isinstance(expected, Issued) and not own:
            return got, complaints_of_ticket(scene, forgery, reply, expected), event
        return got, [f"{got} was issued"], event
    if reply.kind == "http":
        event = None
        if isinstance(expected, Http) and expected.event:
            event = dict(zip(("outcome", "reason"), expected.event))
        same = isinstance(expected, Http) and expected.status == reply.status
        return status(reply.status), [] if same else [f"{status(reply.status)}: {reply.text[:100]}"], event
    found = E_TEXT.match(reply.text)
    if not found:
        return f"{reply.code} {reply.text!r}", ["the e-text names no reason and no event"], None
    reason, event_id = found.groups()
    event = {"outcome": "refused", "reason": reason, "id": event_id}
    got = f"{reply.code} {NAMES.get(reply.code, '?')}, {reason}"
    same = isinstance(expected, Refused) and (CODES[expected.code], expected.reason) == (reply.code, reason)
    return got, [] if same else [reply.text], event


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
    for row, complaint in zip(owners, mit_complaints(scene.issued)):
        row["wrong"] += [complaint] if complaint else []
    print(f"{len(owners)} PACs of issued tickets: read by Samba's library and ndrdump, verified by MIT's", file=sys.stderr)
    json.dump(rows, sys.stdout)
