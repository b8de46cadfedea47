"""Which keys count: versions of the trust key, and the two keys of a storage account."""

import kerberos as k
import rotation
from table import Issued, Refused, case

INTEGRITY = Refused("BAD_INTEGRITY", "ticket-integrity")


def sealed_with(f, version, kvno=None):
    """A referral to the tenant with the rotated keys, sealed and signed with this version of its trust key."""
    scene = f.scene
    f.target_domain = scene.rotation_realm
    f.body["realm"] = scene.rotation_realm.encode()
    f.body["sname"] = k.name(k.NT_SRV_INST, "cifs", rotation.HOST)
    f.ticket["sname"] = k.name(k.NT_SRV_INST, "krbtgt", scene.rotation_realm)
    f.seal_with = f.sign_with = scene.rotation_keys[version]
    f.edit_pac(lambda infos: None)
    f.ticket["enc-part"].pop("kvno", None)
    if kvno is not None:
        f.ticket["enc-part"]["kvno"] = kvno


def trust(name, expected, version, kvno):
    @case(f"trust key: {name}", expected, tenant="rotation_tenant")
    def _(f):
        sealed_with(f, version, kvno)


for version, state in ((5, "on its way to AD"), (4, "current"), (3, "previous"), (2, "retired, its time not over")):
    trust(f"{state}, no version given", Issued(), version, None)
    trust(f"{state}, its version given", Issued(), version, version)
    trust(f"{state}, version 0 given", Issued(), version, 0)
    trust(f"{state}, another's version given", Issued(), version, version % 4 + 1)
for kvno in (None, 0, 1, 4):
    trust(f"retired, its time over, version given: {kvno}", INTEGRITY, 1, kvno)

@case("trust key: sealed with the current, PAC signed with an expired one", Refused("MODIFIED", "pac-signature"), tenant="rotation_tenant")
def _(f):
    sealed_with(f, 4)
    f.sign_with = f.scene.rotation_keys[1]


# The two keys of a storage account: a rotation replaces one while the other seals, so that a host that has not fetched the new
# keytab yet goes on serving.


def version_is(wanted):
    def check(reply, part):
        found = reply.ticket["enc-part"].get("kvno")
        return [] if found == wanted else [f"sealed with version {found}, not {wanted}"]

    return check


@case("account key: kerb1 seals at first", Issued(check=version_is(1)), tenant="rotation_tenant")
def _(f):
    sealed_with(f, 4)


@case("account key: kerb1 rotated, kerb2 seals, the keytab of before opens it", Issued(check=version_is(2)), tenant="rotation_tenant")
def _(f):
    rotation.rotate(f.scene, "kerb1")
    sealed_with(f, 4)


@case("account key: kerb2 rotated, the new kerb1 seals", Issued(check=version_is(3)), tenant="rotation_tenant")
def _(f):
    rotation.export(f.scene)
    rotation.rotate(f.scene, "kerb2")
    sealed_with(f, 4)


@case("account key: an export after all this still holds what sealed older tickets", Issued(check=version_is(3)), tenant="rotation_tenant")
def _(f):
    held = sorted(version for _, version in rotation.export(f.scene))
    if held != [1, 2, 3, 4]:
        raise ValueError(f"the keytab holds the versions {held}")
    sealed_with(f, 4)
