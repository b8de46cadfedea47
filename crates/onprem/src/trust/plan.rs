//! What has to change in AD, or why nothing may.

use super::names::{NameError, overlap, top_level_names};
use super::{Deletion, KeyMatch, Observed, Tdo, TrustStep, Wanted};
use crossrealm_types::Sid;

/// The longest flat (NetBIOS) name.
const MAX_FLAT_NAME: usize = 15;

/// Why the trust must not be set up. Nothing has been changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TrustRefusal {
    /// The domain is a child domain; only the forest's root can have the trust.
    #[error(
        "`{domain}` is not the root of its forest `{forest}`: a cloud trust there fails with 0x549"
    )]
    NotForestRoot {
        /// The child domain.
        domain: String,
        /// Its forest's root.
        forest: String,
    },
    /// The domain controller is not the PDC emulator, which alone may set top-level names ([MS-LSAD] 3.1.4.7.16).
    #[error("the domain controller is not the PDC emulator of `{domain}`")]
    NotPrimary {
        /// The domain.
        domain: String,
    },
    /// The tenant's flat name is not valid.
    #[error(
        "the tenant's flat name `{0}` is not a NetBIOS name of 1 to 15 letters, digits and hyphens"
    )]
    BadFlatName(String),
    /// The tenant's flat name is the domain's own.
    #[error("the tenant's flat name `{0}` is that of the domain itself")]
    OwnFlatName(String),
    /// The tenant's flat name is taken by another trust.
    #[error("the flat name `{flat_name}` is taken by the trust with `{other}`")]
    FlatNameTaken {
        /// The flat name.
        flat_name: String,
        /// The other trust.
        other: String,
    },
    /// The tenant's realm is the domain itself.
    #[error("the tenant's realm `{0}` is the domain itself")]
    OwnRealm(String),
    /// The tenant's SID is not that of an account domain, or is the domain's own.
    #[error("the tenant's SID {0} is not one that a partner of this domain can have")]
    BadSid(String),
    /// The tenant's SID is taken by another trust.
    #[error("the SID {sid} is taken by the trust with `{other}`")]
    SidTaken {
        /// The SID.
        sid: String,
        /// The other trust.
        other: String,
    },
    /// A trust has the name of the realm, and is not the tenant's.
    #[error(
        "a trust with `{realm}` exists and is not this tenant's: its SID is {found}, not {wanted}"
    )]
    ForeignTrust {
        /// The realm.
        realm: String,
        /// The SID of the trust in AD, or `none`.
        found: String,
        /// The tenant's SID.
        wanted: String,
    },
    /// A top-level name is not valid.
    #[error(transparent)]
    Name(#[from] NameError),
    /// A top-level name overlaps a name of the forest itself.
    #[error("the top-level name `{name}` overlaps `{own}`, a name of the forest itself")]
    OwnName {
        /// The wanted name.
        name: String,
        /// The forest's.
        own: String,
    },
    /// A top-level name overlaps one of another trust.
    #[error("the top-level name `{name}` overlaps `{taken}` of the trust with `{other}`")]
    NameTaken {
        /// The wanted name.
        name: String,
        /// The name of the other trust.
        taken: String,
        /// The other trust.
        other: String,
    },
}

impl TrustRefusal {
    /// A short name, for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotForestRoot { .. } => "not_forest_root",
            Self::NotPrimary { .. } => "not_primary",
            Self::BadFlatName(_) => "bad_flat_name",
            Self::OwnFlatName(_) | Self::FlatNameTaken { .. } => "flat_name_taken",
            Self::OwnRealm(_) => "realm_taken",
            Self::BadSid(_) => "bad_sid",
            Self::SidTaken { .. } => "sid_taken",
            Self::ForeignTrust { .. } => "foreign_trust",
            Self::Name(_) => "bad_top_level_name",
            Self::OwnName { .. } | Self::NameTaken { .. } => "top_level_name_taken",
        }
    }
}

/// The steps from `observed` to `wanted`; none if they are equal.
pub fn plan(observed: &Observed, wanted: &Wanted) -> Result<Vec<TrustStep>, TrustRefusal> {
    match findings(observed, wanted).into_iter().next() {
        Some(refusal) => Err(refusal),
        None => {
            let names = top_level_names(&wanted.realm, &wanted.top_level_names)?;
            Ok(steps(observed, wanted, names))
        }
    }
}

/// Everything that blocks the trust, to be reported at once; empty if [`plan`] would not refuse.
pub fn findings(observed: &Observed, wanted: &Wanted) -> Vec<TrustRefusal> {
    let mut found = against_domain(observed);
    found.extend(against_identity(observed, wanted));
    match top_level_names(&wanted.realm, &wanted.top_level_names) {
        Ok(names) => found.extend(against_names(observed, &names)),
        Err(error) => found.push(error.into()),
    }
    found.extend(check_owner(observed, &wanted.realm, &wanted.sid).err());
    found
}

/// The steps that remove the tenant's trust; none if there is none. A trust of the same realm that is not the tenant's stays.
pub fn plan_removal(
    observed: &Observed,
    realm: &str,
    sid: &Sid,
) -> Result<Vec<TrustStep>, TrustRefusal> {
    check_owner(observed, realm, sid)?;
    Ok(observed
        .own
        .iter()
        .map(|own| TrustStep::Delete {
            realm: own.name.clone(),
            reason: Deletion::Unwanted,
        })
        .collect())
}

/// Refuses a trust whose SID is not the tenant's.
fn check_owner(observed: &Observed, realm: &str, sid: &Sid) -> Result<(), TrustRefusal> {
    match &observed.own {
        Some(own) if own.sid.as_ref() != Some(sid) => Err(TrustRefusal::ForeignTrust {
            realm: realm.to_owned(),
            found: own
                .sid
                .as_ref()
                .map_or_else(|| "none".to_owned(), ToString::to_string),
            wanted: sid.to_string(),
        }),
        _ => Ok(()),
    }
}

fn steps(observed: &Observed, wanted: &Wanted, names: Vec<String>) -> Vec<TrustStep> {
    let realm = || wanted.realm.clone();
    let mut steps = Vec::new();
    let irreparable = observed
        .own
        .as_ref()
        .and_then(|own| irreparable(own, observed.key, wanted));
    if let (Some(own), Some(reason)) = (&observed.own, irreparable) {
        steps.push(TrustStep::Delete {
            realm: own.name.clone(),
            reason,
        });
    }
    // A trust that is created again has none of the old settings.
    let kept = observed.own.as_ref().filter(|_| irreparable.is_none());
    if kept.is_none() {
        steps.push(TrustStep::Create {
            realm: realm(),
            flat_name: wanted.flat_name.clone(),
            sid: wanted.sid.clone(),
        });
    }
    if kept.and_then(|own| own.enctypes) != Some(wanted.enctypes) {
        steps.push(TrustStep::SetEnctypes {
            realm: realm(),
            bits: wanted.enctypes,
        });
    }
    if !kept.is_some_and(|own| own.only_names && same_names(&own.top_level_names, &names)) {
        steps.push(TrustStep::SetTopLevelNames {
            realm: realm(),
            names,
        });
    }
    steps
}

fn irreparable(own: &Tdo, key: KeyMatch, wanted: &Wanted) -> Option<Deletion> {
    if !own.is_cloud_trust() {
        Some(Deletion::Kind)
    } else if !own.flat_name.eq_ignore_ascii_case(&wanted.flat_name) {
        Some(Deletion::FlatName)
    } else if matches!(key, KeyMatch::DoesNotDecrypt | KeyMatch::NoSecret) {
        Some(Deletion::Key)
    } else {
        None
    }
}

fn against_domain(observed: &Observed) -> Vec<TrustRefusal> {
    let domain = &observed.domain;
    let mut found = Vec::new();
    if !domain.dns_name.eq_ignore_ascii_case(&domain.forest_name) {
        found.push(TrustRefusal::NotForestRoot {
            domain: domain.dns_name.clone(),
            forest: domain.forest_name.clone(),
        });
    }
    if !observed.is_primary {
        found.push(TrustRefusal::NotPrimary {
            domain: domain.dns_name.clone(),
        });
    }
    found
}

fn against_identity(observed: &Observed, wanted: &Wanted) -> Vec<TrustRefusal> {
    let domain = &observed.domain;
    let flat_name = &wanted.flat_name;
    let flat_name_ok = (1..=MAX_FLAT_NAME).contains(&flat_name.len())
        && flat_name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'-');
    let mut found = Vec::new();
    if !flat_name_ok {
        found.push(TrustRefusal::BadFlatName(flat_name.clone()));
    } else if flat_name.eq_ignore_ascii_case(&domain.flat_name) {
        found.push(TrustRefusal::OwnFlatName(flat_name.clone()));
    }
    if wanted.realm.eq_ignore_ascii_case(&domain.dns_name) {
        found.push(TrustRefusal::OwnRealm(wanted.realm.clone()));
    }
    if !wanted.sid.is_account_domain() || wanted.sid == domain.sid {
        found.push(TrustRefusal::BadSid(wanted.sid.to_string()));
    }
    for other in &observed.others {
        if other.flat_name.eq_ignore_ascii_case(flat_name) {
            found.push(TrustRefusal::FlatNameTaken {
                flat_name: flat_name.clone(),
                other: other.name.clone(),
            });
        }
        if other.sid.as_ref() == Some(&wanted.sid) {
            found.push(TrustRefusal::SidTaken {
                sid: wanted.sid.to_string(),
                other: other.name.clone(),
            });
        }
    }
    found
}

/// AD refuses a name that equals, contains or is below one of its own or of another trust ([MS-LSAD] 3.1.4.7.16.1).
fn against_names(observed: &Observed, names: &[String]) -> Vec<TrustRefusal> {
    let mut found = Vec::new();
    for name in names {
        if overlap(name, &observed.domain.forest_name) {
            found.push(TrustRefusal::OwnName {
                name: name.clone(),
                own: observed.domain.forest_name.clone(),
            });
        }
        for other in &observed.others {
            let taken = other.top_level_names.iter().find(|t| overlap(name, t));
            found.extend(taken.map(|taken| TrustRefusal::NameTaken {
                name: name.clone(),
                taken: taken.clone(),
                other: other.name.clone(),
            }));
        }
    }
    found
}

/// Whether AD holds exactly these names; `wanted` is sorted, and in lower case.
fn same_names(held: &[String], wanted: &[String]) -> bool {
    let mut held: Vec<String> = held.iter().map(|name| name.to_ascii_lowercase()).collect();
    held.sort();
    held == wanted
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
