//! A large organisation: the rate at which its identities are taken, through HTTPS and by the store alone, and what a user in
//! a thousand nested groups costs.

mod over_https;
mod store;

use std::path::Path;

use crate::Size;
use crate::report::{Line, Report, Samples, Unit};

/// The promise: identities per second, with SQLite.
const PROMISED: f64 = 5_000.0;

/// How many there are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct People {
    users: u32,
    groups: u32,
}

/// Runs it all.
pub(crate) fn run(product: &Path, size: Size) -> Result<Report, String> {
    let people = People {
        users: size.of(98_000, 900),
        groups: size.of(2_000, 100),
    };
    let depth = size.of(1_000, 50);
    let mut report = Report::new(
        "load",
        format!(
            "{} users and {} groups, written to SQLite on disk in requests of 1,000",
            people.users, people.groups
        ),
    );
    crate::block_on(measure(product, people, depth, size.rounds(3), &mut report))?;
    Ok(report)
}

async fn measure(
    product: &Path,
    people: People,
    depth: u32,
    rounds: usize,
    report: &mut Report,
) -> Result<(), String> {
    let (mut https, mut stores) = (Vec::new(), Vec::new());
    for round in 0..rounds {
        eprintln!("round {} of {rounds}", round + 1);
        https.push(over_https::load(product, people).await?);
        stores.push(store::load(people, depth, round + 1 == rounds).await?);
    }
    let of = |pick: fn(&over_https::Found) -> f64| Samples::new(https.iter().map(pick).collect());
    let kept = |pick: fn(&store::Found) -> f64| Samples::new(stores.iter().map(pick).collect());
    report.add(
        Line::new(
            "identities made over HTTPS by a connector",
            Unit::PerSecond,
            of(|f| f.made),
        )
        .promised(PROMISED),
    );
    report.add(
        Line::new(
            "the same, held against the store alone",
            Unit::PerSecond,
            of(|f| f.made),
        )
        .against(
            "the store in one process, without HTTPS and JSON",
            kept(|f| f.made),
        )
        .note("over HTTPS, client and server share the processors, and overlap"),
    );
    report.add(
        Line::new(
            "the same identities sent again, unchanged",
            Unit::PerSecond,
            of(|f| f.unchanged),
        )
        .against("making them", of(|f| f.made)),
    );
    report.add(Line::new(
        "memberships made over HTTPS (50 users and a nested group in each)",
        Unit::PerSecond,
        of(|f| f.memberships),
    ));
    report.add(Line::new(
        "all read back by the agent, in pages of 1,000",
        Unit::PerSecond,
        of(|f| f.read),
    ));
    report.add(
        Line::new(
            format!("a user in {depth} nested groups, for a ticket, not in memory"),
            Unit::Seconds,
            kept(|f| f.deep),
        )
        .against(
            "a user in a few groups, not in memory",
            kept(|f| f.ordinary),
        )
        .note("the groups are the result itself: each is a row to be read and a SID in the PAC"),
    );
    report.add(
        Line::new(
            "the same for each of the groups",
            Unit::Seconds,
            kept(|f| f.deep_each),
        )
        .against(
            "a user in a few groups, not in memory",
            kept(|f| f.ordinary),
        ),
    );
    report.add(
        Line::new(
            "a user asked for again (in memory)",
            Unit::Seconds,
            kept(|f| f.again),
        )
        .against(
            "a user in a few groups, not in memory",
            kept(|f| f.ordinary),
        ),
    );
    let counted: Vec<_> = stores.iter().filter_map(|found| found.statements).collect();
    report.add(
        Line::new(
            format!("SQL statements to read that user with {depth} nested groups"),
            Unit::Count,
            Samples::new(counted.iter().map(|(deep, _)| *deep).collect()),
        )
        .against(
            "those for a user in a few groups",
            Samples::new(counted.iter().map(|(_, ordinary)| *ordinary).collect()),
        )
        .bound(1.0)
        .note("one reads the user, one the groups, however deep they are nested"),
    );
    report.add(
        Line::new(
            format!("a nesting cut in the middle of {depth}"),
            Unit::Seconds,
            kept(|f| f.cut),
        )
        .note("a removed nesting costs the pairs of groups that it had connected"),
    );
    Ok(())
}
