//! An authenticator app: reads the `otpauth` URI that an enrolment shows and computes codes by RFC 6238, with none of the product's code.

use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A paired authenticator app.
pub struct Authenticator {
    secret: Vec<u8>,
}

impl Authenticator {
    /// Takes the secret out of the URI.
    pub fn new(uri: &str) -> Self {
        assert!(uri.starts_with("otpauth://totp/"), "{uri}");
        let (_, rest) = uri.split_once("?secret=").unwrap();
        let text = rest.split('&').next().unwrap();
        let (mut held, mut bits, mut secret) = (0u32, 0, Vec::new());
        for letter in text.bytes() {
            let value = match letter {
                b'A'..=b'Z' => letter - b'A',
                b'2'..=b'7' => letter - b'2' + 26,
                other => panic!("`{other}` is no letter of Base32"),
            };
            held = held << 5 | u32::from(value);
            bits += 5;
            if bits >= 8 {
                bits -= 8;
                secret.push((held >> bits & 0xFF) as u8);
            }
        }
        assert_eq!(secret.len(), 20);
        Self { secret }
    }

    /// The shared secret, 20 bytes.
    pub fn secret(&self) -> &[u8] {
        &self.secret
    }

    /// The code of the step that is so many steps away from now. The service takes those from -1 to 1.
    pub fn code(&self, steps: i64) -> String {
        let since = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        // Near the end of a step the next one could begin before the code arrives.
        while since().as_secs() % 30 >= 22 {
            std::thread::sleep(Duration::from_millis(100));
        }
        let step = i64::try_from(since().as_secs() / 30).unwrap() + steps;
        let mut mac = <Hmac<Sha1> as KeyInit>::new_from_slice(&self.secret).unwrap();
        mac.update(&step.to_be_bytes());
        let tag = mac.finalize().into_bytes();
        let at = usize::from(tag[19] & 15);
        let number = u32::from_be_bytes(tag[at..at + 4].try_into().unwrap()) & 0x7FFF_FFFF;
        format!("{:06}", number % 1_000_000)
    }

    /// Six digits that are none of the codes near now.
    pub fn wrong_code(&self) -> String {
        let near: Vec<_> = (-3..=3).map(|steps| self.code(steps)).collect();
        let wrong = (0..).map(|n| format!("{n:06}"));
        wrong.into_iter().find(|code| !near.contains(code)).unwrap()
    }
}
