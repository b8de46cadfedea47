//! What an SMB host reports of itself. The service stores a report as the JSON in which it was sent: a field is added with
//! `default`, and never renamed.

use serde::{Deserialize, Serialize};

/// The most sessions in one [`HostReport`].
pub const MAX_REPORTED_SESSIONS: usize = 500;

/// The most quotas in one [`HostReport`].
pub const MAX_REPORTED_QUOTAS: usize = 500;

/// The report of an SMB host. `{host}` is its name: 1 to 63
/// letters, digits, dots, hyphens and underscores.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct HostReport {
    /// The version of its program.
    pub program: String,
    /// Where it listens.
    pub listen: String,
    /// Whether users can connect.
    pub serving: bool,
    /// The version of the account's state that is in effect; absent before the first one.
    #[serde(default)]
    pub state_version: Option<String>,
    /// What prevents it from serving, or from applying the newest state.
    #[serde(default)]
    pub problem: Option<String>,
    /// How many users keep a role until their tickets end that they should not have any more, since no more can be refused.
    #[serde(default)]
    pub not_refused: u64,
    /// How often smbd was started again since the host began.
    pub smbd_restarts: u32,
    /// How often winbindd was.
    pub winbindd_restarts: u32,
    /// The versions of the keys in its keytab.
    #[serde(default)]
    pub kvnos: Vec<u32>,
    /// How many sessions there are.
    pub session_count: u32,
    /// The sessions, at most [`MAX_REPORTED_SESSIONS`].
    #[serde(default)]
    pub sessions: Vec<HostSession>,
    /// The size of the file system of the data, in bytes.
    #[serde(default)]
    pub disk_bytes: Option<u64>,
    /// How much of it is free, in bytes.
    #[serde(default)]
    pub disk_free_bytes: Option<u64>,
    /// How many of its shares have a quota.
    #[serde(default)]
    pub quota_count: u32,
    /// The quotas, at most [`MAX_REPORTED_QUOTAS`], the fullest first.
    #[serde(default)]
    pub quotas: Vec<HostQuota>,
}

/// An SMB session of a user on a host.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct HostSession {
    /// The user, as the host knows it from the ticket: `CORP\\alice`.
    pub user: String,
    /// The address of the client.
    pub client: String,
    /// The shares it has open.
    #[serde(default)]
    pub shares: Vec<String>,
    /// The dialect: `SMB3_11`.
    pub dialect: String,
    /// The cipher that encrypts it: `AES-128-GCM`.
    pub encryption: String,
}

/// What a host does about the quota of a share.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct HostQuota {
    /// The share.
    pub share: String,
    /// How much it may hold, in bytes.
    pub limit_bytes: u64,
    /// How much it held when that was seen last; absent before the first time.
    #[serde(default)]
    pub used_bytes: Option<u64>,
    /// How it is enforced.
    pub how: QuotaHow,
    /// Why it is not enforced, or why the numbers are not to be relied on; absent where nothing is amiss.
    #[serde(default)]
    pub reason: Option<String>,
    /// What to do about that, where it is known.
    #[serde(default)]
    pub hint: Option<String>,
    /// Since when it has been full, as observed by this host, Unix seconds; absent where it is not.
    #[serde(default)]
    pub full_since: Option<i64>,
}

/// How a quota is enforced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum QuotaHow {
    /// The file system refuses writes beyond it.
    Enforced,
    /// Clients see it as the size of the share; writes beyond it are not refused.
    ShownOnly,
    /// The host does not know how much the share holds; clients see only its size.
    Unknown,
    /// A value of a newer host.
    #[serde(other)]
    Other,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_stored_by_version_0_1_are_read() {
        // Written by the server of commit 6c2a23d.
        let stored = r#"{"program":"0.1.0","listen":"[::]:445","serving":true,"state_version":"ab12","problem":null,
            "not_refused":3,"smbd_restarts":0,"winbindd_restarts":1,"kvnos":[2,1],"session_count":1,
            "sessions":[{"user":"CORP\\alice","client":"192.0.2.7","shares":["projects"],"dialect":"SMB3_11","encryption":"AES-128-GCM"}],
            "disk_bytes":1000,"disk_free_bytes":400,"quota_count":1,
            "quotas":[{"share":"projects","limit_bytes":1073741824,"used_bytes":5,"how":"shown-only","reason":null,"hint":null,"full_since":null}]}"#;
        let report: HostReport = serde_json::from_str(stored).unwrap();
        assert_eq!(report.kvnos, [2, 1]);
        assert_eq!(report.quotas[0].how, QuotaHow::ShownOnly);
        let again: serde_json::Value = serde_json::to_value(&report).unwrap();
        assert_eq!(
            again,
            serde_json::from_str::<serde_json::Value>(stored).unwrap()
        );
    }
}
