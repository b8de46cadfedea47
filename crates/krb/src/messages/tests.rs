//! Encodings compared with bytes written by hand, and what must be refused.

use super::*;

fn tlv(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut out = vec![tag];
    if content.len() < 128 {
        out.push(u8::try_from(content.len()).unwrap());
    } else {
        out.push(0x82);
        out.extend(u16::try_from(content.len()).unwrap().to_be_bytes());
    }
    out.extend(content);
    out
}

fn body() -> KdcReqBody {
    KdcReqBody {
        kdc_options: KerberosFlags(kdc_option::FORWARDABLE | kdc_option::CANONICALIZE),
        cname: None,
        realm: "KERBEROS.CONTOSO.CLOUD.EXAMPLE".into(),
        sname: Some(PrincipalName::new(
            name_type::SRV_HST,
            &["cifs", "acct1.file.contoso.cloud.example"],
        )),
        from: None,
        till: KerberosTime(1_800_000_000),
        rtime: None,
        nonce: 4_000_000_000,
        etype: vec![18, 17, 20, 19],
        addresses: None,
        enc_authorization_data: None,
        additional_tickets: None,
    }
}

#[test]
fn a_request_keeps_the_bytes_of_its_body() {
    let request =
        TgsReq(KdcReq::new(vec![PaData::new(pa_type::TGS_REQ, vec![1, 2, 3])], body()).unwrap());
    let bytes = request.encode().unwrap();
    let back = TgsReq::decode(&bytes).unwrap();
    assert_eq!(back, request);
    assert_eq!(back.0.raw_body, encode(&body()).unwrap());
    assert_eq!(back.0.padata(pa_type::TGS_REQ), Some(&[1, 2, 3][..]));
    assert!(AsReq::decode(&bytes).is_err());
}

#[test]
fn trailing_and_missing_bytes_are_refused() {
    let bytes = TgsReq(KdcReq::new(vec![], body()).unwrap())
        .encode()
        .unwrap();
    for cut in 0..bytes.len() {
        assert!(TgsReq::decode(&bytes[..cut]).is_err(), "{cut}");
    }
    assert!(TgsReq::decode(&[&bytes[..], &[0]].concat()).is_err());
}

#[test]
fn names_are_utf_8() {
    for name in ["Müller", "Strauß", "Иван", "山田"] {
        let der = tlv(
            0x30,
            &[
                tlv(0xA0, &tlv(2, &[1])),
                tlv(0xA1, &tlv(0x30, &tlv(0x1B, name.as_bytes()))),
            ]
            .concat(),
        );
        let decoded: PrincipalName = decode(&der).unwrap();
        assert_eq!(decoded.to_string(), name);
        assert_eq!(encode(&decoded).unwrap(), der);
    }
    let latin1 = tlv(
        0x30,
        &[
            tlv(0xA0, &tlv(2, &[1])),
            tlv(0xA1, &tlv(0x30, &tlv(0x1B, b"M\xFCller"))),
        ]
        .concat(),
    );
    assert!(decode::<PrincipalName>(&latin1).is_err());
}

#[test]
fn a_key_version_may_be_negative() {
    let with = |kvno: &[u8]| {
        let der = tlv(
            0x30,
            &[
                tlv(0xA0, &tlv(2, &[18])),
                tlv(0xA1, &tlv(2, kvno)),
                tlv(0xA2, &tlv(4, &[9])),
            ]
            .concat(),
        );
        decode::<EncryptedData>(&der).unwrap().kvno()
    };
    assert_eq!(with(&[3]), Some(3));
    assert_eq!(with(&[0xFF]), Some(u32::MAX));
    assert_eq!(with(&[0x90, 0, 0, 1]), Some(0x9000_0001));
    assert_eq!(with(&[0, 0x90, 0, 0, 1]), Some(0x9000_0001));
    assert_eq!(with(&[1, 0, 0, 0, 0]), None);
}

#[test]
fn times_are_whole_seconds_in_utc() {
    let der = encode(&KerberosTime(0)).unwrap();
    assert_eq!(der, tlv(0x18, b"19700101000000Z"));
    assert_eq!(decode::<KerberosTime>(&der).unwrap(), KerberosTime(0));
    for bad in [
        "19700101000000.5Z",
        "19700101000000+0100",
        "197001010000Z",
        "19701301000000Z",
        "",
    ] {
        assert!(
            decode::<KerberosTime>(&tlv(0x18, bad.as_bytes())).is_err(),
            "{bad}"
        );
    }
    assert!(encode(&KerberosTime(i64::MAX)).is_err());
}

#[test]
fn flags_of_any_length_decode_to_32_bits() {
    assert_eq!(
        encode(&KerberosFlags(flags::FORWARDABLE)).unwrap(),
        [3, 5, 0, 0x40, 0, 0, 0]
    );
    assert_eq!(
        decode::<KerberosFlags>(&[3, 2, 6, 0x40]).unwrap(),
        KerberosFlags(flags::FORWARDABLE)
    );
    assert_eq!(
        decode::<KerberosFlags>(&[3, 6, 0, 0x40, 0, 0, 0, 0xFF]).unwrap(),
        KerberosFlags(flags::FORWARDABLE)
    );
}

#[test]
fn deep_nesting_is_an_error_not_a_crash() {
    let mut der = vec![];
    for _ in 0..20_000 {
        der = [&[0x30, 0x80][..], &der].concat();
        if der.len() > 100_000 {
            break;
        }
    }
    assert!(TgsReq::decode(&der).is_err());
    assert!(decode::<Ticket>(&der).is_err());
}

#[test]
fn a_session_key_is_never_printed() {
    let key = EncryptionKey {
        keytype: 18,
        keyvalue: SecretBytes(zeroize::Zeroizing::new(vec![0xAB; 32])),
    };
    let shown = format!("{key:?}");
    assert!(
        !shown.contains("171") && !shown.to_lowercase().contains("ab, "),
        "{shown}"
    );
}
