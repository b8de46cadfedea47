//! The account of the story: each hop as question, command, answer and time, so that a newcomer can follow it.

use std::path::Path;
use std::time::Duration;

use super::Step;
use crate::net::Place;
use crate::run::Output;

/// Answers longer than this are cut in the account; nobody reads a screen of JSON.
const MOST_ANSWER_LINES: usize = 20;

const INTRODUCTION: &str = "
Crossrealm in one story. Four machines, each in a network namespace of its own:

   onprem  10.77.1.1   a real Active Directory domain controller (Samba), domain CORP.CONTOSO.COM
   client  10.77.1.2   a workstation: reaches onprem and cloud; has only MIT kinit/kvno and smbclient
   admin   10.77.1.3   an administration host of the company: reaches both, the on-premises tools run here
   cloud   10.77.2.1   `crossrealm serve` (KDC proxy, API) and `crossrealm files serve` (SMB host)

There is no route between cloud and onprem, in either direction. No password and no hash leaves Active Directory.
For each hop: from, to, what was asked, the command, the answer, and how long it took.
";

/// The account so far, and whether it is also printed.
#[derive(Debug)]
pub struct Account {
    aloud: bool,
    /// The scratch folder, which is left out of the account: people want to read `krb5.conf`.
    scratch: String,
}

impl Account {
    /// An account that is printed as it goes.
    pub fn aloud() -> Self {
        Self {
            aloud: true,
            scratch: String::new(),
        }
    }

    /// An account nobody hears: tests speak through their failures.
    pub fn silent() -> Self {
        Self {
            aloud: false,
            scratch: String::new(),
        }
    }

    /// Leaves this folder, and the machines' folders in it, out of the account.
    pub(crate) fn leave_out(&mut self, scratch: &Path) {
        self.scratch = scratch.display().to_string();
    }

    fn plain(&self, text: &str) -> String {
        if self.scratch.is_empty() {
            return text.to_owned();
        }
        let folders = Place::ALL.map(|place| format!("{}/{}/", self.scratch, place.name()));
        folders
            .iter()
            .fold(text.to_owned(), |text, folder| text.replace(folder, ""))
    }

    pub(crate) fn introduction(&self) {
        self.say(INTRODUCTION);
    }

    pub(crate) fn heading(&self, number: usize, step: &Step) {
        self.say(&format!(
            "
━━ {number}. {}",
            step.title
        ));
        if !step.why.is_empty() {
            self.say(&format!("   {}", step.why));
        }
    }

    /// One line of plain text.
    pub fn say(&self, text: &str) {
        if self.aloud {
            println!("{text}");
        }
    }

    /// A command that was run: where, towards which machine, why.
    pub fn hop(&self, to: &str, asks: &str, output: &Output) {
        self.fact(&output.place, to, asks, output.took);
        let (program, rest) = output.line.split_once(' ').unwrap_or((&output.line, ""));
        let program = program.rsplit('/').next().unwrap_or(program);
        self.say(&format!("     $ {program} {}", self.plain(rest)));
        self.quote(&output.both());
    }

    /// A hop that was seen rather than run: inside a client's trace, or on the network.
    pub fn fact(&self, from: &str, to: &str, asks: &str, took: Duration) {
        self.say(&format!(
            "\n   {:24} {asks}  ({})",
            format!("{from} → {to}"),
            milliseconds(took)
        ));
    }

    /// What a command printed or a file holds.
    pub(crate) fn quote(&self, text: &str) {
        let lines: Vec<&str> = text
            .lines()
            .map(str::trim_end)
            .filter(|line| !line.is_empty())
            .collect();
        for line in lines.iter().take(MOST_ANSWER_LINES) {
            self.say(&format!("     │ {}", self.plain(line)));
        }
        if lines.len() > MOST_ANSWER_LINES {
            self.say(&format!(
                "     │ … {} more lines",
                lines.len() - MOST_ANSWER_LINES
            ));
        }
    }
}

fn milliseconds(took: Duration) -> String {
    if took < Duration::from_secs(10) {
        format!("{} ms", took.as_millis())
    } else {
        format!("{:.1} s", took.as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_of_the_run_are_left_out() {
        let mut account = Account::silent();
        account.leave_out(Path::new("/tmp/xr-1-0-scratch.Ab"));
        let line = "kvno -c FILE:/tmp/xr-1-0-scratch.Ab/client/alice.ccache //host/share /etc/x";
        assert_eq!(
            account.plain(line),
            "kvno -c FILE:alice.ccache //host/share /etc/x"
        );
    }
}
