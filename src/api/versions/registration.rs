//! Registration of nodes in versions 5 and 4 (spec/http-api-v4-v5.md 6, 7): older
//! keys, levels from fixed lists, a flag instead of a list of features.

use schemars::{JsonSchema, Schema as JsonOf, SchemaGenerator, json_schema};
use serde_json::{Value, json};

use super::idps::FEATURES;
use super::{Adapter, Members, keys, remove};
use crate::api::schema::{Schema, url};

/// An adapter of a body with this schema, which `body_in` maps to version 6.
fn of_body<B: JsonSchema>(body_in: fn(&mut Members)) -> Adapter {
    Adapter {
        body: Some(Schema::of::<B>()),
        body_in: Some(body_in),
        ..Adapter::default()
    }
}

fn ial(_: &mut SchemaGenerator) -> JsonOf {
    json_schema!({"type": "number", "enum": [1.1, 1.2, 1.3, 2.1, 2.2, 2.3, 3]})
}

fn aal(_: &mut SchemaGenerator) -> JsonOf {
    json_schema!({"type": "number", "enum": [1, 2.1, 2.2, 3]})
}

fn key_type(_: &mut SchemaGenerator) -> JsonOf {
    json_schema!({"type": "string", "enum": ["RSA"]})
}

fn sign_method(_: &mut SchemaGenerator) -> JsonOf {
    json_schema!({"type": "string", "enum": ["RSA-SHA256"]})
}

fn role(_: &mut SchemaGenerator) -> JsonOf {
    json_schema!({"type": "string", "enum": ["rp", "idp", "as", "proxy"]})
}

fn role_but_proxy(_: &mut SchemaGenerator) -> JsonOf {
    json_schema!({"type": "string", "enum": ["rp", "idp", "as"]})
}

/// Keys of a new node.
#[derive(JsonSchema)]
#[expect(dead_code, reason = "only its schema is used")]
struct OldNodeKeys {
    #[schemars(length(min = 1))]
    node_key: String,
    #[serde(default)]
    #[schemars(schema_with = "key_type")]
    node_key_type: Option<String>,
    #[serde(default)]
    #[schemars(schema_with = "sign_method")]
    node_sign_method: Option<String>,
    #[schemars(length(min = 1))]
    node_master_key: String,
    #[serde(default)]
    #[schemars(schema_with = "key_type")]
    node_master_key_type: Option<String>,
    #[serde(default)]
    #[schemars(schema_with = "sign_method")]
    node_master_sign_method: Option<String>,
}

/// Body of `POST /ndid/init_ndid`.
#[derive(JsonSchema)]
#[expect(dead_code, reason = "only its schema is used")]
struct OldInit {
    #[schemars(length(min = 1))]
    public_key: String,
    #[serde(default)]
    #[schemars(schema_with = "key_type")]
    public_key_type: Option<String>,
    #[schemars(length(min = 1))]
    master_public_key: String,
    #[serde(default)]
    #[schemars(schema_with = "key_type")]
    master_public_key_type: Option<String>,
    chain_history_info: Option<String>,
}

pub(super) fn init() -> Adapter {
    of_body::<OldInit>(keys::of_ndid)
}

/// Body of `POST /node/create`.
#[derive(JsonSchema)]
#[expect(dead_code, reason = "only its schema is used")]
struct OldCreation {
    #[schemars(length(min = 1))]
    reference_id: String,
    #[schemars(schema_with = "url")]
    callback_url: String,
    #[schemars(length(min = 1))]
    node_id: String,
    #[schemars(length(min = 1))]
    node_name: String,
    #[serde(flatten)]
    keys: OldNodeKeys,
    #[schemars(schema_with = "role_but_proxy")]
    role: String,
    max_ial: Option<f64>,
    max_aal: Option<f64>,
}

pub(super) fn creation() -> Adapter {
    of_body::<OldCreation>(keys::of_node)
}

/// Body of `POST /node/update`.
#[derive(JsonSchema)]
#[schemars(transform = at_least_one)]
#[expect(dead_code, reason = "only its schema is used")]
struct UpdateOfKeys {
    #[schemars(length(min = 1))]
    node_id: Option<String>,
    #[schemars(length(min = 1))]
    reference_id: String,
    #[schemars(schema_with = "url")]
    callback_url: String,
    #[schemars(length(min = 1))]
    node_key: Option<String>,
    #[serde(default)]
    #[schemars(schema_with = "key_type")]
    node_key_type: Option<String>,
    #[serde(default)]
    #[schemars(schema_with = "sign_method")]
    node_sign_method: Option<String>,
    #[schemars(length(min = 1))]
    node_master_key: Option<String>,
    #[serde(default)]
    #[schemars(schema_with = "key_type")]
    node_master_key_type: Option<String>,
    #[serde(default)]
    #[schemars(schema_with = "sign_method")]
    node_master_sign_method: Option<String>,
    #[schemars(extend("uniqueItems" = true))]
    supported_request_message_data_url_type_list: Option<Vec<String>>,
    #[schemars(length(min = 1))]
    check_string: Option<String>,
    #[schemars(length(min = 1))]
    signed_check_string: Option<String>,
    #[schemars(length(min = 1))]
    master_signed_check_string: Option<String>,
}

fn at_least_one(schema: &mut JsonOf) {
    let names = [
        "node_key",
        "node_master_key",
        "supported_request_message_data_url_type_list",
    ];
    let branches: Vec<Value> = names.map(|name| json!({"required": [name]})).into();
    schema.insert("anyOf".into(), branches.into());
}

pub(super) fn update_of_keys() -> Adapter {
    of_body::<UpdateOfKeys>(keys::of_node)
}

/// Body of `POST /ndid/register_node` of version 4.
#[derive(JsonSchema)]
#[expect(dead_code, reason = "only its schema is used")]
struct Registration4 {
    #[schemars(length(min = 1))]
    node_id: String,
    #[schemars(length(min = 1))]
    node_name: String,
    #[serde(flatten)]
    keys: OldNodeKeys,
    #[schemars(schema_with = "role")]
    role: String,
    #[serde(default)]
    #[schemars(schema_with = "ial")]
    max_ial: Option<f64>,
    #[serde(default)]
    #[schemars(schema_with = "aal")]
    max_aal: Option<f64>,
}

/// What version 5 adds to the description of a node.
#[derive(JsonSchema)]
#[expect(dead_code, reason = "only its schema is used")]
struct Added5 {
    on_the_fly_support: Option<bool>,
    agent: Option<bool>,
    node_id_whitelist_active: Option<bool>,
    #[schemars(inner(length(min = 1)))]
    node_id_whitelist: Option<Vec<String>>,
}

/// Names of these members, and the list that version 6 has instead of the flag.
const ADDED_SINCE_4: [&str; 5] = [
    "on_the_fly_support",
    "agent",
    "node_id_whitelist_active",
    "node_id_whitelist",
    FEATURES,
];

/// Body of `POST /ndid/register_node` of version 5.
#[derive(JsonSchema)]
#[expect(dead_code, reason = "only its schema is used")]
struct Registration5 {
    #[serde(flatten)]
    registration: Registration4,
    #[serde(flatten)]
    added: Added5,
}

pub(super) fn register_v4() -> Adapter {
    of_body::<Registration4>(|body| {
        remove(body, &ADDED_SINCE_4);
        keys::of_node(body);
    })
}

pub(super) fn register_v5() -> Adapter {
    of_body::<Registration5>(|body| {
        features_of_new_node(body);
        keys::of_node(body);
    })
}

/// A new node has this feature or none.
fn features_of_new_node(body: &mut Members) {
    let is_on = body.shift_remove("on_the_fly_support") == Some(json!(true));
    let features = match is_on {
        true => json!(["on_the_fly"]),
        false => json!([]),
    };
    body.insert(FEATURES.to_owned(), features);
}

/// Body of `POST /ndid/update_node` of version 4.
#[derive(JsonSchema)]
#[expect(dead_code, reason = "only its schema is used")]
struct Update4 {
    #[schemars(length(min = 1))]
    node_id: String,
    #[schemars(length(min = 1))]
    node_name: Option<String>,
    #[serde(default)]
    #[schemars(schema_with = "ial")]
    max_ial: Option<f64>,
    #[serde(default)]
    #[schemars(schema_with = "aal")]
    max_aal: Option<f64>,
}

/// Body of `POST /ndid/update_node` of version 5.
#[derive(JsonSchema)]
#[expect(dead_code, reason = "only its schema is used")]
struct Update5 {
    #[serde(flatten)]
    update: Update4,
    #[serde(flatten)]
    added: Added5,
}

pub(super) fn update_v4() -> Adapter {
    of_body::<Update4>(|body| remove(body, &ADDED_SINCE_4))
}

/// The flag stays in the body: only the endpoint knows the node's other features
/// (spec/http-api-v4-v5.md 14, Q2).
pub(super) fn update_v5() -> Adapter {
    of_body::<Update5>(|body| remove(body, &[FEATURES]))
}

/// Body of `POST /ndid/set_allowed_min_ial_for_register_identity_at_first_idp`.
#[derive(JsonSchema)]
#[expect(dead_code, reason = "only its schema is used")]
struct OldFirstIdp {
    #[schemars(schema_with = "ial")]
    min_ial: f64,
}

pub(super) fn first_idp() -> Adapter {
    Adapter {
        body: Some(Schema::of::<OldFirstIdp>()),
        ..Adapter::default()
    }
}
