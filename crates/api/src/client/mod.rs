//! A typed client of the API: one method per endpoint.

mod administration;
mod endpoints;
mod error;
mod hosts;
mod storage;
mod transport;

pub use error::{ClientError, Refusal};
pub use storage::HostStateAnswer;
pub use transport::Client;
