//! The seeds: for each target a few honest inputs, from which the fuzzer begins.
//!
//! They are made from fixed keys, so they are the same in every run. `cargo run -p crossrealm-fuzz-oracles --example
//! write-seeds` writes them to `fuzz/seeds`.

mod requests;

use crate::Fixed;
use crate::sealed_state;
use crossrealm_api::HostState;
use crossrealm_krb::ccache::Ccache;
use crossrealm_krb::credential::Credential;
use crossrealm_krb::crypto::{Enctype, Key};
use crossrealm_krb::gss::{Context, ContextStep, Initiator, Mechanism, Side};
use crossrealm_krb::key_usage;
use crossrealm_krb::keytab::{Keytab, KeytabEntry};
use crossrealm_krb::kkdcp::{frame, wrap_reply, wrap_request};
use crossrealm_krb::messages::{
    ApRep, ApReq, AsReq, Authenticator, AuthorizationData, AuthorizationDataElement, Checksum,
    EncKdcRepPart, EncTgsRepPart, EncTicketPart, EncryptedData, EncryptionKey, EtypeInfo2Entry,
    HostAddress, KdcRep, KdcReq, KdcReqBody, KerberosFlags, KerberosTime, KrbError, LastReq, PVNO,
    PaData, PrincipalName, TgsRep, TgsReq, Ticket, TransitedEncoding, ad_type, encode, error_code,
    flags, kdc_option, name_type, pa_type,
};
use crossrealm_krb::pac::{
    Attributes, Buffer, ClientInfo, FileTime, LogonInfo, UpnAccount, UpnDnsInfo, sign,
};
use crossrealm_krb::principal::Principal;
use crossrealm_krb::security_descriptor::{Ace, Entry, SecurityDescriptor};
use crossrealm_types::Sid;
use std::time::Duration;

const NOW_S: i64 = 1_700_000_000;
const CORP: &str = "CORP.CONTOSO.COM";
const CLOUD: &str = "KERBEROS.CONTOSO.CLOUD.EXAMPLE";

/// An honest input.
pub struct Seed {
    /// The target it is for.
    pub target: &'static str,
    /// The name of its file.
    pub name: &'static str,
    /// The input.
    pub bytes: Vec<u8>,
}

/// Every seed.
pub fn all() -> Vec<Seed> {
    let mut seeds = Vec::new();
    let mut add = |target, made: Vec<(&'static str, Vec<u8>)>| {
        seeds.extend(made.into_iter().map(|(name, bytes)| Seed {
            target,
            name,
            bytes,
        }));
    };
    add("api", api());
    add("api", requests());
    add("ccache", vec![("one-ticket", ccache())]);
    add("connection", connection());
    add("exchange", exchange());
    add("gss", gss());
    add("keytab", vec![("two-keys", keytab())]);
    add("kkdcp", kkdcp());
    add("messages", messages());
    add("pac", pacs());
    add("registry_pol", vec![("workstation", registry_pol())]);
    add("sealed_state", sealed_states());
    add("security_descriptor", security_descriptors());
    seeds
}

/// Requests and responses, as the documents of the API show them.
fn api() -> Vec<(&'static str, Vec<u8>)> {
    let guid = "0f8fad5b-d9cb-469f-a165-70867728950e";
    let tenant = serde_json::json!({
        "id": guid, "name": "contoso", "domain": "contoso.cloud.example", "realm": CLOUD,
        "flat_name": "CONTOSO-KRB", "sid": "S-1-5-21-1-2-3", "top_level_names": ["contoso.cloud.example"],
        "kdc_proxy_url": "https://login.cloud.example/x/kerberos", "allow_low_rids": false,
        "created_at": "2026-01-31T23:59:59.000Z",
    });
    let page = serde_json::json!({"items": [{"name": "projects", "account": "acct1", "quota_gib": 100,
        "grants": [{"name": "Sales", "kind": "group", "role": "contributor", "sid": "S-1-5-21-1-2-3-1105"}],
        "created_at": 1_700_000_000}], "next": "acct1/projects"});
    let refusal =
        serde_json::json!({"code": "tenant_not_found", "message": "no tenant `x`", "details": {}});
    [("tenant", tenant), ("shares", page), ("refusal", refusal)]
        .map(|(name, value)| (name, value.to_string().into_bytes()))
        .into()
}

/// A body of every request.
fn requests() -> Vec<(&'static str, Vec<u8>)> {
    let text = |(name, body): (_, serde_json::Value)| (name, body.to_string().into_bytes());
    requests::all().into_iter().map(text).collect()
}

/// Two messages on one connection, a datagram, and a stream that ends within a message.
fn connection() -> Vec<(&'static str, Vec<u8>)> {
    let request = KdcReq::new(vec![], body()).expect("a request");
    let request = AsReq(request).encode().expect("an AS-REQ");
    let error = encode(&krb_error()).expect("a KRB-ERROR");
    let framed = [&request, &error].map(|message| frame(message).expect("it is short"));
    let whole = framed.concat();
    let cut = whole[..whole.len() - 1].to_vec();
    vec![("two-messages", whole), ("datagram", request), ("cut", cut)]
}

/// Key, name and data of each setting.
fn registry_pol() -> Vec<u8> {
    const KERBEROS: &str = r"Software\Microsoft\Windows\CurrentVersion\Policies\System\Kerberos";
    let proxy = "<https login.cloud.example:443:x/kerberos />";
    format!("{KERBEROS}\nKdcProxyServer_Enabled\n1\n{KERBEROS}\\KdcProxy\\ProxyServers\n{CLOUD}\n{proxy}").into_bytes()
}

/// A sealed copy, and a state behind the times at which it is sealed and read.
fn sealed_states() -> Vec<(&'static str, Vec<u8>)> {
    let state = serde_json::json!({
        "version": "1", "kvnos": [1, 2], "keytab": "BQI=", "domains": [], "revoked_users": [],
        "tenant": {"id": "0f8fad5b-d9cb-469f-a165-70867728950e", "name": "contoso", "realm": CLOUD,
            "flat_name": "CONTOSO-KRB", "sid": "S-1-5-21-1-2-3"},
        "account": {"name": "acct1", "host": "acct1.file.contoso.cloud.example", "aliases": []},
        "shares": [{"name": "projects", "grants": []}],
    });
    let json = state.to_string();
    let state: HostState = serde_json::from_str(&json).expect("a state");
    let sealed = sealed_state::key().seal(&state, sealed_state::NONCE, sealed_state::SEALED_AT);
    let times = [sealed_state::SEALED_AT, sealed_state::SEALED_AT + 60].map(i64::to_le_bytes);
    let behind_times = [times.as_flattened(), json.as_bytes()].concat();
    vec![("sealed", sealed.expect("a copy")), ("state", behind_times)]
}

fn key(byte: u8) -> Key {
    Key::new(Enctype::Aes256Sha1, &[byte; 32]).expect("32 bytes are a key")
}

fn sid(text: &str) -> Sid {
    text.parse().expect("a SID")
}

fn principal(name: &str) -> Principal {
    Principal::parse(name, None).expect("a principal")
}

fn alice() -> PrincipalName {
    PrincipalName::new(name_type::PRINCIPAL, &["alice"])
}

fn cifs() -> PrincipalName {
    let host = "acct1.file.contoso.cloud.example";
    PrincipalName::new(name_type::SRV_INST, &["cifs", host])
}

fn pacs() -> Vec<(&'static str, Vec<u8>)> {
    let mut info = LogonInfo::new(sid("S-1-5-21-1-2-3"), 1104, 513, "alice");
    info.full_name = "Алиса Müller".into();
    info.set_groups(&[sid("S-1-5-21-1-2-3-513"), sid("S-1-5-21-4-5-6-1300")]);
    let mut buffers = vec![
        Buffer::LogonInfo(Box::new(info)),
        Buffer::ClientInfo(ClientInfo {
            auth_time: FileTime::from_unix_seconds(NOW_S),
            name: "alice".into(),
        }),
        Buffer::UpnDns(UpnDnsInfo {
            upn: "alice@corp.contoso.com".into(),
            dns_domain_name: CORP.into(),
            upn_is_constructed: false,
            account: Some(UpnAccount {
                name: "alice".into(),
                sid: sid("S-1-5-21-1-2-3-1104"),
            }),
        }),
    ];
    let service = sign(&buffers, &key(1), &key(2), Some(b"ticket")).expect("a PAC");
    buffers.push(Buffer::Attributes(Attributes::requested()));
    buffers.push(Buffer::Requester(sid("S-1-5-21-1-2-3-1104")));
    let tgt = sign(&buffers, &key(1), &key(2), None).expect("a PAC");
    vec![("service-ticket", service), ("tgt", tgt)]
}

fn sealed(usage: u32, plain: &[u8]) -> EncryptedData {
    EncryptedData::encrypt(&key(3), Some(2), usage, plain, &mut Fixed(1))
}

fn ticket() -> Ticket {
    Ticket {
        tkt_vno: PVNO,
        realm: CORP.into(),
        sname: PrincipalName::krbtgt(CLOUD),
        enc_part: sealed(key_usage::TICKET, b"ticket"),
    }
}

fn body() -> KdcReqBody {
    KdcReqBody {
        kdc_options: KerberosFlags(kdc_option::CANONICALIZE | kdc_option::FORWARDABLE),
        cname: Some(alice()),
        realm: CLOUD.into(),
        sname: Some(cifs()),
        from: None,
        till: KerberosTime(NOW_S + 36_000),
        rtime: Some(KerberosTime(NOW_S + 360_000)),
        nonce: -5,
        etype: vec![18, 17, 20, 19, 23],
        addresses: Some(vec![HostAddress {
            addr_type: 2,
            address: vec![127, 0, 0, 1].into(),
        }]),
        enc_authorization_data: Some(sealed(key_usage::TGS_REQ_AD_SUBKEY, b"data")),
        additional_tickets: Some(vec![ticket()]),
    }
}

fn ap_req() -> ApReq {
    ApReq {
        pvno: PVNO,
        msg_type: ApReq::MSG_TYPE,
        ap_options: KerberosFlags(ApReq::MUTUAL_REQUIRED),
        ticket: ticket(),
        authenticator: sealed(key_usage::TGS_REQ_AUTHENTICATOR, b"authenticator"),
    }
}

fn enc_ticket_part() -> EncTicketPart {
    let (_, pac) = pacs().swap_remove(0);
    let inner: AuthorizationData = vec![AuthorizationDataElement {
        ad_type: ad_type::WIN2K_PAC,
        data: pac.into(),
    }];
    EncTicketPart {
        flags: KerberosFlags(flags::FORWARDABLE | flags::PRE_AUTHENT),
        key: EncryptionKey::from(&key(4)),
        crealm: CORP.into(),
        cname: alice(),
        transited: TransitedEncoding {
            tr_type: 1,
            contents: b"CHILD.CORP.CONTOSO.COM".to_vec().into(),
        },
        authtime: KerberosTime(NOW_S),
        starttime: Some(KerberosTime(NOW_S)),
        endtime: KerberosTime(NOW_S + 36_000),
        renew_till: Some(KerberosTime(NOW_S + 360_000)),
        caddr: None,
        authorization_data: Some(vec![AuthorizationDataElement {
            ad_type: ad_type::IF_RELEVANT,
            data: encode(&inner).expect("authorization data").into(),
        }]),
    }
}

fn enc_reply_part() -> EncKdcRepPart {
    EncKdcRepPart {
        key: EncryptionKey::from(&key(4)),
        last_req: vec![LastReq {
            lr_type: 0,
            lr_value: KerberosTime(NOW_S),
        }],
        nonce: -5,
        key_expiration: None,
        flags: KerberosFlags(flags::FORWARDABLE),
        authtime: KerberosTime(NOW_S),
        starttime: Some(KerberosTime(NOW_S)),
        endtime: KerberosTime(NOW_S + 36_000),
        renew_till: None,
        srealm: CLOUD.into(),
        sname: cifs(),
        caddr: None,
        encrypted_pa_data: Some(vec![PaData::new(
            pa_type::SUPPORTED_ENCTYPES,
            vec![24, 0, 0, 0],
        )]),
    }
}

fn authenticator() -> Authenticator {
    Authenticator {
        authenticator_vno: PVNO,
        crealm: CORP.into(),
        cname: alice(),
        cksum: Some(Checksum::make(
            &key(4),
            key_usage::TGS_REQ_CHECKSUM,
            b"body",
        )),
        cusec: 999_999,
        ctime: KerberosTime(NOW_S),
        subkey: Some(EncryptionKey::from(&key(5))),
        seq_number: Some(-7),
        authorization_data: None,
    }
}

fn tgs_rep() -> TgsRep {
    TgsRep(KdcRep {
        pvno: PVNO,
        msg_type: TgsRep::MSG_TYPE,
        padata: Some(vec![PaData::new(pa_type::FX_FAST, vec![0xa0, 0])]),
        crealm: CORP.into(),
        cname: alice(),
        ticket: ticket(),
        enc_part: sealed(key_usage::TGS_REP_SUBKEY, b"reply"),
    })
}

fn krb_error() -> KrbError {
    KrbError {
        pvno: PVNO,
        msg_type: KrbError::MSG_TYPE,
        ctime: Some(KerberosTime(NOW_S)),
        cusec: Some(1),
        stime: KerberosTime(NOW_S),
        susec: 2,
        error_code: error_code::S_PRINCIPAL_UNKNOWN,
        crealm: Some(CORP.into()),
        cname: Some(alice()),
        realm: CLOUD.into(),
        sname: cifs(),
        e_text: Some("unknown service".into()),
        e_data: Some(vec![0x30, 0].into()),
    }
}

fn messages() -> Vec<(&'static str, Vec<u8>)> {
    let proof = encode(&ap_req()).expect("an AP-REQ");
    let request = KdcReq::new(vec![PaData::new(pa_type::TGS_REQ, proof.clone())], body());
    let request = request.expect("a request");
    let salts = vec![EtypeInfo2Entry {
        etype: 18,
        salt: Some("CORP.CONTOSO.COMalice".into()),
        s2kparams: Some(vec![0, 0, 16, 0].into()),
    }];
    [
        ("ap-req", Ok(proof)),
        ("as-req", AsReq(request.clone()).encode()),
        ("tgs-req", TgsReq(request).encode()),
        ("tgs-rep", encode(&tgs_rep())),
        ("krb-error", encode(&krb_error())),
        ("authenticator", encode(&authenticator())),
        ("enc-ticket-part", encode(&enc_ticket_part())),
        ("enc-tgs-rep-part", encode(&EncTgsRepPart(enc_reply_part()))),
        ("etype-info2", encode(&salts)),
    ]
    .map(|(name, bytes)| (name, bytes.expect("a message")))
    .to_vec()
}

fn kkdcp() -> Vec<(&'static str, Vec<u8>)> {
    let error = encode(&krb_error()).expect("a KRB-ERROR");
    vec![
        ("request", wrap_request(&error, CLOUD).expect("an envelope")),
        ("reply", wrap_reply(&error).expect("an envelope")),
    ]
}

fn keytab() -> Vec<u8> {
    let entry = |name, kvno, byte| KeytabEntry {
        principal: principal(name),
        kvno,
        set_at: 1_700_000_000,
        key: key(byte),
    };
    let service = "cifs/acct1.file.contoso.cloud.example@KERBEROS.CONTOSO.CLOUD.EXAMPLE";
    let keytab = Keytab {
        entries: vec![
            entry(service, 1, 1),
            entry("müller@CORP.CONTOSO.COM", 300, 2),
        ],
        skipped: 0,
    };
    keytab.to_bytes().expect("a keytab").to_vec()
}

pub(crate) fn credential() -> Credential {
    Credential {
        client: principal("alice@CORP.CONTOSO.COM"),
        server: principal("ldap/dc.corp.contoso.com@CORP.CONTOSO.COM"),
        key: key(7),
        auth_time: NOW_S,
        start_time: NOW_S,
        end_time: NOW_S + 36_000,
        renew_until: Some(NOW_S + 360_000),
        flags: flags::FORWARDABLE,
        ticket: encode(&ticket()).expect("a ticket"),
    }
}

fn ccache() -> Vec<u8> {
    let cache = Ccache {
        principal: principal("alice@CORP.CONTOSO.COM"),
        credentials: vec![credential()],
        skipped: 0,
    };
    cache.to_bytes().expect("a cache").to_vec()
}

/// Scripts of edits, four bytes each; `src/exchange/draft.rs` defines what they mean. The `granted-` ones end in a ticket.
fn exchange() -> Vec<(&'static str, Vec<u8>)> {
    let (plain, fast, own_tgt, for_tgt) =
        ([63, 1, 0, 0], [63, 0, 0, 0], [70, 0, 0, 0], [67, 0, 0, 0]);
    let child = [[6, 1, 0, 0], [31, 1, 0, 0], [40, 1, 0, 0]];
    [
        ("granted-plain", vec![plain]),
        ("granted-fast", vec![fast]),
        (
            "granted-fast-other-outer-body",
            vec![fast, [64, 0, 0, 0], [57, 4, 0, 0]],
        ),
        ("granted-tgt", vec![for_tgt]),
        ("granted-own-tgt", vec![own_tgt, fast]),
        ("granted-renewal", vec![own_tgt, for_tgt, [50, 1, 0, 0]]),
        ("granted-child-domain", child.to_vec()),
        ("granted-previous-key", vec![[2, 1, 0, 0]]),
        ("granted-retired-key", vec![[2, 3, 0, 0]]),
        ("granted-no-subkey", vec![[44, 0, 3, 0]]),
        ("granted-aes-sha2", vec![[4, 3, 0, 0], [58, 3, 3, 0]]),
        (
            "granted-extra-sids-ignored",
            vec![[23, 0, 7, 0], [24, 1, 8, 0], [23, 0xf0, 0, 0]],
        ),
        ("refused-expired-key", vec![[2, 2, 0, 0]]),
        ("refused-other-tenant", vec![[2, 5, 0, 0]]),
        ("refused-sid-outside", vec![[31, 2, 0, 0]]),
        ("refused-disabled", vec![[31, 0, 1, 0]]),
        ("refused-two-pacs", vec![[16, 2, 0, 0]]),
        ("refused-hmac-md5", vec![[34, 0, 0, 0]]),
        ("refused-directory", vec![[71, 0, 1, 0]]),
        ("refused-edited-pac", vec![[252, 40, 0, 7]]),
    ]
    .map(|(name, script)| (name, script.concat()))
    .to_vec()
}

fn gss() -> Vec<(&'static str, Vec<u8>)> {
    // Under another key than the target's: what an attacker can make.
    let sealed = Context::new(Side::Acceptor, key(9), true, 1, 1).wrap(b"message", &mut Fixed(3));
    let reply = ApRep {
        pvno: PVNO,
        msg_type: ApRep::MSG_TYPE,
        enc_part: sealed_ap_rep(),
    };
    let reply = encode(&reply).expect("an AP-REP");
    // RFC 4121 §4.1: the mechanism, the kind of token (AP-REP), the message.
    let mechanism = [
        0x06, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x12, 0x01, 0x02, 0x02,
    ];
    let framed = tlv(0x60, &[&mechanism, &[2, 0][..], &reply].concat());
    // RFC 4178 §4.2.2: NegTokenResp with state, mechanism and token.
    let fields = [
        tlv(0xa0, &[0x0a, 1, 1]),
        tlv(0xa1, &mechanism),
        tlv(0xa2, &tlv(0x04, &framed)),
    ];
    let negotiated = tlv(0xa1, &tlv(0x30, &fields.concat()));
    let mut initiator = Initiator::new(credential(), Mechanism::Spnego);
    let first = match initiator.step(&[], Duration::from_secs(1_700_000_000), &mut Fixed(1)) {
        Ok(ContextStep::Continue(token)) => token,
        other => panic!("no first token: {other:?}"),
    };
    vec![
        ("wrap", sealed),
        ("ap-rep", framed),
        ("neg-token-resp", negotiated),
        ("neg-token-init", first),
    ]
}

fn sealed_ap_rep() -> EncryptedData {
    EncryptedData::encrypt(&key(7), None, key_usage::AP_REP, b"reply", &mut Fixed(4))
}

/// A DER value of up to 65,535 bytes.
fn tlv(tag: u8, content: &[u8]) -> Vec<u8> {
    let len = u16::try_from(content.len()).expect("a short value");
    let mut out = vec![tag];
    match len.to_be_bytes() {
        [0, len] if len < 0x80 => out.push(len),
        [0, len] => out.extend([0x81, len]),
        long => {
            out.push(0x82);
            out.extend(long);
        }
    }
    out.extend(content);
    out
}

fn security_descriptors() -> Vec<(&'static str, Vec<u8>)> {
    let (admins, users) = (sid("S-1-5-32-544"), sid("S-1-5-11"));
    let deny = Entry {
        deny: true,
        flags: 3,
        mask: 2,
        sid: sid("S-1-1-0"),
    };
    let with =
        |entries| SecurityDescriptor::new(Some(admins.clone()), Some(admins.clone()), entries);
    let file = with(Some(vec![
        Ace::from(deny),
        Ace::allow(0, 0x1f_01ff, &users),
    ]));
    let mut object = with(Some(vec![Ace::allow_right(2, 0x100, &[7; 16], &users)]));
    object.set_protected(true);
    let mut audited = with(None).to_bytes().expect("a descriptor");
    // SACL_PRESENT, and a list at the end with one conditional entry (type 9).
    audited[2] |= 0x10;
    audited[12] = u8::try_from(audited.len()).expect("a short one");
    audited.extend([2, 0, 20, 0, 1, 0, 0, 0, 9, 0, 12, 0, 1, 0, 0, 0, 7, 7, 7, 7]);
    [
        ("file", file.to_bytes()),
        ("object", object.to_bytes()),
        ("audited", Ok(audited)),
    ]
    .map(|(name, bytes)| (name, bytes.expect("a descriptor")))
    .to_vec()
}
