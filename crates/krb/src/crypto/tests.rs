//! Test vectors of RFC 3961 A.1, RFC 3962 B, RFC 8009 A, RFC 6113 A, and properties.

use super::*;

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u32> = text.chars().filter_map(|c| c.to_digit(16)).collect();
    digits
        .chunks(2)
        .map(|d| u8::try_from(d[0] * 16 + d[1]).unwrap())
        .collect()
}

fn fixed(bytes: Vec<u8>) -> impl FnMut(&mut [u8]) {
    move |out: &mut [u8]| out.copy_from_slice(&bytes[..out.len()])
}

#[test]
fn n_fold_of_rfc_3961_a1() {
    for (input, len, folded) in [
        ("012345", 8, "be072631276b1955"),
        ("password", 7, "78a07b6caf85fa"),
        ("Rough Consensus, and Running Code", 8, "bb6ed30870b7f0e0"),
        ("password", 21, "59e4a8ca7c0385c3c37b3f6d2000247cb6e6bd5b3e"),
        (
            "MASSACHVSETTS INSTITVTE OF TECHNOLOGY",
            24,
            "db3b0d8f0b061e603282b308a50841229ad798fab9540c1b",
        ),
        ("kerberos", 16, "6b65726265726f737b9b5b2b93132b93"),
    ] {
        let mut out = vec![0xFF; len];
        derive::n_fold(input.as_bytes(), &mut out);
        assert_eq!(out, hex(folded), "{input}");
    }
}

#[test]
fn string_to_key_of_rfc_3962_b() {
    use Enctype::{Aes128Sha1, Aes256Sha1};
    let block = "X".repeat(64);
    let over = "X".repeat(65);
    for (enctype, password, salt, iterations, key) in [
        (
            Aes128Sha1,
            "password",
            "ATHENA.MIT.EDUraeburn",
            1200,
            "4c01cd46d632d01e6dbe230a01ed642a",
        ),
        (
            Aes256Sha1,
            "password",
            "ATHENA.MIT.EDUraeburn",
            1,
            "fe697b52bc0d3ce14432ba036a92e65bbb52280990a2fa27883998d72af30161",
        ),
        (
            Aes256Sha1,
            "password",
            "ATHENA.MIT.EDUraeburn",
            2,
            "a2e16d16b36069c135d5e9d2e25f896102685618b95914b467c67622225824ff",
        ),
        (
            Aes256Sha1,
            "password",
            "ATHENA.MIT.EDUraeburn",
            1200,
            "55a6ac740ad17b4846941051e1e8b0a7548d93b0ab30a8bc3ff16280382b8c2a",
        ),
        (
            Aes256Sha1,
            "password",
            "\x124VxxV4\x12",
            5,
            "97a4e786be20d81a382d5ebc96d5909cabcdadc87ca48f574504159f16c36e31",
        ),
        (
            Aes256Sha1,
            &block,
            "pass phrase equals block size",
            1200,
            "89adee3608db8bc71f1bfbfe459486b05618b70cbae22092534e56c553ba4b34",
        ),
        (
            Aes256Sha1,
            &over,
            "pass phrase exceeds block size",
            1200,
            "d78c5c9cb872a8c9dad4697f0bb5b2d21496c82beb2caeda2112fceea057401b",
        ),
        (
            Aes256Sha1,
            "\u{1d11e}",
            "EXAMPLE.COMpianist",
            50,
            "4b6d9839f84406df1f09cc166db4b83c571848b784a3d6bdc346589a3e393f9e",
        ),
    ] {
        let made = Key::from_password(enctype, password, salt, Some(iterations)).unwrap();
        assert_eq!(made.as_bytes(), hex(key), "{password} {iterations}");
    }
}

#[test]
fn string_to_key_of_rfc_8009_a() {
    let mut salt = hex("10DF9DD783E5BC8ACEA1730E74355F61");
    salt.extend(b"ATHENA.MIT.EDUraeburn");
    let make = |e| Key::from_password_bytes(e, b"password", &salt, None).unwrap();
    assert_eq!(
        make(Enctype::Aes128Sha2).as_bytes(),
        hex("089bca48b105ea6ea77ca5d2f39dc5e7")
    );
    assert_eq!(
        make(Enctype::Aes256Sha2).as_bytes(),
        hex("45bd806dbf6a833a9cffc1c94589a222367a79bc21c413718906e9f578a78467")
    );
}

#[test]
fn unbounded_iterations_are_refused() {
    for iterations in [0, MAX_ITERATIONS + 1, u32::MAX] {
        let made = Key::from_password(Enctype::Aes256Sha1, "p", "s", Some(iterations));
        assert_eq!(made, Err(CryptoError::Iterations));
    }
}

#[test]
fn ciphertext_stealing_of_rfc_3962_b() {
    let text = b"I would like the General Gau's Chicken, please, and wonton soup.";
    for (len, cipher) in [
        (17, "c6353568f2bf8cb4d8a580362da7ff7f97"),
        (
            31,
            "fc00783e0efdb2c1d445d4c8eff7ed2297687268d6ecccc0c07b25e25ecfe5",
        ),
        (
            32,
            "39312523a78662d5be7fcbcc98ebf5a897687268d6ecccc0c07b25e25ecfe584",
        ),
        (
            47,
            "97687268d6ecccc0c07b25e25ecfe584b3fffd940c16a18c1b5549d2f838029e39312523a78662d5be7fcbcc98ebf5",
        ),
        (
            48,
            "97687268d6ecccc0c07b25e25ecfe5849dad8bbb96c4cdc03bc103e1a194bbd839312523a78662d5be7fcbcc98ebf5a8",
        ),
        (
            64,
            "97687268d6ecccc0c07b25e25ecfe58439312523a78662d5be7fcbcc98ebf5a84807efe836ee89a526730dbc2f7bc8409dad8bbb96c4cdc03bc103e1a194bbd8",
        ),
    ] {
        let mut changed = text[..len].to_vec();
        Encryptor::new(b"chicken teriyaki").encrypt(&mut changed);
        assert_eq!(changed, hex(cipher), "{len}");
        Decryptor::new(b"chicken teriyaki").decrypt(&mut changed);
        assert_eq!(changed, text[..len], "{len}");
    }
}

#[test]
fn checksum_prf_and_encryption_of_rfc_8009_a() {
    let key128 = Key::new(
        Enctype::Aes128Sha2,
        &hex("3705D96080C17728A0E800EAB6E0D23C"),
    )
    .unwrap();
    let key256 = Key::new(
        Enctype::Aes256Sha2,
        &hex("6D404D37FAF79F9DF0D33568D320669800EB4836472EA8A026D16B7182460C52"),
    )
    .unwrap();
    let text: Vec<u8> = (0..0x15).collect();
    assert_eq!(
        key128.checksum(2, &text),
        hex("D78367186643D67B411CBA9139FC1DEE")
    );
    assert_eq!(
        key256.checksum(2, &text),
        hex("45EE791567EEFCA37F4AC1E0222DE80D43C3BFA06699672A")
    );
    assert_eq!(
        key128.prf(b"test").as_slice(),
        hex("9D188616F63852FE86915BB840B4A886FF3E6BB0F819B49B893393D393854295")
    );
    assert_eq!(
        key256.prf(b"test").as_slice(),
        hex(
            "9801F69A368C2BF675E59521E177D9A07F67EFE1CFDE8D3C8D6F6A0256E3B17DB3C1B62AD1B8553360D17367EB1514D2"
        )
    );
    let mut confounder = fixed(hex("7E5895EAF2672435BAD817F545A37148"));
    assert_eq!(
        key128.encrypt(2, b"", &mut confounder),
        hex("EF85FB890BB8472F4DAB20394DCA781DAD877EDA39D50C870C0D5A0A8E48C718")
    );
    let mut confounder = fixed(hex("F764E9FA15C276478B2C7D0C4E5F58E4"));
    assert_eq!(
        key256.encrypt(2, b"", &mut confounder),
        hex("41F53FA5BFE7026D91FAF9BE959195A058707273A96A40F0A01960621AC612748B9BBFBE7EB4CE3C")
    );
}

#[test]
fn cf2_of_rfc_6113_a() {
    for (enctype, combined) in [
        (Enctype::Aes128Sha1, "97df97e4b798b29eb31ed7280287a92a"),
        (
            Enctype::Aes256Sha1,
            "4d6ca4e629785c1f01baf55e2e548566b9617ae3a96868c337cb93b5e72b1c7b",
        ),
    ] {
        let key = |name| Key::from_password(enctype, name, name, None).unwrap();
        let out = cf2(&key("key1"), &key("key2"), b"a", b"b");
        assert_eq!(out.as_bytes(), hex(combined));
    }
}

#[test]
fn a_modified_ciphertext_is_refused() {
    for enctype in Enctype::ALL {
        let mut counter = 0u8;
        let mut random = |out: &mut [u8]| {
            for byte in out {
                counter = counter.wrapping_add(1);
                *byte = counter;
            }
        };
        let key = Key::generate(enctype, &mut random);
        for len in 0..70 {
            let text = vec![7; len];
            let cipher = key.encrypt(11, &text, &mut random);
            assert_eq!(key.decrypt(11, &cipher).unwrap().as_slice(), text);
            assert_eq!(key.decrypt(12, &cipher), Err(CryptoError::Integrity));
            for index in [0, cipher.len() / 2, cipher.len() - 1] {
                let mut changed = cipher.clone();
                changed[index] ^= 0x80;
                assert_eq!(key.decrypt(11, &changed), Err(CryptoError::Integrity));
            }
            for cut in 0..cipher.len() {
                assert!(key.decrypt(11, &cipher[..cut]).is_err());
            }
        }
        let mac = key.checksum(6, b"data");
        assert_eq!(key.verify(6, b"data", &mac), Ok(()));
        assert!(key.verify(6, b"data", &mac[..mac.len() - 1]).is_err());
        assert!(key.verify(6, b"data", &[]).is_err());
        assert!(key.verify(6, b"datum", &mac).is_err());
        assert!(key.verify(7, b"data", &mac).is_err());
    }
}

/// What is kept with a key gives what a key of the same bytes gives that derives it anew.
#[test]
fn what_is_kept_with_a_key_changes_nothing() {
    let mut random = |out: &mut [u8]| out.fill(5);
    for enctype in Enctype::ALL {
        let fresh = || Key::new(enctype, &vec![9; enctype.key_len()]).unwrap();
        let kept = fresh();
        for usage in [2, 7, 17, 2, 17, 63, 64, 1024] {
            let sealed = kept.encrypt(usage, b"text", &mut random);
            assert_eq!(sealed, fresh().encrypt(usage, b"text", &mut random));
            assert_eq!(fresh().decrypt(usage, &sealed).unwrap().as_slice(), b"text");
            assert_eq!(
                kept.clone().decrypt(usage, &sealed).unwrap().as_slice(),
                b"text"
            );
            assert_eq!(
                kept.checksum(usage, b"text"),
                fresh().checksum(usage, b"text")
            );
        }
    }
}

#[test]
fn a_key_is_never_printed() {
    let key = Key::new(Enctype::Aes128Sha1, &[0xAB; 16]).unwrap();
    assert_eq!(format!("{key:?}"), "Key(aes128-cts-hmac-sha1-96)");
}

#[test]
fn only_aes_exists() {
    let known: Vec<i32> = (-200..200)
        .filter(|n| Enctype::from_number(*n).is_some())
        .collect();
    assert_eq!(known, [17, 18, 19, 20]);
}

/// Compiles only as long as every place where key bytes lie wipes itself when dropped.
#[test]
fn key_bytes_are_wiped_in_every_type_that_holds_them() {
    fn wiped<T: zeroize::ZeroizeOnDrop>(_: &T) {}
    let key = Key::new(Enctype::Aes256Sha1, &[7; 32]).unwrap();
    wiped(&key.0.bytes);
    wiped(&key.derived(2, Purpose::Encryption));
    wiped(&key.prf(b"x"));
    wiped(&prf_plus(&key, b"x", 32));
    let cipher = key.encrypt(2, b"plain", &mut |b: &mut [u8]| b.fill(1));
    wiped(&key.decrypt(2, &cipher).unwrap());
    wiped(&crate::messages::EncryptionKey::from(&key).keyvalue.0);
}
