//! The sync cursor: how far it has read in the directory, and under which conditions that is worth something.
//!
//! It is kept by the tenant, stored in one transaction with the last changes of a run, and given back unchanged. It holds
//! no secret. A cursor that cannot be read is no error: everything is compared then.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::collections::BTreeSet;

/// The longest text of a cursor, in bytes; the tenant takes 64 KiB.
const MAX_LEN: usize = 60 * 1024;
/// The most objects that are kept to be tried again.
const MAX_PENDING: usize = 500;
/// Stands for more than that: everything is looked at again then.
const TOO_MANY: &str = "*";
/// For how long losses are counted together.
const LOSSES_COUNT_S: i64 = 3600;
const HEAD: &str = "crossrealm-sync 1";

/// Where changes come from, and how far they were read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Position {
    /// By the DirSync control.
    DirSync {
        /// Its cookie.
        cookie: Vec<u8>,
        /// Whether the account may read deleted objects. Samba keeps them from an account that may only replicate.
        sees_deleted: bool,
    },
    /// The highest `uSNChanged` that was read with an ordinary account.
    Usn {
        /// Its number.
        usn: i64,
        /// Whether the account can read deleted objects: without them deletions are found by comparing everything.
        sees_deleted: bool,
    },
}

impl Position {
    /// Whether the account could read deleted objects.
    pub fn sees_deleted(&self) -> bool {
        match self {
            Self::DirSync { sees_deleted, .. } | Self::Usn { sees_deleted, .. } => *sees_deleted,
        }
    }
}

/// The sync cursor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// The domain controller's host name.
    pub controller: String,
    /// Its invocation id, which is another one after a restore from backup: positions count within it alone.
    pub invocation: String,
    /// How far was read.
    pub position: Position,
    /// The controller's highest `uSNChanged` before that. A database that has less by now is an older one.
    pub highest_usn: i64,
    /// The fingerprint of the scope and of what else decides over objects.
    pub scope: String,
    /// The fingerprint of who is in the groups that decide over objects.
    pub watched: String,
    /// When it was read, Unix seconds by the controller's clock.
    pub read_at: i64,
    /// When everything was compared last, the same clock.
    pub compared_at: i64,
    /// When the clock alone will next change an object; `None` for never.
    pub turns_at: Option<i64>,
    /// How many objects were left out when everything was compared last.
    pub left_out: u64,
    /// Since when losses are counted, and how many there were.
    pub losses: (i64, usize),
    /// Objects to be looked at again though they did not change: refused by the tenant, or unusable.
    pub pending: BTreeSet<String>,
}

impl Cursor {
    /// Whether so many objects are to be looked at again that it must be all of them.
    pub fn all_pending(&self) -> bool {
        self.pending.len() > MAX_PENDING || self.pending.contains(TOO_MANY)
    }

    /// Losses of the last hour: a domain that is emptied bit by bit is emptied all the same.
    pub fn recent_losses(&self) -> usize {
        match self.losses {
            (since, count) if self.read_at.saturating_sub(since) < LOSSES_COUNT_S => count,
            _ => 0,
        }
    }

    /// Counts losses of a run. Those that were accepted by name are not held against the next run.
    pub fn count_losses(&mut self, losses: usize, accepted: bool) {
        self.losses = match (accepted, self.recent_losses()) {
            (true, _) => (self.read_at, 0),
            (false, 0) => (self.read_at, losses),
            (false, recent) => (self.losses.0, recent.saturating_add(losses)),
        };
    }

    /// Its text; `None` where it would be longer than the tenant takes.
    pub fn to_text(&self) -> Option<String> {
        let (source, position) = match &self.position {
            Position::DirSync {
                cookie,
                sees_deleted,
            } => (
                if *sees_deleted {
                    "dirsync"
                } else {
                    "dirsync-live"
                },
                STANDARD.encode(cookie),
            ),
            Position::Usn { usn, sees_deleted } => (
                if *sees_deleted { "usn" } else { "usn-live" },
                usn.to_string(),
            ),
        };
        let pending: Vec<&str> = self.pending.iter().map(String::as_str).collect();
        let pending = match pending.len() > MAX_PENDING {
            true => TOO_MANY.to_owned(),
            false => pending.join(","),
        };
        let turns_at = self.turns_at.map_or("-".to_owned(), |at| at.to_string());
        let text = [
            HEAD.to_owned(),
            format!("controller {}", self.controller),
            format!("invocation {}", self.invocation),
            format!("source {source}"),
            format!("position {position}"),
            format!("highest_usn {}", self.highest_usn),
            format!("scope {}", self.scope),
            format!("watched {}", self.watched),
            format!("read_at {}", self.read_at),
            format!("compared_at {}", self.compared_at),
            format!("turns_at {turns_at}"),
            format!("left_out {}", self.left_out),
            format!("losses {} {}", self.losses.0, self.losses.1),
            format!("pending {pending}"),
        ]
        .join("\n");
        (text.len() <= MAX_LEN).then_some(text)
    }

    /// Reads its text; `None` for anything that is not one.
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() > MAX_LEN {
            return None;
        }
        let mut lines = text.split('\n');
        if lines.next()? != HEAD {
            return None;
        }
        let mut field = |name: &str| lines.next()?.strip_prefix(name)?.strip_prefix(' ');
        let controller = field("controller")?.to_owned();
        let invocation = field("invocation")?.to_owned();
        let source = field("source")?;
        let position = field("position")?;
        let position = match source {
            "dirsync" | "dirsync-live" => Position::DirSync {
                cookie: STANDARD.decode(position).ok()?,
                sees_deleted: source == "dirsync",
            },
            "usn" | "usn-live" => Position::Usn {
                usn: position.parse().ok()?,
                sees_deleted: source == "usn",
            },
            _ => return None,
        };
        let highest_usn = field("highest_usn")?.parse().ok()?;
        let scope = field("scope")?.to_owned();
        let watched = field("watched")?.to_owned();
        let read_at = field("read_at")?.parse().ok()?;
        let compared_at = field("compared_at")?.parse().ok()?;
        let turns_at = match field("turns_at")? {
            "-" => None,
            at => Some(at.parse().ok()?),
        };
        let left_out = field("left_out")?.parse().ok()?;
        let (since, count) = field("losses")?.split_once(' ')?;
        let losses = (since.parse().ok()?, count.parse().ok()?);
        let pending = field("pending")?
            .split(',')
            .filter(|guid| !guid.is_empty())
            .map(str::to_owned)
            .collect();
        Some(Self {
            controller,
            invocation,
            position,
            highest_usn,
            scope,
            watched,
            read_at,
            compared_at,
            turns_at,
            left_out,
            losses,
            pending,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cursor() -> Cursor {
        Cursor {
            controller: "dc1.corp.contoso.com".into(),
            invocation: "00112233-4455-6677-8899-aabbccddeeff".into(),
            position: Position::DirSync {
                cookie: vec![0, 255, 10],
                sees_deleted: true,
            },
            highest_usn: 4711,
            scope: "aa".into(),
            watched: "bb".into(),
            read_at: 1_700_000_000,
            compared_at: 1_600_000_000,
            turns_at: Some(-1),
            left_out: 7,
            losses: (5, 3),
            pending: BTreeSet::from(["a".into(), "b".into()]),
        }
    }

    #[test]
    fn what_is_written_is_read_back() {
        let mut one = cursor();
        assert_eq!(Cursor::parse(&one.to_text().unwrap()).unwrap(), one);
        for sees_deleted in [true, false] {
            one.position = Position::Usn {
                usn: 42,
                sees_deleted,
            };
            one.turns_at = None;
            one.pending.clear();
            assert_eq!(Cursor::parse(&one.to_text().unwrap()).unwrap(), one);
        }
    }

    #[test]
    fn damaged_cursors_are_none() {
        let text = cursor().to_text().unwrap();
        for end in 0..text.rfind('\n').unwrap() {
            assert_eq!(Cursor::parse(&text[..end]), None);
        }
        assert_eq!(Cursor::parse(&text.replace("AP8K", "=?")), None);
        assert_eq!(Cursor::parse(&text.replace("sync 1", "sync 2")), None);
        assert_eq!(Cursor::parse(&"x".repeat(MAX_LEN + 1)), None);
    }

    #[test]
    fn losses_are_counted_for_an_hour() {
        let mut one = cursor();
        assert_eq!(one.recent_losses(), 0);
        one.count_losses(4, false);
        one.read_at += 3599;
        one.count_losses(5, false);
        assert_eq!(one.recent_losses(), 9);
        let mut later = one.clone();
        later.read_at += 1;
        assert_eq!(later.recent_losses(), 0);
        one.count_losses(700, true);
        assert_eq!(one.recent_losses(), 0);
    }

    #[test]
    fn a_cursor_stays_within_the_tenants_limit() {
        let mut one = cursor();
        one.pending = (0..10_000).map(|n| format!("{n:036}")).collect();
        assert!(
            Cursor::parse(&one.to_text().unwrap())
                .unwrap()
                .all_pending()
        );
        assert!(!cursor().all_pending());
        one.position = Position::DirSync {
            cookie: vec![0; MAX_LEN],
            sees_deleted: false,
        };
        assert_eq!(one.to_text(), None);
    }
}
