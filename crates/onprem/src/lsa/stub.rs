//! The request and reply stubs of the LSA calls, one pair of functions per call, named after [MS-LSAD] 3.1.4.

use super::ndr::{Malformed, Reader, Writer};
use super::{
    ATTRIBUTE_FOREST_TRANSITIVE, Collision, DIRECTION_INBOUND, DomainInfo, ForestRecord, LsaError,
    NewTrust, NtStatus, TYPE_UPLEVEL, TrustedDomain,
};

/// An LSAPR_HANDLE: 20 bytes that only the server understands.
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
/// How many bytes of entries one page of an enumeration should hold.
const PAGE_BYTES: u32 = 64 * 1024;

/// LsarOpenPolicy2 (44): no system name, empty object attributes.
pub(super) fn open_policy(access: u32) -> Vec<u8> {
    let mut w = Writer::new();
    w.null(); // SystemName
    w.u32(24).null().null().u32(0).null().null(); // LSAPR_OBJECT_ATTRIBUTES
    w.u32(access);
    w.finish()
}

/// LsarClose (0), LsarDeleteObject (34).
pub(super) fn handle_only(handle: &PolicyHandle) -> Vec<u8> {
    handle.0.to_vec()
}

/// LsarQueryInformationPolicy2 (46).
pub(super) fn query_policy(policy: &PolicyHandle, class: u16) -> Vec<u8> {
    let mut w = Writer::new();
    w.raw(&policy.0).u16(class);
    w.finish()
}

/// LsarOpenTrustedDomainByName (55).
pub(super) fn open_trust(policy: &PolicyHandle, name: &str, access: u32) -> Vec<u8> {
    let mut w = Writer::new();
    w.raw(&policy.0).string(name, 0).u32(access);
    w.finish()
}

/// LsarEnumerateTrustedDomainsEx (50).
pub(super) fn enumerate_trusts(policy: &PolicyHandle, context: u32) -> Vec<u8> {
    let mut w = Writer::new();
    w.raw(&policy.0).u32(context).u32(PAGE_BYTES);
    w.finish()
}

/// LsarQueryTrustedDomainInfoByName (48).
pub(super) fn query_trust(policy: &PolicyHandle, name: &str, class: u16) -> Vec<u8> {
    let mut w = Writer::new();
    w.raw(&policy.0).string(name, 0).u16(class);
    w.finish()
}

/// LsarQueryForestTrustInformation (73), records of every type known here.
pub(super) fn query_forest(policy: &PolicyHandle, name: &str) -> Vec<u8> {
    let mut w = Writer::new();
    w.raw(&policy.0).string(name, 0).u16(RECORD_DOMAIN);
    w.finish()
}

/// LsarCreateTrustedDomainEx2 (59).
pub(super) fn create_trust(
    policy: &PolicyHandle,
    trust: &NewTrust<'_>,
    auth_blob: &[u8],
    access: u32,
) -> Vec<u8> {
    let mut w = Writer::new();
    w.raw(&policy.0);
    w.string_header(trust.realm, 1);
    w.string_header(trust.flat_name, 1);
    w.pointer(); // Sid
    w.u32(DIRECTION_INBOUND);
    w.u32(TYPE_UPLEVEL);
    w.u32(ATTRIBUTE_FOREST_TRANSITIVE);
    w.string_body(trust.realm, 1);
    w.string_body(trust.flat_name, 1);
    w.sid(trust.sid);
    w.count(auth_blob.len()).pointer();
    w.count(auth_blob.len()).raw(auth_blob);
    w.u32(access);
    w.finish()
}

/// LsarSetInformationTrustedDomain (27), TrustedDomainSupportedEncryptionTypes.
pub(super) fn set_enctypes(trust: &PolicyHandle, bits: u32) -> Vec<u8> {
    let mut w = Writer::new();
    w.raw(&trust.0)
        .u16(TRUST_ENCTYPES)
        .u16(TRUST_ENCTYPES)
        .u32(bits);
    w.finish()
}

/// LsarSetForestTrustInformation (74) with one TOP_LEVEL_NAME record for each name, not only checked but set.
pub(super) fn set_forest(policy: &PolicyHandle, name: &str, names: &[String]) -> Vec<u8> {
    let mut w = Writer::new();
    w.raw(&policy.0).string(name, 1).u16(RECORD_DOMAIN);
    w.count(names.len()).pointer();
    w.count(names.len());
    for _ in names {
        w.pointer();
    }
    for name in names {
        w.align(8).u32(0).u16(RECORD_TOP_LEVEL_NAME).u64(0); // Flags, ForestTrustType, Time
        w.u16(RECORD_TOP_LEVEL_NAME).string(name, 1);
    }
    w.raw(&[0]); // CheckOnly
    w.finish()
}

/// A reply that is a status alone.
pub(super) fn status_reply(call: &'static str, reply: &[u8]) -> Result<(), LsaError> {
    decode(call, reply, |r| {
        let status = status(r)?;
        Ok(((), status))
    })
}

/// A reply of a handle and a status.
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
            return Err(Malformed);
        }
        r.align(8);
        let (flat, dns, forest) = (r.string_header()?, r.string_header()?, r.string_header()?);
        r.align(4).raw(16)?; // DomainGuid
        let has_sid = r.pointer()?;
        let flat_name = r.string_body(flat)?;
        let dns_name = r.string_body(dns)?;
        let forest_name = r.string_body(forest)?;
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

/// LsarQueryInformationPolicy2, PolicyLsaServerRoleInformation: whether the role is the primary's.
pub(super) fn server_role_reply(reply: &[u8]) -> Result<bool, LsaError> {
    decode("LsarQueryInformationPolicy2", reply, |r| {
        if !r.pointer()? {
            return Ok((false, status(r)?));
        }
        if r.u16()? != POLICY_SERVER_ROLE {
            return Err(Malformed);
        }
        // The union is aligned as its widest arm, which holds a LARGE_INTEGER.
        let role = r.align(8).u16()?;
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
            return Err(Malformed);
        }
        let bits = r.u32()?;
        Ok((bits, status(r)?))
    })
}

/// LsarEnumerateTrustedDomainsEx: the entries of this page, and the context of the next where there is one.
pub(super) fn trusts_reply(reply: &[u8]) -> Result<(Vec<TrustedDomain>, Option<u32>), LsaError> {
    let call = "LsarEnumerateTrustedDomainsEx";
    let mut r = Reader::new(reply);
    let parsed = trusts_page(&mut r).map_err(|Malformed| LsaError::Malformed(call))?;
    let (context, page, status) = parsed;
    match status {
        NtStatus::SUCCESS | NtStatus::NO_MORE_ENTRIES => Ok((page, None)),
        NtStatus::MORE_ENTRIES => Ok((page, Some(context))),
        status => Err(LsaError::Status { call, status }),
    }
}

fn trusts_page(r: &mut Reader<'_>) -> Result<(u32, Vec<TrustedDomain>, NtStatus), Malformed> {
    let context = r.u32()?;
    let count = r.count()?;
    let mut page = Vec::new();
    if r.pointer()? {
        r.conformance(count)?;
        let mut heads = Vec::new();
        for _ in 0..count {
            let (name, flat) = (r.string_header()?, r.string_header()?);
            heads.push((name, flat, r.pointer()?, [r.u32()?, r.u32()?, r.u32()?]));
        }
        for (name, flat, has_sid, [direction, kind, attributes]) in heads {
            page.push(TrustedDomain {
                name: r.string_body(name)?,
                flat_name: r.string_body(flat)?,
                sid: has_sid.then(|| r.sid()).transpose()?,
                direction,
                kind,
                attributes,
            });
        }
    }
    let status = status(r)?;
    r.end()?;
    Ok((context, page, status))
}

/// LsarQueryForestTrustInformation. A trust without such information has no records.
pub(super) fn forest_reply(reply: &[u8]) -> Result<Vec<ForestRecord>, LsaError> {
    let read = decode("LsarQueryForestTrustInformation", reply, |r| {
        let mut records = Vec::new();
        if r.pointer()? {
            let count = r.count()?;
            if r.pointer()? {
                r.conformance(count)?;
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

fn forest_record(r: &mut Reader<'_>) -> Result<ForestRecord, Malformed> {
    let flags = r.align(8).u32()?;
    let kind = r.u16()?;
    r.u64()?; // Time
    if r.u16()? != kind {
        return Err(Malformed);
    }
    match kind {
        RECORD_TOP_LEVEL_NAME | RECORD_EXCLUDED => {
            let header = r.string_header()?;
            let name = r.string_body(header)?;
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
                dns_name: r.string_body(dns)?,
                flat_name: r.string_body(flat)?,
                sid,
            })
        }
        _ => {
            let length = r.count()?;
            if r.pointer()? {
                r.conformance(length)?;
                r.raw(length)?;
            }
            Ok(ForestRecord::Other(kind))
        }
    }
}

/// LsarSetForestTrustInformation: what collided.
pub(super) fn collisions_reply(reply: &[u8]) -> Result<Vec<Collision>, LsaError> {
    decode("LsarSetForestTrustInformation", reply, |r| {
        let mut collisions = Vec::new();
        if r.pointer()? {
            let count = r.count()?;
            if r.pointer()? {
                r.conformance(count)?;
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
                        name: r.string_body(header)?,
                    });
                }
            }
        }
        Ok((collisions, status(r)?))
    })
}

/// Reads `count` pointers and returns how many are not null.
fn pointers(r: &mut Reader<'_>, count: usize) -> Result<usize, Malformed> {
    (0..count).try_fold(0, |sum, _| Ok(sum + usize::from(r.pointer()?)))
}

fn status(r: &mut Reader<'_>) -> Result<NtStatus, Malformed> {
    Ok(NtStatus(r.u32()?))
}

/// Reads a whole reply. The status decides first: a refusal's other fields are of no interest.
fn decode<T>(
    call: &'static str,
    reply: &[u8],
    read: impl FnOnce(&mut Reader<'_>) -> Result<(T, NtStatus), Malformed>,
) -> Result<T, LsaError> {
    let mut r = Reader::new(reply);
    let (value, status) = read(&mut r)
        .and_then(|read| r.end().map(|()| read))
        .map_err(|Malformed| LsaError::Malformed(call))?;
    if status == NtStatus::SUCCESS {
        Ok(value)
    } else {
        Err(LsaError::Status { call, status })
    }
}
