//! The parts that every process of a node opens first: store, ledger, keys.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use super::threads::{Intake, Threads};
use crate::config::{Config, Keys, WrongSetting};
use crate::context::{Context, Role};
use crate::crypto::Crypto;
use crate::crypto::behalf::OnBehalf;
use crate::crypto::external::{self, ExternalCrypto};
use crate::crypto::keyring::Keyring;
use crate::descriptors::Shares;
use crate::http_client::HttpClient;
use crate::job::Table;
use crate::ledger::follow::Progress;
use crate::ledger::rpc::RpcOptions;
use crate::ledger::{CachedLedger, LedgerClient, query};
use crate::logging::Reminder;
use crate::operator::OpenDesk;
use crate::protocol::BacklogBoard;
use crate::protocol::client::FoundMaster;
use crate::store::SharedStore;
use crate::store::open::open_store;

/// Pause between tries to reach something at the start.
const START_RETRY: Duration = Duration::from_millis(500);
/// How long a starting process waits for a store that a master serves.
const PROGRESS_PATIENCE: Duration = Duration::from_secs(1);

/// The opened parts of a process.
#[derive(Clone)]
pub struct ProcessParts {
    pub config: Arc<Config>,
    pub store: SharedStore,
    /// The ledger without the cache.
    pub client: Arc<LedgerClient>,
    /// The ledger with the cache.
    pub cached: Arc<CachedLedger>,
    pub context: Context,
    /// `None` with an external crypto service.
    pub keyring: Option<Arc<Keyring>>,
    /// Where the link has found the master.
    pub master: FoundMaster,
    /// The node's open work, as this process knows it.
    pub backlog: Arc<BacklogBoard>,
    /// Most connections at each port.
    pub shares: Shares,
    /// Where operators are served.
    pub desk: OpenDesk,
    /// The thread for connections to ledger and message queue service.
    pub intake: Intake,
    _threads: Arc<Threads>,
}

impl ProcessParts {
    /// Opens everything, and waits for what is not available yet.
    /// # Errors
    /// What waiting cannot mend: keys, a store file in use, an unregistered
    /// node.
    pub async fn open(config: Arc<Config>, shares: Shares, desk: OpenDesk) -> io::Result<Self> {
        let http = external::client(&config).map_err(io::Error::other)?;
        let threads = Arc::new(Threads::start());
        let intake = threads.intake();
        let master = FoundMaster::default();
        let store = open_store(&config, &master, intake.runtime().await?).await?;
        desk.store_opened(store.clone());
        let tendermint = &config.tendermint;
        let rpc = RpcOptions::new(
            tendermint.host.clone(),
            tendermint.port,
            tendermint.connections,
        );
        let client = intake.make(|| LedgerClient::start(rpc)).await?;
        wait_for_ledger(&config, &client).await;
        let cached = Arc::new(CachedLedger::new(client.clone()));
        let role = role(&config, &client).await?;
        let behind_proxy = behind_proxy(&config, role, &client).await?;
        remember_progress(&store, &client).await;
        let (crypto, keyring) = open_crypto(&config, &store, &http, &behind_proxy)?;
        let is_proxy = role == Role::Proxy;
        let crypto = OnBehalf::new(crypto, cached.clone(), &config.node_id, is_proxy);
        let context = Context {
            config: config.clone(),
            role,
            ledger: cached.clone(),
            state: store.clone(),
            crypto: Arc::new(crypto),
            http,
            future_quota: Arc::default(),
        };
        Ok(Self {
            config,
            store,
            client,
            cached,
            context,
            keyring,
            master,
            backlog: Arc::default(),
            shares,
            desk,
            intake,
            _threads: threads,
        })
    }
}

/// Waits until the ledger answers, has caught up and is initialised.
async fn wait_for_ledger(config: &Config, client: &LedgerClient) {
    let mut wait = START_RETRY;
    let mut reminder = Reminder::default();
    loop {
        let problem = match client.status().await {
            Ok(status) if status.catching_up => "it is catching up".to_owned(),
            Ok(_) if config.ndid_node => return,
            Ok(_) => match query::is_init_ended(client).await {
                Ok(true) => return,
                Ok(false) => "NDID has not finished setting it up".to_owned(),
                Err(error) => error.to_string(),
            },
            Err(error) => error.to_string(),
        };
        if reminder.is_due() {
            let tendermint = &config.tendermint;
            let address = format!("{}:{}", tendermint.host, tendermint.port);
            tracing::warn!(
                address,
                problem,
                "waiting for the ledger: if this address is wrong, correct TENDERMINT_IP and \
                 TENDERMINT_PORT"
            );
        }
        tokio::time::sleep(wait).await;
        wait = (wait * 2).min(config.tendermint.max_sync_check_interval);
    }
}

/// Distrusts answers below the height that the node has seen, even before the
/// master has told it. Without a stored height, the master's word counts.
async fn remember_progress(store: &SharedStore, client: &LedgerClient) {
    let read = store.get(Table::Progress, Progress::ROW, "");
    let stored = match tokio::time::timeout(PROGRESS_PATIENCE, read).await {
        Ok(Ok(stored)) => stored,
        Ok(Err(error)) => {
            return tracing::debug!(%error, "reading the stored progress of the ledger");
        }
        Err(_) => return tracing::debug!("the stored progress of the ledger cannot be read"),
    };
    match stored.map(|bytes| Progress::decode(&bytes)) {
        Some(Ok(progress)) => client.remember(&progress.chain_id, progress.settled),
        // The watcher reports it as a warning.
        Some(Err(error)) => tracing::debug!(%error, "stored progress"),
        None => {}
    }
}

async fn role(config: &Config, client: &LedgerClient) -> io::Result<Role> {
    if config.ndid_node {
        return Ok(Role::Ndid);
    }
    let mut reminder = Reminder::default();
    loop {
        match query::node_info(client, &config.node_id).await {
            Ok(Some(node)) => {
                return Role::parse(&node.role).ok_or_else(|| {
                    io::Error::other(format!("the ledger has an unknown role: {}", node.role))
                });
            }
            Ok(None) => {
                return Err(io::Error::other(format!(
                    "NODE_ID={}: the ledger does not know this node; NDID has to register it first",
                    config.node_id
                )));
            }
            Err(error) if error.is_temporary() => {
                if reminder.is_due() {
                    tracing::warn!(%error, "asking the ledger for the role");
                }
                tokio::time::sleep(START_RETRY).await;
            }
            Err(error) => return Err(io::Error::other(error)),
        }
    }
}

/// The nodes behind this proxy whose keys are needed; empty for other roles.
async fn behind_proxy(
    config: &Config,
    role: Role,
    client: &LedgerClient,
) -> io::Result<Vec<String>> {
    if role != Role::Proxy {
        return Ok(Vec::new());
    }
    let mut reminder = Reminder::default();
    loop {
        match query::nodes_served_by(client, &config.node_id).await {
            Ok(nodes) => return Ok(nodes),
            Err(error) if error.is_temporary() => {
                if reminder.is_due() {
                    tracing::warn!(%error, "asking the ledger for the nodes behind this proxy");
                }
                tokio::time::sleep(START_RETRY).await;
            }
            Err(error) => return Err(io::Error::other(error)),
        }
    }
}

/// Reads key files again after a block that changed keys.
pub(super) fn refresh_keys(keyring: &Arc<Keyring>, methods: &[String]) {
    if methods.iter().any(|method| method == "UpdateNode") {
        let keyring = keyring.clone();
        tokio::task::spawn_blocking(move || keyring.refresh());
    }
}

type OpenedCrypto = (Arc<dyn Crypto>, Option<Arc<Keyring>>);

fn open_crypto(
    config: &Arc<Config>,
    store: &SharedStore,
    http: &HttpClient,
    behind_proxy: &[String],
) -> io::Result<OpenedCrypto> {
    match config.keys {
        Keys::External => {
            let runtime = config.runtime.clone();
            let external = ExternalCrypto::new(store.clone(), runtime, http.clone())
                // The other half of the node's own work continues.
                .with_places(config.capacity.run as usize / 2);
            Ok((Arc::new(external), None))
        }
        Keys::Files { .. } => {
            let keyring = Keyring::load(config.clone(), behind_proxy);
            let keyring = keyring.map_err(|error| {
                WrongSetting::error(format!(
                    "SIGNING_PRIVATE_KEY_PATH, SIGNING_MASTER_PRIVATE_KEY_PATH, \
                     ENCRYPTION_PRIVATE_KEY_PATH: {error}"
                ))
            })?;
            let keyring = Arc::new(keyring);
            Ok((keyring.clone(), Some(keyring)))
        }
    }
}
