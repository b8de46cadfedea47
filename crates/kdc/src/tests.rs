//! The exchange in the test world: what must be granted, and for each security rule what must be refused.

use crate::two_realms::{
    AD_REALM, Ask, Ending, Granted, Referral, SHARE_HOST, TENANT_REALM, TwoRealms,
};
use crate::{
    ForestDomain, IdentitySource, IdentityState, KeyState, Outcome, Reason, Records, ServiceKey,
    Step, TrustKey,
};
use crossrealm_krb::crypto::{Enctype, Key};
use crossrealm_krb::messages::{
    AuthorizationDataElement, KerberosFlags, KerberosTime, PaData, PrincipalName, ad_type, decode,
    encode, flags, kdc_option, name_type, pa_type,
};
use crossrealm_krb::pac::{Buffer, Pac};

fn key(byte: u8) -> Key {
    Key::new(Enctype::Aes256Sha1, &[byte; 32]).unwrap()
}

/// One exchange with an honest request, changed by `referral` and `ask`.
fn play(
    world: &mut TwoRealms,
    referral: impl FnOnce(&mut Referral),
    ask: impl FnOnce(&mut Ask),
) -> Result<Granted, Reason> {
    let mut r = world.referral();
    referral(&mut r);
    let mut a = world.ask();
    ask(&mut a);
    let fast = a.fast;
    let ticket = world.seal(r);
    let bytes = world.request(ticket, a);
    let ending = world.exchange(&bytes);
    world.open(ending, fast).map_err(|refused| {
        let (error, event) = *refused;
        let Outcome::Refused(reason) = event.outcome else {
            panic!("an error without a refusal: {event:?}");
        };
        assert_eq!(error.error_code, reason.error_code());
        let text = error.e_text.unwrap().to_string();
        assert!(
            text.contains(reason.text()) && text.contains(&event.id.to_string()),
            "{text}"
        );
        assert!(!event.detail.is_empty(), "{reason:?} without a detail");
        reason
    })
}

fn honest(world: &mut TwoRealms) -> Granted {
    play(world, |_| {}, |_| {}).expect("an honest request is granted")
}

#[track_caller]
fn refused(reason: Reason, referral: impl FnOnce(&mut Referral), ask: impl FnOnce(&mut Ask)) {
    let mut world = TwoRealms::new();
    assert_eq!(play(&mut world, referral, ask).err(), Some(reason));
    // One refusal leaves nothing behind.
    honest(&mut world);
}

fn pac_of(granted: &Granted) -> Pac {
    let elements = granted.inside.authorization_data.as_ref().unwrap();
    let inner: Vec<AuthorizationDataElement> = decode(&elements[0].data).unwrap();
    Pac::decode(&inner[0].data).unwrap()
}

#[test]
fn an_honest_request_gets_a_ticket_with_the_directorys_word() {
    for fast in [false, true] {
        let mut world = TwoRealms::new();
        let granted = play(&mut world, |_| {}, |a| a.fast = fast).unwrap();
        assert_eq!(granted.ticket.realm.as_str(), TENANT_REALM);
        assert_eq!(granted.ticket.enc_part.kvno(), Some(1));
        assert_eq!(granted.part.nonce, 12345);
        assert_eq!(granted.inside.crealm.as_str(), AD_REALM);
        assert_eq!(granted.inside.cname.to_string(), "alice");
        assert!(granted.inside.transited.contents.is_empty());
        assert!(
            granted
                .inside
                .flags
                .has(flags::FORWARDABLE | flags::PRE_AUTHENT)
        );
        assert!(!granted.inside.flags.has(flags::OK_AS_DELEGATE));
        let pac = pac_of(&granted);
        let info = pac.logon_info().unwrap();
        let sids: Vec<String> = info.token_sids().iter().map(|s| s.to_string()).collect();
        assert_eq!(
            sids,
            ["1104", "513", "513", "1200", "1201"]
                .map(|rid| format!("S-1-5-21-1111-2222-3333-{rid}"))
        );
        assert_eq!(granted.event.outcome, Outcome::Issued);
        assert_eq!(granted.event.trust_key_version, Some(1));
    }
}

#[test]
fn every_signature_of_an_issued_pac_verifies() {
    let mut world = TwoRealms::new();
    let granted = honest(&mut world);
    let mut unsigned = granted.inside.clone();
    let zero = vec![AuthorizationDataElement {
        ad_type: ad_type::WIN2K_PAC,
        data: vec![0].into(),
    }];
    unsigned.authorization_data = Some(vec![AuthorizationDataElement {
        ad_type: ad_type::IF_RELEVANT,
        data: encode(&zero).unwrap().into(),
    }]);
    let ticket = encode(&unsigned).unwrap();
    let (service, krbtgt) = (&world.service.keys[0].key, &world.tenant.krbtgt_keys[0].key);
    pac_of(&granted)
        .verify_all(service, krbtgt, Some(&ticket))
        .unwrap();
}

#[test]
fn groups_of_the_incoming_pac_are_ignored() {
    let mut world = TwoRealms::new();
    let granted = play(
        &mut world,
        |r| {
            for buffer in r.pac.as_mut().unwrap() {
                if let Buffer::LogonInfo(info) = buffer {
                    let domain = info.domain_sid.clone();
                    let sids = [512, 519].map(|rid| domain.with_rid(rid).unwrap());
                    let builtin = "S-1-5-32-544".parse().unwrap();
                    info.set_groups(sids.iter().chain([&builtin]));
                }
            }
        },
        |_| {},
    )
    .unwrap();
    let sids = pac_of(&granted).logon_info().unwrap().token_sids();
    assert!(
        sids.iter().all(|s| ![512, 519, 544].contains(&s.rid())),
        "{sids:?}"
    );
}

#[test]
fn rule_1_only_this_tenants_trust_key_opens_a_referral() {
    refused(Reason::TicketIntegrity, |r| r.seal_key = key(0x77), |_| {});
    refused(
        Reason::IssuerNotTrusted,
        |r| r.realm = "EVIL.EXAMPLE".into(),
        |_| {},
    );
    refused(
        Reason::TicketNotForUs,
        |r| r.sname = PrincipalName::krbtgt("KERBEROS.OTHER.CLOUD.EXAMPLE"),
        |_| {},
    );
    refused(
        Reason::WrongRealm,
        |_| {},
        |a| a.body.realm = "KERBEROS.OTHER.EXAMPLE".into(),
    );
}

#[test]
fn rule_1_the_client_must_come_from_the_forest() {
    refused(
        Reason::ClientRealmNotTrusted,
        |r| r.part.crealm = "OTHER.EXAMPLE".into(),
        |a| a.authenticator.crealm = "OTHER.EXAMPLE".into(),
    );
    refused(
        Reason::SidOutsideDomain,
        |r| {
            let foreign: crossrealm_krb::sid::Sid = "S-1-5-21-9-9-9-1104".parse().unwrap();
            for buffer in r.pac.as_mut().unwrap() {
                match buffer {
                    Buffer::LogonInfo(info) => info.domain_sid = foreign.domain().unwrap(),
                    Buffer::Requester(sid) => *sid = foreign.clone(),
                    Buffer::UpnDns(upn) => upn.account.as_mut().unwrap().sid = foreign.clone(),
                    _ => {}
                }
            }
        },
        |_| {},
    );
}

#[test]
fn rule_1_the_identity_is_found_by_sid_not_by_name() {
    // The name of one who is synced with the SID of one who is not: CVE-2021-42287's class.
    let other = |r: &mut Referral| {
        for buffer in r.pac.as_mut().unwrap() {
            match buffer {
                Buffer::LogonInfo(info) => info.user_rid = 4242,
                Buffer::Requester(sid) => *sid = sid.domain().unwrap().with_rid(4242).unwrap(),
                Buffer::UpnDns(upn) => upn.account = None,
                _ => {}
            }
        }
    };
    refused(Reason::IdentityNotSynced, other, |_| {});
    refused(
        Reason::PacMismatch,
        |r| {
            for buffer in r.pac.as_mut().unwrap() {
                if let Buffer::LogonInfo(info) = buffer {
                    info.user_rid = 4242;
                }
            }
        },
        |_| {},
    );
}

#[test]
fn rule_2_built_in_accounts_are_refused_unless_the_tenant_opts_in() {
    let administrator = |r: &mut Referral| {
        for buffer in r.pac.as_mut().unwrap() {
            match buffer {
                Buffer::LogonInfo(info) => info.user_rid = 500,
                Buffer::Requester(sid) => *sid = sid.domain().unwrap().with_rid(500).unwrap(),
                Buffer::UpnDns(upn) => upn.account = None,
                _ => {}
            }
        }
    };
    refused(Reason::SidReserved, administrator, |_| {});
    let mut world = TwoRealms::new();
    world.tenant.policy.allow_low_rids = true;
    let domain = world.identities[0].sid.domain().unwrap();
    let mut built_in = world.identities[0].clone();
    built_in.sid = domain.with_rid(500).unwrap();
    world.identities.push(built_in);
    assert!(play(&mut world, administrator, |_| {}).is_ok());
}

#[test]
fn rule_3_each_state_of_an_identity_is_refused_for_its_own_reason() {
    type Change = fn(&mut TwoRealms);
    let cases: [(Change, Reason); 5] = [
        (
            |w| w.identities[0].state = IdentityState::Disabled,
            Reason::IdentityDisabled,
        ),
        (
            |w| w.identities[0].state = IdentityState::Deleted,
            Reason::IdentityDeleted,
        ),
        (
            |w| w.identities[0].source = IdentitySource::CloudOnly,
            Reason::IdentityCloudOnly,
        ),
        (|w| w.identities.clear(), Reason::IdentityNotSynced),
        (
            |w| w.service_name = crate::ServiceName::new("cifs", "other"),
            Reason::ServiceUnknown,
        ),
    ];
    for (change, reason) in cases {
        let mut world = TwoRealms::new();
        // The referral is made before the change, as an old ticket would be.
        let (referral, ask) = (world.referral(), world.ask());
        change(&mut world);
        let ticket = world.seal(referral);
        let bytes = world.request(ticket, ask);
        let ending = world.exchange(&bytes);
        let (_, event) = *world.open(ending, false).err().unwrap();
        assert_eq!(event.outcome, Outcome::Refused(reason));
    }
}

#[test]
fn rule_3_more_than_1010_groups_are_refused() {
    let mut world = TwoRealms::new();
    let domain = world.identities[0].sid.domain().unwrap();
    let referral = world.referral();
    world.identities[0].groups = (2000..)
        .take(1010)
        .map(|rid| domain.with_rid(rid).unwrap())
        .collect();
    let ticket = world.seal(referral);
    let ask = world.ask();
    let bytes = world.request(ticket.clone(), ask);
    let ending = world.exchange(&bytes);
    let granted = world.open(ending, false).map_err(|e| e.1.outcome).unwrap();
    assert_eq!(pac_of(&granted).logon_info().unwrap().groups.len(), 1010);
    world.identities[0]
        .groups
        .push(domain.with_rid(9000).unwrap());
    let ending = world.exchange(&bytes);
    let (_, event) = *world.open(ending, false).err().unwrap();
    assert_eq!(event.outcome, Outcome::Refused(Reason::TooManyGroups));
}

#[test]
fn rule_4_only_aes() {
    refused(
        Reason::EncryptionTypeNotSupported,
        |_| {},
        |a| a.body.etype = vec![23, 3, 1],
    );
    refused(
        Reason::EncryptionTypeNotSupported,
        |_| {},
        |a| a.authenticator.subkey.as_mut().unwrap().keytype = 23,
    );
    let mut world = TwoRealms::new();
    let referral = world.referral();
    let mut ticket = world.seal(referral);
    ticket.enc_part.etype = 23;
    let ask = world.ask();
    let bytes = world.request(ticket, ask);
    let ending = world.exchange(&bytes);
    let (error, event) = *world.open(ending, false).err().unwrap();
    assert_eq!(
        event.outcome,
        Outcome::Refused(Reason::EncryptionTypeNotSupported)
    );
    assert_eq!(error.error_code, 14);
}

#[test]
fn rule_4_the_session_key_is_one_that_both_sides_understand() {
    for (offered, service, chosen) in [
        (vec![17, 18], Enctype::Aes256Sha1, 17),
        (vec![20, 18], Enctype::Aes256Sha1, 18),
        (vec![20, 18], Enctype::Aes256Sha2, 20),
        (vec![23, 18], Enctype::Aes256Sha1, 18),
    ] {
        let mut world = TwoRealms::new();
        let key = Key::new(service, &[8; 32]).unwrap();
        world.service.keys = vec![ServiceKey { kvno: 5, key }];
        let granted = play(&mut world, |_| {}, |a| a.body.etype = offered.clone()).unwrap();
        assert_eq!(granted.part.key.keytype, chosen, "{offered:?}");
        assert_eq!(granted.ticket.enc_part.etype, service.number());
    }
}

#[test]
fn rule_5_a_pac_that_was_changed_removed_or_signed_by_another_is_refused() {
    refused(Reason::PacMissing, |r| r.pac = None, |_| {});
    refused(Reason::PacSignature, |r| r.pac_key = key(0x66), |_| {});
    refused(
        Reason::PacSignature,
        |r| {
            r.tamper_pac = Some(|pac| {
                // A RID in LOGON_INFO: what an attacker would change.
                let at = pac
                    .windows(4)
                    .position(|w| w == 1104u32.to_le_bytes())
                    .unwrap();
                pac[at] ^= 1;
            });
        },
        |_| {},
    );
    refused(
        Reason::PacMalformed,
        |r| r.tamper_pac = Some(|pac| pac.truncate(40)),
        |_| {},
    );
    refused(
        Reason::PacMalformed,
        |r| r.tamper_pac = Some(Vec::clear),
        |_| {},
    );
    refused(
        Reason::PacMismatch,
        |r| r.part.cname = PrincipalName::new(name_type::PRINCIPAL, &["bob"]),
        |a| a.authenticator.cname = PrincipalName::new(name_type::PRINCIPAL, &["bob"]),
    );
    refused(
        Reason::PacMismatch,
        |r| r.part.authtime = KerberosTime(r.part.authtime.0 - 1),
        |_| {},
    );
}

#[test]
fn rule_6_times() {
    let at = |r: &mut Referral, start: i64, end: i64| {
        r.part.starttime = Some(KerberosTime(start));
        r.part.endtime = KerberosTime(end);
    };
    let now = crate::two_realms::START_S;
    refused(Reason::TicketExpired, |r| at(r, now - 100, now), |_| {});
    refused(
        Reason::TicketNotYetValid,
        |r| at(r, now + 301, now + 1000),
        |_| {},
    );
    refused(
        Reason::TicketNotYetValid,
        |r| r.part.flags.0 |= flags::INVALID,
        |_| {},
    );
    refused(
        Reason::ClockSkew,
        |_| {},
        |a| a.authenticator.ctime = KerberosTime(now - 301),
    );
    refused(
        Reason::ClockSkew,
        |_| {},
        |a| a.authenticator.ctime = KerberosTime(now + 301),
    );
    refused(
        Reason::NeverValid,
        |_| {},
        |a| a.body.till = KerberosTime(now - 1),
    );
    let mut world = TwoRealms::new();
    let granted = play(&mut world, |r| at(r, now - 100, now + 50), |_| {}).unwrap();
    assert_eq!(
        granted.inside.endtime.0,
        now + 50,
        "never beyond the referral"
    );
    let granted = play(
        &mut world,
        |r| at(r, now - 100, now + 90_000),
        |a| a.body.till = KerberosTime(0),
    )
    .unwrap();
    assert_eq!(
        granted.inside.endtime.0,
        now + 36_000,
        "never beyond the policy"
    );
    let granted = play(
        &mut world,
        |_| {},
        |a| a.authenticator.ctime = KerberosTime(now + 300),
    );
    assert!(granted.is_ok(), "300 s of skew are tolerated");
}

#[test]
fn rule_6_no_delegation_postdating_or_user_to_user() {
    for option in [
        kdc_option::ENC_TKT_IN_SKEY,
        kdc_option::CNAME_IN_ADDL_TKT,
        kdc_option::POSTDATED,
        kdc_option::VALIDATE,
        kdc_option::FORWARDED,
        kdc_option::PROXY,
        kdc_option::ALLOW_POSTDATE,
    ] {
        refused(
            Reason::OptionNotSupported,
            |_| {},
            |a| a.body.kdc_options.0 |= option,
        );
    }
    for s4u in [pa_type::FOR_USER, pa_type::S4U_X509_USER] {
        refused(
            Reason::OptionNotSupported,
            |_| {},
            |a| a.padata = vec![PaData::new(s4u, vec![])],
        );
        refused(
            Reason::OptionNotSupported,
            |_| {},
            |a| {
                a.fast = true;
                a.padata = vec![PaData::new(s4u, vec![])];
            },
        );
    }
    let mut world = TwoRealms::new();
    let granted = play(
        &mut world,
        |r| r.part.flags = KerberosFlags(!flags::INVALID),
        |_| {},
    )
    .unwrap();
    let never = flags::OK_AS_DELEGATE
        | flags::POSTDATED
        | flags::MAY_POSTDATE
        | flags::INITIAL
        | flags::PROXY
        | flags::FORWARDED;
    assert_eq!(granted.inside.flags.0 & never, 0);
}

#[test]
fn the_request_must_come_from_the_tickets_holder() {
    refused(
        Reason::AuthenticatorMismatch,
        |_| {},
        |a| a.authenticator.cname = PrincipalName::new(name_type::PRINCIPAL, &["bob"]),
    );
    refused(Reason::ChecksumMissing, |_| {}, |a| a.checksum = false);
    let mut world = TwoRealms::new();
    let referral = world.referral();
    let ticket = world.seal(referral);
    let ask = world.ask();
    let bytes = world.request_with(ticket, ask, &key(0x11));
    let ending = world.exchange(&bytes);
    let (_, event) = *world.open(ending, false).err().unwrap();
    assert_eq!(
        event.outcome,
        Outcome::Refused(Reason::AuthenticatorIntegrity)
    );
}

#[test]
fn a_replayed_authenticator_with_another_body_is_refused() {
    let mut world = TwoRealms::new();
    let referral = world.referral();
    let ticket = world.seal(referral);
    let ask = world.ask();
    let bytes = world.request(ticket, ask);
    let at = bytes.windows(5).position(|w| w == b"acct1").unwrap();
    let mut changed = bytes.clone();
    changed[at] = b'x';
    let ending = world.exchange(&changed);
    let (_, event) = *world.open(ending, false).err().unwrap();
    assert_eq!(event.outcome, Outcome::Refused(Reason::RequestModified));
}

#[test]
fn what_is_under_the_armor_counts() {
    let mut world = TwoRealms::new();
    // The armor of another session does not open.
    let referral = world.referral();
    let ticket = world.seal(referral);
    let mut ask = world.ask();
    ask.fast = true;
    ask.authenticator.subkey = Some((&key(0x12)).into());
    let bytes = world.request(ticket, ask);
    let ending = world.exchange(&bytes);
    let (_, event) = *world.open(ending, false).err().unwrap();
    assert_eq!(event.outcome, Outcome::Refused(Reason::ArmorIntegrity));
    // An error under the armor says the same inside.
    world.identities.clear();
    let (r, mut a) = (TwoRealms::new().referral(), world.ask());
    a.fast = true;
    let ticket = world.seal(r);
    let bytes = world.request(ticket, a);
    let ending = world.exchange(&bytes);
    let (error, _) = *world.open(ending, true).err().unwrap();
    let method_data: Vec<PaData> = decode(&error.e_data.unwrap()).unwrap();
    let armor = crossrealm_krb::fast::armor_key(&world.subkey(), &world.session_key());
    let fast = PaData::find(&method_data, pa_type::FX_FAST).unwrap();
    let response = crossrealm_krb::fast::open_response(fast, &armor).unwrap();
    let inner = PaData::find(&response.padata, pa_type::FX_ERROR).unwrap();
    let inner: crossrealm_krb::messages::KrbError = decode(inner).unwrap();
    assert_eq!(inner.error_code, error.error_code);
}

#[test]
fn keys_are_tried_current_previous_retired_until_their_end() {
    let mut world = TwoRealms::new();
    let version = |version, state, byte| TrustKey {
        version,
        state,
        keys: vec![key(byte)],
    };
    let until = world.now.unix_s + 10;
    world.trust.keys = vec![
        version(4, KeyState::Current, 0x44),
        version(3, KeyState::Previous, 0x33),
        version(2, KeyState::Retired { until }, 2),
        version(1, KeyState::Retired { until: until - 20 }, 0x22),
    ];
    for (byte, opened) in [(0x44, Some(4)), (0x33, Some(3)), (2, Some(2)), (0x22, None)] {
        let result = play(
            &mut world,
            |r| {
                r.seal_key = key(byte);
                r.pac_key = key(byte);
                r.kvno = Some(77);
            },
            |_| {},
        );
        match opened {
            Some(version) => assert_eq!(result.unwrap().event.trust_key_version, Some(version)),
            None => assert_eq!(result.err(), Some(Reason::TicketIntegrity)),
        }
    }
}

#[test]
fn a_child_domains_users_come_through_the_root() {
    let mut world = TwoRealms::new();
    let child: crossrealm_krb::sid::Sid = "S-1-5-21-7-7-7".parse().unwrap();
    world.trust.domains.push(ForestDomain {
        realm: "EU.CORP.CONTOSO.COM".into(),
        dns_name: "eu.corp.contoso.com".into(),
        flat_name: "EU".into(),
        sid: child.clone(),
    });
    let sid = child.with_rid(1104).unwrap();
    world.identities[0].sid = sid;
    let granted = play(
        &mut world,
        |r| r.part.crealm = "EU.CORP.CONTOSO.COM".into(),
        |a| a.authenticator.crealm = "EU.CORP.CONTOSO.COM".into(),
    )
    .unwrap();
    assert_eq!(&granted.inside.transited.contents[..], AD_REALM.as_bytes());
    assert_eq!(granted.inside.crealm.as_str(), "EU.CORP.CONTOSO.COM");
    // The same client with a SID of the root domain is refused.
    let root = world.trust.domains[0].sid.with_rid(1104).unwrap();
    world.identities[0].sid = root;
    let result = play(
        &mut world,
        |r| r.part.crealm = "EU.CORP.CONTOSO.COM".into(),
        |a| a.authenticator.crealm = "EU.CORP.CONTOSO.COM".into(),
    );
    assert_eq!(result.err(), Some(Reason::SidOutsideDomain));
    refused(
        Reason::PathNotAccepted,
        |r| r.part.transited.contents = b"EVIL.EXAMPLE".to_vec().into(),
        |_| {},
    );
}

#[test]
fn a_referral_buys_a_tgt_and_the_tgt_a_service_ticket() {
    let mut world = TwoRealms::new();
    let tgt = play(
        &mut world,
        |_| {},
        |a| a.body.sname = Some(PrincipalName::krbtgt(TENANT_REALM)),
    )
    .unwrap();
    let pac = pac_of(&tgt);
    assert_eq!(pac.requester(), Some(&world.identities[0].sid));
    assert!(pac.attributes().is_some());
    let session = tgt.part.key.to_key().unwrap();
    let ask = world.ask();
    let bytes = world.request_with(tgt.ticket, ask, &session);
    let ending = world.exchange(&bytes);
    let granted = world.open(ending, false).map_err(|e| e.1.outcome).unwrap();
    assert_eq!(
        granted.ticket.sname.to_string(),
        format!("cifs/{SHARE_HOST}")
    );
    // The krbtgt of another realm is no service of this one.
    let other = play(
        &mut world,
        |_| {},
        |a| a.body.sname = Some(PrincipalName::krbtgt("OTHER.EXAMPLE")),
    );
    assert_eq!(other.err(), Some(Reason::ServiceUnknown));
}

#[test]
fn a_service_ticket_is_not_a_tgt() {
    let mut world = TwoRealms::new();
    let granted = honest(&mut world);
    let session = granted.part.key.to_key().unwrap();
    let ask = world.ask();
    let bytes = world.request_with(granted.ticket, ask, &session);
    let ending = world.exchange(&bytes);
    let (_, event) = *world.open(ending, false).err().unwrap();
    assert_eq!(event.outcome, Outcome::Refused(Reason::TicketNotForUs));
}

#[test]
fn what_is_not_a_ticket_request_is_answered_or_dropped() {
    let mut world = TwoRealms::new();
    for garbage in [
        &b""[..],
        b"GET / HTTP/1.1",
        b"hello, this is not Kerberos",
        &[0x6E],
        &[0x6E, 0x80],
        &[0x6E, 0x81, 1],
        &[0x6E, 0, 0],
        &[0x6C],
        &[0x6C, 0x80, 0, 0],
        &[0xFF; 4000],
    ] {
        let ending = world.exchange(garbage);
        assert!(matches!(ending, Ending::Dropped(e) if e.outcome == Outcome::Dropped));
    }
    let ending = world.exchange(&[0x6E, 0]);
    let (_, event) = *world.open(ending, false).err().unwrap();
    assert_eq!(event.outcome, Outcome::Refused(Reason::UnsupportedMessage));
    let body = world.ask().body;
    let request = crossrealm_krb::messages::KdcReq::new(vec![], body).unwrap();
    let as_req = crossrealm_krb::messages::AsReq(request.clone())
        .encode()
        .unwrap();
    let ending = world.exchange(&as_req);
    let (error, event) = *world.open(ending, false).err().unwrap();
    assert_eq!(event.outcome, Outcome::Refused(Reason::SignInIsOnPremises));
    assert!(error.e_text.unwrap().as_str().contains("on-premises"));
    let tgs_req = crossrealm_krb::messages::TgsReq(request).encode().unwrap();
    let ending = world.exchange(&tgs_req);
    let (_, event) = *world.open(ending, false).err().unwrap();
    assert_eq!(event.outcome, Outcome::Refused(Reason::NoTicket));
    honest(&mut world);
}

#[test]
fn a_directory_that_does_not_answer_is_said_so() {
    let mut world = TwoRealms::new();
    let referral = world.referral();
    let ticket = world.seal(referral);
    let ask = world.ask();
    let bytes = world.request(ticket, ask);
    let step = crate::Exchange::begin(world.tenant.id, &bytes, world.now, crate::EventId([1; 16]));
    let Step::Need { exchange, .. } = step else {
        panic!("{step:?}");
    };
    let records = Records::Unavailable("the database is locked".into());
    let Step::Reply { bytes, event } = exchange.resume(records, &mut world.random()) else {
        panic!("no reply");
    };
    assert_eq!(
        event.outcome,
        Outcome::Refused(Reason::DirectoryUnavailable)
    );
    let error: crossrealm_krb::messages::KrbError = decode(&bytes).unwrap();
    assert!(
        !error.e_text.unwrap().as_str().contains("database"),
        "internals stay inside"
    );
}

#[test]
fn a_tgt_of_this_realm_is_renewed_within_its_bounds() {
    let mut world = TwoRealms::new();
    let tgs = |a: &mut Ask| a.body.sname = Some(PrincipalName::krbtgt(TENANT_REALM));
    let tgt = play(
        &mut world,
        |_| {},
        |a| {
            tgs(a);
            a.body.kdc_options.0 |= kdc_option::RENEWABLE;
        },
    )
    .unwrap();
    let renew_till = tgt.inside.renew_till.unwrap().0;
    assert!(renew_till > tgt.inside.endtime.0);
    let session = tgt.part.key.to_key().unwrap();
    let renew = |world: &mut TwoRealms, ticket| {
        let mut ask = world.ask();
        tgs(&mut ask);
        ask.body.kdc_options.0 |= kdc_option::RENEW;
        let bytes = world.request_with(ticket, ask, &session);
        let ending = world.exchange(&bytes);
        world.open(ending, false).map_err(|e| e.1.outcome)
    };
    world.now.unix_s += 1000;
    let renewed = renew(&mut world, tgt.ticket.clone())
        .map_err(|e| format!("{e:?}"))
        .unwrap();
    let life = tgt.inside.endtime.0 - tgt.inside.starttime.unwrap().0;
    assert_eq!(renewed.inside.endtime.0, world.now.unix_s + life);
    assert_eq!(renewed.inside.renew_till.unwrap().0, renew_till);
    // Once disabled, never renewed.
    world.identities[0].state = IdentityState::Disabled;
    let refusal = renew(&mut world, tgt.ticket).err();
    assert_eq!(refusal, Some(Outcome::Refused(Reason::IdentityDisabled)));
    refused(
        Reason::OptionNotSupported,
        |_| {},
        |a| {
            tgs(a);
            a.body.kdc_options.0 |= kdc_option::RENEW;
        },
    );
}

#[test]
fn a_protected_reply_proves_the_request() {
    let mut world = TwoRealms::new();
    let referral = world.referral();
    let ticket = world.seal(referral);
    let mut ask = world.ask();
    ask.padata = vec![
        PaData::new(pa_type::REQ_ENC_PA_REP, vec![]),
        PaData::new(pa_type::PAC_OPTIONS, vec![]),
    ];
    let bytes = world.request(ticket, ask);
    let ending = world.exchange(&bytes);
    let granted = world.open(ending, false).map_err(|e| e.1.outcome).unwrap();
    let padata = granted.part.encrypted_pa_data.unwrap();
    let proof: crossrealm_krb::messages::Checksum =
        decode(PaData::find(&padata, pa_type::REQ_ENC_PA_REP).unwrap()).unwrap();
    proof.verify(&world.subkey(), 56, &bytes).unwrap();
    assert!(PaData::find(&padata, pa_type::FX_FAST).is_some());
    assert!(PaData::find(&padata, pa_type::PAC_OPTIONS).is_some());
}

#[test]
fn a_grandchilds_compressed_path_is_expanded_and_checked() {
    let mut world = TwoRealms::new();
    for (realm, flat, sid) in [
        ("EU.CORP.CONTOSO.COM", "EU", "S-1-5-21-7-7-7"),
        ("DE.EU.CORP.CONTOSO.COM", "DE", "S-1-5-21-8-8-8"),
    ] {
        world.trust.domains.push(ForestDomain {
            realm: realm.into(),
            dns_name: realm.to_lowercase(),
            flat_name: flat.into(),
            sid: sid.parse().unwrap(),
        });
    }
    world.identities[0].sid = "S-1-5-21-8-8-8-1104".parse().unwrap();
    let child = |r: &mut Referral, path: &str| {
        r.part.crealm = "DE.EU.CORP.CONTOSO.COM".into();
        r.part.transited.contents = path.as_bytes().to_vec().into();
    };
    let ask = |a: &mut Ask| a.authenticator.crealm = "DE.EU.CORP.CONTOSO.COM".into();
    for path in ["EU.CORP.CONTOSO.COM", ","] {
        let granted = play(&mut world, |r| child(r, path), ask).unwrap();
        assert_eq!(
            &granted.inside.transited.contents[..],
            b"EU.CORP.CONTOSO.COM,CORP.CONTOSO.COM"
        );
    }
    for path in [
        "CONTOSO.COM",
        ",CONTOSO.COM",
        "EU.CORP.CONTOSO.COM,EVIL.",
        "\\",
    ] {
        let result = play(&mut world, |r| child(r, path), ask);
        assert_eq!(result.err(), Some(Reason::PathNotAccepted), "{path}");
    }
}

#[test]
fn records_of_another_tenant_never_make_a_ticket() {
    let mut world = TwoRealms::new();
    let referral = world.referral();
    let ticket = world.seal(referral);
    let ask = world.ask();
    let bytes = world.request(ticket, ask);
    let other = crate::TenantId([8; 16]);
    let step = crate::Exchange::begin(other, &bytes, world.now, crate::EventId([1; 16]));
    let Step::Need { exchange, lookups } = step else {
        panic!("{step:?}");
    };
    let records = world.records(&lookups.wanted);
    let Step::Reply { event, .. } = exchange.resume(records, &mut world.random()) else {
        panic!("no reply");
    };
    assert_eq!(
        event.outcome,
        Outcome::Refused(Reason::DirectoryUnavailable)
    );
}
