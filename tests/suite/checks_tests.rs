//! The recorded network's own values hold against these checks, and changed ones
//! do not.

use super::*;
use crate::client::{Client, faults as faults_of};
use crate::genesis;
use crate::recording::{What, areas};

/// Answers with data of which only the beginning was recorded.
const OF_A_LONG_TEXT: [u64; 2] = [6327, 6411];

fn of_the_recording() -> Checks {
    Checks::new(genesis::signing_keys())
}

#[test]
fn recorded_hashes_salts_and_signatures_follow() {
    let areas = areas();
    let client = Client::new(&areas);
    let mut checks = of_the_recording();
    let mut faults = Vec::new();
    for record in areas.iter().flat_map(|area| &area.records) {
        let found = match &record.what {
            What::Call(call) => {
                checks.request_made(&call.path, &call.request, &call.response);
                let key = |id: &str| client.accessor(id).map(str::to_owned);
                faults_of(&mut checks, &call.path, &call.response, key)
            }
            What::Callback(callback) => checks.faults(&callback.body, None),
        };
        faults.extend(found.into_iter().map(|fault| (record.seq, fault)));
        // Only the length of the longest text was recorded.
        faults.retain(|(seq, _)| !OF_A_LONG_TEXT.contains(seq));
    }
    assert_eq!(faults, []);
    assert!(checks.made > 3000, "only {} checks", checks.made);
}

#[test]
fn a_changed_salt_hash_or_signature_is_a_fault() {
    let areas = areas();
    let calls = areas.iter().flat_map(|area| &area.records);
    let mut bodies = calls.filter_map(|record| match &record.what {
        What::Callback(callback) if callback.body["type"] == "incoming_request" => {
            Some(callback.body.clone())
        }
        _ => None,
    });
    let mut body = bodies.next().unwrap();
    let mut checks = of_the_recording();
    assert_eq!(checks.faults(&body, None), [""; 0]);
    body["request_message_salt"] = "another".into();
    assert_eq!(checks.faults(&body, None).len(), 1);
}
