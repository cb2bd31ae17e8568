//! The chart of the API: valid OpenAPI 3.1 of each version, with every endpoint.

use std::collections::BTreeSet;

use erawan::api::{ApiVersion, Endpoint, versions};
use erawan::context::Role;
use erawan::flows::endpoints;
use serde_json::{Value, json};

use crate::fakes::Node;
use crate::network::{client, send};

const VERSIONS: [(&str, ApiVersion, &str); 4] = [
    ("", ApiVersion::V6, "/v6"),
    ("/v6", ApiVersion::V6, "/v6"),
    ("/v5", ApiVersion::V5, "/v5"),
    ("/v4", ApiVersion::V4, "/v4"),
];

/// The schema of OpenAPI 3.1 documents by its authors (vendor/README.md).
fn openapi() -> jsonschema::Validator {
    let source = include_str!("vendor/openapi-3.1.json");
    let schema: Value = serde_json::from_str(source).unwrap();
    jsonschema::validator_for(&schema).unwrap()
}

/// The endpoints that a document of this version is to have, at a node in
/// production: no debug routes.
fn table(node: &Node, version: ApiVersion) -> Vec<Endpoint> {
    let mut all = versions::of(version, &endpoints::all());
    let own = node.own.iter();
    all.extend(
        own.filter(|endpoint| !endpoint.path.contains("openapi"))
            .cloned(),
    );
    all
}

fn in_braces(path: &str) -> String {
    let segments = path
        .split('/')
        .map(|segment| match segment.strip_prefix(':') {
            Some(name) => format!("{{{name}}}"),
            None => segment.to_owned(),
        });
    segments.collect::<Vec<_>>().join("/")
}

fn faults(validator: &jsonschema::Validator, value: &Value) -> Vec<String> {
    let errors = validator.iter_errors(value);
    errors
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect()
}

#[actix_web::test]
async fn each_document_is_valid_and_has_every_endpoint_of_its_version() {
    let node = Node::start(Role::Rp).await;
    node.readiness.lock().ledger_connected = false;
    let openapi = openapi();
    for (prefix, version, server) in VERSIONS {
        let answer = send(client().get(node.url(&format!("{prefix}/openapi.json")))).await;
        assert_eq!(answer.status, 200);
        assert_eq!(
            answer.content_type.as_deref(),
            Some("application/json; charset=utf-8")
        );
        let document = answer.json();
        assert_eq!(faults(&openapi, &document), [""; 0], "{prefix}");
        assert_eq!(document["info"]["version"], version.as_str());
        assert_eq!(document["servers"][0]["url"], server);
        let mut ids = BTreeSet::new();
        let mut operations = 0;
        for endpoint in table(&node, version) {
            let method = endpoint.method.as_str().to_ascii_lowercase();
            let operation = &document["paths"][in_braces(endpoint.path)][method];
            assert_eq!(
                operation["summary"], endpoint.description,
                "{}",
                endpoint.path
            );
            assert!(
                ids.insert(operation["operationId"].to_string()),
                "{operation}"
            );
            check_body(&endpoint, operation);
            let status = endpoint.success.status.to_string();
            let told = &operation["responses"][status]["description"];
            assert!(told.is_string(), "{}: {operation}", endpoint.path);
            operations += 1;
        }
        let paths = document["paths"].as_object().unwrap().values();
        let methods = paths.flat_map(|path| path.as_object().unwrap().keys());
        let shown = methods.filter(|method| *method != "servers").count();
        assert_eq!(shown, operations, "{prefix}");
    }
}

/// The schema is one, it is that of the table, and the example fits it.
fn check_body(endpoint: &Endpoint, operation: &Value) {
    let path = endpoint.path;
    let Some(schema) = &endpoint.body else {
        assert_eq!(operation["requestBody"], Value::Null, "{path}");
        return;
    };
    let content = &operation["requestBody"]["content"]["application/json"];
    assert_eq!(&content["schema"], schema.source(), "{path}");
    assert!(
        jsonschema::draft202012::meta::is_valid(&content["schema"]),
        "{path}"
    );
    let validator = jsonschema::validator_for(&content["schema"]).unwrap();
    assert_eq!(faults(&validator, &content["example"]), [""; 0], "{path}");
    assert!(!validator.is_valid(&json!([])), "{path}");
}

#[actix_web::test]
async fn each_page_shows_every_endpoint_and_asks_no_other_host() {
    let node = Node::start(Role::Rp).await;
    for (prefix, version, server) in VERSIONS {
        let answer = send(client().get(node.url(&format!("{prefix}/openapi")))).await;
        assert_eq!(answer.status, 200);
        assert_eq!(
            answer.content_type.as_deref(),
            Some("text/html; charset=utf-8")
        );
        for endpoint in table(&node, version) {
            let base = endpoint.since.map_or("", |_| server);
            let form = format!(
                "data-method=\"{}\" data-path=\"{base}{}\"",
                endpoint.method.as_str().to_ascii_lowercase(),
                in_braces(endpoint.path),
            );
            assert_eq!(answer.text.matches(&form).count(), 1, "{form}");
        }
        for mark in ["src=", "href=\"http", "@import", "url("] {
            assert!(!answer.text.contains(mark), "{mark}");
        }
    }
}

#[actix_web::test]
async fn the_chart_needs_the_api_key_like_everything() {
    let node = Node::start_with(Role::Rp, |config| {
        config.api.key_hash = Some("85".repeat(32));
    })
    .await;
    for path in ["/openapi.json", "/v5/openapi"] {
        let answer = send(client().get(node.url(path))).await;
        assert_ne!(answer.status, 200, "{path}");
    }
}
