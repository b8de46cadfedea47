//! Where the diagnosis runs.

use serde::Serialize;

/// The part that this computer plays. It may play several.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Place {
    /// The computer that runs the service.
    Cloud,
    /// The SMB host that serves the share.
    #[serde(rename = "file-host")]
    SmbHost,
    /// A user's computer: its Kerberos is configured for the tenant, or it holds tickets.
    Workstation,
    /// A computer with credentials for the AD domain.
    AdministrationHost,
}
