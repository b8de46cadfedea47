//! `cargo xtask demo`: the main job, end to end, told to a newcomer. The same story the end-to-end test asserts.

use crossrealm_lab::{need, story};

use crate::{Outcome, setup};

/// Sets up, builds, plays.
pub fn run() -> Outcome {
    setup::run()?;
    if let Some(reason) = need::unmet() {
        return Err(format!("the demo cannot run here: {reason}"));
    }
    eprintln!("demo: building the product (the first time takes some minutes)");
    let binary = crossrealm_lab::build_product().map_err(|failure| failure.to_string())?;
    story::tell(&binary).map_err(|failure| failure.to_string())
}
