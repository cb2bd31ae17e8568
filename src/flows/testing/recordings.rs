//! The recordings of the replaced system.

use std::path::PathBuf;

use serde_json::Value;

/// A recorded file of the mode 1 network.
pub(crate) fn fixture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/wire/vectors/mode1")
        .join(name)
}

/// The lines of a recorded file.
pub(crate) fn recorded(name: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(fixture(name)).expect("the recording is in the repository");
    text.lines()
        .map(|line| serde_json::from_str(line).expect("recordings are JSON lines"))
        .collect()
}

/// The records of a scenario in `http.jsonl`.
pub(crate) fn scenario(name: &str) -> Vec<Value> {
    let records = recorded("http.jsonl");
    let found: Vec<Value> = records
        .into_iter()
        .filter(|record| record["scenario"] == name)
        .collect();
    assert!(!found.is_empty(), "no scenario {name}");
    found
}
