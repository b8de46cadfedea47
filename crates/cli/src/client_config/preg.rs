//! A policy folder beside its `Machine/Registry.pol`: `GPT.INI` ([MS-GPOL] 2.2.4), and the settings as text for `LGPO.exe`.

use crossrealm_onprem::gpo::EXTENSIONS;
use crossrealm_types::registry_pol::{Setting, SettingData};

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
            (SettingData::Dword(number), false) => format!("DWORD:{number}"),
            (SettingData::Text(text), false) => format!("SZ:{}", text.as_str()),
        };
        text += &format!(
            "\r\nComputer\r\n{}\r\n{}\r\n{value}\r\n",
            setting.key.as_str(),
            setting.name.as_str()
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::settings::{ClientOptions, settings};
    use super::super::tests::config;
    use super::*;
    use crossrealm_types::registry_pol::registry_pol;

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
