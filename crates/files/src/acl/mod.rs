//! The Windows permissions of a file: their text forms, how they are changed, evaluated and stored.
//!
//! They are a [`SecurityDescriptor`]. [`sddl`] is its text form, [`names`] are the readable names of rights and SIDs, [`edit`]
//! changes it, [`evaluate`] computes what it permits, and [`disk`] stores it as smbd does. Everything but [`disk`] is pure.

pub mod disk;
pub mod edit;
pub mod evaluate;
pub mod names;
pub mod sddl;

pub use crossrealm_krb::security_descriptor::{Ace, Entry, SecurityDescriptor, flag};

/// Rights of files, [MS-DTYP] 2.4.3 and [MS-SMB2] 2.2.13.1.1.
pub mod mask {
    /// Delete the children of a directory, regardless of their own permissions.
    pub const DELETE_CHILD: u32 = 0x0000_0040;
    /// Delete.
    pub const DELETE: u32 = 0x0001_0000;
    /// Read the permissions.
    pub const READ_CONTROL: u32 = 0x0002_0000;
    /// Change the permissions.
    pub const WRITE_DAC: u32 = 0x0004_0000;
    /// Become the owner.
    pub const WRITE_OWNER: u32 = 0x0008_0000;
    /// Read: data, attributes, permissions.
    pub const READ: u32 = 0x0012_0089;
    /// Write: data, attributes.
    pub const WRITE: u32 = 0x0012_0116;
    /// Execute a file, traverse a directory.
    pub const EXECUTE: u32 = 0x0012_00a0;
    /// Read and execute.
    pub const READ_EXECUTE: u32 = READ | EXECUTE;
    /// Read, write, execute, delete.
    pub const MODIFY: u32 = 0x0013_01bf;
    /// Full control.
    pub const FULL: u32 = 0x001f_01ff;
    /// Bit 25: all rights that are permitted. An entry cannot grant it.
    const MAXIMUM_ALLOWED: u32 = 0x0200_0000;
    const GENERIC_READ: u32 = 0x8000_0000;
    const GENERIC_WRITE: u32 = 0x4000_0000;
    const GENERIC_EXECUTE: u32 = 0x2000_0000;
    const GENERIC_ALL: u32 = 0x1000_0000;

    /// A mask with its generic rights mapped to those of files ([MS-DTYP] 2.4.3).
    pub fn specific(mask: u32) -> u32 {
        let generic = [
            (GENERIC_READ, READ),
            (GENERIC_WRITE, WRITE),
            (GENERIC_EXECUTE, EXECUTE),
            (GENERIC_ALL, FULL),
        ];
        let all = generic
            .iter()
            .fold(MAXIMUM_ALLOWED, |sum, (bit, _)| sum | bit);
        let mapped = generic.iter().filter(|(bit, _)| mask & bit != 0);
        mapped.fold(mask & !all, |sum, (_, rights)| sum | rights)
    }
}
