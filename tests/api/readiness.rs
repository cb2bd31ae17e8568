//! The gate before the versioned API (spec/http-api.md 1.6).

use erawan::api::CallOutcome;
use erawan::context::Role;
use erawan::error::codes;
use erawan::http::Readiness;
use erawan::job::{NewJob, noop};
use erawan::store::Accept;
use serde_json::json;

use crate::fakes::Node;
use crate::network::{ReceivedResponse, client, send};

async fn get(node: &Node, path: &str) -> ReceivedResponse {
    send(client().get(node.url(path))).await
}

async fn post(node: &Node, path: &str) -> ReceivedResponse {
    send(client().post(node.url(path)).json(&json!({}))).await
}

#[actix_web::test]
async fn without_a_ledger_only_information_is_served() {
    let node = Node::start(Role::Rp).await;
    node.readiness.lock().ledger_connected = false;
    for path in ["/rp/callback", "/v6/utility/namespaces", "/no/such/path"] {
        let answer = get(&node, path).await;
        assert_eq!(
            (answer.status, answer.error_code()),
            (503, Some(10008)),
            "{path}"
        );
    }
    for path in ["/info", "/config", "/num_expected_txs", "/license"] {
        assert_eq!(get(&node, path).await.status, 200, "{path}");
    }
    assert_eq!(get(&node, "/node/callback").await.status, 204);
    let own_urls = client().post(node.url("/v6/node/callback"));
    let own_urls = own_urls.json(&json!({"sign_url": "http://a"}));
    assert_eq!(send(own_urls).await.status, 204);
}

#[actix_web::test]
async fn an_address_that_is_not_registered_stops_posts_only() {
    let node = Node::start(Role::Rp).await;
    node.readiness.lock().mq_registered = false;
    assert_eq!(get(&node, "/rp/callback").await.status, 204);
    let answer = post(&node, "/rp/request_close").await;
    assert_eq!((answer.status, answer.error_code()), (503, Some(10017)));
}

#[actix_web::test]
async fn what_has_come_true_since_the_last_look_refuses_nothing() {
    let node = Node::start(Role::Rp).await;
    *node.readiness_now.lock() = Some(Readiness::READY);
    for seen in [
        Readiness {
            mq_registered: false,
            ..Readiness::READY
        },
        Readiness {
            crypto_ready: false,
            ..Readiness::READY
        },
        Readiness {
            ledger_synced: false,
            ..Readiness::READY
        },
    ] {
        *node.readiness.lock() = seen;
        let answer = post(&node, "/rp/request_close").await;
        assert_ne!(answer.status, 503, "{seen:?}");
    }
    // What comes and goes is not waited for.
    node.readiness.lock().store_available = false;
    node.readiness.lock().ledger_synced = true;
    let answer = post(&node, "/rp/request_close").await;
    assert_eq!((answer.status, answer.error_code()), (503, Some(10028)));
}

#[actix_web::test]
async fn a_stopping_process_sends_its_clients_elsewhere() {
    let node = Node::start(Role::Rp).await;
    node.readiness.lock().draining = true;
    let answer = get(&node, "/rp/callback").await;
    assert_eq!(answer.status, 503);
    assert_eq!(answer.connection.as_deref(), Some("close"));
    assert_eq!(answer.retry_after.as_deref(), Some("1"));
}

#[actix_web::test]
async fn a_lost_store_stops_posts_with_retry_after() {
    let node = Node::start(Role::Rp).await;
    node.readiness.lock().store_available = false;
    assert_eq!(get(&node, "/rp/callback").await.status, 204);
    let answer = post(&node, "/rp/request_data_removal").await;
    assert_eq!((answer.status, answer.error_code()), (503, Some(10028)));
    assert_eq!(answer.retry_after.as_deref(), Some("1"));
    assert!(
        node.take_reached()
            .iter()
            .all(|reached| reached.operation == "GET /rp/callback")
    );
}

#[actix_web::test]
async fn a_full_queue_refuses_calls_that_make_jobs_before_anything_is_stored() {
    let limit = 10;
    let node = Node::start_with(Role::As, |config| config.queue.jobs = limit).await;
    let makes_a_job = CallOutcome::Accepted {
        accept: Accept {
            jobs: vec![NewJob::new(noop::NOOP, "key", &())],
            ..Accept::default()
        },
        body: None,
        refused: Some(codes::UNKNOWN_ERROR),
    };
    node.will_return(Ok(makes_a_job));
    let offer = || async {
        let body = json!({
            "reference_id": "r", "callback_url": "http://a", "min_ial": 1.1, "min_aal": 1,
            "url": "http://a", "supported_namespace_list": ["citizen_id"],
        });
        send(client().post(node.url("/as/service/s")).json(&body)).await
    };
    for number in 0..limit {
        assert_eq!(offer().await.status, 202, "{number}");
    }
    node.take_reached();
    for _ in 0..3 {
        let answer = offer().await;
        assert_eq!((answer.status, answer.error_code()), (503, Some(10000)));
        assert_eq!(answer.retry_after.as_deref(), Some("1"));
    }
    assert!(
        node.take_reached().is_empty(),
        "refused before it cost anything"
    );
    assert_eq!(node.submitted.lock().len() as u64, limit);
    // What ends something begun has a quarter more room.
    let refuse = || async {
        let body = json!({"reference_id": "r", "callback_url": "http://a", "error_code": 1});
        send(client().post(node.url("/as/error/q/s")).json(&body)).await
    };
    for status in [202, 202, 202, 503] {
        assert_eq!(refuse().await.status, status);
    }
    node.take_reached();
    // What makes no job goes on: reads, and what makes room.
    node.will_return(Ok(CallOutcome::NoContent));
    assert_eq!(get(&node, "/as/callback").await.status, 204);
    let removal = post(&node, "/utility/private_message_removal").await;
    assert_eq!(removal.status, 204);
}

#[actix_web::test]
async fn a_stopped_server_ends_open_calls_and_takes_no_more() {
    let node = Node::start(Role::Rp).await;
    assert_eq!(get(&node, "/rp/callback").await.status, 204);
    node.server.stop().await;
    let refused = client().get(node.url("/rp/callback")).send().await;
    assert!(refused.unwrap_err().is_connect());
}

#[actix_web::test]
async fn idle_connections_do_not_hold_up_the_stop() {
    let node = Node::start(Role::Rp).await;
    let keeping = reqwest::Client::builder().no_proxy().build().unwrap();
    let answer = send(keeping.get(node.url("/rp/callback"))).await;
    assert_eq!(answer.status, 204);
    let started = std::time::Instant::now();
    node.server.stop().await;
    assert!(
        started.elapsed() < std::time::Duration::from_secs(5),
        "{:?}",
        started.elapsed()
    );
}
