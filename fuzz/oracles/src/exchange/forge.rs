//! Signing and encrypting a draft, independently: nothing here uses the product's own PAC signing or checking.

use super::draft::{AES256_SIGNATURE, Draft, Layer};
use super::world::World;
use crossrealm_krb::crypto::Key;
use crossrealm_krb::fast::{self, FastReq};
use crossrealm_krb::key_usage;
use crossrealm_krb::messages::{
    ApReq, AuthorizationDataElement, Checksum, EncTicketPart, EncryptedData, KdcReq, KdcReqBody,
    KerberosFlags, PVNO, PaData, PrincipalName, TgsReq, Ticket, ad_type, decode, encode, pa_type,
};
use crossrealm_krb::pac::{Buffer, BufferKind, Pac, Signature};
use crossrealm_testkit::two_realms::TENANT_REALM;

/// An encrypted request, with what its sender knows of it.
pub(super) struct Forged {
    pub(super) message: Vec<u8>,
    /// The inside of the presented ticket, if it is one.
    pub(super) presented: Option<EncTicketPart>,
    /// The request body that counts.
    pub(super) body: Option<KdcReqBody>,
    /// The authenticator as it was encrypted.
    pub(super) authenticator: Vec<u8>,
    pub(super) session_key: Key,
    pub(super) armor: Option<Key>,
}

/// Signs and encrypts; `None` where the draft cannot even be encoded.
pub(super) fn forge(world: &mut World, draft: &Draft) -> Option<Forged> {
    let (ticket, presented, session_key) = if draft.own_tgt {
        own_tgt(world)?
    } else {
        let part = ticket_part(draft)?;
        let ticket = Ticket {
            tkt_vno: PVNO,
            realm: draft.referral.realm.as_str().into(),
            sname: draft.referral.sname.clone(),
            enc_part: EncryptedData::encrypt(
                &draft.sealing_key(),
                draft.referral.kvno,
                key_usage::TICKET,
                &part,
                &mut world.realms.random(),
            ),
        };
        (ticket, decode(&part).ok(), draft.session_key.clone())
    };

    let outer = draft.outer_body.as_ref().unwrap_or(&draft.ask.body);
    let raw_body = draft.edited(Layer::Body, encode(outer).ok()?);
    let authenticator = authenticator(draft, &session_key, &raw_body)?;
    let proof = encode(&ApReq {
        pvno: draft.ap_version,
        msg_type: ApReq::MSG_TYPE,
        ap_options: KerberosFlags(draft.ap_options),
        ticket,
        authenticator: EncryptedData::encrypt(
            &session_key,
            None,
            key_usage::TGS_REQ_AUTHENTICATOR,
            &authenticator,
            &mut world.realms.random(),
        ),
    })
    .ok()?;
    let proof = draft.edited(Layer::Proof, proof);

    let armor = draft.subkey.as_ref().filter(|_| draft.ask.fast);
    let armor = armor.map(|subkey| fast::armor_key(subkey, &session_key));
    let mut padata = vec![PaData::new(pa_type::TGS_REQ, proof.clone())];
    let mut body: Option<KdcReqBody> = decode(&raw_body).ok();
    match &armor {
        None => padata.extend(draft.ask.padata.clone()),
        Some(armor) => {
            let inner = draft.edited(Layer::InnerBody, encode(&draft.ask.body).ok()?);
            body = decode(&inner).ok();
            let inner = FastReq {
                fast_options: KerberosFlags(0),
                padata: draft.ask.padata.clone(),
                req_body: body.clone()?,
            };
            let random = &mut world.realms.random();
            let armored = fast::wrap_request(&inner, armor, &proof, random).ok()?;
            padata.push(PaData::new(pa_type::FX_FAST, armored));
        }
    }
    let request = KdcReq {
        padata,
        body: outer.clone(),
        raw_body,
    };
    Some(Forged {
        message: draft.edited(Layer::Message, TgsReq(request).encode().ok()?),
        presented,
        body,
        authenticator,
        session_key,
        armor,
    })
}

/// A TGT of the tenant's realm as any honest user gets it: its inside is known to the test, but not in its power.
fn own_tgt(world: &mut World) -> Option<(Ticket, Option<EncTicketPart>, Key)> {
    let referral = world.realms.referral();
    let referral = world.realms.encrypt_referral(referral);
    let mut ask = world.realms.request_draft();
    ask.body.sname = Some(PrincipalName::krbtgt(TENANT_REALM));
    ask.body.kdc_options.0 |= crossrealm_krb::messages::kdc_option::RENEWABLE;
    let request = world.realms.request(referral, ask);
    let ending = world.realms.exchange(&request);
    let granted = world.realms.decrypt_reply(ending, false).ok()?;
    let session_key = granted.enc_part.key.to_key()?;
    Some((granted.ticket, Some(granted.enc_part), session_key))
}

fn authenticator(draft: &Draft, session_key: &Key, raw_body: &[u8]) -> Option<Vec<u8>> {
    let mut authenticator = draft.ask.authenticator.clone();
    let usage = key_usage::TGS_REQ_CHECKSUM;
    authenticator.cksum = match draft.checksum {
        0 => Some(Checksum::make(session_key, usage, raw_body)),
        1 => None,
        2 => Some(Checksum::make(session_key, usage, b"another body")),
        3 => Some(Checksum::make(session_key, usage + 1, raw_body)),
        // RSA-MD5, which is not keyed.
        _ => Some(Checksum {
            cksumtype: 7,
            checksum: vec![0; 16].into(),
        }),
    };
    Some(draft.edited(Layer::Authenticator, encode(&authenticator).ok()?))
}

/// The ticket's inside with its PAC.
fn ticket_part(draft: &Draft) -> Option<Vec<u8>> {
    let mut part = draft.referral.part.clone();
    let pac = AuthorizationDataElement {
        ad_type: ad_type::WIN2K_PAC,
        data: signed_pac(draft)?.into(),
    };
    let wrapped = |pacs: &[AuthorizationDataElement]| {
        Some(AuthorizationDataElement {
            ad_type: ad_type::IF_RELEVANT,
            data: encode(&pacs.to_vec()).ok()?.into(),
        })
    };
    let elements = part.authorization_data.get_or_insert_default();
    match draft.pacs {
        0 => {}
        1 => elements.push(wrapped(&[pac])?),
        2 => elements.push(wrapped(&[pac.clone(), pac])?),
        _ => elements.extend(vec![wrapped(&[pac])?; 2]),
    }
    Some(draft.edited(Layer::TicketPart, encode(&part).ok()?))
}

/// The PAC with its bytes edited first and signed afterwards, as one who holds the trust key would.
fn signed_pac(draft: &Draft) -> Option<Vec<u8>> {
    let key = draft.pac_signing_key();
    let own = (key.enctype().checksum_type(), key.enctype().mac_len());
    let (checksum_type, mac_len) = draft.pac_signature.unwrap_or(own);
    let empty = |kind| {
        let signature = Signature {
            checksum_type,
            mac: vec![0; mac_len],
            rodc_id: None,
        };
        Buffer::Signature(kind, signature)
    };
    let mut buffers = draft.referral.pac.clone().unwrap_or_default();
    buffers.push(empty(BufferKind::SERVER_SIGNATURE));
    buffers.push(empty(BufferKind::KDC_SIGNATURE));
    let honest = Pac::encode(&buffers).ok()?;
    // The server signature comes before the KDC's, which is the last thing in the PAC.
    let stride = (4 + mac_len).next_multiple_of(8);
    let mut raw = draft.edited(Layer::Pac, honest);
    let server_at = raw.len().checked_sub(2 * stride)? + 4;
    let kdc_at = server_at + stride;
    raw.get_mut(server_at..server_at + mac_len)?.fill(0);
    raw.get_mut(kdc_at..kdc_at + mac_len)?.fill(0);
    let mut mac = key.checksum(key_usage::PAC_SIGNATURE, &raw);
    mac.resize(mac_len, 0);
    raw.get_mut(server_at..server_at + mac_len)?
        .copy_from_slice(&mac);
    Some(raw)
}

/// Whether the PAC bears the server signature of an AES-256 `key` over its own bytes, [MS-PAC] 2.8.1; `None` where it
/// has no such signature. The KDC's, which only the foreign KDC can check, may be missing.
pub(super) fn is_signed(pac: &[u8], key: &Key) -> Option<bool> {
    let (made_type, made_len) = AES256_SIGNATURE;
    let server_at = signature_at(pac, BufferKind::SERVER_SIGNATURE)?;
    let found = pac.get(server_at + 4..server_at + 4 + made_len)?;
    let mut unsigned = pac.to_vec();
    for kind in [BufferKind::SERVER_SIGNATURE, BufferKind::KDC_SIGNATURE] {
        let Some(at) = signature_at(pac, kind) else {
            continue;
        };
        let len = match signature_type(pac, at)? {
            -138 | 19 => 16,
            20 => 24,
            _ => 12,
        };
        unsigned.get_mut(at + 4..at + 4 + len)?.fill(0);
    }
    let made = key.checksum(key_usage::PAC_SIGNATURE, &unsigned);
    Some(signature_type(pac, server_at)? == made_type && made == found)
}

/// Where the buffer of this kind starts, by the table in front of the PAC: after count and version each entry is kind,
/// size (4 bytes each) and offset (8 bytes), [MS-PAC] 2.3 and 2.4.
fn signature_at(pac: &[u8], kind: BufferKind) -> Option<usize> {
    let count = pac.first_chunk().copied().map(u32::from_le_bytes)?;
    let table = pac.get(8..)?.as_chunks::<16>().0;
    let entry = table
        .iter()
        .take(usize::try_from(count).ok()?)
        .find(|entry| entry[..4] == kind.0.to_le_bytes())?;
    let offset = entry[8..].try_into().ok().map(u64::from_le_bytes)?;
    usize::try_from(offset).ok()
}

fn signature_type(pac: &[u8], at: usize) -> Option<i32> {
    let bytes = pac.get(at..at.checked_add(4)?)?;
    bytes.try_into().ok().map(i32::from_le_bytes)
}
