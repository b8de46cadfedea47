//! The audit: changes and who made them, and tickets that were issued or refused.

mod actions;
pub(crate) mod ad_steps;
pub(crate) mod change;
pub(crate) mod events;
pub(crate) mod refused_rows;
pub(crate) mod suppression;
