//! The server for operators.

use std::sync::Arc;

use erawan::context::Role;
use erawan::http::admin::{self, AdminOptions};
use parking_lot::Mutex;
use serde_json::json;

use crate::fakes::Node;
use crate::network::{client, send};

#[actix_web::test]
async fn metrics_health_and_readiness_are_served() {
    let metrics = admin::install_recorder().unwrap();
    let reasons = Arc::new(Mutex::new(vec!["the ledger is not connected".to_owned()]));
    let shown = reasons.clone();
    let server = admin::serve(AdminOptions {
        metrics,
        notices: Arc::new(Vec::new),
        reasons: Arc::new(move || shown.lock().clone()),
        role: Arc::new(|| "standby"),
        addresses: vec!["127.0.0.1:0".parse().unwrap()],
        https: None,
        most_connections: 4,
    })
    .await
    .unwrap();
    let url = |path: &str| format!("http://{}{path}", server.address());

    let node = Node::start(Role::Rp).await;
    send(client().get(node.url("/rp/request_data/r"))).await;
    let text = send(client().get(url("/metrics"))).await.text;
    let line = concat!(
        "http_request_duration_ms_bucket{method=\"GET\",route=\"/request_data/:request_id\",",
        "code=\"204\",le=\"500\"}"
    );
    assert!(text.contains(line), "{text}");

    for name in [
        "process_cpu_seconds_total",
        "process_resident_memory_bytes",
        "process_open_fds",
        "process_start_time_seconds",
    ] {
        let line = text.lines().find(|line| line.starts_with(name));
        let value: f64 = line.unwrap().rsplit(' ').next().unwrap().parse().unwrap();
        assert!(value > 0.0, "{name}");
    }

    let health = send(client().get(url("/health"))).await;
    assert_eq!(health.status, 200);
    assert_eq!(health.json(), json!({"live": true, "role": "standby"}));
    let not_ready = send(client().get(url("/ready"))).await;
    assert_eq!(not_ready.status, 503);
    assert_eq!(
        not_ready.json()["reasons"],
        json!(["the ledger is not connected"])
    );
    assert_eq!(not_ready.json()["role"], "standby");
    reasons.lock().clear();
    assert_eq!(
        send(client().get(url("/ready"))).await.json()["ready"],
        true
    );
    assert_eq!(send(client().get(url("/other"))).await.status, 404);
    assert_eq!(send(client().post(url("/metrics"))).await.status, 404);
}
