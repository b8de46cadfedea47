//! Prompts, for what must not be on a command line.
//!
//! At a terminal a person is asked, and a secret is not echoed; otherwise each prompt takes the next line of standard input, so
//! that a script answers the prompts in their order.

use crate::activity;
use crate::failure::Failure;
use crate::terminal;
use std::io::{BufRead, IsTerminal, Read};
use zeroize::Zeroizing;

/// The longest answer, in bytes.
const MAX_ANSWER: u64 = 4096;

/// Whether a person types `yes` to this question, at the terminal.
pub(crate) fn is_confirmed(question: &str) -> bool {
    let _asking = activity::hold();
    terminal::ask(question);
    let mut answer = String::new();
    let read = std::io::stdin()
        .lock()
        .take(MAX_ANSWER)
        .read_line(&mut answer);
    read.is_ok() && answer.trim() == "yes"
}

/// Asks for a name.
pub(crate) fn name(question: &str) -> Result<String, Failure> {
    let _asking = activity::hold();
    if std::io::stdin().is_terminal() {
        terminal::ask(&format!("{question}: "));
    }
    line(question).map(|line| line.trim().to_owned())
}

/// Asks for a secret.
pub(crate) fn secret(question: &str) -> Result<Zeroizing<String>, Failure> {
    if !std::io::stdin().is_terminal() {
        return line(question);
    }
    let _asking = activity::hold();
    let answer = rpassword::prompt_password(format!("{question}: "))
        .map_err(|error| unread(question, &error.to_string()))?;
    Ok(Zeroizing::new(answer))
}

/// Asks for a new secret, at a terminal twice.
pub(crate) fn new_secret(question: &str) -> Result<Zeroizing<String>, Failure> {
    let first = secret(question)?;
    if std::io::stdin().is_terminal() && *secret(&format!("{question}, again"))? != *first {
        return Err(Failure::new("the passwords do not match"));
    }
    Ok(first)
}

/// The next line of standard input.
fn line(question: &str) -> Result<Zeroizing<String>, Failure> {
    let mut line = Zeroizing::new(String::new());
    std::io::stdin()
        .lock()
        .take(MAX_ANSWER)
        .read_line(&mut line)
        .map_err(|error| unread(question, &error.to_string()))?;
    let answer = line.trim_end_matches(['\r', '\n']);
    match answer {
        "" => Err(unread(question, "no input")),
        answer => Ok(Zeroizing::new(answer.to_owned())),
    }
}

fn unread(question: &str, reason: &str) -> Failure {
    Failure::new(format!("cannot read `{question}`: {reason}"))
        .hint("run it at a terminal, or give one answer per line on standard input")
}
