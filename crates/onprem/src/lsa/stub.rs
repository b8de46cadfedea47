//! Request and reply stubs of the LSA calls, one pair of functions for each, named after [MS-LSAD] 3.1.4.

use super::model::{
    ATTRIBUTE_FOREST_TRANSITIVE, Collision, DIRECTION_INBOUND, DomainInfo, ForestRecord, LsaError,
    NewTrust, TYPE_UPLEVEL, TrustedDomain,
};
use crate::nt_status::NtStatus;
use crossrealm_krb::ndr::{NdrError, Reader, StringHeader, UnicodeString, Writer};

/// The most elements that an array may have.
const MAX_COUNT: usize = 4096;

/// An LSAPR_HANDLE: 20 bytes that are opaque to the client.
pub struct PolicyHandle([u8; 20]);

/// POLICY_INFORMATION_CLASS PolicyLsaServerRoleInformation, [MS-LSAD] 2.2.4.1.
pub(super) const POLICY_SERVER_ROLE: u16 = 6;
/// POLICY_INFORMATION_CLASS PolicyDnsDomainInformation, [MS-LSAD] 2.2.4.1.
pub(super) const POLICY_DNS_DOMAIN: u16 = 12;
/// TRUSTED_INFORMATION_CLASS TrustedDomainSupportedEncryptionTypes, [MS-LSAD] 2.2.7.2.
pub(super) const TRUST_ENCTYPES: u16 = 13;
/// POLICY_LSA_SERVER_ROLE PolicyServerRolePrimary, [MS-LSAD] 2.2.4.9.
const ROLE_PRIMARY: u16 = 3;
/// LSA_FOREST_TRUST_RECORD_TYPE ForestTrustTopLevelName, [MS-LSAD] 2.2.7.22.
const RECORD_TOP_LEVEL_NAME: u16 = 0;
/// LSA_FOREST_TRUST_RECORD_TYPE ForestTrustTopLevelNameEx.
const RECORD_EXCLUDED: u16 = 1;
/// LSA_FOREST_TRUST_RECORD_TYPE ForestTrustDomainInfo.
const RECORD_DOMAIN: u16 = 2;
/// How many bytes of entries one page of an enumeration should hold (PreferedMaximumLength).
const PAGE_BYTES: u32 = 64 * 1024;

/// LsarOpenPolicy2 (44): no system name, empty object attributes.
pub(super) fn open_policy(access: u32) -> Vec<u8> {
    let mut w = Writer::new();
    w.pointer(false); // SystemName
    for value in [24, 0, 0, 0, 0, 0] {
        w.u32(value); // LSAPR_OBJECT_ATTRIBUTES: its length, and nothing else
    }
    w.u32(access);
    w.into_plain()
}

/// LsarClose (0), LsarDeleteObject (34).
pub(super) fn handle_only(handle: &PolicyHandle) -> Vec<u8> {
    handle.0.to_vec()
}

/// A request that begins with a handle.
fn with_handle(handle: &PolicyHandle) -> Writer {
    let mut w = Writer::new();
    w.bytes(&handle.0);
    w
}

/// A request that begins with a handle and a reference pointer to the name of a trust.
fn with_name(policy: &PolicyHandle, name: &UnicodeString) -> Result<Writer, NdrError> {
    let mut w = with_handle(policy);
    inline_string(&mut w, name)?;
    Ok(w)
}

/// A string whose characters follow its header at once: no other pointer comes between.
fn inline_string(w: &mut Writer, string: &UnicodeString) -> Result<(), NdrError> {
    w.string_header(string)?;
    w.string(string)
}

/// LsarQueryInformationPolicy2 (46).
pub(super) fn query_policy(policy: &PolicyHandle, class: u16) -> Vec<u8> {
    let mut w = with_handle(policy);
    w.u16(class);
    w.into_plain()
}

/// LsarOpenTrustedDomainByName (55).
pub(super) fn open_trust(
    policy: &PolicyHandle,
    name: &str,
    access: u32,
) -> Result<Vec<u8>, NdrError> {
    let mut w = with_name(policy, &name.into())?;
    w.u32(access);
    Ok(w.into_plain())
}

/// LsarEnumerateTrustedDomainsEx (50).
pub(super) fn enumerate_trusts(policy: &PolicyHandle, context: u32) -> Vec<u8> {
    let mut w = with_handle(policy);
    w.u32(context);
    w.u32(PAGE_BYTES);
    w.into_plain()
}

/// LsarQueryTrustedDomainInfoByName (48).
pub(super) fn query_trust(
    policy: &PolicyHandle,
    name: &str,
    class: u16,
) -> Result<Vec<u8>, NdrError> {
    let mut w = with_name(policy, &name.into())?;
    w.u16(class);
    Ok(w.into_plain())
}

/// LsarQueryForestTrustInformation (73), for records up to the highest type known here.
pub(super) fn query_forest(policy: &PolicyHandle, name: &str) -> Result<Vec<u8>, NdrError> {
    query_trust(policy, name, RECORD_DOMAIN)
}

/// LsarCreateTrustedDomainEx2 (59).
pub(super) fn create_trust(
    policy: &PolicyHandle,
    trust: &NewTrust<'_>,
    auth_blob: &[u8],
    access: u32,
) -> Result<Vec<u8>, NdrError> {
    let names = [trust.realm, trust.flat_name].map(UnicodeString::with_terminator);
    let mut w = with_handle(policy);
    for name in &names {
        w.string_header(name)?;
    }
    w.pointer(true); // Sid
    w.u32(DIRECTION_INBOUND);
    w.u32(TYPE_UPLEVEL);
    w.u32(ATTRIBUTE_FOREST_TRANSITIVE);
    for name in &names {
        w.string(name)?;
    }
    w.sid(trust.sid)?;
    w.count(auth_blob.len())?;
    w.pointer(true);
    w.count(auth_blob.len())?;
    w.bytes(auth_blob);
    w.u32(access);
    Ok(w.into_plain())
}

/// LsarSetInformationTrustedDomain (27), TrustedDomainSupportedEncryptionTypes.
pub(super) fn set_enctypes(trust: &PolicyHandle, bits: u32) -> Vec<u8> {
    let mut w = with_handle(trust);
    w.u16(TRUST_ENCTYPES);
    w.u16(TRUST_ENCTYPES); // The discriminant of the union
    w.u32(bits);
    w.into_plain()
}

/// LsarSetForestTrustInformation (74): a TOP_LEVEL_NAME record for each name; CheckOnly is false.
pub(super) fn set_forest(
    policy: &PolicyHandle,
    name: &str,
    names: &[String],
) -> Result<Vec<u8>, NdrError> {
    let mut w = with_name(policy, &UnicodeString::with_terminator(name))?;
    w.u16(RECORD_DOMAIN);
    w.count(names.len())?;
    w.pointer(true);
    w.count(names.len())?;
    for _ in names {
        w.pointer(true);
    }
    for name in names {
        w.align(8);
        w.u32(0); // Flags
        w.u16(RECORD_TOP_LEVEL_NAME); // ForestTrustType
        w.u64(0); // Time
        w.u16(RECORD_TOP_LEVEL_NAME); // The discriminant of the union
        inline_string(&mut w, &UnicodeString::with_terminator(name))?;
    }
    w.bytes(&[0]); // CheckOnly
    Ok(w.into_plain())
}

/// A reply that holds a status only.
pub(super) fn status_reply(call: &'static str, reply: &[u8]) -> Result<(), LsaError> {
    decode(call, reply, |r| {
        let status = status(r)?;
        Ok(((), status))
    })
}

/// A reply that holds a handle and a status.
pub(super) fn handle_reply(call: &'static str, reply: &[u8]) -> Result<PolicyHandle, LsaError> {
    decode(call, reply, |r| {
        let handle = PolicyHandle(r.array()?);
        Ok((handle, status(r)?))
    })
}

/// LsarQueryInformationPolicy2, PolicyDnsDomainInformation.
pub(super) fn dns_domain_reply(reply: &[u8]) -> Result<DomainInfo, LsaError> {
    let call = "LsarQueryInformationPolicy2";
    let info = decode(call, reply, |r| {
        if !r.pointer()? {
            return Ok((None, status(r)?));
        }
        if r.u16()? != POLICY_DNS_DOMAIN {
            return Err(NdrError::CountMismatch);
        }
        r.align(8)?;
        let (flat, dns, forest) = (r.string_header()?, r.string_header()?, r.string_header()?);
        r.align(4)?;
        r.take(16)?; // DomainGuid
        let has_sid = r.pointer()?;
        let flat_name = text(r, flat)?;
        let dns_name = text(r, dns)?;
        let forest_name = text(r, forest)?;
        let sid = has_sid.then(|| r.sid()).transpose()?;
        let info = sid.map(|sid| DomainInfo {
            flat_name,
            dns_name,
            forest_name,
            sid,
        });
        Ok((info, status(r)?))
    })?;
    info.ok_or(LsaError::Malformed(call))
}

/// LsarQueryInformationPolicy2, PolicyLsaServerRoleInformation: whether the role is that of the primary.
pub(super) fn server_role_reply(reply: &[u8]) -> Result<bool, LsaError> {
    decode("LsarQueryInformationPolicy2", reply, |r| {
        if !r.pointer()? {
            return Ok((false, status(r)?));
        }
        if r.u16()? != POLICY_SERVER_ROLE {
            return Err(NdrError::CountMismatch);
        }
        // The union has the alignment of its widest arm, which holds a LARGE_INTEGER.
        r.align(8)?;
        let role = r.u16()?;
        Ok((role == ROLE_PRIMARY, status(r)?))
    })
}

/// LsarQueryTrustedDomainInfoByName, TrustedDomainSupportedEncryptionTypes.
pub(super) fn enctypes_reply(reply: &[u8]) -> Result<u32, LsaError> {
    decode("LsarQueryTrustedDomainInfoByName", reply, |r| {
        if !r.pointer()? {
            return Ok((0, status(r)?));
        }
        if r.u16()? != TRUST_ENCTYPES {
            return Err(NdrError::CountMismatch);
        }
        let bits = r.u32()?;
        Ok((bits, status(r)?))
    })
}

/// LsarEnumerateTrustedDomainsEx: the entries of the page, and the context of the next page if there is one.
pub(super) fn trusts_reply(reply: &[u8]) -> Result<(Vec<TrustedDomain>, Option<u32>), LsaError> {
    let call = "LsarEnumerateTrustedDomainsEx";
    let (context, page, status) = whole(call, reply, trusts_page)?;
    match status {
        NtStatus::SUCCESS | NtStatus::NO_MORE_ENTRIES => Ok((page, None)),
        NtStatus::MORE_ENTRIES => Ok((page, Some(context))),
        status => Err(LsaError::Status { call, status }),
    }
}

fn trusts_page(r: &mut Reader<'_>) -> Result<(u32, Vec<TrustedDomain>, NtStatus), NdrError> {
    let context = r.u32()?;
    let count = count(r)?;
    let mut page = Vec::new();
    if r.pointer()? {
        conformance(r, count)?;
        let mut heads = Vec::new();
        for _ in 0..count {
            let (name, flat) = (r.string_header()?, r.string_header()?);
            heads.push((name, flat, r.pointer()?, [r.u32()?, r.u32()?, r.u32()?]));
        }
        for (name, flat, has_sid, [direction, kind, attributes]) in heads {
            page.push(TrustedDomain {
                name: text(r, name)?,
                flat_name: text(r, flat)?,
                sid: has_sid.then(|| r.sid()).transpose()?,
                direction,
                kind,
                attributes,
            });
        }
    }
    Ok((context, page, status(r)?))
}

/// LsarQueryForestTrustInformation. A trust without forest trust information has no records.
pub(super) fn forest_reply(reply: &[u8]) -> Result<Vec<ForestRecord>, LsaError> {
    let read = decode("LsarQueryForestTrustInformation", reply, |r| {
        let mut records = Vec::new();
        if r.pointer()? {
            let count = count(r)?;
            if r.pointer()? {
                conformance(r, count)?;
                let present = pointers(r, count)?;
                for _ in 0..present {
                    records.push(forest_record(r)?);
                }
            }
        }
        Ok((records, status(r)?))
    });
    match read {
        Err(error) if error.status() == Some(NtStatus::NOT_FOUND) => Ok(Vec::new()),
        other => other,
    }
}

fn forest_record(r: &mut Reader<'_>) -> Result<ForestRecord, NdrError> {
    r.align(8)?;
    let flags = r.u32()?;
    let kind = r.u16()?;
    r.u64()?; // Time
    if r.u16()? != kind {
        return Err(NdrError::CountMismatch);
    }
    match kind {
        RECORD_TOP_LEVEL_NAME | RECORD_EXCLUDED => {
            let header = r.string_header()?;
            let name = text(r, header)?;
            Ok(match kind {
                RECORD_EXCLUDED => ForestRecord::Excluded(name),
                _ => ForestRecord::TopLevelName { name, flags },
            })
        }
        RECORD_DOMAIN => {
            let has_sid = r.pointer()?;
            let (dns, flat) = (r.string_header()?, r.string_header()?);
            let sid = has_sid.then(|| r.sid()).transpose()?;
            Ok(ForestRecord::Domain {
                dns_name: text(r, dns)?,
                flat_name: text(r, flat)?,
                sid,
            })
        }
        _ => {
            let length = count(r)?;
            if r.pointer()? {
                conformance(r, length)?;
                r.take(length)?;
            }
            Ok(ForestRecord::Other(kind))
        }
    }
}

/// LsarSetForestTrustInformation: the collisions.
pub(super) fn collisions_reply(reply: &[u8]) -> Result<Vec<Collision>, LsaError> {
    decode("LsarSetForestTrustInformation", reply, |r| {
        let mut collisions = Vec::new();
        if r.pointer()? {
            let count = count(r)?;
            if r.pointer()? {
                conformance(r, count)?;
                let present = pointers(r, count)?;
                for _ in 0..present {
                    let index = r.u32()?;
                    let kind = r.u16()?;
                    let flags = r.u32()?;
                    let header = r.string_header()?;
                    collisions.push(Collision {
                        index,
                        kind,
                        flags,
                        name: text(r, header)?,
                    });
                }
            }
        }
        Ok((collisions, status(r)?))
    })
}

/// Reads `count` referent ids; returns how many are not null.
fn pointers(r: &mut Reader<'_>, count: usize) -> Result<usize, NdrError> {
    (0..count).try_fold(0, |sum, _| Ok(sum + usize::from(r.pointer()?)))
}

fn status(r: &mut Reader<'_>) -> Result<NtStatus, NdrError> {
    Ok(NtStatus(r.u32()?))
}

/// A count of elements, within the bound.
fn count(r: &mut Reader<'_>) -> Result<usize, NdrError> {
    r.count(0, MAX_COUNT)
}

/// The maximum count before a conformant array, which must equal the count in the structure.
fn conformance(r: &mut Reader<'_>, expected: usize) -> Result<(), NdrError> {
    (count(r)? == expected)
        .then_some(())
        .ok_or(NdrError::CountMismatch)
}

/// The characters of a string with this header; a null string is empty.
fn text(r: &mut Reader<'_>, header: StringHeader) -> Result<String, NdrError> {
    Ok(r.string(header)?.as_str().to_owned())
}

/// Reads a reply to its last byte.
fn whole<T>(
    call: &'static str,
    reply: &[u8],
    read: impl FnOnce(&mut Reader<'_>) -> Result<T, NdrError>,
) -> Result<T, LsaError> {
    let mut r = Reader::plain(reply);
    match read(&mut r) {
        Ok(value) if r.position() == reply.len() => Ok(value),
        _ => Err(LsaError::Malformed(call)),
    }
}

/// Reads a reply that ends in a status. If the call was refused, its other fields are ignored.
fn decode<T>(
    call: &'static str,
    reply: &[u8],
    read: impl FnOnce(&mut Reader<'_>) -> Result<(T, NtStatus), NdrError>,
) -> Result<T, LsaError> {
    match whole(call, reply, read)? {
        (value, NtStatus::SUCCESS) => Ok(value),
        (_, status) => Err(LsaError::Status { call, status }),
    }
}
