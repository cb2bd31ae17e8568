//! What was chance in the recording: what depended on who was faster, or on what
//! was there before. Each exception is about single records.

use serde_json::{Value, json};

use crate::listeners::Arrival;
use crate::recording::{Call, Record, What};

/// Members of single answers whose values come from before.
const OF_BEFORE: &[(u64, &str)] = &[
    // Tokens are spent by every transaction, also of areas that are not here;
    // from here on the client sets them.
    (14913, "amount"),
    (14937, "amount"),
    (14939, "amount"),
];

/// Calls that the recorded client made while something was under way that their
/// answers, or what follows, depend on; and the last record of that.
const TOO_EARLY: &[(u64, u64)] = &[
    // Refused because the request is closed.
    (10370, 10373),
    (19588, 19597),
    // Closes a request that is on its way to the IdPs.
    (8557, 8559),
    (12430, 12432),
    (12509, 12517),
    (12556, 12566),
];

/// What single records say if we are faster: where, and what.
const IF_FASTER: &[(u64, &[(&str, &str)])] = &[
    // The client closes the request before its node has heard from the IdP.
    (14063, VALID),
    (14067, VALID),
    (14112, VALID),
    (14114, VALID),
    // The client closes a request that its node is about to close.
    (
        14276,
        &[
            ("/success", "false"),
            (
                "/error",
                r#"{"code": 25002, "message": "Request is already closed"}"#,
            ),
        ],
    ),
];
const VALID: &[(&str, &str)] = &[
    ("/response_list/0/valid_ial", "true"),
    ("/response_list/0/valid_signature", "true"),
];

/// Callbacks that may come beside the recorded ones: scenario, applications, types.
const MAY_COME: &[(&str, &[&str], &[&str])] = &[
    // The request was closed before they had got it.
    ("v6-rp_create_request/007", &["idp1"], OF_A_REQUEST),
    ("v6-idp_response/002", &["as1", "as2"], OF_A_REQUEST),
    ("v6-idp_response/003", &["as1", "as2"], OF_A_REQUEST),
    ("v6-idp_response/006", &["as1"], OF_A_REQUEST),
    // The client had gone when these came.
    (
        "v6-rp_create_request/023",
        &["node", "idp1"],
        &["message_queue_send_success", "incoming_request"],
    ),
    (
        "v6-different_callback_api_version/007",
        &["rp1", "idp1", "as1"],
        &["request_status"],
    ),
];
const OF_A_REQUEST: &[&str] = &["incoming_request", "data_request", "request_status"];

/// A recorded answer and a live one, alike in what is not compared.
pub fn made_alike(seq: u64, recorded: &mut Value, live: &Value) {
    for (of, member) in OF_BEFORE {
        if *of == seq && live[*member].is_number() {
            recorded[*member] = live[*member].clone();
        }
    }
}

/// Puts calls behind what they depend on.
pub fn put_in_order(records: &mut [Record]) {
    for (call, last) in TOO_EARLY {
        let find = |seq: u64| records.iter().position(|record| record.seq == seq);
        if let (Some(call), Some(last)) = (find(*call), find(*last)) {
            records[call..=last].rotate_left(1);
        }
    }
}

/// What a record of this number may say as well.
pub fn if_faster(seq: u64, recorded: &Value) -> Option<Value> {
    let (_, changes) = IF_FASTER.iter().find(|(of, _)| *of == seq)?;
    let mut other = recorded.clone();
    for (place, value) in *changes {
        let value = serde_json::from_str(value).unwrap();
        match other.pointer_mut(place) {
            Some(member) => *member = value,
            None => other[place.trim_start_matches('/')] = value,
        }
    }
    Some(other)
}

/// What the answer to a call may be as well, because we may be faster: of a look-up
/// of a request, what happened to it before the next call; of an answer to a
/// request that had enough, that it is closed. `after` is the rest of the scenario.
pub fn soon(call: &Call, after: &[Record]) -> Vec<Value> {
    let is_look_up = call.method == "GET" && call.path.contains("/utility/requests/");
    let has_enough = call.response["error"]["code"] == 20081;
    if has_enough && after.iter().any(|record| closes(call, record)) {
        let error = json!({"code": 20025, "message": "Request is already closed"});
        return vec![json!({ "error": error })];
    }
    if !is_look_up {
        return Vec::new();
    }
    let callbacks = after.iter().map_while(|record| match &record.what {
        What::Callback(callback) => Some(&callback.body),
        What::Call(_) => None,
    });
    let is_status = |body: &&Value| {
        body["type"] == "request_status" && body["request_id"] == call.response["request_id"]
    };
    let statuses: Vec<&Value> = callbacks.filter(is_status).collect();
    let shown = statuses.into_iter().rev().map(|status| {
        let mut shown = call.response.clone();
        for (name, value) in shown.as_object_mut().into_iter().flatten() {
            if let Some(later) = status.get(name) {
                *value = later.clone();
            }
        }
        shown
    });
    shown.collect()
}

/// Whether a record tells that the request of a call is closed.
fn closes(call: &Call, record: &Record) -> bool {
    let What::Callback(callback) = &record.what else {
        return false;
    };
    callback.body["closed"] == true && callback.body["request_id"] == call.request["request_id"]
}

/// Whether this callback of a scenario may come although it was not recorded.
pub fn may_come(scenario: &str, arrival: &Arrival) -> bool {
    let kind = arrival.body["type"].as_str().unwrap_or_default();
    MAY_COME.iter().any(|(of, apps, kinds)| {
        *of == scenario && apps.contains(&arrival.app) && kinds.contains(&kind)
    })
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::recording::areas;

    #[test]
    fn every_exception_is_of_a_record() {
        let areas = areas();
        let records = areas.iter().flat_map(|area| &area.records);
        let records: HashMap<u64, &Record> = records.map(|one| (one.seq, one)).collect();
        let of_before = OF_BEFORE.iter().map(|(seq, _)| *seq);
        let early = TOO_EARLY.iter().flat_map(|(call, last)| [*call, *last]);
        let faster = IF_FASTER.iter().map(|(seq, _)| *seq);
        for seq in of_before.chain(early).chain(faster) {
            assert!(records.contains_key(&seq), "no record {seq}");
        }
        for (scenario, _, _) in MAY_COME {
            let mut all = records.values();
            assert!(all.any(|record| record.scenario == *scenario), "{scenario}");
        }
    }

    #[test]
    fn a_call_is_put_behind_what_it_depends_on() {
        for area in areas().iter_mut() {
            put_in_order(&mut area.records);
            let place = |seq| area.records.iter().position(|record| record.seq == seq);
            for (call, last) in TOO_EARLY {
                if let (Some(call), Some(last)) = (place(*call), place(*last)) {
                    assert!(call > last);
                }
            }
        }
    }

    #[test]
    fn a_look_up_may_show_what_happened_before_the_next_call_and_nothing_else() {
        let areas = areas();
        let area = areas
            .iter()
            .find(|area| area.name == "11-v6-create_identity");
        let records = &area.unwrap().records;
        let place = records.iter().position(|record| record.seq == 521).unwrap();
        let What::Call(call) = &records[place].what else {
            panic!("521 is a look-up");
        };
        assert_eq!(call.response["closed"], false);
        let soon = soon(call, &records[place + 1..]);
        assert_eq!(soon[0]["closed"], true);
        assert_eq!(soon[0]["request_id"], call.response["request_id"]);
        assert_eq!(soon[0].get("type"), None);
    }
}
