//! A request in the making: honest at first, then edited as the fuzzer's bytes say, then signed and encrypted with real
//! keys.
//!
//! Every four bytes are one edit: which, and its three arguments. Most set one field to one of a few telling values;
//! the rest change single bytes of an encoded structure before it is encrypted.

use super::world::{CHILD_REALM, DOMAINS, KEYS, OTHER_REALM, RIDS, World, key, sid};
use crossrealm_krb::crypto::{Enctype, Key};
use crossrealm_krb::key_usage;
use crossrealm_krb::messages::{
    AuthorizationDataElement, EncryptedData, EncryptionKey, HostAddress, KdcReqBody, KerberosTime,
    PaData, PrincipalName, name_type, pa_type,
};
use crossrealm_krb::pac::{Buffer, BufferKind, FileTime, GroupMembership, SidAndAttributes};
use crossrealm_testkit::two_realms::{AD_REALM, Referral, RequestDraft, SHARE_HOST, TENANT_REALM};
use crossrealm_types::Sid;

const ENCTYPES: [Enctype; 4] = [
    Enctype::Aes256Sha1,
    Enctype::Aes128Sha1,
    Enctype::Aes128Sha2,
    Enctype::Aes256Sha2,
];
const NUMBERS: [i32; 10] = [0, 1, -1, 17, 18, 23, 3, 128, i32::MAX, i32::MIN];
const REALMS: [&str; 7] = [
    AD_REALM,
    CHILD_REALM,
    TENANT_REALM,
    OTHER_REALM,
    "corp.contoso.com",
    "",
    "KERBEROS.CONTOSO.CLOUD.EXAMPLE\0",
];
const PATHS: [&str; 8] = [
    "",
    AD_REALM,
    CHILD_REALM,
    "CORP.CONTOSO.COM,CHILD.CORP.CONTOSO.COM",
    "EVIL.EXAMPLE",
    "COM,CONTOSO.,CORP.",
    ",",
    "\\,CORP.CONTOSO.COM,/X",
];
const NAMES: [&str; 8] = [
    "alice",
    "bob",
    "alice$",
    "Administrator",
    "krbtgt",
    "",
    "Мüller/ali@ce",
    "alice\0",
];
/// Offsets from now, in seconds, around every bound.
const TIMES_S: [i64; 16] = [
    0,
    1,
    -1,
    -60,
    299,
    300,
    301,
    -299,
    -300,
    -301,
    3600,
    36_000,
    36_001,
    604_800,
    -36_000,
    200_000_000_000,
];

/// The type and length of the signature that every one of [`KEYS`] makes.
pub(super) const AES256_SIGNATURE: (i32, usize) = (16, 12);

/// What is changed byte by byte.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Layer {
    Pac,
    TicketPart,
    Authenticator,
    Body,
    InnerBody,
    Proof,
    Message,
}

const LAYERS: [Layer; 7] = [
    Layer::Pac,
    Layer::TicketPart,
    Layer::Authenticator,
    Layer::Body,
    Layer::InnerBody,
    Layer::Proof,
    Layer::Message,
];

/// One byte set, inserted, removed or changed.
struct ByteEdit {
    layer: Layer,
    how: u8,
    at: usize,
    byte: u8,
}

/// The request in the making.
pub(super) struct Draft {
    pub(super) referral: Referral,
    pub(super) ask: RequestDraft,
    /// The body outside the armor, where it differs from the one that counts.
    pub(super) outer_body: Option<KdcReqBody>,
    /// How many PACs, and whether they are in one element or in two.
    pub(super) pacs: u8,
    /// Indices into [`KEYS`].
    pub(super) seal_key: usize,
    pub(super) pac_key: usize,
    /// Another type and length of the PAC's server signature than the key has.
    pub(super) pac_signature: Option<(i32, usize)>,
    pub(super) session_key: Key,
    pub(super) subkey: Option<Key>,
    pub(super) checksum: u8,
    /// Presents a TGT of the tenant's realm, honestly come by, instead of a referral.
    pub(super) own_tgt: bool,
    pub(super) ap_options: u32,
    pub(super) ap_version: i32,
    /// The faults of the directory in the two rounds.
    pub(super) faults: [u8; 2],
    byte_edits: Vec<ByteEdit>,
}

fn pick<T: Copy>(from: &[T], by: u8) -> T {
    from[usize::from(by) % from.len()]
}

impl Draft {
    /// The honest request, edited.
    pub(super) fn new(world: &mut World, script: &[u8]) -> Self {
        let mut draft = Self {
            referral: world.realms.referral(),
            ask: world.realms.request_draft(),
            outer_body: None,
            pacs: 1,
            seal_key: 0,
            pac_key: 0,
            pac_signature: None,
            session_key: world.realms.session_key(),
            subkey: Some(world.realms.subkey()),
            checksum: 0,
            own_tgt: false,
            ap_options: 0,
            ap_version: 5,
            faults: [0, 0],
            byte_edits: Vec::new(),
        };
        let now_s = world.realms.now.unix_s;
        for edit in script.as_chunks::<4>().0.iter().take(64) {
            draft.edit(*edit, now_s);
        }
        draft
    }

    fn edit(&mut self, [which, a, b, c]: [u8; 4], now_s: i64) {
        let time = || KerberosTime(now_s + pick(&TIMES_S, b));
        match which {
            0..=19 => self.edit_ticket(which, a, b, time()),
            20..=39 => self.edit_pac(which, [a, b, c], time()),
            40..=49 => self.edit_authenticator(which, a, b, time()),
            50..=69 => self.edit_body(which, a, b, time()),
            70 => self.own_tgt = true,
            71 => self.faults[usize::from(a % 2)] = b % 6,
            72 => self.ap_options = 1 << (a % 32),
            73 => self.ap_version = pick(&NUMBERS, a),
            _ => self.byte_edits.push(ByteEdit {
                layer: pick(&LAYERS, which),
                how: b >> 6,
                at: usize::from(a) | usize::from(b & 0x3f) << 8,
                byte: c,
            }),
        }
    }

    fn edit_ticket(&mut self, which: u8, a: u8, b: u8, time: KerberosTime) {
        let part = &mut self.referral.part;
        match which {
            0 => self.seal_key = usize::from(a) % KEYS.len(),
            1 => self.pac_key = usize::from(a) % KEYS.len(),
            2 => {
                self.seal_key = usize::from(a) % KEYS.len();
                self.pac_key = self.seal_key;
            }
            3 => self.referral.kvno = pick(&[None, Some(0), Some(1), Some(3), Some(u32::MAX)], a),
            4 => {
                let enctype = pick(&ENCTYPES, a);
                let bytes = vec![0x5E; enctype.key_len()];
                self.session_key = Key::new(enctype, &bytes).expect("a key of its length");
                part.key = EncryptionKey::from(&self.session_key);
            }
            5 => part.key.keytype = pick(&NUMBERS, a),
            6 => part.crealm = pick(&REALMS, a).into(),
            7 => part.cname = name(a, b),
            8 => part.flags.0 ^= 1 << (a % 32),
            9 => part.authtime = time,
            10 => part.starttime = Some(time).filter(|_| a & 1 == 0),
            11 => part.endtime = time,
            12 => part.renew_till = Some(time).filter(|_| a & 1 == 0),
            13 => part.transited.tr_type = pick(&NUMBERS, a),
            14 => part.transited.contents = pick(&PATHS, a).as_bytes().to_vec().into(),
            15 => part.caddr = Some(vec![address(); usize::from(a % 3)]),
            16 => self.pacs = a % 4,
            17 => part
                .authorization_data
                .get_or_insert_default()
                .push(element(a, b)),
            18 => self.referral.realm = pick(&REALMS, a).into(),
            _ => self.referral.sname = service(a, b),
        }
    }

    fn edit_pac(&mut self, which: u8, [a, b, c]: [u8; 3], time: KerberosTime) {
        let buffers = self.referral.pac.get_or_insert_default();
        match which {
            32 if !buffers.is_empty() => {
                buffers.remove(usize::from(a) % buffers.len());
            }
            33 => {
                let kind = BufferKind(u32::from(a));
                if !kind.is_signature() && buffers.iter().all(|buffer| buffer.kind() != kind) {
                    buffers.push(Buffer::Other(kind, vec![c; usize::from(b)]));
                }
            }
            34 => {
                let others = [(-138, 16), (15, 12), AES256_SIGNATURE, (19, 16)];
                self.pac_signature = Some(pick(&others, a));
            }
            35 => buffers.retain(|buffer| buffer.kind() != BufferKind::REQUESTER),
            _ => {
                for buffer in buffers {
                    edit_buffer(buffer, which, a, b, time);
                }
            }
        }
    }

    fn edit_authenticator(&mut self, which: u8, a: u8, b: u8, time: KerberosTime) {
        let authenticator = &mut self.ask.authenticator;
        match which {
            40 => authenticator.crealm = pick(&REALMS, a).into(),
            41 => authenticator.cname = name(a, b),
            42 => authenticator.ctime = time,
            43 => authenticator.cusec = pick(&NUMBERS, a),
            44 => {
                let enctype = pick(&ENCTYPES, a);
                let bytes = vec![0x5B; enctype.key_len()];
                self.subkey = Key::new(enctype, &bytes).ok().filter(|_| b % 4 != 3);
                authenticator.subkey = self.subkey.as_ref().map(EncryptionKey::from);
            }
            45 => {
                if let Some(subkey) = &mut authenticator.subkey {
                    subkey.keytype = pick(&NUMBERS, a);
                }
            }
            46 => authenticator.seq_number = Some(i64::from(pick(&NUMBERS, a))),
            47 => self.checksum = a % 5,
            48 => authenticator.authorization_data = Some(vec![element(a, b)]),
            _ => authenticator.authenticator_vno = pick(&NUMBERS, a),
        }
    }

    fn edit_body(&mut self, which: u8, a: u8, b: u8, time: KerberosTime) {
        let body = &mut self.ask.body;
        match which {
            50 => body.kdc_options.0 ^= 1 << (a % 32),
            51 => body.cname = Some(name(a, b)),
            52 => body.realm = pick(&REALMS, a).into(),
            53 => body.sname = Some(service(a, b)).filter(|_| b % 8 != 7),
            54 => body.till = pick(&[time, KerberosTime(0)], a),
            55 => body.rtime = Some(time),
            56 => body.from = Some(time),
            57 => body.nonce = i64::from(pick(&NUMBERS, a)),
            58 => body.etype = vec![pick(&NUMBERS, a), pick(&[18, 17, 19, 20, 23], b)],
            59 => body.addresses = Some(vec![address(); usize::from(a % 3)]),
            60 => body.enc_authorization_data = Some(opaque(a)),
            61 => body.additional_tickets = Some(vec![]),
            62 => self.ask.padata.push(PaData::new(
                pick(
                    &[
                        pa_type::FOR_USER,
                        pa_type::PAC_REQUEST,
                        pa_type::TGS_REQ,
                        pa_type::FX_FAST,
                        130,
                        167,
                    ],
                    a,
                ),
                vec![b; usize::from(b % 16)],
            )),
            63 => self.ask.fast = a & 1 == 0,
            64 => self.outer_body = Some(body.clone()),
            65 => body.etype.clear(),
            // Nonces that only just fit, or do not, into 32 bits.
            66 => body.nonce = pick(&[u32::MAX.into(), 1 << 32, -1 << 31, 0], a),
            _ => body.sname = Some(PrincipalName::krbtgt(TENANT_REALM)),
        }
    }

    /// Applies the byte edits of a layer.
    pub(super) fn edited(&self, layer: Layer, mut bytes: Vec<u8>) -> Vec<u8> {
        for edit in self.byte_edits.iter().filter(|edit| edit.layer == layer) {
            let Some(at) = edit.at.checked_rem(bytes.len()) else {
                break;
            };
            match edit.how {
                0 => bytes[at] = edit.byte,
                1 => bytes.insert(at, edit.byte),
                2 => drop(bytes.remove(at)),
                _ => bytes[at] ^= edit.byte,
            }
        }
        bytes
    }

    /// Whether the ticket is encrypted with a key that the tenant may decrypt a referral with.
    pub(super) fn encrypted_by_the_trust(&self) -> bool {
        KEYS[self.seal_key].1
    }

    pub(super) fn sealing_key(&self) -> Key {
        key(KEYS[self.seal_key].0)
    }

    pub(super) fn pac_signing_key(&self) -> Key {
        key(KEYS[self.pac_key].0)
    }
}

fn edit_buffer(buffer: &mut Buffer, which: u8, a: u8, b: u8, time: KerberosTime) {
    match (which, buffer) {
        (20, Buffer::LogonInfo(info)) => info.user_rid = pick(&RIDS, a),
        (21, Buffer::LogonInfo(info)) => info.domain_sid = sid(pick(&DOMAINS, a)),
        (22, Buffer::LogonInfo(info)) => info.groups.push(GroupMembership {
            rid: pick(&RIDS, a),
            attributes: 7,
        }),
        (23, Buffer::LogonInfo(info)) => info.extra_sids.push(SidAndAttributes {
            sid: any_sid(a, b),
            attributes: 7,
        }),
        (24, Buffer::LogonInfo(info)) => {
            info.resource_domain_sid = Some(sid(pick(&DOMAINS, a)));
            info.resource_groups.push(GroupMembership {
                rid: pick(&RIDS, b),
                attributes: 0x2000_0007,
            });
        }
        (25, Buffer::LogonInfo(info)) => info.account_name = pick(&NAMES, a).into(),
        (26, Buffer::ClientInfo(info)) => info.name = pick(&NAMES, a).into(),
        (27, Buffer::ClientInfo(info)) => info.auth_time = FileTime::from_unix_seconds(time.0),
        (28, Buffer::Requester(requester)) => *requester = any_sid(a, b),
        (29, Buffer::UpnDns(info)) => {
            if let Some(account) = &mut info.account {
                account.sid = any_sid(a, b);
            }
        }
        (30, Buffer::UpnDns(info)) => info.upn = pick(&NAMES, a).into(),
        // The whole identity at once: every buffer agrees on another SID.
        (31, Buffer::LogonInfo(info)) => {
            info.domain_sid = sid(pick(&DOMAINS, a));
            info.user_rid = pick(&RIDS, b);
        }
        (31, Buffer::Requester(requester)) => *requester = any_sid(a, b),
        (31, Buffer::UpnDns(info)) => info.account = None,
        _ => {}
    }
}

fn any_sid(domain: u8, rid: u8) -> Sid {
    match domain {
        0xf0.. => sid(pick(
            &["S-1-5-32-544", "S-1-5-18", "S-1-1-0", "S-1-18-1"],
            rid,
        )),
        _ => sid(pick(&DOMAINS, domain))
            .with_rid(pick(&RIDS, rid))
            .expect("an account's SID"),
    }
}

fn name(a: u8, b: u8) -> PrincipalName {
    let name_type = pick(&[name_type::PRINCIPAL, name_type::ENTERPRISE, 0, -1], b);
    match b >> 6 {
        0..=1 => PrincipalName::new(name_type, &[pick(&NAMES, a)]),
        2 => PrincipalName::new(name_type, &[pick(&NAMES, a), pick(&NAMES, b)]),
        _ => PrincipalName::new(name_type, &[]),
    }
}

fn service(a: u8, b: u8) -> PrincipalName {
    let second = pick(
        &[
            SHARE_HOST,
            TENANT_REALM,
            OTHER_REALM,
            AD_REALM,
            "ACCT1.FILE.CONTOSO.CLOUD.EXAMPLE",
            "",
        ],
        b,
    );
    match a % 8 {
        6 => PrincipalName::new(name_type::SRV_INST, &[second]),
        7 => PrincipalName::new(name_type::SRV_INST, &["cifs", second, "x"]),
        first => PrincipalName::new(
            name_type::SRV_INST,
            &[
                pick(&["cifs", "CIFS", "krbtgt", "KRBTGT", "host", ""], first),
                second,
            ],
        ),
    }
}

fn address() -> HostAddress {
    HostAddress {
        addr_type: 2,
        address: vec![127, 0, 0, 1].into(),
    }
}

fn element(a: u8, b: u8) -> AuthorizationDataElement {
    AuthorizationDataElement {
        ad_type: pick(&[1, 128, 4, 5, 8, -1, 142], a),
        data: vec![b; usize::from(b % 32)].into(),
    }
}

fn opaque(a: u8) -> EncryptedData {
    let usage = key_usage::TGS_REQ_AD_SUBKEY;
    EncryptedData::encrypt(&key(a), None, usage, b"", &mut crate::Fixed(a))
}
