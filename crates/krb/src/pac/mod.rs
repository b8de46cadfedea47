//! The PAC ([MS-PAC]): the SIDs and groups of a ticket's client, and the signatures that prove them.
//!
//! [`Pac::decode`] turns the bytes from a ticket into values and refuses everything ambiguous; nothing in it is to be
//! believed before [`Pac::verify_server`] (a referral) or [`Pac::verify_all`] (a ticket of our own realm) has verified it.
//! [`sign`] makes the PAC of a new ticket. Which client may have which SID is decided elsewhere.
//!
//! ```text
//! let pac = Pac::decode(bytes)?;
//! pac.verify_server(&trust_key)?;
//! let sid = pac.logon_info()?.user_sid();
//! ```
//!
//! Source: [MS-PAC]. Sections are named at each structure.

mod buffers;
mod error;
mod layout;
mod logon_info;
mod signature;
#[cfg(test)]
mod tests;
mod time;

pub use buffers::{Attributes, ClientInfo, Signature, UpnAccount, UpnDnsInfo};
pub use error::PacError;
pub use logon_info::{GROUP_ENABLED, GroupMembership, LogonInfo, MAX_GROUPS, SidAndAttributes};
pub use signature::sign;
pub use time::FileTime;

use crate::ndr::NdrError;
use crossrealm_types::Sid;
use std::fmt;

/// The longest PAC that is read or made, in bytes. The largest that AD makes is below 64 KiB.
pub const MAX_PAC_LEN: usize = 128 * 1024;
/// The most buffers of one PAC. [MS-PAC] defines fewer than 20 kinds, and each comes once.
pub const MAX_BUFFERS: usize = 32;

/// The kind of a buffer, `ulType` of [MS-PAC] 2.4.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BufferKind(pub u32);

impl BufferKind {
    /// KERB_VALIDATION_INFO.
    pub const LOGON_INFO: Self = Self(1);
    /// The server signature.
    pub const SERVER_SIGNATURE: Self = Self(6);
    /// The KDC signature.
    pub const KDC_SIGNATURE: Self = Self(7);
    /// PAC_CLIENT_INFO.
    pub const CLIENT_INFO: Self = Self(10);
    /// UPN_DNS_INFO.
    pub const UPN_DNS_INFO: Self = Self(12);
    /// The ticket signature.
    pub const TICKET_SIGNATURE: Self = Self(16);
    /// PAC_ATTRIBUTES_INFO.
    pub const ATTRIBUTES_INFO: Self = Self(17);
    /// PAC_REQUESTOR.
    pub const REQUESTER: Self = Self(18);
    /// The full, or extended KDC, signature.
    pub const FULL_SIGNATURE: Self = Self(19);

    /// Whether this is one of the four signatures.
    pub fn is_signature(self) -> bool {
        matches!(
            self,
            Self::SERVER_SIGNATURE
                | Self::KDC_SIGNATURE
                | Self::TICKET_SIGNATURE
                | Self::FULL_SIGNATURE
        )
    }
}

impl fmt::Display for BufferKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match *self {
            Self::LOGON_INFO => "LOGON_INFO",
            Self::SERVER_SIGNATURE => "server signature",
            Self::KDC_SIGNATURE => "KDC signature",
            Self::CLIENT_INFO => "CLIENT_INFO",
            Self::UPN_DNS_INFO => "UPN_DNS_INFO",
            Self::TICKET_SIGNATURE => "ticket signature",
            Self::ATTRIBUTES_INFO => "ATTRIBUTES_INFO",
            Self::REQUESTER => "REQUESTER",
            Self::FULL_SIGNATURE => "full signature",
            Self(number) => return write!(f, "PAC buffer {number}"),
        };
        write!(f, "PAC {name}")
    }
}

impl fmt::Debug for BufferKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// One buffer of a PAC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Buffer {
    /// Who the client is and which groups it is in.
    LogonInfo(Box<LogonInfo>),
    /// Which client and sign-in the PAC belongs to.
    ClientInfo(ClientInfo),
    /// The client's user principal name.
    UpnDns(UpnDnsInfo),
    /// Whether the client asked for the PAC.
    Attributes(Attributes),
    /// The SID of the client of a TGT.
    Requester(Sid),
    /// One of the four signatures.
    Signature(BufferKind, Signature),
    /// A buffer of another kind, as it came.
    Other(BufferKind, Vec<u8>),
}

impl Buffer {
    /// Its kind.
    pub fn kind(&self) -> BufferKind {
        match self {
            Self::LogonInfo(_) => BufferKind::LOGON_INFO,
            Self::ClientInfo(_) => BufferKind::CLIENT_INFO,
            Self::UpnDns(_) => BufferKind::UPN_DNS_INFO,
            Self::Attributes(_) => BufferKind::ATTRIBUTES_INFO,
            Self::Requester(_) => BufferKind::REQUESTER,
            Self::Signature(kind, _) | Self::Other(kind, _) => *kind,
        }
    }

    fn decode(kind: BufferKind, bytes: &[u8]) -> Result<Self, PacError> {
        let malformed = |reason| PacError::Malformed {
            buffer: kind,
            reason,
        };
        match kind {
            BufferKind::LOGON_INFO => LogonInfo::decode(bytes)
                .map(|info| Self::LogonInfo(Box::new(info)))
                .map_err(malformed),
            BufferKind::CLIENT_INFO => ClientInfo::decode(bytes)
                .map(Self::ClientInfo)
                .map_err(malformed),
            BufferKind::UPN_DNS_INFO => UpnDnsInfo::decode(bytes)
                .map(Self::UpnDns)
                .map_err(malformed),
            BufferKind::ATTRIBUTES_INFO => Attributes::decode(bytes)
                .map(Self::Attributes)
                .map_err(malformed),
            BufferKind::REQUESTER => buffers::decode_requester(bytes)
                .map(Self::Requester)
                .map_err(malformed),
            kind if kind.is_signature() => {
                Signature::decode(kind, bytes).map(|signature| Self::Signature(kind, signature))
            }
            kind => Ok(Self::Other(kind, bytes.to_vec())),
        }
    }

    fn encode(&self) -> Result<(BufferKind, Vec<u8>), PacError> {
        let kind = self.kind();
        let bytes = match self {
            Self::LogonInfo(info) => info.encode(),
            Self::ClientInfo(info) => info.encode(),
            Self::UpnDns(info) => info.encode(),
            Self::Attributes(attributes) => Ok(attributes.encode()),
            Self::Requester(sid) => Ok(sid.to_bytes()),
            Self::Signature(_, signature) => Ok(signature.encode()),
            Self::Other(_, bytes) => Ok(bytes.clone()),
        };
        let malformed = |reason: NdrError| PacError::Malformed {
            buffer: kind,
            reason,
        };
        Ok((kind, bytes.map_err(malformed)?))
    }
}

/// A PAC as it came in a ticket: its bytes, which the signatures cover, and what they mean.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pac {
    raw: Vec<u8>,
    entries: Vec<layout::Entry>,
    buffers: Vec<Buffer>,
}

impl Pac {
    /// Reads a PAC. It is well-formed and unambiguous then, but no signature has been verified.
    pub fn decode(raw: &[u8]) -> Result<Self, PacError> {
        let entries = layout::read(raw)?;
        let buffers = entries
            .iter()
            .map(|entry| {
                let bytes = raw.get(entry.range.clone());
                Buffer::decode(entry.kind, bytes.ok_or(PacError::OutOfRange(entry.kind))?)
            })
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Self {
            raw: raw.to_vec(),
            entries,
            buffers,
        })
    }

    /// The bytes of a PAC with exactly these buffers, in this order; [`sign`] makes those that a ticket can carry.
    pub fn encode(buffers: &[Buffer]) -> Result<Vec<u8>, PacError> {
        let contents: Vec<_> = buffers
            .iter()
            .map(Buffer::encode)
            .collect::<Result<_, _>>()?;
        layout::write(&contents).map(|(raw, _)| raw)
    }

    /// Its buffers, in the order of the table.
    pub fn buffers(&self) -> &[Buffer] {
        &self.buffers
    }

    /// LOGON_INFO, which every PAC must have.
    pub fn logon_info(&self) -> Result<&LogonInfo, PacError> {
        let found = self.buffers.iter().find_map(|buffer| match buffer {
            Buffer::LogonInfo(info) => Some(&**info),
            _ => None,
        });
        found.ok_or(PacError::Missing(BufferKind::LOGON_INFO))
    }

    /// CLIENT_INFO, which every PAC must have.
    pub fn client_info(&self) -> Result<&ClientInfo, PacError> {
        let found = self.buffers.iter().find_map(|buffer| match buffer {
            Buffer::ClientInfo(info) => Some(info),
            _ => None,
        });
        found.ok_or(PacError::Missing(BufferKind::CLIENT_INFO))
    }

    /// UPN_DNS_INFO, where the issuer gave it.
    pub fn upn_dns(&self) -> Option<&UpnDnsInfo> {
        self.buffers.iter().find_map(|buffer| match buffer {
            Buffer::UpnDns(info) => Some(info),
            _ => None,
        })
    }

    /// The SID of REQUESTER, which TGTs of newer issuers have.
    pub fn requester(&self) -> Option<&Sid> {
        self.buffers.iter().find_map(|buffer| match buffer {
            Buffer::Requester(sid) => Some(sid),
            _ => None,
        })
    }

    /// ATTRIBUTES_INFO, which TGTs of newer issuers have.
    pub fn attributes(&self) -> Option<Attributes> {
        self.buffers.iter().find_map(|buffer| match buffer {
            Buffer::Attributes(attributes) => Some(*attributes),
            _ => None,
        })
    }

    fn signature(&self, wanted: BufferKind) -> Option<&Signature> {
        self.buffers.iter().find_map(|buffer| match buffer {
            Buffer::Signature(kind, signature) if *kind == wanted => Some(signature),
            _ => None,
        })
    }

    fn required_signature(&self, kind: BufferKind) -> Result<&Signature, PacError> {
        self.signature(kind).ok_or(PacError::Missing(kind))
    }
}
