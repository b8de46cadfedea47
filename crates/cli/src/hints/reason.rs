//! The next step after a refused ticket.

/// The command that mends what a ticket was refused for, by the reason's code; `None` where the event's own advice is all there
/// is.
pub(crate) fn of_reason(code: &str) -> Option<&'static str> {
    COMMANDS
        .iter()
        .find(|(reason, _)| *reason == code)
        .map(|(_, step)| *step)
}

const COMMANDS: &[(&str, &str)] = &[
    (
        "issuer-not-trusted",
        "run `crossrealm kerberos-server set --setup-cloud-trust` for the domain",
    ),
    (
        "ticket-integrity",
        "run `crossrealm kerberos-server get`: the trust key in AD and the cloud may differ",
    ),
    (
        "client-realm-not-trusted",
        "register the domain by running `crossrealm kerberos-server set` in it",
    ),
    (
        "sid-outside-domain",
        "this is an attack or a domain that was re-created: compare the domain's SID with `crossrealm kerberos-server get`",
    ),
    (
        "sid-reserved",
        "use an ordinary account, or run `crossrealm tenant policy NAME --allow-low-rids true`",
    ),
    (
        "client-name-mismatch",
        "if the user was renamed in AD, run `crossrealm sync once`; if not, someone took another's name",
    ),
    (
        "identity-not-synced",
        "run `crossrealm sync once`, and check that the user is in its scope",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    /// The reference is generated from the KDC's reasons.
    #[test]
    fn every_code_is_a_reason_of_the_kdc() {
        let reasons = include_str!("../../../../docs/reference/refusal-reasons.md");
        for (code, _) in COMMANDS {
            assert!(reasons.contains(&format!("\n## {code}\n")), "{code}");
        }
        assert_eq!(of_reason("clock-skew"), None);
    }
}
