//! The end-to-end tests: the story step by step, then mistaken and hostile input and accidents in the world the story left.
//!
//! All of them share one world, so they run in order on one thread; asking for a later one by name plays what it needs
//! first. Without root or packages every one of them is reported as ignored, with the reason.

mod caches;
mod cases;
mod oracle;
mod postgres;
mod ssh;

use std::process::ExitCode;
use std::sync::Mutex;

use crossrealm_lab::story::{Account, STEPS, Story};
use crossrealm_lab::{Failure, build_product, need};
use libtest_mimic::{Arguments, Failed, Trial};

type Test = fn(&mut Story) -> Result<(), Failure>;

/// The one world, and how far it has come.
struct Stage {
    story: Option<Story>,
    played: usize,
    broken: Option<String>,
}

static STAGE: Mutex<Stage> = Mutex::new(Stage {
    story: None,
    played: 0,
    broken: None,
});

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    arguments.test_threads = Some(1);
    let skipped = need::skipped();
    let steps = STEPS.iter().enumerate().map(|(index, step)| {
        Trial::test(format!("story_{:02}_{}", index + 1, step.name), move || {
            on_stage(index + 1, |_| Ok(()))
        })
    });
    // Other services first: the last of the cases stop what they need.
    let cases = postgres::TESTS
        .iter()
        .chain(ssh::TESTS)
        .chain(caches::TESTS)
        .chain(cases::TESTS)
        .map(|(name, test)| {
            Trial::test(format!("case_{name}"), move || {
                on_stage(STEPS.len(), |story| {
                    test(story)
                        .and_then(|()| cases::still_serves(story))
                        .map_err(|failure| story.with_logs(failure))
                })
            })
        });
    let trials = steps
        .chain(cases)
        .map(|trial| trial.with_ignored_flag(skipped))
        .collect();
    let conclusion = libtest_mimic::run(&arguments, trials);
    // A static is never dropped, and the world must not outlive the tests.
    drop(stage().story.take());
    conclusion.exit_code()
}

fn stage() -> std::sync::MutexGuard<'static, Stage> {
    STAGE
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Plays the story up to a step, unless that was done, then runs the test.
fn on_stage(
    steps: usize,
    test: impl FnOnce(&mut Story) -> Result<(), Failure>,
) -> Result<(), Failed> {
    let mut stage = stage();
    if let Some(step) = &stage.broken {
        return Err(format!("not reached: {step} failed before").into());
    }
    if stage.story.is_none() {
        let begun = build_product().and_then(|binary| Story::begin(&binary, Account::silent()));
        match begun {
            Ok(story) => stage.story = Some(story),
            Err(failure) => {
                stage.broken = Some("the start of the world".into());
                return Err(failure.to_string().into());
            }
        }
    }
    let Stage {
        story: Some(story),
        played,
        broken,
    } = &mut *stage
    else {
        return Err("the stage is empty".into());
    };
    for (index, step) in STEPS.iter().enumerate().take(steps).skip(*played) {
        if let Err(failure) = story.play(index + 1, step) {
            *broken = Some(format!("story_{:02}_{}", index + 1, step.name));
            return Err(failure.to_string().into());
        }
        *played = index + 1;
    }
    test(story).map_err(|failure| failure.to_string().into())
}
