//! Paths of the API: how names become path segments.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// Every endpoint but `/livez`, `/readyz`, `/healthz` and the KDC proxy is below this path.
pub const BASE_PATH: &str = "/api/v1";

/// Every byte but the unreserved characters of RFC 3986 §2.3.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// Percent-encodes `text` as one path segment (RFC 3986 §3.3): everything but unreserved characters.
///
/// Names such as `cifs/host` and `müller@corp.contoso.com` stay one segment. The whole-segment names `.` and `..` would be
/// resolved away by URL parsers however they are encoded; the server knows nothing of such a name.
pub fn encode_segment(text: &str) -> String {
    utf8_percent_encode(text, RESERVED).to_string()
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
