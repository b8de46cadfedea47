//! The actions that events name, each with what it records. Events keep them as text, so they are never renamed.

/// Action and meaning, in the order of `docs/reference/events.md`.
const ACTIONS: &[(&str, &str)] = &[
    (
        "ticket.issue",
        "A client asked the KDC for a ticket; `reason` is the refusal reason if it was refused",
    ),
    ("tenant.create", "A tenant was created"),
    ("tenant.policy", "A tenant's policy was changed"),
    (
        "tenant.rotate-key",
        "The realm of a tenant got a new key; `detail` says what became of the earlier ones",
    ),
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
        "trust.retire-keys",
        "An administrator retired trust keys at once, and ended the TGTs of the realm that were issued for that trust",
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
        "The tenant refused objects of a sync request, or the whole request; `reason` says why, of the first one",
    ),
    (
        "sync.take_away",
        "A sync request deleted or disabled identities",
    ),
    (
        "sync.allow_deletions",
        "An administrator let one run delete or disable more identities than the limit",
    ),
    ("identity.create", "A cloud-only user or group was created"),
    ("identity.delete", "A cloud-only user or group was deleted"),
    ("storage-account.create", "A storage account was created"),
    (
        "storage-account.add-alias",
        "An alias was added to a storage account",
    ),
    (
        "storage-account.remove-alias",
        "An alias was removed from a storage account",
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
        "host.keys",
        "An SMB host was given keys of its account for the first time at this address; `detail` names their versions",
    ),
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
    (
        "master-key.rotate",
        "Everything sealed or authenticated under the master key got a new one; `detail` names it",
    ),
    (
        "admin.recover",
        "A global administrator's credentials were reset on the machine that holds the master key",
    ),
    ("admin.remove", "An administrator was removed"),
    ("api.call", "A call of the API was refused"),
    (
        "row.refuse",
        "The database holds a row that grants rights and is not authentic; it grants nothing",
    ),
    (
        "events.suppressed",
        "Refusals or ticket requests of one credential were not recorded, since more came than are kept; `detail` says how many",
    ),
    (
        "token.keep",
        "The bootstrap token created an administrator, and no longer expires",
    ),
    (
        "store.went-back",
        "The database lacks what was written to it: a backup was restored, or a replica that was behind took over; users get no tickets until a full sync of their domain",
    ),
    (
        "events.lost",
        "Events were lost: the queue was full, or the database refused them; `detail` says how many",
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
changes of administrators that belong to no tenant. A change and its event are recorded in one transaction. For each tenant the last
100,000 events of each class are kept: changes by administrators, changes by connectors and SMB hosts, issued tickets, refused tickets,
and other refusals. Beyond a rate per credential, refusals and tickets are counted instead (`events.suppressed`).

| field | content |
|---|---|
| `id` | the id in the client's error, for a refused ticket |
| `at` | when, RFC 3339 in UTC |
| `outcome` | `done`, `refused`, or `dropped`: not answered, since the request was not Kerberos |
| `action` | one of the actions below |
| `reason` | why it was refused: for tickets a [refusal reason](refusal-reasons.md) |
| `actor_kind` | what the actor is: `administrator`, `token`, `connector`, `host`, `client` (of a ticket, or a name that is only claimed), `local` |
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
