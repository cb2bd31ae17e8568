//! (a) A worker is killed while it owes something.

use std::collections::BTreeSet;

use erawan::context::Role;
use serde_json::json;

use crate::application::{Application, REQUESTS, post, request};
use crate::network::*;
use crate::proxy::{Proxy, restart_with};

/// Calls that are answered in the instant before the kill.
const CALLS: usize = 6;

#[actix_web::test]
async fn f01d_f01e_f01f_what_killed_workers_owed_is_done_by_those_that_come_after() {
    let mut net = Net::start(Store::Redis, 2).await;
    let apps = net.apps().await;
    let client = Application::start(0).await;
    let away = free_port();

    // F01d: the node's own message queue service cannot be reached, so that
    // messages are stored and not sent.
    let queue = Proxy::start(net.network.node(Role::Rp).unwrap().mq.clone()).await;
    let port = queue.port.to_string();
    for part in &mut net.processes(Role::Rp)[1..] {
        restart_with(part, &[("MQ_SERVICE_SERVER_PORT", port.clone())]).await;
    }
    ready(net.network.node(Role::Rp).unwrap().api_urls()).await;
    queue.take_down();
    let api = net.api(Role::Rp);
    let mut brief = request(&client, &["idp1"], "brief");
    // F01e: a timer that fires after its worker has died.
    brief["request_timeout"] = json!(6);
    // F01e: a callback that is being repeated when its worker dies.
    let mut unheard = request(&client, &["idp1"], "unheard");
    unheard["callback_url"] = json!(format!("http://127.0.0.1:{away}/"));
    for body in [request(&client, &["idp1"], "lasting"), brief, unheard] {
        let (status, answer) = post(&api, REQUESTS, &body).await;
        assert_eq!(status, 202, "{answer}");
    }
    client.wait("create_request_result", 2).await;
    let is_tried = || async { queue.accepted() > 4 };
    eventually("messages are tried to be sent", is_tried).await;

    // F01f: accepted calls whose transactions are perhaps not sent.
    let bodies: Vec<_> = (0..CALLS)
        .map(|call| request(&client, &["idp1"], &format!("call-{call}")))
        .collect();
    let calls = bodies.iter().map(|body| post(&api, REQUESTS, body));
    for (status, answer) in futures_util::future::join_all(calls).await {
        assert_eq!(status, 202, "{answer}");
    }
    for part in &mut net.processes(Role::Rp)[1..] {
        kill(part).await;
    }

    let late_client = Application::start(away).await;
    for part in &mut net.processes(Role::Rp)[1..] {
        start_again(part);
    }
    // One that came before its worker died may come again, under its identity.
    let seen = |member: &str, value: serde_json::Value| {
        let statuses = client.got("request_status");
        let are_so = statuses.iter().filter(|got| got.body[member] == value);
        are_so.map(|got| &got.key).collect::<BTreeSet<_>>().len()
    };
    let is_timed_out = || async { seen("timed_out", json!(true)) == 1 };
    eventually("the brief request is timed out", is_timed_out).await;
    queue.heal();
    let results = || {
        let results = client.got("create_request_result");
        let named = results.into_iter().map(|got| {
            assert_eq!(got.body["success"], json!(true), "{}", got.body);
            (got.body["reference_id"].to_string(), got.key)
        });
        named.collect::<BTreeSet<_>>()
    };
    let all = || async { results().len() >= 2 + CALLS };
    eventually("a result for each call", all).await;
    let references: BTreeSet<_> = results().into_iter().map(|named| named.0).collect();
    let one_each = (references.len(), results().len());
    assert_eq!(one_each, (2 + CALLS, 2 + CALLS), "one result for each call");
    late_client.wait("create_request_result", 1).await;
    let completed = || async { seen("status", json!("completed")) > CALLS };
    eventually("the others are answered", completed).await;
    client.stop().await;
    late_client.stop().await;
    net.end(apps).await;
}
