//! What operators see of a node's work.

use erawan::context::Role;
use erawan::devnet::network::NodeProcess;
use serde_json::Value;

use crate::network::*;

/// spec/process-model-and-config.md 11
const REPLACED: [(&str, &str); 29] = [
    ("http_request_duration_ms", "histogram"),
    ("expected_txs_total", "gauge"),
    ("tx_transact_fails_total", "counter"),
    ("tx_commit_duration_ms", "histogram"),
    ("pending_outbound_mq_messages_total", "gauge"),
    ("outbound_mq_message_fails_total", "counter"),
    ("outbound_mq_message_duration_ms", "histogram"),
    ("pending_client_callbacks_total", "gauge"),
    ("client_callback_fails_total", "counter"),
    ("client_callback_timeouts_total", "counter"),
    ("client_callback_duration_ms", "histogram"),
    ("pending_external_crypto_callbacks_total", "gauge"),
    ("external_crypto_callback_timeouts_total", "counter"),
    ("external_crypto_callback_duration_ms", "histogram"),
    ("processing_blocks_total", "gauge"),
    ("block_process_fails_total", "counter"),
    ("block_process_duration_ms", "histogram"),
    ("processing_inbound_mq_messages_total", "gauge"),
    ("inbound_mq_message_process_fails_total", "counter"),
    ("inbound_mq_message_process_duration_ms", "histogram"),
    ("redis_operation_duration_ms", "histogram"),
    ("main_websocket_connection_status", "gauge"),
    ("connected_websockets_in_connection_pool_total", "gauge"),
    ("pending_tasks_in_request_process_queue_total", "gauge"),
    (
        "tasks_in_request_process_queue_pending_duration_ms",
        "histogram",
    ),
    ("processing_tasks_in_request_process_queue_total", "gauge"),
    ("tasks_in_request_process_queue_fails_total", "counter"),
    (
        "tasks_in_request_process_queue_process_duration_ms",
        "histogram",
    ),
    ("requests_in_request_process_queue_total", "gauge"),
];

/// Those that say how much is left to do.
const PENDING: [&str; 7] = [
    "pending_outbound_mq_messages_total",
    "pending_client_callbacks_total",
    "pending_external_crypto_callbacks_total",
    "processing_inbound_mq_messages_total",
    "pending_tasks_in_request_process_queue_total",
    "processing_tasks_in_request_process_queue_total",
    "requests_in_request_process_queue_total",
];

/// Those that grow with every request, whatever the role.
const BUSY: [&str; 8] = [
    "tx_commit_duration_ms_count",
    "outbound_mq_message_duration_ms_count",
    "client_callback_duration_ms_count",
    "block_process_duration_ms_count",
    "inbound_mq_message_process_duration_ms_count",
    "redis_operation_duration_ms_count",
    "tasks_in_request_process_queue_pending_duration_ms_count",
    "tasks_in_request_process_queue_process_duration_ms_count",
];

async fn page(part: &NodeProcess) -> String {
    let page = plain_client().get(&part.metrics).send().await.unwrap();
    page.text().await.unwrap()
}

async fn sum(parts: &[NodeProcess], name: &str) -> f64 {
    let mut sum = 0.0;
    for part in parts {
        sum += metric(part, name).await.unwrap_or(f64::NAN);
    }
    sum
}

/// A number of the server information of an API process.
async fn told(api: &str, name: &str) -> u64 {
    let url = format!("{api}/num_{name}");
    let answer = plain_client().get(url).send().await.unwrap();
    let answer: Value = answer.json().await.unwrap();
    answer[format!("n_{name}")].as_u64().unwrap()
}

#[actix_web::test]
async fn every_metric_of_the_replaced_system_is_there() {
    let mut net = Net::start(Store::Redis, 0).await;
    let apps = net.apps().await;
    drive(&apps, 20).await;
    assert_all_verified(&apps, 20);
    for role in ROLES {
        let node = &net.processes(role)[..];
        let page = page(&node[0]).await;
        for (name, form) in REPLACED {
            let line = format!("# TYPE {name} {form}\n");
            assert!(page.contains(&line), "{role:?}: {line}{page}");
        }
        for name in BUSY {
            assert!(sum(node, name).await > 0.0, "{role:?}: {name}");
        }
        for name in PENDING {
            let is_done = || async { sum(node, name).await == 0.0 };
            eventually(&format!("{role:?}: {name} is 0"), is_done).await;
        }
    }
    net.end(apps).await;
}

#[actix_web::test]
async fn callbacks_that_wait_are_seen_by_every_worker_and_counted_once() {
    const NAME: &str = "pending_client_callbacks";
    let mut net = Net::start(Store::Redis, 2).await;
    let apps = net.apps().await;
    let urls = net.network.node(Role::Rp).unwrap().api_urls();
    for url in &urls {
        assert_eq!(told(url, NAME).await, 0);
    }
    // Its client takes no callbacks.
    let answer = call_that_writes(&urls[0]).await.unwrap();
    assert_eq!(answer.status(), 202);
    for url in &urls {
        let waits = || async { told(url, NAME).await > 0 };
        eventually("a callback waits", waits).await;
    }
    let parts = &net.processes(Role::Rp)[..];
    let is_sum = || async {
        let sum = sum(parts, "pending_client_callbacks_total").await;
        let told = [told(&urls[0], NAME).await, told(&urls[1], NAME).await];
        sum > 0.0 && told.iter().all(|told| *told as f64 == sum)
    };
    eventually("the processes' numbers make the node's", is_sum).await;
    net.end(apps).await;
}
