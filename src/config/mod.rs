//! Every environment variable, one struct per concern, validated at start
//! (spec/process-model-and-config.md 10).

pub mod address;
mod check;
mod cluster;
mod dashboard;
mod dotenv;
mod idle;
mod keys;
mod listen;
mod listing;
mod load;
mod network;
mod outbound;
mod pem;
mod redis;
mod redis_load;
mod redis_tls;
mod redis_url;
mod stop;
mod summary;
mod variables;
mod wrong;

pub use cluster::ClusterAccess;
pub use dashboard::DashboardConfig;
pub use idle::Idle;
pub use listen::{Bind, Listen};
pub use listing::{ListedSetting, ValueSource, settings};
pub use load::{ConfigMistake, ConfigMistakes, load, load_for_operators, load_from};
pub use outbound::{Denied, Networks, Outbound};
pub use redis::{Redis, RedisAddress, RedisPlace, ReplicaPromise, SentinelLogin};
pub use redis_tls::RedisTls;
pub use stop::StopTimes;
pub use wrong::WrongSetting;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::RwLock;
use secrecy::SecretString;

/// `NODE_ENV`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Environment {
    /// Development keys as defaults, TLS of outgoing HTTPS not verified.
    Development,
    /// Everything must be set.
    Production,
    /// Like development, but certificates are verified.
    Test,
}

impl Environment {
    /// Whether the certificates of servers that the node calls over HTTPS are
    /// verified (spec/process-model-and-config.md 10.1).
    pub fn verifies_certificates(self) -> bool {
        self != Self::Development
    }
}

/// `MODE`: what this process is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Everything in one process.
    Standalone,
    /// Owns the queue, follows the ledger and the message queue.
    Master,
    /// Serves the API and runs jobs.
    Worker,
}

/// `STORE`: where jobs and state live.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreChoice {
    /// Redis, as in the replaced system.
    Redis,
    /// A file of the standalone process or of the master.
    Embedded,
}

/// Versions of the API and of callback bodies (`CALLBACK_API_VERSION`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ApiVersion {
    /// 4.0
    V4,
    /// 5.3
    V5,
    /// 6.0
    V6,
}

impl ApiVersion {
    /// `4.0`, `5.3` or `6.0`.
    pub fn as_str(self) -> &'static str {
        match self {
            ApiVersion::V4 => "4.0",
            ApiVersion::V5 => "5.3",
            ApiVersion::V6 => "6.0",
        }
    }

    /// Accepts `4`, `4.0`, `5`, `5.3`, `6`, `6.0`.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "4" | "4.0" => Some(ApiVersion::V4),
            "5" | "5.3" => Some(ApiVersion::V5),
            "6" | "6.0" => Some(ApiVersion::V6),
            _ => None,
        }
    }
}

/// A certificate and its key, as PEM files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// Private key.
    pub key: PathBuf,
    /// Certificate chain.
    pub certificate: PathBuf,
}

/// A private key file.
#[derive(Debug, Clone)]
pub struct KeyFile {
    /// PEM file.
    pub path: PathBuf,
    /// For an encrypted PEM.
    pub passphrase: Option<SecretString>,
}

/// Where workers find masters, and the port that a master listens on.
#[derive(Debug, Clone)]
pub struct LinkConfig {
    /// `MASTER_SERVER_IP`: at least one.
    pub masters: Vec<MasterAddress>,
    /// `MASTER_SERVER_PORT`.
    pub port: u16,
    /// `MASTER_WAIT_MS`: a worker without a master is ready for this long.
    pub wait: Duration,
}

/// The address of a possible master.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MasterAddress {
    /// A name or an address. A name may have several addresses.
    pub host: String,
    /// TCP port.
    pub port: u16,
}

impl MasterAddress {
    pub fn new(host: impl Into<String>, port: u16) -> Self {
        let host = host.into();
        Self { host, port }
    }
}

/// For logs: `host:port`.
impl fmt::Display for MasterAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&address::authority(&self.host, self.port))
    }
}

impl LinkConfig {
    /// The addresses as `MASTER_SERVER_IP` lists them: without the port if it
    /// is `MASTER_SERVER_PORT`.
    pub fn masters_text(&self) -> String {
        let text = |master: &MasterAddress| match master.port == self.port {
            true => master.host.clone(),
            false => master.to_string(),
        };
        self.masters.iter().map(text).collect::<Vec<_>>().join(",")
    }
}

/// Keepalive, deadlines and TLS of gRPC.
#[derive(Debug, Clone)]
pub struct Grpc {
    /// `GRPC_PING_INTERVAL_MS`
    pub ping_interval: Duration,
    /// `GRPC_PING_TIMEOUT_MS`
    pub ping_timeout: Duration,
    /// `GRPC_CALL_TIMEOUT_MS`
    pub call_timeout: Duration,
    /// `GRPC_SSL`: root certificate, key and certificate.
    pub tls: Option<GrpcTls>,
}

/// Files of `GRPC_SSL_*_FILE_PATH`.
#[derive(Debug, Clone)]
pub struct GrpcTls {
    /// Root certificate.
    pub root: PathBuf,
    /// Own key and certificate.
    pub own: TlsFiles,
}

/// The HTTP API.
#[derive(Debug, Clone)]
pub struct Api {
    /// `SERVER_PORT`
    pub port: u16,
    /// `HTTPS`
    pub https: Option<TlsFiles>,
    /// `CLIENT_HTTP_ERROR_CODE`
    pub client_error_status: u16,
    /// `SERVER_HTTP_ERROR_CODE`
    pub server_error_status: u16,
    /// `DEFAULT_API_VERSION`: version on paths without `/vN`.
    pub default_version: ApiVersion,
    /// `USE_API_KEY` with `API_KEY_HASH`: SHA-256 hex of the key.
    pub key_hash: Option<String>,
    /// `ENABLE_CONFIG_HTTP_ROUTE_PATH`
    pub config_routes: bool,
}

/// `LOG_*`.
#[derive(Debug, Clone)]
pub struct Log {
    /// `LOG_LEVEL`: fatal, error, warn, info, debug, trace or silent.
    pub level: String,
    /// `LOG_PRETTY_PRINT`; else JSON lines.
    pub pretty: bool,
    /// `LOG_COLOR`
    pub color: bool,
    /// `LOG_ONE_LINE`
    pub one_line: bool,
}

/// `TENDERMINT_*`.
#[derive(Debug, Clone)]
pub struct Tendermint {
    /// `TENDERMINT_IP`
    pub host: String,
    /// `TENDERMINT_PORT`
    pub port: u16,
    /// `TENDERMINT_WS_CONNECTIONS`
    pub connections: usize,
    /// `MAX_INTERVAL_TENDERMINT_SYNC_CHECK`
    pub max_sync_check_interval: Duration,
}

/// `MQ_*` and message compression.
#[derive(Debug, Clone)]
pub struct Mq {
    /// `MQ_CONTACT_IP`: registered for others to reach this node.
    pub contact_ip: String,
    /// `MQ_BINDING_PORT`: registered with it.
    pub binding_port: u16,
    /// `MQ_SERVICE_SERVER_IP`
    pub service_host: String,
    /// `MQ_SERVICE_SERVER_PORT`
    pub service_port: u16,
    /// `REGISTER_MQ_AT_STARTUP`
    pub register_at_startup: bool,
    /// `COMPRESS_MQ_MESSAGE` with `MQ_MESSAGE_COMPRESS_MIN_LENGTH`: compress
    /// messages of at least this many bytes.
    pub compress_from: Option<usize>,
}

/// Where the node's private keys are.
#[derive(Debug, Clone)]
pub enum Keys {
    /// `USE_EXTERNAL_CRYPTO_SERVICE`: a KMS behind callback URLs.
    External,
    /// PEM files.
    Files {
        /// Signs transactions, messages and AS data.
        signing: KeyFile,
        /// Signs `UpdateNode`.
        signing_master: KeyFile,
        /// Unwraps message keys.
        encryption: KeyFile,
        /// Directories with the keys of nodes behind this proxy.
        behind_proxy: BehindProxyKeys,
    },
}

/// `NODE_BEHIND_PROXY_*_DIRECTORY_PATH`.
#[derive(Debug, Clone, Default)]
pub struct BehindProxyKeys {
    /// Files `<node>` and `<node>_passphrase`.
    pub signing: Option<PathBuf>,
    /// Files `<node>_master` and `<node>_master_passphrase`.
    pub signing_master: Option<PathBuf>,
    /// Files `<node>` and `<node>_passphrase`.
    pub encryption: Option<PathBuf>,
}

/// `DCONTRACT_*`: documents that a consent request refers to (spec/flows.md
/// 3.1).
#[derive(Debug, Clone)]
pub struct DContract {
    /// `DCONTRACT_REQUEST_TYPE`
    pub request_type: String,
    /// `DCONTRACT_VALIDATE`
    pub validate: bool,
    /// `DCONTRACT_FETCH_TIMEOUT`
    pub fetch_timeout: Duration,
}

/// `PROMETHEUS*`.
#[derive(Debug, Clone)]
pub struct Prometheus {
    /// `PROMETHEUS_SERVER_PORT`
    pub port: u16,
    /// `PROMETHEUS_HTTPS`
    pub https: Option<TlsFiles>,
}

/// How many jobs of each pool a process runs at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capacity {
    /// `WORKER_RUN_CAPACITY`
    pub run: u32,
    /// `WORKER_DELIVERY_CAPACITY`
    pub delivery: u32,
}

/// How much work a node accepts before it refuses calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueueLimits {
    /// Most open jobs.
    pub jobs: u64,
    /// Most bytes of open jobs.
    pub bytes: u64,
}

/// The settings of a process.
#[derive(Debug, Clone)]
pub struct Config {
    /// `NODE_ENV`
    pub environment: Environment,
    /// `MODE`
    pub mode: Mode,
    /// `NODE_ID`
    pub node_id: String,
    /// `NDID_NODE`
    pub ndid_node: bool,
    /// `STORE`
    pub store: StoreChoice,
    /// `DATA_DIRECTORY_PATH`
    pub data_directory: PathBuf,
    pub link: LinkConfig,
    pub cluster: ClusterAccess,
    pub listen: Listen,
    pub outbound: Outbound,
    /// Used by the link and by the message queue service.
    pub grpc: Grpc,
    pub api: Api,
    pub redis: Redis,
    pub log: Log,
    pub tendermint: Tendermint,
    pub mq: Mq,
    /// `AS_DATA_COMPRESS_MIN_LENGTH`: compress AS data of at least this many bytes.
    pub as_data_compress_from: usize,
    pub keys: Keys,
    /// `CALLBACK_RETRY_TIMEOUT`
    pub callback_retry_timeout: Duration,
    /// `VALIDATE_IDENTIFIER`
    pub validate_identifier: bool,
    /// Documents of consent requests.
    pub dcontract: DContract,
    /// Metrics endpoint, if any.
    pub prometheus: Option<Prometheus>,
    /// Dashboard, if any.
    pub dashboard: Option<DashboardConfig>,
    /// What `POST /config/set` can change while the process runs.
    pub runtime: Arc<Runtime>,
    pub stop: StopTimes,
    /// How much a worker (or the standalone process) does at once.
    pub capacity: Capacity,
    /// Limits for work that can run (`QUEUE_LIMIT_JOBS`, `QUEUE_LIMIT_BYTES`).
    pub queue: QueueLimits,
    /// Limits for work that waits (`QUEUE_LIMIT_DORMANT_JOBS`,
    /// `QUEUE_LIMIT_DORMANT_BYTES`).
    pub dormant: QueueLimits,
    /// Settings that are shown and have no effect.
    pub idle: Idle,
    /// Problems that operators should know and that do not stop the start.
    pub warnings: Vec<String>,
}

impl Config {
    /// Whether this process knows the address that other nodes send to
    /// (`MQ_CONTACT_IP`, `MQ_BINDING_PORT`). A master does not; its workers
    /// register the address.
    pub fn has_mq_address(&self) -> bool {
        self.mode != Mode::Master
    }

    /// Settings for tests: a standalone process of `node_id` with the embedded
    /// store and an external crypto service, so that no file is needed.
    pub fn for_test(node_id: &str) -> Self {
        let data_directory = std::env::temp_dir().join("erawan-test");
        let environment = [
            ("NODE_ENV", "test"),
            ("NODE_ID", node_id),
            ("STORE", "redis"),
            ("USE_EXTERNAL_CRYPTO_SERVICE", "true"),
        ];
        let environment = environment.map(|(name, value)| (name.to_owned(), value.to_owned()));
        match load_from(&environment.into()) {
            Ok(config) => Self {
                store: StoreChoice::Embedded,
                data_directory,
                ..config
            },
            // Only an empty node id can be wrong here.
            Err(mistakes) => panic!("{mistakes}"),
        }
    }
}

/// Settings that `POST /config/set` changes for this process until it ends
/// (spec/http-api.md 3.10).
#[derive(Debug)]
pub struct Runtime {
    /// `CALLBACK_API_VERSION`
    pub callback_version: RwLock<ApiVersion>,
    /// `EXTERNAL_CRYPTO_SERVICE_CALLBACK_API_VERSION`
    pub external_crypto_version: RwLock<ApiVersion>,
    /// `AUTO_CLOSE_REQUEST_ON_COMPLETED`
    pub auto_close_completed: AtomicBool,
    /// `AUTO_CLOSE_REQUEST_ON_REJECTED`
    pub auto_close_rejected: AtomicBool,
    /// `AUTO_CLOSE_REQUEST_ON_COMPLICATED`
    pub auto_close_complicated: AtomicBool,
    /// `AUTO_CLOSE_REQUEST_ON_ERRORED`
    pub auto_close_errored: AtomicBool,
}

impl Default for Runtime {
    fn default() -> Self {
        Self {
            callback_version: RwLock::new(ApiVersion::V6),
            external_crypto_version: RwLock::new(ApiVersion::V6),
            auto_close_completed: AtomicBool::new(true),
            auto_close_rejected: AtomicBool::new(false),
            auto_close_complicated: AtomicBool::new(false),
            auto_close_errored: AtomicBool::new(true),
        }
    }
}

impl Runtime {
    /// The version of callback bodies.
    pub fn callback_version(&self) -> ApiVersion {
        *self.callback_version.read()
    }

    /// The version of calls to an external crypto service.
    pub fn external_crypto_version(&self) -> ApiVersion {
        *self.external_crypto_version.read()
    }

    /// The automatic closing of requests: each flag and its variable.
    pub fn auto_close(&self) -> [(&'static str, &AtomicBool); 4] {
        [
            (
                "AUTO_CLOSE_REQUEST_ON_COMPLETED",
                &self.auto_close_completed,
            ),
            ("AUTO_CLOSE_REQUEST_ON_REJECTED", &self.auto_close_rejected),
            (
                "AUTO_CLOSE_REQUEST_ON_COMPLICATED",
                &self.auto_close_complicated,
            ),
            ("AUTO_CLOSE_REQUEST_ON_ERRORED", &self.auto_close_errored),
        ]
    }

    /// Whether a flag is on.
    pub fn is_on(flag: &AtomicBool) -> bool {
        flag.load(Ordering::Relaxed)
    }
}
