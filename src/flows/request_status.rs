//! The body of a `request_status` callback (spec/http-api.md 4.3, 4.6).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::status;
use crate::config::ApiVersion;
use crate::context::Context;
use crate::ledger::types::{IdpResponse, RequestDetail};

/// An RP's own verdict on one IdP's answer; both null in mode 1 and for error
/// answers (spec/ledger.md 6.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Verdict {
    /// The accessor belongs to the identity and its signature verifies.
    pub valid_signature: Option<bool>,
    /// The answer has the level that the IdP declared for the identity.
    pub valid_ial: Option<bool>,
}

/// An RP's verdicts by IdP.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Validity(pub BTreeMap<String, Verdict>);

impl Validity {
    /// The list that closing and timing out put on the ledger.
    pub fn to_list(&self) -> Vec<Value> {
        self.0
            .iter()
            .map(|(idp_id, verdict)| {
                json!({
                    "idp_id": idp_id,
                    "valid_signature": verdict.valid_signature,
                    "valid_ial": verdict.valid_ial,
                })
            })
            .collect()
    }
}

/// The body for this process's callback version. `height` is the block of the
/// change. `validity`: an RP's verdicts. Without one the body shows the ledger's
/// flags, which are null until the request has ended.
pub fn body(
    context: &Context,
    node_id: &str,
    detail: &RequestDetail,
    height: u64,
    validity: Option<&Validity>,
) -> Map<String, Value> {
    let mut body = Map::new();
    body.insert("node_id".into(), node_id.into());
    body.insert("type".into(), "request_status".into());
    let answers: Vec<IdpResponse> = detail
        .response_list
        .iter()
        .map(|answer| with_verdict(answer, validity))
        .collect();
    match context.config.runtime.callback_version() {
        ApiVersion::V4 => {
            let known = answers.iter();
            let known = known.filter(|answer| is_known(&answer.idp_id, detail, validity));
            version_4(&mut body, detail, known);
        }
        ApiVersion::V5 | ApiVersion::V6 => version_6(&mut body, detail, &answers),
    }
    let block_height = format!("{}:{height}", detail.creation_chain_id);
    body.insert("block_height".into(), block_height.into());
    body
}

fn with_verdict(answer: &IdpResponse, validity: Option<&Validity>) -> IdpResponse {
    let mut answer = answer.clone();
    if let Some(verdict) = validity.and_then(|validity| validity.0.get(&answer.idp_id)) {
        answer.valid_ial = verdict.valid_ial;
        answer.valid_signature = verdict.valid_signature;
    }
    answer
}

/// Whether version 4 shows an answer. An RP sees only answers whose message has
/// come, unless none has when the request has ended (spec/http-api-v4-v5.md 8).
fn is_known(idp_id: &str, detail: &RequestDetail, validity: Option<&Validity>) -> bool {
    validity.is_none_or(|Validity(judged)| {
        judged.contains_key(idp_id) || (judged.is_empty() && detail.has_ended())
    })
}

fn version_6(body: &mut Map<String, Value>, detail: &RequestDetail, answers: &[IdpResponse]) {
    let members = json!({
        "request_id": detail.request_id,
        "min_idp": detail.min_idp,
        "min_aal": detail.min_aal,
        "min_ial": detail.min_ial,
        "request_timeout": detail.request_timeout,
        "idp_id_list": detail.idp_id_list,
        "data_request_list": detail.data_request_list,
        "request_message_hash": detail.request_message_hash,
        "response_list": answers,
        "closed": detail.closed,
        "timed_out": detail.timed_out,
        "mode": detail.mode,
        "request_type": detail.request_type,
        "requester_node_id": detail.requester_node_id,
        "status": status::derive(detail),
    });
    add(body, members);
}

fn version_4<'a>(
    body: &mut Map<String, Value>,
    detail: &RequestDetail,
    answers: impl Iterator<Item = &'a IdpResponse>,
) {
    let services: Vec<Value> = status::service_counts(detail)
        .into_iter()
        .map(|count| {
            json!({
                "service_id": count.service_id,
                "min_as": count.min_as,
                "signed_data_count": count.signed,
                "received_data_count": count.received,
            })
        })
        .collect();
    let verdicts: Vec<Value> = answers
        .map(|answer| {
            json!({
                "idp_id": answer.idp_id,
                "valid_signature": answer.valid_signature,
                "valid_ial": answer.valid_ial,
            })
        })
        .collect();
    let members = json!({
        "mode": detail.mode,
        "request_id": detail.request_id,
        "status": status::derive_v4(detail),
        "min_idp": detail.min_idp,
        "answered_idp_count": detail.response_list.len(),
        "closed": detail.closed,
        "timed_out": detail.timed_out,
        "service_list": services,
        "response_valid_list": verdicts,
    });
    add(body, members);
}

fn add(body: &mut Map<String, Value>, members: Value) {
    if let Value::Object(members) = members {
        body.extend(members);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::context::Role;
    use crate::flows::testing::{TestNode, scenario};
    use crate::ledger::query;

    fn status_bodies(name: &str, node_id: &str) -> Vec<Value> {
        scenario(name)
            .into_iter()
            .map(|record| record["body"].clone())
            .filter(|body| body["type"] == "request_status" && body["node_id"] == node_id)
            .collect()
    }

    fn height_of(body: &Value) -> u64 {
        let text = body["block_height"].as_str().unwrap();
        text.rsplit(':').next().unwrap().parse().unwrap()
    }

    #[actix::test]
    async fn bodies_are_those_of_the_recorded_network() {
        let node = TestNode::new("rp1", Role::Rp);
        let mut compared = 0;
        for name in [
            "accept, AS sends data later",
            "no data requested",
            "IdP rejects",
            "IdP answers with an error",
            "AS answers with an error",
            "RP closes before any answer",
            "time-out",
        ] {
            for expected in status_bodies(name, "rp1") {
                let request_id = expected["request_id"].as_str().unwrap();
                let height = height_of(&expected);
                let ledger = node.context.ledger.as_ref();
                let detail = query::request_detail(ledger, request_id, Some(height))
                    .await
                    .unwrap()
                    .unwrap();
                for validity in [None, Some(Validity::default())] {
                    let body = body(&node.context, "rp1", &detail, height, validity.as_ref());
                    assert_eq!(Value::Object(body), expected, "{name}");
                }
                compared += 1;
            }
        }
        assert!(compared > 20, "{compared}");
    }

    #[actix::test]
    async fn version_4_shows_counts_and_the_nodes_own_verdicts() {
        let node = TestNode::new("rp1", Role::Rp);
        *node.context.config.runtime.callback_version.write() = ApiVersion::V4;
        let recorded = status_bodies("accept, AS sends data later", "rp1");
        let last = recorded.last().unwrap();
        let request_id = last["request_id"].as_str().unwrap();
        let height = height_of(last);
        let ledger = node.context.ledger.as_ref();
        let detail = query::request_detail(ledger, request_id, Some(height))
            .await
            .unwrap()
            .unwrap();
        let verdict = Verdict {
            valid_signature: Some(true),
            valid_ial: Some(false),
        };
        let validity = Validity(BTreeMap::from([("idp1".to_owned(), verdict)]));
        let body = body(&node.context, "rp1", &detail, height, Some(&validity));
        assert_eq!(
            Value::Object(body),
            json!({
                "node_id": "rp1", "type": "request_status", "mode": 1, "request_id": request_id,
                "status": "completed", "min_idp": 1, "answered_idp_count": 1,
                "closed": true, "timed_out": false,
                "service_list": [{
                    "service_id": "bank_statement", "min_as": 1,
                    "signed_data_count": 1, "received_data_count": 1,
                }],
                "response_valid_list": [
                    {"idp_id": "idp1", "valid_signature": true, "valid_ial": false},
                ],
                "block_height": format!("test-chain-NDID:{height}"),
            })
        );
    }

    #[actix::test]
    async fn version_4_shows_answers_whose_message_has_come() {
        let node = TestNode::new("rp1", Role::Rp);
        *node.context.config.runtime.callback_version.write() = ApiVersion::V4;
        let recorded = status_bodies("accept, AS sends data later", "rp1");
        let last = recorded.last().unwrap();
        let (request_id, height) = (last["request_id"].as_str().unwrap(), height_of(last));
        let ledger = node.context.ledger.as_ref();
        let ended = query::request_detail(ledger, request_id, Some(height)).await;
        let ended = ended.unwrap().unwrap();
        let open = RequestDetail {
            closed: false,
            timed_out: false,
            ..ended.clone()
        };
        let came = Validity(BTreeMap::from([("idp1".to_owned(), Verdict::default())]));
        let none = Validity::default();
        for (detail, validity, shown) in [
            (&open, Some(&none), 0),
            (&open, Some(&came), 1),
            (&open, None, 1),
            (&ended, Some(&none), 1),
        ] {
            let body = body(&node.context, "rp1", detail, height, validity);
            let answers = body["response_valid_list"].as_array().unwrap();
            assert_eq!(answers.len(), shown, "{validity:?}");
            assert_eq!(body["answered_idp_count"], 1);
        }
    }
}
