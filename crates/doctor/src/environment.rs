//! Where the diagnosis runs.

use serde::Serialize;
use std::fs;
use std::io::Read;
use std::path::Path;

/// The part that this computer plays. It may play several.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Place {
    /// The computer that runs the service.
    Cloud,
    /// The SMB host that serves the share.
    #[serde(rename = "file-host")]
    SmbHost,
    /// A user's computer: its Kerberos is configured for the tenant, or it holds tickets.
    Workstation,
    /// A computer with credentials for the AD domain.
    AdministrationHost,
}

/// The most processes that are looked at.
const MAX_PROCESSES: usize = 100_000;
/// More than the command line of a service needs, in bytes.
const MAX_COMMAND_LINE: u64 = 4096;

/// The parts whose programs run on this computer. Behind address translation the service's name does not lead to an address of
/// the computer that runs it.
pub(crate) fn served_here() -> Vec<Place> {
    let own = network(Path::new("/proc/self"));
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let mut found = Vec::new();
    for process in processes.map(|entry| entry.path()).take(MAX_PROCESSES) {
        // A process of another user does not show its network, nor does one that has just ended.
        let is_elsewhere = network(&process).is_some_and(|other| own.as_ref() != Some(&other));
        let place = place_of(&command_line(&process)).filter(|_| !is_elsewhere);
        found.extend(place.filter(|place| !found.contains(place)));
    }
    found
}

/// The network that a process is in: a container has one of its own.
fn network(process: &Path) -> Option<std::path::PathBuf> {
    fs::read_link(process.join("ns/net")).ok()
}

fn command_line(process: &Path) -> Vec<u8> {
    let mut bytes = Vec::new();
    let file = fs::File::open(process.join("cmdline"));
    let _ = file.and_then(|file| file.take(MAX_COMMAND_LINE).read_to_end(&mut bytes));
    bytes
}

/// What a process with this command line, words that end in NUL, serves.
fn place_of(command_line: &[u8]) -> Option<Place> {
    let mut words = command_line.split(|byte| *byte == 0);
    let program = words.next()?.rsplit(|byte| *byte == b'/').next()?;
    if program != b"crossrealm" {
        return None;
    }
    let words: Vec<&[u8]> = words.collect();
    let serve = words.iter().position(|word| *word == b"serve")?;
    let is_of_files = words.iter().take(serve).any(|word| *word == b"files");
    Some(match is_of_files {
        true => Place::SmbHost,
        false => Place::Cloud,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_is_known_by_its_command_line() {
        let of = |words: &[&str]| place_of((words.join("\0") + "\0").as_bytes());
        let program = "/usr/bin/crossrealm";
        assert_eq!(of(&[program, "serve", "--config", "x"]), Some(Place::Cloud));
        let files = ["crossrealm", "--token-file", "t", "files", "serve"];
        assert_eq!(of(&files), Some(Place::SmbHost));
        for other in [
            &[program, "doctor"][..],
            &["vi", "serve"],
            &["crossrealm.old", "serve"],
            &[],
        ] {
            assert_eq!(of(other), None, "{other:?}");
        }
    }
}
