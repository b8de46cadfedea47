//! `crossrealm share access --path`: what a user may do with one file, by the role on the share and by the file's own
//! permissions.

use super::acl::{ENTRIES, ShownEntry, shown_entry, sids};
use super::folder::{Data, Named, Place};
use super::{ACCESS, ShareName};
use crate::context::Context;
use crate::failure::Failure;
use crate::output::{Column, Format, column};
use crossrealm_api::{ShareAccess, UserDetails};
use crossrealm_files::Sid;
use crossrealm_files::acl::disk::{OnDisk, SharePath};
use crossrealm_files::acl::evaluate::{Token, applying, granted, is_owner};
use crossrealm_files::acl::{mask, names};
use serde::Serialize;

/// What is printed: the answer of the API, and what the file adds.
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
    /// What the file's own permissions give.
    rights: String,
    /// What the folder above gives, where it lets the user delete the file against the file's own permissions.
    deleted_by_folder: bool,
    /// What both together let the user do.
    may: Vec<&'static str>,
    /// The entries that speak of the user, in their order.
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

/// What a user may do, by the right that smbd asks for.
const DEEDS: &[(&str, u32)] = &[
    ("read", 0x0001),
    ("write", 0x0002),
    ("delete", mask::DELETE),
    ("change-permissions", mask::WRITE_DAC),
    ("take-ownership", mask::WRITE_OWNER),
];

/// Prints what a user may do with the file at `path` of a share.
pub async fn of_file(
    share: &ShareName,
    access: ShareAccess,
    path: &str,
    data: &Data,
    context: &Context,
) -> Result<(), Failure> {
    let path = SharePath::parse(path)?;
    let place = Place::find(share, data, context).await?;
    let file = OnDisk::open(&place.root, &path)?;
    let permissions = file.permissions()?;
    let user = context
        .client()?
        .user(context.tenant()?, &access.user.sid)
        .await?;
    let token = token(&user)?;
    let rights = granted(&permissions, &token);
    let above = match path.parent() {
        Some(parent) => granted(&OnDisk::open(&place.root, &parent)?.permissions()?, &token),
        None => 0,
    };
    let deleted_by_folder = rights & mask::DELETE == 0 && above & mask::DELETE_CHILD != 0;
    let both = rights | if deleted_by_folder { mask::DELETE } else { 0 };
    let allowed = access.effective.map_or(0, crossrealm_files::rights_of_role) & both;
    let names = place.names(sids(&permissions)).await?;
    let deeds = DEEDS.iter().filter(|(_, right)| allowed & right != 0);
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
            may: deeds.map(|(deed, _)| *deed).collect(),
            entries: applying(&permissions, &token)
                .map(|entry| shown_entry(&entry, &names))
                .collect(),
        },
        share: access,
    };
    let columns: Vec<Column> = ACCESS.iter().chain(FILE).copied().collect();
    context.output.record(&shown, &columns)?;
    if context.output == Format::Table {
        crate::output::write_stdout("\n")?;
        let nothing = "no entry of the file speaks of the user";
        context.output.list(&shown.file.entries, ENTRIES, nothing)?;
    }
    Ok(())
}

/// The SIDs that a ticket of the user carries.
fn token(user: &UserDetails) -> Result<Token, Failure> {
    let sid = |text: &str| -> Result<Sid, Failure> {
        text.parse()
            .map_err(|_| Failure::new(format!("the service gave `{text}`, which is no SID")))
    };
    let groups = user.effective_groups.iter();
    let groups: Result<Vec<Sid>, Failure> = groups.map(|group| sid(&group.group.sid)).collect();
    Ok(Token::of(sid(&user.user.sid)?, groups?))
}
