//! Words that the project does not use, with what to write instead. STYLE.md says why.

use std::path::Path;

/// Files that must name the words; in `directory` a text that stored keys are bound to.
const EXEMPT: &[&str] = &[
    "STYLE.md",
    "crates/directory/src/sealing/seal.rs",
    "crates/directory/src/trusts/secrets.rs",
    "xtask/src/tidy/words.rs",
];

/// Each word or phrase, and what to write instead.
const WORDS: &[(&str, &str)] = &[
    ("whoever", "name the actor"),
    ("whomever", "name the actor"),
    ("whom", "name the actor"),
    ("whatever", "name the thing"),
    ("told", "reported, logged, returned or audited"),
    ("tells", "reports, logs, returns or says"),
    ("a bookmark", "sync cursor"),
    ("the bookmark", "sync cursor"),
    ("neither bookmark", "sync cursor"),
    ("in vain", "without success, or is refused"),
    ("taken over", "synchronized, or copied"),
    ("stands in the way", "blocks"),
    ("stand in the way", "block"),
    ("by forties", "in batches of 40"),
    ("by hundreds", "in batches of 100"),
    ("good no more", "revoked, or expired"),
    ("is said so", "is reported"),
    ("says so, whoever", "name the actor"),
    ("the original", "Microsoft Entra Kerberos, or Azure Files"),
    ("file host", "SMB host"),
    ("trust secret", "trust password"),
    ("design rule", "the section of docs/design.md"),
    ("room", "crate, or module"),
    ("rooms", "crates, or modules"),
    ("walls", "dependency rules"),
    ("map of the house", "ARCHITECTURE.md"),
    ("armor is off", "FAST is unwrapped"),
];

/// The words that `text` must not hold, each with its line.
pub(super) fn complaints(file: &Path, text: &str) -> Vec<String> {
    if EXEMPT.iter().any(|exempt| file == Path::new(exempt)) {
        return Vec::new();
    }
    let mut found = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.to_lowercase();
        for (word, instead) in WORDS.iter().filter(|(word, _)| holds(&line, word)) {
            found.push(format!(
                "{}:{}: `{word}`: write {instead}",
                file.display(),
                number + 1
            ));
        }
    }
    found
}

/// Whether the line holds the word, not merely as part of a longer one or of a name in code.
fn holds(line: &str, word: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word).any(|(start, _)| {
        let (before, after) = (&line[..start], &line[start + word.len()..]);
        !before.ends_with(is_part) && !after.starts_with(is_part)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_found_whole() {
        let line = "Whoever is here; a mushroom; is_told";
        assert_eq!(
            complaints(Path::new("README.md"), line),
            ["README.md:1: `whoever`: write name the actor"]
        );
        assert!(complaints(Path::new("STYLE.md"), line).is_empty());
    }
}
