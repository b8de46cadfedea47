//! The share itself: DNS name, port, SMB session, tree connect, root directory.

use crate::environment::Place;
use crate::facts::{Facts, NO_SHARE};
use crate::finding::{Finding, failed, failed_with, need, passed, skipped};
use crate::net::{connect, resolve};
use crossrealm_onprem::smb::PORT;
use crossrealm_onprem::smb::share::{Stage, open_root};

/// Why the share is not opened.
const NO_TICKET: &str = "there is no ticket for the share";

/// Whether the name of the SMB host resolves.
pub(super) async fn dns_share(facts: &mut Facts) -> Finding {
    let host = need!(facts.share_host(), NO_SHARE);
    if facts.places.as_slice() == [Place::Cloud] {
        return skipped("this computer runs the service, which does not connect to the SMB host");
    }
    match resolve(&host, PORT).await {
        Ok(address) => {
            facts.share_address = Some(address);
            passed(format!("`{host}` is {}", address.ip()))
        }
        // No client is here.
        Err(error) if facts.is_in_the_cloud() => skipped(format!(
            "`{host}` does not resolve on this computer ({error}), which needs it for nothing"
        )),
        Err(error) => failed(format!("`{host}` does not resolve: {error}")),
    }
}

/// Whether the SMB host accepts TCP connections.
pub(super) async fn port_share(facts: &Facts) -> Finding {
    let address = need!(facts.share_address, NO_SHARE);
    match connect(address).await {
        Ok(()) => passed(format!("TCP {address} answers")),
        Err(error) => failed(format!("TCP {address}: {error}")),
    }
}

/// Opens the share with the ticket, as far as possible. This check and the next two report how far.
pub(super) async fn smb_session(facts: &mut Facts) -> Finding {
    let share = need!(facts.options.share.clone(), NO_SHARE);
    let host = need!(facts.share_host(), NO_SHARE);
    let address = need!(facts.share_address, NO_SHARE);
    let ticket = need!(facts.ticket.clone(), NO_TICKET);
    let opened = open_root(&host, address, ticket, &share.name).await;
    let finding = match &opened {
        Err(error) if error.stage == Stage::Session => {
            failed(format!("`{host}` refuses the ticket: {}", error.reason()))
        }
        _ => passed(format!(
            "`{host}` accepted the ticket: SMB 3.1.1, encrypted"
        )),
    };
    facts.share_opened = Some(opened);
    finding
}

/// Whether the share's permissions let the user connect.
pub(super) fn smb_share(facts: &Facts) -> Finding {
    let share = need!(&facts.options.share, NO_SHARE);
    match need!(&facts.share_opened, NO_TICKET) {
        Err(error) if error.stage == Stage::Share && error.is_no_such_share() => failed_with(
            format!("the SMB host has no share `{}`", share.name),
            format!(
                "check the share's name: `crossrealm share list {}` lists those of the account",
                share.account
            ),
        ),
        Err(error) if error.stage == Stage::Share => {
            failed(format!("`{}` is refused: {}", share.name, error.reason()))
        }
        _ => passed(format!("`{}` is connected", share.name)),
    }
}

/// Whether the root directory's own permissions let the user open it.
pub(super) fn file_acl(facts: &Facts) -> Finding {
    let share = need!(&facts.options.share, NO_SHARE);
    let host = facts.share_host().unwrap_or_default();
    match need!(&facts.share_opened, NO_TICKET) {
        Err(error) => failed_with(
            format!(
                "the root directory of `{}` is refused: {}",
                share.name,
                error.reason()
            ),
            format!(
                "list the permissions as a user who may change them: smbcacls //{host}/{} /",
                share.name
            ),
        ),
        Ok(()) => passed(format!(
            "the root directory of `{}` opens for listing",
            share.name
        )),
    }
}
