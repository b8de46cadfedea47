//! KERB_VALIDATION_INFO, [MS-PAC] 2.5: who the client is and which groups it is in.

use super::FileTime;
use crate::ndr::{NdrError, Reader, UnicodeString, Writer};
use crossrealm_types::{MAX_SUB_AUTHORITIES, Sid};

/// The most entries of one list of groups or SIDs that are read. AD itself stops at 1,015 SIDs in a token.
pub const MAX_GROUPS: usize = 4096;
/// The attributes of a membership in effect: mandatory, enabled by default, enabled ([MS-PAC] 2.2.1).
pub const GROUP_ENABLED: u32 = 0x7;

/// KERB_VALIDATION_INFO, [MS-PAC] 2.5. Fields keep the order of the specification.
///
/// Decoding and encoding lose nothing; the two exceptions are the referent ids of pointers, and that an empty list is
/// always written as a null pointer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogonInfo {
    /// When the client signed in.
    pub logon_time: FileTime,
    /// When the sign-in ends.
    pub logoff_time: FileTime,
    /// When the server should close the session.
    pub kickoff_time: FileTime,
    /// When the password was set.
    pub password_last_set: FileTime,
    /// From when the password can be changed.
    pub password_can_change: FileTime,
    /// From when the password must be changed.
    pub password_must_change: FileTime,
    /// `sAMAccountName`.
    pub account_name: UnicodeString,
    /// The display name.
    pub full_name: UnicodeString,
    /// The path of the logon script.
    pub logon_script: UnicodeString,
    /// The path of the profile.
    pub profile_path: UnicodeString,
    /// The home directory.
    pub home_directory: UnicodeString,
    /// The drive letter of the home directory.
    pub home_directory_drive: UnicodeString,
    /// How often the client signed in.
    pub logon_count: u16,
    /// How many wrong passwords came.
    pub bad_password_count: u16,
    /// The RID of the client in [`Self::domain_sid`]; 0 where the client has no account in that domain.
    pub user_rid: u32,
    /// The RID of the primary group in [`Self::domain_sid`].
    pub primary_group_rid: u32,
    /// The groups of [`Self::domain_sid`].
    pub groups: Vec<GroupMembership>,
    /// [`Self::EXTRA_SIDS`], [`Self::RESOURCE_GROUPS`] and others of [MS-PAC] 2.5.
    pub user_flags: u32,
    /// The session key; zero in Kerberos.
    pub user_session_key: [u8; 16],
    /// The flat name of the domain controller.
    pub logon_server: UnicodeString,
    /// The flat name of the domain.
    pub logon_domain: UnicodeString,
    /// The SID of the domain.
    pub domain_sid: Sid,
    /// Reserved.
    pub reserved1: [u32; 2],
    /// Account flags, [MS-SAMR] 2.2.1.12.
    pub user_account_control: u32,
    /// Status of a sub-authentication package.
    pub sub_auth_status: u32,
    /// The last sign-in that succeeded.
    pub last_successful_logon: FileTime,
    /// The last sign-in that failed.
    pub last_failed_logon: FileTime,
    /// How many sign-ins failed since the last that succeeded.
    pub failed_logon_count: u32,
    /// Reserved.
    pub reserved3: u32,
    /// Groups outside [`Self::domain_sid`].
    pub extra_sids: Vec<SidAndAttributes>,
    /// The domain of [`Self::resource_groups`].
    pub resource_domain_sid: Option<Sid>,
    /// The domain-local groups of the service's domain.
    pub resource_groups: Vec<GroupMembership>,
}

/// GROUP_MEMBERSHIP, [MS-PAC] 2.2.2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GroupMembership {
    /// The group's RID in the domain of the list.
    pub rid: u32,
    /// SE_GROUP attributes, [MS-PAC] 2.2.1.
    pub attributes: u32,
}

/// KERB_SID_AND_ATTRIBUTES, [MS-PAC] 2.2.1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SidAndAttributes {
    /// The group's SID.
    pub sid: Sid,
    /// SE_GROUP attributes.
    pub attributes: u32,
}

impl LogonInfo {
    /// [`Self::user_flags`]: [`Self::extra_sids`] holds something.
    pub const EXTRA_SIDS: u32 = 0x20;
    /// [`Self::user_flags`]: [`Self::resource_groups`] holds something.
    pub const RESOURCE_GROUPS: u32 = 0x200;
    /// [`Self::user_account_control`]: an ordinary user account.
    pub const NORMAL_ACCOUNT: u32 = 0x10;

    /// An ordinary user in the domain `domain_sid`, in no group yet, with every other field empty or never.
    pub fn new(domain_sid: Sid, user_rid: u32, primary_group_rid: u32, account_name: &str) -> Self {
        let empty = || UnicodeString::from("");
        Self {
            logon_time: FileTime::UNSET,
            logoff_time: FileTime::NEVER,
            kickoff_time: FileTime::NEVER,
            password_last_set: FileTime::UNSET,
            password_can_change: FileTime::UNSET,
            password_must_change: FileTime::NEVER,
            account_name: account_name.into(),
            full_name: empty(),
            logon_script: empty(),
            profile_path: empty(),
            home_directory: empty(),
            home_directory_drive: empty(),
            logon_count: 0,
            bad_password_count: 0,
            user_rid,
            primary_group_rid,
            groups: Vec::new(),
            user_flags: 0,
            user_session_key: [0; 16],
            logon_server: empty(),
            logon_domain: empty(),
            domain_sid,
            reserved1: [0; 2],
            user_account_control: Self::NORMAL_ACCOUNT,
            sub_auth_status: 0,
            last_successful_logon: FileTime::UNSET,
            last_failed_logon: FileTime::UNSET,
            failed_logon_count: 0,
            reserved3: 0,
            extra_sids: Vec::new(),
            resource_domain_sid: None,
            resource_groups: Vec::new(),
        }
    }

    /// Makes the client a member of exactly these groups: sorted, without duplicates, those of its own domain as RIDs
    /// and the others as extra SIDs.
    pub fn set_groups<'a>(&mut self, groups: impl IntoIterator<Item = &'a Sid>) {
        let mut sids: Vec<&Sid> = groups.into_iter().collect();
        sids.sort();
        sids.dedup();
        let (own, other): (Vec<&Sid>, Vec<&Sid>) = sids
            .into_iter()
            .partition(|sid| sid.is_in_domain(&self.domain_sid));

        self.groups = own
            .into_iter()
            .map(|sid| GroupMembership {
                rid: sid.rid(),
                attributes: GROUP_ENABLED,
            })
            .collect();
        self.extra_sids = other
            .into_iter()
            .map(|sid| SidAndAttributes {
                sid: sid.clone(),
                attributes: GROUP_ENABLED,
            })
            .collect();
        self.user_flags &= !Self::EXTRA_SIDS;
        if !self.extra_sids.is_empty() {
            self.user_flags |= Self::EXTRA_SIDS;
        }
    }

    /// The client's SID; `None` where [`Self::user_rid`] is 0, which stands for a client of another domain.
    pub fn user_sid(&self) -> Option<Sid> {
        match self.user_rid {
            0 => None,
            rid => self.domain_sid.with_rid(rid).ok(),
        }
    }

    /// Every SID that a server would put into the client's token because of this PAC: the client, its primary group,
    /// its groups, the extra SIDs and the resource groups, in this order and with duplicates.
    pub fn token_sids(&self) -> Vec<Sid> {
        let in_domain = |rid: u32| self.domain_sid.with_rid(rid).ok();
        let resource = self.resource_groups.iter().filter_map(|group| {
            let domain = self.resource_domain_sid.as_ref()?;
            domain.with_rid(group.rid).ok()
        });
        self.user_sid()
            .into_iter()
            .chain(in_domain(self.primary_group_rid))
            .chain(self.groups.iter().filter_map(|group| in_domain(group.rid)))
            .chain(self.extra_sids.iter().map(|extra| extra.sid.clone()))
            .chain(resource)
            .collect()
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, NdrError> {
        let mut reader = Reader::serialized(bytes)?;
        let r = &mut reader;
        r.required_pointer()?;
        let [
            logon_time,
            logoff_time,
            kickoff_time,
            password_last_set,
            password_can_change,
            password_must_change,
        ] = six(|| time(r))?;
        let names = six(|| r.string_header())?;
        let (logon_count, bad_password_count) = (r.u16()?, r.u16()?);
        let (user_rid, primary_group_rid) = (r.u32()?, r.u32()?);
        let groups = ListHeader::read(r)?;
        let user_flags = r.u32()?;
        let user_session_key = r.array()?;
        let (server, domain) = (r.string_header()?, r.string_header()?);
        r.required_pointer()?;
        let reserved1 = [r.u32()?, r.u32()?];
        let (user_account_control, sub_auth_status) = (r.u32()?, r.u32()?);
        let (last_successful_logon, last_failed_logon) = (time(r)?, time(r)?);
        let (failed_logon_count, reserved3) = (r.u32()?, r.u32()?);
        let extra_sids = ListHeader::read(r)?;
        let has_resource_domain = r.pointer()?;
        let resource_groups = ListHeader::read(r)?;

        // From here on what the pointers point to, in their order.
        let mut names = names.into_iter();
        let [
            account_name,
            full_name,
            logon_script,
            profile_path,
            home_directory,
            home_directory_drive,
        ] = six(|| r.string(names.next().ok_or(NdrError::Truncated)?))?;
        let info = Self {
            logon_time,
            logoff_time,
            kickoff_time,
            password_last_set,
            password_can_change,
            password_must_change,
            account_name,
            full_name,
            logon_script,
            profile_path,
            home_directory,
            home_directory_drive,
            logon_count,
            bad_password_count,
            user_rid,
            primary_group_rid,
            groups: groups.groups(r)?,
            user_flags,
            user_session_key,
            logon_server: r.string(server)?,
            logon_domain: r.string(domain)?,
            domain_sid: r.sid()?,
            reserved1,
            user_account_control,
            sub_auth_status,
            last_successful_logon,
            last_failed_logon,
            failed_logon_count,
            reserved3,
            extra_sids: extra_sids.sids(r)?,
            resource_domain_sid: has_resource_domain.then(|| r.sid()).transpose()?,
            resource_groups: resource_groups.groups(r)?,
        };
        reader.finish()?;
        info.refuse_rids_without_domain()
    }

    /// Every RID must make a SID with its domain, or [`Self::token_sids`] would be silent about it.
    fn refuse_rids_without_domain(self) -> Result<Self, NdrError> {
        let takes_rids = |domain: &Sid| domain.sub_authorities().len() < MAX_SUB_AUTHORITIES;
        let resource_domain = self.resource_domain_sid.as_ref();
        if !takes_rids(&self.domain_sid) || resource_domain.is_some_and(|sid| !takes_rids(sid)) {
            return Err(NdrError::Sid);
        }
        if resource_domain.is_none() && !self.resource_groups.is_empty() {
            return Err(NdrError::NullPointer);
        }
        Ok(self)
    }

    pub(super) fn encode(&self) -> Result<Vec<u8>, NdrError> {
        let mut writer = Writer::new();
        let extra_sid_referents = self.write_fixed(&mut writer)?;
        self.write_deferred(&mut writer, extra_sid_referents)?;
        writer.into_serialized()
    }

    fn times(&self) -> [FileTime; 6] {
        [
            self.logon_time,
            self.logoff_time,
            self.kickoff_time,
            self.password_last_set,
            self.password_can_change,
            self.password_must_change,
        ]
    }

    fn names(&self) -> [&UnicodeString; 6] {
        [
            &self.account_name,
            &self.full_name,
            &self.logon_script,
            &self.profile_path,
            &self.home_directory,
            &self.home_directory_drive,
        ]
    }

    /// Writes the structure itself; gives the first referent id kept for the pointers in the list of extra SIDs.
    fn write_fixed(&self, writer: &mut Writer) -> Result<u32, NdrError> {
        writer.pointer(true);
        for time in self.times() {
            writer.u64_in_halves(time.0);
        }
        for name in self.names() {
            writer.string_header(name)?;
        }
        writer.u16(self.logon_count);
        writer.u16(self.bad_password_count);
        writer.u32(self.user_rid);
        writer.u32(self.primary_group_rid);
        write_list_header(writer, &self.groups)?;
        writer.u32(self.user_flags);
        writer.bytes(&self.user_session_key);
        writer.string_header(&self.logon_server)?;
        writer.string_header(&self.logon_domain)?;
        writer.pointer(true);
        writer.u32(self.reserved1[0]);
        writer.u32(self.reserved1[1]);
        writer.u32(self.user_account_control);
        writer.u32(self.sub_auth_status);
        writer.u64_in_halves(self.last_successful_logon.0);
        writer.u64_in_halves(self.last_failed_logon.0);
        writer.u32(self.failed_logon_count);
        writer.u32(self.reserved3);
        write_list_header(writer, &self.extra_sids)?;
        let extra_sid_referents = writer.next_referents(self.extra_sids.len());
        writer.pointer(self.resource_domain_sid.is_some());
        write_list_header(writer, &self.resource_groups)?;
        Ok(extra_sid_referents)
    }

    /// Writes what the pointers point to, in their order.
    fn write_deferred(&self, writer: &mut Writer, mut referent: u32) -> Result<(), NdrError> {
        for name in self.names() {
            writer.string(name)?;
        }
        write_groups(writer, &self.groups)?;
        writer.string(&self.logon_server)?;
        writer.string(&self.logon_domain)?;
        writer.sid(&self.domain_sid)?;
        if !self.extra_sids.is_empty() {
            writer.count(self.extra_sids.len())?;
            for extra in &self.extra_sids {
                writer.kept_pointer(&mut referent);
                writer.u32(extra.attributes);
            }
            for extra in &self.extra_sids {
                writer.sid(&extra.sid)?;
            }
        }
        if let Some(sid) = &self.resource_domain_sid {
            writer.sid(sid)?;
        }
        write_groups(writer, &self.resource_groups)
    }
}

/// A count and whether the pointer beside it points to a list.
struct ListHeader {
    count: u32,
    present: bool,
}

impl ListHeader {
    fn read(reader: &mut Reader<'_>) -> Result<Self, NdrError> {
        Ok(Self {
            count: reader.u32()?,
            present: reader.pointer()?,
        })
    }

    /// The list, of elements of `element_len` bytes.
    fn list<T>(
        &self,
        reader: &mut Reader<'_>,
        element_len: usize,
        read: impl FnMut(&mut Reader<'_>) -> Result<T, NdrError>,
    ) -> Result<Vec<T>, NdrError> {
        match (self.present, self.count) {
            (true, count) => reader.conformant(count, MAX_GROUPS, element_len, read),
            (false, 0) => Ok(Vec::new()),
            (false, _) => Err(NdrError::NullPointer),
        }
    }

    fn groups(&self, reader: &mut Reader<'_>) -> Result<Vec<GroupMembership>, NdrError> {
        self.list(reader, 8, |r| {
            Ok(GroupMembership {
                rid: r.u32()?,
                attributes: r.u32()?,
            })
        })
    }

    fn sids(&self, reader: &mut Reader<'_>) -> Result<Vec<SidAndAttributes>, NdrError> {
        let all_attributes = self.list(reader, 8, |r| {
            r.required_pointer()?;
            r.u32()
        })?;
        all_attributes
            .into_iter()
            .map(|attributes| {
                let sid = reader.sid()?;
                Ok(SidAndAttributes { sid, attributes })
            })
            .collect()
    }
}

fn six<T>(mut read: impl FnMut() -> Result<T, NdrError>) -> Result<[T; 6], NdrError> {
    Ok([read()?, read()?, read()?, read()?, read()?, read()?])
}

fn time(reader: &mut Reader<'_>) -> Result<FileTime, NdrError> {
    reader.u64_in_halves().map(FileTime)
}

/// A count and the pointer to the list, null for an empty one.
fn write_list_header<T>(writer: &mut Writer, list: &[T]) -> Result<(), NdrError> {
    writer.count(list.len())?;
    writer.pointer(!list.is_empty());
    Ok(())
}

fn write_groups(writer: &mut Writer, groups: &[GroupMembership]) -> Result<(), NdrError> {
    if groups.is_empty() {
        return Ok(());
    }
    writer.count(groups.len())?;
    for group in groups {
        writer.u32(group.rid);
        writer.u32(group.attributes);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sid(text: &str) -> Sid {
        text.parse().unwrap()
    }

    fn alice() -> LogonInfo {
        let mut info = LogonInfo::new(sid("S-1-5-21-1-2-3"), 1104, 513, "alice");
        info.set_groups(&[
            sid("S-1-5-21-9-9-9-1200"),
            sid("S-1-5-21-1-2-3-1111"),
            sid("S-1-5-21-1-2-3-513"),
            sid("S-1-5-21-1-2-3-1111"),
        ]);
        info
    }

    #[test]
    fn groups_are_sorted_unique_and_split_by_domain() {
        let info = alice();
        let rids: Vec<u32> = info.groups.iter().map(|group| group.rid).collect();
        assert_eq!(rids, [513, 1111]);
        assert_eq!(info.extra_sids.len(), 1);
        assert_eq!(info.user_flags, LogonInfo::EXTRA_SIDS);
        assert_eq!(
            info.token_sids(),
            [
                "S-1-5-21-1-2-3-1104",
                "S-1-5-21-1-2-3-513",
                "S-1-5-21-1-2-3-513",
                "S-1-5-21-1-2-3-1111",
                "S-1-5-21-9-9-9-1200"
            ]
            .map(sid)
        );
        let mut none = info;
        none.set_groups(&[]);
        assert_eq!((none.user_flags, none.extra_sids.len()), (0, 0));
    }

    #[test]
    fn resource_groups_count_as_token_sids() {
        let mut info = alice();
        info.resource_domain_sid = Some(sid("S-1-5-21-7-7-7"));
        info.resource_groups = vec![GroupMembership {
            rid: 2000,
            attributes: GROUP_ENABLED,
        }];
        let decoded = LogonInfo::decode(&info.encode().unwrap()).unwrap();
        assert_eq!(decoded, info);
        assert!(decoded.token_sids().contains(&sid("S-1-5-21-7-7-7-2000")));
        info.resource_domain_sid = None;
        assert_eq!(
            LogonInfo::decode(&info.encode().unwrap()),
            Err(NdrError::NullPointer)
        );
    }

    #[test]
    fn a_domain_sid_without_space_for_a_rid_is_refused() {
        let full = Sid::new(5, &[21; MAX_SUB_AUTHORITIES]).unwrap();
        let info = LogonInfo::new(full, 1104, 513, "alice");
        assert_eq!(
            LogonInfo::decode(&info.encode().unwrap()),
            Err(NdrError::Sid)
        );
    }

    #[test]
    fn the_largest_token_round_trips_and_larger_lists_are_refused() {
        let mut info = alice();
        let groups = |n: u32| (0..n).map(|i| sid("S-1-5-21-8-8-8").with_rid(1000 + i).unwrap());
        info.set_groups(&groups(1010).collect::<Vec<_>>());
        assert_eq!(LogonInfo::decode(&info.encode().unwrap()), Ok(info.clone()));
        info.set_groups(&groups(4097).collect::<Vec<_>>());
        assert_eq!(
            LogonInfo::decode(&info.encode().unwrap()),
            Err(NdrError::TooMany {
                count: 4097,
                limit: MAX_GROUPS
            })
        );
    }

    #[test]
    fn every_truncation_is_refused() {
        let good = alice().encode().unwrap();
        for len in 0..good.len() {
            assert!(LogonInfo::decode(&good[..len]).is_err(), "{len}");
            // And where the header does not lie about it.
            let mut honest = good[..len].to_vec();
            if let Some(field) = honest.get_mut(8..12) {
                field
                    .copy_from_slice(&u32::try_from(len.saturating_sub(16)).unwrap().to_le_bytes());
            }
            let decoded = LogonInfo::decode(&honest);
            assert!(decoded.is_err() || decoded == Ok(alice()), "{len}");
        }
    }
}
