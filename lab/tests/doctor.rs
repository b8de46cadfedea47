//! The fault matrix: one world, in which one thing at a time is broken and mended. The doctor must name exactly that one,
//! first; with nothing broken it must find nothing.
//!
//! What is broken is broken for real: routes, names, files, Active Directory's own database, the service's certificate.

#[path = "doctor/faults.rs"]
mod faults;
#[path = "doctor/play.rs"]
mod play;

use crossrealm_lab::{Failure, need};
use faults::FAULTS;
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
    play.other_places()?;
    play.as_a_drop_in_with_mappings()?;
    let only = std::env::var("CROSSREALM_FAULT").ok();
    let mut wrong = Vec::new();
    for fault in FAULTS
        .iter()
        .filter(|fault| only.as_deref().is_none_or(|only| fault.name == only))
    {
        let began = std::time::Instant::now();
        let outcome = play.try_fault(fault);
        println!("{:>6} ms  {}", began.elapsed().as_millis(), fault.name);
        if let Err(failure) = outcome {
            wrong.push(format!("=== {}\n{failure}", fault.name));
        }
    }
    if !wrong.is_empty() {
        return Err(Failure::new(wrong.join("\n")));
    }
    play.nothing_is_found()
}
