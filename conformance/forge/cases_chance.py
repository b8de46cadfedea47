"""Changes by chance, many at a time: with any of them nobody gets more than the directory grants. The seed is fixed, so
that a finding can be repeated."""

import random

import kerberos as k
import pac as p
from forgery import Forgery
from judge import complaints_of_ticket
from kerberos import asn1
from table import ANYBODY, Issued, case

MUTANTS = 100
SEED = 20_261_122


def changed(chance, data):
    """The data with one to three bytes changed, cut out or put in."""
    data = bytearray(data)
    for _ in range(chance.randint(1, 3)):
        at = chance.randrange(len(data))
        what = chance.randrange(4)
        if what == 0:
            data[at] ^= 1 << chance.randrange(8)
        elif what == 1:
            data[at] = chance.choice((0, 1, 0x7F, 0x80, 0xFF))
        elif what == 2:
            del data[at : at + chance.randint(1, 8)]
        else:
            data[at:at] = chance.randbytes(chance.randint(1, 8))
    return bytes(data)


def many(name, mutate, by="a thief of the trust key"):
    @case(f"{MUTANTS} requests with {name} changed by chance, then a genuine one", Issued(), by=by)
    def _(f):
        chance = random.Random(SEED)
        for number in range(MUTANTS):
            mutant = Forgery(f.scene)
            mutate(chance, mutant)
            reply = mutant.send()
            if reply.kind == "http" and reply.status not in (400, 413):
                raise ValueError(f"mutant {number}: HTTP {reply.status}")
            if reply.kind == "issued":
                # A mutant may have changed the life of its own referral: what it holds is what counts here.
                wrong = [text for text in complaints_of_ticket(f.scene, mutant, reply, Issued()) if "lives" not in text]
                if wrong:
                    raise ValueError(f"mutant {number}: {wrong}")


def message(chance, mutant):
    mutant.message = changed(chance, mutant.encode())


def sealed(chance, mutant):
    mutant.plain_part = changed(chance, k.der(mutant.part, asn1.EncTicketPart))


def signed(chance, mutant):
    pac = changed(chance, mutant.pac)
    try:
        mutant.pac = p.signed(pac, mutant.scene.trust_key)
    except Exception:  # what cannot even be signed is sent as it is
        mutant.pac = pac


many("the message", message, by=ANYBODY)
many("the ticket before it was sealed", sealed)
many("the PAC before it was signed", signed)
