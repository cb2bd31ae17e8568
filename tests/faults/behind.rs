//! A node of the ledger that is behind, at the address of the one that was
//! there (docs/guarantees.md, "A ledger that is replaced").

use std::time::Duration;

use erawan::context::Role;
use serde_json::{Value, json};

use crate::application::{Application, REQUESTS, get, post, request};
use crate::network::*;

/// How long the address leads to it: longer than anybody would wait who went by
/// a clock.
const BEHIND: Duration = Duration::from_secs(9);
/// The time of a request that ends meanwhile.
const SHORT_SECONDS: u64 = 3;

fn point(net: &Net, target: &str) {
    for (_, switch) in &net.network.ledger_switches {
        switch.point_at(target);
    }
}

async fn answer(api: &str, client: &Application, request_id: &Value) -> (u16, Value) {
    let answer = json!({
        "reference_id": "answer", "callback_url": client.url, "request_id": request_id,
        "ial": 2.3, "aal": 3, "status": "accept", "signature": "signed",
    });
    post(api, "/idp/response", &answer).await
}

/// Requests that the ledger knows, and its lagging node does not, are neither
/// given up nor denied, and what falls due meanwhile is made up for.
#[actix_web::test]
async fn a_ledger_node_that_is_behind_costs_no_request() {
    let mut net = Net::with(Store::Embedded, 0, |options| {
        options.second_ledger = Some(2);
        options.ledger_switches = true;
    })
    .await;
    let apps = net.apps().await;
    drive(&apps, 2).await;
    let client = Application::start(0).await;
    let (rp, idp) = (net.api(Role::Rp), net.api(Role::Idp));
    let (_, urls) = get(&idp, "/idp/callback").await;
    let to_client = json!({"incoming_request_url": client.url});
    assert_eq!(post(&idp, "/idp/callback", &to_client).await.0, 204);
    let mut short = request(&client, &["idp1"], "short");
    short["request_timeout"] = SHORT_SECONDS.into();
    let (status, _) = post(&rp, REQUESTS, &short).await;
    assert_eq!(status, 202);
    client.wait("incoming_request", 1).await;
    let (status, created) = post(&rp, REQUESTS, &request(&client, &["idp1"], "long")).await;
    assert_eq!(status, 202, "{created}");
    client.wait("incoming_request", 2).await;

    let second = net.network.second_ledger.clone().unwrap();
    point(&net, &second);
    for role in ROLES {
        let part = &net.processes(role)[0];
        let url = part.metrics.replace("/metrics", "/ready");
        let says_so = || async {
            let page = plain_client().get(&url).send().await;
            let text = page.unwrap().text().await.unwrap();
            text.contains("although block")
        };
        eventually("the process says that the ledger is behind", says_so).await;
    }
    let (_, told) = answer(&idp, &client, &created["request_id"]).await;
    assert_eq!(told["error"]["code"], 10008, "not unknown: {told}");
    tokio::time::sleep(BEHIND).await;
    let first = net.network.ledger.clone();
    point(&net, &first);

    ready(vec![rp.clone(), idp.clone()]).await;
    for role in ROLES {
        let replaced = metric(&net.processes(role)[0], "erawan_ledger_replaced_total").await;
        assert!(replaced.unwrap_or_default() == 0.0, "{role:?} gave it up");
    }
    let (status, told) = answer(&idp, &client, &created["request_id"]).await;
    assert_eq!(status, 202, "{told}");
    for reference in ["short", "long"] {
        let path = format!("/rp/request_references/{reference}");
        let has_ended = || async { get(&rp, &path).await.0 == 404 };
        eventually("the request has come to its end", has_ended).await;
    }
    let statuses = client.got("request_status");
    let timed_out = statuses.iter().filter(|got| got.body["timed_out"] == true);
    assert_eq!(timed_out.count(), 1);
    assert_eq!(client.got("error").len(), 0);
    assert_eq!(post(&idp, "/idp/callback", &urls).await.0, 204);
    drive(&apps, 3).await;
    assert_all_verified(&apps, 5);
    client.stop().await;
    net.end(apps).await;
}
