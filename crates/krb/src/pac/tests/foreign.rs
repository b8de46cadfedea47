//! PACs that others made, and what others read in ours.
//!
//! The golden PACs are not part of the project; where they are not beside it, their tests say so and pass.

use super::*;
use crate::key_usage;
use crate::messages::{self, AuthorizationData, EncTicketPart, Ticket, ad_type};
use crossrealm_programs::command;
use serde_json::Value;
use std::process::{ExitStatus, Stdio};

const GOLDEN: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../../shared/vectors/pac.json"
);

fn golden() -> Option<Value> {
    match std::fs::read_to_string(GOLDEN) {
        Ok(text) => Some(serde_json::from_str(&text).unwrap()),
        Err(error) => {
            println!("skipped: no golden PACs at `{GOLDEN}`: {error}");
            None
        }
    }
}

fn bytes(value: &Value) -> Vec<u8> {
    hex::decode(value.as_str().unwrap()).unwrap()
}

/// The part of a ticket under its key, the PAC in it, and the same part with one zero byte in the PAC's place.
fn open_ticket(ticket: &[u8], key: &Key) -> (Vec<u8>, Vec<u8>) {
    let ticket: Ticket = messages::decode(ticket).unwrap();
    let plain = ticket.enc_part.decrypt(key, key_usage::TICKET).unwrap();
    let mut part: EncTicketPart = messages::decode(&plain).unwrap();
    let wrapper = &mut part.authorization_data.as_mut().unwrap()[0];
    assert_eq!(wrapper.ad_type, ad_type::IF_RELEVANT);
    let mut inner: AuthorizationData = messages::decode(&wrapper.data).unwrap();
    assert_eq!(inner[0].ad_type, ad_type::WIN2K_PAC);
    let pac = inner[0].data.to_vec();
    inner[0].data = vec![0].into();
    wrapper.data = messages::encode(&inner).unwrap().into();
    (pac, messages::encode(&part).unwrap())
}

#[test]
fn a_ticket_of_windows_server_2022_verifies_with_all_four_signatures() {
    let Some(golden) = golden() else { return };
    let golden = &golden["windows2022"];
    let aes256 = |name: &str| Key::new(Enctype::Aes256Sha1, &bytes(&golden[name])).unwrap();
    let (server, kdc) = (aes256("service_key_aes256"), aes256("krbtgt_key_aes256"));

    let (raw, ticket) = open_ticket(&bytes(&golden["ticket_der"]), &server);
    let pac = Pac::decode(&raw).unwrap();
    assert_eq!(pac.verify_all(&server, &kdc, Some(&ticket)), Ok(()));

    let mut kinds: Vec<u32> = pac.buffers().iter().map(|b| b.kind().0).collect();
    kinds.sort_unstable();
    let expected: Vec<u32> = serde_json::from_value(golden["expect_buffers"].clone()).unwrap();
    assert_eq!(kinds, expected);
    assert_eq!(Pac::encode(pac.buffers()).unwrap(), raw);

    let info = pac.logon_info().unwrap();
    assert_eq!(info.account_name.as_str(), "Administrator");
    assert_eq!(
        info.user_sid(),
        pac.upn_dns()
            .unwrap()
            .account
            .as_ref()
            .map(|a| a.sid.clone())
    );
    assert_eq!(info.groups.len(), 5);
}

#[test]
fn older_pacs_re_encode_to_the_same_bytes() {
    let Some(golden) = golden() else { return };
    let names = [
        "s4u_pac_regular",
        "s4u_pac_enterprise",
        "s4u_pac_xrealm",
        "s4u_pac_ent_xrealm",
    ];
    for value in names
        .map(|name| &golden[name])
        .into_iter()
        .chain([&golden["pac2003"]["pac"]])
    {
        let raw = bytes(value);
        let pac = Pac::decode(&raw).unwrap();
        let written = Pac::encode(pac.buffers()).unwrap();
        assert_eq!(Pac::decode(&written).unwrap().buffers(), pac.buffers());
        assert_eq!(written, raw, "{value}");
    }
    let pac = Pac::decode(&bytes(&golden["pac2003"]["pac"])).unwrap();
    assert_eq!(pac.client_info().unwrap().name, "w2003final$");
    assert_eq!(
        pac.client_info().unwrap().auth_time.unix_seconds(),
        golden["pac2003"]["authtime"].as_i64()
    );
}

#[test]
fn an_older_pac_is_refused_under_an_aes_key() {
    let Some(golden) = golden() else { return };
    let pac = Pac::decode(&bytes(&golden["pac2003"]["pac"])).unwrap();
    assert_eq!(
        pac.verify_server(&key(Enctype::Aes256Sha1, 1)),
        Err(PacError::SignatureType {
            buffer: BufferKind::SERVER_SIGNATURE,
            expected: 16,
            found: -138
        })
    );
}

#[test]
fn malformed_pacs_of_windows_are_refused() {
    let Some(golden) = golden() else { return };
    for value in golden["malformed"].as_array().unwrap() {
        assert!(Pac::decode(&bytes(value)).is_err(), "{value}");
    }
}

#[test]
fn mutated_golden_pacs_never_panic() {
    let Some(golden) = golden() else { return };
    let good = bytes(&golden["s4u_pac_xrealm"]);
    // A xorshift generator: the same edits in every run.
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    for _ in 0..20_000 {
        let mut raw = good.clone();
        for _ in 0..3 {
            let at = usize::try_from(next()).unwrap() % raw.len();
            raw[at] = next().to_le_bytes()[0];
        }
        if let Ok(pac) = Pac::decode(&raw) {
            let written = Pac::encode(pac.buffers()).unwrap();
            assert_eq!(Pac::decode(&written).unwrap().buffers(), pac.buffers());
        }
    }
}

/// What Samba's own reader says of a PAC; `None` without the program.
fn ndrdump(raw: &[u8]) -> Option<(ExitStatus, String)> {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), raw).unwrap();
    let output = command("ndrdump")
        .args(["krb5pac", "PAC_DATA", "struct"])
        .arg(file.path())
        .stdin(Stdio::null())
        .output();
    match output {
        Ok(output) => Some((
            output.status,
            String::from_utf8_lossy(&output.stdout).into_owned(),
        )),
        Err(error) => {
            println!("skipped: no `ndrdump` (Debian package samba-testsuite): {error}");
            None
        }
    }
}

#[test]
fn samba_decodes_our_pacs() {
    let (server, kdc) = (key(Enctype::Aes256Sha1, 1), key(Enctype::Aes256Sha1, 2));
    let raw = sign(&tgt_buffers(), &server, &kdc, Some(TICKET)).unwrap();
    let Some((status, text)) = ndrdump(&raw) else {
        return;
    };
    assert!(status.success(), "{text}");
    assert!(text.contains("pull returned Success"), "{text}");
    assert!(!text.contains("WARNING"), "{text}");
    for expected in [
        "num_buffers              : 0x00000009 (9)",
        "'müller'",
        "'Jörg Müller-Иванов'",
        "'müller@corp.contoso.com'",
        "S-1-5-21-1-2-3-1104",
        "S-1-5-21-4-5-6-1300",
        "PAC_TYPE_TICKET_CHECKSUM",
        "PAC_TYPE_ATTRIBUTES_INFO",
        "PAC_TYPE_REQUESTER_SID",
    ] {
        assert!(text.contains(expected), "`{expected}` is not in\n{text}");
    }
}

#[test]
fn samba_decodes_the_largest_token() {
    let mut buffers = buffers();
    if let Some(Buffer::LogonInfo(info)) = buffers.first_mut() {
        let other = sid("S-1-5-21-4-5-6");
        let groups: Vec<Sid> = (0..1010)
            .map(|i| other.with_rid(1000 + i).unwrap())
            .collect();
        info.set_groups(&groups);
    }
    let (server, kdc) = (key(Enctype::Aes256Sha1, 1), key(Enctype::Aes256Sha1, 2));
    let raw = sign(&buffers, &server, &kdc, Some(TICKET)).unwrap();
    let Some((status, text)) = ndrdump(&raw) else {
        return;
    };
    assert!(status.success() && text.contains("S-1-5-21-4-5-6-2009"));
}

/// A PAC that Samba's own encoder wrote; `None` without it.
fn samba_pac() -> Option<Vec<u8>> {
    let output = command("python3")
        .args(["-c", include_str!("samba.py")])
        .stdin(Stdio::null())
        .output();
    match output {
        Ok(output) if output.status.success() => Some(output.stdout),
        Ok(output) => {
            let error = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(error.contains("No module named"), "{error}");
            println!("skipped: no Samba bindings (Debian package python3-samba)");
            None
        }
        Err(error) => {
            println!("skipped: no `/usr/bin/python3`: {error}");
            None
        }
    }
}

#[test]
fn pacs_by_samba_decode() {
    let Some(raw) = samba_pac() else { return };
    let pac = Pac::decode(&raw).unwrap();
    let user = sid("S-1-5-21-1-2-3-1104");
    let info = pac.logon_info().unwrap();
    assert_eq!(info.user_sid(), Some(user.clone()));
    assert_eq!(info.full_name.as_str(), "Jörg Müller");
    assert_eq!(info.home_directory_drive.as_str(), "");
    assert_eq!(
        info.token_sids()[1..],
        ["S-1-5-21-1-2-3-513", "S-1-5-21-1-2-3-513", "S-1-18-1"].map(sid)
    );
    let client = pac.client_info().unwrap();
    assert_eq!(client.name, "müller");
    assert_eq!(client.auth_time.unix_seconds(), Some(1_700_000_000));
    let upn = pac.upn_dns().unwrap();
    assert_eq!(upn.upn, "müller@corp.contoso.com");
    assert_eq!(
        upn.account.as_ref().map(|account| &account.sid),
        Some(&user)
    );
    assert_eq!(pac.requester(), Some(&user));
    assert_eq!(pac.attributes(), Some(Attributes::requested()));
    let again = Pac::decode(&Pac::encode(pac.buffers()).unwrap()).unwrap();
    assert_eq!(again.buffers(), pac.buffers());
}
