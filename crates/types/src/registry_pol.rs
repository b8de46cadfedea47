//! Registry values of a Windows computer, and `Registry.pol`, [MS-GPREG] 2.2, by which a group policy object sets or deletes them.

use std::fmt;

/// The longest text of a value, key or name: Windows takes 2,048 characters of a host-to-realm list.
const MAX_TEXT: usize = 2048;
/// The signature `PReg` and version 1.
const HEADER: [u8; 8] = *b"PReg\x01\0\0\0";
/// REG_SZ and REG_DWORD, [MS-GPREG] 2.2.1.
const REG_SZ: u32 = 1;
const REG_DWORD: u32 = 4;

/// Text that the registry and every format of it can hold: at least one and at most 2,048 characters, all of them
/// printable ASCII.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegistryText(String);

/// A text that is not a [`RegistryText`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnfitText(String);

/// A registry value below `HKEY_LOCAL_MACHINE`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// The key.
    pub key: RegistryText,
    /// The value's name.
    pub name: RegistryText,
    /// Its data.
    pub data: SettingData,
}

/// The data of a registry value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SettingData {
    /// REG_DWORD.
    Dword(u32),
    /// REG_SZ.
    Text(RegistryText),
}

impl RegistryText {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for RegistryText {
    type Error = UnfitText;

    fn try_from(text: String) -> Result<Self, UnfitText> {
        let plain = |c: char| c.is_ascii_graphic() || c == ' ';
        match !text.is_empty() && text.len() <= MAX_TEXT && text.chars().all(plain) {
            true => Ok(Self(text)),
            false => Err(UnfitText(text)),
        }
    }
}

impl fmt::Display for UnfitText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "expected a registry value of at most {MAX_TEXT} printable ASCII characters, found {:?}",
            self.0
        )
    }
}

/// The file that sets these values. With `undo` it has Windows delete them.
pub fn registry_pol(settings: &[Setting], undo: bool) -> Vec<u8> {
    let mut out = HEADER.to_vec();
    for setting in settings {
        let (key, name) = (setting.key.as_str(), setting.name.as_str());
        let (name, kind, data) = match (&setting.data, undo) {
            // A value named `**del.NAME` deletes NAME; its data is one space ([MS-GPREG] 3.2.5.1).
            (_, true) => (format!("**del.{name}"), REG_SZ, utf16le(" \0")),
            (SettingData::Dword(number), false) => {
                (name.to_owned(), REG_DWORD, number.to_le_bytes().to_vec())
            }
            (SettingData::Text(text), false) => {
                let data = utf16le(&format!("{}\0", text.as_str()));
                (name.to_owned(), REG_SZ, data)
            }
        };
        let length = u32::try_from(data.len()).unwrap_or(u32::MAX);
        out.extend(utf16le("["));
        out.extend(utf16le(&format!("{key}\0;{name}\0;")));
        out.extend(kind.to_le_bytes());
        out.extend(utf16le(";"));
        out.extend(length.to_le_bytes());
        out.extend(utf16le(";"));
        out.extend(data);
        out.extend(utf16le("]"));
    }
    out
}

fn utf16le(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_that_would_end_a_field_is_refused() {
        for unfit in ["", "a\0b", "a\nb", "ä", &"x".repeat(MAX_TEXT + 1)] {
            let refused = RegistryText::try_from(unfit.to_owned()).unwrap_err();
            assert!(refused.to_string().contains("printable"), "{unfit}");
        }
        assert!(RegistryText::try_from("a];[b".to_owned()).is_ok());
    }
}
