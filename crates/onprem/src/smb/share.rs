//! Opening a share as its user would: sign in, connect to the share, open its root for listing. Nothing is written.

use super::connection::sign_in;
use super::error::{SmbError, classify};
use crate::rpc::NtStatus;
use crossrealm_krb::credential::Credential;
use smolder_proto::smb::smb2::{
    CloseRequest, CreateDisposition, CreateOptions, CreateRequest, FileAttributes,
    TreeConnectRequest,
};
use std::net::SocketAddr;

/// FILE_LIST_DIRECTORY, FILE_READ_ATTRIBUTES and SYNCHRONIZE, [MS-SMB2] 2.2.13.1.2.
const LIST: u32 = 0x0010_0081;

/// How far it went before it failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Connection, negotiation, sign-in with the ticket.
    Session,
    /// The share itself: its name and its permissions.
    Share,
    /// The root folder: its access control list.
    Root,
}

/// Why the share could not be opened.
#[derive(Debug)]
pub struct ShareError {
    /// How far it went.
    pub stage: Stage,
    /// Why.
    pub source: SmbError,
}

impl ShareError {
    /// The reason, without naming the server's kind.
    pub fn reason(&self) -> String {
        match &self.source {
            SmbError::Refused { status, .. } => format!("{} ({status})", status.meaning()),
            SmbError::Authentication(reason) => reason.clone(),
            SmbError::TimedOut(what) => format!("no answer in time: {what}"),
            other => other.to_string(),
        }
    }

    /// The server's status, where it answered with one.
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
/// The first stage that failed, and why.
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
    // What follows is courtesy: the answer is known.
    let close = CloseRequest {
        flags: 0,
        file_id: root.file_id,
    };
    let _ = tree.close(&close).await;
    Ok(())
}
