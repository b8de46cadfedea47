//! Files and folders of a domain controller's share: the few and small ones of a group policy object.

use super::connection::{Tree, tree};
use super::error::{SmbError, classify};
use crate::nt_status::NtStatus;
use crossrealm_krb::credential::Credential;
use smolder_core::client::CompoundRequest;
use smolder_proto::smb::smb2::{
    CloseRequest, Command, CreateDisposition, CreateOptions, CreateRequest, DispositionInformation,
    FileAttributes, FileId, FileInfoClass, FlushRequest, InfoType, QueryDirectoryFlags,
    QueryDirectoryRequest, QueryInfoRequest, QueryInfoResponse, ReadRequest, RenameInformation,
    SetInfoRequest, ShareAccess, WriteRequest,
};
use std::net::SocketAddr;

/// Bytes of one read or write.
const CHUNK: usize = 64 * 1024;
/// The deepest folder that [`FileShare::remove_all`] removes.
const MAX_DEPTH: usize = 8;
/// The most entries of a folder that are read.
const MAX_ENTRIES: usize = 1000;
/// The largest security descriptor that is read, in bytes.
const MAX_DESCRIPTOR: u32 = 64 * 1024;
/// [MS-ERREF] 2.3.1: a folder of the path does not exist; the listing is complete; the end of the file.
const PATH_NOT_FOUND: NtStatus = NtStatus(0xC000_003A);
const NO_MORE_FILES: NtStatus = NtStatus(0x8000_0006);
const END_OF_FILE: NtStatus = NtStatus(0xC000_0011);

/// Access rights, [MS-SMB2] 2.2.13.1.
mod right {
    pub(super) const READ: u32 = 0x0012_0089;
    pub(super) const WRITE: u32 = 0x0012_0116;
    pub(super) const DELETE: u32 = 0x0001_0000;
    pub(super) const READ_CONTROL: u32 = 0x0002_0000;
    pub(super) const WRITE_DACL: u32 = 0x0004_0000;
    pub(super) const WRITE_OWNER: u32 = 0x0008_0000;
}

/// The parts of a security descriptor that are read and written: owner, group and DACL, [MS-DTYP] 2.4.7.
const OWNER_GROUP_DACL: u32 = 0x7;

/// A share of a domain controller, such as `sysvol`. Paths are relative to it, with backslashes.
pub struct FileShare(Tree);

impl FileShare {
    /// Connects as [`crate::rpc::LsaPipe::connect`] does.
    pub async fn connect(
        host: &str,
        address: SocketAddr,
        ticket: Credential,
        share: &str,
    ) -> Result<Self, SmbError> {
        let (tree, _) = tree(host, address, ticket, share).await?;
        Ok(Self(tree))
    }

    /// Reads a file of up to `limit` bytes; `None` if there is none.
    pub async fn read(&mut self, path: &str, limit: usize) -> Result<Option<Vec<u8>>, SmbError> {
        let open = file(path, right::READ, CreateDisposition::Open);
        let Some(id) = self.open_existing(&open).await? else {
            return Ok(None);
        };
        let content = self.read_open(id, limit).await;
        self.close(id).await?;
        content.map(Some)
    }

    async fn read_open(&mut self, id: FileId, limit: usize) -> Result<Vec<u8>, SmbError> {
        let mut content = Vec::new();
        loop {
            let request = ReadRequest::for_file(id, length(&content), chunk(CHUNK));
            match self.0.read(&request).await {
                Ok(part) if part.data.is_empty() => return Ok(content),
                Ok(part) => content.extend(part.data),
                Err(error) => match classify("the reading of a file", error) {
                    SmbError::Refused { status, .. } if status == END_OF_FILE => {
                        return Ok(content);
                    }
                    other => return Err(other),
                },
            }
            if content.len() > limit {
                return Err(SmbError::Protocol(format!(
                    "a file is larger than {limit} bytes"
                )));
            }
        }
    }

    /// Replaces a file: a reader sees the old content or the new, never a part.
    pub async fn write(&mut self, path: &str, content: &[u8]) -> Result<(), SmbError> {
        let aside = format!("{path}.new");
        let open = file(
            &aside,
            right::WRITE | right::DELETE,
            CreateDisposition::OverwriteIf,
        );
        let id = self.open(&open).await?;
        let written = self.write_open(id, path, content).await;
        self.close(id).await?;
        written
    }

    async fn write_open(&mut self, id: FileId, path: &str, content: &[u8]) -> Result<(), SmbError> {
        const STEP: &str = "the writing of a file";
        let mut offset = 0;
        for part in content.chunks(CHUNK) {
            let request = WriteRequest::for_file(id, offset, part.to_vec());
            let answer = self.0.write(&request).await;
            let answer = answer.map_err(|error| classify(STEP, error))?;
            if answer.count != chunk(part.len()) {
                return Err(SmbError::Protocol("a file was written in part".to_owned()));
            }
            offset += u64::from(answer.count);
        }
        let flushed = self.0.flush(&FlushRequest::for_file(id)).await;
        flushed.map_err(|error| classify(STEP, error))?;
        let rename = RenameInformation::from_path(path, true).encode();
        self.set_file(id, FileInfoClass::RenameInformation, rename, STEP)
            .await
    }

    /// Creates a folder, unless it exists. Its parent must exist.
    pub async fn create_folder(&mut self, path: &str) -> Result<(), SmbError> {
        let id = self
            .open(&folder(path, right::READ, CreateDisposition::OpenIf))
            .await?;
        self.close(id).await
    }

    /// Deletes a file, or a folder with its content. Returns whether there was one.
    pub async fn remove_all(&mut self, path: &str) -> Result<bool, SmbError> {
        // A list of paths, the deepest last, instead of recursion.
        let Some(first) = self.entries(path).await? else {
            return Ok(false);
        };
        let mut found = vec![(path.to_owned(), true)];
        let mut open = vec![(path.to_owned(), first, 1)];
        while let Some((above, entries, depth)) = open.pop() {
            for (name, is_folder) in entries {
                let path = format!(r"{above}\{name}");
                found.push((path.clone(), is_folder));
                if !is_folder {
                    continue;
                }
                if depth == MAX_DEPTH || found.len() > MAX_ENTRIES {
                    return Err(SmbError::Protocol(format!(
                        "`{above}` holds more than a group policy does"
                    )));
                }
                let below = self.entries(&path).await?.unwrap_or_default();
                open.push((path, below, depth + 1));
            }
        }
        found.sort_by_key(|(path, _)| std::cmp::Reverse(path.matches('\\').count()));
        for (path, is_folder) in found {
            self.remove(&path, is_folder).await?;
        }
        Ok(true)
    }

    async fn remove(&mut self, path: &str, is_folder: bool) -> Result<(), SmbError> {
        let request = match is_folder {
            true => folder(path, right::DELETE, CreateDisposition::Open),
            false => file(path, right::DELETE, CreateDisposition::Open),
        };
        let Some(id) = self.open_existing(&request).await? else {
            return Ok(());
        };
        let buffer = DispositionInformation {
            delete_pending: true,
        };
        let class = FileInfoClass::DispositionInformation;
        let marked = self
            .set_file(id, class, buffer.encode(), "the removal of a file")
            .await;
        self.close(id).await?;
        marked
    }

    /// The names in a folder, and whether each is a folder; `None` if there is no such folder.
    async fn entries(&mut self, path: &str) -> Result<Option<Vec<(String, bool)>>, SmbError> {
        let open = folder(path, right::READ, CreateDisposition::Open);
        let Some(id) = self.open_existing(&open).await? else {
            return Ok(None);
        };
        let listed = self.list_open(id).await;
        self.close(id).await?;
        listed.map(Some)
    }

    async fn list_open(&mut self, id: FileId) -> Result<Vec<(String, bool)>, SmbError> {
        const STEP: &str = "the listing of a folder";
        let mut names = Vec::new();
        loop {
            // Continues the listing; the library's own request would restart it.
            let request = QueryDirectoryRequest {
                flags: QueryDirectoryFlags::empty(),
                ..QueryDirectoryRequest::for_pattern(id, "*", chunk(CHUNK))
            };
            let page = match self.0.query_directory(&request).await {
                Ok(page) => page,
                Err(error) => match classify(STEP, error) {
                    SmbError::Refused { status, .. } if status == NO_MORE_FILES => {
                        return Ok(names);
                    }
                    other => return Err(other),
                },
            };
            let entries = page
                .directory_entries()
                .map_err(|error| SmbError::Protocol(format!("{STEP}: {error}")))?;
            if entries.is_empty() {
                return Ok(names);
            }
            let plain = entries
                .into_iter()
                .filter(|entry| !matches!(entry.file_name.as_str(), "." | ".."));
            names.extend(plain.map(|entry| {
                let is_folder = entry.file_attributes.contains(FileAttributes::DIRECTORY);
                (entry.file_name, is_folder)
            }));
            if names.len() > MAX_ENTRIES {
                return Err(SmbError::Protocol("a folder is too large".to_owned()));
            }
        }
    }

    /// Owner, group and DACL of a folder; `None` if there is no such folder.
    pub async fn folder_security(&mut self, path: &str) -> Result<Option<Vec<u8>>, SmbError> {
        let open = folder(path, right::READ_CONTROL, CreateDisposition::Open);
        let Some(id) = self.open_existing(&open).await? else {
            return Ok(None);
        };
        let request = QueryInfoRequest {
            info_type: InfoType::Security,
            output_buffer_length: MAX_DESCRIPTOR,
            additional_information: OWNER_GROUP_DACL,
            ..QueryInfoRequest::for_file_info(id, FileInfoClass::BasicInformation)
        };
        let body = without_class(request.encode());
        let answer = self
            .raw(
                Command::QueryInfo,
                body,
                "the reading of a folder's permissions",
            )
            .await;
        self.close(id).await?;
        let answer = QueryInfoResponse::decode(&answer?)
            .map_err(|error| SmbError::Protocol(error.to_string()))?;
        Ok(Some(answer.output_buffer))
    }

    /// Sets the security descriptor of a folder; its control bits say whether the DACL is protected.
    pub async fn set_folder_security(
        &mut self,
        path: &str,
        descriptor: Vec<u8>,
    ) -> Result<(), SmbError> {
        let rights = right::READ_CONTROL | right::WRITE_DACL | right::WRITE_OWNER;
        let id = self
            .open(&folder(path, rights, CreateDisposition::Open))
            .await?;
        let request = SetInfoRequest {
            info_type: InfoType::Security,
            additional_information: OWNER_GROUP_DACL,
            ..SetInfoRequest::for_file_info(id, FileInfoClass::BasicInformation, descriptor)
        };
        let body = without_class(request.encode());
        let set = self
            .raw(
                Command::SetInfo,
                body,
                "the setting of a folder's permissions",
            )
            .await;
        self.close(id).await?;
        set.map(drop)
    }

    async fn set_file(
        &mut self,
        id: FileId,
        class: FileInfoClass,
        buffer: Vec<u8>,
        step: &'static str,
    ) -> Result<(), SmbError> {
        let request = SetInfoRequest::for_file_info(id, class, buffer);
        let answer = self.0.set_info(&request).await;
        answer.map(drop).map_err(|error| classify(step, error))
    }

    async fn raw(
        &mut self,
        command: Command,
        body: Vec<u8>,
        step: &'static str,
    ) -> Result<Vec<u8>, SmbError> {
        let answers = self
            .0
            .compound_raw(&[CompoundRequest::new(command, body)])
            .await
            .map_err(|error| classify(step, error))?;
        answers
            .into_iter()
            .next()
            .map(|answer| answer.body)
            .ok_or_else(|| SmbError::Protocol(format!("{step}: no answer")))
    }

    async fn open(&mut self, request: &CreateRequest) -> Result<FileId, SmbError> {
        let answer = self.0.create(request).await;
        answer
            .map(|answer| answer.file_id)
            .map_err(|error| classify("the opening of a file", error))
    }

    /// Opens a file or folder; `None` if there is none.
    async fn open_existing(&mut self, request: &CreateRequest) -> Result<Option<FileId>, SmbError> {
        match self.open(request).await {
            Ok(id) => Ok(Some(id)),
            Err(SmbError::Refused { status, .. })
                if status == NtStatus::OBJECT_NAME_NOT_FOUND || status == PATH_NOT_FOUND =>
            {
                Ok(None)
            }
            Err(other) => Err(other),
        }
    }

    async fn close(&mut self, file_id: FileId) -> Result<(), SmbError> {
        let request = CloseRequest { flags: 0, file_id };
        let answer = self.0.close(&request).await;
        answer
            .map(drop)
            .map_err(|error| classify("the closing of a file", error))
    }
}

fn file(path: &str, rights: u32, disposition: CreateDisposition) -> CreateRequest {
    CreateRequest {
        desired_access: rights,
        share_access: ShareAccess::READ | ShareAccess::WRITE | ShareAccess::DELETE,
        create_disposition: disposition,
        ..CreateRequest::from_path(path)
    }
}

fn folder(path: &str, rights: u32, disposition: CreateDisposition) -> CreateRequest {
    CreateRequest {
        file_attributes: FileAttributes::DIRECTORY,
        create_options: CreateOptions::DIRECTORY_FILE,
        ..file(path, rights, disposition)
    }
}

/// A query of security information has no information class ([MS-SMB2] 2.2.37); the library always writes one.
fn without_class(mut body: Vec<u8>) -> Vec<u8> {
    if let Some(class) = body.get_mut(3) {
        *class = 0;
    }
    body
}

fn chunk(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

fn length(content: &[u8]) -> u64 {
    u64::try_from(content.len()).unwrap_or(u64::MAX)
}
