//! After a change: which other domain controllers see it. AD replicates it in its own time in any case.

use crate::progress::{Event, Progress};
use crossrealm_api::Tenant;
use crossrealm_onprem::kerberos_server::replication::{self, Partner, Subject, WAIT};
use crossrealm_onprem::ldap::Ldap;
use crossrealm_onprem::session::Session;

/// Waits, for at most [`WAIT`], until the other domain controllers see what was changed. Returns what each of them sees; none where
/// that cannot be found out, which is reported.
pub(crate) async fn check(
    session: &Session,
    ldap: &mut Ldap,
    tenant: &Tenant,
    progress: &dyn Progress,
) -> Vec<Partner> {
    let subject = Subject {
        realm: tenant.realm.clone(),
        flat_name: tenant.flat_name.clone(),
    };
    progress.report(Event::Status(
        "waiting until the other domain controllers see the change",
    ));
    match replication::settle(session, ldap, &subject, WAIT).await {
        Ok(partners) => partners,
        Err(error) => {
            progress.report(Event::ReplicationUnknown(&error));
            Vec::new()
        }
    }
}
