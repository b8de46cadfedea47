//! What the package brings for a monitoring system: the alert rules, their page of the reference and the dashboard belong together.

use std::collections::{BTreeMap, BTreeSet};

const RULES: &str = "packaging/monitoring/crossrealm.rules.yml";
const DASHBOARD: &str = "packaging/monitoring/crossrealm.dashboard.json";
const METRICS: &str = "docs/reference/metrics.md";
const ALERTS: &str = "docs/reference/alerts.md";

/// A file of the repository.
fn read(path: &str) -> String {
    std::fs::read_to_string(format!("{}/../../{path}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

/// The names of our metrics in an expression.
fn named(text: &str) -> BTreeSet<&str> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words
        .filter(|word| word.starts_with("crossrealm_"))
        .collect()
}

/// The names under which the metrics of the reference are asked for.
fn known() -> BTreeSet<String> {
    let mut known = BTreeSet::new();
    for line in read(METRICS).lines().filter(|line| line.starts_with("| `")) {
        let mut columns = line.split('|').map(str::trim).skip(1);
        let name = columns.next().unwrap().trim_matches('`');
        match columns.next().unwrap() {
            "histogram" => {
                known.extend(["bucket", "sum", "count"].map(|part| format!("{name}_{part}")));
            }
            _ => {
                known.insert(name.to_owned());
            }
        }
    }
    known
}

#[test]
fn every_metric_that_is_asked_for_exists() {
    let dashboard: serde_json::Value = serde_json::from_str(&read(DASHBOARD)).unwrap();
    let known = known();
    assert!(known.len() > 20, "{known:?}");
    let panels = dashboard["panels"].as_array().unwrap();
    let targets = panels
        .iter()
        .flat_map(|panel| panel["targets"].as_array().into_iter().flatten());
    let asked: Vec<&str> = targets
        .map(|target| target["expr"].as_str().unwrap())
        .collect();
    assert!(asked.len() > 20, "{asked:?}");
    let variables = dashboard["templating"]["list"].as_array().unwrap();
    let variables = variables
        .iter()
        .filter_map(|variable| variable["definition"].as_str());
    let rules = read(RULES);
    for text in asked.into_iter().chain(variables).chain([rules.as_str()]) {
        for name in named(text) {
            assert!(known.contains(name), "`{name}` is no metric: {text}");
        }
    }
}

/// Every metric is of use to somebody who looks.
#[test]
fn every_metric_is_on_the_dashboard() {
    let dashboard = read(DASHBOARD);
    let shown = named(&dashboard);
    for name in known().iter().filter(|name| !name.ends_with("_bucket")) {
        let of_histogram = ["_sum", "_count"]
            .iter()
            .find_map(|part| name.strip_suffix(part));
        let bucket = of_histogram.map(|name| format!("{name}_bucket"));
        let is_shown =
            shown.contains(name.as_str()) || bucket.is_some_and(|b| shown.contains(b.as_str()));
        assert!(is_shown, "{name}");
    }
}

#[test]
fn the_table_of_alerts_and_the_rules_name_the_same() {
    let (text, page) = (read(RULES), read(ALERTS));
    let mut rules = BTreeMap::new();
    let mut alert = "";
    for line in text.lines().map(str::trim) {
        if let Some(name) = line.strip_prefix("- alert: ") {
            alert = name;
        } else if let Some(severity) = line.strip_prefix("severity: ") {
            rules.insert(alert, severity);
        }
    }
    let rows = page.lines().filter(|line| line.starts_with("| `Cross"));
    let table: BTreeMap<&str, &str> = rows
        .map(|row| {
            let columns: Vec<&str> = row.split(" | ").collect();
            let [name, severity, meaning, next_step] = columns[..] else {
                panic!("not four columns: {row}");
            };
            assert!(meaning.len() > 20 && next_step.len() > 20, "{row}");
            (name.trim_matches(['|', ' ', '`']), severity)
        })
        .collect();
    assert!(rules.len() > 10);
    assert_eq!(rules, table);
}
