//! The account of the story: each hop as question, command, answer and time, so that a newcomer can follow it.

use std::time::Duration;

use crate::run::Output;

/// Answers longer than this are cut in the account; nobody reads a screen of JSON.
const MOST_ANSWER_LINES: usize = 18;

const INTRODUCTION: &str = "
Crossrealm in one story. Four machines, each in a network namespace of its own:

   onprem  10.77.1.1   a real Active Directory domain controller (Samba), domain CORP.CONTOSO.COM
   client  10.77.1.2   a workstation: reaches onprem and cloud; has only MIT kinit/kvno and smbclient
   admin   10.77.1.3   an administration host of the company: reaches both, the on-premises tools run here
   cloud   10.77.2.1   `crossrealm serve` (KDC proxy, API) and `crossrealm files serve` (SMB host)

There is no route between cloud and onprem, in either direction. No password and no hash leaves Active Directory.
For each hop: who → whom, what was asked, the command, the answer, and how long it took.
";

/// What has been told, and whether it is also printed.
#[derive(Debug)]
pub struct Account {
    aloud: bool,
}

impl Account {
    /// An account that is printed as it goes.
    pub fn aloud() -> Self {
        Self { aloud: true }
    }

    /// An account nobody hears: tests speak through their failures.
    pub fn silent() -> Self {
        Self { aloud: false }
    }

    pub(crate) fn introduction(&self) {
        self.say(INTRODUCTION);
    }

    pub(crate) fn heading(&self, number: usize, title: &str) {
        self.say(&format!("\n━━ {number}. {title}"));
    }

    /// One line of plain text.
    pub fn say(&self, text: &str) {
        if self.aloud {
            println!("{text}");
        }
    }

    /// A command that was run: where, towards whom, why.
    pub fn hop(&self, to: &str, asks: &str, output: &Output) {
        self.fact(&output.place, to, asks, output.took);
        self.say(&format!("     $ {}", shortened(&output.line)));
        self.answer(&output.both());
    }

    /// A hop that was seen rather than run: inside a client's trace, or on the network.
    pub fn fact(&self, from: &str, to: &str, asks: &str, took: Duration) {
        self.say(&format!(
            "\n   {:20} {asks}  ({})",
            format!("{from} → {to}"),
            milliseconds(took)
        ));
    }

    fn answer(&self, text: &str) {
        let lines: Vec<&str> = text
            .lines()
            .map(str::trim_end)
            .filter(|line| !line.is_empty())
            .collect();
        for line in lines.iter().take(MOST_ANSWER_LINES) {
            self.say(&format!("     │ {line}"));
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

/// The command without the folders of this run: `/tmp/xr-1-0-scratch.Ab/client/krb5.conf` becomes `krb5.conf`.
fn shortened(line: &str) -> String {
    let words = line.split(' ').map(|word| {
        let (option, path) = word
            .rsplit_once('=')
            .map_or(("", word), |(option, path)| (option, path));
        let (kind, path) = path
            .strip_prefix("FILE:")
            .map_or(("", path), |path| ("FILE:", path));
        let name = path.rsplit('/').next().unwrap_or(path);
        let equals = if option.is_empty() { "" } else { "=" };
        if path.starts_with('/') && !path.starts_with("//") {
            format!("{option}{equals}{kind}{name}")
        } else {
            word.to_owned()
        }
    });
    words.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_of_the_run_are_left_out() {
        let line = "/t/xr-1/bin/crossrealm serve --config /tmp/x/crossrealm.toml --a=/b/c //host/share https://login/x";
        assert_eq!(
            shortened(line),
            "crossrealm serve --config crossrealm.toml --a=c //host/share https://login/x"
        );
    }
}
