//! The installation of the README, by its own commands: read out of it, and typed on four machines that know nothing yet.
//!
//! Each machine has `/etc` and `/var/lib` of its own, so that every default path is the real one. What a person brings from one
//! machine to another is copied, and nothing else. The file that the user wrote is looked for on the SMB host's disk. Each command
//! ends with the one that the README has next.

use std::collections::BTreeSet;

use crossrealm_lab::readme::{Machines, commands};
use crossrealm_lab::{Failure, Output, PATIENCE, World, build_product, need};

/// The unit that the README starts. These machines have no systemd: what it runs is typed.
const UNIT: &str = include_str!("../../packaging/systemd/crossrealm.service");
const ENABLE: &str = "systemctl enable --now crossrealm";
/// The most commands that a first share may take (F24).
const MOST_COMMANDS: usize = 12;

/// The guide's commands for a sync agent, on a machine that knows nothing but its join file.
const CONNECTOR: &str = "crossrealm connector create --domain corp.contoso.com --join sync.join";
const AGENT: &str =
    "crossrealm sync once --join sync.join --domain-user administrator@corp.contoso.com";

/// What the user writes.
const REPORT: &str = "the report of a user of AD\n";

/// F24: from installed packages to a file written by a domain user, by the README alone.
#[test]
fn f24_the_readme_leads_to_a_written_file() {
    if need::skipped() {
        return;
    }
    if let Err(failure) = play() {
        panic!("{failure}");
    }
}

fn play() -> Result<(), Failure> {
    let [service, admin, host, workstation] = commands()?;
    let typed = [&service, &admin, &host, &workstation];
    let count: usize = typed.iter().map(|commands| commands.len()).sum();
    if count > MOST_COMMANDS {
        return Err(Failure::new(format!("the README takes {count} commands")));
    }
    let world = World::start()?;
    world.add_cloud_host("acct1.file.contoso.cloud.example")?;
    let played = Machines {
        product: build_product()?,
        world: &world,
    };
    let [init, enable] = &service[..] else {
        return Err(Failure::new("the service takes other commands"));
    };
    let serve = UNIT
        .lines()
        .find_map(|line| line.strip_prefix("ExecStart=/usr/bin/"));
    let (ENABLE, Some(serve)) = (enable.as_str(), serve) else {
        return Err(Failure::new("the service is started in another way"));
    };
    let printed = played.run("service", init)?;
    let fingerprint = value(&printed, "CaFingerprint")?;
    // The service runs until it is stopped: `init` names what comes behind it, too.
    // Where the package's unit is missing, it names what the unit runs.
    suggests(&printed.err(), "crossrealm serve")?;
    suggests(&printed.err(), &admin[0])?;
    let _service = played.start("service", serve, 443)?;
    played.bring("service", "etc/crossrealm/admin.token", "admin")?;
    let [serve] = &host[..] else {
        return Err(Failure::new("the SMB host takes other commands"));
    };
    for (command, next) in admin.iter().zip(admin.iter().skip(1).chain([serve])) {
        let printed = played.run("admin", &command.replace("FINGERPRINT", &fingerprint))?;
        suggests(&printed.err(), next)?;
    }
    played.bring("admin", "home/acct1.join", "smb-host")?;
    let mut host = played.start_at_terminal("smb-host", serve, 445)?;
    suggests(
        &host.wait_for_line("next, on a workstation: ", PATIENCE)?,
        &workstation[0],
    )?;
    std::fs::create_dir_all(played.disk("workstation").join("home"))?;
    std::fs::write(played.disk("workstation").join("home/report.txt"), REPORT)?;
    for (number, command) in workstation.iter().enumerate() {
        let printed = played.run("workstation", &command.replace("FINGERPRINT", &fingerprint))?;
        if number == 0 {
            suggests(&printed.err(), &workstation[1])?;
        }
    }
    let printed = played.run("admin", CONNECTOR)?;
    suggests(&printed.err(), &AGENT.replace(" once ", " run "))?;
    played.bring("admin", "home/sync.join", "agent")?;
    let printed = played.run("agent", AGENT)?;
    suggests(&printed.err(), &AGENT.replace(" once ", " run "))?;
    let written = "lib/crossrealm/files/acct1/shares/projects/report.txt";
    match std::fs::read_to_string(played.disk("smb-host").join(written)) {
        Ok(content) if content == REPORT => Ok(()),
        other => Err(Failure::new(format!(
            "the user's file on the host is {other:?}"
        ))),
    }
}

/// A command line without its values: the program, its commands and its options.
fn shape(line: &str) -> (Vec<&str>, BTreeSet<&str>) {
    let is_command = |word: &&str| word.chars().all(|c| c.is_ascii_lowercase() || c == '-');
    let words = line.split_whitespace();
    let options = words.clone().filter(|word| word.starts_with("--"));
    let commands = words.take_while(|word| is_command(word) && !word.starts_with('-'));
    (commands.collect(), options.collect())
}

/// Whether a command's output names the one that the README has next, with the same options.
fn suggests(printed: &str, next: &str) -> Result<(), Failure> {
    let lines = printed.lines().filter(|line| line.starts_with("next"));
    let mut named = lines.filter_map(|line| line.split('`').nth(1));
    match named.any(|named| shape(named) == shape(next)) {
        true => Ok(()),
        false => {
            Err(Failure::new(format!("`{next}` was expected as the next command")).with(printed))
        }
    }
}

/// The value of a line `Name : value`.
fn value(output: &Output, name: &str) -> Result<String, Failure> {
    let text = output.out();
    let lines = text.lines().filter_map(|line| line.split_once(':'));
    let mut values = lines.filter(|(found, _)| found.trim() == name);
    let value = values.next().map(|(_, value)| value.trim().to_owned());
    value.ok_or_else(|| output.failure(&format!("was expected to print `{name}`")))
}
