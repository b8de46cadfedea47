//! Time-based one-time passwords, RFC 6238 with RFC 4226 §5.3: HMAC-SHA-1, six digits, steps of 30 seconds.

use hmac::{Hmac, KeyInit, Mac};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use sha1::Sha1;
use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};
use zeroize::Zeroizing;

/// The length of a secret, in bytes: that of the hash, RFC 4226 §4 R6.
pub(crate) const SECRET_LEN: usize = 20;
/// The length of a step, in seconds.
pub(crate) const STEP_S: i64 = 30;
/// The digits of a code.
const DIGITS: usize = 6;
const BASE32: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/// The step whose code this is: the current step at `now_s`, the one before or the one after, to allow for clock
/// differences. Takes the same time for every code.
pub(crate) fn step_of(secret: &[u8], code: &str, now_s: i64) -> Option<i64> {
    let now = now_s.div_euclid(STEP_S);
    let (mut found, mut step) = (Choice::from(0), 0i64);
    for candidate in [now - 1, now, now + 1] {
        let same = code_at(secret, candidate)
            .as_bytes()
            .ct_eq(code.trim().as_bytes());
        step.conditional_assign(&candidate, same);
        found |= same;
    }
    bool::from(found).then_some(step)
}

/// The code of a step.
fn code_at(secret: &[u8], step: i64) -> Zeroizing<String> {
    let mut mac = <Hmac<Sha1> as KeyInit>::new_from_slice(secret).unwrap_or_else(|_| {
        // HMAC takes keys of any length.
        unreachable!("HMAC refused a key")
    });
    mac.update(&step.to_be_bytes());
    let tag = mac.finalize().into_bytes();
    let offset = usize::from(tag[tag.len() - 1] & 0x0F);
    let word = tag[offset..offset + 4]
        .iter()
        .fold(0u32, |word, byte| word << 8 | u32::from(*byte));
    let number = (word & 0x7FFF_FFFF) % 10u32.pow(DIGITS as u32);
    Zeroizing::new(format!("{number:0width$}", width = DIGITS))
}

/// Every byte but the unreserved characters of RFC 3986 §2.3.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// What an authenticator app reads: the secret, whose it is and for what.
pub(crate) fn uri(secret: &[u8], issuer: &str, upn: &str) -> Zeroizing<String> {
    let [issuer, upn] = [issuer, upn].map(|text| utf8_percent_encode(text, RESERVED));
    let secret = base32(secret);
    Zeroizing::new(format!(
        "otpauth://totp/{issuer}:{upn}?secret={}&issuer={issuer}",
        *secret
    ))
}

/// RFC 4648 §6 without padding.
pub(crate) fn base32(bytes: &[u8]) -> Zeroizing<String> {
    let mut text = Zeroizing::new(String::with_capacity(bytes.len() * 8 / 5 + 1));
    let (mut held, mut bits) = (0u32, 0u32);
    for byte in bytes {
        held = held << 8 | u32::from(*byte);
        bits += 8;
        while bits >= 5 {
            bits -= 5;
            text.push(char::from(BASE32[(held >> bits & 31) as usize]));
        }
        held &= (1 << bits) - 1;
    }
    if bits > 0 {
        text.push(char::from(BASE32[(held << (5 - bits) & 31) as usize]));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &[u8] = b"12345678901234567890";

    #[test]
    fn codes_match_rfc_6238() {
        // Appendix B has eight digits; six are the last of them.
        for (at, code) in [
            (59, "287082"),
            (1_111_111_109, "081804"),
            (1_111_111_111, "050471"),
            (1_234_567_890, "005924"),
            (2_000_000_000, "279037"),
            (20_000_000_000, "353130"),
        ] {
            assert_eq!(*code_at(SECRET, at / 30), code);
            assert_eq!(step_of(SECRET, code, at), Some(at / 30));
        }
    }

    #[test]
    fn codes_one_step_away_are_accepted_and_no_others() {
        let code = code_at(SECRET, 1000);
        for (now, found) in [
            (998, None),
            (999, Some(1000)),
            (1000, Some(1000)),
            (1001, Some(1000)),
            (1002, None),
        ] {
            assert_eq!(step_of(SECRET, &code, now * 30), found, "{now}");
        }
        for wrong in ["", "0", "12345", "1234567", "abcdef", "٠٠٠٠٠٠"] {
            assert_eq!(step_of(SECRET, wrong, 30_000), None);
        }
    }

    #[test]
    fn base32_matches_rfc_4648() {
        for (bytes, text) in [
            ("", ""),
            ("f", "MY"),
            ("fo", "MZXQ"),
            ("foo", "MZXW6"),
            ("foob", "MZXW6YQ"),
            ("fooba", "MZXW6YTB"),
            ("foobar", "MZXW6YTBOI"),
        ] {
            assert_eq!(*base32(bytes.as_bytes()), text);
        }
        let uri = uri(b"fooba", "Crossrealm x", "a@b");
        assert_eq!(
            *uri,
            "otpauth://totp/Crossrealm%20x:a%40b?secret=MZXW6YTB&issuer=Crossrealm%20x"
        );
    }
}
