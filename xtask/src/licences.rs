//! Licences of everything we link: each crate must offer at least one combination of permissive licences.
//!
//! This reads the SPDX expressions of `cargo metadata`. `cargo deny` would also look for advisories, but fetches its
//! database from the Internet, which CI here has not; this check needs nothing.

use crate::Outcome;
use crate::metadata::{self, Graph};

/// Permissive licences, and MPL-2.0, whose copyleft ends at its own files. Never GPL, LGPL or AGPL.
const PERMITTED: &[&str] = &[
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "CDLA-Permissive-2.0",
    "ISC",
    "MIT",
    "MIT-0",
    "MPL-2.0",
    "OpenSSL",
    "Unicode-3.0",
    "Unicode-DFS-2016",
    "Unlicense",
    "Zlib",
];

/// Checks the workspace.
pub(crate) fn run() -> Outcome {
    let refused = refused(&metadata::load()?);
    if refused.is_empty() {
        Ok(())
    } else {
        Err(format!(
            "licences that are not on the list:\n  {}",
            refused.join("\n  ")
        ))
    }
}

/// Every package without a permitted licence.
pub(crate) fn refused(graph: &Graph) -> Vec<String> {
    let mut found = Vec::new();
    for package in graph.values() {
        let line = |reason: String| format!("{} {}: {reason}", package.name, package.version);
        match package.licence.as_deref() {
            None => found.push(line("has no licence expression".into())),
            Some(expression) => match is_permitted(expression) {
                Ok(true) => {}
                Ok(false) => found.push(line(format!("`{expression}`"))),
                Err(reason) => found.push(line(format!("`{expression}` cannot be read: {reason}"))),
            },
        }
    }
    found
}

/// Whether the licensor's terms can be met with permitted licences alone.
pub(crate) fn is_permitted(expression: &str) -> Result<bool, String> {
    // `/` is the old form of OR.
    let spaced = expression
        .replace('(', " ( ")
        .replace(')', " ) ")
        .replace('/', " OR ");
    let tokens: Vec<&str> = spaced.split_whitespace().collect();
    let mut parser = Parser {
        tokens: &tokens,
        at: 0,
    };
    let permitted = parser.any_of()?;
    if parser.at == tokens.len() {
        Ok(permitted)
    } else {
        Err(format!("`{}` is left over", tokens[parser.at]))
    }
}

/// A parser of SPDX licence expressions that evaluates as it goes: `OR` binds weakest, then `AND`, then `WITH`.
struct Parser<'t> {
    tokens: &'t [&'t str],
    at: usize,
}

impl Parser<'_> {
    fn any_of(&mut self) -> Result<bool, String> {
        let mut permitted = self.all_of()?;
        while self.skip("OR") {
            permitted |= self.all_of()?;
        }
        Ok(permitted)
    }

    fn all_of(&mut self) -> Result<bool, String> {
        let mut permitted = self.one()?;
        while self.skip("AND") {
            permitted &= self.one()?;
        }
        Ok(permitted)
    }

    fn one(&mut self) -> Result<bool, String> {
        if self.skip("(") {
            let permitted = self.any_of()?;
            return if self.skip(")") {
                Ok(permitted)
            } else {
                Err("a bracket is not closed".into())
            };
        }
        let licence = self.word()?.to_owned();
        let full = if self.skip("WITH") {
            format!("{licence} WITH {}", self.word()?)
        } else {
            licence
        };
        Ok(PERMITTED.contains(&full.as_str()))
    }

    fn word(&mut self) -> Result<&str, String> {
        match self.tokens.get(self.at) {
            Some(word) if !["AND", "OR", "WITH", "(", ")"].contains(word) => {
                self.at += 1;
                Ok(word)
            }
            other => Err(format!("a licence is missing before {other:?}")),
        }
    }

    fn skip(&mut self, token: &str) -> bool {
        let there = self.tokens.get(self.at) == Some(&token);
        self.at += usize::from(there);
        there
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_permitted_choice_is_enough() {
        for good in [
            "MIT",
            "MIT/Apache-2.0",
            "GPL-3.0-only OR MIT",
            "(MIT OR Apache-2.0) AND Unicode-3.0",
            "Apache-2.0 WITH LLVM-exception OR MIT",
        ] {
            assert_eq!(is_permitted(good), Ok(true), "{good}");
        }
    }

    #[test]
    fn copyleft_is_refused() {
        for bad in [
            "AGPL-3.0-only",
            "GPL-2.0-or-later",
            "MIT AND GPL-3.0-only",
            "LGPL-2.1",
            "GPL-3.0 WITH Classpath-exception-2.0",
            "MIT WITH Oddity",
            "Proprietary",
        ] {
            assert_eq!(is_permitted(bad), Ok(false), "{bad}");
        }
    }

    #[test]
    fn what_is_not_an_expression_is_an_error() {
        for broken in ["", "MIT OR", "(MIT", "MIT MIT", "AND MIT", "MIT WITH", ")"] {
            assert!(is_permitted(broken).is_err(), "{broken}");
        }
    }
}
