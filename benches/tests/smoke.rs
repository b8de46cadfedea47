//! Every bench works: with very little to measure, each finds what it is there to find. Nothing is said about how fast.

use crossrealm_lab::{PATIENCE, Run, build_product, need, python};
use serde_json::Value;

#[test]
fn every_bench_measures_something() {
    if need::skipped() {
        return;
    }
    let product = build_product().unwrap_or_else(|failure| panic!("{failure}"));
    let mut run = Run::here(env!("CARGO_BIN_EXE_crossrealm-bench"))
        .args(["--smoke", "-o", "json"])
        .env("CROSSREALM_BIN", product)
        // Four benches with several programs each.
        .timeout(PATIENCE * 5);
    for (name, value) in python::settings() {
        run = run.env(&name, value);
    }
    let output = run.ok().unwrap_or_else(|failure| panic!("{failure}"));
    let reports = output.json().unwrap_or_else(|failure| panic!("{failure}"));
    let reports = reports.as_array().map(Vec::as_slice).unwrap_or_default();
    let names: Vec<&str> = reports
        .iter()
        .filter_map(|report| report["bench"].as_str())
        .collect();
    assert_eq!(names, ["sync", "load", "tickets", "proxy"]);
    for report in reports {
        let lines = report["lines"]
            .as_array()
            .map(Vec::as_slice)
            .unwrap_or_default();
        assert!(!lines.is_empty(), "{report:#}");
        for line in lines {
            check(line);
        }
    }
}

/// A line has samples, and where it is held against a peer, the peer has some too.
fn check(line: &Value) {
    let measured = |samples: &Value| {
        samples["samples"].as_u64() > Some(0) && samples["median"].as_f64() > Some(0.0)
    };
    assert!(measured(&line["ours"]), "{line:#}");
    if line["against"]["peer"].is_string() {
        assert!(measured(&line["against"]["measured"]), "{line:#}");
        assert!(line["ratio"].as_f64() > Some(0.0), "{line:#}");
    }
}
