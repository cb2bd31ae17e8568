//! What was chance in the recording: it depended on what happened before or
//! beside it, and is not compared.

use serde_json::Value;

use crate::recording::{Call, Record, What};

/// Members of single answers whose values come from before.
const OF_BEFORE: &[(u64, &str, &str)] = &[
    // Tokens are spent by every transaction, also of areas that are not here;
    // from here on the client sets them.
    (14913, "amount", "tokens spent before"),
    (14937, "amount", "tokens spent before"),
    (14939, "amount", "tokens spent before"),
];

/// Calls that the recorded client made while something was under way that they
/// depend on, and the last record of that.
const TOO_EARLY: &[(u64, u64, &str)] = &[
    (10370, 10373, "refused because the request is closed"),
    (19588, 19597, "refused because the request is closed"),
];

/// Scenarios after whose end callbacks came that the client no longer noted.
const CLIENT_HAD_GONE: &[&str] = &["v6-rp_create_request/024"];

/// A recorded body and a live one, alike in what is not compared.
pub fn made_alike(seq: u64, recorded: &mut Value, live: &Value) {
    for (of, member, _) in OF_BEFORE {
        if *of == seq && live[*member].is_number() {
            recorded[*member] = live[*member].clone();
        }
    }
}

/// Puts calls behind what they depend on.
pub fn put_in_order(records: &mut [Record]) {
    for (call, last, _) in TOO_EARLY {
        let find = |seq: u64| records.iter().position(|record| record.seq == seq);
        if let (Some(call), Some(last)) = (find(*call), find(*last)) {
            records[call..=last].rotate_left(1);
        }
    }
}

/// What a look-up of a request may show beside what was recorded: what happened
/// to it after the recorded look-up and before the next call, for we may be
/// faster. The latest comes first.
pub fn soon(call: &Call, after: &[Record]) -> Vec<Value> {
    if call.method != "GET" || !call.path.contains("/utility/requests/") {
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

/// Whether callbacks that came after this scenario were not noted.
pub fn client_had_gone(scenario: &str) -> bool {
    CLIENT_HAD_GONE.contains(&scenario)
}
