//! Kerberos as it arrives: [`kdc_proxy`] over HTTPS ([MS-KKDCP]), [`tcp_udp`] on port 88 (RFC 4120 §7.2). Both find the tenant, then let
//! [`exchange`] drive the KDC's exchange with records from the directory. [`crate::realms`] finds tenants by realm for port 88.

pub(crate) mod exchange;
pub(crate) mod kdc_proxy;
#[cfg(test)]
mod overload_tests;
pub(crate) mod tcp_udp;
