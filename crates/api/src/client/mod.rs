//! A typed client of the API: one method per endpoint.

mod endpoints;
mod error;
mod transport;

pub use endpoints::HostStateAnswer;
pub use error::{ClientError, Refusal};
pub use transport::Client;
