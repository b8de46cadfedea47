//! `cargo xtask`: the tasks of this repository, in Rust, so that a bare machine needs nothing but Rust to run them.
//!
//! `setup` installs the Debian packages the test world needs; `test` runs every test; `demo` plays the story for people;
//! `world` keeps a test world for trying things; `chaos` disturbs it; `bench` measures; `fuzz` runs the fuzz targets; `sim` the simulation of the
//! KDC; `ci` is all that CI runs. Nothing here is part of the product.

mod advisories;
mod bare;
mod bench;
mod chaos;
mod ci;
mod circles;
mod conformance;
mod demo;
mod dependencies;
mod fuzz;
mod installed;
mod licences;
mod metadata;
mod package;
mod pool;
mod process;
mod program_starts;
mod programs;
mod samba;
mod setup;
mod sim;
mod site;
mod tidy;
mod unused;

use std::path::Path;
use std::process::ExitCode;

const USAGE: &str = "\
usage: cargo xtask COMMAND

  setup               install the Debian packages of the test world (needs root)
  test [ARGS…]        setup, then every test; ARGS go to `cargo test --workspace`
  test --all          the same, and what CI runs in a short form in its long one
  demo                setup, build, and play the main job with an account of each hop
  world               setup, start the test world alone, keep it until Enter is pressed
  fuzz [--seconds N]  run every fuzz target for N seconds each (15)
  sim [--seeds N]     play N simulated lives of a tenant through the KDC (200)
  chaos [--minutes N] [--seed S] [--plan] [--keep FOLDER]
                      a world with everything in it, clients, and N minutes of faults by the schedule of the seed (3, 1)
  bench [NAME…] [--smoke] [--rounds N] [-o json]
                      measure against peers and promises in the same run: sync, load, tickets, proxy (all of them)
  conformance [WORD…] [--keep]
                      send every forgery to the running service, print the table (only cases that hold a WORD)
  advisories --db FOLDER
                      check the locked crates against a copy of the RustSec database
  circles             find modules of the product that import each other
  samba [NAME…]       the tests of the SMB host on the Samba of Debian's backports (only cases that hold a NAME)
  programs            start every external program that the tests use, once
  bare [--short]      demo and test on a bare Debian 12 made by debootstrap (--short: setup and programs)
  package [--binary FILE] [--only deb] [--twice]
                      build what operators install in dist/: Debian packages, RPMs, tarball, SBOM, OCI image
  installed [--short] install the Debian packages on a booted Debian 12, upgrade, break and remove them there
  site FOLDER         write the documentation as a site
  check               the quick part of ci: format, tidiness, dependencies, licences
  ci                  all that CI runs: format, dependencies, licences, lints, tests, fuzz targets
";

/// What a task ends with: nothing, or the reason it failed.
type Outcome = Result<(), String>;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let outcome = match words.as_slice() {
        ["setup"] => setup::run(),
        ["test", "--all"] => ci::test_all(),
        ["test", rest @ ..] => ci::test(rest, ci::World::IfPossible, ci::Cases::New),
        ["demo"] => demo::run(),
        ["fuzz"] => fuzz::run(fuzz::DEFAULT_SECONDS),
        ["fuzz", "--seconds", seconds] => match seconds.parse() {
            Ok(seconds) => fuzz::run(seconds),
            Err(_) => Err(format!("`--seconds` takes a number, not `{seconds}`")),
        },
        ["sim"] => sim::run(sim::DEFAULT_SEEDS),
        ["sim", "--seeds", seeds] => match seeds.parse() {
            Ok(seeds) => sim::run(seeds),
            Err(_) => Err(format!("`--seeds` takes a number, not `{seeds}`")),
        },
        ["conformance", rest @ ..] => conformance::run(rest),
        ["chaos", rest @ ..] => chaos::run(rest),
        ["bench", rest @ ..] => bench::run(rest),
        ["bare", rest @ ..] => bare::run(rest),
        ["package", rest @ ..] => package::run_with(rest),
        ["installed", rest @ ..] => installed::run(rest),
        ["site", folder] => site::write(Path::new(folder)),
        ["samba", rest @ ..] => samba::run(rest),
        ["programs"] => programs::run(),
        ["world"] => demo::world(),
        ["advisories", "--db", folder] => advisories::run(Path::new(folder)),
        ["circles"] => circles::run(),
        ["check"] => ci::check(),
        ["ci"] => ci::run(),
        ["help" | "--help" | "-h"] => {
            print!("{USAGE}");
            Ok(())
        }
        _ => {
            eprint!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            eprintln!("error: {reason}");
            ExitCode::FAILURE
        }
    }
}
