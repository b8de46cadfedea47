//! A ticket with its session key, as a client holds it.

use crate::crypto::Key;
use crate::principal::Principal;

/// What an AS or TGS exchange yields and a credential cache holds. The session key is redacted in `Debug`.
#[derive(Clone, Debug)]
pub struct Credential {
    /// Whose ticket it is.
    pub client: Principal,
    /// The service that it is for, in the realm that issued it: `krbtgt/REALM@REALM` for a TGT.
    pub server: Principal,
    /// The session key.
    pub key: Key,
    /// When the client was first authenticated, Unix seconds.
    pub auth_time: i64,
    /// The first second in which it is valid, Unix seconds; equal to `auth_time` where the KDC named none.
    pub start_time: i64,
    /// The first second in which it no longer is, Unix seconds.
    pub end_time: i64,
    /// The end of what renewals can reach, Unix seconds; `None` where it cannot be renewed.
    pub renew_until: Option<i64>,
    /// The ticket flags, RFC 4120 §2.1; bit 0 of the RFC is the most significant bit.
    pub flags: u32,
    /// The DER of the Ticket, RFC 4120 §5.3, as the KDC sent it.
    pub ticket: Vec<u8>,
}

/// The difference between clocks that is tolerated, in seconds (RFC 4120 §8.2).
pub const MAX_SKEW_S: i64 = 300;

impl Credential {
    /// Whether it is within its lifetime at `now` (Unix seconds) and will be for another `margin_s` seconds.
    pub fn is_valid_at(&self, now: i64, margin_s: i64) -> bool {
        self.start_time <= now.saturating_add(MAX_SKEW_S)
            && self.end_time > now.saturating_add(margin_s)
    }

    /// Whether this is a ticket-granting ticket for `realm`, ASCII case aside.
    pub fn is_tgt_for(&self, realm: &str) -> bool {
        self.server
            .ticket_granting_for()
            .is_some_and(|target| target.eq_ignore_ascii_case(realm))
    }
}
