//! Whether a key of a storage account may be rotated now: not while a host that serves lacks the key that would seal.

use super::hosts::SILENT_AFTER_S;
use crossrealm_api::HostReport;
use crossrealm_directory::{self as directory, DirectoryError, Refusal};

/// What is said of a rotation that is made.
pub(crate) struct Judged {
    /// What the administrator is to look after, in sentences.
    pub warnings: Vec<String>,
    /// What the audit tells beside the versions; empty where there is nothing.
    pub audit: String,
}

/// Judges a rotation after which kvno `seals` seals, by what the hosts said last.
///
/// A host that serves and has another keytab refuses the tickets of everybody: `host_lacks_key`, unless `force`. One that
/// is silent, or says that it does not serve, fetches its keys before it serves again where the service answers it; of
/// these the answer warns.
pub(crate) fn judge(
    account: &str,
    seals: u32,
    reports: &[directory::HostReport],
    force: bool,
) -> Result<Judged, DirectoryError> {
    let mut warnings = Vec::new();
    let mut lacking = Vec::new();
    for kept in reports {
        // What an older version of this server kept and this one cannot read says nothing of keys.
        let report: HostReport = serde_json::from_str(&kept.report).unwrap_or_default();
        if report.kvnos.contains(&seals) {
            continue;
        }
        let does = match (kept.age_s > SILENT_AFTER_S, report.serving) {
            (true, _) => format!("silent for {} s,", kept.age_s),
            (false, false) => "which does not serve,".to_owned(),
            (false, true) if force => String::new(),
            (false, true) => {
                return Err(Refusal::HostLacksKey {
                    account: account.to_owned(),
                    host: kept.host.clone(),
                    kvno: seals,
                    held: report.kvnos,
                }
                .into());
            }
        };
        let words = [
            &format!("host `{}`", kept.host),
            does.as_str(),
            &format!("said last that it has {}", versions(&report.kvnos)),
        ];
        let words = words.into_iter().filter(|word| !word.is_empty());
        let subject = words.collect::<Vec<_>>().join(" ");
        warnings.push(format!(
            "{subject}: new tickets fail there until it has kvno {seals}"
        ));
        lacking.push(kept.host.as_str());
    }
    if reports.is_empty() {
        warnings.push(format!(
            "no host has reported: a server with an exported keytab goes on while kvno {seals} seals; give it a new one by `crossrealm storage-account keytab {account} --out FILE` before the other key is rotated"
        ));
    }
    let audit = match lacking.is_empty() {
        true => String::new(),
        false => format!("; not known to host {}", lacking.join(", ")),
    };
    Ok(Judged { warnings, audit })
}

/// `kvno 1 and 2`, `no key`.
fn versions(kvnos: &[u32]) -> String {
    match kvnos {
        [] => "no key".to_owned(),
        some => {
            let texts: Vec<String> = some.iter().map(u32::to_string).collect();
            format!("kvno {}", texts.join(" and "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(host: &str, age_s: i64, serving: bool, kvnos: &[u32]) -> directory::HostReport {
        let report = HostReport {
            serving,
            kvnos: kvnos.to_vec(),
            ..HostReport::default()
        };
        directory::HostReport {
            host: host.to_owned(),
            report: serde_json::to_string(&report).unwrap(),
            reported_at: 1_000,
            age_s,
        }
    }

    #[test]
    fn a_serving_host_without_the_key_stands_in_the_way() {
        let reports = [
            said("fs1", 5, true, &[3, 2, 1]),
            said("fs2", 90, true, &[1, 2]),
        ];
        let Err(error) = judge("acct1", 3, &reports, false) else {
            panic!("it was let through");
        };
        let text = error.to_string();
        assert!(
            text.contains("`fs2`") && text.contains("kvno 1 and 2, not kvno 3"),
            "{text}"
        );
        let forced = judge("acct1", 3, &reports, true).unwrap();
        assert_eq!(forced.audit, "; not known to host fs2");
        assert_eq!(
            forced.warnings,
            [
                "host `fs2` said last that it has kvno 1 and 2: new tickets fail there until it has kvno 3"
            ]
        );
        assert!(
            judge("acct1", 2, &reports, false)
                .unwrap()
                .warnings
                .is_empty()
        );
    }

    #[test]
    fn a_silent_host_and_one_that_does_not_serve_are_told_of() {
        let reports = [said("fs1", 91, true, &[1, 2]), said("fs2", 5, false, &[])];
        let judged = judge("acct1", 3, &reports, false).unwrap();
        assert_eq!(judged.warnings.len(), 2);
        assert!(judged.warnings[0].starts_with("host `fs1` silent for 91 s, said last"));
        assert!(
            judged.warnings[1].contains("`fs2` which does not serve, said last that it has no key")
        );
    }

    #[test]
    fn without_hosts_the_export_is_named() {
        let judged = judge("acct1", 2, &[], false).unwrap();
        assert!(
            judged.warnings[0].contains("storage-account keytab acct1"),
            "{:?}",
            judged.warnings
        );
        assert_eq!(judged.audit, "");
    }
}
