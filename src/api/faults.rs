//! Faults in the form and order of AJV 8, which clients of the replaced system know
//! (spec/http-api.md 1.5).

use jsonschema::ValidationError;
use jsonschema::error::{TypeKind, ValidationErrorKind};
use serde_json::{Value, json};

use super::duplicates;
use super::schema::URL_PATTERN;

/// Most faults in an answer.
const MOST_FAULTS: usize = 1000;

/// The faults of a value. `schema` has the order of the members.
pub fn describe<'i>(
    schema: &Value,
    errors: impl Iterator<Item = ValidationError<'i>>,
) -> Vec<Value> {
    let mut faults: Vec<SchemaFault> = Vec::new();
    for error in errors.take(MOST_FAULTS) {
        add(schema, &error, &mut faults);
    }
    faults.sort_by(|one, other| one.place.cmp(&other.place));
    faults.into_iter().map(|fault| fault.description).collect()
}

struct SchemaFault {
    /// Position in the order of evaluation.
    place: Vec<usize>,
    description: Value,
}

fn add(schema: &Value, error: &ValidationError<'_>, faults: &mut Vec<SchemaFault>) {
    if let ValidationErrorKind::AnyOf { context } = error.kind() {
        for branch_error in context.iter().flatten().take(MOST_FAULTS) {
            add(schema, branch_error, faults);
        }
    }
    let schema_path = error.schema_path().as_str();
    let instance_path = error.instance_path().as_str();
    let place = place(schema, schema_path, instance_path);
    let (params, message) = match error.kind() {
        ValidationErrorKind::UniqueItems => {
            let Some((i, j)) = duplicates::find(place.parent, error.instance().as_ref()) else {
                return;
            };
            let message =
                format!("must NOT have duplicate items (items ## {j} and {i} are identical)");
            (json!({"i": i, "j": j}), message)
        }
        kind => params_and_message(kind),
    };
    faults.push(SchemaFault {
        place: place.order,
        description: json!({
            "instancePath": instance_path,
            "schemaPath": shown_path(place.parent, schema_path, error.kind().keyword()),
            "keyword": error.kind().keyword(),
            "params": params,
            "message": message,
        }),
    });
}

/// The replaced system has one schema of URLs, and its other schemas refer to it.
fn shown_path(of: &Value, schema_path: &str, keyword: &str) -> String {
    match of["pattern"] == URL_PATTERN {
        true => format!("defs#/definitions/url/{keyword}"),
        false => format!("#{schema_path}"),
    }
}

/// Where a fault is in the schema.
struct FaultPosition<'s> {
    /// Numbers that sort in order of evaluation: the rank of a keyword, the
    /// position of a member, the index of an item.
    order: Vec<usize>,
    /// The schema that has the keyword as a member.
    parent: &'s Value,
}

fn place<'s>(schema: &'s Value, schema_path: &str, instance_path: &str) -> FaultPosition<'s> {
    let mut node = schema;
    let mut parent = schema;
    let mut instance = instance_path.split('/').skip(1);
    let mut place = Vec::new();
    let mut segments = schema_path.split('/').skip(1);
    while let Some(keyword) = segments.next() {
        place.push(rank(keyword));
        parent = node;
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
                // The entry about all branches comes after the entries of each.
                None => place.push(usize::MAX),
            },
            _ => {}
        }
    }
    FaultPosition {
        order: place,
        parent,
    }
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
