//! What is granted: service tickets, ticket-granting tickets, and what is in them.

use super::{honest, key, pac_of, play, refused};
use crossrealm_kdc::{
    ForestDomain, KeyState, Reason, ServiceKey, TicketOutcome, TrustGeneration, TrustKey,
};
use crossrealm_krb::crypto::Key;
use crossrealm_krb::key_usage;
use crossrealm_krb::messages::{
    AuthorizationDataElement, EncryptedData, PaData, PrincipalName, Ticket, ad_type, decode,
    encode, flags, kdc_option, pa_type,
};
use crossrealm_krb::pac::Buffer;
use crossrealm_testkit::two_realms::{
    AD_REALM, Granted, Referral, RequestDraft, SHARE_HOST, TENANT_REALM, TwoRealms,
};
use crossrealm_types::IdentityState;

#[test]
fn an_honest_request_gets_a_ticket_with_the_directorys_word() {
    for fast in [false, true] {
        let mut world = TwoRealms::new();
        let granted = play(&mut world, |_| {}, |a| a.fast = fast).unwrap();
        assert_eq!(granted.ticket.realm.as_str(), TENANT_REALM);
        assert_eq!(granted.ticket.enc_part.kvno(), Some(1));
        assert_eq!(granted.part.nonce, 12345);
        assert_eq!(granted.enc_part.crealm.as_str(), AD_REALM);
        assert_eq!(granted.enc_part.cname.to_string(), "alice");
        assert!(granted.enc_part.transited.contents.is_empty());
        assert!(
            granted
                .enc_part
                .flags
                .has(flags::FORWARDABLE | flags::PRE_AUTHENT)
        );
        assert!(!granted.enc_part.flags.has(flags::OK_AS_DELEGATE));
        let pac = pac_of(&granted);
        let info = pac.logon_info().unwrap();
        let sids: Vec<String> = info.token_sids().iter().map(|s| s.to_string()).collect();
        assert_eq!(
            sids,
            ["1104", "513", "513", "1200", "1201"]
                .map(|rid| format!("S-1-5-21-1111-2222-3333-{rid}"))
        );
        assert_eq!(granted.event.outcome, TicketOutcome::Issued);
        assert_eq!(granted.event.trust_key_version, Some(1));
    }
}

/// F6: a realm in another case is the same realm, with FAST and without; the answer has the canonical name.
#[test]
fn a_realm_in_lower_case_is_answered_with_the_canonical_name() {
    for fast in [false, true] {
        let mut world = TwoRealms::new();
        let lower = |a: &mut RequestDraft| {
            a.fast = fast;
            a.body.realm = TENANT_REALM.to_lowercase().as_str().into();
        };
        let granted = play(&mut world, |_| {}, lower).unwrap();
        assert_eq!(granted.ticket.realm.as_str(), TENANT_REALM);
        assert_eq!(granted.part.srealm.as_str(), TENANT_REALM);
    }
}

#[test]
fn every_signature_of_an_issued_pac_verifies() {
    let mut world = TwoRealms::new();
    let granted = honest(&mut world);
    let mut unsigned = granted.enc_part.clone();
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
        version(3, KeyState::Previous { until }, 0x33),
        version(2, KeyState::Retired { until }, 2),
        version(1, KeyState::Retired { until: until - 20 }, 0x22),
    ];
    for (byte, opened) in [(0x44, Some(4)), (0x33, Some(3)), (2, Some(2)), (0x22, None)] {
        let result = play(
            &mut world,
            |r| {
                r.ticket_key = key(byte);
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
    let child: crossrealm_types::Sid = "S-1-5-21-7-7-7".parse().unwrap();
    world.trust.forest.domains.push(ForestDomain {
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
    assert_eq!(
        &granted.enc_part.transited.contents[..],
        AD_REALM.as_bytes()
    );
    assert_eq!(granted.enc_part.crealm.as_str(), "EU.CORP.CONTOSO.COM");
    // The same client with a SID of the root domain is refused.
    let root = world.trust.forest.domains[0].sid.with_rid(1104).unwrap();
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
    // The KDC's own code of RFC 4120 §7.5.9, not the application server's 51.
    assert_eq!(Reason::PathNotAccepted.error_code(), 28);
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
    let ask = world.request_draft();
    let bytes = world.request_with(tgt.ticket, ask, &session);
    let ending = world.exchange(&bytes);
    let granted = world
        .decrypt_reply(ending, false)
        .map_err(|e| e.1.outcome)
        .unwrap();
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
    let ask = world.request_draft();
    let bytes = world.request_with(granted.ticket, ask, &session);
    let ending = world.exchange(&bytes);
    let (_, event) = *world.decrypt_reply(ending, false).err().unwrap();
    assert_eq!(
        event.outcome,
        TicketOutcome::Refused(Reason::TicketNotForUs)
    );
}

#[test]
fn a_tgt_of_this_realm_is_renewed_within_its_bounds() {
    let mut world = TwoRealms::new();
    let tgs = |a: &mut RequestDraft| a.body.sname = Some(PrincipalName::krbtgt(TENANT_REALM));
    let tgt = play(
        &mut world,
        |_| {},
        |a| {
            tgs(a);
            a.body.kdc_options.0 |= kdc_option::RENEWABLE;
        },
    )
    .unwrap();
    let renew_till = tgt.enc_part.renew_till.unwrap().0;
    assert!(renew_till > tgt.enc_part.endtime.0);
    let session = tgt.part.key.to_key().unwrap();
    let renew = |world: &mut TwoRealms, ticket| {
        let mut ask = world.request_draft();
        tgs(&mut ask);
        ask.body.kdc_options.0 |= kdc_option::RENEW;
        let bytes = world.request_with(ticket, ask, &session);
        let ending = world.exchange(&bytes);
        world.decrypt_reply(ending, false).map_err(|e| e.1.outcome)
    };
    world.now.unix_s += 1000;
    let renewed = renew(&mut world, tgt.ticket.clone())
        .map_err(|e| format!("{e:?}"))
        .unwrap();
    let life = tgt.enc_part.endtime.0 - tgt.enc_part.starttime.unwrap().0;
    assert_eq!(renewed.enc_part.endtime.0, world.now.unix_s + life);
    assert_eq!(renewed.enc_part.renew_till.unwrap().0, renew_till);
    // Once disabled, never renewed.
    world.identities[0].state = IdentityState::Disabled;
    let refusal = renew(&mut world, tgt.ticket).err();
    assert_eq!(
        refusal,
        Some(TicketOutcome::Refused(Reason::IdentityDisabled))
    );
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
    let ticket = world.encrypt_referral(referral);
    let mut ask = world.request_draft();
    ask.padata = vec![
        PaData::new(pa_type::REQ_ENC_PA_REP, vec![]),
        PaData::new(pa_type::PAC_OPTIONS, vec![]),
    ];
    let bytes = world.request(ticket, ask);
    let ending = world.exchange(&bytes);
    let granted = world
        .decrypt_reply(ending, false)
        .map_err(|e| e.1.outcome)
        .unwrap();
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
        world.trust.forest.domains.push(ForestDomain {
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
    let ask = |a: &mut RequestDraft| a.authenticator.crealm = "DE.EU.CORP.CONTOSO.COM".into();
    for path in ["EU.CORP.CONTOSO.COM", ","] {
        let granted = play(&mut world, |r| child(r, path), ask).unwrap();
        assert_eq!(
            &granted.enc_part.transited.contents[..],
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
fn a_tgt_of_this_realm_is_worth_nothing_without_the_trust() {
    let mut world = TwoRealms::new();
    let tgs = |a: &mut RequestDraft| a.body.sname = Some(PrincipalName::krbtgt(TENANT_REALM));
    let tgt = play(&mut world, |_| {}, tgs).unwrap();
    let session = tgt.part.key.to_key().unwrap();
    let foreign = "S-1-5-21-9-9-9-1300".parse().unwrap();
    world.identities[0].groups.push(foreign);
    let again = |world: &mut TwoRealms| {
        let ask = world.request_draft();
        let bytes = world.request_with(tgt.ticket.clone(), ask, &session);
        let ending = world.exchange(&bytes);
        world.decrypt_reply(ending, false).map_err(|e| e.1.outcome)
    };
    // A group of an unregistered domain is not included.
    let granted = again(&mut world).map_err(|e| format!("{e:?}")).unwrap();
    let sids = pac_of(&granted).logon_info().unwrap().token_sids();
    assert!(sids.iter().all(|s| s.rid() != 1300), "{sids:?}");
    // The trust removed, its domains are registered no more.
    world.trust.forest.domains.clear();
    assert_eq!(
        again(&mut world).err(),
        Some(TicketOutcome::Refused(Reason::ClientRealmNotTrusted))
    );
}

/// A TGT of the tenant's realm, renewable, with its session key.
fn renewable_tgt(world: &mut TwoRealms) -> (Granted, Key) {
    let tgt = play(
        world,
        |_| {},
        |a| {
            a.body.sname = Some(PrincipalName::krbtgt(TENANT_REALM));
            a.body.kdc_options.0 |= kdc_option::RENEWABLE;
        },
    )
    .unwrap();
    let session = tgt.part.key.to_key().unwrap();
    (tgt, session)
}

/// Presents a TGT of the realm for the share, then for its renewal.
fn use_and_renew(
    world: &mut TwoRealms,
    (tgt, session): &(Granted, Key),
) -> [Result<Granted, TicketOutcome>; 2] {
    let mut renewal = world.request_draft();
    renewal.body.sname = Some(PrincipalName::krbtgt(TENANT_REALM));
    renewal.body.kdc_options.0 |= kdc_option::RENEW;
    [world.request_draft(), renewal].map(|ask| {
        let bytes = world.request_with(tgt.ticket.clone(), ask, session);
        let ending = world.exchange(&bytes);
        world.decrypt_reply(ending, false).map_err(|e| e.1.outcome)
    })
}

/// S6: a thief buys a TGT with a forged referral and renews it for days. It ends with the trust, or with the stolen key.
#[test]
fn s6_a_tgt_ends_with_the_generation_of_its_trust() {
    let mut world = TwoRealms::new();
    let bought = renewable_tgt(&mut world);
    for outcome in use_and_renew(&mut world, &bought) {
        outcome.map_err(|e| format!("{e:?}")).unwrap();
    }
    // The trust is created anew with the same domains, or its key is retired as stolen: both change its generation.
    world.trust.forest.generation = TrustGeneration([10; 16]);
    for outcome in use_and_renew(&mut world, &bought) {
        let revoked = TicketOutcome::Refused(Reason::TrustReplaced);
        assert_eq!(outcome.err(), Some(revoked));
    }
    // Honest users get a new one, which is renewed.
    let fresh = renewable_tgt(&mut world);
    for outcome in use_and_renew(&mut world, &fresh) {
        outcome.map_err(|e| format!("{e:?}")).unwrap();
    }
}

/// S6: a TGT that an earlier version issued names no generation. It is good for the trusts of that version alone.
#[test]
fn s6_a_tgt_without_a_generation_is_of_a_trust_without_one() {
    let mut world = TwoRealms::new();
    let (tgt, session) = renewable_tgt(&mut world);
    // What an earlier version would have written: the PAC alone.
    let mut part = tgt.enc_part.clone();
    let elements = part.authorization_data.as_mut().unwrap();
    let mut inner: Vec<AuthorizationDataElement> = decode(&elements[0].data).unwrap();
    assert_eq!(inner.len(), 2);
    inner.truncate(1);
    elements[0].data = encode(&inner).unwrap().into();
    let krbtgt = world.tenant.krbtgt_keys[0].key.clone();
    let enc_part = EncryptedData::encrypt(
        &krbtgt,
        Some(1),
        key_usage::TICKET,
        &encode(&part).unwrap(),
        &mut world.random(),
    );
    let ticket = Ticket {
        enc_part,
        ..tgt.ticket.clone()
    };
    let old = (Granted { ticket, ..tgt }, session);
    let revoked = TicketOutcome::Refused(Reason::TrustReplaced);
    for outcome in use_and_renew(&mut world, &old) {
        assert_eq!(outcome.err(), Some(revoked));
    }
    world.trust.forest.generation = TrustGeneration::UNNAMED;
    for outcome in use_and_renew(&mut world, &old) {
        outcome.map_err(|e| format!("{e:?}")).unwrap();
    }
}

/// S6: the previous trust key has an end, as a retired one has.
#[test]
fn s6_a_previous_trust_key_ends() {
    let mut world = TwoRealms::new();
    let until = world.now.unix_s + 10;
    world.trust.keys[0].state = KeyState::Previous { until };
    honest(&mut world);
    world.now.unix_s = until + 1;
    assert_eq!(
        play(&mut world, |_| {}, |_| {}).err(),
        Some(Reason::TicketIntegrity)
    );
}

/// S6: the realm's own key is replaced without a failed ticket, and one that was stolen decrypts nothing any more.
#[test]
fn s6_the_realms_key_is_replaced_and_the_old_one_decrypts_as_long_as_it_is_kept() {
    let mut world = TwoRealms::new();
    let before = renewable_tgt(&mut world);
    let next = ServiceKey {
        kvno: 2,
        key: key(0x77),
    };
    world.tenant.krbtgt_keys.insert(0, next);
    let [used, renewed] = use_and_renew(&mut world, &before);
    used.map_err(|e| format!("{e:?}")).unwrap();
    // The renewal moves it to the new key.
    let renewed = renewed.map_err(|e| format!("{e:?}")).unwrap();
    assert_eq!(renewed.ticket.enc_part.kvno(), Some(2));
    world.tenant.krbtgt_keys.truncate(1);
    for outcome in use_and_renew(&mut world, &before) {
        let refused = TicketOutcome::Refused(Reason::TicketIntegrity);
        assert_eq!(outcome.err(), Some(refused));
    }
}
