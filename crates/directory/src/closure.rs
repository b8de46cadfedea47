//! closure
