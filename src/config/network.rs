//! The addresses that this process listens on and connects to.

use super::address::Address;
use super::check::{Checker, Variable, variable};
use super::variables::{Chain, Http, Links, Metrics, Queue};
use super::{
    Api, ApiVersion, Grpc, GrpcTls, LinkConfig, MasterAddress, Mq, Prometheus, Tendermint,
};

pub(super) fn link(links: &Links, checker: &mut Checker) -> LinkConfig {
    let port = checker.port(
        variable!("MASTER_SERVER_PORT", links.master_server_port),
        7000,
    );
    let (name, entries) = variable!("MASTER_SERVER_IP", links.master_server_ip);
    let entries = entries.unwrap_or_else(|| "localhost".to_owned());
    let mut masters = Vec::new();
    for entry in entries.split(',').map(str::trim) {
        match master_address(entry, port) {
            Some(master) => masters.push(master),
            None => checker.mistake(
                name,
                Some(entries.clone()).filter(|text| !text.contains('@')),
                format!(
                    "host names or addresses separated by commas, each with or without a port \
                     (master-a,10.0.0.2:7001,[::1]:7000), which {entry:?} is not"
                ),
            ),
        }
    }
    let wait = variable!("MASTER_WAIT_MS", links.master_wait_ms);
    LinkConfig {
        masters,
        port,
        wait: checker.milliseconds(wait, 60_000),
    }
}

pub(super) fn master_address(entry: &str, default_port: u16) -> Option<MasterAddress> {
    let address = Address::parse(entry)?;
    let port = address.port.unwrap_or(default_port);
    Some(MasterAddress::new(address.host, port))
}

pub(super) fn grpc(links: &Links, checker: &mut Checker) -> Grpc {
    let tls = checker.flag(variable!("GRPC_SSL", links.grpc_ssl), false);
    Grpc {
        ping_interval: checker.milliseconds(
            variable!("GRPC_PING_INTERVAL_MS", links.grpc_ping_interval_ms),
            60_000,
        ),
        ping_timeout: checker.milliseconds(
            variable!("GRPC_PING_TIMEOUT_MS", links.grpc_ping_timeout_ms),
            20_000,
        ),
        call_timeout: checker.milliseconds(
            variable!("GRPC_CALL_TIMEOUT_MS", links.grpc_call_timeout_ms),
            60_000,
        ),
        tls: tls.then(|| GrpcTls {
            root: checker.file(
                variable!(
                    "GRPC_SSL_ROOT_CERT_FILE_PATH",
                    links.grpc_ssl_root_cert_file_path
                ),
                "the root certificate (PEM)",
            ),
            own: checker.tls(
                variable!("GRPC_SSL_KEY_FILE_PATH", links.grpc_ssl_key_file_path),
                variable!("GRPC_SSL_CERT_FILE_PATH", links.grpc_ssl_cert_file_path),
            ),
        }),
    }
}

pub(super) fn api(http: &Http, serves_api: bool, checker: &mut Checker) -> Api {
    let https = checker.flag(variable!("HTTPS", http.https), false) && serves_api;
    let mut status = |variable: Variable, default: u16| {
        let number = checker.number(variable, u64::from(default), 200..=599);
        u16::try_from(number).unwrap_or(default)
    };
    Api {
        client_error_status: status(
            variable!("CLIENT_HTTP_ERROR_CODE", http.client_http_error_code),
            400,
        ),
        server_error_status: status(
            variable!("SERVER_HTTP_ERROR_CODE", http.server_http_error_code),
            500,
        ),
        port: checker.port(variable!("SERVER_PORT", http.server_port), 8080),
        https: https.then(|| {
            checker.tls(
                variable!("HTTPS_KEY_PATH", http.https_key_path),
                variable!("HTTPS_CERT_PATH", http.https_cert_path),
            )
        }),
        default_version: checker.version(
            variable!("DEFAULT_API_VERSION", http.default_api_version),
            ApiVersion::V6,
        ),
        key_hash: key_hash(http, checker),
        config_routes: checker.flag(
            variable!(
                "ENABLE_CONFIG_HTTP_ROUTE_PATH",
                http.enable_config_http_route_path
            ),
            false,
        ),
    }
}

fn key_hash(http: &Http, checker: &mut Checker) -> Option<String> {
    if !checker.flag(variable!("USE_API_KEY", http.use_api_key), false) {
        return None;
    }
    let (name, value) = variable!("API_KEY_HASH", http.api_key_hash);
    let hash = value.unwrap_or_default().to_ascii_lowercase();
    if hash.len() != 64 || hex::decode(&hash).is_err() {
        let fix = "the SHA-256 of the API key as 64 hex digits (USE_API_KEY=true)";
        checker.mistake(name, None, fix);
    }
    Some(hash)
}

pub(super) fn prometheus(metrics: &Metrics, checker: &mut Checker) -> Option<Prometheus> {
    let on = checker.flag(variable!("PROMETHEUS", metrics.prometheus), false);
    let port = checker.port(
        variable!("PROMETHEUS_SERVER_PORT", metrics.prometheus_server_port),
        8888,
    );
    let https = checker.flag(
        variable!("PROMETHEUS_HTTPS", metrics.prometheus_https),
        false,
    );
    on.then(|| Prometheus {
        port,
        https: https.then(|| {
            checker.tls(
                variable!(
                    "PROMETHEUS_HTTPS_KEY_PATH",
                    metrics.prometheus_https_key_path
                ),
                variable!(
                    "PROMETHEUS_HTTPS_CERT_PATH",
                    metrics.prometheus_https_cert_path
                ),
            )
        }),
    })
}

pub(super) fn tendermint(chain: &Chain, checker: &mut Checker) -> Tendermint {
    let host = variable!("TENDERMINT_IP", chain.tendermint_ip);
    if host.1.is_none() {
        checker.warn("TENDERMINT_IP is not set; it counts as localhost");
    }
    let connections = checker.number(
        variable!("TENDERMINT_WS_CONNECTIONS", chain.tendermint_ws_connections),
        10,
        1..=1000,
    );
    Tendermint {
        host: checker.host(host, "localhost"),
        port: checker.port(variable!("TENDERMINT_PORT", chain.tendermint_port), 45000),
        connections: usize::try_from(connections).unwrap_or(10),
        max_sync_check_interval: checker.milliseconds(
            variable!(
                "MAX_INTERVAL_TENDERMINT_SYNC_CHECK",
                chain.max_interval_tendermint_sync_check
            ),
            15_000,
        ),
    }
}

pub(super) fn bytes(checker: &mut Checker, variable: Variable) -> usize {
    let number = checker.number(variable, 1000, 0..=u64::from(u32::MAX));
    usize::try_from(number).unwrap_or(usize::MAX)
}

pub(super) fn mq(queue: &Queue, serves_api: bool, checker: &mut Checker) -> Mq {
    let contact = variable!("MQ_CONTACT_IP", queue.mq_contact_ip);
    if contact.1.is_none() && serves_api {
        checker.warn("MQ_CONTACT_IP is not set; other nodes will be told to send to localhost");
    }
    let compress_from = compress_from(queue, checker);
    Mq {
        contact_ip: checker.host(contact, "localhost"),
        binding_port: checker.port(variable!("MQ_BINDING_PORT", queue.mq_binding_port), 5555),
        service_host: checker.host(
            variable!("MQ_SERVICE_SERVER_IP", queue.mq_service_server_ip),
            "localhost",
        ),
        service_port: checker.port(
            variable!("MQ_SERVICE_SERVER_PORT", queue.mq_service_server_port),
            50051,
        ),
        register_at_startup: checker.flag(
            variable!("REGISTER_MQ_AT_STARTUP", queue.register_mq_at_startup),
            true,
        ),
        compress_from,
    }
}

/// The smallest message that is compressed, if any is. Unlike elsewhere, an
/// empty length is not an unset one (spec/messaging-and-crypto.md 3.3).
fn compress_from(queue: &Queue, checker: &mut Checker) -> Option<usize> {
    let length = &queue.mq_message_compress_min_length;
    let is_empty = length.as_ref().is_some_and(String::is_empty);
    let compress = variable!("COMPRESS_MQ_MESSAGE", queue.compress_mq_message);
    let compress = checker.flag(compress, false);
    let from = bytes(checker, variable!("MQ_MESSAGE_COMPRESS_MIN_LENGTH", length));
    if compress && is_empty {
        checker.warn("MQ_MESSAGE_COMPRESS_MIN_LENGTH is empty: messages are not compressed");
    }
    (compress && !is_empty).then_some(from)
}
