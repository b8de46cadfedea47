//! Opens a share like its user: sign in, connect, open the root folder for listing. Nothing is written.

use super::connection::sign_in;
use super::error::{SmbError, classify};
use crate::nt_status::NtStatus;
use crossrealm_krb::credential::Credential;
use smolder_proto::smb::smb2::{
    CloseRequest, CreateDisposition, CreateOptions, CreateRequest, FileAttributes,
    TreeConnectRequest,
};
use std::net::SocketAddr;

/// FILE_LIST_DIRECTORY, FILE_READ_ATTRIBUTES and SYNCHRONIZE, [MS-SMB2] 2.2.13.1.2.
const LIST: u32 = 0x0010_0081;

/// The stage at which it failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Connection, negotiation and session set-up.
    Session,
    /// Tree connect: the name and the permissions of the share.
    Share,
    /// The root folder: its DACL.
    Root,
}

/// Why a share could not be opened.
#[derive(Debug)]
pub struct ShareError {
    /// The stage at which it failed.
    pub stage: Stage,
    /// The cause.
    pub source: SmbError,
}

impl ShareError {
    /// The cause, in words that fit any SMB server.
    pub fn reason(&self) -> String {
        match &self.source {
            SmbError::Refused { status, .. } => match *status {
                NtStatus::ACCESS_DENIED => format!("access is denied ({status})"),
                NtStatus::BAD_NETWORK_NAME => format!("there is no such share ({status})"),
                NtStatus::LOGON_FAILURE => format!("the ticket is not accepted ({status})"),
                other => other.to_string(),
            },
            SmbError::Authentication(reason) => reason.clone(),
            SmbError::TimedOut(what) => format!("no answer in time: {what}"),
            other => other.to_string(),
        }
    }

    /// Whether the server has no share of that name.
    pub fn is_no_such_share(&self) -> bool {
        self.status() == Some(NtStatus::BAD_NETWORK_NAME)
    }

    /// The status that the server returned, if it returned one.
    pub fn status(&self) -> Option<NtStatus> {
        match &self.source {
            SmbError::Refused { status, .. } => Some(*status),
            _ => None,
        }
    }
}

/// Opens the root folder of `share` on `host` for listing and closes it again.
///
/// # Errors
/// The first stage that failed, with its cause.
pub async fn open_root(
    host: &str,
    address: SocketAddr,
    ticket: Credential,
    share: &str,
) -> Result<(), ShareError> {
    let at = |stage| move |source| ShareError { stage, source };
    let (connection, _) = sign_in(host, address, ticket)
        .await
        .map_err(at(Stage::Session))?;
    let mut tree = connection
        .tree_connect(&TreeConnectRequest::from_unc(&format!(r"\\{host}\{share}")))
        .await
        .map_err(|error| at(Stage::Share)(classify("access to the share", error)))?;
    let mut request = CreateRequest::from_path("");
    request.desired_access = LIST;
    request.file_attributes = FileAttributes::DIRECTORY;
    request.create_disposition = CreateDisposition::Open;
    request.create_options = CreateOptions::DIRECTORY_FILE;
    let root = tree
        .create(&request)
        .await
        .map_err(|error| at(Stage::Root)(classify("access to the folder", error)))?;
    // The result is known; closing the handle only tidies up.
    let close = CloseRequest {
        flags: 0,
        file_id: root.file_id,
    };
    let _ = tree.close(&close).await;
    Ok(())
}
