//! The rotation of a storage account's key, with regard to the keys that its hosts hold.
//!
//! After the rotation of one slot the other slot's key encrypts new tickets. A host that serves and does not hold that key
//! refuses the tickets of every user. Hosts report the keys they hold; the last reports decide whether the rotation is
//! refused, and what the administrator is warned of.

use crate::audit::events::Actor;
use crate::db::change::ChangeScope;
use crate::directory::Directory;
use crate::error::{Refusal, Result, kvnos};
use crate::hosts::model::StoredHostReport;
use crate::hosts::reports::load_reports;
use crate::service_keys;
use crate::storage::account_rows::load_account;
use crate::tenants::model::load_tenant;
use crossrealm_kdc::TenantId;
use crossrealm_types::{KeySlot, StorageAccount};
use std::fmt;

/// A key rotation that was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRotation {
    /// The account after it.
    pub account: StorageAccount,
    /// What the administrator has to look after.
    pub warnings: Vec<KeyRotationWarning>,
}

/// What follows from a key rotation for a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyRotationWarning {
    /// By its last report the host lacks the key that encrypts new tickets.
    HostLacksKey {
        /// The host.
        host: String,
        /// For how long it has been silent, in seconds, where it counts as silent.
        silent_s: Option<i64>,
        /// Whether it reported that it serves.
        serving: bool,
        /// The key versions that it reported.
        held: Vec<u32>,
        /// The version that encrypts new tickets.
        kvno: u32,
    },
    /// No host reports. There may be servers with an exported keytab, which does not hold the new key.
    NoHostReported {
        /// The version that encrypts new tickets.
        kvno: u32,
    },
}

impl fmt::Display for KeyRotationWarning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::HostLacksKey {
                host,
                silent_s,
                serving,
                held,
                kvno,
            } => {
                write!(f, "host `{host}`")?;
                match (silent_s, serving) {
                    (Some(silent_s), _) => write!(f, ", silent for {silent_s} s,")?,
                    (None, false) => write!(f, ", which does not serve,")?,
                    (None, true) => {}
                }
                let held = kvnos(held);
                write!(
                    f,
                    " last reported {held}: new tickets fail there until it has kvno {kvno}"
                )
            }
            Self::NoHostReported { kvno } => write!(
                f,
                "no host has reported: a server with an exported keytab works as long as kvno {kvno} encrypts tickets; export its keytab again before the other key is rotated"
            ),
        }
    }
}

impl Directory {
    /// Creates a new key in a slot; from now on the key of the other slot encrypts new tickets.
    ///
    /// Refused with `host_lacks_key` where a host that serves lacks that key, unless `force`.
    pub async fn rotate_storage_key(
        &self,
        by: &Actor,
        tenant: TenantId,
        name: &str,
        slot: KeySlot,
        force: bool,
    ) -> Result<KeyRotation> {
        let mut tx = self.change(by, tenant, ChangeScope::Configuration).await?;
        let tenant_info = load_tenant(&mut tx, tenant).await?;
        let (owner, before) = load_account(&mut tx, self.sealer(), &tenant_info, name).await?;
        let encrypts = service_keys::encrypting_after(&before.keys, slot)?;
        let reports = load_reports(&mut tx, owner.id).await?;
        let warnings = check_key_rotation(name, encrypts, &reports, force)?;
        let life = tenant_info.policy.max_ticket_life_s;
        let kvno = service_keys::rotate(&mut tx, self.sealer(), &owner, slot, life).await?;
        let detail = format!(
            "{} kvno {kvno}; kvno {encrypts} encrypts{}",
            slot.as_str(),
            lacking(&warnings)
        );
        tx.audit("storage-account.rotate-key", name, &detail)
            .await?;
        let (_, account) = load_account(&mut tx, self.sealer(), &tenant_info, name).await?;
        tx.commit().await?;
        Ok(KeyRotation { account, warnings })
    }
}

/// Decides by the last reports of the hosts whether kvno `encrypts` may encrypt new tickets.
///
/// A host that is silent, or reports that it does not serve, fetches its keys before it serves again, if it reaches the
/// service: of these the answer warns. A host that serves without the key refuses everybody: that is a refusal, unless
/// `force`.
fn check_key_rotation(
    account: &str,
    encrypts: u32,
    reports: &[StoredHostReport],
    force: bool,
) -> Result<Vec<KeyRotationWarning>> {
    if reports.is_empty() {
        return Ok(vec![KeyRotationWarning::NoHostReported { kvno: encrypts }]);
    }
    let mut warnings = Vec::new();
    for stored in reports {
        // A report that cannot be read says nothing of keys.
        let report = stored.report.clone().unwrap_or_default();
        if report.kvnos.contains(&encrypts) {
            continue;
        }
        let silent_s = stored.is_silent().then_some(stored.age_s);
        if silent_s.is_none() && report.serving && !force {
            return Err(Refusal::HostLacksKey {
                account: account.to_owned(),
                host: stored.host.clone(),
                kvno: encrypts,
                held: report.kvnos,
            }
            .into());
        }
        warnings.push(KeyRotationWarning::HostLacksKey {
            host: stored.host.clone(),
            silent_s,
            serving: report.serving,
            held: report.kvnos,
            kvno: encrypts,
        });
    }
    Ok(warnings)
}

/// The hosts that lack the key, for the audit.
fn lacking(warnings: &[KeyRotationWarning]) -> String {
    let hosts: Vec<&str> = warnings
        .iter()
        .filter_map(|warning| match warning {
            KeyRotationWarning::HostLacksKey { host, .. } => Some(host.as_str()),
            KeyRotationWarning::NoHostReported { .. } => None,
        })
        .collect();
    match hosts.is_empty() {
        true => String::new(),
        false => format!("; not known to host {}", hosts.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crossrealm_types::HostReport;

    fn reported(host: &str, age_s: i64, serving: bool, kvnos: &[u32]) -> StoredHostReport {
        StoredHostReport {
            host: host.to_owned(),
            report: Some(HostReport {
                serving,
                kvnos: kvnos.to_vec(),
                ..HostReport::default()
            }),
            reported_at: 1_000,
            age_s,
        }
    }

    #[test]
    fn a_serving_host_without_the_key_blocks_the_rotation() {
        let reports = [
            reported("fs1", 5, true, &[3, 2, 1]),
            reported("fs2", 90, true, &[1, 2]),
        ];
        let text = check_key_rotation("acct1", 3, &reports, false)
            .unwrap_err()
            .to_string();
        assert!(
            text.contains("`fs2`") && text.contains("kvno 1 and 2, not kvno 3"),
            "{text}"
        );
        let forced = check_key_rotation("acct1", 3, &reports, true).unwrap();
        assert_eq!(lacking(&forced), "; not known to host fs2");
        assert_eq!(
            forced[0].to_string(),
            "host `fs2` last reported kvno 1 and 2: new tickets fail there until it has kvno 3"
        );
        assert_eq!(forced.len(), 1);
        assert_eq!(check_key_rotation("acct1", 2, &reports, false).unwrap(), []);
    }

    #[test]
    fn silent_hosts_and_hosts_that_do_not_serve_are_warned_of() {
        let reports = [
            reported("fs1", 91, true, &[1, 2]),
            reported("fs2", 5, false, &[]),
        ];
        let warnings = check_key_rotation("acct1", 3, &reports, false).unwrap();
        let texts: Vec<String> = warnings.iter().map(ToString::to_string).collect();
        assert_eq!(texts.len(), 2);
        assert!(texts[0].starts_with("host `fs1`, silent for 91 s, last reported kvno 1 and 2"));
        assert!(texts[1].starts_with("host `fs2`, which does not serve, last reported no key"));
    }

    #[test]
    fn a_report_that_cannot_be_read_holds_no_key() {
        let reports = [StoredHostReport {
            report: None,
            ..reported("fs1", 5, true, &[])
        }];
        let warnings = check_key_rotation("acct1", 3, &reports, false).unwrap();
        assert_eq!(warnings.len(), 1);
    }

    #[test]
    fn exported_keytabs_are_named_where_no_host_reports() {
        let warnings = check_key_rotation("acct1", 2, &[], false).unwrap();
        assert!(warnings[0].to_string().contains("exported keytab"));
        assert_eq!(lacking(&warnings), "");
    }
}
