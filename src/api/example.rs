//! The smallest value that fits a schema of this program.

use serde_json::{Map, Value, json};

/// The value. Each text is the name of its member, so that a reader sees what
/// belongs there.
pub(super) fn of(schema: &Value) -> Value {
    named(schema, "text")
}

fn named(schema: &Value, name: &str) -> Value {
    if let Some(choices) = schema["enum"].as_array() {
        return choices.first().cloned().unwrap_or_default();
    }
    if schema["type"] == "object" && schema["properties"].is_object() {
        return object(schema);
    }
    if let Some(branches) = schema["anyOf"].as_array() {
        return branches.last().map(of).unwrap_or_default();
    }
    match schema["type"].as_str() {
        Some("object") => json!({}),
        Some("string") if schema["format"] == "uri" => json!("http://client.example/callback"),
        Some("string") if schema["format"] == "date-time" => json!("2030-01-01T00:00:00Z"),
        Some("string") => json!(name),
        Some("integer" | "number") => schema.get("minimum").cloned().unwrap_or(json!(1)),
        Some("boolean") => json!(false),
        Some("array") => {
            let wanted = schema["minItems"].as_u64().unwrap_or(0).min(1);
            let items = (0..wanted).map(|_| named(&schema["items"], name));
            items.collect()
        }
        _ => Value::Null,
    }
}

/// Its required members; of alternatives the first.
fn object(schema: &Value) -> Value {
    let mut members = Map::new();
    let one_of_several = schema.pointer("/anyOf/0");
    let required = [Some(schema), one_of_several].into_iter().flatten();
    let required = required.flat_map(|schema| schema["required"].as_array().into_iter().flatten());
    let required: Vec<&Value> = required.collect();
    for (name, member) in schema["properties"].as_object().into_iter().flatten() {
        if required.iter().any(|required| *required == name) {
            members.insert(name.clone(), named(member, name));
        }
    }
    members.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_required_is_there_and_fits() {
        let schema = json!({
            "type": "object",
            "properties": {
                "name": {"type": "string", "minLength": 1},
                "left_out": {"type": "string"},
                "url": {"type": "string", "format": "uri"},
                "levels": {"type": "array", "minItems": 1, "items": {"type": "number", "minimum": 0}},
                "role": {"type": "string", "enum": ["rp", "idp"]},
                "either": {"type": "boolean"},
            },
            "required": ["name", "url", "levels", "role"],
            "anyOf": [{"required": ["either"]}, {"required": ["left_out"]}],
        });
        let expected = json!({
            "name": "name", "url": "http://client.example/callback", "levels": [0], "role": "rp",
            "either": false,
        });
        assert_eq!(of(&schema), expected);
        assert!(jsonschema::is_valid(&schema, &of(&schema)));
    }
}
