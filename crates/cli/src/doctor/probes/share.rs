//! The share itself: name, port, session, share, folder.

use super::{NO_SHARE, need};
use crate::doctor::engine::{Finding, failed, failed_with, passed, skipped};
use crate::doctor::patient::{Patient, Place, connects, resolve};
use crossrealm_onprem::smb::PORT;
use crossrealm_onprem::smb::share::{Stage, open_root};

/// Why the share was not opened.
const NO_TICKET: &str = "there is no ticket for the share";

/// Whether the host's name resolves.
pub async fn dns_share(patient: &mut Patient<'_>) -> Finding {
    let host = need!(patient.share_host(), NO_SHARE);
    if patient.places.as_slice() == [Place::Cloud] {
        return skipped("this is the service's machine, which need not know the share's host");
    }
    match resolve(&host, PORT).await {
        Ok(address) => {
            patient.share_address = Some(address);
            passed(format!("`{host}` is {}", address.ip()))
        }
        Err(error) => failed(format!("`{host}` does not resolve: {error}")),
    }
}

/// Whether the host answers SMB.
pub async fn port_share(patient: &Patient<'_>) -> Finding {
    let address = need!(patient.share_address, NO_SHARE);
    match connects(address).await {
        Ok(()) => passed(format!("TCP {address} answers")),
        Err(error) => failed(format!("TCP {address}: {error}")),
    }
}

/// Opens the share with the ticket, as far as it goes. How far is told by this check and the next two.
pub async fn smb_session(patient: &mut Patient<'_>) -> Finding {
    let share = need!(patient.args.share.clone(), NO_SHARE);
    let host = need!(patient.share_host(), NO_SHARE);
    let address = need!(patient.share_address, NO_SHARE);
    let ticket = need!(patient.ticket.clone(), NO_TICKET);
    let opened = open_root(&host, address, ticket, &share.share).await;
    let finding = match &opened {
        Err(error) if error.stage == Stage::Session => failed(format!(
            "`{host}` does not take the ticket: {}",
            error.reason()
        )),
        _ => passed(format!("`{host}` opened the ticket: SMB 3.1.1, encrypted")),
    };
    patient.opened = Some(opened);
    finding
}

/// Whether the share's permissions let the user in.
pub fn smb_share(patient: &Patient<'_>) -> Finding {
    let share = need!(&patient.args.share, NO_SHARE);
    match need!(&patient.opened, NO_TICKET) {
        Err(error) if error.stage == Stage::Share => {
            failed(format!("`{}` is refused: {}", share.share, error.reason()))
        }
        _ => passed(format!("`{}` is connected", share.share)),
    }
}

/// Whether the folder's own permissions let the user in.
pub fn file_acl(patient: &Patient<'_>) -> Finding {
    let share = need!(&patient.args.share, NO_SHARE);
    let host = patient.share_host().unwrap_or_default();
    match need!(&patient.opened, NO_TICKET) {
        Err(error) => failed_with(
            format!(
                "the root folder of `{}` is refused: {}",
                share.share,
                error.reason()
            ),
            format!(
                "see who may: smbcacls //{host}/{} /, as somebody who may change permissions",
                share.share
            ),
        ),
        Ok(()) => passed(format!(
            "the root folder of `{}` opens for listing",
            share.share
        )),
    }
}
