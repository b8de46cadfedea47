//! `crossrealm-bench`: what the product costs, held against a peer or a promise in the same run.
//!
//! `cargo xtask bench` builds it, and the product, with optimisation and runs it. A bench never fails because something was
//! slow, only because something was wrong; what it finds is reported, losing cases too. Each has a count or a time that ends it.

mod load;
mod process;
mod proxy;
mod report;
mod service;
mod sync;
mod tickets;
mod wire;

use std::path::Path;
use std::process::ExitCode;

use report::Report;

const USAGE: &str =
    "usage: crossrealm-bench [sync|load|tickets|proxy]… [--smoke] [--rounds N] [-o table|json]";

/// Counts allocations, for the bench that reports them.
#[global_allocator]
static ALLOCATOR: &stats_alloc::StatsAlloc<std::alloc::System> = &stats_alloc::INSTRUMENTED_SYSTEM;

/// How much is measured.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    /// So little that only its working is shown.
    smoke: bool,
    /// How often what takes seconds is repeated; the usual number where it is not said.
    rounds: Option<usize>,
}

impl Size {
    /// `full`, or `smoke` where only its working is shown.
    fn of<T>(self, full: T, smoke: T) -> T {
        if self.smoke { smoke } else { full }
    }

    /// How often something is repeated: what was asked for, else `full`; twice in a smoke run.
    fn rounds(self, full: usize) -> usize {
        self.rounds.unwrap_or(self.of(full, 2)).clamp(1, 100)
    }
}

/// A bench's name and what it does with the product's binary.
type Bench = (&'static str, fn(&Path, Size) -> Result<Report, String>);

const BENCHES: &[Bench] = &[
    ("sync", sync::run),
    ("load", load::run),
    ("tickets", tickets::run),
    ("proxy", proxy::run),
];

/// Does the work of a bench that waits for many answers at once, on as many threads as there are processors.
fn block_on(work: impl Future<Output = Result<(), String>>) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| error.to_string())?;
    runtime.block_on(work)
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            eprintln!("error: {reason}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), String> {
    let (mut size, mut json, mut names) = (
        Size {
            smoke: false,
            rounds: None,
        },
        false,
        Vec::new(),
    );
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        match word.as_str() {
            "--smoke" => size.smoke = true,
            "--json" => json = true,
            "-o" | "--output" => json = words.next().as_deref() == Some("json"),
            "--rounds" => {
                let rounds = words.next().and_then(|n| n.parse().ok());
                size.rounds = Some(rounds.ok_or("`--rounds` takes a number")?);
            }
            name if BENCHES.iter().any(|(known, _)| *known == name) => names.push(word),
            other => return Err(format!("`{other}` is no bench and no option\n{USAGE}")),
        }
    }
    let chosen = BENCHES
        .iter()
        .filter(|(name, _)| names.is_empty() || names.iter().any(|own| own == name));
    let product = crossrealm_lab::build_product().map_err(|failure| failure.to_string())?;
    let (mut reports, mut failed) = (Vec::new(), Vec::new());
    for (name, bench) in chosen {
        eprintln!("\n=== bench {name}");
        match bench(&product, size) {
            Ok(report) => reports.push(report),
            Err(reason) => {
                eprintln!("error: {reason}");
                failed.push(*name);
            }
        }
    }
    if json {
        let all: Vec<_> = reports.iter().map(Report::json).collect();
        println!("{:#}", serde_json::Value::from(all));
    } else {
        for report in &reports {
            println!("{}", report.say());
        }
    }
    match failed.as_slice() {
        [] => Ok(()),
        names => Err(format!("failed: {}", names.join(", "))),
    }
}
