//! Plans for domains in every state.

use super::*;
use crate::lsa::{ATTRIBUTE_FOREST_TRANSITIVE, DIRECTION_INBOUND, TYPE_UPLEVEL};
use crate::lsa::{DomainInfo, ENCTYPES_AES};
use crossrealm_types::Sid;

const REALM: &str = "KERBEROS.CONTOSO.CLOUD.EXAMPLE";

/// Whether a refusal is the expected one.
type Expected = fn(&TrustRefusal) -> bool;

fn sid(text: &str) -> Sid {
    text.parse().unwrap()
}

fn wanted() -> Wanted {
    Wanted {
        realm: REALM.to_owned(),
        flat_name: "CONTOSO-KRB".to_owned(),
        sid: sid("S-1-5-21-1-2-3"),
        top_level_names: vec!["contoso.cloud.example".to_owned()],
        enctypes: ENCTYPES_AES,
    }
}

fn tdo() -> Tdo {
    Tdo {
        name: REALM.to_ascii_lowercase(),
        flat_name: "contoso-krb".to_owned(),
        sid: Some(sid("S-1-5-21-1-2-3")),
        direction: DIRECTION_INBOUND,
        kind: TYPE_UPLEVEL,
        attributes: ATTRIBUTE_FOREST_TRANSITIVE,
        enctypes: Some(ENCTYPES_AES),
        top_level_names: vec!["Contoso.cloud.example".to_owned()],
        only_names: true,
    }
}

fn empty() -> Observed {
    Observed {
        domain: DomainInfo {
            flat_name: "CORP".to_owned(),
            dns_name: "corp.contoso.com".to_owned(),
            forest_name: "corp.contoso.com".to_owned(),
            sid: sid("S-1-5-21-9-9-9"),
        },
        is_primary: true,
        own: None,
        others: Vec::new(),
        key: KeyMatch::Untried,
    }
}

fn with_own(change: impl FnOnce(&mut Tdo)) -> Observed {
    let mut own = tdo();
    change(&mut own);
    Observed {
        own: Some(own),
        key: KeyMatch::Decrypts,
        ..empty()
    }
}

fn with_other(change: impl FnOnce(&mut Tdo)) -> Observed {
    let mut other = Tdo {
        name: "fabrik.example".to_owned(),
        flat_name: "FABRIK".to_owned(),
        sid: Some(sid("S-1-5-21-7-7-7")),
        top_level_names: vec!["fabrik.example".to_owned()],
        ..tdo()
    };
    change(&mut other);
    Observed {
        others: vec![other],
        ..empty()
    }
}

fn create() -> TrustStep {
    TrustStep::Create {
        realm: REALM.to_owned(),
        flat_name: "CONTOSO-KRB".to_owned(),
        sid: sid("S-1-5-21-1-2-3"),
    }
}

fn set_enctypes() -> TrustStep {
    TrustStep::SetEnctypes {
        realm: REALM.to_owned(),
        bits: ENCTYPES_AES,
    }
}

fn set_names(names: &[&str]) -> TrustStep {
    TrustStep::SetTopLevelNames {
        realm: REALM.to_owned(),
        names: names.iter().map(|n| (*n).to_owned()).collect(),
    }
}

#[test]
fn an_empty_domain_gets_everything() {
    assert_eq!(
        plan(&empty(), &wanted()).unwrap(),
        [
            create(),
            set_enctypes(),
            set_names(&["contoso.cloud.example"])
        ]
    );
}

#[test]
fn a_complete_trust_is_left_alone() {
    assert_eq!(plan(&with_own(|_| ()), &wanted()).unwrap(), []);
}

#[test]
fn only_what_differs_is_repaired() {
    let no_enctypes = with_own(|own| own.enctypes = Some(0));
    assert_eq!(plan(&no_enctypes, &wanted()).unwrap(), [set_enctypes()]);
    let no_names = with_own(|own| own.top_level_names.clear());
    assert_eq!(
        plan(&no_names, &wanted()).unwrap(),
        [set_names(&["contoso.cloud.example"])]
    );
    let excluded = with_own(|own| own.only_names = false);
    assert_eq!(plan(&excluded, &wanted()).unwrap().len(), 1);
    let more = Wanted {
        top_level_names: vec!["windows.net".to_owned(), "contoso.cloud.example".to_owned()],
        ..wanted()
    };
    assert_eq!(
        plan(&with_own(|_| ()), &more).unwrap(),
        [set_names(&["contoso.cloud.example", "windows.net"])]
    );
}

#[test]
fn what_cannot_be_repaired_is_made_anew() {
    let cases = [
        (with_own(|own| own.direction = 3), Deletion::Kind),
        (with_own(|own| own.attributes = 0x48), Deletion::Kind),
        (
            with_own(|own| own.flat_name = "OLD".to_owned()),
            Deletion::FlatName,
        ),
        (
            Observed {
                key: KeyMatch::DoesNotDecrypt,
                ..with_own(|_| ())
            },
            Deletion::Key,
        ),
        (
            Observed {
                key: KeyMatch::NoSecret,
                ..with_own(|_| ())
            },
            Deletion::Key,
        ),
    ];
    for (observed, reason) in cases {
        assert_eq!(
            plan(&observed, &wanted()).unwrap(),
            [
                TrustStep::Delete {
                    realm: REALM.to_ascii_lowercase(),
                    reason
                },
                create(),
                set_enctypes(),
                set_names(&["contoso.cloud.example"]),
            ]
        );
    }
}

/// The state of AD after a step.
fn after(observed: &Observed, step: &TrustStep) -> Observed {
    let mut next = observed.clone();
    match (step, &mut next.own) {
        (TrustStep::Delete { .. }, own) => *own = None,
        (
            TrustStep::Create {
                realm,
                flat_name,
                sid,
            },
            own @ None,
        ) => {
            *own = Some(Tdo {
                name: realm.clone(),
                flat_name: flat_name.clone(),
                sid: Some(sid.clone()),
                enctypes: Some(0),
                top_level_names: Vec::new(),
                ..tdo()
            });
            next.key = KeyMatch::Decrypts;
        }
        (TrustStep::SetEnctypes { bits, .. }, Some(own)) => own.enctypes = Some(*bits),
        (TrustStep::SetTopLevelNames { names, .. }, Some(own)) => {
            own.top_level_names = names.clone();
            own.only_names = true;
        }
        (step, own) => panic!("{step} is impossible with {own:?}"),
    }
    next
}

#[test]
fn a_run_killed_after_any_step_is_finished_by_the_next() {
    let starts = [
        empty(),
        with_own(|own| own.attributes = 0),
        with_own(|own| own.enctypes = None),
        with_own(|own| own.top_level_names.clear()),
        Observed {
            key: KeyMatch::DoesNotDecrypt,
            ..with_own(|_| ())
        },
    ];
    for start in starts {
        let steps = plan(&start, &wanted()).unwrap();
        for killed_after in 0..=steps.len() {
            let left = steps[..killed_after]
                .iter()
                .fold(start.clone(), |o, s| after(&o, s));
            let rest = plan(&left, &wanted()).unwrap();
            let end = rest.iter().fold(left, |o, s| after(&o, s));
            assert_eq!(
                plan(&end, &wanted()).unwrap(),
                [],
                "killed after {killed_after}"
            );
        }
    }
}

#[test]
fn a_trust_that_is_not_ours_is_never_touched() {
    for found in [Some(sid("S-1-5-21-4-4-4")), None] {
        let observed = Observed {
            key: KeyMatch::NoSecret,
            ..with_own(|own| own.sid = found)
        };
        assert!(matches!(
            plan(&observed, &wanted()),
            Err(TrustRefusal::ForeignTrust { .. })
        ));
        assert!(matches!(
            plan_removal(&observed, REALM, &wanted().sid),
            Err(TrustRefusal::ForeignTrust { .. })
        ));
    }
}

#[test]
fn a_child_domain_is_refused_with_the_way_that_works() {
    let mut observed = empty();
    observed.domain.forest_name = "contoso.com".to_owned();
    let refusal = plan(&observed, &wanted()).unwrap_err();
    assert!(refusal.to_string().contains("0x549"));
    assert!(matches!(
        refusal,
        TrustRefusal::NotForestRoot { forest, .. } if forest == "contoso.com"
    ));
    let observed = Observed {
        is_primary: false,
        ..empty()
    };
    assert!(matches!(
        plan(&observed, &wanted()),
        Err(TrustRefusal::NotPrimary { .. })
    ));
}

#[test]
fn collisions_with_other_trusts_are_found_before_anything_changes() {
    let cases: [(Observed, Expected); 4] = [
        (
            with_other(|o| o.flat_name = "Contoso-Krb".to_owned()),
            |r| matches!(r, TrustRefusal::FlatNameTaken { .. }),
        ),
        (with_other(|o| o.sid = Some(sid("S-1-5-21-1-2-3"))), |r| {
            matches!(r, TrustRefusal::SidTaken { .. })
        }),
        (
            with_other(|o| o.top_level_names = vec!["cloud.example".to_owned()]),
            |r| matches!(r, TrustRefusal::NameTaken { .. }),
        ),
        (
            with_other(|o| o.top_level_names = vec!["x.contoso.cloud.example".to_owned()]),
            |r| matches!(r, TrustRefusal::NameTaken { .. }),
        ),
    ];
    for (observed, expected) in cases {
        let refusal = plan(&observed, &wanted()).unwrap_err();
        assert!(expected(&refusal), "{refusal}");
    }
    assert!(plan(&with_other(|_| ()), &wanted()).is_ok());
}

#[test]
fn a_tenant_that_would_shadow_the_domain_is_refused() {
    let cases: [(Wanted, Expected); 7] = [
        (
            Wanted {
                flat_name: "corp".to_owned(),
                ..wanted()
            },
            |r| matches!(r, TrustRefusal::OwnFlatName(_)),
        ),
        (
            Wanted {
                flat_name: "SIXTEEN-LETTERS-".to_owned(),
                ..wanted()
            },
            |r| matches!(r, TrustRefusal::BadFlatName(_)),
        ),
        (
            Wanted {
                realm: "CORP.CONTOSO.COM".to_owned(),
                ..wanted()
            },
            |r| matches!(r, TrustRefusal::OwnRealm(_)),
        ),
        (
            Wanted {
                sid: sid("S-1-5-21-9-9-9"),
                ..wanted()
            },
            |r| matches!(r, TrustRefusal::BadSid(_)),
        ),
        (
            Wanted {
                sid: sid("S-1-5-32-544"),
                ..wanted()
            },
            |r| matches!(r, TrustRefusal::BadSid(_)),
        ),
        (
            Wanted {
                top_level_names: vec!["contoso.com".to_owned()],
                ..wanted()
            },
            |r| matches!(r, TrustRefusal::OwnName { .. }),
        ),
        (
            Wanted {
                top_level_names: vec!["com".to_owned()],
                ..wanted()
            },
            |r| matches!(r, TrustRefusal::Name(_)),
        ),
    ];
    for (wanted, expected) in cases {
        let refusal = plan(&empty(), &wanted).unwrap_err();
        assert!(expected(&refusal), "{refusal}");
    }
}

#[test]
fn a_removal_removes_what_is_there() {
    let steps = plan_removal(&with_own(|_| ()), REALM, &wanted().sid).unwrap();
    assert_eq!(steps.len(), 1);
    assert_eq!(
        steps[0].to_string(),
        "delete the trusted domain object `kerberos.contoso.cloud.example`"
    );
    assert_eq!(plan_removal(&empty(), REALM, &wanted().sid).unwrap(), []);
}

#[test]
fn all_that_stands_against_a_trust_is_said_at_once() {
    assert_eq!(findings(&empty(), &wanted()), []);
    let mut observed = empty();
    // A child domain, as rootDSE and LSA describe it, with a blocking trust.
    observed.domain.dns_name = "eu.corp.contoso.com".to_owned();
    observed.others.push(Tdo {
        name: "other.example".to_owned(),
        sid: Some(sid("S-1-5-21-7-7-7")),
        flat_name: "contoso-krb".to_owned(),
        top_level_names: vec!["cloud.example".to_owned()],
        ..tdo()
    });
    let found = findings(&observed, &wanted());
    assert!(matches!(
        found[..],
        [
            TrustRefusal::NotForestRoot { .. },
            TrustRefusal::FlatNameTaken { .. },
            TrustRefusal::NameTaken { .. }
        ]
    ));
    assert!(found[0].to_string().contains("0x549"));
    assert_eq!(plan(&observed, &wanted()).unwrap_err(), found[0]);
}
