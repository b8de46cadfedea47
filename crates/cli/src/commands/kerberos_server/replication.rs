//! After a change: whether the other domain controllers see it.
//!
//! The change stands whatever comes out: AD replicates it in its own time. What is told is who does not see it yet.

use crossrealm_api::Tenant;
use crossrealm_onprem::kerberos_server::replication::{self, Partner, Seen, Subject, WAIT};
use crossrealm_onprem::ldap::Ldap;
use crossrealm_onprem::session::Session;
use serde::Serialize;

/// Another domain controller of the domain and what it sees of the change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(in crate::commands) struct PartnerView {
    /// Its DNS name.
    host: String,
    /// `same`, `lags` or `silent`.
    state: &'static str,
    /// What differs, or why it could not be asked.
    detail: Option<String>,
}

/// Waits, within a bound, until the other controllers see what was changed; says who does not.
pub(in crate::commands) async fn settle(
    session: &Session,
    ldap: &mut Ldap,
    tenant: &Tenant,
) -> Vec<PartnerView> {
    let subject = Subject {
        realm: tenant.realm.clone(),
        flat_name: tenant.flat_name.clone(),
    };
    match replication::settle(session, ldap, &subject, WAIT).await {
        Ok(partners) => {
            let views: Vec<PartnerView> = partners.into_iter().map(view).collect();
            for line in views.iter().filter_map(PartnerView::note) {
                eprintln!("{line}");
            }
            views
        }
        Err(error) => {
            eprintln!(
                "note: whether the other domain controllers see the change is not known: {error}"
            );
            Vec::new()
        }
    }
}

fn view(partner: Partner) -> PartnerView {
    let (state, detail) = match partner.seen {
        Seen::Same => ("same", None),
        Seen::Lags(names) => ("lags", Some(names.join("; "))),
        Seen::Silent(reason) => ("silent", Some(reason)),
    };
    PartnerView {
        host: partner.host,
        state,
        detail,
    }
}

impl PartnerView {
    /// What a person is told about it; nothing where all is well.
    fn note(&self) -> Option<String> {
        const NEXT: &str = "look at it with `repadmin /showrepl` or `samba-tool drs showrepl`";
        let (host, detail) = (&self.host, self.detail.as_deref().unwrap_or_default());
        match self.state {
            "lags" => Some(format!(
                "note: the domain controller `{host}` does not see the change after {} s; it differs in `{detail}`. Users who sign in there are served as before until it replicates: {NEXT}",
                WAIT.as_secs()
            )),
            "silent" => Some(format!(
                "note: whether the domain controller `{host}` sees the change is not known: {detail}. If it lives, users who sign in there are served as before until it replicates: {NEXT}"
            )),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_lags_is_named_and_who_follows_is_not() {
        let of = |seen| {
            view(Partner {
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
