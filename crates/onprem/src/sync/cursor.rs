//! The sync cursor: how far AD was read, and the conditions under which reading can continue from there.
//!
//! The tenant stores it in one transaction with the last changes of a run, and returns it unchanged. It holds no secret. A
//! cursor that cannot be parsed is no error, and leads to a full sync.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::collections::BTreeSet;
use uuid::Uuid;

/// The longest text form, in bytes; the tenant accepts 64 KiB.
const MAX_LEN: usize = 60 * 1024;
/// The most objects that are listed to be read again.
const MAX_PENDING: usize = 500;
/// Stands for more than that: then all objects are read again.
const TOO_MANY: &str = "*";
/// The time over which removals are added up.
const LOSSES_COUNT_S: i64 = 3600;
const HEAD: &str = "crossrealm-sync 1";

/// How changes are found, and how far they were read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Position {
    /// By the DirSync control.
    DirSync {
        /// Its cookie.
        cookie: Vec<u8>,
        /// Whether the account may read deleted objects. Samba denies them to an account that may only replicate.
        sees_deleted: bool,
    },
    /// With an ordinary account: by the highest `uSNChanged` that was read.
    Usn {
        /// That USN.
        usn: i64,
        /// Whether the account may read deleted objects; if not, deletions are found by a full sync.
        sees_deleted: bool,
    },
}

impl Position {
    /// Whether the account may read deleted objects.
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
    /// The invocation id of its database, which a restore from backup changes: USNs and cookies are valid in one database
    /// only.
    pub invocation: String,
    /// How far it was read.
    pub position: Position,
    /// The highest USN of the domain controller before the reading. If it is lower later, the database is an older one.
    pub highest_usn: i64,
    /// A hash of the scope and of all other rules.
    pub scope: String,
    /// A hash of the members of the watched groups.
    pub watched: String,
    /// When it was read, in Unix seconds by the domain controller's clock.
    pub read_at: i64,
    /// When the last full sync was, by the same clock.
    pub compared_at: i64,
    /// When the clock will next change the state of an object; `None` for never.
    pub turns_at: Option<i64>,
    /// How many objects the last full sync left out.
    pub left_out: u64,
    /// The start of the interval in which removals are added up, and their number.
    pub removals: (i64, usize),
    /// Objects that are read again even if they did not change: the tenant refused them, or they were unusable.
    pub pending: BTreeSet<Uuid>,
    /// Whether there are more of them than are listed: then all objects are read again.
    pub more_pending: bool,
}

impl Cursor {
    /// Whether too many objects are pending to be listed, so that all are read.
    pub fn all_pending(&self) -> bool {
        self.pending.len() > MAX_PENDING || self.more_pending
    }

    /// The removals of the last hour. Adding them up also stops a domain that is emptied in small steps.
    pub fn recent_removals(&self) -> usize {
        match self.removals {
            (since, count) if self.read_at.saturating_sub(since) < LOSSES_COUNT_S => count,
            _ => 0,
        }
    }

    /// Adds the removals of a run. Those that an administrator accepted do not count in later runs.
    pub fn count_removals(&mut self, removals: usize, accepted: bool) {
        self.removals = match (accepted, self.recent_removals()) {
            (true, _) => (self.read_at, 0),
            (false, 0) => (self.read_at, removals),
            (false, recent) => (self.removals.0, recent.saturating_add(removals)),
        };
    }

    /// The text form; `None` if it is longer than the tenant accepts.
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
        let pending = match self.all_pending() {
            true => TOO_MANY.to_owned(),
            false => {
                let pending: Vec<String> = self.pending.iter().map(Uuid::to_string).collect();
                pending.join(",")
            }
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
            format!("losses {} {}", self.removals.0, self.removals.1),
            format!("pending {pending}"),
        ]
        .join("\n");
        (text.len() <= MAX_LEN).then_some(text)
    }

    /// Parses the text form; `None` if it is malformed.
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
        let removals = (since.parse().ok()?, count.parse().ok()?);
        let pending = field("pending")?;
        let more_pending = pending == TOO_MANY;
        let guids = pending.split(',').map(Uuid::try_parse);
        let pending = match pending {
            "" | TOO_MANY => BTreeSet::new(),
            _ => guids.collect::<Result<_, _>>().ok()?,
        };
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
            removals,
            pending,
            more_pending,
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
            removals: (5, 3),
            pending: BTreeSet::from([Uuid::from_u128(1), Uuid::from_u128(2)]),
            more_pending: false,
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
    fn removals_are_counted_for_an_hour() {
        let mut one = cursor();
        assert_eq!(one.recent_removals(), 0);
        one.count_removals(4, false);
        one.read_at += 3599;
        one.count_removals(5, false);
        assert_eq!(one.recent_removals(), 9);
        let mut later = one.clone();
        later.read_at += 1;
        assert_eq!(later.recent_removals(), 0);
        one.count_removals(700, true);
        assert_eq!(one.recent_removals(), 0);
    }

    #[test]
    fn a_cursor_stays_within_the_tenants_limit() {
        let mut one = cursor();
        one.pending = (0..10_000).map(Uuid::from_u128).collect();
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
