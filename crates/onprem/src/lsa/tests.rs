//! Stubs against bytes that Samba's NDR library made, and the client against a scripted domain controller.

use super::stub::*;
use super::*;
use crate::nt_status::NtStatus;
use crossrealm_krb::ndr::{UnicodeString, Writer};
use crossrealm_types::Sid;

const REALM: &str = "KERBEROS.CONTOSO.CLOUD.EXAMPLE";

fn handle() -> PolicyHandle {
    let bytes = hex::decode("04030201443322116655887799aabbccddeeff00").unwrap();
    handle_reply("test", &[&bytes[..], &[0; 4]].concat()).unwrap()
}

fn sid(text: &str) -> Sid {
    text.parse().unwrap()
}

#[test]
fn requests_are_those_of_another_implementation() {
    let names = ["contoso.cloud.example".to_owned(), "odd.example".to_owned()];
    let tenant = sid("S-1-5-21-1-2-3");
    let trust = NewTrust {
        realm: REALM,
        flat_name: "CONTOSO-KRB",
        sid: &tenant,
    };
    let h = handle();
    for (call, request, expected) in [
        ("OpenPolicy2", open_policy(MAXIMUM_ALLOWED), OPEN_POLICY),
        (
            "QueryInfoPolicy2",
            query_policy(&h, POLICY_DNS_DOMAIN),
            QUERY_POLICY,
        ),
        (
            "OpenTrustedDomainByName",
            open_trust(&h, REALM, MAXIMUM_ALLOWED).unwrap(),
            OPEN_TRUST,
        ),
        ("EnumTrustedDomainsEx", enumerate_trusts(&h, 0), ENUMERATE),
        (
            "QueryTrustedDomainInfoByName",
            query_trust(&h, REALM, TRUST_ENCTYPES).unwrap(),
            QUERY_TRUST,
        ),
        (
            "RQueryForestTrustInformation",
            query_forest(&h, REALM).unwrap(),
            QUERY_FOREST,
        ),
        (
            "CreateTrustedDomainEx2",
            create_trust(&h, &trust, &[1, 2, 3, 4, 5], MAXIMUM_ALLOWED).unwrap(),
            CREATE,
        ),
        (
            "SetInformationTrustedDomain",
            set_enctypes(&h, ENCTYPES_AES),
            SET_ENCTYPES,
        ),
        (
            "RSetForestTrustInformation",
            set_forest(&h, REALM, &names).unwrap(),
            SET_FOREST,
        ),
    ] {
        assert_eq!(hex::encode(&request), expected, "{call}");
    }
}

#[test]
fn trusts_are_read() {
    let (trusts, next) = trusts_reply(&hex::decode(ENUMERATE_REPLY).unwrap()).unwrap();
    assert_eq!(next, None);
    assert_eq!(
        trusts,
        [
            TrustedDomain {
                name: REALM.to_owned(),
                flat_name: "CONTOSO-KRB".to_owned(),
                sid: Some(sid("S-1-5-21-1-2-3")),
                direction: DIRECTION_INBOUND,
                kind: TYPE_UPLEVEL,
                attributes: ATTRIBUTE_FOREST_TRANSITIVE,
            },
            TrustedDomain {
                name: "OTHER.EXAMPLE".to_owned(),
                flat_name: "OTHER".to_owned(),
                sid: None,
                direction: 3,
                kind: 3,
                attributes: 1,
            },
        ]
    );
}

#[test]
fn forest_records_are_read() {
    assert_eq!(
        forest_reply(&hex::decode(FOREST_REPLY).unwrap()).unwrap(),
        [
            ForestRecord::TopLevelName {
                name: "contoso.cloud.example".to_owned(),
                flags: 0
            },
            ForestRecord::Excluded("odd.example".to_owned()),
            ForestRecord::Domain {
                dns_name: "x.example".to_owned(),
                flat_name: "X".to_owned(),
                sid: Some(sid("S-1-5-21-1-2-3")),
            },
        ]
    );
}

#[test]
fn no_forest_records_is_not_an_error() {
    let not_found = [0, 0, 0, 0, 0x25, 0x02, 0, 0xC0];
    assert_eq!(forest_reply(&not_found).unwrap(), []);
}

#[test]
fn collisions_are_read() {
    assert_eq!(
        collisions_reply(&hex::decode(COLLISION_REPLY).unwrap()).unwrap(),
        [Collision {
            index: 1,
            kind: 0,
            flags: 4,
            name: "OTHER.EXAMPLE".to_owned()
        }]
    );
}

#[test]
fn enctypes_are_read() {
    assert_eq!(
        enctypes_reply(&hex::decode(ENCTYPES_REPLY).unwrap()).unwrap(),
        ENCTYPES_AES
    );
}

#[test]
fn the_domain_is_read() {
    let names = ["CORP", "corp.contoso.com", "contoso.com"].map(UnicodeString::with_terminator);
    let mut w = Writer::new();
    w.pointer(true);
    w.u16(POLICY_DNS_DOMAIN);
    w.align(8);
    for name in &names {
        w.string_header(name).unwrap();
    }
    w.bytes(&[7; 16]);
    w.pointer(true);
    for name in &names {
        w.string(name).unwrap();
    }
    w.sid(&sid("S-1-5-21-9-8-7")).unwrap();
    w.u32(0);
    let info = dns_domain_reply(&w.into_plain()).unwrap();
    assert_eq!(
        (info.flat_name, info.dns_name, info.forest_name, info.sid),
        (
            "CORP".to_owned(),
            "corp.contoso.com".to_owned(),
            "contoso.com".to_owned(),
            sid("S-1-5-21-9-8-7")
        )
    );
}

#[test]
fn the_role_is_read() {
    assert!(server_role_reply(&hex::decode("00000200060000000300000000000000").unwrap()).unwrap());
    assert!(!server_role_reply(&hex::decode("00000200060000000200000000000000").unwrap()).unwrap());
}

#[test]
fn damaged_replies_are_refused_and_none_panics() {
    for reply in [
        ENUMERATE_REPLY,
        FOREST_REPLY,
        COLLISION_REPLY,
        ENCTYPES_REPLY,
    ] {
        let whole = hex::decode(reply).unwrap();
        for cut in 0..whole.len() {
            assert!(trusts_reply(&whole[..cut]).is_err() || reply != ENUMERATE_REPLY);
            assert!(forest_reply(&whole[..cut]).is_err() || reply != FOREST_REPLY);
            assert!(collisions_reply(&whole[..cut]).is_err() || reply != COLLISION_REPLY);
            assert!(enctypes_reply(&whole[..cut]).is_err() || reply != ENCTYPES_REPLY);
        }
        for at in 0..whole.len() {
            for value in [0x00, 0x01, 0x7F, 0xFF] {
                let mut bent = whole.clone();
                bent[at] = value;
                let _ = trusts_reply(&bent);
                let _ = forest_reply(&bent);
                let _ = collisions_reply(&bent);
                let _ = enctypes_reply(&bent);
                let _ = dns_domain_reply(&bent);
            }
        }
        let longer = [&whole[..], &[0]].concat();
        assert!(forest_reply(&longer).is_err() && collisions_reply(&longer).is_err());
    }
}

/// A domain controller that answers each call from a script.
struct Script(Vec<(u16, Vec<u8>)>);

impl Pipe for Script {
    async fn call(&mut self, opnum: u16, _stub: Vec<u8>) -> Result<Vec<u8>, SmbError> {
        let (expected, reply) = self.0.remove(0);
        assert_eq!(opnum, expected);
        Ok(reply)
    }

    fn application_key(&self) -> &[u8] {
        &[1; 16]
    }
}

fn ok_handle() -> Vec<u8> {
    [&[5; 20][..], &[0; 4]].concat()
}

#[tokio::test]
async fn a_refusal_by_a_child_domain_keeps_its_status() {
    let refused = [&[0; 20][..], &0xC000_00DDu32.to_le_bytes()].concat();
    let mut lsa = Lsa::open(Script(vec![(44, ok_handle()), (59, refused)]))
        .await
        .unwrap();
    let tenant = sid("S-1-5-21-1-2-3");
    let trust = NewTrust {
        realm: REALM,
        flat_name: "CONTOSO-KRB",
        sid: &tenant,
    };
    let error = lsa.create_trust(&trust, "secret", 0).await.unwrap_err();
    assert_eq!(error.status(), Some(NtStatus::INVALID_DOMAIN_STATE));
    assert!(error.to_string().contains("0x549"), "{error}");
}

/// A child domain refuses top-level names, if the trust was created elsewhere.
#[tokio::test]
async fn a_refusal_of_names_by_a_child_domain_keeps_its_status() {
    use crate::trust::{ApplyError, TrustStep, apply};
    // LsarSetForestTrustInformation: no collision information, then the status.
    let refused = [&[0; 4][..], &0xC000_00DDu32.to_le_bytes()].concat();
    let mut lsa = Lsa::open(Script(vec![(44, ok_handle()), (74, refused)]))
        .await
        .unwrap();
    let step = TrustStep::SetTopLevelNames {
        realm: REALM.to_owned(),
        names: vec!["contoso.cloud.example".to_owned()],
    };
    let error = apply(&mut lsa, &step, "", 0).await.unwrap_err();
    assert!(error.to_string().contains("0x549"), "{error}");
    assert!(matches!(
        error,
        ApplyError::Lsa(error) if error.status() == Some(NtStatus::INVALID_DOMAIN_STATE)
    ));
}

#[tokio::test]
async fn an_endless_enumeration_ends() {
    let mut page = hex::decode(ENUMERATE_REPLY).unwrap();
    let status_at = page.len() - 4;
    page[status_at..].copy_from_slice(&0x105u32.to_le_bytes());
    let mut script = vec![(44, ok_handle())];
    for context in 1..200u32 {
        page[..4].copy_from_slice(&context.to_le_bytes());
        script.push((50, page.clone()));
    }
    let mut lsa = Lsa::open(Script(script)).await.unwrap();
    assert!(matches!(lsa.trusts().await, Err(LsaError::Malformed(_))));
}

const OPEN_POLICY: &str = "0000000018000000000000000000000000000000000000000000000000000002";
const QUERY_POLICY: &str = "04030201443322116655887799aabbccddeeff000c00";
const OPEN_TRUST: &str = "04030201443322116655887799aabbccddeeff003c003c00000002001e000000000000001e0000004b00450052004200450052004f0053002e0043004f004e0054004f0053004f002e0043004c004f00550044002e004500580041004d0050004c00450000000002";
const ENUMERATE: &str = "04030201443322116655887799aabbccddeeff000000000000000100";
const QUERY_TRUST: &str = "04030201443322116655887799aabbccddeeff003c003c00000002001e000000000000001e0000004b00450052004200450052004f0053002e0043004f004e0054004f0053004f002e0043004c004f00550044002e004500580041004d0050004c0045000d00";
const QUERY_FOREST: &str = "04030201443322116655887799aabbccddeeff003c003c00000002001e000000000000001e0000004b00450052004200450052004f0053002e0043004f004e0054004f0053004f002e0043004c004f00550044002e004500580041004d0050004c0045000200";
const CREATE: &str = "04030201443322116655887799aabbccddeeff003c003e00000002001600180004000200080002000100000002000000080000001f000000000000001e0000004b00450052004200450052004f0053002e0043004f004e0054004f0053004f002e0043004c004f00550044002e004500580041004d0050004c0045000c000000000000000b00000043004f004e0054004f0053004f002d004b0052004200000004000000010400000000000515000000010000000200000003000000050000000c00020005000000010203040500000000000002";
const SET_ENCTYPES: &str = "04030201443322116655887799aabbccddeeff000d000d0018000000";
const SET_FOREST: &str = "04030201443322116655887799aabbccddeeff003c003e00000002001f000000000000001e0000004b00450052004200450052004f0053002e0043004f004e0054004f0053004f002e0043004c004f00550044002e004500580041004d0050004c00450002000000020000000400020002000000080002000c0002000000000000000000000000000000000000000000000000002a002c001000020016000000000000001500000063006f006e0074006f0073006f002e0063006c006f00750064002e006500780061006d0070006c006500000000000000000000000000000000000000000000000000000016001800140002000c000000000000000b0000006f00640064002e006500780061006d0070006c00650000";
const ENUMERATE_REPLY: &str = "020000000200000000000200020000003c003e000400020016001800080002000c0002000100000002000000080000001a001c00100002000a000c0014000200000000000300000003000000010000001f000000000000001e0000004b00450052004200450052004f0053002e0043004f004e0054004f0053004f002e0043004c004f00550044002e004500580041004d0050004c0045000c000000000000000b00000043004f004e0054004f0053004f002d004b00520042000000040000000104000000000005150000000100000002000000030000000e000000000000000d0000004f0054004800450052002e004500580041004d0050004c00450000000600000000000000050000004f005400480045005200000000000000";
const FOREST_REPLY: &str = "00000200030000000400020003000000080002000c000200100002000000000000000000000000000500000000000000000000002a002c001400020016000000000000001500000063006f006e0074006f0073006f002e0063006c006f00750064002e006500780061006d0070006c006500000000000000000000000100000005000000000000000100000016001800180002000c000000000000000b0000006f00640064002e006500780061006d0070006c006500000000000000020000000500000000000000020000001c00020012001400200002000200040024000200040000000104000000000005150000000100000002000000030000000a000000000000000900000078002e006500780061006d0070006c00650000000200000000000000010000005800000000000000";
const COLLISION_REPLY: &str = "00000200010000000400020001000000080002000100000000000000040000001a001a000c0002000d000000000000000d0000004f0054004800450052002e004500580041004d0050004c004500000000000000";
const ENCTYPES_REPLY: &str = "000002000d0000001800000000000000";
