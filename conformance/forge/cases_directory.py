"""Users with genuine referrals of the domain controller: the directory must decide about them."""

import kerberos as k
import pac as p
from people import CHILD_DOMAIN, CHILD_SID
from table import USER, Issued, Refused, case

for user, verdict, who in (
    ("mallory", Refused("CLIENT_REVOKED", "identity-disabled"), "disabled after the sign-in"),
    ("erin", Refused("CLIENT_REVOKED", "identity-deleted"), "deleted after the sign-in"),
    ("dana", Refused("C_PRINCIPAL_UNKNOWN", "identity-not-synced"), "never synced"),
    ("administrator", Refused("POLICY", "sid-reserved"), "built in"),
    ("crowd", Refused("POLICY", "too-many-groups"), "in more than 1,010 groups"),
):  # fmt: skip

    @case(f"a genuine referral of a user {who}", verdict, by=USER, user=user)
    def _(f):
        pass

    @case(f"… asking for the realm's own TGT: {who}", verdict, by=USER, user=user)
    def _(f):
        f.fast = True
        f.body["sname"] = k.name(k.NT_SRV_INST, "krbtgt", f.scene.realm)


@case("the SID of a cloud-only user, in the tenant's own domain", Refused("POLICY", "sid-outside-domain"))
def _(f):
    f.identify(f.scene.cloud_only_sid)


@case("… as a client of the tenant's realm", Refused("POLICY", "client-realm-not-trusted"))
def _(f):
    f.identify(f.scene.cloud_only_sid)
    f.part["crealm"] = f.authenticator["crealm"] = f.scene.realm.encode()


# A forest: users of a registered child domain come through the root's trust.

CHILD = CHILD_DOMAIN.upper()


def from_child(f, name="kim", sid=f"{CHILD_SID}-1104"):
    f.rename(name, realm=CHILD)
    f.identify(sid)
    f.edit_pac(lambda infos: setattr(infos[p.CLIENT_INFO], "account_name", name))


def passed_through_the_root(reply, part):
    found = part["transited"]
    return [] if (found["tr-type"], found["contents"]) == (1, b"CORP.CONTOSO.COM") else [f"transited is {found}"]


@case("a user of a registered child domain", Issued("kim", passed_through_the_root), user="bob")
def _(f):
    from_child(f)


@case("… whose path already names the root", Issued("kim", passed_through_the_root), user="bob")
def _(f):
    from_child(f)
    f.part["transited"] = {"tr-type": 1, "contents": b"CORP.CONTOSO.COM"}


@case("a child domain's user with a SID of the root", Refused("POLICY", "sid-outside-domain"))
def _(f):
    from_child(f, "alice", f.scene.sids["alice"])


@case("a root's user with a SID of the child domain", Refused("POLICY", "sid-outside-domain"))
def _(f):
    f.identify(f"{CHILD_SID}-1104")


@case("a child domain's user who passed through an unknown realm", Refused("PATH_NOT_ACCEPTED", "path-not-accepted"))
def _(f):
    from_child(f)
    f.part["transited"] = {"tr-type": 1, "contents": b"EVIL.EXAMPLE"}


@case("a referral of the child domain itself: it has no trust", Refused("POLICY", "issuer-not-trusted"))
def _(f):
    from_child(f)
    f.ticket["realm"] = CHILD.encode()
