//! Enumerations with one text form for each value, the same in the REST API, the database and the command line.

use std::fmt;
use std::str::FromStr;

/// The text is not a value of the enumeration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown {0}")]
pub struct UnknownWord(
    /// What was expected: `share role`.
    pub &'static str,
);

/// Declares an enumeration with `ALL`, `as_str`, `FromStr`, `Display` and serde, all by the text given for each value.
macro_rules! vocabulary {
    ($($(#[$doc:meta])* $name:ident, $what:literal {
        $($(#[$value_doc:meta])* $value:ident = $word:literal,)+
    })+) => {$(
        $(#[$doc])*
        #[derive(
            Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
        )]
        #[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
        #[cfg_attr(feature = "clap", derive(clap::ValueEnum))]
        pub enum $name {
            $(
                $(#[$value_doc])*
                #[serde(rename = $word)]
                #[cfg_attr(feature = "clap", value(name = $word))]
                $value,
            )+
        }

        impl $name {
            /// Every value, in the order of declaration.
            pub const ALL: &'static [Self] = &[$(Self::$value,)+];

            /// The text form.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$value => $word,)+
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl FromStr for $name {
            type Err = UnknownWord;

            fn from_str(text: &str) -> Result<Self, UnknownWord> {
                match text {
                    $($word => Ok(Self::$value),)+
                    _ => Err(UnknownWord($what)),
                }
            }
        }
    )+};
}

vocabulary! {
    /// A share-level role. Ordered: the greater one permits more.
    ShareRole, "share role" {
        /// Read files and directories.
        Reader = "reader",
        /// Read, write and delete.
        Contributor = "contributor",
        /// Read, write, delete, and change permissions.
        ElevatedContributor = "elevated-contributor",
    }

    /// One of the two keys of a storage account or service principal.
    KeySlot, "key" {
        /// The first key.
        Kerb1 = "kerb1",
        /// The second key.
        Kerb2 = "kerb2",
    }

    /// What an administrator may do.
    AdministratorRole, "administrator role" {
        /// Everything.
        GlobalAdministrator = "global-administrator",
        /// Trusts, connectors, identities.
        HybridIdentityAdministrator = "hybrid-identity-administrator",
        /// Storage accounts, shares, service principals, and their keys.
        StorageAdministrator = "storage-administrator",
        /// Read what holds no secret.
        Reader = "reader",
    }

    /// What an identity is.
    IdentityKind, "identity kind" {
        /// A person or service that signs in.
        User = "user",
        /// A security group.
        Group = "group",
    }

    /// Where an identity comes from.
    IdentitySource, "identity source" {
        /// Synchronized from AD.
        Hybrid = "hybrid",
        /// Exists only in the tenant; it gets no tickets through a trust.
        CloudOnly = "cloud-only",
    }

    /// Whether an identity may sign in.
    IdentityState, "identity state" {
        /// Enabled at the last sync.
        Enabled = "enabled",
        /// Disabled, expired or locked at the last sync.
        Disabled = "disabled",
        /// Deleted; kept so that its SID is never given to another identity.
        Deleted = "deleted",
    }

    /// Why AD does not let an identity sign in.
    DisabledReason, "reason of a disabled identity" {
        /// Disabled by an administrator.
        Disabled = "disabled",
        /// Its account has expired.
        Expired = "expired",
        /// Locked out after wrong passwords.
        Locked = "locked",
    }

    /// Why an object of a sync was refused.
    RefusedChangeCode, "code of a refused object" {
        /// The object was synchronized with another SID before.
        SidChanged = "sid_changed",
        /// Another object has, or had, the SID.
        SidDuplicate = "sid_duplicate",
        /// The SID is not one of the connector's domain.
        SidOutsideDomain = "sid_outside_domain",
        /// A user with a RID below 1000, which the tenant does not allow.
        RidReserved = "rid_reserved",
        /// Another identity has the UPN or the account name, and keeps it.
        UpnConflict = "upn_conflict",
        /// The suffix of the UPN is the name of another domain of the tenant that is not the root of the object's forest.
        UpnReserved = "upn_reserved",
        /// A group of the tenant has the object as a member of another domain.
        GuidReserved = "guid_reserved",
        /// The object is not an identity of this domain, or not one of the kind that the change needs.
        UnknownObject = "unknown_object",
        /// The object would overwrite an identity that exists only in the tenant.
        CloudOnly = "cloud_only",
        /// A value is malformed or too long, or the kind changed.
        Invalid = "invalid",
    }

    /// Whether AD holds a trust, as far as the tenant knows.
    TrustState, "trust state" {
        /// Prepared, never confirmed.
        Pending = "pending",
        /// Confirmed at least once.
        Active = "active",
    }

    /// The state of one version of a trust key.
    TrustKeyState, "trust key state" {
        /// Generated and handed out; not yet reported to be in AD. It decrypts tickets already, since AD may use it
        /// before the report arrives.
        Pending = "pending",
        /// In AD, as far as is known.
        Current = "current",
        /// Replaced in AD, which may still encrypt tickets with it.
        Previous = "previous",
        /// Out of use in AD; it decrypts older tickets until `retires_at`.
        Retired = "retired",
    }

    /// The phase of a change in AD. One that was begun and neither done nor failed was interrupted.
    AdStepPhase, "phase of a change in AD" {
        /// It is about to be made.
        Begun = "begun",
        /// AD accepted it.
        Done = "done",
        /// AD refused it, or did not answer.
        Failed = "failed",
    }

    /// What kind of actor an event names. The name alone does not say: a host token can be named like a person.
    ActorKind, "actor kind" {
        /// A person who signed in.
        Administrator = "administrator",
        /// A token with an administrator's role that belongs to nobody, such as the bootstrap token.
        Token = "token",
        /// The connector of an AD domain.
        Connector = "connector",
        /// An SMB host.
        Host = "host",
        /// The sender of a request: the client of a ticket, or a name that is only claimed.
        Client = "client",
        /// The service itself, or a command on its machine.
        Local = "local",
    }

    /// What kind of event was recorded.
    EventKind, "event kind" {
        /// A ticket was requested.
        Ticket = "ticket",
        /// An administrator or connector changed or exported something.
        Change = "change",
    }

    /// How a recorded operation ended.
    EventOutcome, "event outcome" {
        /// Done: a ticket issued, a change made.
        Done = "done",
        /// Refused with an answer that says why.
        Refused = "refused",
        /// Dropped without an answer.
        Dropped = "dropped",
    }
}

impl KeySlot {
    /// The other of the two keys.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::Kerb1 => Self::Kerb2,
            Self::Kerb2 => Self::Kerb1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_text_form_is_the_same_in_text_and_json() {
        for role in AdministratorRole::ALL {
            assert_eq!(role.as_str().parse(), Ok(*role));
            assert_eq!(role.to_string(), role.as_str());
            let json = serde_json::to_string(role).unwrap();
            assert_eq!(json, format!("\"{role}\""));
            assert_eq!(
                serde_json::from_str::<AdministratorRole>(&json).unwrap(),
                *role
            );
        }
    }

    #[test]
    fn unknown_words_are_refused() {
        for bad in ["", "Reader", "reader ", "owner"] {
            assert_eq!(bad.parse::<ShareRole>(), Err(UnknownWord("share role")));
        }
    }

    #[test]
    fn share_roles_are_ordered_by_what_they_permit() {
        assert!(ShareRole::Reader < ShareRole::Contributor);
        assert!(ShareRole::Contributor < ShareRole::ElevatedContributor);
    }
}
