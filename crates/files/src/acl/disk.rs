//! The storage of Windows permissions by smbd: the extended attribute `security.NTACL` of the file.
//!
//! A file is opened below the directory of its share by one `openat2`, with which the kernel follows no symbolic link and does
//! not leave the directory; later reads and writes use the open file, so that renames do not matter. The attribute is replaced
//! atomically.

use crossrealm_krb::security_descriptor::{DescriptorError, SecurityDescriptor};
use rustix::fs::{self, FileType, Mode, OFlags, ResolveFlags, XattrFlags};
use rustix::io::Errno;
use std::ffi::OsStr;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

const ATTRIBUTE: &str = "security.NTACL";
/// The largest value of an extended attribute in Linux.
const MAX_ATTRIBUTE: usize = 64 << 10;
/// The type of an ext4 file system, as `statfs` returns it (also of ext2 and ext3, which have the same limit).
const EXT4: fs::FsWord = 0xef53;
/// The offset of the descriptor in version 3 of Samba's `xattr_NTACL`: after version and kind (2 bytes each), two references
/// (4 each), the kind of the hash (2), the hash (64), and 2 bytes of padding.
const V3_AT: usize = 80;
/// The longest path in Linux.
const MAX_PATH: usize = 4096;

/// A path in a share, from the share's root, with `/` or `\` as the separator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SharePath(PathBuf);

/// Why permissions cannot be read or written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DiskError {
    /// The path would leave the share.
    #[error("`{0}` is not a path in a share")]
    BadPath(String),
    /// There is no such file.
    #[error("there is no `{0}`")]
    NotFound(String),
    /// A part of the path is a symbolic link.
    #[error("`{0}` contains a symbolic link")]
    Link(String),
    /// Neither a file nor a directory.
    #[error("`{0}` is neither a file nor a directory")]
    Special(String),
    /// The file was not created through SMB, and was given no permissions.
    #[error("`{0}` has no Windows permissions")]
    NoPermissions(String),
    /// The stored permissions cannot be parsed.
    #[error("`{path}`: {reason}")]
    Damaged {
        /// Which file.
        path: String,
        /// What is wrong with it.
        reason: DescriptorError,
    },
    /// The attribute has another version.
    #[error("`{0}` has permissions in an unknown format")]
    Version(String),
    /// The file system keeps no attribute of this size, although it has space.
    #[error(
        "cannot write the permissions of `{path}`: {entries} entries are {bytes} bytes, and the file system keeps {limit} of extended attributes for a file ({reason})"
    )]
    NoRoom {
        /// Of which file.
        path: String,
        /// How many entries the permissions have.
        entries: usize,
        /// The size of the attribute.
        bytes: usize,
        /// How much the file system keeps, in words.
        limit: &'static str,
        /// The system's error.
        reason: String,
    },
    /// The system refuses.
    #[error("cannot {verb} `{path}`: {reason}")]
    System {
        /// `read`, `write`, …
        verb: &'static str,
        /// Of which file.
        path: String,
        /// The system's error.
        reason: String,
    },
}

impl SharePath {
    /// Reads a path.
    ///
    /// # Errors
    ///
    /// [`DiskError::BadPath`] for `..`, and for names that a file of a share cannot have.
    pub fn parse(text: &str) -> Result<Self, DiskError> {
        let bad = || DiskError::BadPath(text.chars().take(200).collect());
        if text.len() > MAX_PATH {
            return Err(bad());
        }
        let mut path = PathBuf::new();
        for part in text.split(['/', '\\']) {
            match part {
                "" | "." => {}
                ".." => return Err(bad()),
                _ if part.contains('\0') => return Err(bad()),
                _ => path.push(part),
            }
        }
        Ok(Self(path))
    }

    /// The path as text: `/` for the root.
    pub fn shown(&self) -> String {
        format!("/{}", self.0.display())
    }

    /// The parent directory; `None` for the root of the share.
    pub fn parent(&self) -> Option<Self> {
        self.0.parent().map(|parent| Self(parent.to_owned()))
    }
}

/// An open file or directory of a share.
pub struct OnDisk {
    file: OwnedFd,
    path: SharePath,
    is_directory: bool,
}

impl OnDisk {
    /// Opens a file or directory of the share whose directory is `root`.
    ///
    /// # Errors
    ///
    /// The reason why it cannot be opened; a symbolic link anywhere in the path is one.
    pub fn open(root: &Path, path: &SharePath) -> Result<Self, DiskError> {
        let shown = || path.shown();
        let folder = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let root = fs::open(root, folder, Mode::empty()).map_err(|error| match error {
            Errno::NOENT => DiskError::NotFound(root.display().to_string()),
            other => system("open", &root.display().to_string(), other),
        })?;
        // A file of the share must not block this process (a FIFO) or become its terminal.
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
        let stay = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
        let target = match path.0.as_os_str().is_empty() {
            true => Path::new("."),
            false => &path.0,
        };
        let file = fs::openat2(&root, target, flags, Mode::empty(), stay);
        let file = file.map_err(|error| match error {
            Errno::NOENT | Errno::NOTDIR => DiskError::NotFound(shown()),
            Errno::LOOP | Errno::XDEV => DiskError::Link(shown()),
            Errno::NXIO => DiskError::Special(shown()),
            other => system("open", &shown(), other),
        })?;
        let kind = fs::fstat(&file).map_err(|error| system("read", &shown(), error))?;
        let is_directory = match FileType::from_raw_mode(kind.st_mode) {
            FileType::Directory => true,
            FileType::RegularFile => false,
            _ => return Err(DiskError::Special(shown())),
        };
        Ok(Self {
            file,
            path: path.clone(),
            is_directory,
        })
    }

    /// Whether it is a directory.
    pub fn is_directory(&self) -> bool {
        self.is_directory
    }

    /// Its path in the share.
    pub fn path(&self) -> &SharePath {
        &self.path
    }

    /// Its permissions.
    ///
    /// # Errors
    ///
    /// [`DiskError::NoPermissions`] where it has none of its own.
    pub fn permissions(&self) -> Result<SecurityDescriptor, DiskError> {
        let mut value = vec![0; MAX_ATTRIBUTE];
        let length =
            fs::fgetxattr(&self.file, ATTRIBUTE, &mut value[..]).map_err(|error| match error {
                Errno::NODATA => DiskError::NoPermissions(self.path.shown()),
                other => system("read the permissions of", &self.path.shown(), other),
            })?;
        value.truncate(length);
        self.parse(&value)
    }

    fn parse(&self, value: &[u8]) -> Result<SecurityDescriptor, DiskError> {
        let at = descriptor_at(value).ok_or_else(|| DiskError::Version(self.path.shown()))?;
        // The descriptor's offsets are relative to the start of the attribute.
        SecurityDescriptor::parse_at(value, at).map_err(|reason| self.damaged(reason))
    }

    /// Replaces its permissions durably.
    ///
    /// # Errors
    ///
    /// An error of the system, or a descriptor larger than an attribute; the previous permissions stay.
    pub fn set_permissions(&self, descriptor: &SecurityDescriptor) -> Result<(), DiskError> {
        let value = attribute(descriptor).map_err(|reason| self.damaged(reason))?;
        fs::fsetxattr(&self.file, ATTRIBUTE, &value, XattrFlags::empty())
            .and_then(|()| fs::fsync(&self.file))
            .map_err(|error| match error {
                Errno::NOSPC | Errno::TOOBIG if self.has_space() => {
                    self.no_room(descriptor, value.len(), error)
                }
                error => system("write the permissions of", &self.path.shown(), error),
            })
    }

    /// Whether the file system has space for data: the error of a full one is that of an attribute which is too large for ext4.
    fn has_space(&self) -> bool {
        fs::fstatvfs(&self.file).is_ok_and(|disk| disk.f_bavail > 0 && disk.f_favail > 0)
    }

    fn no_room(&self, descriptor: &SecurityDescriptor, bytes: usize, error: Errno) -> DiskError {
        let kind = fs::fstatfs(&self.file).map(|disk| disk.f_type);
        DiskError::NoRoom {
            path: self.path.shown(),
            entries: descriptor.dacl.as_ref().map_or(0, Vec::len),
            bytes,
            limit: match kind {
                Ok(EXT4) => "one block (4 KiB on ext4)",
                _ => "less",
            },
            reason: std::io::Error::from(error).to_string(),
        }
    }

    /// The paths of the children of this directory, in no order.
    ///
    /// # Errors
    ///
    /// An error of the system.
    pub fn children(&self) -> Result<Vec<SharePath>, DiskError> {
        let failed = |error| system("read", &self.path.shown(), error);
        let mut children = Vec::new();
        for entry in fs::Dir::read_from(&self.file).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let name = OsStr::from_bytes(entry.file_name().to_bytes());
            if name != "." && name != ".." {
                children.push(SharePath(self.path.0.join(name)));
            }
        }
        Ok(children)
    }

    fn damaged(&self, reason: DescriptorError) -> DiskError {
        DiskError::Damaged {
            path: self.path.shown(),
            reason,
        }
    }
}

fn system(verb: &'static str, path: &str, error: Errno) -> DiskError {
    DiskError::System {
        verb,
        path: path.to_owned(),
        reason: std::io::Error::from(error).to_string(),
    }
}

/// The offset of the descriptor in Samba's attribute (`xattr_NTACL` of its xattr.idl), by the attribute's version.
///
/// The hashes in it let smbd detect changes of the POSIX permissions. This host does not use POSIX permissions, and smbd is
/// configured to ignore them (`acl_xattr:ignore system acls`).
fn descriptor_at(value: &[u8]) -> Option<usize> {
    let word = |at: usize| Some(u16::from_le_bytes(value.get(at..at + 2)?.try_into().ok()?));
    let version = word(0)?;
    if word(2)? != version {
        return None;
    }
    match version {
        1 => Some(8),
        2 => Some(28),
        3 => Some(V3_AT),
        4 => {
            // A null-terminated text, a time and the second hash follow the first hash.
            let text = value.get(V3_AT - 2..)?;
            let end = text.iter().position(|byte| *byte == 0)?;
            let behind = (V3_AT - 2 + end + 1).next_multiple_of(4);
            Some(behind + 8 + 64)
        }
        _ => None,
    }
}

/// The attribute as smbd writes it when it ignores POSIX permissions: version 3, with an empty hash.
fn attribute(descriptor: &SecurityDescriptor) -> Result<Vec<u8>, DescriptorError> {
    let mut value = Vec::new();
    value.extend(3_u16.to_le_bytes());
    value.extend(3_u16.to_le_bytes());
    value.extend(0x0002_0000_u32.to_le_bytes());
    value.extend(0x0002_0004_u32.to_le_bytes());
    value.extend(1_u16.to_le_bytes());
    value.resize(V3_AT, 0);
    value.extend(descriptor.to_bytes_at(V3_AT)?);
    if value.len() > MAX_ATTRIBUTE {
        return Err(DescriptorError::TooLarge);
    }
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::super::sddl;
    use super::*;
    use std::os::unix::fs::symlink;

    const TEXT: &str = "O:BAG:BAD:(A;;0x001f01ff;;;SY)";
    /// The output of `samba.ndr.ndr_pack` of Samba 4.17 in the versions 1 to 4: the offset of the descriptor, and the header.
    const HEADS: [(usize, &str); 4] = [
        (8, "0100010000000200"),
        (28, "020002000000020004000200"),
        (80, "0300030000000200040002000100"),
        (160, "0400040000000200040002000100"),
    ];

    fn written_by_samba(version: usize) -> Vec<u8> {
        let (at, head) = HEADS[version - 1];
        let mut value: Vec<u8> = (0..head.len() / 2)
            .map(|n| u8::from_str_radix(&head[2 * n..2 * n + 2], 16).unwrap())
            .collect();
        value.resize(at, 7);
        if version == 4 {
            value[78..88].copy_from_slice(b"acl_xattr\0");
        }
        let descriptor = sddl::parse(TEXT).unwrap();
        value.extend(descriptor.to_bytes_at(at).unwrap());
        value
    }

    #[test]
    fn every_version_of_sambas_attribute_is_parsed() {
        for version in 1..=4 {
            let value = written_by_samba(version);
            let at = descriptor_at(&value).unwrap();
            assert_eq!(at, HEADS[version - 1].0);
            let read = SecurityDescriptor::parse_at(&value, at).unwrap();
            assert_eq!(sddl::text(&read), TEXT);
            for cut in 0..at {
                let _ = descriptor_at(&value[..cut]);
            }
        }
        assert_eq!(descriptor_at(&[9, 0, 9, 0]), None);
        assert_eq!(descriptor_at(&[3, 0, 4, 0]), None);
    }

    #[test]
    fn the_attribute_equals_the_one_that_smbd_writes() {
        let value = attribute(&sddl::parse(TEXT).unwrap()).unwrap();
        let mut expected = written_by_samba(3);
        expected[14..80].fill(0);
        assert_eq!(value, expected);
    }

    #[test]
    fn a_path_that_leaves_its_share_is_refused() {
        for (text, shown) in [
            ("", "/"),
            ("/", "/"),
            ("\\", "/"),
            ("a/b", "/a/b"),
            ("\\a\\b\\", "/a/b"),
            ("./a//b", "/a/b"),
            ("Müller 1:x..y", "/Müller 1:x..y"),
        ] {
            assert_eq!(SharePath::parse(text).unwrap().shown(), shown);
        }
        let long = "x".repeat(5000);
        for bad in [
            "..",
            "a/../b",
            "../../etc/shadow",
            "a\\..\\b",
            "a\0b",
            &long,
        ] {
            assert!(SharePath::parse(bad).is_err(), "{bad}");
        }
        assert_eq!(SharePath::parse("/").unwrap().parent(), None);
        let parent = SharePath::parse("/a/b").unwrap().parent().unwrap();
        assert_eq!(parent.shown(), "/a");
    }

    #[test]
    fn symbolic_links_are_not_followed_and_special_files_not_opened() {
        let folder = tempfile::tempdir().unwrap();
        let share = folder.path().join("share");
        std::fs::create_dir_all(share.join("real")).unwrap();
        std::fs::write(folder.path().join("outside"), "x").unwrap();
        std::fs::write(share.join("real/inside"), "x").unwrap();
        symlink("../outside", share.join("out")).unwrap();
        symlink("real", share.join("in")).unwrap();
        symlink("/etc", share.join("etc")).unwrap();
        let pipe = share.join("pipe");
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, FileType::Fifo, Mode::RUSR, 0).unwrap();
        let open = |path: &str| OnDisk::open(&share, &SharePath::parse(path).unwrap());
        for link in ["out", "in", "in/inside", "etc", "etc/passwd"] {
            assert!(matches!(open(link), Err(DiskError::Link(_))), "{link}");
        }
        assert!(matches!(open("pipe"), Err(DiskError::Special(_))));
        assert!(matches!(open("gone"), Err(DiskError::NotFound(_))));
        assert!(matches!(open("real/inside/x"), Err(DiskError::NotFound(_))));
        assert!(!open("real/inside").unwrap().is_directory());
        let children = open("/").unwrap().children().unwrap();
        let mut names: Vec<String> = children.iter().map(SharePath::shown).collect();
        names.sort();
        assert_eq!(names, ["/etc", "/in", "/out", "/pipe", "/real"]);
        // A directory of a share must not be a symbolic link itself.
        let link = folder.path().join("link");
        symlink(&share, &link).unwrap();
        assert!(OnDisk::open(&link, &SharePath::parse("/").unwrap()).is_err());
    }
}
