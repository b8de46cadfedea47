//! Secrets on their way through JSON: never shown by `Debug`, wiped when dropped.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use zeroize::Zeroizing;

/// A text that must not be shown: a token or a trust password.
#[derive(Clone, PartialEq, Eq, JsonSchema)]
pub struct SecretText(#[schemars(with = "String")] Zeroizing<String>);

/// Secret bytes, such as a keytab file; base64 (RFC 4648 §4) in JSON.
#[derive(Clone, PartialEq, Eq, JsonSchema)]
pub struct Base64Secret(
    #[schemars(with = "String", extend("contentEncoding" = "base64"))] Zeroizing<Vec<u8>>,
);

impl SecretText {
    /// Wraps the text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(Zeroizing::new(text.into()))
    }

    /// The text itself. Do not log or print it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl Base64Secret {
    /// Wraps the bytes.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Self {
        Self(Zeroizing::new(bytes.into()))
    }

    /// The bytes themselves. Do not log or print them.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretText(…)")
    }
}

impl fmt::Debug for Base64Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Base64Secret({} bytes)", self.0.len())
    }
}

impl Serialize for SecretText {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for SecretText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self::new)
    }
}

impl Serialize for Base64Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let text = Zeroizing::new(STANDARD.encode(self.0.as_slice()));
        serializer.serialize_str(&text)
    }
}

impl<'de> Deserialize<'de> for Base64Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Zeroizing::new(String::deserialize(deserializer)?);
        STANDARD
            .decode(text.as_bytes())
            .map(Self::new)
            .map_err(|_| serde::de::Error::custom("not base64"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_nothing_and_json_round_trips() {
        let text = SecretText::new("hunter2");
        assert_eq!(format!("{text:?}"), "SecretText(…)");
        assert_eq!(serde_json::to_string(&text).unwrap(), "\"hunter2\"");
        let bytes = Base64Secret::new([5, 2, 0]);
        assert_eq!(format!("{bytes:?}"), "Base64Secret(3 bytes)");
        let json = serde_json::to_string(&bytes).unwrap();
        assert_eq!(json, "\"BQIA\"");
        assert_eq!(serde_json::from_str::<Base64Secret>(&json).unwrap(), bytes);
        assert!(serde_json::from_str::<Base64Secret>("\"B!\"").is_err());
    }
}
