//! Links between Markdown files, and paths of documents in the code: each must lead somewhere.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};

/// What is wrong with the links of `texts`, which are all files of the repository that may hold or be a link.
pub(super) fn complaints(
    texts: &BTreeMap<PathBuf, String>,
    exists: impl Fn(&Path) -> bool,
) -> Vec<String> {
    let mut found = Vec::new();
    for (file, text) in texts {
        let links = match file.extension().is_some_and(|extension| extension == "md") {
            // Markdown below `src` is a part of a generated page, whose links start elsewhere.
            true if file.iter().any(|part| part == "src") => Vec::new(),
            true => links(text),
            false => named_documents(text),
        };
        for link in links {
            if let Some(fault) = fault(file, &link, texts, &exists) {
                found.push(format!("{}:{}: {fault}", file.display(), link.line));
            }
        }
    }
    found
}

/// A link: where it stands, its text, and its target without the title.
struct Link {
    line: usize,
    text: String,
    target: String,
    /// Whether the target is relative to the repository instead of the file.
    from_root: bool,
}

/// The links `[text](target)` outside of code.
fn links(markdown: &str) -> Vec<Link> {
    let mut found = Vec::new();
    for (number, line) in outside_fences(markdown) {
        let mut rest = line;
        while let Some(middle) = rest.find("](") {
            let text = rest[..middle]
                .rfind('[')
                .map_or("", |start| &rest[start + 1..middle]);
            let after = &rest[middle + 2..];
            let end = after.find(')').unwrap_or(after.len());
            found.push(Link {
                line: number,
                text: text.to_owned(),
                target: after[..end].to_owned(),
                from_root: false,
            });
            rest = &after[end..];
        }
    }
    found
}

/// The paths `docs/….md` and `docs/….md#section` that a source file names.
fn named_documents(source: &str) -> Vec<Link> {
    let is_path = |c: char| c.is_ascii_alphanumeric() || "/-_.#".contains(c);
    let mut found = Vec::new();
    for (number, line) in source.lines().enumerate() {
        for (start, _) in line.match_indices("docs/") {
            let path = &line[start..];
            let end = path.find(|c| !is_path(c)).unwrap_or(path.len());
            // A section that is put in at run time cannot be checked here.
            let path = path[..end].trim_end_matches(['.', '#']);
            if path.contains(".md") && !line[..start].ends_with(is_path) {
                found.push(Link {
                    line: number + 1,
                    text: String::new(),
                    target: path.to_owned(),
                    from_root: true,
                });
            }
        }
    }
    found
}

fn fault(
    file: &Path,
    link: &Link,
    texts: &BTreeMap<PathBuf, String>,
    exists: impl Fn(&Path) -> bool,
) -> Option<String> {
    let target = &link.target;
    if target.contains("://") || target.starts_with("mailto:") {
        return None;
    }
    let (path, section) = match target.split_once('#') {
        Some((path, section)) => (path, Some(section)),
        None => (target.as_str(), None),
    };
    let folder = if link.from_root { None } else { file.parent() };
    let to = match path {
        "" => file.to_owned(),
        path => normal(&folder.unwrap_or(Path::new("")).join(path)),
    };
    if !exists(&to) {
        return Some(format!("the link `{target}` leads nowhere"));
    }
    let text = texts.get(&to)?;
    if section.is_some_and(|section| !sections(text).contains(section)) {
        return Some(format!("`{path}` has no section for the link `{target}`"));
    }
    // The name of a test or function as the text of a link to its file, as SECURITY.md has them.
    let name = link.text.strip_prefix('`')?.strip_suffix('`')?;
    let is_source = to.extension().is_some_and(|extension| extension != "md");
    let is_there = text.contains(name) || to.ends_with(name);
    (is_source && !is_there).then(|| format!("`{path}` does not hold `{name}`"))
}

/// The path without `.` and `..`.
pub(crate) fn normal(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => _ = normal.pop(),
            Component::CurDir => {}
            part => normal.push(part),
        }
    }
    normal
}

/// The names by which the headings of a page can be linked to, as GitHub makes them.
fn sections(markdown: &str) -> BTreeSet<String> {
    let headings = outside_fences(markdown).filter_map(|(_, line)| {
        let level = line.bytes().take_while(|byte| *byte == b'#').count();
        (1..=6)
            .contains(&level)
            .then(|| line[level..].strip_prefix(' '))?
    });
    headings.map(section_name).collect()
}

/// The name by which a heading can be linked to.
pub(crate) fn section_name(heading: &str) -> String {
    let kept = heading.trim().chars().filter_map(|c| match c {
        ' ' => Some('-'),
        '-' | '_' => Some(c),
        c => c.is_alphanumeric().then_some(c),
    });
    kept.collect::<String>().to_lowercase()
}

/// The lines of a page that are not in a fenced block of code, with their numbers.
fn outside_fences(markdown: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut fenced = false;
    let lines = markdown.lines().enumerate();
    lines.filter_map(move |(number, line)| {
        let is_fence = line.trim_start().starts_with("```");
        fenced ^= is_fence;
        (!fenced && !is_fence).then_some((number + 1, line))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(files: &[(&str, &str)]) -> Vec<String> {
        let texts: BTreeMap<_, _> = files
            .iter()
            .map(|(file, text)| (PathBuf::from(file), (*text).to_owned()))
            .collect();
        complaints(&texts, |path| texts.contains_key(path))
    }

    #[test]
    fn links_that_lead_nowhere_are_found() {
        let page =
            "# A page\n\n[good](../b.md#one-two) [bad](c.md) [web](https://cloud.example/x)\n";
        let other = "# B\n\n## `One` two\n\n[back](a/a.md) [no section](a/a.md#none) [here](#b)\n```\n[code](x.md)\n```\n";
        assert_eq!(
            check(&[("a/a.md", page), ("b.md", other)]),
            [
                "a/a.md:3: the link `c.md` leads nowhere",
                "b.md:5: `a/a.md` has no section for the link `a/a.md#none`"
            ]
        );
    }

    #[test]
    fn a_test_that_a_page_names_must_exist() {
        let page = "[`found`](t.rs), [`gone`](t.rs), [`t.rs`](t.rs)\n";
        let tests = "fn found() {}\n";
        assert_eq!(
            check(&[("a.md", page), ("t.rs", tests)]),
            ["a.md:1: `t.rs` does not hold `gone`"]
        );
    }

    #[test]
    fn documents_that_the_code_names_must_exist() {
        // Put together here, so that this file names no document.
        let code =
            "// see DIR/a.md#a, DIR/b.md.\nlet x = \"DIR/a.md#{reason}\"; // target/DIR/c.md\n";
        let code = code.replace("DIR", "docs");
        assert_eq!(
            check(&[
                ("x.rs", &code),
                (&"DIR/a.md".replace("DIR", "docs"), "# A\n")
            ]),
            ["x.rs:1: the link `DIR/b.md` leads nowhere".replace("DIR", "docs")]
        );
    }
}
