//! Reading and checking the environment (spec/process-model-and-config.md 10).

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use parking_lot::RwLock;

use super::check::{Checker, Variable, readable_file, secret, variable};
use super::variables::{
    self, Chain, Database, Flow, Http, Links, Logging, Metrics, Process, Queue, Secrets,
};
use super::*;

/// One thing wrong with the environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// Which variable.
    pub variable: &'static str,
    /// What it says; `None` if unset or secret.
    pub value: Option<String>,
    /// What to do about it.
    pub fix: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.value {
            Some(value) => write!(f, "{}={value:?}: must be {}", self.variable, self.fix),
            None => write!(f, "{}: must be {}", self.variable, self.fix),
        }
    }
}

/// Everything wrong with the environment; shown one mistake per line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Mistakes(pub Vec<Mistake>);

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, mistake) in self.0.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            write!(f, "{mistake}")?;
        }
        Ok(())
    }
}

/// Reads `.env` of the working directory and the process environment, which wins.
///
/// # Errors
/// Every mistake, not only the first.
pub fn load() -> Result<Config, Mistakes> {
    match variables::environment() {
        Ok(environment) => load_from(&environment),
        Err(error) => Err(Mistakes(vec![Mistake {
            variable: ".env",
            value: None,
            fix: format!("a readable list of NAME=value lines: {error}"),
        }])),
    }
}

/// Reads the given environment.
///
/// # Errors
/// Every mistake, not only the first.
pub fn load_from(environment: &HashMap<String, String>) -> Result<Config, Mistakes> {
    let mut checker = Checker::default();
    let config = read(environment, &mut checker);
    if checker.mistakes.is_empty() {
        Ok(Config {
            warnings: checker.warnings,
            ..config
        })
    } else {
        Err(Mistakes(checker.mistakes))
    }
}

fn read(environment: &HashMap<String, String>, checker: &mut Checker) -> Config {
    let process: Process = variables::read(environment);
    let environment_kind = environment_kind(&process, checker);
    let development = environment_kind == Environment::Development;
    let mode = mode(&process, checker);
    let serves_api = mode != Mode::Master;
    let node_id = node_id(&process, checker);
    let store = store(&process, checker);
    let data_directory = PathBuf::from(
        process
            .data_directory_path
            .as_deref()
            .filter(|path| !path.is_empty())
            .unwrap_or("data"),
    );
    if store == StoreChoice::Embedded && mode != Mode::Worker {
        checker.writable("DATA_DIRECTORY_PATH", &data_directory);
    }
    let flow: Flow = variables::read(environment);
    let callback_version = checker.version(
        variable!("CALLBACK_API_VERSION", flow.callback_api_version),
        ApiVersion::V6,
    );
    let secrets: Secrets = variables::read(environment);
    let queue: Queue = variables::read(environment);
    let links: Links = variables::read(environment);
    checker.outdated(environment);
    Config {
        environment: environment_kind,
        mode,
        ndid_node: checker.flag(variable!("NDID_NODE", process.ndid_node), false),
        store,
        link: link(&links, checker),
        grpc: grpc(&links, checker),
        api: api(&variables::read(environment), serves_api, checker),
        redis: redis(&variables::read(environment), checker),
        log: log(&variables::read(environment), development, checker),
        tendermint: tendermint(&variables::read(environment), checker),
        mq: mq(&queue, serves_api, checker),
        as_data_compress_from: bytes(
            checker,
            variable!(
                "AS_DATA_COMPRESS_MIN_LENGTH",
                queue.as_data_compress_min_length
            ),
        ),
        keys: keys(
            &secrets,
            environment_kind,
            &data_directory,
            &node_id,
            checker,
        ),
        external_crypto_version: external_crypto_version(&secrets, callback_version, checker),
        callback_retry_timeout: Duration::from_secs(checker.number(
            variable!("CALLBACK_RETRY_TIMEOUT", flow.callback_retry_timeout),
            600,
            0..=365 * 24 * 60 * 60,
        )),
        validate_identifier: checker
            .on_unless_false(variable!("VALIDATE_IDENTIFIER", flow.validate_identifier)),
        dcontract: dcontract(&flow, checker),
        prometheus: prometheus(&variables::read(environment), checker),
        runtime: Arc::new(runtime(&flow, callback_version, checker)),
        shutdown_grace: checker.milliseconds(
            variable!("SHUTDOWN_GRACE_MS", process.shutdown_grace_ms),
            25_000,
        ),
        capacity: capacity(&process, checker),
        node_id,
        data_directory,
        warnings: Vec::new(),
    }
}

fn environment_kind(process: &Process, checker: &mut Checker) -> Environment {
    let variable = variable!("NODE_ENV", process.node_env);
    if variable.1.is_none() {
        checker.warn("NODE_ENV is not set; it counts as development");
    }
    let words = [
        ("development", Environment::Development),
        ("production", Environment::Production),
        ("test", Environment::Test),
    ];
    checker.choice(variable, &words, Environment::Development)
}

fn mode(process: &Process, checker: &mut Checker) -> Mode {
    let words = [
        ("standalone", Mode::Standalone),
        ("master", Mode::Master),
        ("worker", Mode::Worker),
    ];
    checker.choice(variable!("MODE", process.mode), &words, Mode::Standalone)
}

fn node_id(process: &Process, checker: &mut Checker) -> String {
    let (name, value) = variable!("NODE_ID", process.node_id);
    value.unwrap_or_else(|| {
        checker.mistake(name, None, "the id of this node on the ledger");
        String::new()
    })
}

fn store(process: &Process, checker: &mut Checker) -> StoreChoice {
    let words = [
        ("redis", StoreChoice::Redis),
        ("embedded", StoreChoice::Embedded),
    ];
    checker.choice(
        variable!("STORE", process.store),
        &words,
        StoreChoice::Redis,
    )
}

fn capacity(process: &Process, checker: &mut Checker) -> Capacity {
    let mut read = |variable: Variable, default: u32| {
        let number = checker.number(variable, u64::from(default), 1..=100_000);
        u32::try_from(number).unwrap_or(default)
    };
    Capacity {
        run: read(
            variable!("WORKER_RUN_CAPACITY", process.worker_run_capacity),
            64,
        ),
        delivery: read(
            variable!("WORKER_DELIVERY_CAPACITY", process.worker_delivery_capacity),
            512,
        ),
    }
}

fn link(links: &Links, checker: &mut Checker) -> Link {
    let (name, hosts) = variable!("MASTER_SERVER_IP", links.master_server_ip);
    let hosts = hosts.unwrap_or_else(|| "localhost".to_owned());
    Link {
        hosts: hosts
            .split(',')
            .map(|host| checker.host((name, Some(host.trim().to_owned())), "localhost"))
            .filter(|host| !host.is_empty())
            .collect(),
        port: checker.port(
            variable!("MASTER_SERVER_PORT", links.master_server_port),
            7000,
        ),
    }
}

fn grpc(links: &Links, checker: &mut Checker) -> Grpc {
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

fn api(http: &Http, serves_api: bool, checker: &mut Checker) -> Api {
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

fn redis(database: &Database, checker: &mut Checker) -> Redis {
    Redis {
        host: checker.host(variable!("DB_IP", database.db_ip), "localhost"),
        port: checker.port(variable!("DB_PORT", database.db_port), 6379),
        password: secret(variable!("DB_PASSWORD", database.db_password)),
    }
}

fn log(logging: &Logging, development: bool, checker: &mut Checker) -> Log {
    let levels = ["fatal", "error", "warn", "info", "debug", "trace", "silent"];
    let level = checker.choice(
        variable!("LOG_LEVEL", logging.log_level),
        &levels.map(|level| (level, level)),
        if development { "debug" } else { "info" },
    );
    Log {
        level: level.to_owned(),
        pretty: checker.flag(
            variable!("LOG_PRETTY_PRINT", logging.log_pretty_print),
            development,
        ),
        color: checker.flag(variable!("LOG_COLOR", logging.log_color), development),
        one_line: checker.flag(variable!("LOG_ONE_LINE", logging.log_one_line), false),
    }
}

fn tendermint(chain: &Chain, checker: &mut Checker) -> Tendermint {
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

fn bytes(checker: &mut Checker, variable: Variable) -> usize {
    let number = checker.number(variable, 1000, 0..=u64::from(u32::MAX));
    usize::try_from(number).unwrap_or(usize::MAX)
}

fn mq(queue: &Queue, serves_api: bool, checker: &mut Checker) -> Mq {
    let contact = variable!("MQ_CONTACT_IP", queue.mq_contact_ip);
    if contact.1.is_none() && serves_api {
        checker.warn("MQ_CONTACT_IP is not set; other nodes will be told to send to localhost");
    }
    let compress = checker.flag(
        variable!("COMPRESS_MQ_MESSAGE", queue.compress_mq_message),
        false,
    );
    let compress_from = bytes(
        checker,
        variable!(
            "MQ_MESSAGE_COMPRESS_MIN_LENGTH",
            queue.mq_message_compress_min_length
        ),
    );
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
        compress_from: compress.then_some(compress_from),
    }
}

fn keys(
    secrets: &Secrets,
    environment: Environment,
    data_directory: &Path,
    node_id: &str,
    checker: &mut Checker,
) -> Keys {
    let external = variable!(
        "USE_EXTERNAL_CRYPTO_SERVICE",
        secrets.use_external_crypto_service
    );
    if checker.flag(external, false) {
        return Keys::External;
    }
    let mut key = |path: Variable,
                   passphrase: Variable,
                   old_path: Variable,
                   old_passphrase: Variable,
                   part: &str| {
        let name = path.0;
        let kept = data_directory
            .join("keys")
            .join(format!("{node_id}.{part}.pem"));
        let kept = (environment != Environment::Production && readable_file(&kept).is_ok())
            .then(|| kept.display().to_string());
        let path = (name, path.1.or(old_path.1).or(kept));
        KeyFile {
            path: checker.file(path, &format!("the {part} private key (PEM)")),
            passphrase: secret(passphrase).or_else(|| secret(old_passphrase)),
        }
    };
    Keys::Files {
        signing: key(
            variable!("SIGNING_PRIVATE_KEY_PATH", secrets.signing_private_key_path),
            variable!(
                "SIGNING_PRIVATE_KEY_PASSPHRASE",
                secrets.signing_private_key_passphrase
            ),
            variable!("PRIVATE_KEY_PATH", secrets.private_key_path),
            variable!("PRIVATE_KEY_PASSPHRASE", secrets.private_key_passphrase),
            "signing",
        ),
        signing_master: key(
            variable!(
                "SIGNING_MASTER_PRIVATE_KEY_PATH",
                secrets.signing_master_private_key_path
            ),
            variable!(
                "SIGNING_MASTER_PRIVATE_KEY_PASSPHRASE",
                secrets.signing_master_private_key_passphrase
            ),
            variable!("MASTER_PRIVATE_KEY_PATH", secrets.master_private_key_path),
            variable!(
                "MASTER_PRIVATE_KEY_PASSPHRASE",
                secrets.master_private_key_passphrase
            ),
            "master",
        ),
        encryption: key(
            variable!(
                "ENCRYPTION_PRIVATE_KEY_PATH",
                secrets.encryption_private_key_path
            ),
            variable!(
                "ENCRYPTION_PRIVATE_KEY_PASSPHRASE",
                secrets.encryption_private_key_passphrase
            ),
            variable!("PRIVATE_KEY_PATH", secrets.private_key_path),
            variable!("PRIVATE_KEY_PASSPHRASE", secrets.private_key_passphrase),
            "encryption",
        ),
        behind_proxy: behind_proxy(secrets, checker),
    }
}

fn behind_proxy(secrets: &Secrets, checker: &mut Checker) -> BehindProxyKeys {
    let old = variable!(
        "NODE_BEHIND_PROXY_PRIVATE_KEY_DIRECTORY_PATH",
        secrets.node_behind_proxy_private_key_directory_path
    );
    let old_master = variable!(
        "NODE_BEHIND_PROXY_MASTER_PRIVATE_KEY_DIRECTORY_PATH",
        secrets.node_behind_proxy_master_private_key_directory_path
    );
    let mut either = |new: Variable, old: &Variable| {
        checker.directory(if new.1.is_some() { new } else { old.clone() })
    };
    BehindProxyKeys {
        signing: either(
            variable!(
                "NODE_BEHIND_PROXY_SIGNING_PRIVATE_KEY_DIRECTORY_PATH",
                secrets.node_behind_proxy_signing_private_key_directory_path
            ),
            &old,
        ),
        signing_master: either(
            variable!(
                "NODE_BEHIND_PROXY_SIGNING_MASTER_PRIVATE_KEY_DIRECTORY_PATH",
                secrets.node_behind_proxy_signing_master_private_key_directory_path
            ),
            &old_master,
        ),
        encryption: either(
            variable!(
                "NODE_BEHIND_PROXY_ENCRYPTION_PRIVATE_KEY_DIRECTORY_PATH",
                secrets.node_behind_proxy_encryption_private_key_directory_path
            ),
            &old,
        ),
    }
}

fn external_crypto_version(
    secrets: &Secrets,
    callback_version: ApiVersion,
    checker: &mut Checker,
) -> ApiVersion {
    let words = [
        ("5", ApiVersion::V5),
        ("5.3", ApiVersion::V5),
        ("6", ApiVersion::V6),
        ("6.0", ApiVersion::V6),
    ];
    let variable = variable!(
        "EXTERNAL_CRYPTO_SERVICE_CALLBACK_API_VERSION",
        secrets.external_crypto_service_callback_api_version
    );
    checker.choice(variable, &words, callback_version)
}

fn dcontract(flow: &Flow, checker: &mut Checker) -> DContract {
    let (_, request_type) = variable!("DCONTRACT_REQUEST_TYPE", flow.dcontract_request_type);
    DContract {
        request_type: request_type.unwrap_or_else(|| "dsign.dcontract".to_owned()),
        validate: checker.on_unless_false(variable!("DCONTRACT_VALIDATE", flow.dcontract_validate)),
        fetch_timeout: checker.milliseconds(
            variable!("DCONTRACT_FETCH_TIMEOUT", flow.dcontract_fetch_timeout),
            30_000,
        ),
    }
}

fn prometheus(metrics: &Metrics, checker: &mut Checker) -> Option<Prometheus> {
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

fn runtime(flow: &Flow, callback_version: ApiVersion, checker: &mut Checker) -> Runtime {
    let mut flag =
        |variable: Variable, default: bool| AtomicBool::new(checker.flag(variable, default));
    Runtime {
        callback_version: RwLock::new(callback_version),
        auto_close_completed: flag(
            variable!(
                "AUTO_CLOSE_REQUEST_ON_COMPLETED",
                flow.auto_close_request_on_completed
            ),
            true,
        ),
        auto_close_rejected: flag(
            variable!(
                "AUTO_CLOSE_REQUEST_ON_REJECTED",
                flow.auto_close_request_on_rejected
            ),
            false,
        ),
        auto_close_complicated: flag(
            variable!(
                "AUTO_CLOSE_REQUEST_ON_COMPLICATED",
                flow.auto_close_request_on_complicated
            ),
            false,
        ),
        auto_close_errored: flag(
            variable!(
                "AUTO_CLOSE_REQUEST_ON_ERRORED",
                flow.auto_close_request_on_errored
            ),
            true,
        ),
    }
}

#[cfg(test)]
#[path = "load_tests.rs"]
mod tests;
