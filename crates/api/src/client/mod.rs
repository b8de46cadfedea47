//! The typed client. Its methods are those of the endpoints ([`crate::endpoint`]) and the few of `special`; every method
//! fails as [`ClientError`] says, and a refusal carries a [`crate::Code`].

mod error;
mod special;
mod transport;

pub use error::{ClientError, Refusal};
pub use special::HostStateAnswer;
pub use transport::Client;
