//! The trust password on the wire: LSAPR_TRUSTED_DOMAIN_AUTH_BLOB ([MS-LSAD] 2.2.7.16).
//!
//! The blob is encrypted with RC4 under the application key of the SMB session ([MS-LSAD] 5.1.1), inside that session, which
//! is encrypted itself. RC4 adds no protection; it is the only form in which LsarCreateTrustedDomainEx2 takes a password, and
//! this is the only place in the product that uses the cipher.

use zeroize::Zeroizing;

/// Random bytes before the blob, [MS-LSAD] 2.2.7.16.
pub(super) const CONFOUNDER_LEN: usize = 512;

/// LSAPR_AUTH_INFORMATION.AuthType: no password.
const AUTH_NONE: u32 = 0;
/// LSAPR_AUTH_INFORMATION.AuthType: a cleartext password in UTF-16LE.
const AUTH_CLEAR: u32 = 2;
/// Bytes before the entries of one direction: the count and two offsets.
const HALF_HEADER_LEN: u32 = 12;

/// The blob for `secret`, encrypted under `application_key`. `now` is the time of the change as a FILETIME (100 ns since
/// 1601). Both directions carry the same password, as for a partner that is a Kerberos realm.
pub(super) fn auth_blob(
    secret: &str,
    now: u64,
    confounder: &[u8; CONFOUNDER_LEN],
    application_key: &[u8],
) -> Vec<u8> {
    let half = half(secret, now);
    let length = u32::try_from(half.len()).unwrap_or(u32::MAX).to_le_bytes();
    let mut blob = Zeroizing::new(Vec::with_capacity(CONFOUNDER_LEN + 2 * half.len() + 8));
    blob.extend_from_slice(confounder);
    blob.extend_from_slice(&half);
    blob.extend_from_slice(&half);
    blob.extend_from_slice(&length);
    blob.extend_from_slice(&length);
    rc4(application_key, &blob)
}

/// One direction: a current entry, and an empty previous entry.
fn half(secret: &str, now: u64) -> Zeroizing<Vec<u8>> {
    let password = Zeroizing::new(
        secret
            .encode_utf16()
            .flat_map(u16::to_le_bytes)
            .collect::<Vec<u8>>(),
    );
    let current = entry(AUTH_CLEAR, &password, now);
    let previous = entry(AUTH_NONE, &[], now);
    let current_len = u32::try_from(current.len()).unwrap_or(u32::MAX);
    let mut out = Zeroizing::new(Vec::with_capacity(12 + current.len() + previous.len()));
    out.extend_from_slice(&1u32.to_le_bytes());
    out.extend_from_slice(&HALF_HEADER_LEN.to_le_bytes());
    out.extend_from_slice(&HALF_HEADER_LEN.saturating_add(current_len).to_le_bytes());
    out.extend_from_slice(&current);
    out.extend_from_slice(&previous);
    out
}

/// LSAPR_AUTH_INFORMATION ([MS-LSAD] 2.2.7.17), padded to 4 bytes.
fn entry(kind: u32, secret: &[u8], now: u64) -> Zeroizing<Vec<u8>> {
    let length = u32::try_from(secret.len()).unwrap_or(u32::MAX);
    let mut out = Zeroizing::new(Vec::with_capacity(20 + secret.len()));
    out.extend_from_slice(&now.to_le_bytes());
    out.extend_from_slice(&kind.to_le_bytes());
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(secret);
    let padded = out.len().next_multiple_of(4);
    out.resize(padded, 0);
    out
}

/// RC4, which the format above requires, and nothing else uses. `key` must not be empty.
fn rc4(key: &[u8], data: &[u8]) -> Vec<u8> {
    let mut state = Zeroizing::new([0u8; 256]);
    for (value, slot) in (0..=u8::MAX).zip(state.iter_mut()) {
        *slot = value;
    }
    let mut j = 0u8;
    for (i, key_byte) in (0..=u8::MAX).zip(key.iter().cycle()) {
        j = j
            .wrapping_add(state[usize::from(i)])
            .wrapping_add(*key_byte);
        state.swap(usize::from(i), usize::from(j));
    }
    let (mut i, mut j) = (0u8, 0u8);
    data.iter()
        .map(|byte| {
            i = i.wrapping_add(1);
            j = j.wrapping_add(state[usize::from(i)]);
            state.swap(usize::from(i), usize::from(j));
            let at = state[usize::from(i)].wrapping_add(state[usize::from(j)]);
            byte ^ state[usize::from(at)]
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 6229 §2, 40-bit and 128-bit keys, offset 0.
    #[test]
    fn rc4_matches_rfc_6229() {
        assert_eq!(
            rc4(&[1, 2, 3, 4, 5], &[0; 16]),
            hex::decode("b2396305f03dc027ccc3524a0a1118a8").unwrap()
        );
        let key: Vec<u8> = (1..=16).collect();
        assert_eq!(
            rc4(&key, &[0; 16]),
            hex::decode("9ac7cc9a609d1ef7b2932899cde41b97").unwrap()
        );
    }

    #[test]
    fn the_blob_holds_the_secret_twice_and_its_lengths() {
        let key = [9u8; 16];
        let blob = rc4(&key, &auth_blob("Pä1", 0x0102, &[7; CONFOUNDER_LEN], &key));
        let (confounder, rest) = blob.split_at(CONFOUNDER_LEN);
        assert_eq!(confounder, [7; CONFOUNDER_LEN]);
        // count, offsets 12 and 12 + 16 + 6 padded to 24
        let half = hex::decode(concat!(
            "01000000",
            "0c000000",
            "24000000",
            "0201000000000000",
            "02000000",
            "06000000",
            "5000e4003100",
            "0000",
            "0201000000000000",
            "00000000",
            "00000000"
        ))
        .unwrap();
        assert_eq!(rest[..half.len()], half);
        assert_eq!(rest[half.len()..2 * half.len()], half);
        assert_eq!(rest[2 * half.len()..], [52, 0, 0, 0, 52, 0, 0, 0]);
    }
}
