//! Key usage numbers, RFC 4120 §7.5.1, RFC 6113 §5.4, [MS-PAC] 2.8.

/// PA-ENC-TIMESTAMP, with the client's key.
pub const PA_ENC_TIMESTAMP: u32 = 1;
/// The encrypted part of a ticket.
pub const TICKET: u32 = 2;
/// The encrypted part of an AS reply.
pub const AS_REP: u32 = 3;
/// Authorization data in a TGS request, with the session key.
pub const TGS_REQ_AD_SESSION: u32 = 4;
/// Authorization data in a TGS request, with the subkey.
pub const TGS_REQ_AD_SUBKEY: u32 = 5;
/// The checksum over a TGS request's body.
pub const TGS_REQ_CHECKSUM: u32 = 6;
/// The authenticator of a TGS request.
pub const TGS_REQ_AUTHENTICATOR: u32 = 7;
/// The encrypted part of a TGS reply, with the session key.
pub const TGS_REP_SESSION: u32 = 8;
/// The encrypted part of a TGS reply, with the subkey.
pub const TGS_REP_SUBKEY: u32 = 9;
/// The checksum in an AP request's authenticator.
pub const AP_REQ_CHECKSUM: u32 = 10;
/// The authenticator of an AP request.
pub const AP_REQ_AUTHENTICATOR: u32 = 11;
/// The encrypted part of an AP reply.
pub const AP_REP: u32 = 12;
/// PAC signatures.
pub const PAC_SIGNATURE: u32 = 17;
/// The checksum in a FAST request.
pub const FAST_REQ_CHECKSUM: u32 = 50;
/// The encrypted FAST request.
pub const FAST_ENC: u32 = 51;
/// The encrypted FAST response.
pub const FAST_REP: u32 = 52;
/// The ticket checksum in a FAST response.
pub const FAST_FINISHED: u32 = 53;
/// The checksum over a request in its protected reply, RFC 6806 §11.
pub const AS_REQ: u32 = 56;
