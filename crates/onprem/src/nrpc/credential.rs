//! The Netlogon session key and credentials: [MS-NRPC] 3.1.4.3 to 3.1.4.5, AES only.

use super::model::Key;
use aes::Aes128;
use aes::cipher::{BlockCipherEncrypt, KeyInit as _};
use hmac::{Hmac, Mac};
use md4::{Digest, Md4};
use sha2::Sha256;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// The session key, and the seed of the authenticators.
pub(super) struct Credentials {
    key: Key,
    seed: [u8; 8],
}

impl Credentials {
    /// Computes the session key from the password and both challenges ([MS-NRPC] 3.1.4.3.1).
    pub(super) fn new(secret: &str, ours: &[u8; 8], theirs: &[u8; 8]) -> Self {
        let hash = nt_hash(secret);
        let mut key = Key::default();
        // HMAC takes a key of any length.
        if let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(hash.as_slice()) {
            mac.update(ours);
            mac.update(theirs);
            let output = Zeroizing::new(<[u8; 32]>::from(mac.finalize().into_bytes()));
            key.copy_from_slice(&output[..16]);
        }
        let mut credentials = Self { key, seed: [0; 8] };
        credentials.seed = credentials.client(ours);
        credentials
    }

    pub(super) fn session_key(&self) -> &Key {
        &self.key
    }

    /// The client's Netlogon credential.
    pub(super) fn client(&self, challenge: &[u8; 8]) -> [u8; 8] {
        self.compute(challenge)
    }

    /// Whether this is the server's Netlogon credential.
    pub(super) fn is_servers(&self, challenge: &[u8; 8], proof: &[u8; 8]) -> bool {
        bool::from(self.compute(challenge).ct_eq(proof))
    }

    /// The authenticator of the next call, made at `now`.
    pub(super) fn authenticator(&mut self, now: u32) -> [u8; 8] {
        self.advance(now);
        self.compute(&self.seed)
    }

    /// Whether this is the server's return authenticator for the last call.
    pub(super) fn accepts(&mut self, proof: &[u8; 8]) -> bool {
        self.advance(1);
        bool::from(self.compute(&self.seed).ct_eq(proof))
    }

    /// Encrypts a field that is confidential within the call too.
    pub(super) fn encrypt(&self, data: &mut [u8]) {
        Cfb8::new(&self.key, [0; 16]).encrypt(data);
    }

    /// The seed, as the server compares it.
    #[cfg(test)]
    pub(super) fn seed(&self) -> [u8; 8] {
        self.seed
    }

    fn advance(&mut self, by: u32) {
        let [a, b, c, d, ..] = self.seed;
        let low = u32::from_le_bytes([a, b, c, d]).wrapping_add(by);
        self.seed[..4].copy_from_slice(&low.to_le_bytes());
    }

    /// ComputeNetlogonCredential, [MS-NRPC] 3.1.4.4.1.
    fn compute(&self, input: &[u8; 8]) -> [u8; 8] {
        let mut out = *input;
        self.encrypt(&mut out);
        out
    }
}

/// The NT hash ([MS-NLMP] NTOWFv1), as which [MS-NRPC] uses the password. The weakness of MD4 does no harm: the password has
/// 240 random bits.
fn nt_hash(secret: &str) -> Key {
    let units: Vec<u8> = secret.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let units = Zeroizing::new(units);
    Zeroizing::new(Md4::digest(units.as_slice()).into())
}

/// AES-128 in 8-bit cipher feedback mode, SP 800-38A §6.3; calls continue the stream.
pub(super) struct Cfb8 {
    cipher: Aes128,
    register: [u8; 16],
}

impl Cfb8 {
    pub(super) fn new(key: &Key, iv: [u8; 16]) -> Self {
        let block: &[u8; 16] = key;
        Self {
            cipher: Aes128::new(block.into()),
            register: iv,
        }
    }

    pub(super) fn encrypt(&mut self, data: &mut [u8]) {
        for byte in data {
            *byte ^= self.next();
            self.shift(*byte);
        }
    }

    pub(super) fn decrypt(&mut self, data: &mut [u8]) {
        for byte in data {
            let cipher = *byte;
            *byte ^= self.next();
            self.shift(cipher);
        }
    }

    fn next(&self) -> u8 {
        let mut block = self.register.into();
        self.cipher.encrypt_block(&mut block);
        block[0]
    }

    fn shift(&mut self, cipher: u8) {
        self.register.rotate_left(1);
        self.register[15] = cipher;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// SP 800-38A F.3.7, CFB8-AES128.
    #[test]
    fn cfb8_is_that_of_the_standard() {
        let key = Zeroizing::new(
            hex::decode("2b7e151628aed2a6abf7158809cf4f3c")
                .unwrap()
                .try_into()
                .unwrap(),
        );
        let iv: [u8; 16] = hex::decode("000102030405060708090a0b0c0d0e0f")
            .unwrap()
            .try_into()
            .unwrap();
        let plain = hex::decode("6bc1bee22e409f96e93d7e117393172aae2d").unwrap();
        let mut data = plain.clone();
        let (one, two) = data.split_at_mut(5);
        let mut cipher = Cfb8::new(&key, iv);
        cipher.encrypt(one);
        cipher.encrypt(two);
        assert_eq!(
            data,
            hex::decode("3b79424c9c0dd436bace9e0ed4586a4f32b9").unwrap()
        );
        Cfb8::new(&key, iv).decrypt(&mut data);
        assert_eq!(data, plain);
    }

    /// [MS-NLMP] 4.2.2.1.2.
    #[test]
    fn the_nt_hash_is_that_of_the_specification() {
        assert_eq!(
            nt_hash("Password").to_vec(),
            hex::decode("a4f49c406510bdcab6824ee7c30fd852").unwrap()
        );
    }

    #[test]
    fn each_proof_differs_and_both_sides_agree() {
        let (ours, theirs) = ([1; 8], [2; 8]);
        let mut client = Credentials::new("secret", &ours, &theirs);
        let mut server = Credentials::new("secret", &ours, &theirs);
        assert!(client.is_servers(&theirs, &server.client(&theirs)));
        let first = client.authenticator(1000);
        assert_eq!(server.authenticator(1000), first);
        server.advance(1);
        let answer = server.compute(&server.seed);
        assert!(client.accepts(&answer));
        assert!(!client.accepts(&answer), "an answer is good once");
        let other = Credentials::new("Secret", &ours, &theirs);
        assert!(!client.is_servers(&theirs, &other.client(&theirs)));
    }
}
