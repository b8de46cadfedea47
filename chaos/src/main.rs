//! A hostile and failing world: one world with everything in it, clients that use it, a seeded schedule of faults, and a checker
//! that reads the history. `cargo xtask chaos` runs it.
//!
//! `world` builds, `schedule` plans, `faults` disturbs, `clients` use and record into `history`, `checker` judges, `report` prints.
//! What is tested is known by its command line, its wires and its API alone.

mod checker;
mod clients;
mod faults;
mod history;
mod report;
mod schedule;
mod world;

use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crossrealm_lab::{Failure, need};

use checker::RECOVERY;
use clients::Scene;
use faults::Lane;
use history::{Class, History, Journal};
use schedule::Planned;
use world::Ground;

const USAGE: &str = "usage: chaos [--minutes N] [--seed S] [--plan] [--keep FOLDER]

  --minutes N     inject faults for so long (3)
  --seed S        the schedule's seed (1)
  --plan          print the schedule and do nothing
  --keep FOLDER   write history and logs there
";

/// In so many minutes every rule must have had something to judge.
const TELLING: u64 = 3;

struct Options {
    minutes: u64,
    seed: u64,
    is_plan: bool,
    keep: Option<std::path::PathBuf>,
}

fn main() -> ExitCode {
    let Some(options) = options() else {
        eprint!("{USAGE}");
        return ExitCode::from(2);
    };
    let outcome = match options.is_plan {
        true => {
            print!("{}", report::schedule(&all(&options)));
            Ok(true)
        }
        false => play(&options),
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(failure) => {
            eprintln!("error: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn options() -> Option<Options> {
    let mut options = Options {
        minutes: 3,
        seed: 1,
        is_plan: false,
        keep: None,
    };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        match word.as_str() {
            "--minutes" => options.minutes = words.next()?.parse().ok()?,
            "--seed" => options.seed = words.next()?.parse().ok()?,
            "--keep" => options.keep = Some(words.next()?.into()),
            "--plan" => options.is_plan = true,
            _ => return None,
        }
    }
    Some(options)
}

/// The faults of all lanes, by when they begin.
fn all(options: &Options) -> Vec<Planned> {
    let lanes = Lane::ALL.into_iter();
    let mut all: Vec<Planned> = lanes
        .flat_map(|lane| schedule::plan(options.seed, options.minutes, lane))
        .collect();
    all.sort_by_key(|planned| planned.at);
    all
}

/// Whether all was as it should be.
fn play(options: &Options) -> Result<bool, Failure> {
    if let Some(reason) = need::unmet() {
        return Err(Failure::new(reason));
    }
    let began = Instant::now();
    eprintln!("chaos: building the world");
    let ground = Ground::build()?;
    let (seed, minutes) = (options.seed, options.minutes);
    eprintln!(
        "chaos: it took {:.0} s; seed {seed}, {minutes} minutes",
        began.elapsed().as_secs_f64()
    );
    let mut history = disturb(&ground, options);
    let caches: Vec<_> = history
        .records
        .iter()
        .filter_map(|record| record.ticket.clone())
        .collect();
    let read = world::people::read_pacs(&ground.story, &caches)?;
    let (tickets, read_tickets) = (caches.len(), read.len());
    history.add_sids(read.into_iter().collect());
    let violations = checker::check(&history, &world::people::sids(&ground.story)?);
    println!(
        "\nseed {seed}, {minutes} minutes, {} faults",
        history.faults.len()
    );
    let judged = checker::judged(&history);
    println!("{}", report::account(&history, &judged, &violations));
    if let Some(folder) = &options.keep {
        keep(&ground, &history, folder)?;
    }
    if tickets != read_tickets {
        let what = format!("{tickets} tickets, and {read_tickets} PACs were read");
        return Err(Failure::new(what));
    }
    if minutes >= TELLING && !judged.blind().is_empty() {
        let what = format!("nothing was revoked for long enough: {:?}", judged.blind());
        return Err(Failure::new(what));
    }
    Ok(violations.is_empty())
}

/// Has the clients run, plays the faults, and waits until everything serves again.
fn disturb(ground: &Ground, options: &Options) -> History {
    let (journal, stop) = (Journal::begin(), AtomicBool::new(false));
    let scene = Scene {
        ground,
        journal: &journal,
        stop: &stop,
    };
    thread::scope(|scope| {
        let clients = scope.spawn(|| clients::run(&scene, options.seed));
        let began = Instant::now();
        let lanes = Lane::ALL.map(|lane| {
            let journal = &journal;
            scope.spawn(move || {
                for planned in schedule::plan(options.seed, options.minutes, lane) {
                    thread::sleep(planned.at.saturating_sub(began.elapsed()));
                    eprintln!(
                        "chaos: {:7.1} s  {}",
                        began.elapsed().as_secs_f64(),
                        planned.kind.name
                    );
                    faults::play(ground, journal, &planned);
                }
            })
        });
        for lane in lanes {
            let _ = lane.join();
        }
        serve_again(&journal);
        stop.store(true, Ordering::Release);
        let _ = clients.join();
    });
    journal.so_far()
}

/// Waits until everything serves again, or is late.
fn serve_again(journal: &Journal) {
    let last = journal.now();
    eprintln!(
        "chaos: {:7.1} s  the last fault is over",
        last as f64 / 1000.0
    );
    let serves = |class: &Class| journal.served_since(*class, last);
    while !Class::ALL.iter().all(serves) && journal.now() < last + 2 * RECOVERY {
        thread::sleep(Duration::from_millis(200));
    }
    // Past what the last fault excuses, so that what does not work now counts.
    while journal.now() < last + RECOVERY {
        thread::sleep(Duration::from_millis(200));
    }
}

/// Writes history and logs into a folder.
fn keep(ground: &Ground, history: &History, folder: &std::path::Path) -> Result<(), Failure> {
    std::fs::create_dir_all(folder)?;
    let lines: String = history
        .records
        .iter()
        .map(|record| format!("{record:?}\n"))
        .collect();
    std::fs::write(folder.join("history"), lines)?;
    for log in ground.logs() {
        if let Some(name) = log.file_name() {
            std::fs::copy(&log, folder.join(name))?;
        }
    }
    Ok(())
}
