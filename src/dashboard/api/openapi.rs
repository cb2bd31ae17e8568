//! The OpenAPI document, made of the table.

use actix_web::http::Method;
use schemars::SchemaGenerator;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use super::shapes::{AuditShown, JobsShown, KindsShown, NodeShown, ReceiversShown};
use super::{Asked, Entry, entries};
use crate::operator::{DecisionRecord, OperationResult, RequestStory, Shown};

/// OpenAPI 3.1 of this API.
pub(super) fn document() -> Value {
    let settings = SchemaSettings::draft2020_12();
    let settings = settings.with(|settings| {
        settings.definitions_path = "/components/schemas".into();
    });
    let mut schemas = settings.into_generator();
    let mut paths = Map::new();
    for entry in entries() {
        let path = format!("/admin/v1/{}", entry.path.join("/"));
        let item = paths.entry(path).or_insert_with(|| json!({}));
        let method = entry.method.as_str().to_ascii_lowercase();
        item[method] = operation(entry, &mut schemas);
    }
    let definitions = schemas.take_definitions(true);
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "erawan: admin API",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "What operators see of a node and decide. A viewer reads, an operator \
                decides; every decision is recorded under the name that belongs to the token.",
        },
        "security": [{ "token": [] }],
        "paths": paths,
        "components": {
            "schemas": definitions,
            "securitySchemes": { "token": { "type": "http", "scheme": "bearer" } },
        },
    })
}

fn operation(entry: &Entry, schemas: &mut SchemaGenerator) -> Value {
    let answer = match entry.asked {
        Asked::Node => json!(schemas.subschema_for::<NodeShown>()),
        Asked::Kinds => json!(schemas.subschema_for::<KindsShown>()),
        Asked::Jobs => json!(schemas.subschema_for::<JobsShown>()),
        Asked::Job => json!(schemas.subschema_for::<Shown>()),
        Asked::Decide(_) => json!(schemas.subschema_for::<OperationResult>()),
        Asked::Receivers => json!(schemas.subschema_for::<ReceiversShown>()),
        Asked::Pause(_) => json!(schemas.subschema_for::<DecisionRecord>()),
        Asked::Audit => json!(schemas.subschema_for::<AuditShown>()),
        Asked::Story => json!(schemas.subschema_for::<RequestStory>()),
        Asked::OpenApi => json!({ "type": "object" }),
    };
    let mut operation = json!({
        "summary": entry.does,
        "operationId": id(entry),
        "parameters": parameters(entry),
        "responses": responses(entry, answer),
    });
    if let Some(body) = body(entry.asked) {
        operation["requestBody"] = json!({ "required": true, "content": as_json(body) });
    }
    operation
}

/// `jobs_retry_post`
fn id(entry: &Entry) -> String {
    let parts = entry.path.iter().filter(|part| !part.starts_with('{'));
    let mut words: Vec<&str> = parts.copied().collect();
    if entry.asked == Asked::Job {
        words = vec!["job"];
    }
    let method = match entry.method == Method::POST {
        true => "post",
        false => "get",
    };
    words.push(method);
    words.join("_").replace('.', "_")
}

fn as_json(schema: Value) -> Value {
    json!({ "application/json": { "schema": schema } })
}

fn responses(entry: &Entry, answer: Value) -> Value {
    let error = || {
        let reason = json!({ "type": "object", "properties": { "error": { "type": "string" } } });
        as_json(reason)
    };
    let mut responses = json!({
        "200": { "description": "Done.", "content": as_json(answer.clone()) },
        "400": { "description": "Something asked is wrong.", "content": error() },
        "401": { "description": "No token, or one that is not known.", "content": error() },
        "503": { "description": "The store or the master does not answer.", "content": error() },
    });
    if entry.method == Method::POST {
        responses["403"] = json!({ "description": "For operators.", "content": error() });
    }
    if let Asked::Decide(_) = entry.asked {
        responses["404"] =
            json!({ "description": "There is no such job.", "content": as_json(answer.clone()) });
        responses["409"] =
            json!({ "description": "The job is in another state.", "content": as_json(answer) });
    }
    if entry.asked == Asked::Job {
        responses["404"] = json!({ "description": "There is no such job.", "content": error() });
    }
    responses
}

fn parameters(entry: &Entry) -> Vec<Value> {
    let in_path = entry.path.iter().filter(|part| part.starts_with('{'));
    let in_path = in_path.map(|part| {
        json!({
            "name": part.trim_matches(['{', '}']),
            "in": "path",
            "required": true,
            "schema": id_schema(entry.asked),
        })
    });
    let query = |name: &str, schema: Value, does: &str| json!({ "name": name, "in": "query", "description": does, "schema": schema });
    let whole = || json!({ "type": "integer", "minimum": 0 });
    let in_query = match entry.asked {
        Asked::Jobs => vec![
            query(
                "state",
                json!({ "enum": ["open", "waiting", "parked", "failed"] }),
                "Only those in this state; open and failed ones without it.",
            ),
            query(
                "kind",
                json!({ "type": "string" }),
                "Only those of this kind.",
            ),
            query(
                "key",
                json!({ "type": "string" }),
                "Only those whose key contains this.",
            ),
            query(
                "older_than_s",
                whole(),
                "Only those accepted so many seconds ago or earlier.",
            ),
            query("limit", whole(), "At most this many, 500 at most."),
            query(
                "after",
                json!({ "type": "string" }),
                "`next` of the page before.",
            ),
        ],
        Asked::Story => vec![query(
            "node",
            json!({ "type": "string" }),
            "A node behind this proxy whose state is looked at too; may be repeated.",
        )],
        Asked::Audit => vec![query("limit", whole(), "Only this many.")],
        _ => Vec::new(),
    };
    in_path.chain(in_query).collect()
}

/// Jobs have ids of ours, requests those of the ledger.
fn id_schema(asked: Asked) -> Value {
    match asked {
        Asked::Story => json!({ "type": "string" }),
        _ => json!({ "type": "string", "format": "uuid" }),
    }
}

fn body(asked: Asked) -> Option<Value> {
    let text = |does: &str| json!({ "type": "string", "minLength": 1, "description": does });
    let why = text("The reason, for the record.");
    match asked {
        Asked::Decide(_) => Some(json!({
            "type": "object",
            "required": ["why"],
            "properties": { "why": why },
        })),
        Asked::Pause(_) => Some(json!({
            "type": "object",
            "required": ["receiver", "why"],
            "properties": {
                "receiver": text("As `GET /admin/v1/receivers` names it."),
                "why": why,
            },
        })),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// Every `$ref` of a document.
    fn references(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::Object(members) => {
                for (name, value) in members {
                    match value.as_str().filter(|_| name == "$ref") {
                        Some(reference) => found.push(reference.to_owned()),
                        None => references(value, found),
                    }
                }
            }
            Value::Array(items) => items.iter().for_each(|item| references(item, found)),
            _ => {}
        }
    }

    #[test]
    fn the_document_has_every_operation_once_and_every_shape_it_names() {
        let document = document();
        let operations = document["paths"].as_object().unwrap().values();
        let ids: Vec<String> = operations
            .flat_map(|item| item.as_object().unwrap().values())
            .map(|operation| operation["operationId"].as_str().unwrap().to_owned())
            .collect();
        assert_eq!(ids.len(), entries().count());
        let different: BTreeSet<&String> = ids.iter().collect();
        assert_eq!(different.len(), ids.len(), "{ids:?}");
        let mut named = Vec::new();
        references(&document, &mut named);
        assert!(!named.is_empty());
        for reference in named {
            let pointer = reference.strip_prefix('#').unwrap();
            assert!(document.pointer(pointer).is_some(), "{reference}");
        }
    }
}
