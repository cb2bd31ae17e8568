//! What a node and the ledger are doing, looked at from outside.

use erawan::context::Role;
use erawan::devnet::network::NodeProcess;
use erawan::job::Job;
use erawan::store::Store as _;
use erawan::store::redis::{self, RedisStore};
use serde_json::Value;

use crate::network::*;

/// Open jobs that are looked at: more than a test makes.
const MANY: usize = 1000;

/// `/status` of the ledger; `None` while it does not answer.
async fn status(net: &Net) -> Option<Value> {
    let url = format!("http://{}/status", net.network.ledger);
    plain_client().get(url).send().await.ok()?.json().await.ok()
}

/// Height of the ledger, once it answers.
pub async fn height(net: &Net) -> u64 {
    let told = || async { status(net).await.is_some() };
    eventually("the ledger answers", told).await;
    let status = status(net).await.unwrap();
    let height = &status["result"]["sync_info"]["latest_block_height"];
    height.as_str().unwrap().parse().unwrap()
}

/// Messages that a process has received and stored so far.
pub async fn received(part: &NodeProcess) -> f64 {
    let name = "erawan_messages_stored_total";
    metric(part, name).await.unwrap_or(0.0)
}

/// The store of a node whose jobs are in Redis.
pub async fn store_of(net: &Net, role: Role) -> RedisStore {
    erawan::node::kinds::give();
    let options = redis::Options {
        host: "127.0.0.1".to_owned(),
        port: net.redis.as_ref().unwrap().port(),
        password: None,
        node_id: net.network.node(role).unwrap().node_id.clone(),
    };
    RedisStore::connect(options).await.unwrap()
}

/// Whether a store has an open job that is so.
pub async fn has(store: &RedisStore, is_it: impl Fn(&Job) -> bool) -> bool {
    let open = store.open_jobs(0, MANY).await.unwrap();
    open.iter().any(is_it)
}
