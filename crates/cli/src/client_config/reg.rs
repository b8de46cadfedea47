//! A `.reg` file as `regedit` writes it: UTF-16LE with a byte order mark, lines that end in CR LF.

use crossrealm_types::registry_pol::{Setting, SettingData};

/// The file that sets the values, or, with `undo`, the one that deletes them. Keys stay: they may hold others' values.
pub(crate) fn render(settings: &[Setting], undo: bool) -> Vec<u8> {
    let mut text = "Windows Registry Editor Version 5.00\r\n".to_owned();
    let mut key = None;
    for setting in settings {
        if key != Some(&setting.key) {
            key = Some(&setting.key);
            let below = setting.key.as_str().replacen("Software", "SOFTWARE", 1);
            text += &format!("\r\n[HKEY_LOCAL_MACHINE\\{below}]\r\n");
        }
        let value = match (&setting.data, undo) {
            (_, true) => "-".to_owned(),
            (SettingData::Dword(number), false) => format!("dword:{number:08x}"),
            (SettingData::Text(text), false) => quoted(text.as_str()),
        };
        text += &format!("{}={value}\r\n", quoted(setting.name.as_str()));
    }
    text += "\r\n";
    utf16le(&format!("\u{feff}{text}"))
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// The UTF-16LE form.
fn utf16le(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

#[cfg(test)]
mod tests {
    use super::super::settings::{ClientOptions, settings};
    use super::super::tests::config;
    use super::*;

    #[test]
    fn the_files_are_as_committed() {
        let all = ClientOptions {
            map_hosts: true,
            no_revocation_check: true,
        };
        for (options, undo, expected) in [
            (
                ClientOptions::default(),
                false,
                &include_bytes!("../../tests/client_config/crossrealm.reg")[..],
            ),
            (
                ClientOptions::default(),
                true,
                include_bytes!("../../tests/client_config/crossrealm-undo.reg"),
            ),
            (
                all,
                false,
                include_bytes!("../../tests/client_config/crossrealm-all.reg"),
            ),
        ] {
            let bytes = render(&settings(&config(), options).unwrap(), undo);
            let text = String::from_utf16_lossy(
                &bytes
                    .chunks_exact(2)
                    .map(|b| u16::from_le_bytes([b[0], b[1]]))
                    .collect::<Vec<_>>(),
            );
            assert!(
                bytes == expected,
                "a committed .reg file differs from:\n{text}"
            );
        }
    }

    #[test]
    fn quotes_and_backslashes_are_escaped() {
        assert_eq!(quoted(r#"a"b\c"#), r#""a\"b\\c""#);
    }
}
