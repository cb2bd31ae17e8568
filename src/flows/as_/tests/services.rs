//! Offers of services, and payments.

use serde_json::{Value, json};

use super::super::*;
use super::{SERVICE, an_as, recorded_request};
use crate::api::CallOutcome;
use crate::delivery::transaction::Fate;
use crate::flows::ledger_call;
use crate::flows::testing::{continuation, params, transactions};

#[tokio::test]
async fn a_first_offer_must_be_complete_and_a_later_one_need_not() {
    let node = an_as();
    let providers = json!({"service_id": SERVICE});
    node.ledger.answer(
        "GetAsNodesByServiceId",
        providers.clone(),
        json!({"node": []}),
    );
    let offer = |members: Value| {
        let mut body = json!({"reference_id": "s", "callback_url": "http://a"});
        for (name, value) in members.as_object().unwrap() {
            body[name] = value.clone();
        }
        serde_json::from_value::<service::ServiceOffer>(body).unwrap()
    };
    let whole = json!({"min_ial": 1.1, "min_aal": 1, "url": "http://b",
        "supported_namespace_list": ["citizen_id"]});
    for missing in ["min_ial", "min_aal", "url", "supported_namespace_list"] {
        let mut members = whole.clone();
        members.as_object_mut().unwrap().remove(missing);
        let refused = service::offer(&node.context, "as1", SERVICE, &offer(members)).await;
        assert_eq!(refused.unwrap_err().code().number, 20023, "{missing}");
    }
    let mut unknown = whole.clone();
    unknown["supported_namespace_list"] = json!(["citizen_id", "nope"]);
    let refused = service::offer(&node.context, "as1", SERVICE, &offer(unknown)).await;
    assert_eq!(refused.unwrap_err().code().number, 20013);

    node.ledger.answer(
        "GetAsNodesByServiceId",
        providers,
        json!({"node": [{"node_id": "as1"}]}),
    );
    let only_url = offer(json!({"url": "http://new"}));
    let started = service::offer(&node.context, "as1", SERVICE, &only_url).await;
    let Ok(CallOutcome::Accepted { accept, .. }) = started else {
        panic!("not started: {started:?}");
    };
    let transact = transactions(&accept.writes).remove(0);
    assert_eq!(transact.method, "UpdateServiceDestination");
    assert_eq!(params(&transact), json!({"service_id": SERVICE}));
    let refused = Fate::Refused {
        code: 25007,
        message: "Not enough token".to_owned(),
    };
    for (fate, url) in [
        (refused, "http://127.0.0.1:9800/as"),
        (Fate::Committed { height: 60 }, "http://new"),
    ] {
        let job = continuation(&transact, fate);
        let commit = ledger_call::handle(&job).unwrap();
        node.commit(&commit);
        let stored = service::url(&node.context, "as1", SERVICE).await.unwrap();
        assert_eq!(stored.as_deref(), Some(url));
    }
}

#[tokio::test]
async fn a_payment_is_logged_for_ended_requests_too() {
    let node = an_as();
    let request = recorded_request();
    node.ledger.set_height(64);
    let check = |service_id: &'static str| {
        payment_log::check(&node.context, &request.request_id, service_id)
    };
    check(SERVICE).await.unwrap();
    let refused = check("nope").await.unwrap_err();
    assert_eq!(refused.code().number, 20039);
}
