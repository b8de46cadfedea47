//! Whether AD has the trust key of the tenant: judged by a referral that the domain controller has just encrypted.

use super::KeyMatch;
use crossrealm_krb::crypto::{CryptoError, Enctype, Key};
use crossrealm_krb::key_usage;
use crossrealm_krb::messages::{self, EncTicketPart, Ticket};

/// Why a referral proves nothing about the trust key.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// It cannot be decoded.
    #[error("the domain controller's referral could not be read")]
    Malformed,
    /// It is for another service, or of another realm.
    #[error(
        "the domain controller answered with a ticket for `{got}` instead of a referral to `{wanted}`"
    )]
    NotTheReferral {
        /// The service that it is for.
        got: String,
        /// The service that was requested.
        wanted: String,
    },
    /// Its encryption type is not AES.
    #[error(
        "the domain controller encrypted the referral with encryption type {0}, which is not AES"
    )]
    WeakEnctype(i32),
    /// No key can be derived from the trust password.
    #[error("no trust key can be made from the secret: {0}")]
    Secret(#[from] CryptoError),
}

/// The two realms of a trust.
#[derive(Clone, Copy, Debug)]
pub struct TrustRealms<'a> {
    /// The realm of AD, which trusts the tenant's.
    pub ad: &'a str,
    /// The tenant's realm.
    pub tenant: &'a str,
}

/// The trust key: string-to-key of the trust password with the salt `UPPER(AD realm)` + `krbtgt` + `UPPER(tenant's realm)`
/// ([MS-KILE] 3.1.1.2 for trusts) and the default iteration count.
fn trust_key(enctype: Enctype, secret: &str, realms: TrustRealms<'_>) -> Result<Key, CryptoError> {
    let salt = format!(
        "{}krbtgt{}",
        realms.ad.to_uppercase(),
        realms.tenant.to_uppercase()
    );
    Key::from_password(enctype, secret, &salt, None)
}

/// Whether `ticket` (a DER Ticket, RFC 4120 §5.3), a referral from AD to the tenant, decrypts with the key derived from
/// `secret`.
pub fn decrypts(
    ticket: &[u8],
    secret: &str,
    realms: TrustRealms<'_>,
) -> Result<KeyMatch, VerifyError> {
    let ticket: Ticket = messages::decode(ticket).map_err(|_| VerifyError::Malformed)?;
    let is_referral = ticket.realm.as_str().eq_ignore_ascii_case(realms.ad)
        && ticket.sname.pair().is_some_and(|(service, realm)| {
            service == "krbtgt" && realm.eq_ignore_ascii_case(realms.tenant)
        });
    if !is_referral {
        return Err(VerifyError::NotTheReferral {
            got: format!("{}@{}", ticket.sname, ticket.realm.as_str()),
            wanted: format!("krbtgt/{}@{}", realms.tenant, realms.ad),
        });
    }
    let etype = ticket.enc_part.etype;
    let enctype = Enctype::from_number(etype).ok_or(VerifyError::WeakEnctype(etype))?;
    let key = trust_key(enctype, secret, realms)?;
    let Ok(plain) = ticket.enc_part.decrypt(&key, key_usage::TICKET) else {
        return Ok(KeyMatch::DoesNotDecrypt);
    };
    messages::decode::<EncTicketPart>(&plain)
        .map(|_| KeyMatch::Decrypts)
        .map_err(|_| VerifyError::Malformed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crossrealm_krb::messages::{
        EncryptedData, EncryptionKey, KerberosFlags, KerberosString, KerberosTime, PrincipalName,
        TransitedEncoding,
    };

    const AD: &str = "CORP.CONTOSO.COM";
    const TENANT: &str = "KERBEROS.CONTOSO.CLOUD.EXAMPLE";

    fn realms<'a>(ad: &'a str, tenant: &'a str) -> TrustRealms<'a> {
        TrustRealms { ad, tenant }
    }

    fn referral(secret: &str, to: &str, change: impl FnOnce(&mut Ticket)) -> Vec<u8> {
        let mut random = |bytes: &mut [u8]| bytes.fill(7);
        let key = trust_key(Enctype::Aes256Sha1, secret, realms(AD, to)).unwrap();
        let part = EncTicketPart {
            flags: KerberosFlags(0),
            key: EncryptionKey::from(&Key::generate(Enctype::Aes256Sha1, &mut random)),
            crealm: KerberosString(AD.to_owned()),
            cname: PrincipalName::new(1, &["Administrator"]),
            transited: TransitedEncoding {
                tr_type: 0,
                contents: Vec::new().into(),
            },
            authtime: KerberosTime(1),
            starttime: None,
            endtime: KerberosTime(2),
            renew_till: None,
            caddr: None,
            authorization_data: None,
        };
        let plain = messages::encode(&part).unwrap();
        let mut ticket = Ticket {
            tkt_vno: 5,
            realm: KerberosString(AD.to_owned()),
            sname: PrincipalName::krbtgt(to),
            enc_part: EncryptedData::encrypt(&key, None, key_usage::TICKET, &plain, &mut random),
        };
        change(&mut ticket);
        messages::encode(&ticket).unwrap()
    }

    #[test]
    fn only_the_right_secret_decrypts_a_referral() {
        let ticket = referral("right", TENANT, |_| ());
        assert_eq!(
            decrypts(&ticket, "right", realms(AD, TENANT)).unwrap(),
            KeyMatch::Decrypts
        );
        // names compare without case, the salt is always in upper case
        let lower = (AD.to_lowercase(), TENANT.to_lowercase());
        assert_eq!(
            decrypts(&ticket, "right", realms(&lower.0, &lower.1)).unwrap(),
            KeyMatch::Decrypts
        );
        assert_eq!(
            decrypts(&ticket, "wrong", realms(AD, TENANT)).unwrap(),
            KeyMatch::DoesNotDecrypt
        );
    }

    #[test]
    fn another_ticket_proves_nothing() {
        let elsewhere = referral("right", "OTHER.EXAMPLE", |_| ());
        assert!(matches!(
            decrypts(&elsewhere, "right", realms(AD, TENANT)),
            Err(VerifyError::NotTheReferral { .. })
        ));
        let rc4 = referral("right", TENANT, |t| t.enc_part.etype = 23);
        assert!(matches!(
            decrypts(&rc4, "right", realms(AD, TENANT)),
            Err(VerifyError::WeakEnctype(23))
        ));
        assert!(matches!(
            decrypts(&[0x61, 0x03], "right", realms(AD, TENANT)),
            Err(VerifyError::Malformed)
        ));
    }
}
