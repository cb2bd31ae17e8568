//! The chart of the API: an OpenAPI 3.1 document, made from the table of endpoints
//! alone.

use serde_json::{Map, Value, json};

use super::endpoint::{Audience, Endpoint, Method, Needs};
use super::success::SuccessBody;
use super::{ApiVersion, example};

/// The prefix of a version's paths.
pub fn prefix(version: ApiVersion) -> &'static str {
    match version {
        ApiVersion::V4 => "/v4",
        ApiVersion::V5 => "/v5",
        ApiVersion::V6 => "/v6",
    }
}

/// The document of a version: its endpoints, and those without a version.
pub fn document(version: ApiVersion, endpoints: &[Endpoint]) -> Value {
    let mut paths = Map::new();
    let mut groups: Vec<&str> = Vec::new();
    for endpoint in endpoints {
        let path = paths
            .entry(braced(endpoint.path))
            .or_insert_with(|| path_item(endpoint));
        let method = endpoint.method.as_str().to_ascii_lowercase();
        path[method] = operation(endpoint);
        if !groups.contains(&group(endpoint)) {
            groups.push(group(endpoint));
        }
    }
    let tags = groups.iter().map(|name| json!({"name": name}));
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": format!("NDID node API {}", version.as_str()),
            "version": version.as_str(),
            "description": "Each path says which roles it serves. Other nodes answer 404.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": prefix(version)}],
        "tags": tags.collect::<Vec<_>>(),
        "paths": paths,
        "components": components(),
        // An API key is needed only where the operator has set one.
        "security": [{}, {"api_key": []}],
    })
}

/// The tag of an endpoint.
fn group(endpoint: &Endpoint) -> &'static str {
    match endpoint.since {
        Some(_) => endpoint.group(),
        None => "process",
    }
}

/// `:name` as `{name}`.
fn braced(path: &str) -> String {
    let segments = path.split('/').skip(1);
    let segments = segments.map(|segment| match segment.strip_prefix(':') {
        Some(name) => format!("/{{{name}}}"),
        None => format!("/{segment}"),
    });
    segments.collect()
}

/// Endpoints without a version stand at the root.
fn path_item(endpoint: &Endpoint) -> Value {
    match endpoint.since {
        Some(_) => json!({}),
        None => json!({"servers": [{"url": "/"}]}),
    }
}

fn operation(endpoint: &Endpoint) -> Value {
    let mut operation = json!({
        "operationId": id(endpoint),
        "tags": [group(endpoint)],
        "summary": endpoint.description,
        "description": description(endpoint),
        "parameters": parameters(endpoint),
        "responses": responses(endpoint),
    });
    if let Some(schema) = &endpoint.body {
        operation["requestBody"] = json!({
            "required": true,
            "content": {"application/json": {
                "schema": schema.source(),
                "example": example::of(schema.source()),
            }},
        });
    }
    operation
}

/// Method and path as one word.
fn id(endpoint: &Endpoint) -> String {
    let path = endpoint.path.replace(['/', '.'], "_").replace(':', "");
    format!("{}{path}", endpoint.method.as_str().to_ascii_lowercase())
}

fn description(endpoint: &Endpoint) -> String {
    let whom = match endpoint.audience {
        Audience::Rp => "Serves RPs and proxies.",
        Audience::Idp => "Serves IdPs and proxies.",
        Audience::As => "Serves ASes and proxies.",
        Audience::Proxy => "Serves proxies.",
        Audience::Ndid => "Serves NDID's own node.",
        Audience::Everybody => "Serves every node.",
    };
    let needs = match endpoint.needs {
        Needs::Nothing => "Is always answered.",
        Needs::Ledger => "Needs the ledger.",
        Needs::Everything => "Needs a node that is ready.",
    };
    match endpoint.needs_acting_node {
        true => format!("{whom} {needs} On a proxy, `node_id` names the node behind it that acts."),
        false => format!("{whom} {needs}"),
    }
}

fn parameters(endpoint: &Endpoint) -> Vec<Value> {
    let names = endpoint.path.split('/');
    let names = names.filter_map(|segment| segment.strip_prefix(':'));
    let mut parameters: Vec<Value> = names
        .map(|name| {
            json!({"name": name, "in": "path", "required": true, "schema": {"type": "string"}})
        })
        .collect();
    let query = endpoint.query.source();
    let required = query["required"].as_array();
    let members = query["properties"].as_object().into_iter().flatten();
    for (name, schema) in members.filter(|(name, _)| is_shown(endpoint, name)) {
        let is_required = required.is_some_and(|required| required.contains(&json!(name)));
        parameters.push(json!({
            "name": name, "in": "query", "required": is_required, "schema": schema,
        }));
    }
    parameters
}

/// Every endpoint takes some names; most have no effect.
fn is_shown(endpoint: &Endpoint, name: &str) -> bool {
    let names_the_actor = endpoint.needs_acting_node && endpoint.method == Method::Get;
    endpoint.declares_query || (name == "node_id" && names_the_actor)
}

fn responses(endpoint: &Endpoint) -> Value {
    let error = |text: &str| {
        let schema = json!({"$ref": "#/components/schemas/Error"});
        json!({"description": text, "content": {"application/json": {"schema": schema}}})
    };
    let done = match (endpoint.method, endpoint.purpose) {
        _ if endpoint.success.status == 501 => "It is not supported.",
        (Method::Get, _) => "What was asked for.",
        (Method::Post, Some(_)) if endpoint.audience == Audience::Ndid => "It is on the ledger.",
        (Method::Post, Some(_)) => "The call is stored, and its result comes by a callback.",
        (Method::Post, None) => "It is done.",
    };
    let mut answers = json!({
        "404": {"description": "It does not exist, or the node has another role."},
        "4XX": error("The call is wrong."),
        "5XX": error("The node cannot serve the call now, or does not support it."),
    });
    answers[endpoint.success.status.to_string()] = success(&endpoint.success.body, done);
    answers
}

fn success(body: &SuccessBody, done: &str) -> Value {
    match body {
        SuccessBody::Empty | SuccessBody::EmptyJson => json!({"description": done}),
        SuccessBody::Json(schema) => json!({
            "description": done,
            "content": {"application/json": {"schema": **schema}},
        }),
        SuccessBody::Text(content_type) => {
            let media_type = content_type.split(';').next().unwrap_or_default();
            let schema = json!({"type": "string"});
            json!({"description": done, "content": {media_type: {"schema": schema}}})
        }
    }
}

fn components() -> Value {
    json!({
        "schemas": {
            "Error": {
                "type": "object",
                "required": ["error"],
                "properties": {
                    "error": {
                        "type": "object",
                        "required": ["code", "message"],
                        "properties": {
                            "code": {"type": "integer"},
                            "message": {"type": "string"},
                        },
                    },
                    "details": {"description": "What does not fit the schema, and where."},
                },
            },
        },
        "securitySchemes": {
            "api_key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
        },
    })
}

#[cfg(test)]
mod tests {
    use schemars::JsonSchema;
    use serde::Deserialize;

    use super::*;
    use crate::api::{ApiCall, CallOutcome, NoPath, NoQuery, Texts};

    #[derive(Deserialize, JsonSchema)]
    #[expect(dead_code, reason = "only its schema is looked at")]
    struct Body {
        #[schemars(length(min = 1))]
        name: String,
        count: Option<u64>,
    }

    fn endpoints() -> [Endpoint; 2] {
        [
            Endpoint::post("/rp/things/:thing_id", Audience::Rp)
                .does("Makes a thing.")
                .begins()
                .body::<Body>()
                .run(|_: ApiCall<NoPath, Texts, Body>| async { Ok(CallOutcome::NoContent) }),
            Endpoint::get("/info", Audience::Everybody)
                .does("Tells of itself.")
                .without_acting_node()
                .query::<NoQuery>()
                .run(|_| async { Ok(CallOutcome::NoContent) })
                .outside_of_versions()
                .needs_nothing(),
        ]
    }

    #[test]
    fn a_path_has_its_parameters_body_and_texts() {
        let document = document(ApiVersion::V5, &endpoints());
        assert_eq!(document["servers"], json!([{"url": "/v5"}]));
        let make = &document["paths"]["/rp/things/{thing_id}"]["post"];
        assert_eq!(make["operationId"], "post_rp_things_thing_id");
        assert_eq!(make["summary"], "Makes a thing.");
        assert_eq!(make["parameters"].as_array().unwrap().len(), 1);
        assert_eq!(make["parameters"][0]["name"], "thing_id");
        let content = &make["requestBody"]["content"]["application/json"];
        assert_eq!(content["schema"]["required"], json!(["name"]));
        assert_eq!(content["example"], json!({"name": "name"}));
        assert_eq!(make["responses"]["202"].get("content"), None);
        let told = make["description"].as_str().unwrap();
        assert!(
            told.starts_with("Serves RPs and proxies. Needs a node"),
            "{told}"
        );
        assert!(told.contains("node_id"));
    }

    #[test]
    fn what_belongs_to_no_version_stands_at_the_root() {
        let document = document(ApiVersion::V6, &endpoints());
        let info = &document["paths"]["/info"];
        assert_eq!(info["servers"], json!([{"url": "/"}]));
        assert_eq!(info["get"]["tags"], json!(["process"]));
        assert_eq!(info["get"]["parameters"], json!([]));
    }
}
