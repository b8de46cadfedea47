//! One command, run to its end in one place of the world: what it was, what it said, how long it took.
//!
//! A failure always carries the command line, both output streams and, where the caller adds it, the tail of a server's log,
//! so that nobody has to run a test twice to learn what happened.

use std::ffi::OsStr;
use std::fmt;
use std::io::{Read, Write};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::wait::PATIENCE;
use crossrealm_programs::PATH;

const POLL: Duration = Duration::from_millis(4);

/// A step of the lab that went wrong, with its evidence.
#[derive(Debug)]
pub struct Failure(String);

impl Failure {
    /// A failure with this account.
    pub fn new(account: impl Into<String>) -> Self {
        Self(account.into())
    }

    /// The same failure with more evidence below it.
    #[must_use]
    pub fn with(self, evidence: impl fmt::Display) -> Self {
        Self(format!("{}\n{evidence}", self.0))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Failure {}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self(format!("the lab itself failed: {error}"))
    }
}

/// A command to be run in a namespace, with a small environment of its own.
#[derive(Debug, Clone)]
pub struct Run {
    namespace: Option<String>,
    place: String,
    argv: Vec<String>,
    env: Vec<(String, String)>,
    stdin: Vec<u8>,
    timeout: Duration,
    home: PathBuf,
}

impl Run {
    /// A command on the machine itself, outside all namespaces.
    pub fn here(program: impl AsRef<OsStr>) -> Self {
        Self::build(None, "lab".into(), program, PathBuf::from("/nonexistent"))
    }

    pub(crate) fn inside(
        namespace: String,
        place: String,
        program: impl AsRef<OsStr>,
        home: PathBuf,
    ) -> Self {
        Self::build(Some(namespace), place, program, home)
    }

    fn build(
        namespace: Option<String>,
        place: String,
        program: impl AsRef<OsStr>,
        home: PathBuf,
    ) -> Self {
        let argv = vec![program.as_ref().to_string_lossy().into_owned()];
        Self {
            namespace,
            place,
            argv,
            env: Vec::new(),
            stdin: Vec::new(),
            timeout: PATIENCE,
            home,
        }
    }

    /// Adds one argument.
    #[must_use]
    pub fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.argv
            .push(argument.as_ref().to_string_lossy().into_owned());
        self
    }

    /// Adds arguments.
    #[must_use]
    pub fn args<A: AsRef<OsStr>>(self, arguments: impl IntoIterator<Item = A>) -> Self {
        arguments.into_iter().fold(self, Self::arg)
    }

    /// The same command as the last words of another one: `timeout 3 …`.
    #[must_use]
    pub fn under(mut self, wrapper: &[&str]) -> Self {
        let words = wrapper.iter().map(|word| (*word).to_owned());
        self.argv.splice(0..0, words);
        self
    }

    /// Sets one environment variable.
    #[must_use]
    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.env
            .push((name.into(), value.as_ref().to_string_lossy().into_owned()));
        self
    }

    /// What the command reads from its standard input; nothing unless said.
    #[must_use]
    pub fn stdin(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.stdin = bytes.into();
        self
    }

    /// How long the command may take before it is killed; one minute unless said.
    #[must_use]
    pub fn timeout(mut self, limit: Duration) -> Self {
        self.timeout = limit;
        self
    }

    /// The command line as a person would type it.
    pub fn line(&self) -> String {
        self.argv
            .iter()
            .map(|word| quoted(word))
            .collect::<Vec<_>>()
            .join(" ")
    }

    /// The operating system's command: dies with the thread that started it, sees a small environment only.
    pub(crate) fn command(&self, wrapper: &[&str]) -> Command {
        crossrealm_programs::demand_all(&self.argv);
        let mut command = crossrealm_programs::command("setpriv");
        command.args(["--pdeathsig", "KILL", "--"]);
        if let Some(namespace) = &self.namespace {
            command.args(["ip", "netns", "exec", namespace]);
        }
        command.args(wrapper).args(&self.argv).env_clear();
        command
            .env("PATH", PATH)
            .env("LC_ALL", "C.UTF-8")
            .env("HOME", &self.home)
            .env("TZ", "UTC");
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
        command.process_group(0);
        command
    }

    /// Runs it and returns its output, also when it failed.
    ///
    /// # Errors
    /// Only when it could not be started or did not end in time.
    pub fn output(&self) -> Result<Output, Failure> {
        let started = Instant::now();
        let mut child = self
            .command(&[])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| Failure::new(format!("cannot start `{}`: {error}", self.line())))?;
        let mut input = child.stdin.take();
        let bytes = self.stdin.clone();
        let feeder = std::thread::spawn(move || {
            if let Some(pipe) = input.as_mut() {
                // A command that does not read its input closes the pipe: that is its right.
                let _ = pipe.write_all(&bytes);
            }
        });
        let stdout = drain(child.stdout.take());
        let stderr = drain(child.stderr.take());
        let mut late = false;
        let status = loop {
            if let Some(status) = child.try_wait()? {
                break status;
            }
            if started.elapsed() > self.timeout && !late {
                late = true;
                signal("KILL", &format!("-{}", child.id()));
            }
            std::thread::sleep(POLL);
        };
        let took = started.elapsed();
        // A background grandchild that kept the pipes would block us for ever: its group ends with its leader.
        signal("KILL", &format!("-{}", child.id()));
        let _ = feeder.join();
        let output = Output {
            place: self.place.clone(),
            line: self.line(),
            code: status.code(),
            stdout: stdout.join().unwrap_or_default(),
            stderr: stderr.join().unwrap_or_default(),
            took,
        };
        if late {
            return Err(output.failure(&format!("did not end within {} s", self.timeout.as_secs())));
        }
        Ok(output)
    }

    /// Runs it and expects success.
    ///
    /// # Errors
    /// Any exit code but 0, with both output streams.
    pub fn ok(&self) -> Result<Output, Failure> {
        let output = self.output()?;
        if output.code == Some(0) {
            Ok(output)
        } else {
            Err(output.failure("was expected to succeed"))
        }
    }

    /// Runs it and expects failure with this exit code.
    ///
    /// # Errors
    /// Any other exit code, with both output streams.
    pub fn refused(&self, code: i32) -> Result<Output, Failure> {
        let output = self.output()?;
        if output.code == Some(code) {
            Ok(output)
        } else {
            Err(output.failure(&format!("was expected to exit with {code}")))
        }
    }
}

fn drain(pipe: Option<impl Read + Send + 'static>) -> std::thread::JoinHandle<Vec<u8>> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            let _ = pipe.read_to_end(&mut bytes);
        }
        bytes
    })
}

/// Sends a signal by the shell's own `kill`, so that no unsafe code is needed. A process that is gone is no error.
pub(crate) fn signal(name: &str, target: &str) {
    let _ = crossrealm_programs::shell("kill -s \"$1\" -- \"$2\" 2>/dev/null")
        .args([name, target])
        .stdin(Stdio::null())
        .status();
}

fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "-_./:=@,%+$".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.into()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

/// What a command said.
#[derive(Debug)]
pub struct Output {
    /// Where it ran: `client`, `cloud`, ….
    pub place: String,
    /// The command line.
    pub line: String,
    /// The exit code; `None` when a signal ended it.
    pub code: Option<i32>,
    /// Standard output, byte for byte.
    pub stdout: Vec<u8>,
    /// Standard error, byte for byte.
    pub stderr: Vec<u8>,
    /// Wall-clock time from start to end.
    pub took: Duration,
}

impl Output {
    /// Standard output as text.
    pub fn out(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// Standard error as text.
    pub fn err(&self) -> String {
        String::from_utf8_lossy(&self.stderr).into_owned()
    }

    /// Both streams, standard output first.
    pub fn both(&self) -> String {
        format!("{}{}", self.out(), self.err())
    }

    /// Expects this text in either stream.
    ///
    /// # Errors
    /// When it is in neither.
    pub fn says(&self, text: &str) -> Result<&Self, Failure> {
        if self.both().contains(text) {
            Ok(self)
        } else {
            Err(self.failure(&format!("was expected to say `{text}`")))
        }
    }

    /// Expects this exact line, but for blanks at its ends, in either stream.
    ///
    /// # Errors
    /// When no line equals it.
    pub fn says_line(&self, line: &str) -> Result<&Self, Failure> {
        if self.both().lines().any(|own| own.trim() == line) {
            Ok(self)
        } else {
            Err(self.failure(&format!("was expected to say the line `{line}`")))
        }
    }

    /// Expects this text in neither stream.
    ///
    /// # Errors
    /// When it is there.
    pub fn does_not_say(&self, text: &str) -> Result<&Self, Failure> {
        if self.both().contains(text) {
            Err(self.failure(&format!("was not expected to say `{text}`")))
        } else {
            Ok(self)
        }
    }

    /// Standard output parsed as JSON.
    ///
    /// # Errors
    /// When it is not JSON.
    pub fn json(&self) -> Result<serde_json::Value, Failure> {
        serde_json::from_slice(&self.stdout)
            .map_err(|error| self.failure(&format!("was expected to print JSON: {error}")))
    }

    /// The whole account of this command as a failure.
    pub fn failure(&self, expectation: &str) -> Failure {
        let code = self.code.map_or_else(
            || "killed by a signal".into(),
            |code| format!("exit code {code}"),
        );
        Failure::new(format!(
            "[{}] $ {}\n{expectation}, but: {code} after {} ms\n--- stdout\n{}\n--- stderr\n{}",
            self.place,
            self.line,
            self.took.as_millis(),
            self.out().trim_end(),
            self.err().trim_end()
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_streams_and_the_code_are_kept() {
        let output = Run::here("/bin/sh")
            .args(["-c", "cat; echo bad >&2; exit 3"])
            .stdin("good\n")
            .output()
            .unwrap();
        assert_eq!(
            (output.out().as_str(), output.err().as_str(), output.code),
            ("good\n", "bad\n", Some(3))
        );
        assert!(output.says("bad").is_ok());
        assert!(output.says_line("goo").is_err());
        assert!(output.does_not_say("good").is_err());
    }

    #[test]
    fn a_failure_shows_command_and_both_streams() {
        let failure = Run::here("/bin/sh")
            .args(["-c", "echo one; echo two >&2; exit 7"])
            .ok()
            .unwrap_err()
            .to_string();
        for part in [
            "$ /bin/sh -c 'echo one; echo two >&2; exit 7'",
            "exit code 7",
            "one",
            "two",
        ] {
            assert!(failure.contains(part), "{part} is missing in:\n{failure}");
        }
    }

    #[test]
    fn a_command_that_hangs_is_killed_with_its_children() {
        let began = Instant::now();
        let run = Run::here("/bin/sh")
            .args(["-c", "sleep 600 & sleep 600"])
            .timeout(Duration::from_millis(200));
        let failure = run.output().unwrap_err().to_string();
        assert!(failure.contains("did not end within"), "{failure}");
        // Far sooner than the command would have ended by itself.
        assert!(began.elapsed() < Duration::from_secs(300));
    }

    #[test]
    fn the_environment_is_small() {
        let output = Run::here("/usr/bin/env")
            .env("MARK", "1")
            .ok()
            .unwrap()
            .out();
        assert!(
            output.contains("MARK=1") && !output.contains("CARGO"),
            "{output}"
        );
    }
}
