//! The small buffers: client information, UPN and DNS names, attributes, requester, and the form of a signature.

use super::{BufferKind, FileTime, PacError};
use crate::ndr::{NdrError, Reader, Writer};
use crossrealm_types::Sid;

/// PAC_CLIENT_INFO, [MS-PAC] 2.7: ties the PAC to the ticket's client and authentication time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientInfo {
    /// The ticket's authentication time.
    pub auth_time: FileTime,
    /// The ticket's client name without its realm, components joined by `/`.
    pub name: String,
}

impl ClientInfo {
    pub(super) fn decode(bytes: &[u8]) -> Result<Self, NdrError> {
        let mut reader = Reader::plain(bytes);
        let auth_time = FileTime(reader.u64_in_halves()?);
        let len = reader.u16()?;
        let name = reader.utf16(usize::from(len))?;
        reader.finish()?;
        Ok(Self { auth_time, name })
    }

    pub(super) fn encode(&self) -> Result<Vec<u8>, NdrError> {
        let mut writer = Writer::new();
        writer.u64_in_halves(self.auth_time.0);
        writer.u16(utf16_len(&self.name)?);
        writer.utf16(&self.name);
        Ok(writer.into_plain())
    }
}

/// UPN_DNS_INFO, [MS-PAC] 2.10: the client's user principal name and the DNS name of its domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpnDnsInfo {
    /// The user principal name, `name@suffix`.
    pub upn: String,
    /// The DNS name of the client's domain; Windows writes it in upper case.
    pub dns_domain_name: String,
    /// Flag U: the directory holds no UPN for the client, this one was made from the account name and the domain.
    pub upn_is_constructed: bool,
    /// Flag S: the account name and the SID, which newer servers add.
    pub account: Option<UpnAccount>,
}

/// The second half of [`UpnDnsInfo`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpnAccount {
    /// `sAMAccountName`.
    pub name: String,
    /// The client's SID.
    pub sid: Sid,
}

impl UpnDnsInfo {
    const CONSTRUCTED: u32 = 1;
    const HAS_ACCOUNT: u32 = 2;

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, NdrError> {
        let mut reader = Reader::plain(bytes);
        let upn = utf16_at(bytes, reader.u16()?, reader.u16()?)?;
        let dns_domain_name = utf16_at(bytes, reader.u16()?, reader.u16()?)?;
        let flags = reader.u32()?;
        let account = match flags & Self::HAS_ACCOUNT {
            0 => None,
            _ => Some(UpnAccount {
                name: utf16_at(bytes, reader.u16()?, reader.u16()?)?,
                sid: Sid::from_bytes(bytes_at(bytes, reader.u16()?, reader.u16()?)?)
                    .map_err(|_| NdrError::Sid)?,
            }),
        };
        Ok(Self {
            upn,
            dns_domain_name,
            upn_is_constructed: flags & Self::CONSTRUCTED != 0,
            account,
        })
    }

    pub(super) fn encode(&self) -> Result<Vec<u8>, NdrError> {
        let mut flags = 0;
        let mut values = vec![utf16_bytes(&self.upn), utf16_bytes(&self.dns_domain_name)];
        if self.upn_is_constructed {
            flags |= Self::CONSTRUCTED;
        }
        if let Some(account) = &self.account {
            flags |= Self::HAS_ACCOUNT;
            values.extend([utf16_bytes(&account.name), account.sid.to_bytes()]);
        }

        // A length and an offset for each value, and the flags after the first two.
        let header_len: usize = values.len() * 4 + 4;
        let mut header = Writer::new();
        let mut data = Writer::new();
        for (index, value) in values.iter().enumerate() {
            if index == 2 {
                header.u32(flags);
            }
            let offset = header_len.next_multiple_of(8) + data.position();
            header.u16(u16::try_from(value.len()).map_err(|_| NdrError::TooLong)?);
            header.u16(u16::try_from(offset).map_err(|_| NdrError::TooLong)?);
            data.bytes(value);
            data.pad();
        }
        if values.len() == 2 {
            header.u32(flags);
        }
        header.pad();
        header.bytes(&data.into_plain());
        Ok(header.into_plain())
    }
}

/// PAC_ATTRIBUTES_INFO, [MS-PAC] 2.14: whether the client asked for this PAC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attributes {
    /// How many bits of [`Self::flags`] mean something, 1 to 32; Windows writes 2.
    pub flags_len: u32,
    /// [`Self::REQUESTED`], [`Self::GIVEN_IMPLICITLY`].
    pub flags: u32,
}

impl Attributes {
    /// The client asked for a PAC.
    pub const REQUESTED: u32 = 1;
    /// The client did not say, and was given one.
    pub const GIVEN_IMPLICITLY: u32 = 2;

    /// The attributes of a PAC that the client asked for.
    pub fn requested() -> Self {
        Self {
            flags_len: 2,
            flags: Self::REQUESTED,
        }
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, NdrError> {
        let mut reader = Reader::plain(bytes);
        let flags_len = reader.u32()?;
        let flags = reader.u32()?;
        reader.finish()?;
        match flags_len {
            1..=32 => Ok(Self { flags_len, flags }),
            _ => Err(NdrError::CountMismatch),
        }
    }

    pub(super) fn encode(self) -> Vec<u8> {
        let mut writer = Writer::new();
        writer.u32(self.flags_len);
        writer.u32(self.flags);
        writer.into_plain()
    }
}

/// PAC_REQUESTOR, [MS-PAC] 2.15: the SID of the client, in its plain form.
pub(super) fn decode_requester(bytes: &[u8]) -> Result<Sid, NdrError> {
    let sub_authorities = bytes.get(1).copied().ok_or(NdrError::Truncated)?;
    let mut reader = Reader::plain(bytes);
    let sid = reader.take(usize::from(sub_authorities) * 4 + 8)?;
    reader.finish()?;
    Sid::from_bytes(sid).map_err(|_| NdrError::Sid)
}

/// PAC_SIGNATURE_DATA, [MS-PAC] 2.8.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature {
    /// The checksum type, RFC 3961 §8.
    pub checksum_type: i32,
    /// The checksum, of the length that its type has.
    pub mac: Vec<u8>,
    /// The number of the read-only domain controller whose key signed. Never in a server signature.
    pub rodc_id: Option<u16>,
}

impl Signature {
    /// Where the checksum begins in the buffer.
    pub(super) const MAC_OFFSET: usize = 4;

    pub(super) fn decode(buffer: BufferKind, bytes: &[u8]) -> Result<Self, PacError> {
        let wrong_len = PacError::SignatureLength(buffer);
        let (checksum_type, rest) = bytes.split_first_chunk().ok_or(wrong_len)?;
        let checksum_type = i32::from_le_bytes(*checksum_type);
        let mac_len = mac_len(checksum_type).ok_or(PacError::UnknownSignatureType {
            buffer,
            found: checksum_type,
        })?;
        let (mac, rodc_id) = rest.split_at_checked(mac_len).ok_or(wrong_len)?;
        let rodc_id = match rodc_id {
            [] => None,
            // [MS-PAC] 2.8.1: the server's key is never a read-only domain controller's.
            [low, high] if buffer != BufferKind::SERVER_SIGNATURE => {
                Some(u16::from_le_bytes([*low, *high]))
            }
            _ => return Err(wrong_len),
        };
        Ok(Self {
            checksum_type,
            mac: mac.to_vec(),
            rodc_id,
        })
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut bytes = self.checksum_type.to_le_bytes().to_vec();
        bytes.extend_from_slice(&self.mac);
        bytes.extend(self.rodc_id.iter().flat_map(|id| id.to_le_bytes()));
        bytes
    }
}

/// The length in bytes of a checksum of this type; `None` for types that no PAC has.
///
/// HMAC-MD5 (-138) is here only because the KDC signature in a foreign realm's PAC, which only that realm can
/// verify, may be one. No key of ours makes or verifies it.
fn mac_len(checksum_type: i32) -> Option<usize> {
    match checksum_type {
        15 | 16 => Some(12),
        -138 | 19 => Some(16),
        20 => Some(24),
        _ => None,
    }
}

/// The length of a text in bytes of UTF-16.
fn utf16_len(text: &str) -> Result<u16, NdrError> {
    let units = text.encode_utf16().count();
    u16::try_from(units.saturating_mul(2)).map_err(|_| NdrError::TooLong)
}

fn utf16_bytes(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(2 * text.len());
    bytes.extend(text.encode_utf16().flat_map(u16::to_le_bytes));
    bytes
}

fn bytes_at(bytes: &[u8], len: u16, offset: u16) -> Result<&[u8], NdrError> {
    let start = usize::from(offset);
    bytes
        .get(start..start + usize::from(len))
        .ok_or(NdrError::Truncated)
}

fn utf16_at(bytes: &[u8], len: u16, offset: u16) -> Result<String, NdrError> {
    let text = bytes_at(bytes, len, offset)?;
    Reader::plain(text).utf16(text.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn upn() -> UpnDnsInfo {
        UpnDnsInfo {
            upn: "müller@corp.contoso.com".into(),
            dns_domain_name: "CORP.CONTOSO.COM".into(),
            upn_is_constructed: true,
            account: Some(UpnAccount {
                name: "müller".into(),
                sid: "S-1-5-21-1-2-3-1104".parse().unwrap(),
            }),
        }
    }

    #[test]
    fn upn_round_trips_with_and_without_account() {
        let mut info = upn();
        assert_eq!(UpnDnsInfo::decode(&info.encode().unwrap()).unwrap(), info);
        info.account = None;
        info.upn_is_constructed = false;
        assert_eq!(UpnDnsInfo::decode(&info.encode().unwrap()).unwrap(), info);
    }

    #[test]
    fn upn_offsets_outside_the_buffer_are_refused() {
        let good = upn().encode().unwrap();
        // Each of the four offsets in turn points far behind the end.
        for at in [3, 7, 15, 19] {
            let mut bad = good.clone();
            bad[at] = 0xff;
            assert_eq!(UpnDnsInfo::decode(&bad), Err(NdrError::Truncated), "{at}");
        }
        assert_eq!(UpnDnsInfo::decode(&good[..11]), Err(NdrError::Truncated));
        let mut odd = good;
        odd[0] += 1;
        assert_eq!(UpnDnsInfo::decode(&odd), Err(NdrError::NotUtf16));
    }

    #[test]
    fn a_name_beyond_its_length_field_cannot_be_written() {
        let name = "x".repeat(40_000);
        let client = ClientInfo {
            auth_time: FileTime::UNSET,
            name: name.clone(),
        };
        assert_eq!(client.encode(), Err(NdrError::TooLong));
        let info = UpnDnsInfo { upn: name, ..upn() };
        assert_eq!(info.encode(), Err(NdrError::TooLong));
    }

    #[test]
    fn client_info_with_a_wrong_length_is_refused() {
        let client = ClientInfo {
            auth_time: FileTime::from_unix_seconds(1_700_000_000),
            name: "alice".into(),
        };
        let good = client.encode().unwrap();
        assert_eq!(ClientInfo::decode(&good), Ok(client));
        for (len, expected) in [
            (9, NdrError::NotUtf16),
            (12, NdrError::Truncated),
            (8, NdrError::Trailing),
        ] {
            let mut bad = good.clone();
            bad[8] = len;
            assert_eq!(ClientInfo::decode(&bad), Err(expected));
        }
    }

    #[test]
    fn signatures_have_the_length_of_their_type() {
        let kdc = BufferKind::KDC_SIGNATURE;
        let server = BufferKind::SERVER_SIGNATURE;
        let bytes = |checksum_type: i32, len: usize| {
            let mut bytes = checksum_type.to_le_bytes().to_vec();
            bytes.resize(4 + len, 7);
            bytes
        };
        for (checksum_type, len) in [(15, 12), (16, 12), (19, 16), (20, 24), (-138, 16)] {
            let plain = bytes(checksum_type, len);
            let read = Signature::decode(server, &plain).unwrap();
            assert_eq!((read.encode(), read.rodc_id), (plain, None));
            for wrong in [0, 4, len - 1, len + 1, len + 3] {
                assert_eq!(
                    Signature::decode(kdc, &bytes(checksum_type, wrong)),
                    Err(PacError::SignatureLength(kdc))
                );
            }
            let with_id = bytes(checksum_type, len + 2);
            let read = Signature::decode(kdc, &with_id).unwrap();
            assert_eq!(
                (read.encode(), read.rodc_id),
                (with_id.clone(), Some(0x0707))
            );
            assert_eq!(
                Signature::decode(server, &with_id),
                Err(PacError::SignatureLength(server))
            );
        }
        assert_eq!(
            Signature::decode(kdc, &bytes(7, 16)),
            Err(PacError::UnknownSignatureType {
                buffer: kdc,
                found: 7
            })
        );
    }

    #[test]
    fn malformed_requester_and_attributes_are_refused() {
        let sid: Sid = "S-1-5-21-1-2-3-1104".parse().unwrap();
        assert_eq!(decode_requester(&sid.to_bytes()), Ok(sid.clone()));
        let mut longer = sid.to_bytes();
        longer.extend([1; 4]);
        assert_eq!(decode_requester(&longer), Err(NdrError::Trailing));
        assert_eq!(
            decode_requester(&sid.to_bytes()[..20]),
            Err(NdrError::Truncated)
        );
        assert_eq!(decode_requester(&[1]), Err(NdrError::Truncated));

        let requested = Attributes::requested();
        assert_eq!(Attributes::decode(&requested.encode()), Ok(requested));
        for flags_len in [0, 33] {
            let wrong = Attributes {
                flags_len,
                flags: 1,
            };
            assert_eq!(
                Attributes::decode(&wrong.encode()),
                Err(NdrError::CountMismatch)
            );
        }
    }
}
