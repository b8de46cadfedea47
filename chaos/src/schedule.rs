//! The schedule of faults: a pure function of the seed and the minutes, so that a run that failed can be played again.
//!
//! Faults are played in lanes, side by side: those of one lane follow each other, since they meddle with the same machines;
//! those of different lanes overlap. A lane deals the kinds like cards: each comes up once before any comes up again. All lanes
//! are quiet at the same times.

use std::time::Duration;

use crate::checker::RECOVERY;
use crate::faults::table::KINDS;
use crate::faults::{Kind, Lane};

/// What clients do before the first fault.
const FIRST_MS: u64 = 5_000;
/// The least and the most between two faults of a lane.
const PAUSE_MS: (u64, u64) = (2_000, 6_000);
/// For so long there are faults, and then none for longer than they excuse anything, so that what did not recover shows.
const ROUND_MS: u64 = 60_000;
const QUIET_MS: u64 = RECOVERY + 15_000;

/// A fault that is to be played.
#[derive(Clone, Copy)]
pub(crate) struct Planned {
    pub(crate) kind: &'static Kind,
    pub(crate) target: usize,
    pub(crate) at: Duration,
    pub(crate) lasts: Duration,
}

/// The faults of one lane, in order; the last one ends before the time is over.
pub(crate) fn plan(seed: u64, minutes: u64, lane: Lane) -> Vec<Planned> {
    let own = seed.wrapping_mul(31).wrapping_add(lane as u64);
    let mut chance = Chance::new(own);
    let total = minutes.saturating_mul(60_000);
    let mut at = FIRST_MS + chance.between(0, PAUSE_MS.1);
    let (mut planned, mut deck) = (Vec::new(), Vec::new());
    loop {
        if deck.is_empty() {
            deck = KINDS.iter().filter(|kind| kind.lane == lane).collect();
            chance.shuffle(&mut deck);
        }
        let Some(kind) = deck.pop() else {
            return planned;
        };
        let lasts = chance.between(kind.lasts_s.0 * 1_000, kind.lasts_s.1 * 1_000);
        let target = usize::try_from(chance.below(kind.targets as u64)).unwrap_or(0);
        let pause = chance.between(PAUSE_MS.0, PAUSE_MS.1);
        let in_round = at % (ROUND_MS + QUIET_MS);
        if in_round + lasts > ROUND_MS {
            at += ROUND_MS + QUIET_MS - in_round + pause;
        }
        if at + lasts > total {
            return planned;
        }
        planned.push(Planned {
            kind,
            target,
            at: Duration::from_millis(at),
            lasts: Duration::from_millis(lasts),
        });
        at += lasts + pause;
    }
}

/// Numbers by a seed: SplitMix64, whose results will be the same in every version.
pub(crate) struct Chance(u64);

impl Chance {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number below `limit`; 0 if that is 0.
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.next().checked_rem(limit).unwrap_or(0)
    }

    pub(crate) fn between(&mut self, least: u64, most: u64) -> u64 {
        least + self.below(most.saturating_sub(least) + 1)
    }

    /// A place in something of this length.
    pub(crate) fn place(&mut self, length: usize) -> usize {
        usize::try_from(self.below(length as u64)).unwrap_or(0)
    }

    fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            let other = self.place(last + 1);
            items.swap(last, other);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn shown(seed: u64, minutes: u64) -> Vec<(&'static str, usize, Duration, Duration)> {
        let lanes = Lane::ALL.into_iter();
        let all = lanes.flat_map(|lane| plan(seed, minutes, lane));
        all.map(|p| (p.kind.name, p.target, p.at, p.lasts))
            .collect()
    }

    #[test]
    fn a_seed_has_one_schedule_and_another_seed_another_one() {
        assert_eq!(shown(7, 3), shown(7, 3));
        assert_ne!(shown(7, 3), shown(8, 3));
        // A longer run begins like a shorter one.
        let (short, long) = (plan(7, 3, Lane::Service), plan(7, 9, Lane::Service));
        assert!(long.len() > short.len());
        let names = |plan: &[Planned]| plan.iter().map(|p| p.kind.name).collect::<Vec<_>>();
        assert!(names(&long).starts_with(&names(&short)));
    }

    #[test]
    fn faults_of_a_lane_do_not_overlap_and_end_in_time() {
        for lane in Lane::ALL {
            let plan = plan(1, 30, lane);
            for pair in plan.windows(2) {
                assert!(pair[0].at + pair[0].lasts < pair[1].at);
            }
            let ends = |p: &Planned| u64::try_from((p.at + p.lasts).as_millis()).unwrap();
            let late = plan
                .iter()
                .filter(|p| ends(p) % (ROUND_MS + QUIET_MS) > ROUND_MS);
            assert_eq!(late.count(), 0, "not quiet");
            let last = plan.last().unwrap();
            assert!(last.at + last.lasts <= Duration::from_secs(30 * 60));
        }
    }

    #[test]
    fn every_kind_comes_up() {
        let played: BTreeSet<_> = shown(3, 30).into_iter().map(|(name, ..)| name).collect();
        assert_eq!(played.len(), KINDS.len());
    }
}
