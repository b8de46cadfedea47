//! Every command and option that this program's texts name exists: what a hint says can be typed.

use crate::cli::Cli;
use clap::error::ErrorKind;
use clap::{Command, CommandFactory, Parser};
use std::path::{Path, PathBuf};

/// The files whose string literals name commands: this crate's and the checks of the diagnosis.
fn sources() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut folders = vec![root.join("src"), root.join("../doctor/src")];
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => folders.push(path),
                false => files.push(path),
            }
        }
    }
    // The reference names placeholders of its own, and this file the patterns.
    files.retain(|file| !file.ends_with("reference.rs") && !file.ends_with("hints/tests.rs"));
    files
}

/// The string literals of the product part of a file, comments left out.
fn literals(source: &str) -> Vec<String> {
    let product = source.split("#[cfg(test)]\nmod tests {").next().unwrap();
    let lines = product
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"));
    let text = lines
        .collect::<Vec<_>>()
        .join("\n")
        .replace("\\\"", "\u{0}");
    let strings = text.split('"').skip(1).step_by(2);
    strings.map(|one| one.replace('\u{0}', "'")).collect()
}

/// The words of each command in a text: from the program's name to the end of the quotation or clause.
fn commands(text: &str) -> Vec<Vec<String>> {
    let starts = text.match_indices("crossrealm ").map(|(at, _)| at);
    let typed = starts.filter(|at| text[..*at].is_empty() || text[..*at].ends_with(['`', ' ']));
    let command = |at: usize| {
        let command = text[at..].split(['`', ';', ',', '\'']).next().unwrap();
        let words = command.split_whitespace().map(placeholder);
        words.collect::<Vec<String>>()
    };
    typed.map(command).collect()
}

/// A value for a placeholder of a format string, and for one that stands for a number.
fn placeholder(word: &str) -> String {
    match word {
        "N" | "{deletions}" | "{losses}" => "1".to_owned(),
        "ACCOUNT/SHARE" | "{}/{}" => "acct1/docs".to_owned(),
        "ROLE" => "reader".to_owned(),
        "ID" => "00000000-0000-0000-0000-000000000001".to_owned(),
        "{}" => "x".to_owned(),
        word => word.replace(['{', '}'], ""),
    }
}

/// Whether the words begin a command of the program; a command without its required arguments counts: the text leaves out what
/// the caller typed before.
fn is_accepted(words: &[String]) -> Result<(), String> {
    match Cli::try_parse_from(words) {
        Ok(_) => Ok(()),
        Err(error) => match error.kind() {
            ErrorKind::MissingRequiredArgument
            | ErrorKind::MissingSubcommand
            | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => Ok(()),
            kind => Err(format!("`{}`: {kind}", words.join(" "))),
        },
    }
}

fn has_option(command: &Command, name: &str) -> bool {
    command
        .get_arguments()
        .any(|argument| argument.get_long() == Some(name))
        || command
            .get_subcommands()
            .any(|below| has_option(below, name))
}

/// The options quoted on their own, such as `` `--force` ``.
fn options(text: &str) -> impl Iterator<Item = &str> {
    text.split("`--").skip(1).filter_map(|rest| {
        rest.split(|c: char| c != '-' && !c.is_ascii_lowercase())
            .next()
    })
}

/// F15.
#[test]
fn commands_and_options_that_texts_name_exist() {
    let root = Cli::command();
    let (mut wrong, mut count) = (Vec::new(), 0);
    for file in sources() {
        let source = std::fs::read_to_string(&file).unwrap();
        for text in literals(&source) {
            for words in commands(&text) {
                count += 1;
                let refused = is_accepted(&words).err();
                wrong.extend(refused.map(|error| format!("{}: {error}", file.display())));
            }
            let unknown = options(&text).filter(|name| !has_option(&root, name));
            wrong.extend(unknown.map(|name| format!("{}: no option `--{name}`", file.display())));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(count > 60, "{count}");
}

/// S6: what an operator types when a key is stolen can be typed as it stands.
#[test]
fn the_commands_of_the_compromise_guide_are_complete() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let guide = std::fs::read_to_string(root.join("docs/guide/compromise.md")).unwrap();
    let typed: Vec<&str> = guide
        .lines()
        .filter(|line| line.starts_with("crossrealm "))
        .collect();
    assert!(typed.len() >= 12, "{}", typed.len());
    for line in typed {
        let words = line.split_whitespace();
        assert!(Cli::try_parse_from(words).is_ok(), "`{line}`");
    }
    // Those in the text leave out what the text says.
    for line in guide.lines() {
        for words in commands(line) {
            assert_eq!(is_accepted(&words), Ok(()), "{line}");
        }
        let unknown = options(line).find(|name| !has_option(&Cli::command(), name));
        assert_eq!(unknown, None, "{line}");
    }
}

#[test]
fn a_command_that_does_not_exist_is_found() {
    let found = commands("run `crossrealm tenant create NAME --flat-name X`, then go on");
    assert_eq!(found.len(), 1);
    assert!(is_accepted(&found[0]).is_err());
    assert!(is_accepted(&commands("crossrealm synch once")[0]).is_err());
    let words = commands("`crossrealm sync once` with `--accept-deletions {losses}`");
    assert_eq!(is_accepted(&words[0]), Ok(()));
    assert_eq!(
        options("`--force` and `--no-such`").collect::<Vec<_>>(),
        ["force", "no-such"]
    );
}
