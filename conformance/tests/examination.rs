//! The examination as a test: one world, one run, and each case reported under its name. Without root or packages it is
//! reported as ignored, with the reason.

use std::process::ExitCode;

use crossrealm_conformance::{Options, Row, Scene, rows};
use crossrealm_lab::{Failure, build_product, need};
use libtest_mimic::{Arguments, Trial};

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    if need::skipped() {
        let nothing = Trial::test("examination", || Ok(()));
        return one(&arguments, nothing.with_ignored_flag(true));
    }
    if arguments.list {
        return one(&arguments, Trial::test("examination", || Ok(())));
    }
    match examine() {
        Ok(rows) => {
            let trials = rows.into_iter().map(trial).collect();
            libtest_mimic::run(&arguments, trials).exit_code()
        }
        Err(failure) => one(
            &arguments,
            Trial::test("examination", move || Err(failure.to_string().into())),
        ),
    }
}

fn one(arguments: &Arguments, trial: Trial) -> ExitCode {
    libtest_mimic::run(arguments, vec![trial]).exit_code()
}

fn examine() -> Result<Vec<Row>, Failure> {
    let scene = Scene::set(&build_product()?)?;
    rows(&scene, &Options::default()).map_err(|failure| scene.story.with_logs(failure))
}

fn trial(row: Row) -> Trial {
    let name = format!("{}: {}", row.by, row.case);
    let complaints = row.complaints();
    let judged = move || match complaints.is_empty() {
        true => Ok(()),
        false => Err(complaints.join("\n").into()),
    };
    Trial::test(name, judged)
}
