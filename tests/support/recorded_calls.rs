//! The recorded calls and callbacks (`http.jsonl`), for every test that reads them.

use serde_json::Value;

const RECORDS: &str = include_str!("../wire/vectors/mode1/http.jsonl");

/// Every record, in the order in which it happened.
pub fn records() -> impl Iterator<Item = Value> {
    RECORDS
        .lines()
        .map(|line| serde_json::from_str(line).expect("recordings are JSON lines"))
}

/// Writes out long texts: `{"$repeat": "x", "times": n}`.
pub fn expand(value: &Value) -> Value {
    match value {
        Value::Object(members) => match (members.get("$repeat"), members.get("times")) {
            (Some(Value::String(text)), Some(times)) => {
                Value::String(text.repeat(times.as_u64().unwrap() as usize))
            }
            _ => {
                let members = members
                    .iter()
                    .map(|(name, value)| (name.clone(), expand(value)));
                Value::Object(members.collect())
            }
        },
        Value::Array(items) => items.iter().map(expand).collect(),
        other => other.clone(),
    }
}

/// The `details` of a validation error without its wording: where and what.
pub fn without_wording(details: &Value) -> Vec<(Value, Value)> {
    let errors = details["errors"].as_array().map_or(&[][..], Vec::as_slice);
    let shape = |error: &Value| (error["instancePath"].clone(), error["keyword"].clone());
    errors.iter().map(shape).collect()
}
