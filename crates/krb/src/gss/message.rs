//! Per-message tokens: MIC and Wrap, RFC 4121 §4.2.

use super::GssError;
use crate::crypto::Key;
use crate::random::Random;
use zeroize::Zeroizing;

/// Bytes of the header of both token kinds, RFC 4121 §4.2.6.
const HEADER_LEN: usize = 16;

/// The largest token taken from the peer, in bytes: LDAP and SMB peers send far less at a time.
pub const MAX_TOKEN_LEN: usize = 32 << 20;

const TOKEN_MIC: u16 = 0x0404;
const TOKEN_WRAP: u16 = 0x0504;

const FLAG_SENT_BY_ACCEPTOR: u8 = 1;
const FLAG_SEALED: u8 = 2;
const FLAG_ACCEPTOR_SUBKEY: u8 = 4;

/// Key usages by who sent the token, RFC 4121 §2.
const USAGE_ACCEPTOR_SEAL: u32 = 22;
const USAGE_ACCEPTOR_SIGN: u32 = 23;
const USAGE_INITIATOR_SEAL: u32 = 24;
const USAGE_INITIATOR_SIGN: u32 = 25;

/// Which end of a context this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The client.
    Initiator,
    /// The service.
    Acceptor,
}

/// An established context: wraps and unwraps messages, each with the next sequence number.
///
/// Tokens must be unwrapped in the order in which the peer made them; that is what TCP gives, and what makes a replayed,
/// dropped or reordered token an error.
#[derive(Clone, Debug)]
pub struct Context {
    side: Side,
    key: Key,
    acceptor_subkey: bool,
    send_sequence: u64,
    receive_sequence: u64,
}

impl Side {
    fn peer(self) -> Self {
        match self {
            Self::Initiator => Self::Acceptor,
            Self::Acceptor => Self::Initiator,
        }
    }

    fn flag(self) -> u8 {
        match self {
            Self::Initiator => 0,
            Self::Acceptor => FLAG_SENT_BY_ACCEPTOR,
        }
    }

    fn seal_usage(self) -> u32 {
        match self {
            Self::Initiator => USAGE_INITIATOR_SEAL,
            Self::Acceptor => USAGE_ACCEPTOR_SEAL,
        }
    }

    fn sign_usage(self) -> u32 {
        match self {
            Self::Initiator => USAGE_INITIATOR_SIGN,
            Self::Acceptor => USAGE_ACCEPTOR_SIGN,
        }
    }
}

impl Context {
    /// A context from what the AP exchange agreed: the key (the acceptor's subkey if it asserted one, else the
    /// initiator's), and the first sequence number of each direction.
    pub fn new(
        side: Side,
        key: Key,
        acceptor_subkey: bool,
        send_sequence: u64,
        receive_sequence: u64,
    ) -> Self {
        Self {
            side,
            key,
            acceptor_subkey,
            send_sequence,
            receive_sequence,
        }
    }

    /// The key of the context.
    pub fn key(&self) -> &Key {
        &self.key
    }

    /// The session key that SMB takes from a Kerberos context: the first 16 bytes of its key ([MS-SMB2] 3.2.5.3).
    pub fn smb_session_key(&self) -> Zeroizing<Vec<u8>> {
        Zeroizing::new(self.key.as_bytes().iter().copied().take(16).collect())
    }

    /// Encrypts `plain`: a Wrap token with confidentiality, RFC 4121 §4.2.6.2.
    pub fn wrap(&mut self, plain: &[u8], random: &mut dyn Random) -> Vec<u8> {
        let header = self.next_header(TOKEN_WRAP, FLAG_SEALED, [0xff, 0, 0, 0, 0]);
        let mut inner = Zeroizing::new(Vec::with_capacity(plain.len() + HEADER_LEN));
        inner.extend(plain);
        inner.extend(header);
        let mut token = header.to_vec();
        token.extend(self.key.encrypt(self.side.seal_usage(), &inner, random));
        token
    }

    /// Decrypts the peer's Wrap token. A token without confidentiality is refused, so that encryption cannot be turned off.
    pub fn unwrap(&mut self, token: &[u8]) -> Result<Zeroizing<Vec<u8>>, GssError> {
        let (header, body) = self.check_header(TOKEN_WRAP, token)?;
        let [_, _, flags, _, ec @ .., _, _, _, _, _, _, _, _, _, _] = header;
        if flags & FLAG_SEALED == 0 {
            return Err(GssError::NotSealed);
        }
        let extra = usize::from(u16::from_be_bytes(ec));
        let [_, _, _, _, _, _, rrc @ .., _, _, _, _, _, _, _, _] = header;
        let rotation = usize::from(u16::from_be_bytes(rrc));
        let mut cipher = body.to_vec();
        if let Some(rotation) = rotation.checked_rem(cipher.len()) {
            cipher.rotate_left(rotation);
        }
        let mut plain = self
            .key
            .decrypt(self.side.peer().seal_usage(), &cipher)
            .map_err(|_| GssError::Integrity)?;
        let kept = plain
            .len()
            .checked_sub(HEADER_LEN + extra)
            .ok_or(GssError::Malformed)?;
        // The encrypted copy of the header must equal the clear one, but for the rotation, which is done last and not
        // protected (RFC 4121 §4.2.4).
        let inner = plain.get(kept + extra..).ok_or(GssError::Malformed)?;
        let clear = header.iter().enumerate();
        if !clear
            .zip(inner)
            .all(|((at, a), b)| a == b || (at == 6 || at == 7) && *b == 0)
        {
            return Err(GssError::Integrity);
        }
        plain.truncate(kept);
        self.receive_sequence = self.receive_sequence.wrapping_add(1);
        Ok(plain)
    }

    /// The MIC of `message`, RFC 4121 §4.2.6.1.
    pub fn mic(&mut self, message: &[u8]) -> Vec<u8> {
        let header = self.next_header(TOKEN_MIC, 0, [0xff; 5]);
        let mut token = header.to_vec();
        token.extend(
            self.key
                .checksum(self.side.sign_usage(), &[message, &header].concat()),
        );
        token
    }

    /// Verifies the peer's MIC of `message`.
    pub fn verify_mic(&mut self, message: &[u8], token: &[u8]) -> Result<(), GssError> {
        let (header, mac) = self.check_header(TOKEN_MIC, token)?;
        self.key
            .verify(
                self.side.peer().sign_usage(),
                &[message, &header].concat(),
                mac,
            )
            .map_err(|_| GssError::Integrity)?;
        self.receive_sequence = self.receive_sequence.wrapping_add(1);
        Ok(())
    }

    fn next_header(&mut self, kind: u16, flags: u8, filler: [u8; 5]) -> [u8; HEADER_LEN] {
        let [kind_high, kind_low] = kind.to_be_bytes();
        let mut flags = flags | self.side.flag();
        if self.acceptor_subkey {
            flags |= FLAG_ACCEPTOR_SUBKEY;
        }
        let [f0, f1, f2, f3, f4] = filler;
        let [s0, s1, s2, s3, s4, s5, s6, s7] = self.send_sequence.to_be_bytes();
        self.send_sequence = self.send_sequence.wrapping_add(1);
        [
            kind_high, kind_low, flags, f0, f1, f2, f3, f4, s0, s1, s2, s3, s4, s5, s6, s7,
        ]
    }

    /// Checks what both kinds have in common: kind, direction, which key, the sequence number.
    fn check_header<'a>(
        &self,
        kind: u16,
        token: &'a [u8],
    ) -> Result<([u8; HEADER_LEN], &'a [u8]), GssError> {
        if token.len() > MAX_TOKEN_LEN {
            return Err(GssError::TooLarge);
        }
        let (header, body) = token
            .split_first_chunk::<HEADER_LEN>()
            .ok_or(GssError::Malformed)?;
        let [kind_high, kind_low, flags, 0xff, _, _, _, _, sequence @ ..] = *header else {
            return Err(GssError::Malformed);
        };
        if u16::from_be_bytes([kind_high, kind_low]) != kind
            || flags & FLAG_SENT_BY_ACCEPTOR != self.side.peer().flag()
            || (flags & FLAG_ACCEPTOR_SUBKEY != 0) != self.acceptor_subkey
        {
            return Err(GssError::Malformed);
        }
        if u64::from_be_bytes(sequence) != self.receive_sequence {
            return Err(GssError::OutOfSequence);
        }
        Ok((*header, body))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::Enctype;

    fn fill(bytes: &mut [u8]) {
        bytes.fill(0x5a);
    }

    fn pair(enctype: Enctype, acceptor_subkey: bool) -> (Context, Context) {
        let key = Key::new(enctype, &vec![3; enctype.key_len()]).unwrap();
        let context =
            |side, send, receive| Context::new(side, key.clone(), acceptor_subkey, send, receive);
        (
            context(Side::Initiator, 100, 200),
            context(Side::Acceptor, 200, 100),
        )
    }

    /// What Windows does: EC filler bytes of zero and a rotation of the ciphertext.
    fn wrap_rotated(from: &mut Context, plain: &[u8], ec: u16, rrc: u16) -> Vec<u8> {
        let ec_bytes = ec.to_be_bytes();
        let mut header = from.next_header(
            TOKEN_WRAP,
            FLAG_SEALED,
            [0xff, ec_bytes[0], ec_bytes[1], 0, 0],
        );
        let inner = [plain, &vec![0; usize::from(ec)], &header].concat();
        let mut cipher = from.key.encrypt(from.side.seal_usage(), &inner, &mut fill);
        let turn = usize::from(rrc) % cipher.len();
        cipher.rotate_right(turn);
        header[6..8].copy_from_slice(&rrc.to_be_bytes());
        [&header[..], &cipher].concat()
    }

    #[test]
    fn messages_are_protected_in_both_directions() {
        for enctype in Enctype::ALL {
            for subkey in [false, true] {
                let (mut client, mut server) = pair(enctype, subkey);
                for text in [&b""[..], b"x", &[7; 5000]] {
                    let token = client.wrap(text, &mut fill);
                    assert_eq!(*server.unwrap(&token).unwrap(), text);
                    let token = server.wrap(text, &mut fill);
                    assert_eq!(*client.unwrap(&token).unwrap(), text);
                    let mic = client.mic(text);
                    server.verify_mic(text, &mic).unwrap();
                }
            }
        }
    }

    #[test]
    fn rotation_and_filler_are_removed() {
        for (ec, rrc) in [(0, 28), (16, 28), (0, 12), (3, 60_000), (0, 0)] {
            let (mut client, mut server) = pair(Enctype::Aes256Sha1, true);
            let token = wrap_rotated(&mut server, b"searchResEntry", ec, rrc);
            assert_eq!(
                *client.unwrap(&token).unwrap(),
                b"searchResEntry",
                "{ec} {rrc}"
            );
        }
    }

    #[test]
    fn every_flipped_bit_is_refused() {
        let (client, mut server) = pair(Enctype::Aes256Sha1, true);
        let token = server.wrap(b"secret", &mut fill);
        for at in 0..token.len() * 8 {
            let mut bad = token.clone();
            bad[at / 8] ^= 1 << (at % 8);
            assert!(client.clone().unwrap(&bad).is_err(), "bit {at}");
        }
        let (client, mut server) = pair(Enctype::Aes256Sha1, true);
        let mic = server.mic(b"message");
        for at in 0..mic.len() * 8 {
            let mut bad = mic.clone();
            bad[at / 8] ^= 1 << (at % 8);
            assert!(
                client.clone().verify_mic(b"message", &bad).is_err(),
                "bit {at}"
            );
        }
        assert!(client.clone().verify_mic(b"massage", &mic).is_err());
    }

    #[test]
    fn replays_reflections_and_short_tokens_are_refused() {
        let (mut client, mut server) = pair(Enctype::Aes256Sha1, true);
        let token = server.wrap(b"once", &mut fill);
        client.unwrap(&token).unwrap();
        assert_eq!(client.unwrap(&token).unwrap_err(), GssError::OutOfSequence);
        let own = client.wrap(b"mine", &mut fill);
        assert_eq!(client.unwrap(&own).unwrap_err(), GssError::Malformed);
        let next = server.wrap(b"next", &mut fill);
        for cut in 0..next.len() {
            assert!(client.clone().unwrap(&next[..cut]).is_err(), "{cut}");
        }
        // An EC larger than the plaintext.
        let mut lying = server.clone();
        lying.send_sequence = 201;
        let mut token = wrap_rotated(&mut lying, b"x", 0, 0);
        token[4] = 0xff;
        assert!(client.unwrap(&token).is_err());
    }
}
