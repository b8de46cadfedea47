//! The four signatures of a PAC, [MS-PAC] 2.8: checking those that came, making our own.
//!
//! | buffer | key | over |
//! |---|---|---|
//! | ticket (16) | KDC | the EncTicketPart whose PAC is replaced by one zero byte |
//! | full (19) | KDC | the PAC with the signatures 6, 7 and 19 zeroed |
//! | server (6) | server | the PAC with the signatures 6 and 7 zeroed |
//! | KDC (7) | KDC | the server signature |
//!
//! A signature counts only if its type is the one that the key's encryption type makes: an HMAC-MD5 or a shorter sum
//! under an AES key is a downgrade, not a signature.

use super::layout::{self, Entry};
use super::{Buffer, BufferKind, Pac, PacError, Signature};
use crate::crypto::Key;
use crate::key_usage::PAC_SIGNATURE;

/// What is zeroed under the server signature.
const ZEROED_FOR_SERVER: [BufferKind; 2] =
    [BufferKind::SERVER_SIGNATURE, BufferKind::KDC_SIGNATURE];
/// What is zeroed under the full signature.
const ZEROED_FOR_FULL: [BufferKind; 3] = [
    BufferKind::SERVER_SIGNATURE,
    BufferKind::KDC_SIGNATURE,
    BufferKind::FULL_SIGNATURE,
];

impl Pac {
    /// Checks the server signature (6): the PAC is as the KDC that shares `server_key` made it.
    ///
    /// For a referral ticket the server key is the trust key.
    pub fn verify_server(&self, server_key: &Key) -> Result<(), PacError> {
        let signed = self.zeroed(&ZEROED_FOR_SERVER)?;
        self.verify(BufferKind::SERVER_SIGNATURE, server_key, &signed)
    }

    /// Checks every signature of a PAC of our own realm: server (6), KDC (7), and for a service ticket also the ticket
    /// signature (16) and the full signature (19), which are then required.
    ///
    /// `ticket` is the service ticket's EncTicketPart, encoded with one zero byte in the place of the PAC; `None` for a
    /// TGT, which must hold no ticket signature and may hold a full one ([MS-PAC] 2.8.3 and 2.8.4).
    pub fn verify_all(
        &self,
        server_key: &Key,
        kdc_key: &Key,
        ticket: Option<&[u8]>,
    ) -> Result<(), PacError> {
        self.verify_server(server_key)?;
        self.verify_kdc(kdc_key)?;
        match ticket {
            Some(ticket) => {
                self.verify_ticket(kdc_key, ticket)?;
                self.verify_full(kdc_key)
            }
            None if self.signature(BufferKind::TICKET_SIGNATURE).is_some() => {
                Err(PacError::Unexpected(BufferKind::TICKET_SIGNATURE))
            }
            None if self.signature(BufferKind::FULL_SIGNATURE).is_some() => {
                self.verify_full(kdc_key)
            }
            None => Ok(()),
        }
    }

    /// Checks the KDC signature (7): the server signature is one that the KDC made.
    pub fn verify_kdc(&self, kdc_key: &Key) -> Result<(), PacError> {
        let server = self.required_signature(BufferKind::SERVER_SIGNATURE)?;
        self.verify(BufferKind::KDC_SIGNATURE, kdc_key, &server.mac)
    }

    /// Checks the ticket signature (16): the PAC belongs to this ticket and the ticket is unchanged.
    ///
    /// `ticket` is the EncTicketPart, encoded with one zero byte in the place of the PAC.
    pub fn verify_ticket(&self, kdc_key: &Key, ticket: &[u8]) -> Result<(), PacError> {
        self.verify(BufferKind::TICKET_SIGNATURE, kdc_key, ticket)
    }

    /// Checks the full signature (19): nobody who holds only the server key changed the PAC.
    pub fn verify_full(&self, kdc_key: &Key) -> Result<(), PacError> {
        let signed = self.zeroed(&ZEROED_FOR_FULL)?;
        self.verify(BufferKind::FULL_SIGNATURE, kdc_key, &signed)
    }

    fn verify(&self, kind: BufferKind, key: &Key, signed: &[u8]) -> Result<(), PacError> {
        let signature = self.required_signature(kind)?;
        let expected = key.enctype().checksum_type();
        if signature.checksum_type != expected {
            return Err(PacError::SignatureType {
                buffer: kind,
                expected,
                found: signature.checksum_type,
            });
        }
        key.verify(PAC_SIGNATURE, signed, &signature.mac)
            .map_err(|_| PacError::BadSignature(kind))
    }

    /// A copy of the bytes with the checksums of these signatures zeroed, those that are there.
    pub(super) fn zeroed(&self, kinds: &[BufferKind]) -> Result<Vec<u8>, PacError> {
        let mut raw = self.raw.clone();
        for kind in kinds {
            if let Some(signature) = self.signature(*kind) {
                let len = signature.mac.len();
                mac_place(&mut raw, &self.entries, *kind, len)?.fill(0);
            }
        }
        Ok(raw)
    }
}

/// Makes a PAC of these buffers: lays them out in the order given, adds the signatures and gives its bytes.
///
/// `ticket` is the EncTicketPart of the service ticket that the PAC is for, encoded with one zero byte in the place of
/// the PAC; its ticket and full signatures are then made too. `None` for a TGT, which has neither.
///
/// # Errors
/// [`PacError::Missing`] without a LOGON_INFO or CLIENT_INFO, [`PacError::Unexpected`] with a signature among the
/// buffers, and what [`Pac::encode`] refuses.
pub fn sign(
    buffers: &[Buffer],
    server_key: &Key,
    kdc_key: &Key,
    ticket: Option<&[u8]>,
) -> Result<Vec<u8>, PacError> {
    for required in [BufferKind::LOGON_INFO, BufferKind::CLIENT_INFO] {
        if !buffers.iter().any(|buffer| buffer.kind() == required) {
            return Err(PacError::Missing(required));
        }
    }
    if let Some(signature) = buffers.iter().find(|b| b.kind().is_signature()) {
        return Err(PacError::Unexpected(signature.kind()));
    }

    let mut contents = buffers
        .iter()
        .map(Buffer::encode)
        .collect::<Result<Vec<_>, _>>()?;
    contents.push((BufferKind::SERVER_SIGNATURE, unsigned(server_key)));
    contents.push((BufferKind::KDC_SIGNATURE, unsigned(kdc_key)));
    if ticket.is_some() {
        contents.push((BufferKind::TICKET_SIGNATURE, unsigned(kdc_key)));
        contents.push((BufferKind::FULL_SIGNATURE, unsigned(kdc_key)));
    }
    let (mut raw, entries) = layout::write(&contents)?;

    // Each sum covers those before it: 16, then 19, then 6, then 7 ([MS-PAC] 2.8).
    if let Some(ticket) = ticket {
        let mac = kdc_key.checksum(PAC_SIGNATURE, ticket);
        put_mac(&mut raw, &entries, BufferKind::TICKET_SIGNATURE, &mac)?;
        let mac = kdc_key.checksum(PAC_SIGNATURE, &raw);
        put_mac(&mut raw, &entries, BufferKind::FULL_SIGNATURE, &mac)?;
    }
    let server_mac = server_key.checksum(PAC_SIGNATURE, &raw);
    let kdc_mac = kdc_key.checksum(PAC_SIGNATURE, &server_mac);
    put_mac(
        &mut raw,
        &entries,
        BufferKind::SERVER_SIGNATURE,
        &server_mac,
    )?;
    put_mac(&mut raw, &entries, BufferKind::KDC_SIGNATURE, &kdc_mac)?;
    Ok(raw)
}

/// A signature buffer of the key's type with a checksum of zeros.
fn unsigned(key: &Key) -> Vec<u8> {
    let mut bytes = vec![0; Signature::MAC_OFFSET + key.enctype().mac_len()];
    if let Some(checksum_type) = bytes.first_chunk_mut() {
        *checksum_type = key.enctype().checksum_type().to_le_bytes();
    }
    bytes
}

/// Writes a checksum into its place in the PAC's bytes.
fn put_mac(
    raw: &mut [u8],
    entries: &[Entry],
    kind: BufferKind,
    mac: &[u8],
) -> Result<(), PacError> {
    mac_place(raw, entries, kind, mac.len())?.copy_from_slice(mac);
    Ok(())
}

/// The place of a checksum of this length in the PAC's bytes.
fn mac_place<'a>(
    raw: &'a mut [u8],
    entries: &[Entry],
    kind: BufferKind,
    len: usize,
) -> Result<&'a mut [u8], PacError> {
    let place = entries
        .iter()
        .find(|entry| entry.kind == kind)
        .ok_or(PacError::Missing(kind))?;
    raw.get_mut(place.range.clone())
        .and_then(|buffer| buffer.get_mut(Signature::MAC_OFFSET..))
        .and_then(|sum| sum.get_mut(..len))
        .ok_or(PacError::SignatureLength(kind))
}
