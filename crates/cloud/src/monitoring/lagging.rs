//! Which SMB hosts serve by an older state of their account than the newest.
//!
//! The newest state is made of much that the directory holds, so that it is made again only after the tenant has changed, and
//! only for a few accounts each time that the metrics are fetched.

use crossrealm_directory::{Directory, ObservedHost};
use crossrealm_kdc::TenantId;
use std::collections::HashMap;

/// How many states are made for one fetch. Hosts of other accounts have no value in it.
const STATES: usize = 20;

/// The change marks of a tenant.
type Marks = (i64, i64);

/// The newest versions, as they were made last.
#[derive(Default)]
pub(super) struct Newest {
    by_account: HashMap<(TenantId, String), (Marks, String)>,
}

impl Newest {
    /// For each host, whether it lags; `None` for one that has reported no version, or whose account was not looked at.
    pub(super) async fn lagging(
        &mut self,
        directory: &Directory,
        hosts: &[ObservedHost],
    ) -> Vec<Option<bool>> {
        let mut read = HashMap::new();
        let (mut marks, mut left) = (HashMap::new(), STATES);
        let mut found = Vec::with_capacity(hosts.len());
        for host in hosts {
            let Some(own) = &host.state_version else {
                found.push(None);
                continue;
            };
            let of_tenant = match marks.get(&host.tenant_id) {
                Some(known) => *known,
                None => {
                    let known = directory.tenant_version(host.tenant_id).await.ok();
                    marks.insert(host.tenant_id, known);
                    known
                }
            };
            let account = (host.tenant_id, host.account.clone());
            let newest = match (
                of_tenant,
                read.get(&account).or(self.by_account.get(&account)),
            ) {
                (Some(now), Some((then, version))) if now == *then => Some((now, version.clone())),
                (Some(now), _) if left > 0 => {
                    left -= 1;
                    let state = directory.host_state(host.tenant_id, &host.account).await;
                    state.ok().map(|state| (now, state.version))
                }
                _ => None,
            };
            found.push(newest.as_ref().map(|(_, newest)| newest != own));
            if let Some(newest) = newest {
                read.insert(account, newest);
            }
        }
        // What was not asked for this time is forgotten, but for accounts that had to wait.
        if left > 0 {
            self.by_account = read;
        } else {
            self.by_account.extend(read);
        }
        found
    }
}
