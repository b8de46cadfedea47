//! Every committed input of every fuzz target, without a fuzzer.

use crossrealm_fuzz_oracles::{TARGETS, seeds};
use std::path::{Path, PathBuf};

/// The committed inputs must stay small: they are part of every clone.
const MOST_BYTES: usize = 200 * 1024;

fn fuzz_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The files of a folder with their contents; none where there is no such folder.
fn inputs(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return Vec::new();
    };
    entries
        .map(|entry| entry.unwrap().path())
        .map(|path| (path.clone(), std::fs::read(path).unwrap()))
        .collect()
}

#[test]
fn every_seed_and_every_regression_holds() {
    let mut bytes = 0;
    for (target, check) in TARGETS {
        let seeds = inputs(&fuzz_folder().join("seeds").join(target));
        assert!(!seeds.is_empty(), "`{target}` has no seeds");
        let regressions = inputs(&fuzz_folder().join("regressions").join(target));
        for (path, input) in seeds.iter().chain(&regressions) {
            println!("{}", path.display());
            bytes += input.len();
            check(input);
        }
    }
    assert!(bytes < MOST_BYTES, "the inputs have {bytes} bytes");
}

#[test]
fn the_committed_seeds_are_those_that_are_made() {
    for seed in seeds::all() {
        let path = fuzz_folder()
            .join("seeds")
            .join(seed.target)
            .join(seed.name);
        let committed = std::fs::read(&path).unwrap_or_default();
        let hint = "run `cargo run -p crossrealm-fuzz-oracles --example write-seeds`";
        assert!(
            committed == seed.bytes,
            "{} differs: {hint}",
            path.display()
        );
    }
}

#[test]
fn every_target_has_a_binary() {
    let manifest = std::fs::read_to_string(fuzz_folder().join("Cargo.toml")).unwrap();
    let binaries = manifest.matches("[[bin]]").count();
    assert_eq!(binaries, TARGETS.len());
    for (target, _) in TARGETS {
        assert!(manifest.contains(&format!("path = \"fuzz_targets/{target}.rs\"")));
        let program = fuzz_folder().join(format!("fuzz_targets/{target}.rs"));
        let text = std::fs::read_to_string(program).unwrap();
        assert!(text.contains(&format!("crossrealm_fuzz_oracles::{target}(data)")));
    }
}
