//! Paths of the API: how names become path segments.

/// Every endpoint but `/healthz` and the KDC proxy is below this path.
pub const BASE_PATH: &str = "/api/v1";

/// Percent-encodes `text` as one path segment (RFC 3986 §3.3): everything but unreserved characters.
///
/// Names such as `cifs/host` and `müller@corp.contoso.com` stay one segment. The whole-segment names `.` and `..` would be
/// resolved away by URL parsers however they are encoded; the server knows nothing of such a name.
pub fn encode_segment(text: &str) -> String {
    text.bytes().fold(String::new(), |mut out, byte| {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                out.push(char::from(byte));
            }
            _ => {
                out.push('%');
                for digit in [byte >> 4, byte & 15] {
                    let digit = char::from_digit(u32::from(digit), 16).unwrap_or('0');
                    out.push(digit.to_ascii_uppercase());
                }
            }
        }
        out
    })
}

#[cfg(test)]
mod tests {
    use super::encode_segment;

    #[test]
    fn a_name_stays_one_segment() {
        assert_eq!(encode_segment("cifs/a.b"), "cifs%2Fa.b");
        assert_eq!(encode_segment("ü@c?d#e%"), "%C3%BC%40c%3Fd%23e%25");
        assert_eq!(encode_segment("acct-1_~"), "acct-1_~");
    }
}
