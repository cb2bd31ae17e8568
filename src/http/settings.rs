//! `/config`: the effective configuration without secrets, and the few settings
//! that can be changed while the process runs (spec/http-api.md 3.10).

use std::sync::atomic::Ordering;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::information::environment;
use super::own_endpoints::{get, own};
use crate::api::{ApiCall, Audience, CallOutcome, Endpoint, NoPath, NoQuery, Success};
use crate::config::address::authority;
use crate::config::{ApiVersion, Config, Keys, Mode, Runtime, TlsFiles};
use crate::error::Error;

pub(super) fn endpoints() -> [Endpoint; 3] {
    [
        own(
            get("/config", "Shows the configuration without its secrets.").tells(json!({})),
            |call| async move { Ok(CallOutcome::Ok(show(&call.context.config))) },
        ),
        Endpoint::post("/config/set", Audience::Everybody)
            .does("Changes settings of this process until it ends.")
            .without_acting_node()
            .query::<NoQuery>()
            .body::<Settings>()
            .tells(json!({}))
            .run(set)
            .outside_of_versions()
            .needs_nothing(),
        // There is no telemetry here, so there is no token to issue again.
        own(
            get(
                "/config/telemetry/reissue_token",
                "Asks for another token of the telemetry service.",
            )
            .answers(Success::empty(200)),
            |_| async {
                let message = "Telemetry logging is not enabled";
                Ok(CallOutcome::Failed(404, json!({"message": message})))
            },
        ),
    ]
}

/// Body of `POST /config/set`.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
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

async fn set(call: ApiCall<NoPath, NoQuery, Settings>) -> Result<CallOutcome, Error> {
    let (config, given) = (&call.context.config, call.body);
    let version = |text: Option<String>| text.as_deref().and_then(ApiVersion::parse);
    let runtime = &config.runtime;
    if let Some(version) = version(given.callback_api_version) {
        *runtime.callback_version.write() = version;
    }
    if let Some(version) = version(given.external_crypto_service_callback_api_version) {
        *runtime.external_crypto_version.write() = version;
    }
    for (flag, given) in [
        (
            &runtime.auto_close_completed,
            given.auto_close_request_on_completed,
        ),
        (
            &runtime.auto_close_rejected,
            given.auto_close_request_on_rejected,
        ),
        (
            &runtime.auto_close_complicated,
            given.auto_close_request_on_complicated,
        ),
        (
            &runtime.auto_close_errored,
            given.auto_close_request_on_errored,
        ),
    ] {
        if let Some(on) = given {
            flag.store(on, Ordering::Relaxed);
        }
    }
    Ok(CallOutcome::Ok(show(config)))
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
    let tendermint = authority(&config.tendermint.host, config.tendermint.port);
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
