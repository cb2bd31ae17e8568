//! docs/metrics.md names every metric of the source, with its type and labels,
//! and no other.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// Type and labels by name.
type Metrics = BTreeMap<String, (String, BTreeSet<String>)>;

/// What stands between quotes, and what follows them.
fn quoted(text: &str) -> Option<(&str, &str)> {
    let (_, text) = text.split_once('"')?;
    text.split_once('"')
}

/// What a file exports: calls of `counter!`, `gauge!` and `histogram!`, and the
/// gauges that jobs count in.
fn collect(text: &str, metrics: &mut Metrics) {
    for (kind, start) in [
        ("counter", "counter!("),
        ("gauge", "gauge!("),
        ("gauge", ": Gauge = Gauge::new("),
        ("histogram", "histogram!("),
        ("counter", "sample(\n            COUNTER,"),
        ("gauge", "sample(\n            GAUGE,"),
        ("gauge", "sample(GAUGE,"),
    ] {
        let calls = text.split(start).skip(1);
        // That name stands where the gauge is made.
        for call in calls.filter(|call| !call.starts_with("of.name()")) {
            let (name, rest) = quoted(call).unwrap();
            let arguments = arguments(rest);
            let (known_kind, labels) = metrics
                .entry(name.to_owned())
                .or_insert_with(|| (kind.to_owned(), BTreeSet::new()));
            assert_eq!(known_kind, kind, "{name}");
            for (end, _) in arguments.match_indices("\" =>") {
                let label = arguments[..end].rsplit('"').next().unwrap();
                labels.insert(label.to_owned());
            }
        }
    }
}

/// What follows a name up to the end of its call.
fn arguments(rest: &str) -> &str {
    let mut depth = 1;
    let end = rest.find(|letter| {
        match letter {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        depth == 0
    });
    &rest[..end.unwrap()]
}

fn collect_below(directory: &Path, metrics: &mut Metrics) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect_below(&path, metrics);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            collect(&fs::read_to_string(path).unwrap(), metrics);
        }
    }
}

/// What stands between backticks, but not in brackets.
fn in_backticks(cell: &str) -> Vec<String> {
    let cell = cell.split(" (").map(|part| match part.split_once(')') {
        Some((_, after)) => after,
        None => part,
    });
    let cell: String = cell.collect();
    let parts = cell.split('`').skip(1).step_by(2);
    parts.map(str::to_owned).collect()
}

fn documented(page: &str) -> Metrics {
    let rows = page.lines().filter(|line| line.starts_with("| `"));
    let mut metrics = Metrics::new();
    for row in rows {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let labels: BTreeSet<String> = in_backticks(cells[3]).into_iter().collect();
        for name in in_backticks(cells[1]) {
            let before = metrics.insert(name, (cells[2].to_owned(), labels.clone()));
            assert_eq!(before, None, "named twice: {row}");
        }
    }
    metrics
}

#[test]
fn the_table_of_metrics_is_that_of_the_source() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut exported = Metrics::new();
    collect_below(&root.join("src"), &mut exported);
    assert!(exported.len() > 30, "{exported:?}");
    let page = fs::read_to_string(root.join("docs/metrics.md")).unwrap();
    assert_eq!(documented(&page), exported);
}

#[test]
fn the_dashboard_asks_for_metrics_that_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = fs::read_to_string(root.join("docs/metrics.md")).unwrap();
    let known = documented(&page);
    let text = fs::read_to_string(root.join("deploy/grafana/erawan.json")).unwrap();
    let dashboard: serde_json::Value = serde_json::from_str(&text).unwrap();
    let labels: BTreeSet<&str> = known
        .values()
        .flat_map(|(_, labels)| labels.iter().map(String::as_str))
        .collect();
    let mut asked = 0;
    for panel in dashboard["panels"].as_array().unwrap() {
        for target in panel["targets"].as_array().unwrap() {
            let expression = target["expr"].as_str().unwrap();
            let words = expression.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
            let words = words.filter(|word| word.contains('_') && !word.starts_with("__"));
            let others = ["histogram_quantile", "node_id"];
            let asks = |word: &&str| !others.contains(word) && !labels.contains(word);
            for word in words.filter(asks) {
                let name = word.strip_suffix("_bucket").unwrap_or(word);
                let name = name.strip_suffix("_count").unwrap_or(name);
                assert!(known.contains_key(name), "{word} in {expression}");
                asked += 1;
            }
        }
    }
    assert!(asked > 10);
}
