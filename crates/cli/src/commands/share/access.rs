//! `crossrealm share access --path`: what a user may do with one file, by the role on the share and by the file's own
//! permissions.

use super::acl::{ENTRIES, ShownEntry, shown_entry, sids};
use super::folder::{Data, Named, ShareFolder};
use super::{ACCESS, ShareName};
use crate::context::Context;
use crate::failure::Failure;
use crate::output::{Column, Format, column};
use crossrealm_api::{ShareAccess, UserDetails};
use crossrealm_files::acl::disk::{OnDisk, SharePath};
use crossrealm_files::acl::evaluate::{Token, applying, granted, is_owner};
use crossrealm_files::acl::{mask, names};
use serde::Serialize;

/// What is printed: the API's answer, and the file's permissions.
#[derive(Debug, Serialize)]
struct Access {
    #[serde(flatten)]
    share: ShareAccess,
    file: FileAccess,
}

#[derive(Debug, Serialize)]
struct FileAccess {
    path: String,
    owner: Option<Named>,
    is_owner: bool,
    /// What the file's own permissions grant.
    rights: String,
    /// Whether the folder above lets the user delete the file against the file's own permissions.
    deleted_by_folder: bool,
    /// What both together let the user do.
    may: Vec<&'static str>,
    /// The entries that apply to the user, in their order.
    entries: Vec<ShownEntry>,
}

const FILE: &[Column] = &[
    column("Path", "/file/path"),
    column("Owner", "/file/owner/name"),
    column("OwnerSid", "/file/owner/sid"),
    column("IsOwner", "/file/is_owner"),
    column("FileRights", "/file/rights"),
    column("DeletedByFolder", "/file/deleted_by_folder"),
    column("May", "/file/may"),
];

/// What a user may do, by the access right that smbd checks.
const OPERATIONS: &[(&str, u32)] = &[
    ("read", 0x0001),
    ("write", 0x0002),
    ("delete", mask::DELETE),
    ("change-permissions", mask::WRITE_DAC),
    ("take-ownership", mask::WRITE_OWNER),
];

/// Prints what a user may do with the file at `path` of a share.
pub(super) async fn of_file(
    share: &ShareName,
    access: ShareAccess,
    path: &str,
    data: &Data,
    context: &Context,
) -> Result<(), Failure> {
    let path = SharePath::parse(path)?;
    let folder = ShareFolder::find(share, data, context).await?;
    let file = OnDisk::open(&folder.root, &path)?;
    let permissions = file.permissions()?;
    let user = context
        .client()?
        .user(context.tenant()?, &access.user.sid.to_string())
        .await?;
    let token = token(user);
    let rights = granted(&permissions, &token);
    let above = match path.parent() {
        Some(parent) => granted(&OnDisk::open(&folder.root, &parent)?.permissions()?, &token),
        None => 0,
    };
    let deleted_by_folder = rights & mask::DELETE == 0 && above & mask::DELETE_CHILD != 0;
    let both = rights | if deleted_by_folder { mask::DELETE } else { 0 };
    let allowed = access.effective.map_or(0, crossrealm_files::rights_of_role) & both;
    let names = folder.names(sids(&permissions)).await?;
    let operations = OPERATIONS.iter().filter(|(_, right)| allowed & right != 0);
    let shown = Access {
        file: FileAccess {
            path: path.shown(),
            owner: permissions.owner.as_ref().map(|sid| names.of(sid)),
            is_owner: is_owner(&permissions, &token),
            rights: match rights {
                0 => String::new(),
                rights => names::rights(rights, false),
            },
            deleted_by_folder,
            may: operations.map(|(name, _)| *name).collect(),
            entries: applying(&permissions, &token)
                .map(|entry| shown_entry(&entry, &names))
                .collect(),
        },
        share: access,
    };
    let columns: Vec<Column> = ACCESS.iter().chain(FILE).copied().collect();
    context.output.record(&shown, &columns)?;
    if context.output == Format::Table {
        crate::terminal::write_stdout("\n")?;
        let nothing = "no entry of the file applies to the user";
        context.output.list(&shown.file.entries, ENTRIES, nothing)?;
    }
    Ok(())
}

/// The SIDs that a ticket of the user carries.
fn token(user: UserDetails) -> Token {
    let groups = user.effective_groups.into_iter();
    Token::of(user.user.sid, groups.map(|group| group.group.sid))
}
