//! JSON Schemas of answers, from sketches of them: `{"id": "text", "salt?":
//! "text", "levels": ["number"], "owner~": "text"}`. A name with `?` may be
//! missing, one with `~` may be null.

use serde_json::{Map, Value, json};

/// The schema of what a sketch shows.
///
/// # Panics
/// When a type has none of the known names. A test makes every schema.
pub(super) fn schema(sketch: &Value) -> Value {
    match sketch {
        Value::String(name) => of_type(name),
        Value::Array(items) => json!({
            "type": "array",
            "items": items.first().map_or(json!({}), schema),
        }),
        Value::Object(members) => object(members),
        other => panic!("a sketch of {other}"),
    }
}

fn of_type(name: &str) -> Value {
    match name {
        "text" => json!({"type": "string"}),
        "number" | "integer" | "boolean" => json!({"type": name}),
        "any" => json!({}),
        other => panic!("a type of the name {other}"),
    }
}

fn object(sketched: &Map<String, Value>) -> Value {
    let (mut members, mut required) = (Map::new(), Vec::new());
    for (name, sketch) in sketched {
        let (name, is_nullable) = without(name, '~');
        let (name, is_optional) = without(name, '?');
        let schema = schema(sketch);
        let schema = match is_nullable {
            true => json!({"anyOf": [schema, {"type": "null"}]}),
            false => schema,
        };
        members.insert(name.to_owned(), schema);
        if !is_optional {
            required.push(name);
        }
    }
    json!({"type": "object", "properties": members, "required": required})
}

fn without(name: &str, mark: char) -> (&str, bool) {
    match name.strip_suffix(mark) {
        Some(name) => (name, true),
        None => (name, false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sketch_says_what_must_be_there_and_what_may_be_null() {
        let found = schema(&json!({"a": "text", "b?": ["number"], "c~": "boolean", "d?~": {}}));
        assert_eq!(found["required"], json!(["a", "c"]));
        let members = &found["properties"];
        assert_eq!(members["a"], json!({"type": "string"}));
        assert_eq!(
            members["b"],
            json!({"type": "array", "items": {"type": "number"}})
        );
        let nullable = json!({"anyOf": [{"type": "boolean"}, {"type": "null"}]});
        assert_eq!(members["c"], nullable);
        assert_eq!(members["d"]["anyOf"][0]["required"], json!([]));
    }
}
