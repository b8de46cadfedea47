//! How many connections the operating system permits.

use super::SHED_CONNECTIONS;
use crossrealm_os::open_files;

/// Open files beside connections: the database, the log, listeners, files that are read for a moment.
const OTHER_FILES: usize = 128;

/// How many connections can be open at once: as many as are configured, if the operating system permits as many open files.
pub(crate) fn fitting_connections(configured: usize) -> usize {
    let besides = SHED_CONNECTIONS + OTHER_FILES;
    let wanted = configured + besides;
    let permitted = open_files::raise(wanted as u64);
    let permitted = usize::try_from(permitted).unwrap_or(usize::MAX);
    if permitted >= wanted {
        return configured;
    }
    let fitting = permitted.saturating_sub(besides).max(1);
    tracing::warn!(
        configured,
        fitting,
        open_files = permitted,
        needed = wanted,
        "the operating system permits too few open files for `limits.connections`: fewer are served at once; raise the hard limit (`LimitNOFILE` of systemd, `ulimit -Hn`)"
    );
    fitting
}
