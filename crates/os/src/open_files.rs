//! How many files, sockets included, the process may have open.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises the limit to `wanted`, as far as the operating system permits, and returns what it is then.
///
/// The soft limit of a process is 1,024 by tradition, for programs that use `select`; the hard limit is the real one.
pub fn raise(wanted: u64) -> u64 {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let current = current.unwrap_or(u64::MAX);
    let permitted = wanted.min(maximum.unwrap_or(u64::MAX));
    if current >= permitted {
        return current;
    }
    let raised = Rlimit {
        current: Some(permitted),
        maximum,
    };
    match setrlimit(Resource::Nofile, raised) {
        Ok(()) => permitted,
        Err(_) => current,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// R11
    #[test]
    fn the_limit_is_raised_up_to_the_hard_limit_and_never_lowered() {
        let maximum = getrlimit(Resource::Nofile).maximum.unwrap_or(u64::MAX);
        let lowered = Rlimit {
            current: Some(maximum.min(100)),
            maximum: getrlimit(Resource::Nofile).maximum,
        };
        setrlimit(Resource::Nofile, lowered).unwrap();
        assert_eq!(raise(200.min(maximum)), 200.min(maximum));
        assert_eq!(raise(150), 200.min(maximum));
        assert_eq!(raise(maximum), maximum);
        assert_eq!(
            getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX),
            maximum
        );
    }
}
