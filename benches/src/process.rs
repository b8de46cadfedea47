//! Servers that a bench starts: the processor time that they take, and their end.

use std::collections::HashMap;
use std::process::Child;
use std::time::{Duration, Instant};

use crossrealm_programs::command;

/// How long a server has to end after SIGTERM.
const END_LIMIT: Duration = Duration::from_secs(5);

/// Ends a server with SIGTERM, so that it ends its workers; one that does not listen is killed.
pub(crate) fn terminate(child: &mut Child) {
    let pid = child.id().to_string();
    let _ = command("kill").args(["-s", "TERM", &pid]).status();
    let began = Instant::now();
    while began.elapsed() < END_LIMIT {
        if matches!(child.try_wait(), Ok(Some(_))) {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    let _ = child.kill();
    let _ = child.wait();
}

/// The processor time in seconds that these processes and their living descendants have had so far.
///
/// # Errors
/// One of them is not there.
pub(crate) fn processor_s(roots: &[u32]) -> Result<f64, String> {
    let parents = parents();
    let mut wanted = roots.to_vec();
    let mut nanoseconds = 0.0;
    while let Some(pid) = wanted.pop() {
        let children = parents.iter().filter(|(_, parent)| **parent == pid);
        wanted.extend(children.map(|(child, _)| *child));
        nanoseconds += of_threads(pid).ok_or_else(|| format!("process {pid} is not there"))?;
    }
    Ok(nanoseconds / 1e9)
}

/// The nanoseconds that all threads of a process have had (the first number of `schedstat`).
fn of_threads(pid: u32) -> Option<f64> {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).ok()?;
    let times = threads.flatten().filter_map(|thread| {
        let text = std::fs::read_to_string(thread.path().join("schedstat")).ok()?;
        text.split(' ').next()?.parse::<f64>().ok()
    });
    Some(times.sum())
}

/// Each process with its parent.
fn parents() -> HashMap<u32, u32> {
    let all = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let pairs = all.filter_map(|entry| {
        let pid = entry.file_name().to_str()?.parse().ok()?;
        let stat = std::fs::read_to_string(entry.path().join("stat")).ok()?;
        // Behind the name, which may hold anything: state, parent.
        let (_, behind) = stat.rsplit_once(')')?;
        Some((pid, behind.split_whitespace().nth(1)?.parse().ok()?))
    });
    pairs.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crossrealm_programs::shell;

    #[test]
    fn descendants_count_and_missing_processes_are_reported() {
        let alone = processor_s(&[std::process::id()]).unwrap();
        let mut busy = shell("sh -c 'while :; do :; done' & wait").spawn().unwrap();
        let began = Instant::now();
        let mut grown = 0.0;
        while grown < 0.05 && began.elapsed() < Duration::from_secs(60) {
            std::thread::sleep(Duration::from_millis(20));
            grown = processor_s(&[busy.id()]).unwrap();
        }
        let inner: Vec<u32> = parents()
            .into_iter()
            .filter(|(_, parent)| *parent == busy.id())
            .map(|(child, _)| child)
            .collect();
        for pid in &inner {
            let _ = command("kill").arg(pid.to_string()).status();
        }
        terminate(&mut busy);
        assert!(alone > 0.0 && grown >= 0.05, "{alone} {grown}");
        assert_eq!(inner.len(), 1);
        assert!(processor_s(&[0]).is_err());
    }
}
