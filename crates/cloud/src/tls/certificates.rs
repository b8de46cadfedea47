//! The private certificate authority of a first run: created once, constrained to the names of this service, whose
//! certificate it renews.

use rcgen::{
    BasicConstraints, CertificateParams, CidrSubnet, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, GeneralSubtree, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    NameConstraints,
};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use time::{Duration, OffsetDateTime};
use zeroize::Zeroizing;

/// How long the authority is valid: ten years.
const CA_LIFE: Duration = Duration::days(3652);
/// How long the server's certificate is valid: two years, below the 825 days that clients accept at most.
const SERVER_LIFE: Duration = Duration::days(730);
/// How long before now a certificate is valid from, for clients whose clock is slow.
const BACKDATE: Duration = Duration::days(1);

/// A private authority and the server's certificate, all PEM.
pub(crate) struct Certificates {
    pub(crate) ca: String,
    pub(crate) ca_key: Zeroizing<String>,
    pub(crate) server: String,
    pub(crate) server_key: Zeroizing<String>,
}

/// Creates an authority for `base_domain` and a certificate for `login.<base_domain>`, `localhost` and the loopback addresses.
///
/// The authority is constrained to these names (RFC 5280 §4.2.1.10): clients that trust it trust it for nothing else.
pub(crate) fn generate(
    base_domain: &str,
    now: OffsetDateTime,
) -> Result<Certificates, rcgen::Error> {
    let ca_key = KeyPair::generate()?;
    let ca_params = ca_params(base_domain, now);
    let ca = ca_params.self_signed(&ca_key)?;
    let ca_pem = ca.pem();
    let ca_key_pem = Zeroizing::new(ca_key.serialize_pem());
    let issuer = Issuer::new(ca_params, ca_key);

    let server_key = KeyPair::generate()?;
    Ok(Certificates {
        ca: ca_pem,
        ca_key: ca_key_pem,
        server: server(base_domain, &server_key, &issuer, now)?,
        server_key: Zeroizing::new(server_key.serialize_pem()),
    })
}

/// The keys of an authority and of a server, PEM.
#[derive(Clone, Copy)]
pub(crate) struct Keys<'a> {
    pub(crate) ca: &'a str,
    pub(crate) server: &'a str,
}

/// A new certificate for the server's key, PEM, by the authority that [`generate`] made.
pub(crate) fn renew(
    base_domain: &str,
    keys: Keys<'_>,
    now: OffsetDateTime,
) -> Result<String, rcgen::Error> {
    let issuer = Issuer::new(ca_params(base_domain, now), KeyPair::from_pem(keys.ca)?);
    server(base_domain, &KeyPair::from_pem(keys.server)?, &issuer, now)
}

fn server(
    base_domain: &str,
    key: &KeyPair,
    issuer: &Issuer<'_, KeyPair>,
    now: OffsetDateTime,
) -> Result<String, rcgen::Error> {
    let host = format!("login.{base_domain}");
    let mut params = CertificateParams::new([
        host.clone(),
        "localhost".into(),
        Ipv4Addr::LOCALHOST.to_string(),
        Ipv6Addr::LOCALHOST.to_string(),
    ])?;
    params.distinguished_name = named(&host);
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    params.not_before = now - BACKDATE;
    params.not_after = now + SERVER_LIFE;
    Ok(params.signed_by(key, issuer)?.pem())
}

fn ca_params(base_domain: &str, now: OffsetDateTime) -> CertificateParams {
    let loopback = |address: IpAddr, prefix| {
        GeneralSubtree::IpAddress(CidrSubnet::from_addr_prefix(address, prefix))
    };
    let mut params = CertificateParams::default();
    params.distinguished_name = named(&format!("Crossrealm private CA for {base_domain}"));
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.name_constraints = Some(NameConstraints {
        permitted_subtrees: vec![
            GeneralSubtree::DnsName(base_domain.into()),
            GeneralSubtree::DnsName("localhost".into()),
            loopback(Ipv4Addr::LOCALHOST.into(), 32),
            loopback(Ipv6Addr::LOCALHOST.into(), 128),
        ],
        excluded_subtrees: vec![],
    });
    params.not_before = now - BACKDATE;
    params.not_after = now + CA_LIFE;
    params
}

fn named(common_name: &str) -> DistinguishedName {
    // X.520 bounds a common name to 64 characters, and some clients insist.
    let bounded: String = common_name.chars().take(64).collect();
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, bounded);
    name
}
