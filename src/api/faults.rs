//! Faults in the shape and the order of AJV 8, which clients of the replaced
//! system know (spec/http-api.md 1.5).

use jsonschema::ValidationError;
use jsonschema::error::{TypeKind, ValidationErrorKind};
use serde_json::{Value, json};

/// Faults told at most.
const MOST_FAULTS: usize = 1000;

/// The faults of a value. `schema` is where the order of members is read from.
pub fn describe<'i>(
    schema: &Value,
    errors: impl Iterator<Item = ValidationError<'i>>,
) -> Vec<Value> {
    let mut faults: Vec<Fault> = Vec::new();
    for error in errors.take(MOST_FAULTS) {
        add(schema, &error, &mut faults);
    }
    faults.sort_by(|one, other| one.place.cmp(&other.place));
    faults.into_iter().map(|fault| fault.description).collect()
}

struct Fault {
    /// Where in the schema, in order of evaluation.
    place: Vec<usize>,
    description: Value,
}

fn add(schema: &Value, error: &ValidationError<'_>, faults: &mut Vec<Fault>) {
    if let ValidationErrorKind::AnyOf { context } = error.kind() {
        for branch_error in context.iter().flatten().take(MOST_FAULTS) {
            add(schema, branch_error, faults);
        }
    }
    let schema_path = error.schema_path().as_str();
    let instance_path = error.instance_path().as_str();
    let (params, message) = params_and_message(error.kind());
    faults.push(Fault {
        place: place(schema, schema_path, instance_path),
        description: json!({
            "instancePath": instance_path,
            "schemaPath": format!("#{schema_path}"),
            "keyword": error.kind().keyword(),
            "params": params,
            "message": message,
        }),
    });
}

/// Turns a path of the schema into numbers that sort in order of evaluation:
/// the rank of a keyword, the position of a member, the index of an item.
fn place(schema: &Value, schema_path: &str, instance_path: &str) -> Vec<usize> {
    let mut node = schema;
    let mut instance = instance_path.split('/').skip(1);
    let mut place = Vec::new();
    let mut segments = schema_path.split('/').skip(1);
    while let Some(keyword) = segments.next() {
        place.push(rank(keyword));
        node = &node[keyword];
        match keyword {
            "properties" => {
                let name = segments.next().unwrap_or_default();
                let position = node
                    .as_object()
                    .and_then(|members| members.keys().position(|member| member == name));
                place.push(position.unwrap_or_default());
                node = &node[name];
                instance.next();
            }
            "items" => {
                let index = instance.next().and_then(|index| index.parse().ok());
                place.push(index.unwrap_or_default());
            }
            "anyOf" => match segments.next().and_then(|branch| branch.parse().ok()) {
                Some(branch) => {
                    place.push(branch);
                    node = &node[branch];
                }
                // The entry about all branches comes after theirs.
                None => place.push(usize::MAX),
            },
            _ => {}
        }
    }
    place
}

/// The order in which keywords of one schema are looked at.
fn rank(keyword: &str) -> usize {
    const ORDER: &[&str] = &[
        "type",
        "maximum",
        "minimum",
        "maxLength",
        "minLength",
        "pattern",
        "format",
        "const",
        "enum",
        "anyOf",
        "maxItems",
        "minItems",
        "uniqueItems",
        "items",
        "uniqueItemProperties",
        "required",
        "properties",
    ];
    let position = ORDER.iter().position(|known| *known == keyword);
    position.unwrap_or(ORDER.len())
}

fn params_and_message(kind: &ValidationErrorKind) -> (Value, String) {
    match kind {
        ValidationErrorKind::Type { kind } => {
            let name = match kind {
                TypeKind::Single(name) => name.to_string(),
                TypeKind::Multiple(names) => {
                    let names: Vec<String> = names.iter().map(|name| name.to_string()).collect();
                    names.join(",")
                }
            };
            (json!({"type": name}), format!("must be {name}"))
        }
        ValidationErrorKind::Required { property } => {
            let name = property.as_str().unwrap_or_default();
            let message = format!("must have required property '{name}'");
            (json!({"missingProperty": name}), message)
        }
        ValidationErrorKind::Enum { options } => {
            let message = "must be equal to one of the allowed values".to_owned();
            (json!({"allowedValues": **options}), message)
        }
        ValidationErrorKind::Minimum { limit } => {
            let params = json!({"comparison": ">=", "limit": limit});
            (params, format!("must be >= {limit}"))
        }
        ValidationErrorKind::MinLength { limit } => {
            let message = format!("must NOT have fewer than {limit} characters");
            (json!({"limit": limit}), message)
        }
        ValidationErrorKind::MinItems { limit } => {
            let message = format!("must NOT have fewer than {limit} items");
            (json!({"limit": limit}), message)
        }
        ValidationErrorKind::UniqueItems => (json!({}), "must NOT have duplicate items".to_owned()),
        ValidationErrorKind::Pattern { pattern } => {
            let message = format!("must match pattern \"{pattern}\"");
            (json!({"pattern": pattern}), message)
        }
        ValidationErrorKind::Format { format } => {
            let message = format!("must match format \"{format}\"");
            (json!({"format": format}), message)
        }
        ValidationErrorKind::AnyOf { .. } => (json!({}), "must match a schema in anyOf".to_owned()),
        other => (
            json!({}),
            format!("must pass \"{}\" keyword validation", other.keyword()),
        ),
    }
}
