//! The trust from AD to the tenant's realm: convergence, its keys, their scheduled rotation, and its removal.

pub mod convergence;
pub mod key_update;
pub mod removal;
pub mod rotation;
pub(crate) mod stolen_key;
