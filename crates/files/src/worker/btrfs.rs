//! Btrfs subvolumes and their quotas, by the tool `btrfs` (package `btrfs-progs`).

use crate::error::FilesError;
use crate::tools;
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// The `f_type` of file systems, `statfs(2)`.
const TYPES: [(u32, &str); 7] = [
    (BTRFS, "Btrfs"),
    (0xef53, "ext4"),
    (0x5846_5342, "XFS"),
    (0x0102_1994, "tmpfs"),
    (0x6969, "NFS"),
    (0x2fc1_2fc1, "ZFS"),
    (0x794c_7630, "overlayfs"),
];
const BTRFS: u32 = 0x9123_683e;
/// The inode number of the root of every subvolume, and only of those (`BTRFS_FIRST_FREE_OBJECTID`).
const SUBVOLUME_ROOT: u64 = 256;

/// What a directory is to Btrfs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DirectoryKind {
    /// A subvolume.
    Subvolume,
    /// An ordinary directory on Btrfs.
    Plain,
    /// A directory on another file system, with its name.
    OtherFileSystem(&'static str),
}

/// A subvolume's usage and limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Usage {
    /// The bytes in it, including those shared with snapshots.
    pub used: u64,
    /// The limit in bytes.
    pub limit: Option<u64>,
}

/// The quotas of a file system.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Usages {
    /// By the id of the subvolume.
    pub of: BTreeMap<u64, Usage>,
    /// The tool's warning: the numbers are inconsistent, or a rescan is running.
    pub warning: Option<String>,
}

/// The kind of a directory. Symbolic links are not followed.
pub(super) fn kind(directory: &Path) -> io::Result<DirectoryKind> {
    let inode = fs::symlink_metadata(directory)?.ino();
    // 32 bits, and signed on some architectures.
    let number = i128::from(rustix::fs::statfs(directory)?.f_type) & 0xffff_ffff;
    let name = TYPES.iter().find(|(of, _)| i128::from(*of) == number);
    Ok(match name {
        Some((BTRFS, _)) if inode == SUBVOLUME_ROOT => DirectoryKind::Subvolume,
        Some((BTRFS, _)) => DirectoryKind::Plain,
        Some((_, name)) => DirectoryKind::OtherFileSystem(name),
        None => DirectoryKind::OtherFileSystem("this file system"),
    })
}

/// Whether the tool is installed.
pub(super) fn is_installed() -> bool {
    tools::find("btrfs").is_some()
}

/// Creates a subvolume.
pub(super) async fn create_subvolume(at: &Path) -> Result<(), FilesError> {
    btrfs(&["subvolume", "create"], at).await.map(drop)
}

/// Enables quotas on the file system of the directory.
pub(super) async fn enable_quotas(directory: &Path) -> Result<(), FilesError> {
    btrfs(&["quota", "enable"], directory).await.map(drop)
}

/// Starts a rescan of all quotas, in the background.
pub(super) async fn rescan(directory: &Path) -> Result<(), FilesError> {
    btrfs(&["quota", "rescan"], directory).await.map(drop)
}

/// Sets or removes the limit of a subvolume, in bytes.
pub(super) async fn set_limit(subvolume: &Path, limit: Option<u64>) -> Result<(), FilesError> {
    let limit = limit.map_or("none".to_owned(), |bytes| bytes.to_string());
    btrfs(&["qgroup", "limit", &limit], subvolume)
        .await
        .map(drop)
}

/// The id of a subvolume.
pub(super) async fn id(subvolume: &Path) -> Result<u64, FilesError> {
    let text = btrfs(&["inspect-internal", "rootid"], subvolume).await?.0;
    text.trim().parse().map_err(|_| unparsable(&text))
}

/// The quotas of all subvolumes of the directory's file system.
pub(super) async fn usages(directory: &Path) -> Result<Usages, FilesError> {
    let (stdout, stderr) = btrfs(&["qgroup", "show", "--raw", "-r"], directory).await?;
    parse(&stdout, &stderr).ok_or_else(|| unparsable(&stdout))
}

/// Whether the error means that quotas are disabled.
pub(super) fn quotas_are_off(error: &FilesError) -> bool {
    matches!(error, FilesError::Program { reason, .. } if reason.contains("not enabled"))
}

/// Parses the table of `btrfs qgroup show --raw -r`: `0/256 16384 16384 1073741824 …` is the subvolume with the id 256.
fn parse(stdout: &str, stderr: &str) -> Option<Usages> {
    let mut of = BTreeMap::new();
    for line in stdout.lines() {
        let mut words = line.split_whitespace();
        let Some(id) = words.next().and_then(|id| id.strip_prefix("0/")) else {
            continue;
        };
        let used = words.next()?.parse().ok()?;
        let limit = match words.nth(1)? {
            "none" => None,
            number => Some(number.parse().ok()?),
        };
        of.insert(id.parse().ok()?, Usage { used, limit });
    }
    let warnings = stderr.lines().filter(|line| line.contains("WARNING"));
    let mut warnings = warnings.map(|line| line.trim_start_matches("WARNING: ").to_owned());
    Some(Usages {
        of,
        warning: warnings.next_back(),
    })
}

/// Runs the tool; returns stdout and stderr.
async fn btrfs(words: &[&str], directory: &Path) -> Result<(String, String), FilesError> {
    let mut args: Vec<&std::ffi::OsStr> = words.iter().map(AsRef::as_ref).collect();
    args.push(directory.as_os_str());
    tools::run_to_end("btrfs", &args).await
}

fn unparsable(text: &str) -> FilesError {
    let shown: String = text.chars().take(80).collect();
    FilesError::Program {
        program: "btrfs".into(),
        reason: format!("its output cannot be parsed: {shown:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_quotas_is_parsed() {
        let text = "Qgroupid    Referenced    Exclusive  Max referenced   Path \n\
                    --------    ----------    ---------  --------------   ---- \n\
                    0/5              16384        16384            none   <toplevel>\n\
                    0/256       1073725440   1073725440      1073741824   a b\n\
                    1/7                  1            1            none   x\n";
        let warning = "WARNING: rescan is running, qgroup data may be incorrect\n";
        let usages = parse(text, warning).unwrap();
        let (full, top) = (
            Usage {
                used: 1_073_725_440,
                limit: Some(1 << 30),
            },
            Usage {
                used: 16_384,
                limit: None,
            },
        );
        assert_eq!(usages.of, BTreeMap::from([(5, top), (256, full)]));
        let said = usages.warning.unwrap();
        assert_eq!(said, "rescan is running, qgroup data may be incorrect");
        assert_eq!(parse("0/256 x y z", ""), None);
        assert_eq!(parse("", ""), Some(Usages::default()));
    }

    #[test]
    fn an_ordinary_directory_is_not_a_subvolume() {
        let folder = tempfile::tempdir().unwrap();
        assert_ne!(kind(folder.path()).unwrap(), DirectoryKind::Subvolume);
        assert!(kind(&folder.path().join("gone")).is_err());
    }
}
