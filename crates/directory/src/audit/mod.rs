//! The audit: changes and who made them, and tickets that were issued or refused.

mod actions;
pub(crate) mod ad_steps;
pub(crate) mod events;
