//! `cargo xtask test` and `cargo xtask ci`.

use std::time::{Duration, Instant};

use crossrealm_lab::need;

use crate::process::{cargo, run as run_command};
use crate::{
    Outcome, advisories, bare, chaos, circles, dependencies, fuzz, installed, licences, pool,
    samba, setup, tidy, unused,
};

/// A name and what it does.
type Step = (&'static str, fn() -> Outcome);

/// Whether the end-to-end tests may be skipped where the test world cannot run.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum World {
    /// A developer's machine without root: say so and run the rest.
    IfPossible,
    /// CI: a run that skips the main job proves nothing.
    Required,
}

/// Which cases the property tests play.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cases {
    /// Others in each run: a search.
    New,
    /// The same in each run: whether a change passes must not depend on luck.
    Fixed,
}

/// Every test. Arguments go to `cargo test`.
pub(crate) fn test(arguments: &[&str], world: World, cases: Cases) -> Outcome {
    if let Err(reason) = setup::run() {
        if world == World::Required {
            return Err(reason);
        }
        eprintln!("warning: {reason}");
    }
    let unmet = need::unmet();
    if let (World::Required, Some(reason)) = (world, &unmet) {
        return Err(format!(
            "{reason}; without it the end-to-end tests cannot run"
        ));
    }
    let binary = crossrealm_lab::build_product().map_err(|failure| failure.to_string())?;
    let mut variables = vec![("CROSSREALM_BIN", binary.display().to_string())];
    if world == World::Required {
        variables.push((need::REQUIRE_WORLD, "1".to_owned()));
    }
    if cases == Cases::Fixed {
        variables.push(("PROPTEST_RNG_SEED", "1".to_owned()));
    }
    // Selected tests are shown as cargo shows them.
    let outcome = match arguments {
        [] | ["--locked"] => pool::run_all(arguments, &variables),
        _ => {
            let mut chosen = cargo(&["test", "--workspace", "--no-fail-fast"]);
            run_command(chosen.args(arguments).envs(variables))
        }
    };
    if let Some(reason) = unmet {
        eprintln!("\n*** THE END-TO-END TESTS WERE SKIPPED: {reason} ***");
    }
    outcome
}

/// What can be checked without building the product.
const QUICK: [Step; 7] = [
    ("format", || {
        run_command(&mut cargo(&["fmt", "--all", "--check"]))
    }),
    ("tidy", tidy::run),
    ("dependencies", dependencies::run),
    ("circles", circles::run),
    ("licences", licences::run),
    ("unused", unused::run),
    ("advisories", advisories::run_beside),
];

const THOROUGH: [Step; 8] = [
    ("setup", setup::run),
    ("bare", || bare::run(&["--short"])),
    ("lints", || {
        let lints = [
            "clippy",
            "--workspace",
            "--all-targets",
            "--locked",
            "--",
            "-D",
            "warnings",
        ];
        run_command(&mut cargo(&lints))
    }),
    ("docs", || {
        let mut docs = cargo(&[
            "doc",
            "--workspace",
            "--no-deps",
            "--document-private-items",
            "--locked",
        ]);
        run_command(docs.env(
            "RUSTDOCFLAGS",
            "-D warnings -A rustdoc::private_intra_doc_links",
        ))
    }),
    ("tests", || {
        test(&["--locked"], World::Required, Cases::Fixed)
    }),
    ("chaos", chaos::in_ci),
    // Behind the tests, which build the binary that it packages.
    ("installed", || installed::run(&["--short"])),
    ("fuzz", || fuzz::run(fuzz::DEFAULT_SECONDS)),
];

/// Every test, and the long forms of those that CI runs short.
pub(crate) fn test_all() -> Outcome {
    all(&[
        ("tests", || test(&["--locked"], World::Required, Cases::New)),
        ("connections", || {
            let ten_thousand = [
                "--locked",
                "--test",
                "memory",
                "--",
                "--ignored",
                "ten_thousand",
            ];
            test(&ten_thousand, World::Required, Cases::New)
        }),
        ("samba", || samba::run(&[])),
        ("installed", || installed::run(&[])),
    ])
}

/// The quick part of [`run`].
pub(crate) fn check() -> Outcome {
    all(&QUICK)
}

/// All that CI runs, cheapest first.
pub(crate) fn run() -> Outcome {
    all(&[&QUICK[..], &THOROUGH].concat())
}

/// Every step, also after a failure, so that one run shows everything that is wrong.
fn all(steps: &[Step]) -> Outcome {
    let mut account: Vec<(&str, Duration, Outcome)> = Vec::new();
    for (name, step) in steps {
        eprintln!("\n=== {name}");
        let began = Instant::now();
        let outcome = step();
        if let Err(reason) = &outcome {
            eprintln!("error: {name}: {reason}");
        }
        account.push((name, began.elapsed(), outcome));
    }
    eprintln!("\n=== account");
    for (name, took, outcome) in &account {
        let verdict = outcome.as_ref().map_or_else(
            |reason| reason.lines().next().unwrap_or("failed"),
            |()| "ok",
        );
        eprintln!("{name:12} {:6.1} s  {verdict}", took.as_secs_f64());
    }
    let failed: Vec<&str> = account
        .iter()
        .filter(|(_, _, outcome)| outcome.is_err())
        .map(|(name, ..)| *name)
        .collect();
    if failed.is_empty() {
        Ok(())
    } else {
        Err(format!("failed: {}", failed.join(", ")))
    }
}
