//! A network of processes on the recorded genesis, with the recorded keys.

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use erawan::devnet::apps::ApiClient;
use erawan::devnet::ledger;
use erawan::devnet::network::{Network, NetworkOptions};
use erawan::ledger::rpc::RpcOptions;
use erawan::ledger::{Ledger, LedgerClient, transaction};
use serde_json::Value;
use tempfile::TempDir;

const LEDGER: &str = include_str!("../vectors/mode1/ledger.jsonl");
/// The last block of NDID's set-up, before the nodes came.
const LAST_OF_GENESIS: u64 = 44;
const PATIENCE: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(2);

/// The recorded network's nodes, ours.
pub struct Nodes {
    network: Network,
    /// Base URLs of each node's API.
    pub apis: HashMap<String, Vec<String>>,
    _directory: TempDir,
}

impl Nodes {
    /// Starts everything and waits until every API process takes calls.
    pub async fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        copy_keys(directory.path());
        lay_genesis(&directory.path().join("ledger")).await;
        let nodes = ["rp1", "idp1", "idp2", "as1"].map(str::to_owned).to_vec();
        let network = Network::start(NetworkOptions {
            binary: Some(env!("CARGO_BIN_EXE_erawan").into()),
            nodes,
            workers: 2,
            directory: Some(directory.path().to_owned()),
            ..NetworkOptions::default()
        })
        .await
        .unwrap();
        let mut apis = HashMap::new();
        for node in &network.nodes {
            let client = ApiClient::new(node.api_urls()).unwrap();
            client.wait_until_ready(PATIENCE).await.unwrap();
            apis.insert(node.node_id.clone(), node.api_urls());
        }
        Self {
            network,
            apis,
            _directory: directory,
        }
    }

    /// Stops every process; gives the names of those that had ended before.
    pub async fn stop(mut self) -> Vec<String> {
        let ended = self.network.ended().into_iter().map(|(name, _)| name);
        let ended = ended.collect();
        self.network.stop().await;
        ended
    }
}

fn copy_keys(directory: &Path) {
    let recorded = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/wire/vectors/mode1/keys");
    let keys = directory.join("keys");
    std::fs::create_dir(&keys).unwrap();
    for file in std::fs::read_dir(recorded).unwrap() {
        let file = file.unwrap();
        std::fs::copy(file.path(), keys.join(file.file_name())).unwrap();
    }
}

/// Makes a chain on which NDID has done what it did on the recorded one.
async fn lay_genesis(directory: &Path) {
    std::fs::create_dir(directory).unwrap();
    let options = ledger::Options {
        directory: Some(directory.to_owned()),
        ..ledger::Options::default()
    };
    let chain = ledger::DevLedger::start(options).await.unwrap();
    let rpc = RpcOptions::new(chain.address.ip().to_string(), chain.address.port(), 1);
    let client = LedgerClient::start(rpc);
    tokio::time::timeout(PATIENCE, replay(&client))
        .await
        .unwrap();
    drop(client);
    chain.stop().await.unwrap();
}

async fn replay(client: &LedgerClient) {
    while client.chain_id().is_err() {
        tokio::time::sleep(POLL).await;
    }
    let blocks = LEDGER
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .take_while(|block| block["height"].as_u64().unwrap() <= LAST_OF_GENESIS);
    for block in blocks {
        for recorded in block["txs"].as_array().unwrap() {
            let bytes = STANDARD.decode(recorded["tx"].as_str().unwrap()).unwrap();
            assert_eq!(client.broadcast(&bytes).await.unwrap().code, 0);
            let hash = transaction::hash(&bytes);
            while client.transaction(&hash).await.unwrap().is_none() {
                tokio::time::sleep(POLL).await;
            }
        }
    }
}
