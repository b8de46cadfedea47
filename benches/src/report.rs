//! What was measured, said to people as a table and to programs as JSON: the same facts in both.

use serde_json::{Value, json};

/// What a number counts, and which way is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    /// Seconds: less is better.
    Seconds,
    /// So many per second: more is better.
    PerSecond,
    /// Pieces (statements, allocations): less is better.
    Count,
}

impl Unit {
    fn name(self) -> &'static str {
        match self {
            Self::Seconds => "s",
            Self::PerSecond => "/s",
            Self::Count => "pieces",
        }
    }

    /// A number with its unit, in at most four significant digits.
    fn say(self, value: f64) -> String {
        match self {
            Self::Seconds if value < 0.001 => format!("{:.1} µs", value * 1e6),
            Self::Seconds if value < 1.0 => format!("{:.1} ms", value * 1e3),
            Self::Seconds => format!("{value:.2} s"),
            Self::PerSecond => format!("{value:.0}/s"),
            Self::Count => format!("{value:.0}"),
        }
    }
}

/// The values of one measure, one for each round.
#[derive(Clone, Debug)]
pub(crate) struct Samples(Vec<f64>);

impl Samples {
    /// These values; they must be finite.
    pub(crate) fn new(mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        Self(values)
    }

    /// The value that a share of all values does not exceed; 0 where there are none. `share` is from 0 to 1.
    pub(crate) fn quantile(&self, share: f64) -> f64 {
        let last = self.0.len().saturating_sub(1);
        // Rounded to the nearest rank, never beyond the last.
        let rank = (last as f64 * share).round() as usize;
        self.0.get(rank.min(last)).copied().unwrap_or_default()
    }

    /// The middle value.
    pub(crate) fn median(&self) -> f64 {
        self.quantile(0.5)
    }

    fn json(&self, unit: Unit) -> Value {
        json!({
            "unit": unit.name(),
            "samples": self.0.len(),
            "median": self.median(),
            "p99": self.quantile(0.99),
            "min": self.quantile(0.0),
            "max": self.quantile(1.0),
        })
    }

    fn say(&self, unit: Unit) -> String {
        let (low, high) = (self.quantile(0.0), self.quantile(1.0));
        match self.0.len() {
            1 => unit.say(self.median()),
            n => format!(
                "{} ({}…{}, n={n})",
                unit.say(self.median()),
                unit.say(low),
                unit.say(high)
            ),
        }
    }
}

/// What ours is held against, in the same run.
#[derive(Clone, Debug)]
pub(crate) enum Against {
    /// Another program that did the same, or a piece of work that cannot be avoided.
    Peer(String, Samples),
    /// A number that was promised.
    Promise(f64),
    /// Neither: reported for information.
    Nothing,
}

/// One line of the report.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    what: String,
    unit: Unit,
    ours: Samples,
    against: Against,
    bound: f64,
    note: String,
}

impl Line {
    /// A measure of ours, held against nothing yet.
    pub(crate) fn new(what: impl Into<String>, unit: Unit, ours: Samples) -> Self {
        Self {
            what: what.into(),
            unit,
            ours,
            against: Against::Nothing,
            bound: f64::INFINITY,
            note: String::new(),
        }
    }

    /// Holds it against another program's samples.
    #[must_use]
    pub(crate) fn against(mut self, peer: &str, samples: Samples) -> Self {
        self.against = Against::Peer(peer.to_owned(), samples);
        self
    }

    /// Holds it against a number that was promised.
    #[must_use]
    pub(crate) fn promised(mut self, value: f64) -> Self {
        self.against = Against::Promise(value);
        self.bound = 1.0;
        self
    }

    /// The largest ratio that keeps a promise.
    #[must_use]
    pub(crate) fn bound(mut self, ratio: f64) -> Self {
        self.bound = ratio;
        self
    }

    /// What a reader must know to understand the number.
    #[must_use]
    pub(crate) fn note(mut self, note: impl Into<String>) -> Self {
        self.note = note.into();
        self
    }

    /// How many times as much ours costs: below 1 it is cheaper than the other.
    fn ratio(&self) -> Option<f64> {
        let other = match &self.against {
            Against::Peer(_, samples) => samples.median(),
            Against::Promise(value) => *value,
            Against::Nothing => return None,
        };
        let ours = self.ours.median();
        let (more, less) = match self.unit {
            Unit::PerSecond => (other, ours),
            Unit::Seconds | Unit::Count => (ours, other),
        };
        Some(more / less).filter(|ratio| ratio.is_finite())
    }

    fn verdict(&self) -> &'static str {
        match self.ratio() {
            None => "",
            Some(ratio) if self.bound.is_finite() && ratio <= self.bound => "kept",
            Some(_) if self.bound.is_finite() => "NOT KEPT",
            Some(ratio) if ratio <= 1.0 => "cheaper",
            Some(_) => "dearer",
        }
    }

    fn json(&self) -> Value {
        let against = match &self.against {
            Against::Peer(name, samples) => {
                json!({"peer": name, "measured": samples.json(self.unit)})
            }
            Against::Promise(value) => json!({"promised": value}),
            Against::Nothing => Value::Null,
        };
        json!({
            "what": self.what,
            "ours": self.ours.json(self.unit),
            "against": against,
            "ratio": self.ratio(),
            "bound": Some(self.bound).filter(|bound| bound.is_finite()),
            "verdict": self.verdict(),
            "note": self.note,
        })
    }

    fn say(&self) -> String {
        let against = match &self.against {
            Against::Peer(name, samples) => format!("{name}: {}", samples.say(self.unit)),
            Against::Promise(value) => format!("promised: {}", self.unit.say(*value)),
            Against::Nothing => String::new(),
        };
        let ratio = match self.ratio() {
            Some(ratio) if self.bound.is_finite() => {
                format!("{ratio:.2} (bound {})", self.bound)
            }
            Some(ratio) => format!("{ratio:.2}"),
            None => String::new(),
        };
        let mut text = format!("  {}\n    ours: {}", self.what, self.ours.say(self.unit));
        if !against.is_empty() {
            text += &format!("\n    {against}");
        }
        if !ratio.is_empty() {
            text += &format!("\n    ratio: {ratio}  {}", self.verdict());
        }
        if !self.note.is_empty() {
            text += &format!("\n    note: {}", self.note);
        }
        text
    }
}

/// All that one bench found.
#[derive(Debug)]
pub(crate) struct Report {
    bench: &'static str,
    about: String,
    load_before: String,
    lines: Vec<Line>,
}

impl Report {
    /// An empty report; the machine's load is noted now.
    pub(crate) fn new(bench: &'static str, about: impl Into<String>) -> Self {
        Self {
            bench,
            about: about.into(),
            load_before: load(),
            lines: Vec::new(),
        }
    }

    /// Adds a line, and prints it at once for a person who waits.
    pub(crate) fn add(&mut self, line: Line) {
        eprintln!("{}", line.say());
        self.lines.push(line);
    }

    /// For programs.
    pub(crate) fn json(&self) -> Value {
        json!({
            "bench": self.bench,
            "about": self.about,
            "machine": {
                "processors": processors(),
                "load_before": self.load_before,
                "load_after": load(),
                "optimised": !cfg!(debug_assertions),
            },
            "lines": self.lines.iter().map(Line::json).collect::<Vec<_>>(),
        })
    }

    /// For people.
    pub(crate) fn say(&self) -> String {
        let mut text = format!(
            "{}: {}\n  {} processors, load (1, 5, 15 minutes) {} before, {} after{}\n",
            self.bench,
            self.about,
            processors(),
            self.load_before,
            load(),
            if cfg!(debug_assertions) {
                "; NOT OPTIMISED, the numbers mean nothing"
            } else {
                ""
            }
        );
        for line in &self.lines {
            text += &line.say();
            text.push('\n');
        }
        text
    }
}

fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// The machine's load averages over 1, 5 and 15 minutes.
fn load() -> String {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split_whitespace()
        .take(3)
        .collect::<Vec<_>>()
        .join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(values: &[f64]) -> Samples {
        Samples::new(values.to_vec())
    }

    #[test]
    fn a_ratio_says_how_many_times_as_much_we_cost() {
        let slow = Line::new("x", Unit::Seconds, samples(&[3.0, 2.0, 9.0]))
            .against("peer", samples(&[2.0]))
            .bound(2.0);
        assert_eq!((slow.ratio(), slow.verdict()), (Some(1.5), "kept"));
        assert_eq!(slow.clone().bound(1.2).verdict(), "NOT KEPT");
        let rate = Line::new("x", Unit::PerSecond, samples(&[50.0])).promised(100.0);
        assert_eq!((rate.ratio(), rate.verdict()), (Some(2.0), "NOT KEPT"));
        let alone = Line::new("x", Unit::Count, samples(&[1.0]));
        assert_eq!((alone.ratio(), alone.verdict()), (None, ""));
    }

    #[test]
    fn quantiles_are_values_that_were_seen() {
        let all = samples(&[5.0, 1.0, 4.0, 2.0, 3.0]);
        assert_eq!(
            [0.0, 0.5, 0.99, 1.0].map(|share| all.quantile(share)),
            [1.0, 3.0, 5.0, 5.0]
        );
        assert_eq!(samples(&[]).median().to_bits(), 0.0_f64.to_bits());
    }

    #[test]
    fn people_and_programs_learn_the_same() {
        let line = Line::new("a thing", Unit::Seconds, samples(&[0.002]))
            .against("peer", samples(&[0.001]))
            .note("why");
        let text = line.say();
        for part in [
            "a thing", "2.0 ms", "peer", "1.0 ms", "2.00", "dearer", "why",
        ] {
            assert!(text.contains(part), "{part} is missing in {text}");
        }
        let json = line.json();
        assert_eq!(
            (&json["ratio"], &json["verdict"]),
            (&json!(2.0), &json!("dearer"))
        );
    }
}
