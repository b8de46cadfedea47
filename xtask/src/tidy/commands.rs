//! Texts of the server and the libraries name no command and no option of the program: the caller may be the console or a script.
//! The command line adds the hint from the code or the typed error (`crates/cli/src/hints`).

use std::collections::BTreeSet;
use std::path::Path;

/// The command line itself; the diagnosis, whose next steps are the text of one of its commands; and what
/// generates the reference.
const EXEMPT: &[&str] = &[
    "crates/cli",
    "crates/doctor",
    "crates/api/src/reference.rs",
    "crates/cloud/src/config/reference.rs",
];

/// The first words of all commands, from the headings of the generated reference, `## crossrealm WORD`.
pub(super) fn of_reference(reference: &str) -> BTreeSet<&str> {
    let headings = reference.lines();
    headings
        .filter_map(|line| line.strip_prefix("## crossrealm "))
        .collect()
}

/// The lines of a product file, comments and tests aside, that name one of the commands or quote an option.
pub(super) fn complaints(file: &Path, text: &str, commands: &BTreeSet<&str>) -> Vec<String> {
    if EXEMPT.iter().any(|exempt| file.starts_with(exempt)) {
        return Vec::new();
    }
    let product = text.split("#[cfg(test)]\nmod tests {").next();
    let lines = product.unwrap_or_default().lines().enumerate();
    let code = lines.filter(|(_, line)| !line.trim_start().starts_with("//"));
    code.filter(|(_, line)| names_a_command(line, commands) || quotes_an_option(line))
        .map(|(number, _)| {
            format!(
                "{}:{}: a command or option in a text: say it in crates/cli/src/hints",
                file.display(),
                number + 1
            )
        })
        .collect()
}

fn names_a_command(line: &str, commands: &BTreeSet<&str>) -> bool {
    line.split("crossrealm ").skip(1).any(|rest| {
        let is_end = |c: char| c != '-' && !c.is_ascii_lowercase();
        let word = rest.split(is_end).next().unwrap_or_default();
        commands.contains(word)
    })
}

fn quotes_an_option(line: &str) -> bool {
    let mut quoted = line.split("`--").skip(1);
    quoted.any(|rest| rest.starts_with(|c: char| c.is_ascii_lowercase()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_and_options_are_found_outside_the_command_line() {
        let text = "/// Run `crossrealm init`.\nf(\"run `crossrealm init`\");\nf(\"`--dc HOST`\");\nf(\"--owner crossrealm crossrealm\");\n";
        let commands =
            of_reference("# Command line\n\n## crossrealm init\n### crossrealm init x\n");
        assert_eq!(commands.len(), 1);
        let found = |file: &str| complaints(Path::new(file), text, &commands).len();
        assert_eq!(found("crates/cloud/src/serve.rs"), 2);
        assert_eq!(found("crates/cli/src/hints/api.rs"), 0);
        let tests = format!("#[cfg(test)]\nmod tests {{\n{text}}}\n");
        assert!(complaints(Path::new("crates/kdc/src/event.rs"), &tests, &commands).is_empty());
    }
}
