//! A policy folder: `Machine/Registry.pol` ([MS-GPREG] 2.2), `GPT.INI` ([MS-GPOL] 2.2.4), and the same as text for `LGPO.exe`.

use super::reg::utf16le;
use super::settings::{Data, Setting};
use crossrealm_onprem::gpo::EXTENSIONS;

/// The signature `PReg` and version 1.
const HEADER: [u8; 8] = *b"PReg\x01\0\0\0";
/// REG_SZ and REG_DWORD, [MS-GPREG] 2.2.1.
const REG_SZ: u32 = 1;
const REG_DWORD: u32 = 4;

/// `Registry.pol`. With `undo` it has Windows delete the values.
pub(crate) fn registry_pol(settings: &[Setting], undo: bool) -> Vec<u8> {
    let mut out = HEADER.to_vec();
    for setting in settings {
        let (name, kind, data) = match (&setting.data, undo) {
            // A value named `**del.NAME` deletes NAME; its data is one space ([MS-GPREG] 3.2.5.1).
            (_, true) => (format!("**del.{}", setting.name), REG_SZ, utf16le(" \0")),
            (Data::Dword(number), false) => (
                setting.name.clone(),
                REG_DWORD,
                number.to_le_bytes().to_vec(),
            ),
            (Data::Text(text), false) => {
                (setting.name.clone(), REG_SZ, utf16le(&format!("{text}\0")))
            }
        };
        let length = u32::try_from(data.len()).unwrap_or(u32::MAX);
        out.extend(utf16le("["));
        out.extend(utf16le(&format!("{}\0;{name}\0;", setting.key)));
        out.extend(kind.to_le_bytes());
        out.extend(utf16le(";"));
        out.extend(length.to_le_bytes());
        out.extend(utf16le(";"));
        out.extend(data);
        out.extend(utf16le("]"));
    }
    out
}

/// `GPT.INI` of a local policy folder with one version of machine settings.
pub(crate) fn gpt_ini() -> String {
    format!("[General]\r\ngPCMachineExtensionNames={EXTENSIONS}\r\nVersion=1\r\n")
}

/// The settings as `LGPO.exe /t` reads them.
pub(crate) fn lgpo(settings: &[Setting], undo: bool) -> String {
    let mut text =
        "; Kerberos for a tenant of Crossrealm. Apply it with: LGPO.exe /t lgpo.txt\r\n".to_owned();
    for setting in settings {
        let value = match (&setting.data, undo) {
            (_, true) => "DELETE".to_owned(),
            (Data::Dword(number), false) => format!("DWORD:{number}"),
            (Data::Text(text), false) => format!("SZ:{text}"),
        };
        text += &format!(
            "\r\nComputer\r\n{}\r\n{}\r\n{value}\r\n",
            setting.key, setting.name
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::settings::{ClientOptions, settings};
    use super::super::tests::config;
    use super::*;

    #[test]
    fn the_files_are_as_committed() {
        let settings = settings(&config(), ClientOptions::default()).unwrap();
        for (undo, pol, text) in [
            (
                false,
                &include_bytes!("../../tests/client_config/gpo/Machine/Registry.pol")[..],
                include_str!("../../tests/client_config/gpo/lgpo.txt"),
            ),
            (
                true,
                include_bytes!("../../tests/client_config/gpo-undo/Machine/Registry.pol"),
                include_str!("../../tests/client_config/gpo-undo/lgpo.txt"),
            ),
        ] {
            assert!(
                registry_pol(&settings, undo) == pol,
                "Registry.pol differs (undo: {undo})"
            );
            let seen = lgpo(&settings, undo);
            assert!(
                seen == text,
                "lgpo.txt differs (undo: {undo}) from:\n{seen}"
            );
        }
        let ini = include_str!("../../tests/client_config/gpo/GPT.INI");
        assert_eq!(gpt_ini(), ini);
    }
}
