//! What an exchange leaves behind: one event: who asked for what, what was decided, and why.

use crate::TenantId;
use crossrealm_krb::messages::error_code;
use crossrealm_types::Sid;
use std::fmt;

/// The identity of an event: 128 random bits, shown as 32 hexadecimal digits. Refusals carry it in their e-text, so that
/// the line that a user sees leads to the event.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct EventId(pub [u8; 16]);

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The one event of an exchange. Fields are filled as far as the exchange came; none holds a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Its id.
    pub id: EventId,
    /// The tenant that was effective.
    pub tenant: TenantId,
    /// When, in Unix seconds.
    pub at: i64,
    /// What was decided.
    pub outcome: TicketOutcome,
    /// `name@REALM` of the client, from the decrypted ticket.
    pub client: Option<String>,
    /// The client's SID, from the verified PAC.
    pub client_sid: Option<Sid>,
    /// The clock of the client, by the authenticator that its session key encrypted.
    pub client_clock: Option<ClientClock>,
    /// The service asked for, as the client wrote it.
    pub service: Option<String>,
    /// The realm that issued the presented ticket.
    pub issuer: Option<String>,
    /// Which version of the trust key decrypted the ticket.
    pub trust_key_version: Option<u32>,
    /// The encryption type of the issued ticket.
    pub ticket_etype: Option<i32>,
    /// The key version of the issued ticket.
    pub kvno: Option<u32>,
    /// When the issued ticket ends, in Unix seconds.
    pub ends_at: Option<i64>,
    /// What was seen, in words: the value that broke the rule. Empty where nothing was refused.
    pub detail: String,
}

/// What the time in an authenticator says of two clocks, one of which may be wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientClock {
    /// `name@REALM` of the client, from the decrypted ticket.
    pub client: String,
    /// By how many seconds the clock of this service is ahead of the client's.
    pub lead_s: i64,
}

/// What an exchange decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TicketOutcome {
    /// A ticket was issued.
    Issued,
    /// A ticket was refused.
    Refused(Reason),
    /// The bytes were not Kerberos; nothing was answered.
    Dropped,
}

impl Event {
    pub(crate) fn new(id: EventId, tenant: TenantId, at: i64) -> Self {
        Self {
            id,
            tenant,
            at,
            outcome: TicketOutcome::Dropped,
            client: None,
            client_sid: None,
            client_clock: None,
            service: None,
            issuer: None,
            trust_key_version: None,
            ticket_etype: None,
            kvno: None,
            ends_at: None,
            detail: String::new(),
        }
    }
}

/// Declares [`Reason`] once: the variant, its stable code, its Kerberos error code, the text, the next step.
macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident = $code:literal, $krb:ident, $text:literal, $hint:literal;)+) => {
        /// Why a ticket was refused. The list is the whole vocabulary: the e-text, the event, the command line and the
        /// documentation speak from it.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Reason { $($(#[$doc])* $name,)+ }

        impl Reason {
            /// Every reason.
            pub const ALL: &[Self] = &[$(Self::$name,)+];

            /// The stable name: what events are filtered by.
            pub fn code(self) -> &'static str {
                match self { $(Self::$name => $code,)+ }
            }

            /// The error code of the KRB-ERROR, RFC 4120 §7.5.9.
            pub fn error_code(self) -> i32 {
                match self { $(Self::$name => error_code::$krb,)+ }
            }

            /// The reason, for display.
            pub fn text(self) -> &'static str {
                match self { $(Self::$name => $text,)+ }
            }

            /// What to do next. It names no command: the caller knows its own.
            pub fn hint(self) -> &'static str {
                match self { $(Self::$name => $hint,)+ }
            }
        }
    };
}

reasons! {
    /// An AS-REQ: this realm has no sign-in.
    SignInIsOnPremises = "sign-in-is-on-premises", POLICY,
        "users sign in to their on-premises domain, not to this realm",
        "get a ticket from the on-premises domain first, then ask for the cloud service";
    /// A Kerberos message, but not one for a KDC.
    UnsupportedMessage = "unsupported-message", MSG_TYPE,
        "this service answers ticket requests only",
        "send it an AS-REQ or a TGS-REQ";
    /// A change of a password, RFC 3244.
    PasswordChange = "password-change", POLICY,
        "passwords are changed in the on-premises domain, not here",
        "change the password where the domain controllers can be reached";
    /// A TGS-REQ that names another realm.
    WrongRealm = "wrong-realm", WRONG_REALM,
        "the request is for another realm than the one of this address",
        "check the KDC proxy address and the realm in the client's configuration";
    /// No (or more than one) PA-TGS-REQ.
    NoTicket = "no-ticket", PADATA_TYPE_NOSUPP,
        "the request presents no ticket",
        "sign in to the on-premises domain first";
    /// The AP-REQ in it does not decode.
    MalformedTicket = "malformed-ticket", GENERIC,
        "the presented ticket is malformed",
        "get a fresh ticket; if it happens again, the client or something between it and this service is broken";
    /// The presented ticket is for another service than the ticket-granting service of this realm.
    TicketNotForUs = "ticket-not-for-us", NOT_US,
        "the presented ticket is not a ticket-granting ticket for this realm",
        "check which tenant the client's configuration names";
    /// The issuing realm has no trust with this tenant.
    IssuerNotTrusted = "issuer-not-trusted", POLICY,
        "this tenant has no trust with the realm that issued the presented ticket",
        "set up the trust with the domain";
    /// RC4, DES or unknown.
    EncryptionTypeNotSupported = "encryption-type-not-supported", ETYPE_NOSUPP,
        "only AES encryption types (17 to 20) are accepted",
        "allow AES for the user, the client and the trust; RC4 is never accepted";
    /// No key of this tenant decrypts the ticket.
    TicketIntegrity = "ticket-integrity", BAD_INTEGRITY,
        "no key of the trust decrypts the presented ticket",
        "compare both sides: the trust key in AD and in the tenant may differ";
    /// A TGT of this realm from before its trust was removed, or its key stolen.
    TrustReplaced = "trust-replaced", TGT_REVOKED,
        "the presented ticket-granting ticket was revoked together with the trust, or the trust key, that it was issued for",
        "sign in again";
    /// Past its end.
    TicketExpired = "ticket-expired", TKT_EXPIRED,
        "the presented ticket has expired",
        "sign in again";
    /// Before its start, or postdated and not validated.
    TicketNotYetValid = "ticket-not-yet-valid", TKT_NYV,
        "the presented ticket is not yet valid",
        "check the clocks of the domain controller and of this service";
    /// The client's clock is off by more than five minutes.
    ClockSkew = "clock-skew", SKEW,
        "the client's clock differs by more than five minutes",
        "set the client's clock";
    /// The authenticator does not decrypt, or does not decode.
    AuthenticatorIntegrity = "authenticator-integrity", BAD_INTEGRITY,
        "the request was not made by the holder of the ticket",
        "get a fresh ticket";
    /// The authenticator names another client than the ticket.
    AuthenticatorMismatch = "authenticator-mismatch", BADMATCH,
        "the authenticator names another client than the ticket",
        "get a fresh ticket";
    /// The authenticator carries no keyed checksum of the request.
    ChecksumMissing = "checksum-missing", INAPP_CKSUM,
        "the request is not protected by a keyed checksum",
        "use a client that follows RFC 4120";
    /// The checksum does not match the request.
    RequestModified = "request-modified", MODIFIED,
        "the request was changed in transit",
        "try again; if it happens again, something between the client and this service changes requests";
    /// The FAST armor does not decrypt.
    ArmorIntegrity = "armor-integrity", BAD_INTEGRITY,
        "the FAST armor of the request does not verify",
        "get a fresh ticket";
    /// User-to-user, delegation, postdating, renewal of a referral and the like.
    OptionNotSupported = "option-not-supported", BAD_OPTION,
        "the request asks for something that a cloud trust does not support",
        "ask for an ordinary service ticket";
    /// No PAC in the ticket.
    PacMissing = "pac-missing", TGT_REVOKED,
        "the presented ticket holds no PAC",
        "the account must not have `NO_AUTH_DATA_REQUIRED` set in AD";
    /// The PAC does not decode or holds too much.
    PacMalformed = "pac-malformed", MODIFIED,
        "the PAC of the presented ticket is malformed",
        "get a fresh ticket";
    /// A signature of the PAC does not verify.
    PacSignature = "pac-signature", MODIFIED,
        "the PAC of the presented ticket was not signed with the trust key",
        "get a fresh ticket";
    /// The PAC belongs to another client or sign-in than the ticket.
    PacMismatch = "pac-mismatch", BADMATCH,
        "the PAC belongs to another client than the ticket",
        "get a fresh ticket";
    /// The client's realm is not the trusted domain or a registered domain of its forest.
    ClientRealmNotTrusted = "client-realm-not-trusted", POLICY,
        "the client's realm is not a registered domain of the trusted forest",
        "register the domain with the tenant";
    /// The ticket passed through realms that are not part of the forest.
    PathNotAccepted = "path-not-accepted", PATH_NOT_ACCEPTED,
        "the ticket passed through a realm that is not trusted",
        "only domains of the trusted forest may lie between the client and this realm";
    /// The client's SID is outside its domain's registered SID.
    SidOutsideDomain = "sid-outside-domain", POLICY,
        "the client's SID does not belong to its domain",
        "this is an attack or a domain that was re-created: compare the domain's SID in AD and in the tenant";
    /// A built-in account.
    SidReserved = "sid-reserved", POLICY,
        "built-in accounts (RID below 1000) get no cloud tickets",
        "use an ordinary account, or allow low RIDs in the policy of the tenant";
    /// The ticket's client name is not one of the identity with its SID.
    ClientNameMismatch = "client-name-mismatch", BADMATCH,
        "the directory knows the user with this SID by another name",
        "if the user was renamed in AD, synchronize the domain; if not, someone took another's name";
    /// No identity with the client's SID.
    IdentityNotSynced = "identity-not-synced", C_PRINCIPAL_UNKNOWN,
        "the user is not synced to this tenant",
        "synchronize the domain, and check that the user is in the scope of the sync";
    /// Disabled in AD at the last sync.
    IdentityDisabled = "identity-disabled", CLIENT_REVOKED,
        "the user is disabled",
        "enable the user in AD and sync";
    /// Deleted from AD.
    IdentityDeleted = "identity-deleted", CLIENT_REVOKED,
        "the user was deleted",
        "restore the user in AD and sync";
    /// Exists only in the tenant.
    IdentityCloudOnly = "identity-cloud-only", POLICY,
        "cloud-only users have no on-premises sign-in to get tickets with",
        "use a user synced from AD";
    /// The SID is a group's.
    IdentityNotAUser = "identity-not-a-user", POLICY,
        "the client's SID belongs to a group",
        "this is an attack or a damaged directory: look at the event";
    /// Too many groups for a ticket; never truncated.
    TooManyGroups = "too-many-groups", POLICY,
        "the user is in more than 1,010 groups",
        "take the user out of groups: a ticket never holds only some of them";
    /// No such service.
    ServiceUnknown = "service-unknown", S_PRINCIPAL_UNKNOWN,
        "this tenant has no such service",
        "check the name, and that the storage account or service principal exists, its alias included";
    /// The ticket would end before it starts.
    NeverValid = "never-valid", NEVER_VALID,
        "the requested ticket would never be valid",
        "ask for a later end time, or sign in again";
    /// The directory did not answer.
    DirectoryUnavailable = "directory-unavailable", SVC_UNAVAILABLE,
        "the directory did not answer in time",
        "try again; if it happens again, look at the service's health";
    /// What we made did not verify, or could not be made.
    Internal = "internal", GENERIC,
        "the ticket could not be made",
        "report this with the id of the event";
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl Reason {
    /// A refusal for this reason, with the value that was seen.
    pub(crate) fn because(self, detail: impl Into<String>) -> TicketRefusal {
        TicketRefusal {
            reason: self,
            detail: detail.into(),
        }
    }
}

/// A reason with what was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TicketRefusal {
    pub(crate) reason: Reason,
    pub(crate) detail: String,
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn every_reason_has_its_own_code_and_words() {
        let codes: HashSet<_> = Reason::ALL.iter().map(|r| r.code()).collect();
        assert_eq!(codes.len(), Reason::ALL.len());
        for reason in Reason::ALL {
            assert!(!reason.text().ends_with('.') && !reason.hint().ends_with('.'));
            assert!(!reason.text().is_empty() && !reason.hint().is_empty());
        }
    }
}
