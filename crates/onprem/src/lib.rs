//! Every protocol spoken to Active Directory: LDAP, LSA and Netlogon RPC, Kerberos, files over SMB; the plans of trust,
//! sync and group policy, which are pure, and the code that applies them.
//!
//! This crate runs on-premises as an administrator or a service account with few rights. It reads AD, creates and repairs the
//! trusted domain object, and returns what it read to its caller. It never connects to the cloud and never stores a
//! credential.

pub mod ccache;
pub mod credentials;
pub mod dc;
pub mod error;
pub mod gpo;
pub mod kdc;
pub mod kerberos_server;
pub mod krb5_conf;
pub mod ldap;
pub mod lsa;
mod net;
pub mod nrpc;
pub mod nt_status;
pub mod random;
pub mod rpc;
pub mod session;
pub mod smb;
pub mod sync;
pub mod trust;
