//! The DER frames around GSS-API tokens, RFC 2743 §3.1.

/// A tag, its length, its content.
pub(super) fn tlv(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut out = vec![tag];
    match u8::try_from(content.len()) {
        Ok(short) if short < 0x80 => out.push(short),
        _ => {
            let bytes = content.len().to_be_bytes();
            let significant: Vec<u8> = bytes.into_iter().skip_while(|byte| *byte == 0).collect();
            out.push(0x80 | u8::try_from(significant.len()).unwrap_or(8));
            out.extend(significant);
        }
    }
    out.extend(content);
    out
}

/// The content of the element with this tag at the front of `bytes`, and what follows it.
pub(super) fn read_tlv(tag: u8, bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (first, rest) = bytes.split_first()?;
    if *first != tag {
        return None;
    }
    let (length, rest) = rest.split_first()?;
    if *length < 0x80 {
        return rest.split_at_checked(usize::from(*length));
    }
    let (digits, rest) = rest.split_at_checked(usize::from(*length & 0x7f))?;
    if digits.is_empty() || digits.len() > 4 || digits.first() == Some(&0) {
        return None;
    }
    let length = digits
        .iter()
        .fold(0usize, |sum, digit| sum << 8 | usize::from(*digit));
    if length < 0x80 {
        return None;
    }
    rest.split_at_checked(length)
}

/// `[APPLICATION 0] { mechanism, inner }`: the initial context token.
pub(super) fn initial_token(mechanism: &[u8], inner: &[u8]) -> Vec<u8> {
    let mut content = tlv(0x06, mechanism);
    content.extend(inner);
    tlv(0x60, &content)
}

/// The inner token of an initial context token of `mechanism`.
pub(super) fn read_initial_token<'a>(mechanism: &[u8], token: &'a [u8]) -> Option<&'a [u8]> {
    let (content, rest) = read_tlv(0x60, token)?;
    let (found, inner) = read_tlv(0x06, content)?;
    (rest.is_empty() && found == mechanism).then_some(inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_round_trip() {
        for len in [0, 1, 127, 128, 255, 256, 65_535, 65_536] {
            let content = vec![1; len];
            let out = tlv(0x60, &content);
            assert_eq!(read_tlv(0x60, &out), Some((&content[..], &[][..])));
            assert_eq!(read_tlv(0x61, &out), None);
            assert_eq!(read_tlv(0x60, &out[..out.len() - 1]), None);
        }
    }

    #[test]
    fn lengths_that_are_not_der_are_refused() {
        for bytes in [
            &[0x60][..],
            &[0x60, 0x80],
            &[0x60, 0x81, 0x01, 0x00],
            &[0x60, 0x82, 0x00, 0x80],
            &[0x60, 0x85, 1, 0, 0, 0, 0],
            &[0x60, 0x84, 0xff, 0xff, 0xff, 0xff],
        ] {
            assert_eq!(read_tlv(0x60, bytes), None, "{bytes:02x?}");
        }
    }
}
