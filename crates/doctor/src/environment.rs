//! Where the diagnosis runs.

use crate::net;
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

/// What shows which part this computer plays.
pub(crate) struct Environment<'a> {
    /// Host and port of the service.
    pub(crate) service: Option<(&'a str, u16)>,
    /// The host name of the share.
    pub(crate) share_host: Option<&'a str>,
    /// Whether Kerberos is configured here, or there are tickets.
    pub(crate) has_kerberos: bool,
    /// Whether the caller named an AD domain.
    pub(crate) names_domain: bool,
}

impl Environment<'_> {
    /// Detects the parts by address: the service and the SMB host have the addresses that their names resolve to.
    pub(crate) async fn places(&self) -> Vec<Place> {
        let mut places = Vec::new();
        if let Some((host, port)) = self.service
            && net::is_local(host, port).await
        {
            places.push(Place::Cloud);
        }
        if let Some(host) = self.share_host
            && net::is_local(host, 445).await
        {
            places.push(Place::SmbHost);
        }
        let in_cloud = !places.is_empty();
        if !in_cloud && self.has_kerberos {
            places.push(Place::Workstation);
        }
        if !in_cloud && self.names_domain {
            places.push(Place::AdministrationHost);
        }
        places
    }
}
