//! `Registry.pol`: what is written is read by a reader of the specification, and by it alone.

use crossrealm_types::registry_pol::{RegistryText, Setting, SettingData, registry_pol as write};

/// REG_SZ and REG_DWORD, [MS-GPREG] 2.2.1.
const REG_SZ: u32 = 1;
const REG_DWORD: u32 = 4;

/// An instruction of the file, [MS-GPREG] 2.2.1.
#[derive(Debug, PartialEq, Eq)]
struct Instruction {
    key: String,
    name: String,
    kind: u32,
    data: Vec<u8>,
}

/// Settings of three lines each: key, name, data. Those that the registry cannot hold are refused; of the others each format has as
/// many instructions as there are settings, with these names.
pub fn registry_pol(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else {
        return;
    };
    let lines: Vec<&str> = text.split('\n').collect();
    let settings: Vec<Setting> = lines.chunks_exact(3).filter_map(setting).collect();
    let expected = settings.iter().map(sets);
    assert_eq!(read(&write(&settings, false)), expected.collect::<Vec<_>>());
    let expected = settings.iter().map(deletes);
    assert_eq!(read(&write(&settings, true)), expected.collect::<Vec<_>>());
}

fn setting(lines: &[&str]) -> Option<Setting> {
    let text = |at: usize| RegistryText::try_from((*lines.get(at)?).to_owned()).ok();
    let data = match lines.get(2)?.parse() {
        Ok(number) => SettingData::Dword(number),
        Err(_) => SettingData::Text(text(2)?),
    };
    Some(Setting {
        key: text(0)?,
        name: text(1)?,
        data,
    })
}

fn sets(setting: &Setting) -> Instruction {
    let (kind, data) = match &setting.data {
        SettingData::Dword(number) => (REG_DWORD, number.to_le_bytes().to_vec()),
        SettingData::Text(text) => (REG_SZ, terminated(text.as_str())),
    };
    Instruction {
        key: setting.key.as_str().to_owned(),
        name: setting.name.as_str().to_owned(),
        kind,
        data,
    }
}

fn deletes(setting: &Setting) -> Instruction {
    Instruction {
        key: setting.key.as_str().to_owned(),
        name: format!("**del.{}", setting.name.as_str()),
        kind: REG_SZ,
        data: terminated(" "),
    }
}

fn terminated(text: &str) -> Vec<u8> {
    let units = text.encode_utf16().chain([0]);
    units.flat_map(u16::to_le_bytes).collect()
}

/// Reads the file as [MS-GPREG] 2.2 describes it.
fn read(file: &[u8]) -> Vec<Instruction> {
    let mut rest = file
        .strip_prefix(b"PReg\x01\0\0\0")
        .expect("signature and version");
    let mut found = Vec::new();
    while !rest.is_empty() {
        expect(&mut rest, "[");
        let key = text(&mut rest);
        expect(&mut rest, ";");
        let name = text(&mut rest);
        expect(&mut rest, ";");
        let kind = number(&mut rest);
        expect(&mut rest, ";");
        let size = number(&mut rest);
        expect(&mut rest, ";");
        let (data, behind) = rest.split_at(size as usize);
        rest = behind;
        expect(&mut rest, "]");
        found.push(Instruction {
            key,
            name,
            kind,
            data: data.to_vec(),
        });
    }
    found
}

fn unit(rest: &mut &[u8]) -> u16 {
    let (unit, behind) = rest.split_first_chunk().expect("a character");
    *rest = behind;
    u16::from_le_bytes(*unit)
}

fn number(rest: &mut &[u8]) -> u32 {
    let (number, behind) = rest.split_first_chunk().expect("a number");
    *rest = behind;
    u32::from_le_bytes(*number)
}

fn expect(rest: &mut &[u8], character: &str) {
    assert!(character.encode_utf16().eq([unit(rest)]), "{character}");
}

/// Text up to a NUL.
fn text(rest: &mut &[u8]) -> String {
    let units: Vec<u16> =
        std::iter::from_fn(|| Some(unit(rest)).filter(|unit| *unit != 0)).collect();
    String::from_utf16(&units).expect("UTF-16")
}
