//! The fault matrix: one world, in which one thing at a time is broken and mended. The doctor must name exactly that one,
//! first; with nothing broken it must find nothing.
//!
//! What is broken is broken for real: routes, names, files, Active Directory's own database, the service's certificate.

#[path = "doctor/conf.rs"]
mod conf;
#[path = "doctor/faults.rs"]
mod faults;
#[path = "doctor/play.rs"]
mod play;
#[path = "doctor/restored.rs"]
mod restored;

use crossrealm_lab::{Failure, need};
use play::Play;

#[test]
fn the_doctor_names_what_is_broken() {
    if need::skipped() {
        return;
    }
    let outcome = Play::begin().and_then(|mut play| {
        let outcome = all(&mut play);
        outcome.map_err(|failure| play.story.with_logs(failure))
    });
    if let Err(failure) = outcome {
        panic!("{failure}");
    }
}

fn all(play: &mut Play) -> Result<(), Failure> {
    play.prerequisites_before_set_up()?;
    play.set_up()?;
    play.nothing_is_found()?;
    let only = std::env::var("CROSSREALM_FAULT").ok();
    let mut wrong = Vec::new();
    for (name, situation) in SITUATIONS {
        if only.is_none() {
            tried(&mut wrong, name, || situation(play));
        }
    }
    for fault in play::chosen(only.as_deref()) {
        tried(&mut wrong, fault.name, || play.try_fault(fault));
    }
    play.faults_of_the_configuration(only.as_deref(), &mut wrong);
    if !wrong.is_empty() {
        return Err(Failure::new(wrong.join("\n")));
    }
    play.nothing_is_found()?;
    play.an_older_database_is_restored()
}

/// A part of the play with nothing broken.
type Situation = fn(&mut Play) -> Result<(), Failure>;

/// What is expected beside the faults, each with the whole world in order.
const SITUATIONS: &[(&str, Situation)] = &[
    ("other places", |play| play.other_places()),
    ("a drop-in with mappings", |play| {
        play.as_a_drop_in_with_mappings()
    }),
    ("F13: a web proxy", |play| play.a_web_proxy_is_no_fault()),
    ("F13: drop-ins that are not read", |play| {
        play.drop_ins_that_are_not_read()
    }),
    ("F13: one of two tenants", |play| play.one_of_two_tenants()),
    ("F13: a share that does not exist", |play| {
        play.a_wrong_share_is_not_the_controllers_fault()
    }),
    ("F13: what people read", |play| {
        play.the_verdict_comes_first()
    }),
];

/// Runs one part, prints how long it took, and keeps its failure.
pub(crate) fn tried(
    wrong: &mut Vec<String>,
    name: &str,
    part: impl FnOnce() -> Result<(), Failure>,
) {
    let began = std::time::Instant::now();
    let outcome = part();
    let verdict = if outcome.is_ok() { "" } else { "  WRONG" };
    println!("{:>6} ms  {name}{verdict}", began.elapsed().as_millis());
    wrong.extend(
        outcome
            .err()
            .map(|failure| format!("=== {name}\n{failure}")),
    );
}
