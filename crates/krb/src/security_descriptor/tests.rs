//! Descriptors that Samba wrote, edges, damage of every kind.

use super::*;
use proptest::prelude::*;

/// What Samba 4.17.12 (`python3-samba`) makes of the text: `ndr_pack(security.descriptor.from_sddl(TEXT,
/// dom_sid("S-1-5-21-1-2-3")))` of `samba.ndr` and `samba.dcerpc`.
const BY_SAMBA: [(&str, &str); 7] = [
    (
        "O:BAG:BAD:(A;;0x001f01ff;;;SY)",
        "010004801400000024000000000000003400000001020000000000052000000020020000010200000000000520\
         0000002002000004001c000100000000001400ff011f00010100000000000512000000",
    ),
    (
        "O:DAG:DUD:PAI(D;;0x00000002;;;WD)(A;OICI;0x001301bf;;;AU)(A;OICIIO;0x001f01ff;;;CO)",
        "010004941400000030000000000000004c00000001050000000000051500000001000000020000000300000000\
         020000010500000000000515000000010000000200000003000000010200000400440003000000010014000200\
         000001010000000000010000000000031400bf01130001010000000000050b000000000b1400ff011f00010100\
         000000000300000000",
    ),
    (
        "O:DAG:DAD:P(A;CI;0x000f00ff;;;DA)(OA;CI;CR;edacfd8f-ffb3-11d1-b41d-00a0c968f939;;AU)(OA;CIIO;RPWP;bf967950-0de6-11d0-a285-00aa003049e2;bf967aba-0de6-11d0-a285-00aa003049e2;PS)(OD;;CR;00299570-246d-11d0-a768-00aa006e0529;;WD)",
        "010004901400000030000000000000004c00000001050000000000051500000001000000020000000300000000\
         020000010500000000000515000000010000000200000003000000000200000400b4000400000000022400ff00\
         0f00010500000000000515000000010000000200000003000000000200000502280000010000010000008ffdac\
         edb3ffd111b41d00a0c968f93901010000000000050b000000050a38003000000003000000507996bfe60dd011\
         a28500aa003049e2ba7a96bfe60dd011a28500aa003049e201010000000000050a000000060028000001000001\
         000000709529006d24d011a76800aa006e0529010100000000000100000000",
    ),
    (
        "O:SYG:SYD:AI(A;ID;0x001200a9;;;BU)S:PAI(AU;SAFA;0x000d0116;;;WD)(OU;CISA;WP;f30e3bbe-9ff0-11d1-b603-0000f80367c1;bf967aa5-0de6-11d0-a285-00aa003049e2;WD)",
        "010014ac14000000200000002c0000008000000001010000000000051200000001010000000000051200000004\
         0054000200000002c0140016010d00010100000000000100000000074238002000000003000000be3b0ef3f09f\
         d111b6030000f80367c1a57a96bfe60dd011a28500aa003049e201010000000000010000000004002000010000\
         0000101800a900120001020000000000052000000021020000",
    ),
    (
        "O:BAG:SYD:",
        "010004801400000024000000000000003000000001020000000000052000000020020000010100000000000512\
         0000000400080000000000",
    ),
    (
        "O:BA",
        "010000801400000000000000000000000000000001020000000000052000000020020000",
    ),
    (
        "O:SYG:SYD:AR(A;;GA;;;SY)S:AR",
        "0100148314000000200000002c0000003400000001010000000000051200000001010000000000051200000004\
         0008000000000004001c00010000000000140000000010010100000000000512000000",
    ),
];

fn by_samba(text: &str) -> Vec<u8> {
    let (_, hex) = BY_SAMBA.iter().find(|(own, _)| *own == text).unwrap();
    hex::decode(hex).unwrap()
}

fn sid(text: &str) -> Sid {
    text.parse().unwrap()
}

fn descriptor() -> SecurityDescriptor {
    let mut one = SecurityDescriptor::new(
        Some(sid("S-1-5-32-544")),
        None,
        Some(vec![
            Ace::allow(flag::CONTAINER_INHERIT, 0x1f_01ff, &sid("S-1-5-18")),
            Ace::allow_right(0, 0x100, &[7; 16], &sid("S-1-5-11")),
        ]),
    );
    one.set_protected(true);
    one
}

fn other(kind: u8, body: &[u8]) -> Ace {
    Ace {
        kind,
        flags: flag::INHERITED,
        body: body.to_vec(),
    }
}

#[test]
fn descriptors_by_samba_re_encode_to_the_same_bytes() {
    for (text, hex) in BY_SAMBA {
        let bytes = hex::decode(hex).unwrap();
        let read = SecurityDescriptor::parse(&bytes).unwrap();
        assert_eq!(hex::encode(read.to_bytes().unwrap()), hex, "{text}");
        assert_eq!(read.is_protected(), text.contains("D:P"), "{text}");
        assert_eq!(
            read.is_auto_inherited(),
            text.contains("AI(") && !text.contains("S:AI")
        );
        assert_eq!(read.has_auditing(), text.contains("S:"), "{text}");
        assert_eq!(read.dacl.is_some(), text.contains("D:"), "{text}");
    }
}

#[test]
fn descriptors_by_samba_decode_to_their_sddl() {
    let files = SecurityDescriptor::parse(&by_samba(BY_SAMBA[1].0)).unwrap();
    assert_eq!(files.owner, Some(sid("S-1-5-21-1-2-3-512")));
    assert_eq!(files.group, Some(sid("S-1-5-21-1-2-3-513")));
    let entry = |deny, flags, mask, who| Entry {
        deny,
        flags,
        mask,
        sid: sid(who),
    };
    let entries: Vec<Entry> = files.entries().collect();
    assert_eq!(
        entries,
        [
            entry(true, 0, 2, "S-1-1-0"),
            entry(false, 3, 0x13_01bf, "S-1-5-11"),
            entry(false, 11, 0x1f_01ff, "S-1-3-0"),
        ]
    );
    assert!(entries[2].has(flag::INHERIT_ONLY) && !entries[1].has(flag::INHERIT_ONLY));

    let objects = SecurityDescriptor::parse(&by_samba(BY_SAMBA[2].0)).unwrap();
    assert_eq!(objects.entries().count(), 1);
    let seen = objects.dacl.unwrap();
    // edacfd8f-ffb3-11d1-b41d-00a0c968f939, the first three parts little-endian.
    let apply = hex::decode("8ffdacedb3ffd111b41d00a0c968f939").unwrap();
    assert_eq!(seen[1].object_type().unwrap()[..], apply);
    let about: Vec<_> = seen
        .iter()
        .map(|ace| (ace.kind, ace.mask(), ace.trustee()))
        .collect();
    assert_eq!(
        about,
        [
            (kind::ALLOWED, 0xf_00ff, Some(sid("S-1-5-21-1-2-3-512"))),
            (kind::ALLOWED_OBJECT, 0x100, Some(sid("S-1-5-11"))),
            (kind::ALLOWED_OBJECT, 0x30, Some(sid("S-1-5-10"))),
            (kind::DENIED_OBJECT, 0x100, Some(sid("S-1-1-0"))),
        ]
    );
}

#[test]
fn encoded_descriptors_decode_to_the_same() {
    let one = descriptor();
    let back = SecurityDescriptor::parse(&one.to_bytes().unwrap()).unwrap();
    assert_eq!(back.dacl, one.dacl);
    assert_eq!((&back.owner, &back.group), (&one.owner, &one.group));
    let entries = back.dacl.unwrap();
    assert_eq!(entries[0].trustee(), Some(sid("S-1-5-18")));
    assert_eq!(entries[1].trustee(), Some(sid("S-1-5-11")));
    assert_eq!(
        (entries[0].object_type(), entries[1].object_type()),
        (None, Some([7; 16]))
    );
    let open = SecurityDescriptor { dacl: None, ..one };
    let back = SecurityDescriptor::parse(&open.to_bytes().unwrap());
    assert_eq!(back, Ok(open));
}

#[test]
fn descriptors_round_trip_at_any_offset() {
    let bytes = by_samba(BY_SAMBA[1].0);
    let descriptor = SecurityDescriptor::parse(&bytes).unwrap();
    for base in [0_usize, 80] {
        let mut bytes = vec![0xaa; base];
        bytes.extend(descriptor.to_bytes_at(base).unwrap());
        let back = SecurityDescriptor::parse_at(&bytes, base).unwrap();
        assert_eq!(back, descriptor);
    }
}

#[test]
fn an_entry_is_changed_without_loss() {
    let bytes = by_samba(BY_SAMBA[2].0);
    let property = &SecurityDescriptor::parse(&bytes).unwrap().dacl.unwrap()[2];
    let less = property.clone().with_mask(0x10);
    assert_eq!(less.mask(), 0x10);
    assert_eq!(less.body.get(4..), property.body.get(4..));
    let entry = Entry {
        deny: true,
        flags: 3,
        mask: 7,
        sid: sid("S-1-1-0"),
    };
    assert_eq!(Ace::from(entry.clone()).entry(), Some(entry));
}

#[test]
fn unknown_entries_and_auditing_are_kept() {
    let mut one = SecurityDescriptor::parse(&by_samba(BY_SAMBA[1].0)).unwrap();
    // A conditional entry (type 9), one of no known type, one without a mask, one with space behind its SID.
    let mut roomy = Ace::allow(0, 1, &sid("S-1-5-18"));
    roomy.body.extend([1, 2, 3, 4]);
    let kept = [
        other(9, &[7; 20]),
        other(0x40, &[1; 8]),
        other(0xff, &[]),
        roomy,
    ];
    one.dacl.as_mut().unwrap().extend(kept.clone());
    let audited = SecurityDescriptor::parse(&by_samba(BY_SAMBA[3].0)).unwrap();
    let one = one.with_auditing_of(&audited);
    let bytes = one.to_bytes().unwrap();
    let back = SecurityDescriptor::parse(&bytes).unwrap();
    assert_eq!(back.to_bytes().unwrap(), bytes);
    assert!(back.has_auditing());
    assert_eq!(back.dacl.as_ref().unwrap()[3..], kept);
    assert_eq!(back.entries().last().unwrap().sid, sid("S-1-5-18"));
    // Without the auditing list its bits are gone too: P, AI and present.
    let bare = back.with_auditing_of(&descriptor());
    assert_eq!(u16_at(&bare.to_bytes().unwrap(), 2), Some(0x9404));
}

#[test]
fn control_bits_and_acl_revision_are_kept() {
    let mut bytes = by_samba(BY_SAMBA[0].0);
    // All bits but those of a list for auditing, with the resource manager's byte; a list of revision 3.
    bytes[1..4].copy_from_slice(&[0x5a, 0xcf, 0xd5]);
    let list = usize::try_from(u32_at(&bytes, 16).unwrap()).unwrap();
    bytes[list] = 3;
    let read = SecurityDescriptor::parse(&bytes).unwrap();
    assert_eq!(read.to_bytes().unwrap(), bytes);
    // No list, though one is said to be there: everything is permitted.
    bytes[16..20].fill(0);
    bytes.truncate(list);
    let read = SecurityDescriptor::parse(&bytes).unwrap();
    assert_eq!(read.dacl, None);
    assert_eq!(read.to_bytes().unwrap(), bytes);
}

#[test]
fn malformed_descriptors_are_refused_with_a_reason() {
    let good = by_samba(BY_SAMBA[0].0);
    let list = usize::try_from(u32_at(&good, 16).unwrap()).unwrap();
    let edits: [(usize, u8, &str); 12] = [
        (0, 2, "unknown revision"),
        (3, 0, "self-relative"),
        (4, 19, "an offset leads outside"),
        (6, 1, "an offset leads outside"),
        (20, 2, "a SID is none"),
        (21, 16, "a SID is none"),
        (list, 1, "unknown revision of a list"),
        (list + 2, 4, "a list is cut off"),
        (list + 2, 26, "no multiple of four"),
        (list + 4, 2, "an entry is cut off"),
        (list + 10, 0, "an entry is shorter"),
        (list + 10, 22, "no multiple of four"),
    ];
    for (at, value, says) in edits {
        let mut bad = good.clone();
        bad[at] = value;
        let said = SecurityDescriptor::parse(&bad).unwrap_err().to_string();
        assert!(said.contains(says), "{at} = {value}: {said}");
    }
    // A plain entry, and one for objects, whose SID does not fit.
    for kind in [0, 1, 5, 6, 7, 8] {
        let mut bad = descriptor();
        bad.dacl = Some(vec![other(kind, &[1; 12])]);
        let said = SecurityDescriptor::parse(&bad.to_bytes().unwrap());
        assert_eq!(said, Err(Malformed("a SID is none")), "{kind}");
    }
    assert!(SecurityDescriptor::parse(&[]).is_err());
    assert!(SecurityDescriptor::parse_at(&good, usize::MAX).is_err());
}

#[test]
fn oversized_descriptors_are_refused() {
    let mut one = descriptor();
    let entry = Ace::allow(0, 1, &sid("S-1-5-18"));
    let most = (MAX_ACL_BYTES - ACL_HEADER) / 20;
    one.dacl = Some(vec![entry.clone(); most]);
    assert!(one.to_bytes().is_ok());
    one.dacl = Some(vec![entry; most + 1]);
    assert_eq!(one.to_bytes(), Err(TooLarge));
    one.dacl = Some(vec![other(9, &[0; MAX_ACL_BYTES])]);
    assert_eq!(one.to_bytes(), Err(TooLarge));
}

#[test]
fn truncated_or_inconsistent_descriptors_are_refused_or_round_trip() {
    for (_, hex) in BY_SAMBA {
        let whole = hex::decode(hex).unwrap();
        for cut in 0..whole.len() {
            read_twice(&whole[..cut]);
        }
        for at in 0..whole.len() {
            for value in [0, 1, 0x7f, 0xff] {
                let mut damaged = whole.clone();
                damaged[at] = value;
                read_twice(&damaged);
            }
        }
    }
}

fn read_twice(bytes: &[u8]) {
    if let Ok(read) = SecurityDescriptor::parse(bytes) {
        let again = SecurityDescriptor::parse(&read.to_bytes().unwrap()).unwrap();
        assert_eq!(again, read);
    }
}

proptest! {
    #[test]
    fn damaged_descriptors_are_refused_or_decoded(at in 0usize..220, byte: u8, cut in 0usize..220, which in 0..BY_SAMBA.len()) {
        let mut bytes = hex::decode(BY_SAMBA[which].1).unwrap();
        if let Some(slot) = bytes.get_mut(at) {
            *slot = byte;
        }
        read_twice(&bytes);
        bytes.truncate(cut);
        read_twice(&bytes);
    }

    #[test]
    fn arbitrary_entries_round_trip(
        drawn in prop::collection::vec((0u8..3, any::<u8>(), any::<u32>(), any::<u32>(), prop::collection::vec(any::<u32>(), 0..9)), 0..20),
        protected: bool,
    ) {
        let entries = drawn.iter().map(|(form, flags, mask, rid, words)| {
            let who = Sid::new(5, &[21, 1, 2, 3, *rid]).unwrap();
            match form {
                0 => Ace::allow(*flags, *mask, &who),
                1 => Ace::from(Entry { deny: true, flags: *flags, mask: *mask, sid: who }),
                _ => other(9, &words.iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<_>>()),
            }
        });
        let mut one = SecurityDescriptor::new(None, None, Some(entries.collect()));
        one.set_protected(protected);
        let bytes = one.to_bytes().unwrap();
        let read = SecurityDescriptor::parse(&bytes).unwrap();
        prop_assert_eq!(read.to_bytes().unwrap(), bytes);
        prop_assert_eq!(read, one);
    }
}
