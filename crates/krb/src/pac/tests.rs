//! The PAC as a whole: round trips, forgeries, tickets from real Windows, and the opinion of Samba's own reader.

mod foreign;

use super::*;
use crate::crypto::{Enctype, Key};
use proptest::prelude::*;

const ENCTYPES: [Enctype; 4] = [
    Enctype::Aes128Sha1,
    Enctype::Aes256Sha1,
    Enctype::Aes128Sha2,
    Enctype::Aes256Sha2,
];
const TICKET: &[u8] = b"the EncTicketPart with a zero byte for the PAC";

fn key(enctype: Enctype, seed: u8) -> Key {
    Key::new(enctype, &vec![seed; enctype.key_len()]).unwrap()
}

fn sid(text: &str) -> Sid {
    text.parse().unwrap()
}

/// The buffers of a service ticket for a user with a name that is not ASCII.
fn buffers() -> Vec<Buffer> {
    let mut info = LogonInfo::new(sid("S-1-5-21-1-2-3"), 1104, 513, "müller");
    info.logon_time = FileTime::from_unix_seconds(1_700_000_000);
    info.full_name = "Jörg Müller-Иванов".into();
    info.logon_domain = "CORP".into();
    info.set_groups(&[
        sid("S-1-5-21-1-2-3-513"),
        sid("S-1-5-21-1-2-3-1201"),
        sid("S-1-5-21-4-5-6-1300"),
    ]);
    vec![
        Buffer::LogonInfo(Box::new(info)),
        Buffer::ClientInfo(ClientInfo {
            auth_time: FileTime::from_unix_seconds(1_700_000_000),
            name: "müller".into(),
        }),
        Buffer::UpnDns(UpnDnsInfo {
            upn: "müller@corp.contoso.com".into(),
            dns_domain_name: "CORP.CONTOSO.COM".into(),
            upn_is_constructed: false,
            account: Some(UpnAccount {
                name: "müller".into(),
                sid: sid("S-1-5-21-1-2-3-1104"),
            }),
        }),
    ]
}

/// The buffers of a TGT.
fn tgt_buffers() -> Vec<Buffer> {
    let mut buffers = buffers();
    buffers.push(Buffer::Attributes(Attributes::requested()));
    buffers.push(Buffer::Requester(sid("S-1-5-21-1-2-3-1104")));
    buffers
}

#[test]
fn signed_pacs_verify_under_every_pair_of_enctypes() {
    for (server_enctype, kdc_enctype) in ENCTYPES.iter().zip(ENCTYPES.iter().cycle().skip(1)) {
        let (server, kdc) = (key(*server_enctype, 1), key(*kdc_enctype, 2));

        let raw = sign(&buffers(), &server, &kdc, Some(TICKET)).unwrap();
        let pac = Pac::decode(&raw).unwrap();
        assert_eq!(pac.verify_all(&server, &kdc, Some(TICKET)), Ok(()));
        assert_eq!(pac.buffers()[..3], buffers());
        assert_eq!(Pac::encode(pac.buffers()).unwrap(), raw);

        let raw = sign(&tgt_buffers(), &server, &kdc, None).unwrap();
        let pac = Pac::decode(&raw).unwrap();
        assert_eq!(pac.verify_all(&server, &kdc, None), Ok(()));
        assert_eq!(pac.requester(), Some(&sid("S-1-5-21-1-2-3-1104")));
        assert_eq!(pac.attributes(), Some(Attributes::requested()));
    }
}

#[test]
fn each_wrong_key_and_the_wrong_ticket_break_their_own_signature() {
    let (server, kdc) = (key(Enctype::Aes256Sha1, 1), key(Enctype::Aes256Sha1, 2));
    let raw = sign(&buffers(), &server, &kdc, Some(TICKET)).unwrap();
    let pac = Pac::decode(&raw).unwrap();
    let bad = |kind| Err(PacError::BadSignature(kind));
    assert_eq!(
        pac.verify_all(&kdc, &kdc, Some(TICKET)),
        bad(BufferKind::SERVER_SIGNATURE)
    );
    assert_eq!(
        pac.verify_all(&server, &server, Some(TICKET)),
        bad(BufferKind::KDC_SIGNATURE)
    );
    assert_eq!(
        pac.verify_all(&server, &kdc, Some(b"another ticket")),
        bad(BufferKind::TICKET_SIGNATURE)
    );
    assert_eq!(pac.verify_full(&server), bad(BufferKind::FULL_SIGNATURE));
    assert_eq!(
        pac.verify_all(&server, &kdc, None),
        Err(PacError::Unexpected(BufferKind::TICKET_SIGNATURE))
    );
    let tgt = Pac::decode(&sign(&tgt_buffers(), &server, &kdc, None).unwrap()).unwrap();
    assert_eq!(
        tgt.verify_all(&server, &kdc, Some(TICKET)),
        Err(PacError::Missing(BufferKind::TICKET_SIGNATURE))
    );
}

#[test]
fn every_bit_is_covered_by_a_signature() {
    let (server, kdc) = (key(Enctype::Aes256Sha1, 1), key(Enctype::Aes256Sha2, 2));
    let raw = sign(&buffers(), &server, &kdc, Some(TICKET)).unwrap();
    for at in 0..raw.len() {
        let mut edited = raw.clone();
        edited[at] ^= 1;
        let believed =
            Pac::decode(&edited).and_then(|pac| pac.verify_all(&server, &kdc, Some(TICKET)));
        assert!(believed.is_err(), "byte {at}");
    }
}

#[test]
fn a_service_that_knows_its_own_key_cannot_add_a_group() {
    let (server, kdc) = (key(Enctype::Aes256Sha1, 1), key(Enctype::Aes256Sha1, 2));
    let raw = sign(&buffers(), &server, &kdc, Some(TICKET)).unwrap();
    let honest = Pac::decode(&raw).unwrap();

    // Re-sign an edited PAC with what the service has, and keep the KDC's own signatures.
    let mut edited = honest.buffers().to_vec();
    if let Some(Buffer::LogonInfo(info)) = edited.first_mut() {
        info.primary_group_rid = 512;
    }
    let forge = Pac::decode(&Pac::encode(&edited).unwrap()).unwrap();
    let zeroed = forge.zeroed(&[BufferKind::SERVER_SIGNATURE, BufferKind::KDC_SIGNATURE]);
    let forged_mac = server.checksum(17, &zeroed.unwrap());
    for buffer in &mut edited {
        if let Buffer::Signature(BufferKind::SERVER_SIGNATURE, signature) = buffer {
            signature.mac.clone_from(&forged_mac);
        }
    }
    let forged = Pac::decode(&Pac::encode(&edited).unwrap()).unwrap();
    assert_eq!(forged.verify_server(&server), Ok(()));
    assert_eq!(
        forged.verify_kdc(&kdc),
        Err(PacError::BadSignature(BufferKind::KDC_SIGNATURE))
    );
    assert_eq!(
        forged.verify_full(&kdc),
        Err(PacError::BadSignature(BufferKind::FULL_SIGNATURE))
    );
}

#[test]
fn a_signature_of_another_type_is_a_downgrade() {
    let (server, kdc) = (key(Enctype::Aes256Sha1, 1), key(Enctype::Aes256Sha1, 2));
    let raw = sign(&buffers(), &server, &kdc, Some(TICKET)).unwrap();
    let honest = Pac::decode(&raw).unwrap();
    // HMAC-MD5, and the AES128 sum of the same length as the AES256 one.
    for (checksum_type, mac_len) in [(-138, 16), (15, 12)] {
        let mut edited = honest.buffers().to_vec();
        for buffer in &mut edited {
            if let Buffer::Signature(BufferKind::SERVER_SIGNATURE, signature) = buffer {
                signature.checksum_type = checksum_type;
                signature.mac.resize(mac_len, 0);
            }
        }
        let pac = Pac::decode(&Pac::encode(&edited).unwrap()).unwrap();
        assert_eq!(
            pac.verify_server(&server),
            Err(PacError::SignatureType {
                buffer: BufferKind::SERVER_SIGNATURE,
                expected: 16,
                found: checksum_type
            })
        );
    }
    for wanted in [BufferKind::SERVER_SIGNATURE, BufferKind::KDC_SIGNATURE] {
        let mut edited = honest.buffers().to_vec();
        edited.retain(|buffer| buffer.kind() != wanted);
        let pac = Pac::decode(&Pac::encode(&edited).unwrap()).unwrap();
        let result = pac.verify_all(&server, &kdc, Some(TICKET));
        assert!(matches!(
            result,
            Err(PacError::Missing(_) | PacError::BadSignature(_))
        ));
    }
}

#[test]
fn incomplete_or_signed_buffers_are_not_signed() {
    let (server, kdc) = (key(Enctype::Aes256Sha1, 1), key(Enctype::Aes256Sha1, 2));
    let raw = sign(&buffers(), &server, &kdc, None).unwrap();
    let signed = Pac::decode(&raw).unwrap();
    let sign = |buffers: &[Buffer]| sign(buffers, &server, &kdc, None);
    assert_eq!(
        sign(&buffers()[1..]),
        Err(PacError::Missing(BufferKind::LOGON_INFO))
    );
    assert_eq!(
        sign(&buffers()[..1]),
        Err(PacError::Missing(BufferKind::CLIENT_INFO))
    );
    assert_eq!(
        sign(signed.buffers()),
        Err(PacError::Unexpected(BufferKind::SERVER_SIGNATURE))
    );
    let twice = [buffers(), buffers()].concat();
    assert_eq!(
        sign(&twice),
        Err(PacError::Duplicate(BufferKind::LOGON_INFO))
    );
}

#[test]
fn errors_read_like_sentences_and_name_the_buffer() {
    let malformed = PacError::Malformed {
        buffer: BufferKind::LOGON_INFO,
        reason: NdrError::Truncated,
    };
    assert_eq!(malformed.to_string(), "PAC LOGON_INFO: the data ends early");
    assert_eq!(
        PacError::BadSignature(BufferKind::SERVER_SIGNATURE).to_string(),
        "PAC server signature does not verify"
    );
    assert_eq!(
        PacError::Missing(BufferKind(13)).to_string(),
        "PAC buffer 13 is missing"
    );
}

fn any_text() -> impl Strategy<Value = String> {
    proptest::collection::vec(any::<char>(), 0..20).prop_map(String::from_iter)
}

fn any_sid(sub_authorities: std::ops::Range<usize>) -> impl Strategy<Value = Sid> {
    let subs = proptest::collection::vec(any::<u32>(), sub_authorities);
    (0..1u64 << 48, subs).prop_map(|(authority, subs)| Sid::new(authority, &subs).unwrap())
}

fn any_memberships() -> impl Strategy<Value = Vec<GroupMembership>> {
    let one = any::<(u32, u32)>().prop_map(|(rid, attributes)| GroupMembership { rid, attributes });
    proptest::collection::vec(one, 0..5)
}

prop_compose! {
    fn any_logon_info()(
        texts in proptest::collection::vec(any_text(), 8),
        times in any::<[u64; 4]>(),
        numbers in any::<[u32; 6]>(),
        counts in any::<[u16; 2]>(),
        domain_sid in any_sid(1..15),
        groups in any_memberships(),
        extra in proptest::collection::vec((any_sid(1..16), any::<u32>()), 0..4),
        resource in proptest::option::of((any_sid(1..15), any_memberships())),
    ) -> LogonInfo {
        let mut info = LogonInfo::new(domain_sid, numbers[0], numbers[1], &texts[0]);
        info.full_name = texts[1].as_str().into();
        info.logon_script = texts[2].as_str().into();
        info.profile_path = Default::default();
        info.home_directory = texts[3].as_str().into();
        info.logon_server = texts[4].as_str().into();
        info.logon_domain = texts[5].as_str().into();
        info.logon_time = FileTime(times[0]);
        info.kickoff_time = FileTime(times[1]);
        info.last_failed_logon = FileTime(times[2]);
        info.password_last_set = FileTime(times[3]);
        info.user_flags = numbers[2];
        info.user_account_control = numbers[3];
        info.failed_logon_count = numbers[4];
        info.reserved1 = [numbers[5], numbers[0]];
        info.logon_count = counts[0];
        info.bad_password_count = counts[1];
        info.groups = groups;
        info.extra_sids = extra
            .into_iter()
            .map(|(sid, attributes)| SidAndAttributes { sid, attributes })
            .collect();
        if let Some((sid, groups)) = resource {
            info.resource_domain_sid = Some(sid);
            info.resource_groups = groups;
        }
        info
    }
}

prop_compose! {
    fn any_buffers()(
        info in any_logon_info(),
        texts in proptest::collection::vec(any_text(), 4),
        auth_time in any::<u64>(),
        constructed in any::<bool>(),
        account in proptest::option::of(any_sid(1..16)),
        (flags_len, flags) in (1..=32u32, any::<u32>()),
        requester in any_sid(1..16),
        kdc_mac in any::<[u8; 24]>(),
        rodc_id in any::<Option<u16>>(),
        other in proptest::collection::vec(any::<u8>(), 0..40),
        order in any::<prop::sample::Index>(),
    ) -> Vec<Buffer> {
        let mut buffers = vec![
            Buffer::LogonInfo(Box::new(info)),
            Buffer::ClientInfo(ClientInfo { auth_time: FileTime(auth_time), name: texts[0].clone() }),
            Buffer::UpnDns(UpnDnsInfo {
                upn: texts[1].clone(),
                dns_domain_name: texts[2].clone(),
                upn_is_constructed: constructed,
                account: account.map(|sid| UpnAccount { name: texts[3].clone(), sid }),
            }),
            Buffer::Attributes(Attributes { flags_len, flags }),
            Buffer::Requester(requester),
            Buffer::Signature(
                BufferKind::KDC_SIGNATURE,
                Signature { checksum_type: 20, mac: kdc_mac.to_vec(), rodc_id },
            ),
            Buffer::Other(BufferKind(13), other),
        ];
        let first = order.index(buffers.len());
        buffers.rotate_left(first);
        buffers
    }
}

proptest! {
    #[test]
    fn encoded_pacs_decode_to_the_same(buffers in any_buffers()) {
        let raw = Pac::encode(&buffers).unwrap();
        let pac = Pac::decode(&raw).unwrap();
        prop_assert_eq!(pac.buffers(), &buffers[..]);
        prop_assert_eq!(Pac::encode(pac.buffers()).unwrap(), raw);
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = Pac::decode(&bytes);
    }

    #[test]
    fn edited_pacs_that_decode_round_trip(
        buffers in any_buffers(),
        edits in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut raw = Pac::encode(&buffers).unwrap();
        for (at, byte) in edits {
            let at = at.index(raw.len());
            raw[at] = byte;
        }
        if let Ok(pac) = Pac::decode(&raw) {
            let again = Pac::decode(&Pac::encode(pac.buffers()).unwrap()).unwrap();
            prop_assert_eq!(again.buffers(), pac.buffers());
        }
    }
}
