//! The typed client. Its methods are declared with the endpoints ([`crate::endpoint`]); every method fails as
//! [`ClientError`] says, and a refusal carries a [`crate::Code`].

mod authority;
mod error;
mod transport;

pub use authority::{Authority, Fingerprint, InvalidFingerprint};
pub use error::{ClientError, Refusal};
pub use transport::Client;
