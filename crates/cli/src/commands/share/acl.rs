//! `crossrealm share acl`: the permissions of a file or folder of a share, shown and changed by names.

use super::ShareName;
use super::folder::{Data, Named, Names, ShareFolder};
use crate::activity;
use crate::context::Context;
use crate::failure::Failure;
use crate::output::{Column, Format, column};
use crate::terminal::say;
use clap::Args;
use crossrealm_files::acl::disk::{DiskError, OnDisk, SharePath};
use crossrealm_files::acl::edit::{self, AclChange, EditError};
use crossrealm_files::acl::{Entry, SecurityDescriptor, flag, names, sddl};
use crossrealm_types::Sid;
use serde::Serialize;
use std::collections::BTreeSet;
use std::str::FromStr;

/// Arguments of `share acl`.
#[derive(Args, Debug)]
pub(crate) struct Acl {
    /// The share
    #[arg(value_name = "ACCOUNT/SHARE")]
    share: ShareName,
    /// Path of the file or folder, from the root of the share
    #[arg(default_value = "/")]
    path: String,
    #[command(flatten)]
    data: Data,
    /// Grant rights, e.g. `Projects:modify` or `CORP\Projects:read-execute:this`; replaces the principal's own entries
    #[arg(long, value_name = "PRINCIPAL:RIGHTS[:SCOPE]")]
    grant: Vec<Ace<false>>,
    /// Deny rights, in the same form; adds an entry
    #[arg(long, value_name = "PRINCIPAL:RIGHTS[:SCOPE]")]
    deny: Vec<Ace<true>>,
    /// Remove every own entry of a principal
    #[arg(long, value_name = "PRINCIPAL")]
    revoke: Vec<String>,
    /// Set the owner
    #[arg(long, value_name = "PRINCIPAL")]
    owner: Option<String>,
    /// Whether entries of the folder above apply here; `no` keeps the present ones as own entries
    #[arg(long, value_name = "YES|NO", value_parser = yes_or_no)]
    inherit: Option<bool>,
    /// Replace the whole list with one in SDDL
    #[arg(long, conflicts_with_all = ["grant", "deny", "revoke", "inherit"])]
    sddl: Option<String>,
    /// Update what everything below this folder inherits too
    #[arg(long)]
    propagate: bool,
    /// Show the result, and change nothing
    #[arg(long)]
    dry_run: bool,
}

/// Rights of a principal, on the command line.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Ace<const DENY: bool> {
    principal: String,
    mask: u32,
    scope: Option<u8>,
}

impl<const DENY: bool> FromStr for Ace<DENY> {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut parts = text.splitn(3, ':');
        let (Some(principal), Some(rights)) = (parts.next(), parts.next()) else {
            return Err("expected `PRINCIPAL:RIGHTS`, e.g. `Projects:modify`".into());
        };
        if principal.trim().is_empty() {
            return Err("no principal before the `:`".into());
        }
        let mask = names::parse_rights(rights, DENY).ok_or_else(|| {
            format!(
                "unknown rights `{rights}`: expected {}, several separated by `+`, or a number like 0x001301bf",
                names::all_rights()
            )
        })?;
        let scope = parts.next().map(|scope| {
            names::parse_scope(scope).ok_or_else(|| {
                format!(
                    "unknown scope `{scope}`: expected {}, with `,once` appended to end one level below",
                    names::all_scopes()
                )
            })
        });
        Ok(Self {
            principal: principal.trim().to_owned(),
            mask,
            scope: scope.transpose()?,
        })
    }
}

fn yes_or_no(text: &str) -> Result<bool, &'static str> {
    match text {
        "yes" => Ok(true),
        "no" => Ok(false),
        _ => Err("expected `yes` or `no`"),
    }
}

/// What is printed.
#[derive(Debug, Serialize)]
struct Shown {
    share: String,
    path: String,
    kind: &'static str,
    owner: Option<Named>,
    group: Option<Named>,
    /// Whether entries of the folder above apply.
    inherits: bool,
    /// Whether there is a list at all; without one everybody has full access.
    restricted: bool,
    /// Entries of types that smbd ignores.
    other_entries: usize,
    auditing: bool,
    sddl: String,
    entries: Vec<ShownEntry>,
}

/// One entry as it is printed.
#[derive(Debug, Serialize)]
pub(super) struct ShownEntry {
    #[serde(rename = "type")]
    kind: &'static str,
    name: String,
    rights: String,
    applies_to: String,
    inherited: bool,
    sid: Sid,
}

const RECORD: &[Column] = &[
    column("Share", "/share"),
    column("Path", "/path"),
    column("Kind", "/kind"),
    column("Owner", "/owner/name"),
    column("OwnerSid", "/owner/sid"),
    column("Group", "/group/name"),
    column("GroupSid", "/group/sid"),
    column("Inherits", "/inherits"),
    column("Restricted", "/restricted"),
    column("OtherEntries", "/other_entries"),
    column("Auditing", "/auditing"),
    column("Sddl", "/sddl"),
];

pub(super) const ENTRIES: &[Column] = &[
    column("Type", "/type"),
    column("Name", "/name"),
    column("Rights", "/rights"),
    column("AppliesTo", "/applies_to"),
    column("Inherited", "/inherited"),
    column("Sid", "/sid"),
];

/// Runs `crossrealm share acl`.
pub(super) async fn run(args: Acl, context: &Context) -> Result<(), Failure> {
    let path = SharePath::parse(&args.path)?;
    let folder = ShareFolder::find(&args.share, &args.data, context).await?;
    let file = OnDisk::open(&folder.root, &path)?;
    if args.propagate && !file.is_directory() {
        return Err(Failure::new(format!("`{}` is a file", path.shown()))
            .hint("`--propagate` is for folders"));
    }
    let before =
        match file.permissions() {
            Err(
                DiskError::NoPermissions(_) | DiskError::Damaged { .. } | DiskError::Version(_),
            ) if args.sddl.is_some() => None,
            found => Some(found?),
        };
    let after = match wanted(&args, &folder, &file, before.as_ref()).await? {
        Some(after) => after,
        None => before.ok_or_else(|| Failure::new("there is nothing to show"))?,
    };
    let shown = shown(
        &args.share,
        &file,
        &after,
        &folder.names(sids(&after)).await?,
    );
    if !args.dry_run {
        if args.changes() {
            file.set_permissions(&after)?;
        }
        if args.propagate {
            let changed = propagate(&folder, &path, &after, Write::Yes)?;
            say!("updated what {changed} files and folders below inherit");
        }
    } else if args.propagate {
        let changed = propagate(&folder, &path, &after, Write::No)?;
        say!("{changed} files and folders below would change");
    }
    if args.dry_run {
        say!("nothing was changed");
    }
    print(&shown, context.output)
}

impl Acl {
    /// Whether it changes the file itself.
    fn changes(&self) -> bool {
        let lists = [self.grant.len(), self.deny.len(), self.revoke.len()];
        lists.iter().sum::<usize>() > 0
            || self.owner.is_some()
            || self.inherit.is_some()
            || self.sddl.is_some()
    }

    /// Every principal that is named.
    fn principals(&self) -> BTreeSet<String> {
        let granted = self.grant.iter().map(|ace| &ace.principal);
        let denied = self.deny.iter().map(|ace| &ace.principal);
        let others = self.revoke.iter().chain(&self.owner);
        granted.chain(denied).chain(others).cloned().collect()
    }
}

/// The permissions wanted; `None` where nothing is to change.
async fn wanted(
    args: &Acl,
    folder: &ShareFolder<'_>,
    file: &OnDisk,
    before: Option<&SecurityDescriptor>,
) -> Result<Option<SecurityDescriptor>, Failure> {
    if !args.changes() {
        return Ok(None);
    }
    let sids = folder.sids(args.principals()).await?;
    let sid = |text: &str| {
        sids.get(text)
            .cloned()
            .ok_or_else(|| Failure::new(format!("no user or group `{text}`")))
    };
    let mut changes = Vec::new();
    if let Some(owner) = &args.owner {
        changes.push(AclChange::Owner(sid(owner)?));
    }
    changes.extend(args.inherit.map(AclChange::Inherit));
    for who in &args.revoke {
        changes.push(AclChange::Revoke(sid(who)?));
    }
    let mut replaced = BTreeSet::new();
    for ace in &args.grant {
        let entry = entry(ace, sid(&ace.principal)?, file)?;
        changes.push(match replaced.insert(entry.sid.clone()) {
            true => AclChange::Set(entry),
            false => AclChange::Add(entry),
        });
    }
    for ace in &args.deny {
        changes.push(AclChange::Add(entry(ace, sid(&ace.principal)?, file)?));
    }
    let from = match (&args.sddl, before) {
        (Some(text), before) => whole(text, before)?,
        (None, Some(before)) => before.clone(),
        (None, None) => return Ok(None),
    };
    let parent = match (args.inherit, file.path().parent()) {
        (Some(true), Some(parent)) => Some(OnDisk::open(&folder.root, &parent)?.permissions()?),
        (Some(true), None) => {
            return Err(Failure::new("the root of a share has no folder above")
                .hint("`--inherit yes` is for the files and folders in it"));
        }
        _ => None,
    };
    let edited = edit::apply(&from, &changes, parent.as_ref(), file.is_directory());
    edited.map(Some).map_err(|error| not_editable(&error))
}

fn entry<const DENY: bool>(ace: &Ace<DENY>, sid: Sid, file: &OnDisk) -> Result<Entry, Failure> {
    let flags = match (ace.scope, file.is_directory()) {
        (Some(flags), true) => flags,
        (None, true) => flag::OBJECT_INHERIT | flag::CONTAINER_INHERIT,
        (None | Some(0), false) => 0,
        (Some(_), false) => {
            return Err(Failure::new(format!("`{}` is a file", file.path().shown()))
                .hint("only entries of folders have a scope; omit it"));
        }
    };
    Ok(Entry {
        deny: DENY,
        flags,
        mask: ace.mask,
        sid,
    })
}

/// A descriptor in SDDL; owner, group and auditing stay where it names none.
fn whole(text: &str, before: Option<&SecurityDescriptor>) -> Result<SecurityDescriptor, Failure> {
    let mut given = sddl::parse(text).map_err(|error| {
        Failure::new(error.to_string())
            .hint("e.g. `--sddl 'D:PAI(A;OICI;FA;;;BA)(A;OICI;0x001301bf;;;AU)'`")
    })?;
    if let Some(before) = before {
        given.owner = given.owner.or_else(|| before.owner.clone());
        given.group = given.group.or_else(|| before.group.clone());
        given = given.with_auditing_of(before);
    }
    let names_list = text.contains("D:");
    match (names_list, before) {
        (true, _) => {}
        (false, Some(before)) => {
            given.dacl.clone_from(&before.dacl);
            given.set_protected(before.is_protected());
            given.set_auto_inherited(before.is_auto_inherited());
        }
        (false, None) => {
            return Err(Failure::new("the SDDL has no list").hint("begin it with `D:`"));
        }
    }
    match given.owner.is_some() && given.group.is_some() {
        true => Ok(given),
        false => Err(
            Failure::new("the SDDL has no owner or no group, and the file has none")
                .hint("begin it with `O:BAG:BA`"),
        ),
    }
}

fn not_editable(error: &EditError) -> Failure {
    let failure = Failure::new(error.to_string());
    failure.hint(match error {
        EditError::NoEntry(_) => "without options the command shows the entries",
        EditError::Inherited(_) => {
            "change it at the folder it comes from, or make it an own entry first with `--inherit no`"
        }
        EditError::NoList => "give a whole list with `--sddl`",
    })
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Write {
    Yes,
    No,
}

/// After how many files and folders a person sees how far the work is.
const SHOW_EVERY: u64 = 100;

/// Updates what everything below a folder inherits, unless it is protected, and returns how many change. Each file is written in
/// one step, from the top down, so that a run that was cut short is finished by another one.
fn propagate(
    share: &ShareFolder<'_>,
    top: &SharePath,
    permissions: &SecurityDescriptor,
    write: Write,
) -> Result<u64, Failure> {
    let (mut changed, mut seen) = (0, 0_u64);
    let mut folders = vec![(top.clone(), permissions.clone())];
    while let Some((path, above)) = folders.pop() {
        let Some(folder) = existing(OnDisk::open(&share.root, &path))? else {
            continue;
        };
        for path in folder.children()? {
            seen += 1;
            if seen.is_multiple_of(SHOW_EVERY) {
                activity::doing(&format!("{seen} files and folders seen"));
            }
            let Some(child) = existing(OnDisk::open(&share.root, &path))? else {
                continue;
            };
            let Some(before) = existing(child.permissions())? else {
                continue;
            };
            if before.is_protected() {
                continue;
            }
            let mut after = before.clone();
            edit::inherit(&mut after, &above, child.is_directory());
            if after != before {
                changed += 1;
                if write == Write::Yes {
                    child.set_permissions(&after)?;
                }
            }
            if child.is_directory() {
                folders.push((path, after));
            }
        }
    }
    Ok(changed)
}

/// What was found; nothing where it was removed meanwhile, or cannot inherit, which is reported.
fn existing<T>(found: Result<T, DiskError>) -> Result<Option<T>, Failure> {
    match found {
        Ok(found) => Ok(Some(found)),
        Err(DiskError::NotFound(_)) => Ok(None),
        Err(error @ (DiskError::Link(_) | DiskError::Special(_) | DiskError::NoPermissions(_))) => {
            say!("skipped: {error}");
            Ok(None)
        }
        Err(error) => Err(error.into()),
    }
}

/// Every SID of a descriptor.
pub(super) fn sids(descriptor: &SecurityDescriptor) -> BTreeSet<Sid> {
    let people = descriptor.owner.iter().chain(&descriptor.group).cloned();
    let entries = descriptor.entries().map(|entry| entry.sid);
    people.chain(entries).collect()
}

fn shown(
    share: &ShareName,
    file: &OnDisk,
    descriptor: &SecurityDescriptor,
    names: &Names,
) -> Shown {
    let named = |sid: &Option<Sid>| sid.as_ref().map(|sid| names.of(sid));
    let all = descriptor.dacl.as_ref().map_or(0, Vec::len);
    let entries: Vec<ShownEntry> = descriptor
        .entries()
        .map(|entry| shown_entry(&entry, names))
        .collect();
    Shown {
        share: share.to_string(),
        path: file.path().shown(),
        kind: if file.is_directory() {
            "folder"
        } else {
            "file"
        },
        owner: named(&descriptor.owner),
        group: named(&descriptor.group),
        inherits: !descriptor.is_protected(),
        restricted: descriptor.dacl.is_some(),
        other_entries: all - entries.len(),
        auditing: descriptor.has_auditing(),
        sddl: sddl::text(descriptor),
        entries,
    }
}

pub(super) fn shown_entry(entry: &Entry, names: &Names) -> ShownEntry {
    let who = names.of(&entry.sid);
    ShownEntry {
        kind: if entry.deny { "deny" } else { "allow" },
        name: who.name,
        rights: names::rights(entry.mask, entry.deny),
        applies_to: names::scope(entry.flags),
        inherited: entry.has(flag::INHERITED),
        sid: who.sid,
    }
}

/// The record, and in text its entries as a table below.
fn print(shown: &Shown, output: Format) -> Result<(), Failure> {
    output.record(shown, RECORD)?;
    if output == Format::Table {
        crate::terminal::write_stdout("\n")?;
        output.list(&shown.entries, ENTRIES, "no entries: nobody has access")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_parsed() {
        let ace: Ace<false> = r"CORP\Projects:modify".parse().unwrap();
        assert_eq!(ace.principal, r"CORP\Projects");
        assert_eq!((ace.mask, ace.scope), (0x0013_01bf, None));
        let ace: Ace<false> = "alice@corp.contoso.com:read+delete:this".parse().unwrap();
        assert_eq!((ace.mask, ace.scope), (0x0013_0089, Some(0)));
        for (bad, message) in [
            ("Projects", "expected `PRINCIPAL:RIGHTS`"),
            (":modify", "no principal"),
            ("Projects:own", "unknown rights `own`"),
            ("Projects:modify:everywhere", "unknown scope `everywhere`"),
            ("Projects:", "unknown rights ``"),
        ] {
            let error = bad.parse::<Ace<true>>().unwrap_err();
            assert!(error.contains(message), "{bad}: {error}");
        }
    }
}
