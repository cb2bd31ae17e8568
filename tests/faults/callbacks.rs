//! Callbacks to client applications whose answers matter.

use erawan::context::Role;
use futures_util::future::join_all;
use serde_json::json;

use crate::application::{Application, Manner, REQUESTS, get, post, request};
use crate::network::*;

/// F37: the AS application has the question, and perhaps answers it, when every
/// worker of the node dies. It is asked again under the same identity, and the
/// data arrives once.
#[actix_web::test]
async fn f37_data_is_asked_for_again_when_its_answer_died_with_the_worker() {
    let mut net = Net::start(Store::Embedded, 1).await;
    let apps = net.apps().await;
    let (rp, as_) = (net.api(Role::Rp), net.api(Role::As));
    let client = Application::start(0).await;
    let provider = Application::start(0).await;
    let offer = json!({
        "reference_id": "offer", "callback_url": provider.url, "url": provider.url,
        "min_ial": 1.1, "min_aal": 1, "supported_namespace_list": ["citizen_id"],
    });
    let path = "/as/service/bank_statement";
    assert_eq!(post(&as_, path, &offer).await.0, 202);
    provider.wait("add_or_update_service_result", 1).await;

    provider.behave(Manner::Silent);
    let mut body = request(&client, &["idp1"], "data");
    body["data_request_list"] = json!([{"service_id": "bank_statement", "as_id_list": ["as1"],
        "min_as": 1, "request_params": "{}"}]);
    let (status, created) = post(&rp, REQUESTS, &body).await;
    assert_eq!(status, 202, "{created}");
    provider.wait("data_request", 1).await;
    let workers = &mut net.processes(Role::As)[1..];
    join_all(workers.iter_mut().map(kill)).await;
    let answer = json!({"data": "{\"balance\": 5}"});
    provider.behave(Manner::Answers(200, Some(answer)));
    workers.iter_mut().for_each(start_again);

    let asked = provider.wait("data_request", 2).await;
    assert_eq!(asked[0].key, asked[1].key, "the same question");
    let request_id = created["request_id"].as_str().unwrap();
    let path = format!("/rp/request_data/{request_id}");
    let arrived = || async {
        get(&rp, &path)
            .await
            .1
            .as_array()
            .is_some_and(|data| data.len() == 1)
    };
    eventually("the data", arrived).await;
    assert_eq!(
        get(&rp, &path).await.1[0]["data"],
        json!("{\"balance\": 5}")
    );
    assert_eq!(provider.got("error").len(), 0);
    client.stop().await;
    provider.stop().await;
    net.end(apps).await;
}
