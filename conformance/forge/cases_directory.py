"""Users whose genuine referrals the domain controller has issued, and whom the directory must judge."""
import kerberos as k
from table import USER, Refused, case

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
