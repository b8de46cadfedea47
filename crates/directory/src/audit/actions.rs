//! The actions that events name, each with what it records. Events keep them as text, so they are never renamed.

/// Action and meaning, in the order of `docs/reference/events.md`.
const ACTIONS: &[(&str, &str)] = &[
    (
        "ticket.issue",
        "A client asked the KDC for a ticket; `reason` is the refusal reason if it was refused",
    ),
    ("tenant.create", "A tenant was created"),
    ("tenant.policy", "A tenant's policy was changed"),
    ("tenant.delete", "A tenant was deleted"),
    (
        "domain.register",
        "A tenant recorded an AD domain with its SID",
    ),
    (
        "trust.prepare",
        "The tenant generated a new trust key, or returned the pending one again",
    ),
    (
        "trust.rotate",
        "A sync agent was given a new trust key because the current one had reached its age",
    ),
    (
        "trust.confirm",
        "A referral proved the trust key, which became current",
    ),
    (
        "trust.begin_removal",
        "The removal of a trust began; its keys still decrypt tickets",
    ),
    (
        "trust.cancel_removal",
        "The removal of a trust was cancelled before AD was changed",
    ),
    (
        "trust.delete",
        "A trust and its keys were deleted from the tenant",
    ),
    (
        "kerberos_server.record",
        "The tenant recorded the Kerberos server object of a domain",
    ),
    (
        "kerberos_server.begin_removal",
        "The removal of a Kerberos server object began",
    ),
    (
        "kerberos_server.cancel_removal",
        "The removal of a Kerberos server object was cancelled before AD was changed",
    ),
    (
        "kerberos_server.delete",
        "The tenant's record of a Kerberos server object was deleted",
    ),
    (
        "ad.begin",
        "A tool is about to change AD; without this event the change is not made",
    ),
    ("ad.done", "AD made the change"),
    ("ad.fail", "AD refused the change, or did not answer"),
    ("connector.create", "A connector and its token were created"),
    (
        "connector.revoke",
        "A connector was revoked; its token is refused from then on",
    ),
    (
        "sync.refuse",
        "The tenant refused a synchronized object, or a whole request; `reason` says why",
    ),
    (
        "sync.take_away",
        "A sync request deleted or disabled identities",
    ),
    ("identity.create", "A cloud-only user or group was created"),
    ("identity.delete", "A cloud-only user or group was deleted"),
    ("storage-account.create", "A storage account was created"),
    (
        "storage-account.aliases",
        "The aliases of a storage account were changed",
    ),
    (
        "storage-account.default-role",
        "The default share permission of a storage account was changed",
    ),
    (
        "storage-account.rotate-key",
        "A key of a storage account was replaced",
    ),
    (
        "storage-account.keytab",
        "The keys of a storage account were exported",
    ),
    ("storage-account.delete", "A storage account was deleted"),
    ("share.create", "A share was created"),
    ("share.set-quota", "The quota of a share was changed"),
    ("share.grant", "A role on a share was granted"),
    ("share.revoke", "A role on a share was revoked"),
    ("share.delete", "A share was deleted"),
    (
        "host.not-refused",
        "An SMB host could not refuse every user who lost a role: there are more than it can hold",
    ),
    (
        "service-principal.create",
        "A service principal was created",
    ),
    (
        "service-principal.rotate-key",
        "A key of a service principal was replaced",
    ),
    (
        "service-principal.keytab",
        "The keys of a service principal were exported",
    ),
    (
        "service-principal.delete",
        "A service principal was deleted",
    ),
    ("token.create", "A token was created"),
    ("token.revoke", "A token was revoked by an administrator"),
    ("token.end", "The bearer of a token revoked it"),
    ("admin.create", "An administrator was created"),
    (
        "admin.enrol-begin",
        "An administrator requested a new authenticator secret",
    ),
    (
        "admin.enrol",
        "An administrator enrolled, or an enrolment was refused",
    ),
    (
        "admin.sign-in",
        "An administrator signed in, or a sign-in was refused",
    ),
    (
        "admin.reset",
        "An administrator's password, authenticator and sessions were reset",
    ),
    ("admin.remove", "An administrator was removed"),
    ("api.call", "A call of the API was refused"),
    (
        "events.lost",
        "Events were lost because the queue was full; `detail` says how many",
    ),
];

/// Whether events may name this action.
pub(crate) fn is_known(action: &str) -> bool {
    ACTIONS.iter().any(|(known, _)| *known == action)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fmt::Write;

    const INTRODUCTION: &str = "\
# Events

<!-- Generated by crates/directory/src/audit/actions.rs; do not edit. -->

`crossrealm events` prints the events of a tenant, and `crossrealm events --installation` those of the installation: sign-ins and
changes of administrators that belong to no tenant. A change and its event are recorded in one transaction. 100,000 events of
tickets and as many of changes are kept for each tenant; the oldest are deleted first.

| field | content |
|---|---|
| `id` | the id in the client's error, for a refused ticket |
| `at_ms` | when, in Unix milliseconds |
| `outcome` | `done`, `refused`, or `dropped`: not answered, since the request was not Kerberos |
| `action` | one of the actions below |
| `reason` | why it was refused: for tickets a [refusal reason](refusal-reasons.md) |
| `actor` | the name of the token or administrator; for a ticket the client principal |
| `user` | the user it concerns |
| `target` | the object: a service, a share, a domain |
| `address` | the client's address |
| `detail` | further values; never a secret |
| `hint` | the next step, if there is one |
";

    #[test]
    fn the_reference_lists_every_action() {
        let file = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../docs/reference/events.md"
        );
        let mut wanted =
            format!("{INTRODUCTION}\n## Actions\n\n| action | recorded when |\n|---|---|\n");
        for (action, meaning) in ACTIONS {
            writeln!(wanted, "| `{action}` | {meaning} |").unwrap();
        }
        if std::env::var_os("CROSSREALM_WRITE_DOCS").is_some() {
            std::fs::write(file, &wanted).unwrap();
        }
        let found = std::fs::read_to_string(file).unwrap_or_default();
        assert!(
            found == wanted,
            "docs/reference/events.md differs from the list of actions; run this test with CROSSREALM_WRITE_DOCS=1"
        );
    }
}
