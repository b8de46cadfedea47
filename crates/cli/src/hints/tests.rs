//! Every command and option that this program's texts name exists: what a hint says can be typed.

use super::caller::Caller;
use crate::cli::Cli;
use clap::error::ErrorKind;
use clap::{Command, CommandFactory, Parser};
use crossrealm_api::endpoint::ENDPOINTS;
use crossrealm_api::{Attention, AttentionCode, Code, ErrorDetails, Refusal, Severity};
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
        "N" | "{deletions}" | "{removals}" => "1".to_owned(),
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

/// Whether the words are a command as it stands.
fn is_complete(words: &[String]) -> Result<(), String> {
    let parsed = Cli::try_parse_from(words);
    let refused = parsed.map(drop).map_err(|error| error.kind());
    refused.map_err(|kind| format!("`{}`: {kind}", words.join(" ")))
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

/// The sources of the product, whose string literals a user may read.
fn product() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut folders: Vec<PathBuf> = std::fs::read_dir(root)
        .unwrap()
        .map(|e| e.unwrap().path().join("src"))
        .collect();
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
    let is_test = |path: &PathBuf| {
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        name.ends_with("tests") || path.components().any(|part| part.as_os_str() == "tests")
    };
    // They write the documents.
    let writes_documents = |path: &PathBuf| {
        let name = path.file_name().unwrap();
        name == "reference.rs" || name == "openapi.rs"
    };
    files.retain(|path| {
        path.extension().is_some_and(|e| e == "rs") && !is_test(path) && !writes_documents(path)
    });
    files
}

/// F15: no text names a file of the documentation, which is not installed: a page is named by its title.
#[test]
fn f15_no_text_names_a_file_of_the_documentation() {
    let files = product();
    assert!(files.len() > 250, "{}", files.len());
    let mut wrong = Vec::new();
    for file in &files {
        let source = std::fs::read_to_string(file).unwrap();
        let named = literals(&source)
            .into_iter()
            // The service's own address of the documentation names no file.
            .filter(|text| text.contains("docs/") && text != "/docs/");
        wrong.extend(named.map(|text| format!("{}: {text}", file.display())));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// F15: the pages that texts name by their title are those of the documentation.
#[test]
fn f15_pages_that_texts_name_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/guide");
    let first = |path: PathBuf| {
        let text = std::fs::read_to_string(path).unwrap();
        text.lines()
            .next()
            .unwrap()
            .trim_start_matches("# ")
            .to_owned()
    };
    let pages = std::fs::read_dir(root).unwrap();
    let titles: Vec<String> = pages.map(|page| first(page.unwrap().path())).collect();
    let mut count = 0;
    for file in product() {
        let source = std::fs::read_to_string(&file).unwrap();
        for text in literals(&source) {
            for named in text.split("the page *").skip(1) {
                let title = named.split('*').next().unwrap();
                assert!(
                    titles.iter().any(|known| known == title),
                    "{}: no page `{title}`",
                    file.display()
                );
                count += 1;
            }
        }
    }
    assert!(count >= 7, "{count}");
}

/// A refusal with this code and the objects that it may name, with and without the right to rotate a trust.
fn refusals(code: Code) -> [Refusal; 2] {
    [false, true].map(|needs_trust_rotation| Refusal {
        status: code.status(),
        code,
        message: String::new(),
        details: ErrorDetails {
            account: Some("acct1".into()),
            domain: Some("corp.contoso.com".into()),
            name: Some("files.contoso.com".into()),
            kvno: Some(3),
            deletions: Some(51),
            needs_trust_rotation,
            ..ErrorDetails::default()
        },
        request_id: None,
    })
}

/// Every hint of every refusal of the service, for each caller.
fn hints_of_refusals() -> Vec<(Caller, Code, String)> {
    let mut all = Vec::new();
    for caller in Caller::ALL {
        for code in Code::ALL {
            let hints = refusals(*code);
            let hints = hints
                .iter()
                .filter_map(|one| super::api::of_refusal(one, *caller));
            all.extend(hints.map(|hint| (*caller, *code, hint)));
        }
    }
    all
}

/// Every hint of what needs a person.
fn hints_of_attention() -> Vec<String> {
    let hints = AttentionCode::ALL.iter().filter_map(|code| {
        super::status::of_attention(&Attention {
            severity: Severity::Failure,
            code: *code,
            object: "corp.contoso.com".into(),
            message: String::new(),
        })
    });
    hints.collect()
}

/// Every hint of every typed refusal, finding, attention and reason, with the objects that it names.
fn all_hints() -> Vec<String> {
    let refusals = hints_of_refusals().into_iter().map(|(_, _, hint)| hint);
    let attention = hints_of_attention();
    let reasons = include_str!("../../../../docs/reference/refusal-reasons.md");
    let reasons = reasons.lines().filter_map(|line| line.strip_prefix("## "));
    let reasons = reasons
        .filter_map(super::reason::of_reason)
        .map(str::to_owned);
    let checks = crossrealm_doctor::checks::CHECKS
        .iter()
        .map(|check| check.next.to_owned());
    refusals
        .chain(attention)
        .chain(reasons)
        .chain(checks)
        .collect()
}

/// The operations of the service that a command of a hint calls; one that is not here is not known to this test.
const OPERATIONS: &[(&str, &[&str])] = &[
    ("admin create", &["create_administrator"]),
    ("admin list", &["administrators"]),
    ("admin reset", &["reset_administrator"]),
    ("connector create", &["create_connector"]),
    ("connector list", &["connectors"]),
    ("connector revoke", &["delete_connector"]),
    ("group list", &["groups"]),
    (
        "kerberos-server set",
        &["prepare_trust", "confirm_trust", "record_kerberos_server"],
    ),
    ("login", &["sign_in"]),
    ("service-principal list", &["service_principals"]),
    ("share list", &["shares"]),
    ("storage-account alias add", &["add_alias"]),
    ("storage-account host-token", &["create_host_token"]),
    ("storage-account host-tokens", &["host_tokens"]),
    ("storage-account list", &["storage_accounts"]),
    ("storage-account revoke-host-token", &["revoke_host_token"]),
    ("storage-account show", &["storage_account", "hosts"]),
    ("sync allow-deletions", &["allow_deletions"]),
    (
        "sync plan",
        &[
            "sync_state",
            "domain_identities",
            "lookup_identities",
            "domain_members",
        ],
    ),
    ("tenant list", &["tenants"]),
    ("tenant rotate-key", &["rotate_realm_key"]),
    ("tenant show", &["tenant"]),
    ("user list", &["users"]),
];

/// Whether an operation admits a caller, by its declaration.
fn admits(operation: &str, caller: Caller) -> bool {
    let mut all = ENDPOINTS.iter();
    let spec = all.find(|spec| spec.name == operation);
    let Some(access) = spec
        .unwrap_or_else(|| panic!("no operation `{operation}`"))
        .access
    else {
        return true;
    };
    match caller {
        Caller::Administrator => !access.roles.is_empty(),
        Caller::SyncAgent => access.connector,
        Caller::AdministratorOrSyncAgent => !access.roles.is_empty() && access.connector,
        Caller::SmbHost => access.host,
    }
}

/// F15: the commands in a hint are complete, and the service permits them to the caller who reads it, or the hint says that an
/// administrator has to take the step.
#[test]
fn f15_each_caller_may_take_the_step_of_each_hint() {
    let (mut count, mut wrong) = (0, Vec::new());
    for (caller, code, hint) in hints_of_refusals() {
        for words in commands(&hint) {
            count += 1;
            let incomplete = is_complete(&words).err();
            wrong.extend(incomplete.map(|error| format!("{code:?}: {error}")));
            let line = words[1..].join(" ");
            let mut known = OPERATIONS.iter().filter(|(command, _)| {
                let rest = line.strip_prefix(command);
                rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(' '))
            });
            let Some((_, operations)) = known.next_back() else {
                wrong.push(format!("{code:?}: `{line}` is not in the table above"));
                continue;
            };
            let is_admitted = operations.iter().all(|operation| admits(operation, caller));
            if !is_admitted && !hint.contains("an administrator") {
                wrong.push(format!(
                    "{caller:?} may not take the step of {code:?}: {hint}"
                ));
            }
        }
    }
    for hint in hints_of_attention() {
        let incomplete = commands(&hint)
            .iter()
            .filter_map(|words| is_complete(words).err())
            .collect::<Vec<_>>();
        wrong.extend(incomplete);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(count > 100, "{count}");
}

/// F15: who may take a step is not sent to somebody else.
#[test]
fn f15_a_step_is_addressed_to_an_administrator_where_the_caller_may_not_take_it() {
    let hint = |code: Code, caller: Caller| {
        let [refusal, _] = refusals(code);
        super::api::of_refusal(&refusal, caller).unwrap()
    };
    for (code, caller) in [
        (Code::DomainNotFound, Caller::SyncAgent),
        (Code::DomainNotFound, Caller::AdministratorOrSyncAgent),
        (Code::StorageAccountNotFound, Caller::SmbHost),
    ] {
        let addressed = hint(code, caller);
        let step = hint(code, Caller::Administrator);
        assert_eq!(addressed, format!("an administrator has to do it: {step}"));
    }
    for caller in Caller::ALL {
        let own = hint(Code::Overloaded, *caller);
        assert_eq!(own, "try again in a moment");
    }
}

/// F15: every command that a hint names for the caller to type is accepted as it stands, but for what the caller typed before.
#[test]
fn f15_every_hint_can_be_typed() {
    let root = Cli::command();
    let (mut count, mut wrong) = (0, Vec::new());
    for hint in all_hints() {
        for words in commands(&hint) {
            count += 1;
            wrong.extend(
                is_accepted(&words)
                    .err()
                    .map(|error| format!("{hint}: {error}")),
            );
        }
        let unknown = options(&hint).filter(|name| !has_option(&root, name));
        wrong.extend(unknown.map(|name| format!("{hint}: no option `--{name}`")));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(count > 60, "{count}");
}

/// F15: the hint after an invalid token says where this caller gets another one: a machine does not sign in.
#[test]
fn f15_no_machine_is_sent_to_the_sign_in() {
    let of = |caller: Caller| caller.new_token();
    assert!(of(Caller::Administrator).contains("crossrealm login"));
    for (machine, from) in [
        (Caller::SyncAgent, "crossrealm connector create"),
        (Caller::SmbHost, "crossrealm storage-account host-token"),
    ] {
        assert!(!of(machine).contains("login"), "{}", of(machine));
        assert!(of(machine).contains(from), "{}", of(machine));
    }
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
    let words = commands("`crossrealm sync once` with `--accept-deletions {removals}`");
    assert_eq!(is_accepted(&words[0]), Ok(()));
    assert_eq!(
        options("`--force` and `--no-such`").collect::<Vec<_>>(),
        ["force", "no-such"]
    );
}
