//! The nine nodes, and those behind the proxies, ours.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use erawan::devnet::apps::ApiClient;
use erawan::devnet::network::{Network, NetworkOptions};
use serde_json::Value;

use crate::genesis;
use crate::keys::Pairs;

const NODES: [&str; 16] = [
    "ndid1",
    "rp1",
    "rp2",
    "idp1",
    "idp2",
    "idp3",
    "as1",
    "as2",
    "proxy1",
    "proxy2",
    "proxy1_rp4",
    "proxy1_idp4",
    "proxy1_as4",
    "proxy2_rp5",
    "proxy2_idp5",
    "proxy2_as5",
];
/// Another program to play against than the one that was built with this test.
const BINARY: &str = "SUITE_BINARY";
/// Counts that are zero when a node has nothing to do.
const IDLE: [&str; 4] = [
    "/num_pending_outbound_mq_messages",
    "/num_pending_client_callbacks",
    "/num_processing_inbound_messages",
    "/num_processing_blocks",
];
const PATIENCE: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(20);

fn binary() -> PathBuf {
    let given = std::env::var_os(BINARY);
    given.map_or_else(|| env!("CARGO_BIN_EXE_erawan").into(), PathBuf::from)
}

/// A running network on the recorded set-up.
pub struct Nodes {
    network: Network,
    /// Base URLs of each node's API.
    pub apis: HashMap<String, Vec<String>>,
    http: reqwest::Client,
}

impl Nodes {
    /// Starts everything and waits until every API process takes calls.
    pub async fn start(folder: &Path, pairs: &Pairs, workers: usize) -> Self {
        genesis::lay_keys(folder, pairs);
        genesis::lay_chain(folder, pairs).await;
        let network = Network::start(NetworkOptions {
            binary: Some(binary()),
            nodes: NODES.map(str::to_owned).to_vec(),
            workers,
            directory: Some(folder.to_owned()),
            log_level: "debug".to_owned(),
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
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        Self {
            network,
            apis,
            http,
        }
    }

    /// Waits until no node has anything to do.
    ///
    /// # Errors
    /// With what is not done in time.
    pub async fn until_idle(&self, patience: Duration) -> Result<(), String> {
        let deadline = Instant::now() + patience;
        while let Some(busy) = self.busy().await {
            if Instant::now() > deadline {
                return Err(busy);
            }
            tokio::time::sleep(POLL).await;
        }
        Ok(())
    }

    async fn busy(&self) -> Option<String> {
        for url in self.apis.values().flatten() {
            for path in IDLE {
                let answer = self.http.get(format!("{url}{path}")).send().await;
                let counts: Value = answer.unwrap().json().await.unwrap();
                let mut values = counts.as_object().unwrap().values();
                if values.any(|count| *count != 0) {
                    return Some(format!("{url}{path}: {counts}"));
                }
            }
        }
        None
    }

    /// Stops every process; gives the names of those that had ended before.
    pub async fn stop(mut self) -> Vec<String> {
        let ended = self.network.ended().into_iter().map(|(name, _)| name);
        let ended = ended.collect();
        self.network.stop().await;
        ended
    }
}
