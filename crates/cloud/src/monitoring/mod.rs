//! What a monitoring system fetches: the listener, and the state of the service and its tenants beside what is counted in
//! [`metrics`](crate::metrics).

mod lagging;
pub(crate) mod listener;
#[cfg(test)]
mod packaged_tests;
#[cfg(test)]
mod reference;
mod state;
