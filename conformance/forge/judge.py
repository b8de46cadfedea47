"""Judges what came back: the answer against the table, and an issued ticket against what the directory grants."""

import re

import kerberos as k
import pac as p
from kerberos import asn1, kcrypto
from table import CODES, NAMES, Http, Issued, Refused, Tgt, TooBig, status

E_TEXT = re.compile(r"^[^\[\]]+ \[([a-z0-9-]+), event ([0-9a-f]{32})\]$")
LONGEST_LIFE_S = 36000


def clear_part(scene, ticket):
    sealed = ticket["enc-part"]
    host = ticket["sname"]["name-string"][1].decode().lower()
    key = scene.service_keys[host][sealed["etype"], sealed["kvno"]]
    return key, k.plain(kcrypto.decrypt(key, k.KU_TICKET, sealed["cipher"]), asn1.EncTicketPart)


def complaints_of_life(forgery, part):
    """What is wrong with the bounds of an issued ticket: `part` is its own or the reply's encrypted part.

    All bounds are times of tickets, so that it makes no difference how long the request was under way."""
    wrong = []
    start, end = k.seconds(part["starttime"]), k.seconds(part["endtime"])
    if end - start > LONGEST_LIFE_S:
        wrong.append("it lives longer than the tenant's policy allows")
    if forgery.renewed:
        # A renewed ticket lives as long as the old one did, from its own start on (RFC 4120 3.3.3.1).
        old = {name: k.seconds(forgery.renewed[name]) for name in ("starttime", "endtime", "renew-till")}
        if end - start > old["endtime"] - old["starttime"]:
            wrong.append("it lives longer than the ticket that was renewed")
        if end > old["renew-till"]:
            wrong.append("it lives beyond the end of its renewal")
    else:
        referral_end = k.seconds(forgery.part["endtime"])
        if end > referral_end:
            wrong.append(f"it lives {end - referral_end} s longer than the referral")
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
            event = {"outcome": expected.event[0], "reason": expected.event[1]}
        same = isinstance(expected, Http) and expected.status == reply.status
        return status(reply.status), [] if same else [f"{status(reply.status)}: {reply.text[:100]}"], event
    if isinstance(expected, TooBig):
        # The ticket was issued; only its way was too narrow.
        same = (reply.code, reply.text) == (CODES["RESPONSE_TOO_BIG"], "")
        event = {"outcome": "done", "reason": ""}
        return f"{reply.code} {NAMES.get(reply.code, reply.text)}", [] if same else ["another answer"], event
    found = E_TEXT.match(reply.text)
    if not found:
        return f"{reply.code} {reply.text!r}", ["the e-text names no reason and no event"], None
    reason, event_id = found.groups()
    event = {"outcome": "refused", "reason": reason, "id": event_id}
    got = f"{reply.code} {NAMES.get(reply.code, '?')}, {reason}"
    same = isinstance(expected, Refused) and (CODES[expected.code], expected.reason) == (reply.code, reason)
    return got, [] if same else [reply.text], event
