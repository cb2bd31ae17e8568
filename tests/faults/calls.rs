//! Calls with one reference id.

use erawan::context::Role;
use futures_util::future::join_all;
use serde_json::json;

use crate::application::{Application, REQUESTS, get, post, request};
use crate::network::*;

#[actix_web::test]
async fn f46_f47_one_of_many_calls_with_a_reference_id_is_accepted_and_keeps_it() {
    let net = Net::start(Store::Redis, 2).await;
    let apps = net.apps().await;
    let client = Application::start(0).await;
    // A user who does not answer, so that the request lasts: its reference id is
    // free again when it has ended.
    let urls = json!({"incoming_request_url": client.url, "error_url": client.url});
    let idp = net.api(Role::Idp);
    assert_eq!(post(&idp, "/idp/callback", &urls).await.0, 204);
    let apis = net.network.node(Role::Rp).unwrap().api_urls();
    let body = request(&client, &["idp1"], "one");
    // F46: at the same moment, through two workers.
    let calls = (0..20).map(|call| post(&apis[call % apis.len()], REQUESTS, &body));
    let answers = join_all(calls).await;
    let accepted: Vec<_> = answers
        .iter()
        .filter(|(status, _)| *status == 202)
        .collect();
    assert_eq!(accepted.len(), 1, "{answers:?}");
    let refused = answers
        .iter()
        .filter(|(_, body)| body["error"]["code"] == json!(20045));
    assert_eq!(refused.count(), 19, "{answers:?}");

    // F47: a call that is refused for what it asks leaves the other's reference.
    let request_id = accepted[0].1["request_id"].clone();
    let mut wrong = body.clone();
    wrong["mode"] = json!(2);
    let (status, answer) = post(&apis[0], REQUESTS, &wrong).await;
    assert_eq!(status, 400, "{answer}");
    let (status, found) = get(&apis[0], "/rp/request_references/one").await;
    assert_eq!((status, &found["request_id"]), (200, &request_id));
    let results = client.wait("create_request_result", 1).await;
    assert_eq!(results[0].body["request_id"], request_id);
    client.stop().await;
    net.end(apps).await;
}
