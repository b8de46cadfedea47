//! The next step for what `crossrealm status` says needs a person.

use crossrealm_api::{Attention, AttentionCode};

/// The command that shows more or mends it; `None` for what a newer service reports.
pub(crate) fn of_attention(attention: &Attention) -> Option<String> {
    let object = &attention.object;
    let account = object.split('/').next().unwrap_or_default();
    Some(match attention.code {
        AttentionCode::TrustMissing => {
            "`crossrealm kerberos-server set --setup-cloud-trust --domain DOMAIN` sets a trust up, as an administrator of AD and of the service".to_owned()
        }
        AttentionCode::TrustPending | AttentionCode::TrustRotationPending => format!(
            "`crossrealm kerberos-server set --setup-cloud-trust --domain {object}` goes on from where it ended"
        ),
        AttentionCode::TrustRemovalPending => format!(
            "`crossrealm trusted-domain-object remove --domain {object}` ends it, `crossrealm kerberos-server set --setup-cloud-trust --domain {object}` keeps the trust"
        ),
        AttentionCode::SyncMissing => {
            format!("`crossrealm sync once --domain {object}` synchronizes it")
        }
        AttentionCode::SyncAwaited => {
            format!("`crossrealm sync once --full --domain {object}` synchronizes everything")
        }
        AttentionCode::SyncStale
        | AttentionCode::SyncFailing
        | AttentionCode::SyncExceeding
        | AttentionCode::SyncIncomplete => {
            format!("`crossrealm sync status --domain {object}` says why")
        }
        AttentionCode::HostMissing => format!(
            "`crossrealm storage-account host-token {account} --join FILE` creates the file that `crossrealm files serve --join FILE` needs on the host"
        ),
        AttentionCode::HostSilent => {
            "see on the host whether its `files serve` runs and reaches the service".to_owned()
        }
        AttentionCode::HostNotServing
        | AttentionCode::HostOutdated
        | AttentionCode::HostProblem
        | AttentionCode::HostDiskFull => {
            format!("`crossrealm storage-account hosts {account}` shows what the host reports")
        }
        AttentionCode::CertificateEnds => {
            "put a new certificate where the `[tls]` part of the service's configuration names it; it is served at once"
                .to_owned()
        }
        AttentionCode::Other => return None,
    })
}
