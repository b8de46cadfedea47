//! The programs that a shell script starts, found without running it.
//!
//! This reads enough of the POSIX shell's grammar for scripts of a test: command words behind separators and reserved words,
//! quotes, substitutions in double quotes, comments and here-documents that are no longer than what is written in Rust. What
//! it takes for a command and is none is an error that a reader sees at once; nothing unlisted passes as an argument, except
//! behind `xargs` and the like, which the table does not name.

use crate::{find, table};

/// What the shell itself does, and its reserved words that begin no command.
const BUILTINS: &[&str] = &[
    ".", ":", "[", "alias", "break", "cd", "command", "continue", "echo", "eval", "exec", "exit",
    "export", "false", "kill", "printf", "pwd", "read", "return", "set", "shift", "test", "trap",
    "true", "type", "ulimit", "umask", "unset", "wait", "for", "case", "in", "esac", "done", "fi",
    "}", "local",
];
/// Words behind which a command begins.
const PREFIXES: &[&str] = &[
    "!", "{", "do", "elif", "else", "if", "then", "time", "until", "while", "exec", "command",
];

/// Whether a program is a shell that takes a script.
pub fn is_shell(program: &str) -> bool {
    matches!(program.rsplit('/').next(), Some("sh" | "bash" | "dash"))
}

/// The scripts in a command line: what stands behind `sh -c`.
pub fn of_command_line(argv: &[String]) -> impl Iterator<Item = &str> {
    let threes = argv.windows(3);
    threes
        .filter(|three| is_shell(&three[0]) && three[1] == "-c")
        .map(|three| three[2].as_str())
}

/// The command words of a script that are neither the shell's own, nor functions of the script, nor in the table.
pub fn unlisted(script: &str) -> Vec<String> {
    let words = commands(script);
    let defines = |name: &str| script.contains(&format!("{name}()"));
    let fine = |word: &str| {
        let name = word.rsplit('/').next().unwrap_or(word);
        // A variable holds what the caller gave, which was checked where it was given.
        word.starts_with('$')
            || word.starts_with("\"$")
            || BUILTINS.contains(&word)
            || defines(word)
            || table::package_of(name).is_some()
            || is_path_of_ours(word)
    };
    words.into_iter().filter(|word| !fine(word)).collect()
}

/// An absolute path outside the folders of the system: the product, or a tool made for the test.
fn is_path_of_ours(word: &str) -> bool {
    word.starts_with('/')
        && !["/usr/", "/bin/", "/sbin/"]
            .iter()
            .any(|folder| word.starts_with(folder))
}

/// All words that stand where a command stands.
fn commands(script: &str) -> Vec<String> {
    let mut reader = Reader {
        chars: script.chars().collect(),
        at: 0,
        parentheses: 0,
        in_backquotes: false,
        found: Vec::new(),
    };
    reader.list(None);
    reader.found
}

struct Reader {
    chars: Vec<char>,
    at: usize,
    /// How many are open.
    parentheses: usize,
    in_backquotes: bool,
    found: Vec<String>,
}

impl Reader {
    fn peek(&self) -> Option<char> {
        self.chars.get(self.at).copied()
    }

    /// Reads commands until the closing character, or the end.
    fn list(&mut self, until: Option<char>) {
        let (mut begins, mut wraps) = (true, false);
        while let Some(c) = self.peek() {
            match c {
                _ if Some(c) == until => {
                    self.at += 1;
                    return;
                }
                '\n' | ';' | '|' | '(' | ')' => {
                    match c {
                        '(' => self.parentheses += 1,
                        ')' => self.parentheses = self.parentheses.saturating_sub(1),
                        _ => {}
                    }
                    self.at += 1;
                    begins = true;
                }
                '&' => {
                    // `2>&1` and `&>` redirect; elsewhere a command ends.
                    let redirects =
                        self.at > 0 && matches!(self.chars.get(self.at - 1), Some('>' | '<'));
                    begins = begins || !redirects;
                    self.at += 1;
                }
                '#' => self.skip_line(),
                c if c.is_whitespace() => self.at += 1,
                '>' | '<' => {
                    while matches!(self.peek(), Some('>' | '<' | '&' | ' ')) {
                        self.at += 1;
                    }
                    self.word();
                }
                _ => {
                    let word = self.word();
                    if begins {
                        begins = self.is_prefix(&word);
                        wraps = !begins && table::is_wrapper(&word);
                    } else if wraps && find(&word).is_some() {
                        // As in a command line: a word that names an installed program is taken for one.
                        self.found.push(word);
                    }
                }
            }
        }
    }

    /// Notes a word in the place of a command; whether the next word is in such a place, too.
    fn is_prefix(&mut self, word: &str) -> bool {
        let assigns = word.split_once('=').is_some_and(|(name, _)| {
            !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || c == '_')
        });
        let redirects =
            word.chars().all(|c| c.is_ascii_digit()) && matches!(self.peek(), Some('>' | '<'));
        // No program begins with a hyphen: it is an option of a prefix, as in `command -v btrfs`.
        let is_option = word.starts_with('-');
        if assigns || redirects || is_option || PREFIXES.contains(&word) {
            return true;
        }
        let labels_a_case = self.peek() == Some(')') && self.parentheses == 0;
        if !labels_a_case {
            self.found.push(word.to_owned());
        }
        false
    }

    fn skip_line(&mut self) {
        while self.peek().is_some_and(|c| c != '\n') {
            self.at += 1;
        }
    }

    /// One word as it is written; commands that are substituted in it are read.
    fn word(&mut self) -> String {
        let begin = self.at;
        while let Some(c) = self.peek() {
            match c {
                '\\' => self.at += 2,
                '\'' => {
                    self.at += 1;
                    while self.peek().is_some_and(|c| c != '\'') {
                        self.at += 1;
                    }
                    self.at += 1;
                }
                '"' => self.double_quoted(),
                '$' => self.dollar(),
                '`' if self.in_backquotes => break,
                '`' => self.backquotes(),
                c if c.is_whitespace() || ";|&()<>".contains(c) => break,
                _ => self.at += 1,
            }
        }
        self.at = self.at.min(self.chars.len());
        self.chars[begin..self.at].iter().collect()
    }

    fn double_quoted(&mut self) {
        self.at += 1;
        while let Some(c) = self.peek() {
            match c {
                '"' => {
                    self.at += 1;
                    return;
                }
                '\\' => self.at += 2,
                '$' => self.dollar(),
                '`' if self.in_backquotes => return,
                '`' => self.backquotes(),
                _ => self.at += 1,
            }
        }
    }

    fn backquotes(&mut self) {
        self.at += 1;
        self.in_backquotes = true;
        self.list(Some('`'));
        self.in_backquotes = false;
    }

    /// `$name`, `${…}`, `$((…))` or `$(…)`.
    fn dollar(&mut self) {
        self.at += 1;
        match (self.peek(), self.chars.get(self.at + 1)) {
            (Some('('), Some('(')) => {
                while self.at < self.chars.len() && !self.chars[self.at..].starts_with(&[')', ')'])
                {
                    self.at += 1;
                }
                self.at += 2;
            }
            (Some('('), _) => {
                self.at += 1;
                self.parentheses += 1;
                self.list(Some(')'));
                self.parentheses -= 1;
            }
            (Some('{'), _) => {
                while self.peek().is_some_and(|c| c != '}') {
                    self.at += 1;
                }
                self.at += 1;
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_of_a_script_is_found() {
        let script = "set -e # one\ncd \"$1\" && odd1 x | odd2; A=1 odd3 \"$(odd4 y)\" 2>&1 >out & if ! odd5; then odd6; fi
            for f in *.deb; do exec odd7 \"$f\" || exit 1; done; (odd8); x=`odd9`; case $x in a) odd10;; esac
            echo ${y:-1} $((1 + 2)) 'odd11' \"odd12 $(odd13)\"; $1 --flag; \"$@\"; helper; helper() { odd14; }";
        let found = unlisted(script);
        let expected = [1, 2, 4, 3, 5, 6, 7, 8, 9, 10, 13, 14].map(|n| format!("odd{n}"));
        let mut sorted = found.clone();
        sorted.sort();
        let mut expected = expected.to_vec();
        expected.sort();
        assert_eq!(sorted, expected, "{found:?}");
    }

    #[test]
    fn listed_programs_and_those_built_here_pass() {
        let script = "mount --bind /a /b && /src/target/debug/crossrealm serve; /bin/sh -c true; exec 3<>/dev/tcp/10.0.0.1/88";
        assert_eq!(unlisted(script), Vec::<String>::new());
        assert_eq!(unlisted("/usr/bin/strange x"), ["/usr/bin/strange"]);
        let found = "mount --bind /dev/null \"$(command -v btrfs)\" && exec strange";
        assert_eq!(unlisted(found), ["strange"]);
        assert_eq!(
            unlisted("stdbuf -oL smbclient x; timeout 3 mount; env ls"),
            ["ls"]
        );
    }

    #[test]
    fn scripts_are_found_in_a_command_line() {
        let argv = [
            "unshare", "--mount", "sh", "-c", "true", "sh", "psql", "-c", "select 1",
        ]
        .map(str::to_owned);
        assert_eq!(of_command_line(&argv).collect::<Vec<_>>(), ["true"]);
    }
}
