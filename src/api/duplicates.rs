//! Finds the two equal items of a list that AJV 8 reports. It searches from the end;
//! in a list of texts or numbers it compares only items of that type.

use std::collections::HashMap;

use serde_json::Value;

/// Indices of the two, in the order of the report. `None` if no two items are equal
/// that have the type of the list's schema.
pub fn find(list_schema: &Value, items: &Value) -> Option<(usize, usize)> {
    let items = items.as_array()?;
    match list_schema["items"]["type"].as_str() {
        Some(kind) if kind != "object" && kind != "array" => of_one_type(kind, items),
        _ => any(items),
    }
}

fn of_one_type(kind: &str, items: &[Value]) -> Option<(usize, usize)> {
    let mut seen = HashMap::new();
    let items = items.iter().enumerate().rev();
    for (index, item) in items.filter(|(_, item)| is_of(kind, item)) {
        if let Some(later) = seen.insert(item.to_string(), index) {
            return Some((index, later));
        }
    }
    None
}

fn is_of(kind: &str, item: &Value) -> bool {
    match kind {
        "string" => item.is_string(),
        "boolean" => item.is_boolean(),
        "null" => item.is_null(),
        _ => item.is_number(),
    }
}

fn any(items: &[Value]) -> Option<(usize, usize)> {
    (0..items.len()).rev().find_map(|index| {
        let earlier = (0..index).rev();
        let mut equal = earlier.filter(|other| is_equal(&items[index], &items[*other]));
        Some((index, equal.next()?))
    })
}

/// `1` and `1.0` are the same number.
fn is_equal(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => one.as_f64() == other.as_f64(),
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len()
                && one
                    .iter()
                    .zip(other)
                    .all(|(one, other)| is_equal(one, other))
        }
        (Value::Object(one), Value::Object(other)) => {
            let is_there = |(name, one): (&String, &Value)| {
                other.get(name).is_some_and(|other| is_equal(one, other))
            };
            one.len() == other.len() && one.iter().all(is_there)
        }
        _ => one == other,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_two_are_those_that_the_recordings_tell_of() {
        let texts = json!({"items": {"type": "string"}});
        let numbers = json!({"items": {"type": "number"}});
        let objects = json!({"items": {"type": "object"}});
        for (schema, items, expected) in [
            (&texts, json!(["a", "a"]), Some((0, 1))),
            (&objects, json!([{"a": 1}, {"a": 1}]), Some((1, 0))),
            (&texts, json!(["a", "b", "a", "b", "a"]), Some((2, 4))),
            (&objects, json!([{}, [], {}, [], {}]), Some((4, 2))),
            (
                &objects,
                json!([{"a": [1, 2]}, {"a": [1.0, 2]}]),
                Some((1, 0)),
            ),
            (&numbers, json!([2, 1, 1]), Some((1, 2))),
            // AJV reports their wrong type, not that they are equal.
            (&texts, json!([1, 1]), None),
            (&texts, json!(["1", 1]), None),
            (&json!({}), json!([null, 1, null]), Some((2, 0))),
            (&objects, json!([{"a": 1}, {"b": 1}]), None),
            (&texts, json!("aa"), None),
        ] {
            assert_eq!(find(schema, &items), expected, "{items}");
        }
    }
}
