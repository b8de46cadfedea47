"""How a case and its expected outcome are written down."""

from dataclasses import dataclass

# Error codes of RFC 4120 section 7.5.9 and RFC 6806, by their own numbers, not by the product's.
CODES = {
    "C_PRINCIPAL_UNKNOWN": 6, "S_PRINCIPAL_UNKNOWN": 7, "NEVER_VALID": 11, "POLICY": 12, "BADOPTION": 13,
    "ETYPE_NOSUPP": 14, "PADATA_TYPE_NOSUPP": 16, "CLIENT_REVOKED": 18, "TGT_REVOKED": 20, "PATH_NOT_ACCEPTED": 28,
    "BAD_INTEGRITY": 31, "TKT_EXPIRED": 32, "TKT_NYV": 33, "NOT_US": 35, "BADMATCH": 36, "SKEW": 37, "MSG_TYPE": 40,
    "MODIFIED": 41, "INAPP_CKSUM": 50, "RESPONSE_TOO_BIG": 52, "GENERIC": 60, "WRONG_REALM": 68,
}  # fmt: skip
NAMES = {code: name for name, code in CODES.items()}

# Who sends.
ANYBODY = "anybody"
USER = "a user"
THIEF = "a thief of the trust key"


@dataclass
class Refused:
    """A KRB-ERROR with this code, its e-text naming this reason and an event that exists."""

    code: str
    reason: str

    def __str__(self):
        return f"{CODES[self.code]} {self.code}, {self.reason}"


@dataclass
class Issued:
    """A service ticket for this user that holds what the directory grants and nothing else."""

    user: str = "alice"
    check: object = None  # (reply, ticket part) -> list of complaints
    etype: int = 18

    def __str__(self):
        return f"a ticket, {self.user}'s own SIDs only"


@dataclass
class Tgt:
    """A TGT of the tenant's realm: sealed for the tenant alone, so that only its frame can be looked at."""

    def __str__(self):
        return "a TGT of the tenant's realm"


@dataclass
class TooBig:
    """The answer does not fit into a datagram: error 52, with no words, since it must be short."""

    def __str__(self):
        return "52 RESPONSE_TOO_BIG"


@dataclass
class Http:
    """No Kerberos answer but an HTTP status; `event` is (outcome, reason) where one must be left."""

    status: int
    event: tuple = None

    def __str__(self):
        return status(self.status) + (f", event {self.event[1]}" if self.event else "")


def status(number):
    return f"HTTP {number}" if number else "no answer, the connection ends"


@dataclass
class Case:
    name: str
    expected: object
    by: str
    run: object
    user: str
    tenant: str
    gap: str


CASES = []


def case(name, expected, by=THIEF, user="alice", tenant="", gap=""):
    """Adds a case. `gap` says why it is known to come out otherwise: then it must."""

    def keep(run):
        CASES.append(Case(name, expected, by, run, user, tenant, gap))
        return run

    return keep
