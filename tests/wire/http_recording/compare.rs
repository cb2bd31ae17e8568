//! What is compared of answers and callbacks (tests/wire/vectors/README.md).

use serde_json::{Map, Value, json};

use crate::recorded_calls::without_wording;

/// Members whose value is of its run: only their type is compared.
const OF_THE_RUN: &[&str] = &[
    // Ports and places.
    "destination_port",
    "port",
    "server_listen_port",
    "message_queue_port",
    "db_ip",
    "db_port",
    "tendermint_address",
    // Times and heights.
    "creation_time",
    "creation_block_height",
    "block_height",
    "last_known_block_height",
    "height",
    "timestamp",
    // Random, or made of what is.
    "request_params_hash",
    "source_signature",
    "data_salt",
    "request_params_salt",
    "data_request_params_salt_list",
];
/// Settings (`GET /config`) that say how a network was set up. Those that are
/// unset with us are not shown.
const OF_THE_SETUP: &[&str] = &[
    "callToMasterRetryTimeout",
    "dataDirectoryPath",
    "dbIp",
    "dbPort",
    "encryptionPrivateKeyPath",
    "grpcSslCertFilePath",
    "grpcSslKeyFilePath",
    "grpcSslRootCertFilePath",
    "httpsCertPath",
    "httpsKeyPath",
    "logLevel",
    "logPrettyPrint",
    "masterServerIp",
    "masterServerPort",
    "mode",
    "mqMessageCompressMinLength",
    "mqPort",
    "mqServiceServerIp",
    "mqServiceServerPort",
    "nodeBehindProxyEncryptionPrivateKeyDirectoryPath",
    "nodeBehindProxySigningMasterPrivateKeyDirectoryPath",
    "nodeBehindProxySigningPrivateKeyDirectoryPath",
    "prometheusEnabled",
    "prometheusHttpsCertPath",
    "prometheusHttpsKeyPath",
    "prometheusServerPort",
    "serverPort",
    "signingMasterPrivateKeyPath",
    "signingPrivateKeyPath",
    "telemetryDbHost",
    "telemetryDbPort",
    "telemetryTokenGenerationIntervalSec",
    "tendermintAddress",
    "tendermintBaseHttpUrl",
    "tendermintBaseWsUrl",
    "tendermintPort",
    "tendermintWsConnections",
];
/// Members of the development system only (spec/http-api.md 7, Q18).
const LEFT_OUT: &[&str] = &["stack"];

/// A value without what is of its run.
pub fn comparable(value: &Value) -> Value {
    match value {
        Value::Object(members) => {
            let kept = members
                .iter()
                .filter(|(name, _)| !LEFT_OUT.contains(&name.as_str()));
            let compared = kept.map(|(name, value)| {
                let value = match OF_THE_RUN.contains(&name.as_str()) {
                    true => kind(value),
                    false => comparable(value),
                };
                (name.clone(), value)
            });
            Value::Object(compared.collect())
        }
        Value::Array(items) => items.iter().map(comparable).collect(),
        other => other.clone(),
    }
}

/// A stored message: the signatures of its sender and of its data are random,
/// unlike that of an IdP application, which the script gives.
fn stored_message(message: &Value) -> Value {
    let mut message = comparable(message);
    for signature in ["/signature", "/message/signature"] {
        if let Some(signature) = message.pointer_mut(signature) {
            *signature = kind(signature);
        }
    }
    message
}

/// The type of a value; of a block height also its chain.
fn kind(value: &Value) -> Value {
    match value {
        Value::String(text) => match text.rsplit_once(':') {
            Some((chain, height)) if height.parse::<u64>().is_ok() => json!(format!("{chain}:<n>")),
            _ => json!("<text>"),
        },
        Value::Number(_) => json!("<number>"),
        Value::Array(items) => items.iter().map(kind).collect(),
        other => other.clone(),
    }
}

/// What is compared of a body.
pub fn body(path: &str, body: &Value) -> Value {
    if body["details"].is_object() {
        let details = &body["details"];
        return json!({
            "error": body["error"],
            "valid": details["valid"],
            "errors": without_wording(details),
        });
    }
    match (path, body) {
        ("/info", Value::Object(members)) => information(members),
        ("/config", Value::Object(members)) => settings(members),
        (path, Value::Array(messages)) if path.contains("/private_messages/") => {
            messages.iter().map(stored_message).collect()
        }
        _ => comparable(body),
    }
}

fn information(members: &Map<String, Value>) -> Value {
    let mut members = members.clone();
    members.insert("version".to_owned(), json!("<text>"));
    if let Some(service) = members.get_mut("message_queue_service_server") {
        service["ip"] = json!("<text>");
    }
    comparable(&Value::Object(members))
}

fn settings(members: &Map<String, Value>) -> Value {
    let mut members = members.clone();
    members.retain(|name, _| !OF_THE_SETUP.contains(&name.as_str()));
    Value::Object(members)
}

/// The height a callback speaks of.
pub fn height(body: &Value) -> Option<u64> {
    let height = body["block_height"].as_str()?;
    height.rsplit_once(':')?.1.parse().ok()
}
