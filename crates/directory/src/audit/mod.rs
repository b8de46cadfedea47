//! The record of what was changed by whom, and of the tickets that were issued or refused.

mod actions;
pub(crate) mod ad_steps;
pub(crate) mod events;
