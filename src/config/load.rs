//! Reads and checks the environment (spec/process-model-and-config.md 10).

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use parking_lot::RwLock;

use super::check::{Checker, Variable, variable};
use super::cluster::cluster;
use super::dashboard::dashboard;
use super::idle::Idle;
use super::keys::{external_crypto_version, keys};
use super::listen::listen;
use super::network::{api, bytes, grpc, link, mq, prometheus, tendermint};
use super::outbound::outbound;
use super::redis_load::redis;
use super::stop::stop;
use super::variables::{self, Flow, Links, Logging, Process, Queue, Secrets};
use super::*;

const MIB: u64 = 1024 * 1024;
/// In the working directory.
pub(super) const FILE: &str = ".env";

/// One mistake in the environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigMistake {
    pub variable: &'static str,
    /// Its value; `None` if unset or secret.
    pub value: Option<String>,
    /// How to mend it.
    pub fix: String,
}

impl fmt::Display for ConfigMistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.value {
            Some(value) => write!(f, "{}={value:?}: must be {}", self.variable, self.fix),
            None => write!(f, "{}: must be {}", self.variable, self.fix),
        }
    }
}

/// Every mistake in the environment, shown one per line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct ConfigMistakes(pub Vec<ConfigMistake>);

impl fmt::Display for ConfigMistakes {
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

/// Reads `.env` of the working directory and the process environment, which
/// wins.
/// # Errors
/// All mistakes at once.
pub fn load() -> Result<Config, ConfigMistakes> {
    let sources = variables::environment(Path::new(FILE), std::env::vars_os());
    let mut config = load_from(&sources.variables)?;
    config.warnings.extend(sources.warning);
    Ok(config)
}

/// Reads the same for a command that asks the node or its store and does
/// nothing else. What that does not need may be wrong or absent: it may run on a
/// machine that has neither keys nor certificates of the API.
/// # Errors
/// All mistakes at once.
pub fn load_for_operators() -> Result<Config, ConfigMistakes> {
    let sources = variables::environment(Path::new(FILE), std::env::vars_os());
    load_for_operators_from(&sources.variables)
}

fn load_for_operators_from(
    environment: &HashMap<String, String>,
) -> Result<Config, ConfigMistakes> {
    /// How the variables begin that the command does not need.
    const UNUSED: [&str; 20] = [
        "PRIVATE_KEY_",
        "MASTER_PRIVATE_KEY_",
        "SIGNING_",
        "ENCRYPTION_",
        "NODE_BEHIND_PROXY_",
        "USE_EXTERNAL_CRYPTO_SERVICE",
        "EXTERNAL_CRYPTO_SERVICE_",
        "SERVER_PORT",
        "HTTPS",
        "CLIENT_HTTP_",
        "SERVER_HTTP_",
        "API_KEY_",
        "TENDERMINT_",
        "MQ_",
        "CALLBACK_",
        "DCONTRACT_",
        "PROMETHEUS",
        "DASHBOARD_",
        "WORKER_",
        "QUEUE_LIMIT_",
    ];
    let mut checker = Checker::default();
    let config = read(environment, &mut checker);
    let is_unused = |mistake: &ConfigMistake| {
        let mut unused = UNUSED.iter();
        unused.any(|begin| mistake.variable.starts_with(begin))
    };
    checker.mistakes.retain(|mistake| !is_unused(mistake));
    match checker.mistakes.is_empty() {
        true => Ok(config),
        false => Err(ConfigMistakes(checker.mistakes)),
    }
}

/// Reads the given environment.
/// # Errors
/// All mistakes at once.
pub fn load_from(environment: &HashMap<String, String>) -> Result<Config, ConfigMistakes> {
    let mut checker = Checker::default();
    let config = read(environment, &mut checker);
    if checker.mistakes.is_empty() {
        Ok(Config {
            warnings: checker.warnings,
            ..config
        })
    } else {
        Err(ConfigMistakes(checker.mistakes))
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
    let crypto_version = external_crypto_version(&secrets, callback_version, checker);
    let queue: Queue = variables::read(environment);
    let links: Links = variables::read(environment);
    checker.outdated(environment);
    let grpc = grpc(&links, checker);
    let mut listen = listen(&variables::read(environment), checker);
    let of_cluster = variables::read(environment);
    let cluster = cluster(&of_cluster, mode, grpc.tls.is_some(), &mut listen, checker);
    Config {
        environment: environment_kind,
        mode,
        ndid_node: checker.flag(variable!("NDID_NODE", process.ndid_node), false),
        store,
        link: masters(&links, mode, store, checker),
        grpc,
        cluster,
        listen,
        outbound: outbound(&variables::read(environment), checker),
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
        callback_retry_timeout: Duration::from_secs(checker.number(
            variable!("CALLBACK_RETRY_TIMEOUT", flow.callback_retry_timeout),
            600,
            0..=365 * 24 * 60 * 60,
        )),
        validate_identifier: checker
            .on_unless_false(variable!("VALIDATE_IDENTIFIER", flow.validate_identifier)),
        dcontract: dcontract(&flow, checker),
        prometheus: prometheus(&variables::read(environment), checker),
        dashboard: dashboard(&variables::read(environment), checker),
        runtime: Arc::new(runtime(&flow, callback_version, crypto_version, checker)),
        stop: stop(&process, checker),
        capacity: capacity(&process, checker),
        queue: queue_limits(&process, checker),
        dormant: dormant_limits(&process, checker),
        node_id,
        data_directory,
        idle: Idle::read(environment),
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

fn masters(links: &Links, mode: Mode, store: StoreChoice, checker: &mut Checker) -> LinkConfig {
    let link = link(links, checker);
    if mode == Mode::Worker && store == StoreChoice::Embedded && link.masters.len() > 1 {
        checker.warn(
            "MASTER_SERVER_IP lists several masters, but with STORE=embedded there is one: \
             the first is used for the store; for a standby use STORE=redis",
        );
    }
    link
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

/// Half a million jobs and their payloads take well below 1 GB of a master's
/// memory; the limits for waiting jobs are four times as high (docs/bounds.md).
fn queue_limits(process: &Process, checker: &mut Checker) -> QueueLimits {
    QueueLimits {
        jobs: checker.number(
            variable!("QUEUE_LIMIT_JOBS", process.queue_limit_jobs),
            500_000,
            1..=100_000_000,
        ),
        bytes: checker.number(
            variable!("QUEUE_LIMIT_BYTES", process.queue_limit_bytes),
            256 * MIB,
            MIB..=1024 * 1024 * MIB,
        ),
    }
}

fn dormant_limits(process: &Process, checker: &mut Checker) -> QueueLimits {
    QueueLimits {
        jobs: checker.number(
            variable!("QUEUE_LIMIT_DORMANT_JOBS", process.queue_limit_dormant_jobs),
            2_000_000,
            1..=100_000_000,
        ),
        bytes: checker.number(
            variable!(
                "QUEUE_LIMIT_DORMANT_BYTES",
                process.queue_limit_dormant_bytes
            ),
            1024 * MIB,
            MIB..=1024 * 1024 * MIB,
        ),
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

fn runtime(
    flow: &Flow,
    callback_version: ApiVersion,
    crypto_version: ApiVersion,
    checker: &mut Checker,
) -> Runtime {
    let mut flag =
        |variable: Variable, default: bool| AtomicBool::new(checker.flag(variable, default));
    Runtime {
        callback_version: RwLock::new(callback_version),
        external_crypto_version: RwLock::new(crypto_version),
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
