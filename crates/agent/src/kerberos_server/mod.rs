//! The Kerberos server object of the domain, and the trust with it: inspected, set up, and removed.

pub mod inspect;
mod object;
pub mod preflight;
pub mod remove;
pub mod set;
