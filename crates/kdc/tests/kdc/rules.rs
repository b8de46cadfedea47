//! Each security rule of the exchange: what breaks it is refused, for its own reason.

use super::{key, pac_of, play, refused};
use crossrealm_kdc::{Reason, ServiceKey, TicketOutcome};
use crossrealm_krb::crypto::{Enctype, Key};
use crossrealm_krb::messages::{
    KerberosFlags, KerberosTime, PaData, PrincipalName, flags, kdc_option, name_type, pa_type,
};
use crossrealm_krb::pac::Buffer;
use crossrealm_testkit::two_realms::{Ending, Referral, TwoRealms};
use crossrealm_types::{IdentitySource, IdentityState};

#[test]
fn rule_1_only_this_tenants_trust_key_decrypts_a_referral() {
    refused(
        Reason::TicketIntegrity,
        |r| r.ticket_key = key(0x77),
        |_| {},
    );
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
            let foreign: crossrealm_types::Sid = "S-1-5-21-9-9-9-1104".parse().unwrap();
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
fn rule_1_a_renamed_account_does_not_get_anothers_name() {
    // AD vouches for the name and the SID, but the directory knows this SID by another name.
    refused(
        Reason::ClientNameMismatch,
        |r| {
            r.part.cname = PrincipalName::new(name_type::PRINCIPAL, &["bob"]);
            for buffer in r.pac.as_mut().unwrap() {
                if let Buffer::ClientInfo(info) = buffer {
                    info.name = "bob".into();
                }
            }
        },
        |a| a.authenticator.cname = PrincipalName::new(name_type::PRINCIPAL, &["bob"]),
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
            |w| w.service_name = crossrealm_kdc::ServiceName::new("cifs", "other"),
            Reason::ServiceUnknown,
        ),
    ];
    for (change, reason) in cases {
        let mut world = TwoRealms::new();
        // The referral is made before the change, as an old ticket would be.
        let (referral, ask) = (world.referral(), world.request_draft());
        change(&mut world);
        let ticket = world.encrypt_referral(referral);
        let bytes = world.request(ticket, ask);
        let ending = world.exchange(&bytes);
        let (_, event) = *world.decrypt_reply(ending, false).err().unwrap();
        assert_eq!(event.outcome, TicketOutcome::Refused(reason));
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
    let ticket = world.encrypt_referral(referral);
    let ask = world.request_draft();
    let bytes = world.request(ticket.clone(), ask);
    let ending = world.exchange(&bytes);
    let granted = world
        .decrypt_reply(ending, false)
        .map_err(|e| e.1.outcome)
        .unwrap();
    assert_eq!(pac_of(&granted).logon_info().unwrap().groups.len(), 1010);
    world.identities[0]
        .groups
        .push(domain.with_rid(9000).unwrap());
    let ending = world.exchange(&bytes);
    let (_, event) = *world.decrypt_reply(ending, false).err().unwrap();
    assert_eq!(event.outcome, TicketOutcome::Refused(Reason::TooManyGroups));
}

#[test]
fn rule_4_encryption_types_other_than_aes_are_refused() {
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
    let mut ticket = world.encrypt_referral(referral);
    ticket.enc_part.etype = 23;
    let ask = world.request_draft();
    let bytes = world.request(ticket, ask);
    let ending = world.exchange(&bytes);
    let (error, event) = *world.decrypt_reply(ending, false).err().unwrap();
    assert_eq!(
        event.outcome,
        TicketOutcome::Refused(Reason::EncryptionTypeNotSupported)
    );
    assert_eq!(error.error_code, 14);
}

#[test]
fn rule_4_the_session_key_is_of_a_type_that_both_sides_support() {
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

/// R8: to a service whose clock is two years ahead every ticket has ended, and the authenticator says why.
#[test]
fn r8_the_clients_clock_is_measured_also_where_its_ticket_is_refused() {
    for ahead_s in [0, 200, 2 * 365 * 86_400] {
        let mut world = TwoRealms::new();
        let ticket = world.encrypt_referral(world.referral());
        let draft = world.request_draft();
        let message = world.request(ticket, draft);
        world.now.unix_s += ahead_s;
        let (Ending::Reply(_, event) | Ending::Dropped(event)) = world.exchange(&message);
        let clock = event.client_clock.expect("the authenticator was read");
        assert_eq!(clock.lead_s, ahead_s);
        assert!(clock.client.ends_with("@CORP.CONTOSO.COM"), "{clock:?}");
    }
}

#[test]
fn rule_6_expired_early_and_skewed_requests_are_refused() {
    let at = |r: &mut Referral, start: i64, end: i64| {
        r.part.starttime = Some(KerberosTime(start));
        r.part.endtime = KerberosTime(end);
    };
    let now = crossrealm_testkit::two_realms::START_S;
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
        granted.enc_part.endtime.0,
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
        granted.enc_part.endtime.0,
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
fn rule_6_delegation_postdating_and_user_to_user_are_refused() {
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
    assert_eq!(granted.enc_part.flags.0 & never, 0);
}
