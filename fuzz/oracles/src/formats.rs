//! Formats: what can be read can be written, and reads as the same again.

use crossrealm_krb::ccache::Ccache;
use crossrealm_krb::crypto::{Enctype, Key};
use crossrealm_krb::keytab::Keytab;
use crossrealm_krb::kkdcp::{open_reply, open_request, wrap_reply, wrap_request};
use crossrealm_krb::messages::{
    ApRep, ApReq, AsRep, AsReq, Authenticator, AuthorizationData, EncApRepPart, EncAsRepPart,
    EncTgsRepPart, EncTicketPart, EtypeInfo2Entry, KdcReqBody, KrbError, MethodData, PaEncTsEnc,
    PaPacOptions, TgsRep, TgsReq, Ticket, TypedData, decode, encode,
};
use crossrealm_krb::pac::Pac;
use crossrealm_krb::security_descriptor::{Ace, SecurityDescriptor};
use crossrealm_krb::{fast, pac};
use std::fmt::Debug;

/// Every Kerberos message and every structure inside one.
pub fn messages(data: &[u8]) {
    for round_trip in ROUND_TRIPS {
        round_trip(data);
    }
    if let Ok(request) = AsReq::decode(data) {
        let again = request.encode().map(|bytes| AsReq::decode(&bytes));
        assert_eq!(again, Ok(Ok(request)));
    }
    if let Ok(request) = TgsReq::decode(data) {
        let again = request.encode().map(|bytes| TgsReq::decode(&bytes));
        assert_eq!(again, Ok(Ok(request)));
    }
    let armor = Key::new(Enctype::Aes256Sha1, &[7; 32]).expect("32 bytes are a key");
    assert!(fast::open_request(data, &armor, b"").is_err());
    assert!(fast::open_response(data, &armor).is_err());
}

const ROUND_TRIPS: [fn(&[u8]); 19] = [
    round_trip::<ApRep>,
    round_trip::<ApReq>,
    round_trip::<AsRep>,
    round_trip::<AuthorizationData>,
    round_trip::<Authenticator>,
    round_trip::<EncApRepPart>,
    round_trip::<EncAsRepPart>,
    round_trip::<EncTgsRepPart>,
    round_trip::<EncTicketPart>,
    round_trip::<KdcReqBody>,
    round_trip::<KrbError>,
    round_trip::<MethodData>,
    round_trip::<PaEncTsEnc>,
    round_trip::<PaPacOptions>,
    round_trip::<TgsRep>,
    round_trip::<Ticket>,
    round_trip::<Vec<TypedData>>,
    round_trip::<Vec<EtypeInfo2Entry>>,
    round_trip::<fast::FastReq>,
];

fn round_trip<T: rasn::Decode + rasn::Encode + PartialEq + Debug>(data: &[u8]) {
    if let Ok(value) = decode::<T>(data) {
        let bytes = encode(&value).expect("what was decoded can be encoded");
        assert_eq!(decode::<T>(&bytes), Ok(value));
    }
}

/// The PAC, as it comes in a ticket that the trust key decrypted.
pub fn pac(data: &[u8]) {
    let Ok(pac) = Pac::decode(data) else { return };
    assert!(data.len() <= pac::MAX_PAC_LEN);
    check_table(data);
    let written = Pac::encode(pac.buffers()).expect("what was decoded can be encoded");
    let again = Pac::decode(&written).expect("what was encoded can be decoded");
    assert_eq!(again.buffers(), pac.buffers());
    assert_eq!(again.logon_info().ok(), pac.logon_info().ok());

    let key = Key::new(Enctype::Aes256Sha1, &[7; 32]).expect("32 bytes are a key");
    assert!(pac.verify_all(&key, &key, None).is_err());
    assert!(pac.verify_all(&key, &key, Some(data)).is_err());
    if let Ok(info) = pac.logon_info() {
        let domain_sids = 1 + info.groups.len() + usize::from(info.user_rid != 0);
        let foreign_sids = info.extra_sids.len() + info.resource_groups.len();
        assert_eq!(info.token_sids().len(), domain_sids + foreign_sids);
    }
}

/// The table of an accepted PAC, read once more: no kind twice, every buffer aligned, inside, and apart from the others.
fn check_table(data: &[u8]) {
    let number = |at: usize| {
        let bytes = data[at..at + 4].try_into().expect("four bytes");
        u32::from_le_bytes(bytes)
    };
    let rows: Vec<usize> = (0..number(0)).map(|row| 8 + 16 * row as usize).collect();
    let table_end = 8 + 16 * rows.len();
    let mut kinds: Vec<u32> = rows.iter().map(|row| number(*row)).collect();
    kinds.sort_unstable();
    kinds.dedup();
    assert_eq!(kinds.len(), rows.len());

    let mut owned = vec![false; data.len()];
    for row in rows {
        let (len, offset) = (number(row + 4) as usize, number(row + 8) as usize);
        assert_eq!((number(row + 12), offset % 8), (0, 0));
        assert!(offset >= table_end);
        for byte in &mut owned[offset..offset + len] {
            assert!(!std::mem::replace(byte, true), "two buffers share a byte");
        }
    }
}

/// The body of a KDC-proxy request or reply.
pub fn kkdcp(data: &[u8]) {
    if let Ok(request) = open_request(data) {
        let realm = request.target_domain.as_deref().unwrap_or_default();
        let again = open_request(&wrap_request(&request.message, realm).expect("it fitted before"))
            .expect("what was wrapped can be decoded");
        assert_eq!(again.message, request.message);
        assert_eq!(again.target_domain, request.target_domain);
    }
    if let Ok(message) = open_reply(data) {
        let again = wrap_reply(&message).and_then(|body| open_reply(&body));
        assert_eq!(again, Ok(message));
    }
}

/// A keytab file.
pub fn keytab(data: &[u8]) {
    let Ok(keytab) = Keytab::from_bytes(data) else {
        return;
    };
    let written = keytab.to_bytes().expect("what was read can be written");
    let again = Keytab::from_bytes(&written).expect("what was written can be read");
    assert_eq!(again.entries.len(), keytab.entries.len());
    for (a, b) in again.entries.iter().zip(&keytab.entries) {
        assert_eq!(
            (&a.principal, a.kvno, a.set_at, a.key.as_bytes()),
            (&b.principal, b.kvno, b.set_at, b.key.as_bytes())
        );
        assert!(!again.keys_of(&b.principal).is_empty());
    }
}

/// A credential cache file.
pub fn ccache(data: &[u8]) {
    let Ok(cache) = Ccache::from_bytes(data) else {
        return;
    };
    let written = cache.to_bytes().expect("what was read can be written");
    let again = Ccache::from_bytes(&written).expect("what was written can be read");
    assert_eq!(again.principal, cache.principal);
    assert_eq!(again.credentials.len(), cache.credentials.len());
    assert_eq!(again.to_bytes(), Ok(written));
}

/// A security descriptor: files and objects keep what is not understood of it.
pub fn security_descriptor(data: &[u8]) {
    let Ok(read) = SecurityDescriptor::parse(data) else {
        return;
    };
    let bytes = read.to_bytes().expect("what was read fits again");
    assert_eq!(SecurityDescriptor::parse(&bytes), Ok(read.clone()));
    let moved = [
        vec![0; 80],
        read.to_bytes_at(80).expect("it fits there too"),
    ]
    .concat();
    assert_eq!(SecurityDescriptor::parse_at(&moved, 80), Ok(read.clone()));
    for entry in read.entries() {
        assert_eq!(Ace::from(entry.clone()).entry(), Some(entry));
    }
}
