//! A call of every endpoint: what it must have and no more. Who adds an endpoint
//! adds a line; [`crate::endpoints`] fails where one is missing.

use erawan::api::{ApiVersion, Audience, Endpoint};
use erawan::context::Role;
use serde_json::Value;

/// Endpoint as the table has it, query string, and body.
#[rustfmt::skip]
const CALLS: &[(&str, &str, &str)] = &[
    // RP
    ("POST /rp/requests/:namespace/:identifier", "", r#"{"reference_id":"r","callback_url":"http://a","mode":2,"request_message":"m","min_ial":1.1,"min_aal":1,"min_idp":1,"request_timeout":60,"bypass_identity_check":false}"#),
    ("GET /rp/request_references/:reference_id", "", ""),
    ("GET /rp/request_data/:request_id", "", ""),
    ("POST /rp/request_data_removal", "", "{}"),
    ("POST /rp/request_data_removal/:request_id", "", "{}"),
    ("POST /rp/request_close", "", r#"{"reference_id":"r","callback_url":"http://a","request_id":"q"}"#),
    ("POST /rp/messages", "", r#"{"reference_id":"r","callback_url":"http://a","message":"m","purpose":"p"}"#),
    ("GET /rp/callback", "", ""),
    ("POST /rp/callback", "", r#"{"error_url":"http://a"}"#),
    // IdP
    ("POST /idp/response", "", r#"{"reference_id":"r","callback_url":"http://a","request_id":"q","ial":2.3,"aal":3,"status":"accept","signature":"s"}"#),
    ("POST /idp/error_response", "", r#"{"reference_id":"r","callback_url":"http://a","request_id":"q","error_code":1}"#),
    ("GET /idp/request_message_padded_hash", "request_id=q&accessor_id=a", ""),
    ("GET /idp/callback", "", ""),
    ("POST /idp/callback", "", r#"{"incoming_request_url":"http://a"}"#),
    // AS
    ("GET /as/service/:service_id", "", ""),
    ("POST /as/service/:service_id", "", r#"{"reference_id":"r","callback_url":"http://a"}"#),
    ("POST /as/data/:request_id/:service_id", "", r#"{"reference_id":"r","callback_url":"http://a","data":"d"}"#),
    ("POST /as/error/:request_id/:service_id", "", r#"{"reference_id":"r","callback_url":"http://a","error_code":1}"#),
    ("POST /as/payment_received_log/:request_id/:service_id", "", "{}"),
    ("POST /as/service_price/:service_id", "", r#"{"reference_id":"r","callback_url":"http://a","price_by_currency_list":[{"currency":"THB","min_price":1,"max_price":2}],"effective_datetime":"2030-01-01T00:00:00Z"}"#),
    ("GET /as/callback", "", ""),
    ("POST /as/callback", "", r#"{"error_url":"http://a"}"#),
    // Proxy and every node
    ("GET /proxy/callback", "", ""),
    ("POST /proxy/callback", "", r#"{"error_url":"http://a"}"#),
    ("POST /node/create", "", r#"{"reference_id":"r","callback_url":"http://a","node_id":"n","node_name":"n","role":"rp",KEYS}"#),
    ("POST /node/update", "", r#"{"reference_id":"r","callback_url":"http://a","supported_request_message_data_url_type_list":["text/plain"]}"#),
    ("GET /node/callback", "", ""),
    ("POST /node/callback", "", r#"{"message_queue_send_success_url":"http://a"}"#),
    // Identities
    ("POST /identity", "", r#"{"reference_id":"r","callback_url":"http://a","identity_list":[{"namespace":"n","identifier":"i"}],"mode":2,"accessor_type":"RSA","accessor_public_key":"k","ial":2.3}"#),
    ("GET /identity/:namespace/:identifier", "", ""),
    ("POST /identity/:namespace/:identifier", "", r#"{"reference_id":"r","callback_url":"http://a","identity_list":[{"namespace":"n","identifier":"i"}]}"#),
    ("POST /identity/:namespace/:identifier/accessors", "", r#"{"reference_id":"r","callback_url":"http://a","accessor_type":"RSA","accessor_public_key":"k"}"#),
    ("POST /identity/:namespace/:identifier/accessor_revoke", "", r#"{"reference_id":"r","callback_url":"http://a","accessor_id":"a"}"#),
    ("POST /identity/:namespace/:identifier/accessor_revoke_and_add", "", r#"{"reference_id":"r","callback_url":"http://a","revoking_accessor_id":"a","accessor_type":"RSA","accessor_public_key":"k"}"#),
    ("POST /identity/:namespace/:identifier/association_revoke", "", r#"{"reference_id":"r","callback_url":"http://a"}"#),
    ("POST /identity/:namespace/:identifier/mode", "", r#"{"reference_id":"r","callback_url":"http://a"}"#),
    ("GET /identity/:namespace/:identifier/ial", "", ""),
    ("POST /identity/:namespace/:identifier/ial", "", r#"{"reference_id":"r","callback_url":"http://a","ial":2.3}"#),
    ("GET /identity/:namespace/:identifier/lial", "", ""),
    ("POST /identity/:namespace/:identifier/lial", "", r#"{"reference_id":"r","callback_url":"http://a","lial":true}"#),
    ("GET /identity/:namespace/:identifier/laal", "", ""),
    ("POST /identity/:namespace/:identifier/laal", "", r#"{"reference_id":"r","callback_url":"http://a","laal":true}"#),
    ("GET /identity/:namespace/:identifier/endorsement", "", ""),
    ("POST /identity/:namespace/:identifier/endorsement", "", "{}"),
    ("POST /identity/:namespace/:identifier/removal_from_reference_group", "", r#"{"reference_id":"r","callback_url":"http://a"}"#),
    ("POST /identity/:namespace/:identifier/reference_group_merge", "", r#"{"reference_id":"r","callback_url":"http://a","namespace_to_merge":"n","identifier_to_merge":"i"}"#),
    ("GET /identity_request/request_references/:reference_id", "", ""),
    ("POST /identity_request/request_close", "", r#"{"reference_id":"r","callback_url":"http://a","request_id":"q"}"#),
    // Look-ups
    ("GET /utility/idp", "", ""),
    ("GET /utility/idp/:namespace/:identifier", "", ""),
    ("GET /utility/as/:service_id", "", ""),
    ("GET /utility/as/service_price/:service_id", "", ""),
    ("GET /utility/service_price_ceiling", "service_id=s", ""),
    ("GET /utility/service_price_min_effective_datetime_delay", "", ""),
    ("GET /utility/requests/:request_id", "", ""),
    ("GET /utility/accessors/:accessor_id", "", ""),
    ("GET /utility/nodes/:node_id", "", ""),
    ("GET /utility/nodes/:node_id/public_keys", "", ""),
    ("GET /utility/nodes/:node_id/token", "", ""),
    ("GET /utility/namespaces", "", ""),
    ("GET /utility/services", "", ""),
    ("GET /utility/services/:service_id", "", ""),
    ("GET /utility/idp_error_codes", "", ""),
    ("GET /utility/as_error_codes", "", ""),
    ("GET /utility/private_messages/:request_id", "", ""),
    ("POST /utility/private_message_removal", "", "{}"),
    ("POST /utility/private_message_removal/:request_id", "", "{}"),
    ("GET /utility/messages/:message_id", "", ""),
    ("GET /utility/request_types", "", ""),
    ("GET /utility/suppressed_identity_modification_notification_node_ids", "", ""),
    ("GET /utility/suppressed_identity_modification_notification_node_ids/:node_id", "", ""),
    ("GET /utility/node_supported_features", "", ""),
    ("GET /utility/supported_ial", "", ""),
    ("GET /utility/supported_aal", "", ""),
    // NDID
    ("POST /ndid/init_ndid", "", "{KEYS}"),
    ("POST /ndid/end_init", "", "{}"),
    ("POST /ndid/set_allowed_mode_list", "", r#"{"purpose":"","allowed_mode_list":[1]}"#),
    ("POST /ndid/register_node", "", r#"{"node_id":"n","node_name":"n","role":"rp",KEYS}"#),
    ("POST /ndid/update_node", "", r#"{"node_id":"n"}"#),
    ("POST /ndid/enable_node", "", r#"{"node_id":"n"}"#),
    ("POST /ndid/disable_node", "", r#"{"node_id":"n"}"#),
    ("POST /ndid/set_node_token", "", r#"{"node_id":"n","amount":1}"#),
    ("POST /ndid/add_node_token", "", r#"{"node_id":"n","amount":1}"#),
    ("POST /ndid/reduce_node_token", "", r#"{"node_id":"n","amount":1}"#),
    ("POST /ndid/create_namespace", "", r#"{"namespace":"n"}"#),
    ("POST /ndid/update_namespace", "", r#"{"namespace":"n"}"#),
    ("POST /ndid/enable_namespace", "", r#"{"namespace":"n"}"#),
    ("POST /ndid/disable_namespace", "", r#"{"namespace":"n"}"#),
    ("POST /ndid/create_service", "", r#"{"service_id":"s","service_name":"s"}"#),
    ("POST /ndid/update_service", "", r#"{"service_id":"s","service_name":"s"}"#),
    ("POST /ndid/enable_service", "", r#"{"service_id":"s"}"#),
    ("POST /ndid/disable_service", "", r#"{"service_id":"s"}"#),
    ("POST /ndid/set_service_price_ceiling", "", r#"{"service_id":"s","price_ceiling_by_currency_list":[{"currency":"THB","price":1}]}"#),
    ("POST /ndid/set_service_price_min_effective_datetime_delay", "", r#"{"duration_second":1}"#),
    ("POST /ndid/set_validator", "", r#"{"public_key":"k","power":1}"#),
    ("POST /ndid/approve_service", "", r#"{"node_id":"n","service_id":"s"}"#),
    ("POST /ndid/enable_service_destination", "", r#"{"node_id":"n","service_id":"s"}"#),
    ("POST /ndid/disable_service_destination", "", r#"{"node_id":"n","service_id":"s"}"#),
    ("POST /ndid/add_node_to_proxy_node", "", r#"{"node_id":"n","proxy_node_id":"p","config":"KEY_ON_PROXY"}"#),
    ("POST /ndid/update_node_proxy_node", "", r#"{"node_id":"n","proxy_node_id":"p"}"#),
    ("POST /ndid/remove_node_from_proxy_node", "", r#"{"node_id":"n"}"#),
    ("POST /ndid/set_last_block", "", r#"{"block_height":-1}"#),
    ("POST /ndid/get_allowed_min_ial_for_register_identity_at_first_idp", "", "{}"),
    ("POST /ndid/set_allowed_min_ial_for_register_identity_at_first_idp", "", r#"{"min_ial":1.1}"#),
    ("POST /ndid/get_node_id_list", "", "{}"),
    ("POST /ndid/add_error_code", "", r#"{"error_code":1,"type":"idp","description":"d"}"#),
    ("POST /ndid/remove_error_code", "", r#"{"error_code":1,"type":"idp"}"#),
    ("POST /ndid/add_request_type", "", r#"{"name":"n"}"#),
    ("POST /ndid/remove_request_type", "", r#"{"name":"n"}"#),
    ("POST /ndid/add_suppressed_identity_modification_notification_node", "", r#"{"node_id":"n"}"#),
    ("POST /ndid/remove_suppressed_identity_modification_notification_node", "", r#"{"node_id":"n"}"#),
    ("POST /ndid/add_allowed_node_supported_feature", "", r#"{"name":"n"}"#),
    ("POST /ndid/remove_allowed_node_supported_feature", "", r#"{"name":"n"}"#),
    ("POST /ndid/set_supported_ial_list", "", r#"{"supported_ial_list":[1.1]}"#),
    ("POST /ndid/set_supported_aal_list", "", r#"{"supported_aal_list":[1]}"#),
    // The process itself
    ("GET /license", "", ""),
    ("GET /source", "", ""),
    ("GET /info", "", ""),
    ("GET /num_expected_txs", "", ""),
    ("GET /expected_txs", "", ""),
    ("GET /num_pending_outbound_mq_messages", "", ""),
    ("GET /num_pending_client_callbacks", "", ""),
    ("GET /num_pending_external_crypto_callbacks", "", ""),
    ("GET /num_processing_blocks", "", ""),
    ("GET /processing_blocks", "", ""),
    ("GET /num_processing_inbound_messages", "", ""),
    ("GET /reinit_node_keys", "", ""),
    ("GET /config", "", ""),
    ("POST /config/set", "", "{}"),
    ("GET /config/telemetry/reissue_token", "", ""),
    ("GET /openapi.json", "", ""),
    ("GET /openapi", "", ""),
    ("GET /v6/openapi.json", "", ""),
    ("GET /v6/openapi", "", ""),
    ("GET /v5/openapi.json", "", ""),
    ("GET /v5/openapi", "", ""),
    ("GET /v4/openapi.json", "", ""),
    ("GET /v4/openapi", "", ""),
    ("POST /debug/tmquery/:method", "", "{}"),
    ("POST /debug/tmtransact/:method", "", "{}"),
    ("GET /debug/error_callback_test/rp", "", ""),
    ("GET /debug/error_callback_test/idp", "", ""),
    ("GET /debug/error_callback_test/as", "", ""),
];

/// The bodies that versions 5 and 4 have otherwise.
#[rustfmt::skip]
const OLDER_BODIES: &[(&str, &str)] = &[
    ("POST /ndid/init_ndid", r#"{"public_key":"k","master_public_key":"m"}"#),
    ("POST /ndid/register_node", r#"{"node_id":"n","node_name":"n","role":"rp","node_key":"k","node_master_key":"m"}"#),
    ("POST /node/create", r#"{"reference_id":"r","callback_url":"http://a","node_id":"n","node_name":"n","role":"rp","node_key":"k","node_master_key":"m"}"#),
    ("POST /node/update", r#"{"reference_id":"r","callback_url":"http://a","node_key":"k"}"#),
];

/// The members of a body that has keys.
const KEYS: &str = r#""signing_public_key":"k","signing_key_algorithm":"RSA","signing_algorithm":"RSASSA_PSS_SHA_256","signing_master_public_key":"k","signing_master_key_algorithm":"RSA","signing_master_algorithm":"RSASSA_PSS_SHA_256","encryption_public_key":"k","encryption_key_algorithm":"RSA","encryption_algorithm":"RSAES_OAEP_SHA_256""#;

/// A call of an endpoint.
#[derive(Debug, Clone)]
pub struct Sample {
    /// Its method and its path as the table has it.
    pub endpoint: &'static str,
    /// The query string.
    pub query: &'static str,
    /// The body; null: none.
    pub body: Value,
}

/// A call of each endpoint, for clients of a version.
pub fn all(version: ApiVersion) -> Vec<Sample> {
    let samples = CALLS.iter().map(|(endpoint, query, body)| {
        let mut older = OLDER_BODIES.iter().filter(|_| version < ApiVersion::V6);
        let older = older.find(|(path, _)| path == endpoint);
        let body = older.map_or(*body, |(_, body)| *body);
        let body = body.replace("KEYS", KEYS);
        let body = match body.as_str() {
            "" => Value::Null,
            text => serde_json::from_str(text).unwrap_or_else(|error| panic!("{text}: {error}")),
        };
        Sample {
            endpoint,
            query,
            body,
        }
    });
    samples.collect()
}

/// The name of an endpoint among the calls.
pub fn name(endpoint: &Endpoint) -> String {
    format!("{} {}", endpoint.method.as_str(), endpoint.path)
}

/// A role that an endpoint serves.
pub fn role(endpoint: &Endpoint) -> Role {
    match endpoint.audience {
        Audience::Rp | Audience::Everybody => Role::Rp,
        Audience::Idp => Role::Idp,
        Audience::As => Role::As,
        Audience::Proxy => Role::Proxy,
        Audience::Ndid => Role::Ndid,
    }
}

/// A path with a value for each parameter: its name.
pub fn filled(path: &str) -> String {
    path.replace(':', "")
}

/// Those values.
pub fn arguments(path: &str) -> Vec<String> {
    let segments = path.split('/');
    let names = segments.filter_map(|segment| segment.strip_prefix(':'));
    names.map(str::to_owned).collect()
}
