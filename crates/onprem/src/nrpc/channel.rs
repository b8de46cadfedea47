//! Connection-oriented RPC ([MS-RPCE] 2.2.2, C706 chapter 12) with one fragment in each direction, in clear or protected by
//! the Netlogon secure channel ([MS-NRPC] 3.3, NL_AUTH_SHA2_SIGNATURE).

use super::credential::Cfb8;
use super::model::{Key, NetlogonError, TrustAccount, fill};
use crate::rpc::Wire;
use crate::smb::SmbError;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// The largest fragment, in bytes.
const MAX_FRAGMENT: u16 = 4280;
/// Packet types: request, response, fault, bind, bind_ack.
const REQUEST: u8 = 0;
const RESPONSE: u8 = 2;
const FAULT: u8 = 3;
const BIND: u8 = 11;
const BIND_ACK: u8 = 12;
/// The common header, and that of a request or response.
const HEADER: usize = 16;
const CALL_HEADER: usize = 24;
/// RPC_C_AUTHN_NETLOGON at RPC_C_AUTHN_LEVEL_PKT_PRIVACY.
const AUTH_TYPE: u8 = 0x44;
const AUTH_LEVEL: u8 = 6;
/// The security trailer before a token.
const TRAILER: usize = 8;
/// The token of an encrypted message: header, sequence number, checksum, confounder, and reserved bytes.
const TOKEN: usize = 56;
/// HMAC-SHA256 with AES-128: the first eight bytes of the token.
const TOKEN_HEADER: [u8; 8] = [0x13, 0, 0x1A, 0, 0xFF, 0xFF, 0, 0];
/// The alignment of an encrypted body.
const PAD: usize = 16;
/// The Netlogon interface 12345678-1234-abcd-ef00-01234567cffb, version 1.0.
const NETLOGON: [u8; 20] = [
    0x78, 0x56, 0x34, 0x12, 0x34, 0x12, 0xcd, 0xab, 0xef, 0x00, 0x01, 0x23, 0x45, 0x67, 0xcf, 0xfb,
    1, 0, 0, 0,
];
/// NDR32: 8a885d04-1ceb-11c9-9fe8-08002b104860, version 2.0.
const NDR32: [u8; 20] = [
    0x04, 0x5d, 0x88, 0x8a, 0xeb, 0x1c, 0xc9, 0x11, 0x9f, 0xe8, 0x08, 0x00, 0x2b, 0x10, 0x48, 0x60,
    2, 0, 0, 0,
];

/// A binding to the Netlogon interface.
pub(super) struct Channel<'a, W> {
    wire: &'a mut W,
    seal: Option<Seal>,
    call_id: u32,
}

impl<'a, W: Wire> Channel<'a, W> {
    pub(super) fn plain(wire: &'a mut W) -> Self {
        Self {
            wire,
            seal: None,
            call_id: 0,
        }
    }

    pub(super) fn sealed(wire: &'a mut W, key: &Key) -> Self {
        Self {
            wire,
            seal: Some(Seal::new(key)),
            call_id: 0,
        }
    }

    pub(super) async fn bind(&mut self, account: &TrustAccount) -> Result<(), NetlogonError> {
        let call = "bind";
        let mut body = Vec::new();
        body.extend(MAX_FRAGMENT.to_le_bytes());
        body.extend(MAX_FRAGMENT.to_le_bytes());
        body.extend([0; 4]); // no association yet
        body.extend([1, 0, 0, 0, 0, 0, 1, 0]); // one context, number 0, one transfer syntax
        body.extend(NETLOGON);
        body.extend(NDR32);
        let token = match &self.seal {
            Some(_) => negotiation(account),
            None => Vec::new(),
        };
        let answer = self.send(BIND, body, 0, &token).await?;
        let rest = expect(call, BIND_ACK, &answer)?;
        accepted(rest).ok_or(NetlogonError::Malformed(call))
    }

    /// Calls `opnum`; returns the stub of the reply.
    pub(super) async fn call(
        &mut self,
        name: &'static str,
        opnum: u16,
        stub: &[u8],
    ) -> Result<Vec<u8>, NetlogonError> {
        let mut body = Vec::new();
        body.extend(u32::try_from(stub.len()).unwrap_or(u32::MAX).to_le_bytes());
        body.extend([0, 0]);
        body.extend(opnum.to_le_bytes());
        body.extend(stub);
        let mut pad = 0;
        let token = match &mut self.seal {
            None => Vec::new(),
            Some(seal) => {
                pad = stub.len().next_multiple_of(PAD) - stub.len();
                body.resize(body.len() + pad, 0);
                seal.seal(body.get_mut(CALL_HEADER - HEADER..).unwrap_or_default())?
            }
        };
        let answer = self.send(REQUEST, body, pad, &token).await?;
        let malformed = || NetlogonError::Malformed(name);
        let rest = expect(name, RESPONSE, &answer)?;
        let stub = rest.get(CALL_HEADER - HEADER..).ok_or_else(malformed)?;
        match &mut self.seal {
            None => Ok(stub.to_vec()),
            Some(seal) => {
                let body_len = stub
                    .len()
                    .checked_sub(TRAILER + TOKEN)
                    .ok_or_else(malformed)?;
                let (body, tail) = stub.split_at(body_len);
                let (trailer, token) = tail.split_at(TRAILER);
                if trailer.first_chunk() != Some(&[AUTH_TYPE, AUTH_LEVEL]) {
                    return Err(NetlogonError::Forged(name));
                }
                let mut body = body.to_vec();
                if !seal.open(&mut body, token) {
                    return Err(NetlogonError::Forged(name));
                }
                let pad = trailer.get(2).copied().map_or(0, usize::from);
                body.truncate(body.len().checked_sub(pad).ok_or_else(malformed)?);
                Ok(body)
            }
        }
    }

    /// Sends one fragment; the last `pad` bytes of the body are padding.
    async fn send(
        &mut self,
        kind: u8,
        body: Vec<u8>,
        pad: usize,
        token: &[u8],
    ) -> Result<Vec<u8>, NetlogonError> {
        self.call_id += 1;
        let trailer = if token.is_empty() { 0 } else { TRAILER };
        let length = HEADER + body.len() + trailer + token.len();
        let length = u16::try_from(length)
            .ok()
            .filter(|length| *length <= MAX_FRAGMENT)
            .ok_or(NetlogonError::TooLong)?;
        let mut out = vec![5, 0, kind, 3, 0x10, 0, 0, 0];
        out.extend(length.to_le_bytes());
        out.extend(u16::try_from(token.len()).unwrap_or(u16::MAX).to_le_bytes());
        out.extend(self.call_id.to_le_bytes());
        out.extend(body);
        if !token.is_empty() {
            let pad = u8::try_from(pad).unwrap_or(u8::MAX);
            out.extend([AUTH_TYPE, AUTH_LEVEL, pad, 0, 0, 0, 0, 0]);
            out.extend(token);
        }
        let answer = self.wire.exchange(out).await?;
        let id = answer.get(12..HEADER).and_then(<[u8]>::first_chunk::<4>);
        if id == Some(&self.call_id.to_le_bytes()) {
            Ok(answer)
        } else {
            Err(NetlogonError::Malformed("RPC"))
        }
    }
}

/// What follows the common header of a fragment of this type.
fn expect<'a>(name: &'static str, kind: u8, answer: &'a [u8]) -> Result<&'a [u8], NetlogonError> {
    let malformed = || NetlogonError::Malformed(name);
    let header: &[u8; HEADER] = answer.first_chunk().ok_or_else(malformed)?;
    let whole = usize::from(u16::from_le_bytes([header[8], header[9]])) == answer.len();
    let single = header[3] & 3 == 3;
    if header[..2] != [5, 0] || header[4] != 0x10 || !whole {
        return Err(malformed());
    }
    let rest = answer.get(HEADER..).unwrap_or_default();
    if header[2] == FAULT {
        let code = rest.get(8..).and_then(<[u8]>::first_chunk::<4>);
        let code = code.ok_or_else(malformed)?;
        return Err(SmbError::Fault(u32::from_le_bytes(*code)).into());
    }
    (header[2] == kind && single)
        .then_some(rest)
        .ok_or_else(malformed)
}

/// Whether a bind_ack accepts the presentation context: its result is zero.
fn accepted(rest: &[u8]) -> Option<()> {
    let address = usize::from(u16::from_le_bytes(*rest.get(8..)?.first_chunk()?));
    // Relative to the begin of the fragment; the header of 16 bytes does not change the alignment.
    let results = (10 + address).next_multiple_of(4);
    let list = rest.get(results..)?;
    (list.first() == Some(&1) && list.get(4..6)? == [0, 0]).then_some(())
}

/// NL_AUTH_MESSAGE, [MS-NRPC] 2.2.1.3.1: a negotiation that names the domain and the computer.
fn negotiation(account: &TrustAccount) -> Vec<u8> {
    let mut out = vec![0, 0, 0, 0, 3, 0, 0, 0];
    for name in [&account.ad_flat_name, &account.flat_name] {
        out.extend(name.bytes());
        out.push(0);
    }
    out
}

/// The state of a sealed channel.
pub(super) struct Seal {
    key: Key,
    /// One count for both directions.
    sequence: u32,
}

impl Seal {
    pub(super) fn new(key: &Key) -> Self {
        Self {
            key: key.clone(),
            sequence: 0,
        }
    }

    /// Seals `data` in place and returns its token.
    fn seal(&mut self, data: &mut [u8]) -> Result<Vec<u8>, NetlogonError> {
        let mut confounder = [0; 8];
        fill(&mut confounder)?;
        Ok(self.seal_as(data, confounder, true))
    }

    pub(super) fn seal_as(
        &mut self,
        data: &mut [u8],
        mut confounder: [u8; 8],
        is_client: bool,
    ) -> Vec<u8> {
        let sequence = self.next(is_client);
        let checksum = self.checksum(&confounder, data);
        let mut cipher = self.cipher(sequence);
        cipher.encrypt(&mut confounder);
        cipher.encrypt(data);
        let mut hidden = sequence;
        Cfb8::new(&self.key, twice(checksum)).encrypt(&mut hidden);
        let mut token = TOKEN_HEADER.to_vec();
        token.extend(hidden);
        token.extend(checksum);
        token.extend(confounder);
        token.resize(TOKEN, 0);
        token
    }

    /// Opens `data` in place; whether the token fits it.
    fn open(&mut self, data: &mut [u8], token: &[u8]) -> bool {
        self.open_as(data, token, false)
    }

    pub(super) fn open_as(&mut self, data: &mut [u8], token: &[u8], is_client: bool) -> bool {
        let sequence = self.next(is_client);
        let part = |at: usize| token.get(at..).and_then(<[u8]>::first_chunk::<8>).copied();
        let (Some(header), Some(mut hidden), Some(checksum), Some(mut confounder)) =
            (part(0), part(8), part(16), part(24))
        else {
            return false;
        };
        Cfb8::new(&self.key, twice(checksum)).decrypt(&mut hidden);
        let mut cipher = self.cipher(sequence);
        cipher.decrypt(&mut confounder);
        cipher.decrypt(data);
        let expected = self.checksum(&confounder, data);
        let fits =
            header.ct_eq(&TOKEN_HEADER) & hidden.ct_eq(&sequence) & checksum.ct_eq(&expected);
        bool::from(fits)
    }

    /// The number of the next message: big-endian, and whether the client sends it.
    fn next(&mut self, is_client: bool) -> [u8; 8] {
        let [a, b, c, d] = self.sequence.to_be_bytes();
        self.sequence = self.sequence.wrapping_add(1);
        [a, b, c, d, if is_client { 0x80 } else { 0 }, 0, 0, 0]
    }

    fn cipher(&self, sequence: [u8; 8]) -> Cfb8 {
        let mut key = Zeroizing::new(*self.key);
        for byte in key.iter_mut() {
            *byte ^= 0xF0;
        }
        Cfb8::new(&key, twice(sequence))
    }

    fn checksum(&self, confounder: &[u8; 8], data: &[u8]) -> [u8; 8] {
        let mut out = [0; 8];
        // HMAC takes a key of any length.
        if let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(self.key.as_slice()) {
            mac.update(&TOKEN_HEADER);
            mac.update(confounder);
            mac.update(data);
            let full: [u8; 32] = mac.finalize().into_bytes().into();
            out.copy_from_slice(&full[..8]);
        }
        out
    }
}

fn twice(half: [u8; 8]) -> [u8; 16] {
    let mut out = [0; 16];
    out[..8].copy_from_slice(&half);
    out[8..].copy_from_slice(&half);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_decrypt_once_and_unchanged() {
        let key = Zeroizing::new([9; 16]);
        let sealed = |is_client| {
            let mut data = *b"sixteen bytes ok";
            let token = Seal::new(&key).seal_as(&mut data, [3; 8], is_client);
            (data, token)
        };
        let (data, token) = sealed(false);
        assert_eq!(token.len(), TOKEN);
        let mut opened = data;
        let mut seal = Seal::new(&key);
        assert!(seal.open(&mut opened, &token));
        assert_eq!(&opened, b"sixteen bytes ok");
        // Replayed, mirrored, changed, cut, under another key: never.
        assert!(!seal.open(&mut data.clone(), &token));
        let (mirrored, its_token) = sealed(true);
        assert!(!Seal::new(&key).open(&mut mirrored.clone(), &its_token));
        for at in 0..32 {
            let mut bad = token.clone();
            bad[at] ^= 1;
            assert!(!Seal::new(&key).open(&mut data.clone(), &bad), "{at}");
        }
        let mut changed = data;
        changed[7] ^= 1;
        assert!(!Seal::new(&key).open(&mut changed, &token));
        assert!(!Seal::new(&key).open(&mut data.clone(), &token[..31]));
        assert!(!Seal::new(&Zeroizing::new([8; 16])).open(&mut data.clone(), &token));
    }

    #[test]
    fn fragments_that_are_none_are_refused() {
        let mut fault = vec![5, 0, FAULT, 3, 0x10, 0, 0, 0, 32, 0, 0, 0, 1, 0, 0, 0];
        fault.extend([0, 0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0]);
        assert!(matches!(
            expect("x", RESPONSE, &fault),
            Err(NetlogonError::Smb(SmbError::Fault(5)))
        ));
        for cut in 0..fault.len() {
            let refused = expect("x", RESPONSE, &fault[..cut]);
            assert!(matches!(refused, Err(NetlogonError::Malformed("x"))));
        }
        for rest in [&[][..], &[0; 9], &[0xff; 12], &[0; 40]] {
            assert_eq!(accepted(rest), None);
        }
    }
}
