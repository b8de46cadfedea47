//! Where AD's trust and the tenant's record of it differ: the one judgement of every command that compares the two.
//!
//! AD never discloses a trust key. What every user of AD can read is when it was set, and AD is only given versions that the
//! tenant confirms a moment later: a key that was set at another time is not the one that the tenant took for AD's, although
//! everything else agrees. So it is after the tenant's database, or AD's, was restored from an older backup.

use super::Tdo;
use crossrealm_types::{Sid, Trust, TrustKeyState, TrustState};

/// The permitted difference between the clocks of AD and the tenant, in seconds: that of Kerberos (RFC 4120 §8.2).
const SKEW_S: i64 = 300;

/// Where the two sides differ, or a change is incomplete. The message names no command: the caller knows its own.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TrustDifference {
    /// The trust of the realm's name has another SID.
    #[error("AD holds a trust with `{0}` that is not this tenant's: its SID is another")]
    Foreign(String),
    /// A removal has not ended.
    #[error("the removal of the trust is half done")]
    RemovalBegun,
    /// The tenant has a trust key, but AD has no trust with this realm.
    #[error("the tenant holds a trust key, but AD holds no trust with `{0}`")]
    Missing(String),
    /// AD has a trust with this realm, but the tenant has no key.
    #[error("AD holds a trust with `{0}`, but the tenant has no key for it")]
    NotRecorded(String),
    /// The trust was prepared, never confirmed.
    #[error("the trust is half set up")]
    Pending,
    /// A rotation of the key has not ended.
    #[error("the rotation of the trust key is half done")]
    RotationPending,
    /// AD has an older key.
    #[error(
        "AD holds another trust key than the tenant: it was set {} before the tenant made version {version}, so an older one was restored in AD",
        span(*.by_s)
    )]
    OlderKey {
        /// How much older, in seconds.
        by_s: i64,
        /// The version that the tenant takes for AD's.
        version: u32,
    },
    /// AD has a key that the tenant knows nothing of.
    #[error(
        "AD holds another trust key than the tenant: it was set {} after version {version} was confirmed, so the tenant's record is an older one",
        span(*.by_s)
    )]
    NewerKey {
        /// How much newer, in seconds.
        by_s: i64,
        /// The version that the tenant takes for AD's.
        version: u32,
    },
}

impl TrustDifference {
    /// Whether AD uses another key than the tenant believes.
    pub fn is_of_key(&self) -> bool {
        matches!(self, Self::OlderKey { .. } | Self::NewerKey { .. })
    }
}

/// Where the trust in AD and the tenant's record differ: the first difference, since it explains the others. `realm` and `sid`
/// are the tenant's, `own` is AD's trust with that realm, `key_set_at` the time at which AD got its key (Unix seconds).
pub fn trust_difference(
    realm: &str,
    sid: &Sid,
    own: Option<&Tdo>,
    key_set_at: Option<i64>,
    recorded: Option<&Trust>,
) -> Option<TrustDifference> {
    let realm = || realm.to_owned();
    if own.is_some_and(|own| own.sid.as_ref() != Some(sid)) {
        return Some(TrustDifference::Foreign(realm()));
    }
    if recorded.is_some_and(|trust| trust.removal_begun_at.is_some()) {
        return Some(TrustDifference::RemovalBegun);
    }
    match (own, recorded) {
        (None, None) => None,
        (None, Some(_)) => Some(TrustDifference::Missing(realm())),
        (Some(_), None) => Some(TrustDifference::NotRecorded(realm())),
        (Some(_), Some(trust)) => {
            record_difference(trust).or_else(|| key_difference(trust, key_set_at?))
        }
    }
}

/// What the tenant's record shows to be incomplete.
pub fn record_difference(trust: &Trust) -> Option<TrustDifference> {
    if trust.removal_begun_at.is_some() {
        Some(TrustDifference::RemovalBegun)
    } else if trust.state == TrustState::Pending {
        Some(TrustDifference::Pending)
    } else {
        has_pending_key(trust).then_some(TrustDifference::RotationPending)
    }
}

/// Whether AD's key was set (`set_at`, Unix seconds) at another time than the tenant's current one. While a rotation is half done
/// either may be AD's.
pub fn key_difference(trust: &Trust, set_at: i64) -> Option<TrustDifference> {
    if has_pending_key(trust) {
        return None;
    }
    let mut keys = trust.keys.iter();
    let current = keys.find(|key| key.state == TrustKeyState::Current)?;
    let version = current.version;
    if set_at.saturating_add(SKEW_S) < current.created_at {
        let by_s = current.created_at.saturating_sub(set_at);
        return Some(TrustDifference::OlderKey { by_s, version });
    }
    let by_s = set_at.saturating_sub(current.confirmed_at?);
    (by_s > SKEW_S).then_some(TrustDifference::NewerKey { by_s, version })
}

fn has_pending_key(trust: &Trust) -> bool {
    let mut states = trust.keys.iter().map(|key| key.state);
    states.any(|state| state == TrustKeyState::Pending)
}

/// Seconds, in a unit that fits.
fn span(seconds: i64) -> String {
    match seconds {
        ..=7199 => format!("{} min", seconds / 60),
        7200..=172_799 => format!("{} h", seconds / 3600),
        _ => format!("{} days", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crossrealm_types::TrustKey as RecordedKey;

    const REALM: &str = "KERBEROS.CONTOSO.CLOUD.EXAMPLE";
    /// When the current version was made, and a second later confirmed.
    const MADE_AT: i64 = 1_700_000_000;

    fn sid() -> Sid {
        "S-1-5-21-1-2-3".parse().unwrap()
    }

    fn tdo(sid: Sid) -> Tdo {
        Tdo {
            name: REALM.to_owned(),
            flat_name: "CONTOSO-KRB".to_owned(),
            sid: Some(sid),
            direction: 1,
            kind: 2,
            attributes: 8,
            enctypes: Some(0x18),
            top_level_names: vec!["contoso.cloud.example".to_owned()],
            only_names: true,
        }
    }

    fn key(version: u32, state: TrustKeyState) -> RecordedKey {
        RecordedKey {
            version,
            state,
            created_at: MADE_AT,
            confirmed_at: (state == TrustKeyState::Current).then_some(MADE_AT + 1),
            retires_at: None,
            last_seen_at: None,
        }
    }

    fn trust(state: TrustState, keys: Vec<RecordedKey>) -> Trust {
        Trust {
            domain: "corp.contoso.com".to_owned(),
            realm: "CORP.CONTOSO.COM".to_owned(),
            flat_name: "CORP".to_owned(),
            sid: "S-1-5-21-9-9-9".parse().unwrap(),
            state,
            top_level_names: vec!["contoso.cloud.example".to_owned()],
            created_at: 1,
            confirmed_at: None,
            removal_begun_at: None,
            keys,
        }
    }

    fn judged(own: Option<&Tdo>, recorded: Option<&Trust>) -> Option<TrustDifference> {
        trust_difference(REALM, &sid(), own, Some(MADE_AT), recorded)
    }

    #[test]
    fn a_complete_trust_and_none_at_all_do_not_differ() {
        let active = trust(TrustState::Active, vec![key(1, TrustKeyState::Current)]);
        assert_eq!(judged(Some(&tdo(sid())), Some(&active)), None);
        assert_eq!(judged(None, None), None);
    }

    #[test]
    fn a_trust_on_one_side_alone_differs() {
        let (active, pending) = (
            trust(TrustState::Active, Vec::new()),
            trust(TrustState::Pending, Vec::new()),
        );
        let realm = || REALM.to_owned();
        let foreign = tdo("S-1-5-21-4-4-4".parse().unwrap());
        let own = tdo(sid());
        for (own, recorded, wanted) in [
            (None, Some(&active), TrustDifference::Missing(realm())),
            (Some(&own), None, TrustDifference::NotRecorded(realm())),
            (Some(&own), Some(&pending), TrustDifference::Pending),
            (
                Some(&foreign),
                Some(&active),
                TrustDifference::Foreign(realm()),
            ),
        ] {
            assert_eq!(judged(own, recorded), Some(wanted));
        }
        let mut removed = active;
        removed.removal_begun_at = Some(1);
        assert_eq!(
            judged(Some(&own), Some(&removed)),
            Some(TrustDifference::RemovalBegun)
        );
    }

    #[test]
    fn a_pending_key_beside_a_current_one_is_a_rotation_that_has_not_ended() {
        let keys = vec![
            key(2, TrustKeyState::Pending),
            key(1, TrustKeyState::Current),
        ];
        let trust = trust(TrustState::Active, keys);
        let found = judged(Some(&tdo(sid())), Some(&trust)).unwrap();
        assert_eq!(found, TrustDifference::RotationPending);
        // AD may have taken the pending one long after the current one.
        assert_eq!(key_difference(&trust, MADE_AT + 9999), None);
    }

    /// F14: the time at which AD's key was set shows that it is another one.
    #[test]
    fn f14_a_key_that_was_set_at_another_time_is_another_key() {
        let keys = vec![
            key(3, TrustKeyState::Current),
            key(2, TrustKeyState::Previous),
        ];
        let trust = trust(TrustState::Active, keys);
        let judge = |at| key_difference(&trust, at);
        for same in [MADE_AT - SKEW_S, MADE_AT, MADE_AT + 1 + SKEW_S] {
            assert_eq!(judge(same), None, "{same}");
        }
        let older = judge(MADE_AT - 86_400).unwrap();
        let (by_s, version) = (86_400, 3);
        assert_eq!(older, TrustDifference::OlderKey { by_s, version });
        let newer = judge(MADE_AT + 1 + 2 * 86_400).unwrap();
        let by_s = 2 * 86_400;
        assert_eq!(newer, TrustDifference::NewerKey { by_s, version });
        assert!(older.is_of_key() && newer.is_of_key());
        assert!(
            newer
                .to_string()
                .contains("set 2 days after version 3 was confirmed")
        );
    }
}
