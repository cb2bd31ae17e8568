//! `/config`: the effective configuration without secrets, and the few settings
//! that can be changed while the process runs (spec/http-api.md 3.10).

use std::sync::LazyLock;
use std::sync::atomic::Ordering;

use actix_web::http::Method;
use schemars::JsonSchema;
use serde_json::{Map, Value, json};

use super::answer::Answer;
use super::information::environment;
use crate::api::Schema;
use crate::config::{ApiVersion, Config, Keys, Mode, Runtime, TlsFiles};
use crate::error::codes;

/// The answer, if the path is one of these.
pub(super) fn answer(
    config: &Config,
    method: &Method,
    path: &[&str],
    body: &Value,
) -> Option<Answer> {
    let reads = method == Method::GET || method == Method::HEAD;
    match path.join("/").to_ascii_lowercase().as_str() {
        "config" if reads => Some(Answer::json(200, &show(config))),
        "config/set" if method == Method::POST => Some(set(config, body)),
        // Telemetry does not exist here, so its token cannot be issued again.
        "config/telemetry/reissue_token" if reads => {
            let message = "Telemetry logging is not enabled";
            Some(Answer::json(404, &json!({"message": message})))
        }
        _ => None,
    }
}

/// For OPTIONS: the methods of a path, if it is one of these.
pub(super) fn methods(path: &[&str]) -> Option<&'static str> {
    match path.join("/").to_ascii_lowercase().as_str() {
        "config" | "config/telemetry/reissue_token" => Some("GET,HEAD"),
        "config/set" => Some("POST"),
        _ => None,
    }
}

/// Body of `POST /config/set`.
static SETTINGS: LazyLock<Schema> = LazyLock::new(Schema::of::<Settings>);

#[derive(JsonSchema)]
#[schemars(rename_all = "SCREAMING_SNAKE_CASE")]
#[expect(
    dead_code,
    reason = "only its schema is used: members are read by name"
)]
struct Settings {
    #[schemars(extend("enum" = ["4.0", "5.3", "6.0"]))]
    callback_api_version: Option<String>,
    #[schemars(extend("enum" = ["5.3", "6.0"]))]
    external_crypto_service_callback_api_version: Option<String>,
    auto_close_request_on_completed: Option<bool>,
    auto_close_request_on_rejected: Option<bool>,
    auto_close_request_on_complicated: Option<bool>,
    auto_close_request_on_errored: Option<bool>,
}

fn set(config: &Config, body: &Value) -> Answer {
    if let Err(error) = SETTINGS.check(body, codes::BODY_VALIDATION_FAILED) {
        return Answer::error(&error, &config.api);
    }
    let version = |name: &str| body[name].as_str().and_then(ApiVersion::parse);
    let runtime = &config.runtime;
    if let Some(version) = version("CALLBACK_API_VERSION") {
        *runtime.callback_version.write() = version;
    }
    if let Some(version) = version("EXTERNAL_CRYPTO_SERVICE_CALLBACK_API_VERSION") {
        *runtime.external_crypto_version.write() = version;
    }
    for (name, flag) in runtime.auto_close() {
        if let Some(on) = body[name].as_bool() {
            flag.store(on, Ordering::Relaxed);
        }
    }
    Answer::json(200, &show(config))
}

/// The configuration as clients know it: flat, camelCase, unset settings absent.
/// Passphrases, passwords and the hash of the API key are not shown.
fn show(config: &Config) -> Value {
    let mut shown = Map::new();
    shown.extend(process(config));
    shown.extend(api(config));
    shown.extend(links(config));
    shown.extend(keys(&config.keys));
    shown.extend(limits());
    for (name, value) in &config.idle.0 {
        let shown = shown.entry(*name).or_insert(Value::Null);
        if shown.is_null() {
            *shown = value.clone();
        }
    }
    let mut shown: Vec<(String, Value)> = shown.into_iter().collect();
    shown.retain(|(_, value)| !value.is_null());
    shown.sort_by(|one, other| one.0.cmp(&other.0));
    Value::Object(shown.into_iter().collect())
}

fn members(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(members) => members,
        _ => Map::new(),
    }
}

fn path_of(files: Option<&TlsFiles>, part: fn(&TlsFiles) -> &std::path::PathBuf) -> Value {
    files.map_or(Value::Null, |files| {
        part(files).display().to_string().into()
    })
}

fn process(config: &Config) -> Map<String, Value> {
    let mode = match config.mode {
        Mode::Standalone => "standalone",
        Mode::Master => "master",
        Mode::Worker => "worker",
    };
    let prometheus = config.prometheus.as_ref();
    let prometheus_tls = prometheus.and_then(|prometheus| prometheus.https.as_ref());
    members(json!({
        "env": environment(config.environment),
        "mode": mode,
        "nodeId": config.node_id,
        "ndidNode": config.ndid_node,
        "dataDirectoryPath": config.data_directory.display().to_string(),
        "logLevel": config.log.level,
        "logPrettyPrint": config.log.pretty,
        "logColor": config.log.color,
        "logOneLine": config.log.one_line,
        "prometheusEnabled": prometheus.is_some(),
        "prometheusServerPort": prometheus.map(|prometheus| prometheus.port),
        "prometheusHttps": prometheus_tls.is_some(),
        "prometheusHttpsKeyPath": path_of(prometheus_tls, |files| &files.key),
        "prometheusHttpsCertPath": path_of(prometheus_tls, |files| &files.certificate),
        "telemetryLoggingEnabled": false,
    }))
}

fn api(config: &Config) -> Map<String, Value> {
    let api = &config.api;
    let runtime = &config.runtime;
    members(json!({
        "serverPort": api.port,
        "https": api.https.is_some(),
        "httpsKeyPath": path_of(api.https.as_ref(), |files| &files.key),
        "httpsCertPath": path_of(api.https.as_ref(), |files| &files.certificate),
        "clientHttpErrorCode": api.client_error_status,
        "serverHttpErrorCode": api.server_error_status,
        "defaultApiVersion": api.default_version.as_str(),
        "useApiKey": api.key_hash.is_some(),
        "enableConfigHttpRoutePath": api.config_routes,
        "callbackApiVersion": runtime.callback_version().as_str(),
        "externalCryptoServiceCallbackApiVersion": runtime.external_crypto_version().as_str(),
        "callbackRetryTimeout": config.callback_retry_timeout.as_secs(),
        "validateIdentifier": config.validate_identifier,
        "autoCloseRequestOnCompleted": Runtime::is_on(&runtime.auto_close_completed),
        "autoCloseRequestOnRejected": Runtime::is_on(&runtime.auto_close_rejected),
        "autoCloseRequestOnComplicated": Runtime::is_on(&runtime.auto_close_complicated),
        "autoCloseRequestOnErrored": Runtime::is_on(&runtime.auto_close_errored),
        "dcontractConfig": {
            "dcontractRequestType": config.dcontract.request_type,
            "validateContract": config.dcontract.validate,
            "fetchTimeout": config.dcontract.fetch_timeout.as_millis() as u64,
        },
    }))
}

fn links(config: &Config) -> Map<String, Value> {
    let tls = config.grpc.tls.as_ref();
    let own_tls = tls.map(|tls| &tls.own);
    let tendermint = format!("{}:{}", config.tendermint.host, config.tendermint.port);
    let poll = config.tendermint.max_sync_check_interval.as_millis() as u64;
    members(json!({
        "dbIp": config.redis.host,
        "dbPort": config.redis.port,
        "masterServerIp": config.link.masters_text(),
        "masterServerPort": config.link.port,
        "grpcPingInterval": config.grpc.ping_interval.as_millis() as u64,
        "grpcPingTimeout": config.grpc.ping_timeout.as_millis() as u64,
        "grpcCallTimeout": config.grpc.call_timeout.as_millis() as u64,
        "grpcSsl": tls.is_some(),
        "grpcSslRootCertFilePath": tls.map(|tls| tls.root.display().to_string()),
        "grpcSslKeyFilePath": path_of(own_tls, |files| &files.key),
        "grpcSslCertFilePath": path_of(own_tls, |files| &files.certificate),
        "tendermintIp": config.tendermint.host,
        "tendermintPort": config.tendermint.port.to_string(),
        "tendermintAddress": tendermint,
        "tendermintBaseHttpUrl": format!("http://{tendermint}"),
        "tendermintBaseWsUrl": format!("ws://{tendermint}"),
        "tendermintWsConnections": config.tendermint.connections,
        "maxIntervalTendermintSyncCheck": poll,
        "mqIp": config.mq.contact_ip,
        "mqPort": config.mq.binding_port,
        "mqServiceServerIp": config.mq.service_host,
        "mqServiceServerPort": config.mq.service_port,
        "registerMqAtStartup": config.mq.register_at_startup,
        "compressMqMessage": config.mq.compress_from.is_some(),
        "mqMessageCompressMinLength": config.mq.compress_from,
        "asDataCompressMinLength": config.as_data_compress_from,
    }))
}

fn keys(keys: &Keys) -> Map<String, Value> {
    let Keys::Files {
        signing,
        signing_master,
        encryption,
        behind_proxy,
    } = keys
    else {
        return members(json!({"useExternalCryptoService": true}));
    };
    let directory =
        |path: &Option<std::path::PathBuf>| path.as_ref().map(|path| path.display().to_string());
    members(json!({
        "useExternalCryptoService": false,
        "signingPrivateKeyPath": signing.path.display().to_string(),
        "signingMasterPrivateKeyPath": signing_master.path.display().to_string(),
        "encryptionPrivateKeyPath": encryption.path.display().to_string(),
        "nodeBehindProxySigningPrivateKeyDirectoryPath": directory(&behind_proxy.signing),
        "nodeBehindProxySigningMasterPrivateKeyDirectoryPath": directory(&behind_proxy.signing_master),
        "nodeBehindProxyEncryptionPrivateKeyDirectoryPath": directory(&behind_proxy.encryption),
    }))
}

/// Fixed limits (spec/process-model-and-config.md 10.3).
fn limits() -> Map<String, Value> {
    members(json!({
        "asDataMaxLength": 3 * 1024 * 1024,
        "asDataMaxUncompressedLength": 10 * 1024 * 1024,
        "messageStrLength": 1024,
        "purposeStrLength": 512,
        "mqMessageMaxLength": 3_200_000,
        "mqMessageMaxUncompressedLength": 25 * 1024 * 1024,
        "saltLength": 32,
        "saltStrLength": 44,
    }))
}
