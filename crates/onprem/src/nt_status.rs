//! The NTSTATUS values ([MS-ERREF] 2.3.1) that calls about a trust and the opening of a share return.

use std::fmt;

/// An NTSTATUS value.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct NtStatus(pub u32);

impl NtStatus {
    /// Success.
    pub const SUCCESS: Self = Self(0);
    /// More entries follow; not an error.
    pub const MORE_ENTRIES: Self = Self(0x0000_0105);
    /// The enumeration is complete; not an error.
    pub const NO_MORE_ENTRIES: Self = Self(0x8000_001A);
    /// The handle is invalid. Samba also returns this for a deletion without the right to delete.
    pub const INVALID_HANDLE: Self = Self(0xC000_0008);
    /// A parameter is invalid. For a new trust this mostly means that the trust password was encrypted with a wrong key.
    pub const INVALID_PARAMETER: Self = Self(0xC000_000D);
    /// The caller lacks the right.
    pub const ACCESS_DENIED: Self = Self(0xC000_0022);
    /// No object of that name.
    pub const OBJECT_NAME_NOT_FOUND: Self = Self(0xC000_0034);
    /// An object of that name exists.
    pub const OBJECT_NAME_COLLISION: Self = Self(0xC000_0035);
    /// Wrong user name or password.
    pub const LOGON_FAILURE: Self = Self(0xC000_006D);
    /// The password has expired.
    pub const PASSWORD_EXPIRED: Self = Self(0xC000_0071);
    /// The account is disabled.
    pub const ACCOUNT_DISABLED: Self = Self(0xC000_0072);
    /// The SID cannot be used here.
    pub const INVALID_SID: Self = Self(0xC000_0078);
    /// The server has no share of that name.
    pub const BAD_NETWORK_NAME: Self = Self(0xC000_00CC);
    /// The server does not implement the call.
    pub const NOT_SUPPORTED: Self = Self(0xC000_00BB);
    /// The call is not possible in the server's state.
    pub const INVALID_SERVER_STATE: Self = Self(0xC000_00DC);
    /// Not the forest's root domain, or its functional level is too low; Win32 error 0x549.
    pub const INVALID_DOMAIN_STATE: Self = Self(0xC000_00DD);
    /// Not the PDC emulator.
    pub const INVALID_DOMAIN_ROLE: Self = Self(0xC000_00DE);
    /// The domain is not known.
    pub const NO_SUCH_DOMAIN: Self = Self(0xC000_00DF);
    /// The domain exists already.
    pub const DOMAIN_EXISTS: Self = Self(0xC000_00E0);
    /// The clocks differ by more than Kerberos permits.
    pub const TIME_DIFFERENCE_AT_DC: Self = Self(0xC000_0133);
    /// No such information is stored.
    pub const NOT_FOUND: Self = Self(0xC000_0225);
    /// The account is locked.
    pub const ACCOUNT_LOCKED_OUT: Self = Self(0xC000_0234);
    /// The name or SID is that of the domain itself.
    pub const CURRENT_DOMAIN_NOT_ALLOWED: Self = Self(0xC000_02E9);

    /// The name in [MS-ERREF] without `STATUS_`, of the values above.
    pub fn name(self) -> Option<&'static str> {
        Some(match self {
            Self::SUCCESS => "SUCCESS",
            Self::MORE_ENTRIES => "MORE_ENTRIES",
            Self::NO_MORE_ENTRIES => "NO_MORE_ENTRIES",
            Self::INVALID_HANDLE => "INVALID_HANDLE",
            Self::INVALID_PARAMETER => "INVALID_PARAMETER",
            Self::ACCESS_DENIED => "ACCESS_DENIED",
            Self::OBJECT_NAME_NOT_FOUND => "OBJECT_NAME_NOT_FOUND",
            Self::OBJECT_NAME_COLLISION => "OBJECT_NAME_COLLISION",
            Self::LOGON_FAILURE => "LOGON_FAILURE",
            Self::PASSWORD_EXPIRED => "PASSWORD_EXPIRED",
            Self::ACCOUNT_DISABLED => "ACCOUNT_DISABLED",
            Self::INVALID_SID => "INVALID_SID",
            Self::BAD_NETWORK_NAME => "BAD_NETWORK_NAME",
            Self::NOT_SUPPORTED => "NOT_SUPPORTED",
            Self::INVALID_SERVER_STATE => "INVALID_SERVER_STATE",
            Self::INVALID_DOMAIN_STATE => "INVALID_DOMAIN_STATE",
            Self::INVALID_DOMAIN_ROLE => "INVALID_DOMAIN_ROLE",
            Self::NO_SUCH_DOMAIN => "NO_SUCH_DOMAIN",
            Self::DOMAIN_EXISTS => "DOMAIN_EXISTS",
            Self::TIME_DIFFERENCE_AT_DC => "TIME_DIFFERENCE_AT_DC",
            Self::NOT_FOUND => "NOT_FOUND",
            Self::ACCOUNT_LOCKED_OUT => "ACCOUNT_LOCKED_OUT",
            Self::CURRENT_DOMAIN_NOT_ALLOWED => "CURRENT_DOMAIN_NOT_ALLOWED",
            _ => return None,
        })
    }

    /// What the value means while a trust is set up, as a clause.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::ACCESS_DENIED => "the account lacks the right to do this",
            Self::INVALID_HANDLE => {
                "the object cannot be changed, mostly because the account lacks the right to"
            }
            Self::INVALID_PARAMETER => {
                "the domain controller did not accept the request's contents"
            }
            Self::OBJECT_NAME_NOT_FOUND | Self::NO_SUCH_DOMAIN | Self::NOT_FOUND => {
                "there is no such trust"
            }
            Self::OBJECT_NAME_COLLISION | Self::DOMAIN_EXISTS => {
                "a trust or domain with this name, flat name or SID exists already"
            }
            Self::LOGON_FAILURE => "the user name or password is wrong",
            Self::PASSWORD_EXPIRED => "the account's password has expired",
            Self::ACCOUNT_DISABLED => "the account is disabled",
            Self::ACCOUNT_LOCKED_OUT => "the account is locked",
            Self::INVALID_SID => "the SID is not that of an account domain",
            Self::NOT_SUPPORTED => "the domain controller does not offer this call",
            Self::INVALID_SERVER_STATE => {
                "the domain controller cannot do this in its present state"
            }
            Self::INVALID_DOMAIN_STATE => {
                "the domain is not the root of its forest, or its forest functional level is below Windows Server 2003 (0x549)"
            }
            Self::INVALID_DOMAIN_ROLE => "this domain controller is not the PDC emulator",
            Self::TIME_DIFFERENCE_AT_DC => "the clocks of this machine and the DC differ too much",
            Self::CURRENT_DOMAIN_NOT_ALLOWED => {
                "the name, flat name or SID is that of the domain itself"
            }
            _ => "the domain controller refused",
        }
    }

    /// The next step, where one is known.
    pub fn hint(self) -> Option<&'static str> {
        Some(match self {
            Self::ACCESS_DENIED | Self::INVALID_HANDLE => {
                "use a member of Domain Admins or Enterprise Admins of the forest's root domain"
            }
            Self::INVALID_DOMAIN_STATE => {
                "set the trust up in the forest's root domain; a child domain gets the Kerberos server object alone"
            }
            Self::INVALID_DOMAIN_ROLE => "name the PDC emulator",
            Self::OBJECT_NAME_COLLISION | Self::DOMAIN_EXISTS => {
                "list the trusts with `netdom trust` or `samba-tool domain trust list`; another tenant's trust may use the same flat name"
            }
            Self::LOGON_FAILURE => "check the user's name and password",
            Self::PASSWORD_EXPIRED | Self::ACCOUNT_DISABLED | Self::ACCOUNT_LOCKED_OUT => {
                "have the account's state corrected in the directory, or use another account"
            }
            Self::TIME_DIFFERENCE_AT_DC => "synchronise this machine's clock (NTP)",
            _ => return None,
        })
    }
}

impl fmt::Display for NtStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => write!(f, "NT_STATUS_{name}"),
            None => write!(f, "NTSTATUS 0x{:08X}", self.0),
        }
    }
}

impl fmt::Debug for NtStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_child_domain_error_says_what_to_do() {
        assert!(NtStatus::INVALID_DOMAIN_STATE.meaning().contains("0x549"));
        assert!(
            NtStatus::INVALID_DOMAIN_STATE
                .hint()
                .unwrap()
                .contains("root domain")
        );
    }

    #[test]
    fn an_unknown_value_shows_its_number() {
        assert_eq!(NtStatus(0xC000_1234).to_string(), "NTSTATUS 0xC0001234");
    }
}
