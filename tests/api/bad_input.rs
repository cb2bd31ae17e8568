//! Bad input to every endpoint of the table, made from its schema: a member that is
//! missing, of another type, empty, or over-long; an array instead of an object; no
//! JSON; unknown ids. Every answer is as specified, and a refused call leaves
//! nothing behind.

use std::sync::Arc;

use erawan::api::{ApiVersion, Audience, Endpoint, Method, openapi, versions};
use erawan::context::Role;
use erawan::flows::endpoints;
use reqwest::Client;
use serde_json::{Map, Value, json};

use crate::fakes::Node;
use crate::network::{ReceivedResponse, send};

/// Longer than any text that somebody means.
const LONG: usize = 50_000;

/// What an input has to lead to.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Expected {
    /// 20003.
    Refused,
    /// Anything but an error that nobody has specified.
    Anything,
}

/// A whole body, what is odd about it, and what it has to lead to.
type Case = (String, Value, Expected);

/// A value that fits a schema, with all its members.
fn sample(schema: &Value) -> Value {
    if let Some(first) = schema["enum"].as_array().and_then(|values| values.first()) {
        return first.clone();
    }
    match schema["type"].as_str() {
        Some("string") => match schema["format"].as_str() {
            Some("uri") => json!("http://127.0.0.1:1/client"),
            Some("date-time") => json!("2999-12-31T00:00:00Z"),
            _ => json!("unknown"),
        },
        Some("number" | "integer") => schema.get("minimum").cloned().unwrap_or(json!(1)),
        Some("boolean") => json!(false),
        Some("array") => json!([sample(&schema["items"])]),
        Some("object") | None => {
            let members = schema["properties"].as_object().into_iter().flatten();
            let members = members.map(|(name, member)| (name.clone(), sample(member)));
            Value::Object(members.collect::<Map<_, _>>())
        }
        Some(other) => panic!("a sample of {other}"),
    }
}

/// Values of every type but this one.
fn of_other_types(kind: &str) -> Vec<Value> {
    let all = [
        ("string", json!("1")),
        ("number", json!(1.5)),
        ("boolean", json!(true)),
        ("null", Value::Null),
        ("array", json!([{}])),
        ("object", json!({"a": 1})),
    ];
    let others = all.into_iter().filter(|(name, _)| *name != kind);
    others.map(|(_, value)| value).collect()
}

/// What can be wrong with a value of this schema.
fn cases(schema: &Value, good: &Value) -> Vec<Case> {
    use Expected::{Anything, Refused};
    let Some(kind) = schema["type"].as_str() else {
        return Vec::new();
    };
    let mut cases: Vec<Case> = Vec::new();
    let mut add = |what: &str, value: Value, expected| {
        cases.push((what.to_owned(), value, expected));
    };
    for value in of_other_types(kind) {
        add("of another type", value, Refused);
    }
    let is_closed = schema.get("enum").is_some() || schema.get("format").is_some();
    match kind {
        "string" => {
            let choices = schema["enum"].as_array();
            let is_choice = choices.is_some_and(|choices| choices.contains(&json!("")));
            let is_refused = is_closed || schema.get("minLength").is_some();
            let empty = match is_refused && !is_choice {
                true => Refused,
                false => Anything,
            };
            add("empty", json!(""), empty);
            let open = if is_closed { Refused } else { Anything };
            add("over-long", "x".repeat(LONG).into(), open);
            add("of odd letters", json!("\u{0}\u{FFFD}🙂/..%00"), open);
        }
        "number" | "integer" => {
            if let Some(least) = schema["minimum"].as_f64() {
                add("too small", json!(least - 1.0), Refused);
            }
            let open = if is_closed { Refused } else { Anything };
            add("large", json!(1e15), open);
            add("enormous", json!(1e300), Anything);
        }
        "array" => {
            let empty = match schema.get("minItems").is_some() {
                true => Refused,
                false => Anything,
            };
            add("empty", json!([]), empty);
            let is_unique = ["uniqueItems", "uniqueItemProperties"];
            if is_unique.iter().any(|rule| schema.get(rule).is_some()) {
                add("repeated", json!([good[0], good[0]]), Refused);
            }
            for (what, item, expected) in self::cases(&schema["items"], &good[0]) {
                cases.push((format!("[0] {what}"), json!([item]), expected));
            }
        }
        _ => cases.extend(of_members(schema, good)),
    }
    cases
}

fn of_members(schema: &Value, good: &Value) -> Vec<Case> {
    let mut cases = Vec::new();
    for name in schema["required"].as_array().into_iter().flatten() {
        let mut without = good.clone();
        without
            .as_object_mut()
            .unwrap()
            .remove(name.as_str().unwrap());
        cases.push((format!("{name} missing"), without, Expected::Refused));
    }
    let members = schema["properties"].as_object().into_iter().flatten();
    for (name, member) in members {
        for (what, value, expected) in self::cases(member, &good[name]) {
            let mut changed = good.clone();
            changed[name] = value;
            cases.push((format!("{name} {what}"), changed, expected));
        }
    }
    cases
}

/// The schema of a body: of several the first.
fn body_schema(endpoint: &Endpoint) -> Option<Value> {
    let mut schema = endpoint.body.as_ref()?.source().clone();
    if schema.get("properties").is_none()
        && let Some(first) = schema["anyOf"]
            .as_array()
            .map(|branches| branches[0].clone())
    {
        schema = first;
    }
    schema["type"] = "object".into();
    Some(schema)
}

/// Errors of the server that the specification wants (spec/http-api.md 2, 3).
fn is_specified(path: &str, code: Option<u64>) -> bool {
    match code {
        // A call for a transaction without a key on the ledger.
        Some(10034) => path.starts_with("/ndid/"),
        // The ledger of these tests knows no node, not even the own one.
        Some(10032) => path == "/node/update" || path.starts_with("/rp/requests/"),
        Some(20023) => path.starts_with("/as/service/"),
        Some(10000) => {
            let roles = ["/ndid/register_node", "/node/create"];
            let schemas = ["/ndid/create_service", "/ndid/update_service"];
            roles.contains(&path) || schemas.contains(&path) || path == "/ndid/get_node_id_list"
        }
        _ => false,
    }
}

/// A network that has levels, modes and nothing else.
fn bare_network(node: &Node) {
    node.ledger.answer_with(|method, _| {
        Ok(match method {
            "GetSupportedIALList" => Some(json!({"supported_ial_list": [1, 1.1, 2.3]})),
            "GetSupportedAALList" => Some(json!({"supported_aal_list": [1, 2.2, 3]})),
            "GetAllowedModeList" => Some(json!({"allowed_mode_list": [1, 2, 3]})),
            _ => None,
        })
    });
}

fn filled(path: &str, parameter: &str) -> String {
    let segments = path
        .split('/')
        .map(|segment| match segment.starts_with(':') {
            true => parameter,
            false => segment,
        });
    segments.collect::<Vec<_>>().join("/")
}

struct Caller {
    node: Node,
    client: Client,
}

impl Caller {
    async fn new(role: Role) -> Self {
        let node = Node::start_real(role).await;
        bare_network(&node);
        drop(crate::network::client());
        let client = Client::builder().no_proxy().build().unwrap();
        Self { node, client }
    }

    /// Calls, and looks whether what is refused has left anything behind.
    async fn post(&self, path: &str, body: Vec<u8>) -> ReceivedResponse {
        let before = self.node.store.accepted.lock().len();
        let call = self.client.post(self.node.url(path));
        let call = call.header("content-type", "application/json").body(body);
        let answer = send(call).await;
        let after = self.node.store.accepted.lock().len();
        assert!(answer.status < 300 || after == before, "{path} {answer:?}");
        answer
    }

    async fn post_json(&self, path: &str, body: &Value) -> ReceivedResponse {
        self.post(path, body.to_string().into_bytes()).await
    }
}

/// What every answer has to be.
fn is_sound(endpoint: &Endpoint, answer: &ReceivedResponse) -> bool {
    let is_of_client = answer.status < 500 || answer.status == 501;
    is_of_client || is_specified(endpoint.path, answer.error_code())
}

fn role_of(audience: Audience) -> Role {
    match audience {
        Audience::Rp | Audience::Everybody => Role::Rp,
        Audience::Idp => Role::Idp,
        Audience::As => Role::As,
        Audience::Proxy => Role::Proxy,
        Audience::Ndid => Role::Ndid,
    }
}

const VERSIONS: [ApiVersion; 3] = [ApiVersion::V6, ApiVersion::V5, ApiVersion::V4];

/// All of a version, but those of a node under development.
fn of_version(version: ApiVersion, role: Role, method: Method) -> Vec<Endpoint> {
    let all = versions::of(version, &endpoints::all()).into_iter();
    all.filter(|endpoint| endpoint.method == method && role_of(endpoint.audience) == role)
        .collect()
}

/// Those of all versions, each with the prefix of its version.
fn served(role: Role, method: Method) -> Vec<(&'static str, Endpoint)> {
    let versions = VERSIONS.into_iter();
    let all = versions.flat_map(|version| {
        let of_version = of_version(version, role, method).into_iter();
        of_version.map(move |endpoint| (openapi::prefix(version), endpoint))
    });
    all.collect()
}

const ROLES: [Role; 5] = [Role::Rp, Role::Idp, Role::As, Role::Proxy, Role::Ndid];

#[actix_web::test]
async fn what_does_not_fit_its_schema_is_refused_and_nothing_is_stored() {
    let mut tried = 0;
    for role in ROLES {
        let caller = Caller::new(role).await;
        for (prefix, endpoint) in served(role, Method::Post) {
            let Some(schema) = body_schema(&endpoint) else {
                continue;
            };
            let path = format!("{prefix}{}", filled(endpoint.path, "unknown"));
            for (what, body, expected) in of_members(&schema, &sample(&schema)) {
                let answer = caller.post_json(&path, &body).await;
                let said = format!("{path}: {what}: {answer:?}");
                match expected {
                    Expected::Refused => {
                        let told = (answer.status, answer.error_code());
                        assert_eq!(told, (400, Some(20003)), "{said}");
                    }
                    Expected::Anything => assert!(is_sound(&endpoint, &answer), "{said}"),
                }
                tried += 1;
            }
        }
    }
    assert!(tried > 4000, "{tried} bodies");
}

#[actix_web::test]
async fn what_is_no_object_is_refused_by_every_endpoint() {
    for role in ROLES {
        let caller = Caller::new(role).await;
        for (prefix, endpoint) in served(role, Method::Post) {
            let path = format!("{prefix}{}", filled(endpoint.path, "unknown"));
            for body in ["{", "{\"a\":}", "\"text\"", "1", "null", "{'a':1}", "\u{0}"] {
                let answer = caller.post(&path, body.into()).await;
                let told = (answer.status, answer.error_code());
                assert_eq!(told, (400, Some(20007)), "{path} {body} {answer:?}");
            }
            let answer = caller.post_json(&path, &json!([{}])).await;
            match &endpoint.body {
                Some(_) => assert_eq!(answer.error_code(), Some(20003), "{path}"),
                None => assert!(is_sound(&endpoint, &answer), "{path} {answer:?}"),
            }
        }
    }
}

/// The bodies are right; nobody knows what they name.
#[actix_web::test]
async fn ids_that_nobody_knows_lead_to_no_error_of_the_server() {
    let ids = [
        "unknown",
        "a%2Fb",
        "%00",
        "%F0%9F%99%82",
        "x".repeat(2000).leak(),
    ];
    for role in ROLES {
        let caller = Caller::new(role).await;
        for method in [Method::Get, Method::Post] {
            for (prefix, endpoint) in served(role, method) {
                let good = body_schema(&endpoint).map(|schema| sample(&schema));
                for id in ids {
                    let path = format!("{prefix}{}", filled(endpoint.path, id));
                    let answer = match method {
                        Method::Get => send(caller.client.get(caller.node.url(&path))).await,
                        Method::Post => {
                            let body = good.clone().unwrap_or_else(|| json!({}));
                            caller.post_json(&path, &body).await
                        }
                    };
                    assert!(is_sound(&endpoint, &answer), "{path} {answer:?}");
                }
                if endpoint.path.contains(':') {
                    let path = format!("{prefix}{}", filled(endpoint.path, "%zz"));
                    let call = match method {
                        Method::Get => caller.client.get(caller.node.url(&path)),
                        Method::Post => caller.client.post(caller.node.url(&path)),
                    };
                    let answer = send(call).await;
                    let told = (answer.status, answer.error_code());
                    assert_eq!(told, (500, Some(10000)), "{path} {answer:?}");
                }
            }
        }
    }
}

/// A proxy has to be told for whom; everybody else acts for itself, whatever a
/// call says.
#[actix_web::test]
async fn calls_with_the_id_of_another_node_are_calls_of_the_node_itself() {
    let all = VERSIONS.map(|version| {
        let prefix = openapi::prefix(version);
        let of_version = versions::of(version, &endpoints::all()).into_iter();
        of_version.map(move |endpoint| (prefix, endpoint))
    });
    for (prefix, endpoint) in all.into_iter().flatten() {
        let Some(schema) = body_schema(&endpoint) else {
            continue;
        };
        if !endpoint.needs_acting_node {
            continue;
        }
        let path = format!("{prefix}{}", filled(endpoint.path, "unknown"));
        let good = sample(&schema);
        let mut without = good.clone();
        without.as_object_mut().unwrap().remove("node_id");
        let caller = Caller::new(role_of(endpoint.audience)).await;
        let of_another = caller.post_json(&path, &good).await;
        let own = caller.post_json(&path, &without).await;
        let told = |answer: &ReceivedResponse| (answer.status, answer.error_code());
        assert_eq!(told(&of_another), told(&own), "{path}");
        let proxy = Caller::new(Role::Proxy).await;
        if endpoint.audience.includes(Role::Proxy) {
            let unnamed = proxy.post_json(&path, &without).await;
            assert_eq!(told(&unnamed), (400, Some(20057)), "{path}");
            let named = proxy.post_json(&path, &good).await;
            assert!(is_sound(&endpoint, &named), "{path} {named:?}");
        }
    }
}

/// Two calls under one reference id, one after the other.
#[actix_web::test]
async fn a_reference_id_that_is_taken_is_refused() {
    use erawan::job::Table;
    let caller = Caller::new(Role::Rp).await;
    let taken = |table: Table, row: &str| {
        let key = (table, row.to_owned(), String::new());
        let store: &Arc<_> = &caller.node.store;
        store.columns.lock().insert(key, b"\"taken\"".to_vec());
    };
    taken(Table::Call, "rp1/messages/taken");
    taken(Table::RequestReference, "rp1/taken");
    for path in ["/rp/messages", "/rp/requests/citizen_id/1000000000017"] {
        let mut all = of_version(ApiVersion::V6, Role::Rp, Method::Post).into_iter();
        let shape = |endpoint: &Endpoint| endpoint.path.split('/').count();
        let endpoint = all.find(|endpoint| {
            let group: Vec<_> = endpoint.path.split('/').take(3).collect();
            shape(endpoint) == path.split('/').count() && path.starts_with(&group.join("/"))
        });
        let mut body = sample(&body_schema(&endpoint.unwrap()).unwrap());
        body["reference_id"] = "taken".into();
        body["initial_salt"] = "x".repeat(44).into();
        body.as_object_mut().unwrap().remove("request_type");
        let answer = caller.post_json(path, &body).await;
        let told = (answer.status, answer.error_code());
        assert_eq!(told, (400, Some(20045)), "{path} {answer:?}");
    }
}
