//! The history of a run: what each client did, when it began and ended by one monotonic clock, and how it ended; and which
//! faults there were meanwhile. The checker reads nothing else.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

/// Milliseconds since the run began.
pub(crate) type Ms = u64;

/// The three nodes on PostgreSQL.
pub(crate) const NODES: usize = 3;

/// What depends on the same things, fails together and is excused together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Class {
    /// A user with a referral gets a ticket from any node.
    Ticket,
    /// A user signs in to AD and gets a referral there.
    SignIn,
    /// A call of the API at this node.
    Api(usize),
    /// A change in AD arrives in the tenant.
    Sync,
    /// A file is written or read over SMB.
    Files,
    /// A share is opened with a ticket that is held.
    Tree,
    /// A call of the API of the service on SQLite.
    SoloApi,
    /// A ticket of the service on SQLite.
    SoloTicket,
}

impl Class {
    pub(crate) const ALL: [Self; 7 + NODES] = [
        Self::Ticket,
        Self::SignIn,
        Self::Api(0),
        Self::Api(1),
        Self::Api(2),
        Self::Sync,
        Self::Files,
        Self::Tree,
        Self::SoloApi,
        Self::SoloTicket,
    ];

    pub(crate) fn name(self) -> String {
        match self {
            Self::Ticket => "tickets".into(),
            Self::SignIn => "sign-in".into(),
            Self::Api(node) => format!("API of node {}", node + 1),
            Self::Sync => "sync".into(),
            Self::Files => "files".into(),
            Self::Tree => "tree connects".into(),
            Self::SoloApi => "API on SQLite".into(),
            Self::SoloTicket => "tickets on SQLite".into(),
        }
    }
}

/// Which of the two services keeps something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Store {
    Postgres,
    Sqlite,
}

/// Something that is on or off: it was created or granted and not yet deleted or revoked.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Right {
    /// The user may sign in; changed in AD.
    Enabled(String),
    /// The user is a direct member of the group; changed in AD.
    Member(String, String),
    /// The user has a role of their own on the share.
    Role(String, String),
    /// The token is accepted.
    Token(Store, String),
    /// The object is there: its path in the API.
    Object(Store, String),
    /// Alice of the service on SQLite may sign in.
    SoloEnabled,
}

impl Right {
    /// Whether it is changed in AD and reaches the tenant by the sync.
    pub(crate) fn is_of_ad(&self) -> bool {
        matches!(self, Self::Enabled(_) | Self::Member(..))
    }

    pub(crate) fn store(&self) -> Store {
        match self {
            Self::Token(store, _) | Self::Object(store, _) => *store,
            Self::SoloEnabled => Store::Sqlite,
            _ => Store::Postgres,
        }
    }
}

/// What a client did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    /// Switches a right on or off, where it is kept.
    Change { right: Right, on: bool },
    /// The service answered that the right is on or off.
    Seen { right: Right, on: bool },
    /// Does what works with all of these rights and not without any of them.
    Use { rights: Vec<Right> },
    /// Writes a file, with content of this digest.
    Put { path: String, digest: String },
    /// Reads a file.
    Get { path: String },
    /// Signs in to AD.
    SignIn { user: String },
}

/// How it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// Done and acknowledged.
    Done,
    /// A file's content.
    Content(String),
    /// The service decided against it.
    Refused(String),
    /// No answer, or one that decides nothing: it may have happened or may still happen.
    Failed(String),
}

impl Ended {
    pub(crate) fn is_good(&self) -> bool {
        matches!(self, Self::Done | Self::Content(_))
    }
}

/// One operation of one client.
#[derive(Clone, Debug)]
pub(crate) struct Record {
    pub(crate) class: Class,
    pub(crate) begin: Ms,
    pub(crate) end: Ms,
    pub(crate) operation: Operation,
    pub(crate) ended: Ended,
    /// The cache that holds the ticket that was issued, if its PAC is to be read.
    pub(crate) ticket: Option<PathBuf>,
    /// The SIDs in its PAC, once they were read.
    pub(crate) sids: Vec<String>,
}

impl Record {
    /// An operation from its begin to its end, of which no ticket is kept.
    pub(crate) fn new(
        class: Class,
        (begin, end): (Ms, Ms),
        operation: Operation,
        ended: Ended,
    ) -> Self {
        Self {
            class,
            begin,
            end,
            operation,
            ended,
            ticket: None,
            sids: Vec::new(),
        }
    }
}

/// From when to when changes may be lost, since the store went back in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Loss {
    pub(crate) store: Store,
    /// What was acknowledged from here on …
    pub(crate) from: Ms,
    /// … up to here may be gone.
    pub(crate) until: Ms,
}

/// One fault that was injected.
#[derive(Clone, Debug)]
pub(crate) struct Fault {
    pub(crate) kind: &'static str,
    pub(crate) target: usize,
    pub(crate) begin: Ms,
    /// When it was over: everything that it stopped was started again.
    pub(crate) end: Ms,
    pub(crate) excuses: Vec<Class>,
    /// Whether a change may not reach the SMB host meanwhile.
    pub(crate) holds_back: bool,
    pub(crate) loss: Option<Loss>,
    /// Why it could not be injected or ended.
    pub(crate) broken: Option<String>,
}

/// Everything that happened.
#[derive(Clone, Debug, Default)]
pub(crate) struct History {
    pub(crate) records: Vec<Record>,
    pub(crate) faults: Vec<Fault>,
}

/// A history that is being written, by many threads.
pub(crate) struct Journal {
    began: Instant,
    history: Mutex<History>,
}

impl Journal {
    pub(crate) fn begin() -> Self {
        Self {
            began: Instant::now(),
            history: Mutex::new(History::default()),
        }
    }

    pub(crate) fn now(&self) -> Ms {
        Ms::try_from(self.began.elapsed().as_millis()).unwrap_or(Ms::MAX)
    }

    /// Does something and records it.
    pub(crate) fn record(
        &self,
        class: Class,
        operation: Operation,
        work: impl FnOnce() -> Ended,
    ) -> Ended {
        self.record_ticket(class, operation, None, work)
    }

    /// The same for something that leaves a ticket in a cache.
    pub(crate) fn record_ticket(
        &self,
        class: Class,
        operation: Operation,
        ticket: Option<&Path>,
        work: impl FnOnce() -> Ended,
    ) -> Ended {
        let begin = self.now();
        let ended = work();
        self.push(Record {
            ticket: ticket.map(Path::to_owned).filter(|_| ended.is_good()),
            ..Record::new(class, (begin, self.now()), operation, ended.clone())
        });
        ended
    }

    pub(crate) fn push(&self, record: Record) {
        self.history().records.push(record);
    }

    pub(crate) fn fault(&self, fault: Fault) {
        self.history().faults.push(fault);
    }

    /// Whether something of this class succeeded that began at this time or later.
    pub(crate) fn served_since(&self, class: Class, from: Ms) -> bool {
        let history = self.history();
        let mut late = history.records.iter().rev();
        late.any(|record| record.class == class && record.begin >= from && record.ended.is_good())
    }

    /// A copy of the history so far, in the order in which things began.
    pub(crate) fn so_far(&self) -> History {
        let mut history = self.history().clone();
        history.records.sort_by_key(|record| record.begin);
        history.faults.sort_by_key(|fault| fault.begin);
        history
    }

    fn history(&self) -> std::sync::MutexGuard<'_, History> {
        self.history.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl History {
    /// Fills in what the PACs of the tickets hold.
    pub(crate) fn add_sids(&mut self, mut sids: BTreeMap<PathBuf, Vec<String>>) {
        for record in &mut self.records {
            if let Some(found) = record.ticket.as_ref().and_then(|file| sids.remove(file)) {
                record.sids = found;
            }
        }
    }
}
