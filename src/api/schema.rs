//! JSON Schemas (draft 7) of input, derived from the flows' input structs
//! (spec/http-api.md 1.5, 3). The order of members is the order of faults.

use std::sync::{Arc, OnceLock};

use jsonschema::{Draft, Validator};
use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use schemars::transform::RecursiveTransform;
use serde_json::{Map, Value, json};

use super::{date_time, faults, unique_by};
use crate::error::{Code, Error};

/// A schema; compiled at its first use.
#[derive(Clone)]
pub struct Schema(Arc<SchemaSource>);

struct SchemaSource {
    source: Value,
    validator: OnceLock<Validator>,
}

impl Schema {
    /// The schema of a struct.
    pub fn of<T: JsonSchema>() -> Self {
        Self::from_value(derived::<T>())
    }

    /// The schema of a struct, with the acting node as its first member.
    pub fn with_node_id<T: JsonSchema>() -> Self {
        let mut source = derived::<T>();
        match source.get_mut("anyOf").and_then(Value::as_array_mut) {
            Some(branches)
                if branches
                    .iter()
                    .all(|branch| branch["properties"].is_object()) =>
            {
                branches.iter_mut().for_each(put_node_id_first);
            }
            _ => put_node_id_first(&mut source),
        }
        Self::from_value(source)
    }

    /// The schema with a change.
    pub(super) fn changed(&self, change: impl FnOnce(&mut Value)) -> Self {
        let mut source = self.0.source.clone();
        change(&mut source);
        Self::from_value(source)
    }

    fn from_value(source: Value) -> Self {
        Self(Arc::new(SchemaSource {
            source,
            validator: OnceLock::new(),
        }))
    }

    /// The schema as JSON.
    pub fn source(&self) -> &Value {
        &self.0.source
    }

    /// Checks a value.
    ///
    /// # Errors
    /// `code`, with all faults in its details.
    pub fn check(&self, value: &Value, code: Code) -> Result<(), Error> {
        let validator = self.0.validator.get_or_init(|| compile(&self.0.source));
        if validator.is_valid(value) {
            return Ok(());
        }
        let faults = faults::describe(&self.0.source, validator.iter_errors(value));
        let details = json!({"valid": false, "errors": faults});
        Err(Error::from(code).with_details(details))
    }
}

fn compile(source: &Value) -> Validator {
    let options = jsonschema::options()
        .with_draft(Draft::Draft7)
        .with_keyword(unique_by::KEYWORD, unique_by::compile)
        .with_format(date_time::FORMAT, date_time::is_date_time)
        .should_validate_formats(true);
    // All schemas come from structs of this program, and a test compiles each.
    options.build(source).expect("the schema compiles")
}

fn put_node_id_first(schema: &mut Value) {
    let Some(Value::Object(members)) = schema.get_mut("properties") else {
        return;
    };
    let mut ordered = Map::new();
    ordered.insert("node_id".into(), json!({"type": "string", "minLength": 1}));
    ordered.append(members);
    *members = ordered;
}

fn derived<T: JsonSchema>() -> Value {
    let mut settings = SchemaSettings::draft07();
    settings.inline_subschemas = true;
    settings.meta_schema = None;
    let settings = settings.with_transform(RecursiveTransform(as_clients_know_it));
    let mut schema = settings.into_generator().into_root_schema_for::<T>();
    schema.remove("title");
    schema.to_value()
}

/// The replaced system's schemas have no null, no formats of numbers, and
/// `enum` for a choice of texts.
fn as_clients_know_it(schema: &mut schemars::Schema) {
    let Some(schema) = schema.as_object_mut() else {
        return;
    };
    without_null(schema);
    if schema.get("type").is_some_and(is_number) {
        schema.remove("format");
    }
    let choices = schema.get("oneOf").and_then(Value::as_array);
    let texts: Option<Vec<Value>> = choices.and_then(|choices| {
        let texts = choices.iter().map(|choice| choice.get("const").cloned());
        texts.collect()
    });
    if let Some(texts) = texts {
        schema.remove("oneOf");
        schema.insert("type".into(), "string".into());
        schema.insert("enum".into(), Value::Array(texts));
    }
}

fn is_number(kind: &Value) -> bool {
    kind == "number" || kind == "integer"
}

/// A member that may be absent may not be null.
fn without_null(schema: &mut Map<String, Value>) {
    if let Some(Value::Array(types)) = schema.get_mut("type") {
        types.retain(|kind| kind != "null");
        if let [only] = types.as_slice() {
            let only = only.clone();
            schema.insert("type".into(), only);
        }
    }
    let Some(Value::Array(branches)) = schema.get_mut("anyOf") else {
        return;
    };
    let before = branches.len();
    branches.retain(|branch| branch.get("type").is_none_or(|kind| kind != "null"));
    if branches.len() < before
        && branches.len() == 1
        && let Some(Value::Object(only)) = branches.pop()
    {
        schema.remove("anyOf");
        schema.extend(only);
    }
}

/// What URLs begin with.
pub(super) const URL_PATTERN: &str = "^(https?)://";

/// The schema of a URL that callbacks go to (spec/http-api.md 0).
pub fn url(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({"type": "string", "pattern": URL_PATTERN, "format": "uri"})
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Deserialize, JsonSchema)]
    #[serde(rename_all = "snake_case")]
    enum Choice {
        /// One.
        First,
        /// The other.
        Second,
    }

    #[derive(Deserialize, JsonSchema)]
    #[expect(dead_code, reason = "only its schema is looked at")]
    struct Input {
        #[schemars(length(min = 1))]
        name: String,
        #[schemars(range(min = 1))]
        count: u64,
        #[schemars(extend("uniqueItems" = true))]
        names: Option<Vec<String>>,
        choice: Option<Choice>,
        #[serde(default)]
        #[schemars(schema_with = "url")]
        callback_url: Option<String>,
        level: serde_json::Number,
    }

    #[test]
    fn a_struct_becomes_the_schema_that_clients_know() {
        let schema = Schema::with_node_id::<Input>();
        let expected = json!({
            "type": "object",
            "properties": {
                "node_id": {"type": "string", "minLength": 1},
                "name": {"type": "string", "minLength": 1},
                "count": {"type": "integer", "minimum": 1},
                "names": {"type": "array", "items": {"type": "string"}, "uniqueItems": true},
                "choice": {"type": "string", "enum": ["first", "second"]},
                "callback_url": {
                    "type": "string", "pattern": "^(https?)://", "format": "uri", "default": null,
                },
                "level": {"type": "number"},
            },
            "required": ["name", "count", "level"],
        });
        let source = schema.source();
        assert_eq!(source, &expected);
        let names = |value: &Value| -> Vec<String> {
            let members = value["properties"].as_object().unwrap();
            members.keys().cloned().collect()
        };
        assert_eq!(names(source), names(&expected));
    }
}
