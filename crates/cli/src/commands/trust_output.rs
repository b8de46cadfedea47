//! What the commands about the trust print in common: findings of the preflight, and the other domain controllers.

use crate::failure::Failure;
use crate::hints;
use crate::output::Format;
use crate::terminal::say;
use crossrealm_agent::error::AgentError;
use crossrealm_agent::finding::Finding;
use crossrealm_onprem::kerberos_server::replication::{Partner, Seen, WAIT};
use serde::Serialize;
use serde_json::json;

/// A finding of the preflight.
#[derive(Debug, Serialize)]
pub(crate) struct FindingView {
    code: &'static str,
    message: String,
    hint: Option<String>,
}

impl From<&Finding> for FindingView {
    fn from(finding: &Finding) -> Self {
        Self {
            code: finding.code(),
            message: finding.to_string(),
            hint: hints::of_finding(finding),
        }
    }
}

/// Findings, as they are printed.
pub(crate) fn finding_views(findings: &[Finding]) -> Vec<FindingView> {
    findings.iter().map(FindingView::from).collect()
}

/// The failure of a command. Where a preflight blocked it, its notes are shown, and as JSON all of it is printed as data.
pub(crate) fn failure(error: &AgentError, format: Format) -> Failure {
    if let AgentError::Blocked(found) = error {
        for note in &found.notes {
            say!("note: {note}");
        }
        let view = json!({
            "findings": finding_views(&found.findings),
            "notes": finding_views(&found.notes),
        });
        if format == Format::Json
            && let Err(failure) = format.record(&view, &[])
        {
            return failure;
        }
    }
    Failure::from(error)
}

/// Another domain controller of the domain and what it sees of the change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct PartnerView {
    /// Its DNS name.
    host: String,
    /// `same`, `lags` or `silent`.
    state: &'static str,
    /// What differs, or why it could not be asked.
    detail: Option<String>,
}

/// The other domain controllers, as they are printed; those that do not see the change are named on stderr.
pub(crate) fn partner_views(partners: &[Partner]) -> Vec<PartnerView> {
    let views: Vec<PartnerView> = partners.iter().map(PartnerView::from).collect();
    for note in views.iter().filter_map(PartnerView::note) {
        say!("{note}");
    }
    views
}

impl From<&Partner> for PartnerView {
    fn from(partner: &Partner) -> Self {
        let (state, detail) = match &partner.seen {
            Seen::Same => ("same", None),
            Seen::Lags(names) => ("lags", Some(names.join("; "))),
            Seen::Silent(reason) => ("silent", Some(reason.clone())),
        };
        Self {
            host: partner.host.clone(),
            state,
            detail,
        }
    }
}

impl PartnerView {
    /// The line about it on stderr; none where it sees the change.
    fn note(&self) -> Option<String> {
        const NEXT: &str = "check it with `repadmin /showrepl` or `samba-tool drs showrepl`";
        let (host, detail) = (&self.host, self.detail.as_deref().unwrap_or_default());
        match self.state {
            "lags" => Some(format!(
                "note: the domain controller `{host}` does not see the change after {} s; it differs in `{detail}`. Users who sign in there are served as before until it replicates: {NEXT}",
                WAIT.as_secs()
            )),
            "silent" => Some(format!(
                "note: whether the domain controller `{host}` sees the change is not known: {detail}. If it is up, users who sign in there are served as before until it replicates: {NEXT}"
            )),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_controllers_that_do_not_see_the_change_are_named() {
        let of = |seen| {
            PartnerView::from(&Partner {
                host: "dc2.corp.contoso.com".to_owned(),
                seen,
            })
        };
        assert_eq!(of(Seen::Same).note(), None);
        let lags = of(Seen::Lags(vec!["cn=x".to_owned()])).note().unwrap();
        assert!(lags.contains("`dc2.corp.contoso.com` does not see the change after 30 s"));
        assert!(lags.contains("`cn=x`"), "{lags}");
        let silent = of(Seen::Silent("no route".to_owned())).note().unwrap();
        assert!(silent.contains("not known: no route"), "{silent}");
    }
}
