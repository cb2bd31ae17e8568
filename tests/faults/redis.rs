//! (d) Redis goes away, or its answers do.

use std::time::Duration;

use erawan::context::Role;
use serde_json::json;

use crate::application::{Application, REQUESTS, get, post, request};
use crate::network::*;
use crate::proxy::{Proxy, restart_with};

async fn redis_proxy(net: &Net) -> Proxy {
    let port = net.redis.as_ref().unwrap().port();
    Proxy::start(format!("127.0.0.1:{port}")).await
}

/// F13: commands whose answers are lost are sent again and take effect once.
/// F14: what could not be stored was not acknowledged and comes again. F16:
/// nothing is half done. F17: calls are told to come later, soon.
#[actix_web::test]
async fn f13_f14_f16_f17_redis_connections_that_break_halve_nothing_and_double_nothing() {
    let mut net = Net::start(Store::Redis, 1).await;
    let redis = redis_proxy(&net).await;
    for role in [Role::Rp, Role::Idp] {
        for part in net.processes(role).iter_mut() {
            restart_with(part, &[("DB_PORT", redis.port.to_string())]).await;
        }
    }
    let apps = net.apps().await;
    let breaks = async {
        verified(&apps, 3).await;
        for _ in 0..5 {
            // The command gets through, its answer does not.
            redis.swallow_answers();
            tokio::time::sleep(Duration::from_millis(30)).await;
            redis.cut();
            redis.heal();
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
        redis.take_down();
        told_to_try_later(&net.api(Role::Rp)).await;
        redis.heal();
    };
    let requests = load_during(&apps, breaks).await;
    let totals = apps.totals();
    assert_eq!((totals.completed, totals.verified), (requests, requests));
    assert_eq!(totals.errors, Vec::<String>::new());
    net.end(apps).await;
}

/// The accept of an IdP's answer is applied and its confirmation lost: the
/// client is told to try again, and does. One answer reaches the ledger, and
/// the client hears of one success.
#[actix_web::test]
async fn f13_an_answer_repeated_after_a_503_that_had_been_applied_is_made_once() {
    let mut net = Net::start(Store::Redis, 1).await;
    let redis = redis_proxy(&net).await;
    let worker = &mut net.processes(Role::Idp)[1];
    restart_with(worker, &[("DB_PORT", redis.port.to_string())]).await;
    let apps = net.apps().await;
    let (rp, idp) = (net.api(Role::Rp), net.api(Role::Idp));
    let client = Application::start(0).await;
    let urls = json!({"incoming_request_url": client.url, "error_url": client.url});
    assert_eq!(post(&idp, "/idp/callback", &urls).await.0, 204);
    let created = post(&rp, REQUESTS, &request(&client, &["idp1"], "once")).await;
    let request_id = created.1["request_id"].as_str().unwrap().to_owned();
    client.wait("incoming_request", 1).await;

    let answer = json!({
        "reference_id": "an-answer", "callback_url": client.url, "request_id": request_id,
        "ial": 2.3, "aal": 3, "status": "accept", "signature": "any",
    });
    redis.swallow_answers_after("an-answer");
    let (status, body) = post(&idp, "/idp/response", &answer).await;
    assert_eq!(status, 503, "{body}");
    redis.cut();
    redis.heal();
    // As a client does, until it is told something else.
    let repeats = || async {
        let (status, body) = post(&idp, "/idp/response", &answer).await;
        assert!([202, 400, 503].contains(&status), "{status} {body}");
        status != 503
    };
    eventually("an answer to the repeated call", repeats).await;
    client.wait("response_result", 1).await;
    let completed = || async {
        let (_, detail) = get(&rp, &format!("/utility/requests/{request_id}")).await;
        detail["closed"] == json!(true)
    };
    eventually("the request is closed", completed).await;
    let (_, detail) = get(&rp, &format!("/utility/requests/{request_id}")).await;
    assert_eq!(detail["response_list"].as_array().unwrap().len(), 1);
    let results = client.got("response_result");
    assert_eq!(results.len(), 1, "{results:?}");
    assert_eq!(results[0].body["success"], json!(true));
    assert_eq!(client.got("error").len(), 0);
    client.stop().await;
    net.end(apps).await;
}
