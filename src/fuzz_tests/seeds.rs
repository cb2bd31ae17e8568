//! What the inputs are made of: recordings and golden bytes.

use std::fs;
use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

/// Of each recording, so that a run begins at once.
const MOST: usize = 60;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The lines of a recording of one network.
pub(super) fn recorded(name: &str) -> Vec<Value> {
    let path = root().join("tests/wire/vectors/mode1").join(name);
    let text = fs::read_to_string(path).unwrap();
    let lines = text.lines().map(|line| serde_json::from_str(line).unwrap());
    lines.collect()
}

/// The golden bytes with this name.
pub(super) fn golden(name: &str) -> Vec<Vec<u8>> {
    let text = fs::read_to_string(root().join("tests/golden").join(name)).unwrap();
    let lines = text.lines().filter_map(|line| line.split_once(' '));
    lines
        .map(|(_, bytes)| hex::decode(bytes).unwrap())
        .collect()
}

/// Base64 members with this name, anywhere in a value.
pub(super) fn members(values: &[Value], name: &str) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    for value in values {
        collect(value, name, &mut found);
    }
    found.truncate(MOST);
    found
}

fn collect(value: &Value, name: &str, found: &mut Vec<Vec<u8>>) {
    match value {
        Value::Object(members) => {
            for (key, member) in members {
                match member.as_str() {
                    Some(text) if key == name => found.extend(STANDARD.decode(text)),
                    _ => collect(member, name, found),
                }
            }
        }
        Value::Array(values) => values.iter().for_each(|value| collect(value, name, found)),
        _ => {}
    }
}

/// The bodies of the calls in the recording.
pub(super) fn bodies() -> Vec<Vec<u8>> {
    let calls = recorded("http.jsonl");
    let bodies = calls
        .iter()
        .flat_map(|call| [&call["request"], &call["response"]]);
    let bodies = bodies.filter(|body| body.is_object() || body.is_array());
    bodies
        .take(MOST)
        .map(|body| body.to_string().into_bytes())
        .collect()
}
