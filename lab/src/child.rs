//! A program that runs for long in one place of the world, with a log file, and that cannot outlive us.
//!
//! Each service is the only tenant of a PID namespace. Killing the namespace's first process kills everything that was
//! started inside, however it forked, so there is no hunting for processes and nobody else's can be hit. The chain is
//! `setpriv --pdeathsig` → `ip netns exec` → `unshare --kill-child` → `sh` → the program: when the lab dies, even of
//! SIGKILL, the kernel ends the chain from left to right.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::{OnceLock, mpsc};
use std::time::{Duration, Instant};

use crate::run::{Failure, Run, signal};
use crate::wait::PATIENCE;

const POLL: Duration = Duration::from_millis(20);
const LOG_TAIL_BYTES: u64 = 6_000;

/// The first process of the PID namespace: gives the service its own `/run/samba` (two Sambas on one machine would share
/// it otherwise), reaps orphans as an init does, and ends with the service's exit code.
const INIT: &str = "mount -t tmpfs -o mode=755 none /run/samba || exit 71; \"$@\" & wait $!";

type Order = Box<dyn FnOnce() + Send>;

/// A long-running program.
#[derive(Debug)]
pub struct Service {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Service {
    pub(crate) fn start(name: &str, run: &Run, log: &Path) -> Result<Self, Failure> {
        std::fs::create_dir_all("/run/samba")?;
        let out = File::options().create(true).append(true).open(log)?;
        let wrapper = [
            "unshare",
            "--pid",
            "--fork",
            "--kill-child",
            "--mount",
            "--mount-proc",
            "--",
            "sh",
            "-c",
            INIT,
            "init",
        ];
        let mut command = run.command(&wrapper);
        command
            .stdin(Stdio::null())
            .stdout(out.try_clone()?)
            .stderr(out);
        // "Dies with its parent" means the parent *thread*: only a thread that lives as long as the lab may start services.
        let (answer, child) = mpsc::channel();
        let order: Order = Box::new(move || drop(answer.send(command.spawn())));
        let spawned = keeper().send(order).ok().and_then(|()| child.recv().ok());
        let child = spawned.ok_or_else(|| Failure::new("the lab's keeper thread is gone"))?;
        let child = child
            .map_err(|error| Failure::new(format!("cannot start `{}`: {error}", run.line())))?;
        Ok(Self {
            name: name.into(),
            child,
            log: log.into(),
        })
    }

    /// The service's name in messages.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its log file: both output streams.
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// The exit code when it has ended (`-1` for a signal), `None` while it runs.
    pub fn ended(&mut self) -> Option<i32> {
        self.child
            .try_wait()
            .ok()
            .flatten()
            .map(|status| status.code().unwrap_or(-1))
    }

    /// The last lines of its log, with a heading.
    pub fn log_tail(&self) -> String {
        format!("--- log of {}\n{}", self.name, tail(&self.log).trim_end())
    }

    /// The whole log from a byte position on; a position of 0 gives all of it.
    pub fn log_from(&self, position: u64) -> String {
        let mut bytes = Vec::new();
        if let Ok(mut file) = File::open(&self.log)
            && file.seek(SeekFrom::Start(position)).is_ok()
        {
            let _ = file.read_to_end(&mut bytes);
        }
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// How long the log is now, in bytes: a mark for [`Service::log_from`].
    pub fn log_mark(&self) -> u64 {
        std::fs::metadata(&self.log).map_or(0, |meta| meta.len())
    }

    /// Waits until a line of the log holds this text and returns the line.
    ///
    /// # Errors
    /// When the service ends before, or the time is over; with the log's tail.
    pub fn wait_for_line(&mut self, text: &str, limit: Duration) -> Result<String, Failure> {
        self.wait(&format!("a log line with `{text}`"), limit, |own| {
            own.log_from(0)
                .lines()
                .find(|line| line.contains(text))
                .map(str::to_owned)
        })
    }

    /// Waits until TCP ports of its network namespace are listened on.
    ///
    /// # Errors
    /// When the service ends before, or the time is over; with the log's tail.
    pub fn wait_for_ports(&mut self, ports: &[u16], limit: Duration) -> Result<(), Failure> {
        self.wait(&format!("TCP ports {ports:?}"), limit, |own| {
            let open = listening(own.child.id());
            ports.iter().all(|port| open.contains(port)).then_some(())
        })
    }

    fn wait<T>(
        &mut self,
        what: &str,
        limit: Duration,
        mut probe: impl FnMut(&Self) -> Option<T>,
    ) -> Result<T, Failure> {
        let began = Instant::now();
        loop {
            if let Some(found) = probe(self) {
                return Ok(found);
            }
            if let Some(code) = self.ended() {
                let account = format!(
                    "{} ended with exit code {code} before there was {what}",
                    self.name
                );
                return Err(Failure::new(account).with(self.log_tail()));
            }
            if began.elapsed() > limit {
                let account = format!(
                    "{}: after {} s there is still not {what}",
                    self.name,
                    limit.as_secs()
                );
                return Err(Failure::new(account).with(self.log_tail()));
            }
            std::thread::sleep(POLL);
        }
    }

    /// Sends the program itself, not what it started, a signal: `STOP`, `CONT`.
    pub fn signal(&self, name: &str) {
        for program in children(self.child.id())
            .iter()
            .flat_map(|init| children(*init))
        {
            signal(name, &program.to_string());
        }
    }

    /// Sends the program and everything that it started a signal, those above before those below.
    pub fn signal_all(&self, name: &str) {
        for process in self.processes() {
            signal(name, &process.to_string());
        }
    }

    /// Sends those processes a signal whose program has this name.
    pub fn signal_named(&self, program: &str, name: &str) {
        for process in self.processes() {
            let comm = std::fs::read_to_string(format!("/proc/{process}/comm")).unwrap_or_default();
            if comm.trim_end() == program {
                signal(name, &process.to_string());
            }
        }
    }

    /// The program and everything that it started.
    fn processes(&self) -> Vec<u32> {
        let inits = children(self.child.id());
        let mut found: Vec<u32> = inits.iter().flat_map(|init| children(*init)).collect();
        let mut at = 0;
        while let Some(process) = found.get(at) {
            found.extend(children_of_threads(*process));
            at += 1;
        }
        found
    }

    /// Asks the program to end (SIGTERM) and waits for it; kills it when it does not.
    ///
    /// # Errors
    /// When it had to be killed, or ended with another exit code than 0; with the log's tail.
    pub fn stop(mut self, limit: Duration) -> Result<(), Failure> {
        self.signal("TERM");
        let began = Instant::now();
        while began.elapsed() < limit {
            match self.ended() {
                Some(0) => return Ok(()),
                Some(code) => {
                    let account = format!(
                        "{} ended with exit code {code} when asked to stop",
                        self.name
                    );
                    return Err(Failure::new(account).with(self.log_tail()));
                }
                None => std::thread::sleep(POLL),
            }
        }
        let account = format!(
            "{} did not stop within {} s of SIGTERM",
            self.name,
            limit.as_secs()
        );
        Err(Failure::new(account).with(self.log_tail()))
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // The whole PID namespace goes with `unshare`'s child; waiting makes sure that its mounts and ports are free again.
        let inits = children(self.child.id());
        let _ = self.child.kill();
        let _ = self.child.wait();
        let began = Instant::now();
        while inits
            .iter()
            .any(|pid| Path::new(&format!("/proc/{pid}")).exists())
            && began.elapsed() < PATIENCE
        {
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

fn keeper() -> &'static mpsc::Sender<Order> {
    static KEEPER: OnceLock<mpsc::Sender<Order>> = OnceLock::new();
    KEEPER.get_or_init(|| {
        let (sender, orders) = mpsc::channel::<Order>();
        std::thread::spawn(move || orders.into_iter().for_each(|order| order()));
        sender
    })
}

fn children(pid: u32) -> Vec<u32> {
    let list =
        std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    list.split_whitespace()
        .filter_map(|pid| pid.parse().ok())
        .collect()
}

/// The children of all threads of a process.
fn children_of_threads(pid: u32) -> Vec<u32> {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task"));
    let tasks = tasks.into_iter().flatten().flatten();
    let lists = tasks.map(|task| std::fs::read_to_string(task.path().join("children")));
    let lists: Vec<String> = lists.filter_map(Result::ok).collect();
    let numbers = lists.iter().flat_map(|list| list.split_whitespace());
    numbers.filter_map(|number| number.parse().ok()).collect()
}

/// The TCP ports somebody listens on in the network namespace of a process.
fn listening(pid: u32) -> Vec<u16> {
    let tables = ["tcp", "tcp6"].map(|table| {
        std::fs::read_to_string(format!("/proc/{pid}/net/{table}")).unwrap_or_default()
    });
    tables
        .iter()
        .flat_map(|table| listening_in(table))
        .collect()
}

/// `/proc/net/tcp`: column 2 is `address:port` in hexadecimal, column 4 the state, `0A` being LISTEN.
fn listening_in(table: &str) -> Vec<u16> {
    table
        .lines()
        .filter_map(|line| {
            let mut columns = line.split_whitespace();
            let (local, state) = (columns.nth(1)?, columns.nth(1)?);
            let port = local.rsplit(':').next()?;
            if state == "0A" {
                u16::from_str_radix(port, 16).ok()
            } else {
                None
            }
        })
        .collect()
}

fn tail(path: &Path) -> String {
    let mut bytes = Vec::new();
    if let Ok(mut file) = File::open(path) {
        let length = file.metadata().map_or(0, |meta| meta.len());
        let _ = file.seek(SeekFrom::Start(length.saturating_sub(LOG_TAIL_BYTES)));
        let _ = file.read_to_end(&mut bytes);
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listening_ports_are_read_from_the_kernels_table() {
        let table = "  sl  local_address rem_address   st tx_queue\n\
                     0: 0100007F:0058 00000000:0000 0A 00000000\n\
                     1: 0100007F:0185 0100007F:9999 01 00000000\n";
        assert_eq!(listening_in(table), [88]);
        assert!(listening_in("garbage\n:").is_empty());
    }

    #[test]
    fn the_children_of_all_threads_are_found() {
        let mut child = crossrealm_programs::command("sleep")
            .arg("60")
            .spawn()
            .unwrap();
        let found = children_of_threads(std::process::id());
        let _ = child.kill();
        let _ = child.wait();
        assert!(found.contains(&child.id()), "{found:?}");
    }
}
