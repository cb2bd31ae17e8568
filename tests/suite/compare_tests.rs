use super::*;

fn now() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    now.as_millis() as u64
}

/// What differs when nothing is known beforehand.
fn faults(recorded: &Value, live: &Value) -> Vec<String> {
    let (pairs, texts) = (Counterparts::default(), Texts::default());
    compare(&pairs, &texts, recorded, live).faults
}

fn recorded_status() -> Value {
    json!({
        "node_id": "rp1", "type": "request_status", "request_id": "aa",
        "min_idp": 1, "request_message_hash": "hash",
        "response_list": [{"idp_id": "idp1", "signature": "sig", "valid_ial": null}],
        "closed": false, "block_height": "test-chain-NDID:77",
    })
}

/// The same of another run.
fn live_status() -> Value {
    let mut live = recorded_status();
    live["request_id"] = json!("bb");
    live["request_message_hash"] = json!("another hash");
    live["response_list"][0]["signature"] = json!("another");
    live["block_height"] = json!("test-chain-NDID:12");
    live
}

#[test]
fn what_is_of_its_run_may_differ() {
    assert_eq!(faults(&recorded_status(), &live_status()), [""; 0]);
}

#[test]
fn any_other_change_is_a_fault() {
    let changes: [fn(&mut Value); 8] = [
        |live| live["closed"] = json!(true),
        |live| live["node_id"] = json!("rp2"),
        |live| live["min_idp"] = json!("1"),
        |live| live["more"] = json!(null),
        |live| live["response_list"] = json!([]),
        |live| live["response_list"][0]["valid_ial"] = json!(true),
        |live| live["block_height"] = json!("another-chain:12"),
        |live| {
            live.as_object_mut().unwrap().remove("min_idp");
        },
    ];
    for (index, change) in changes.into_iter().enumerate() {
        let mut live = live_status();
        change(&mut live);
        let faults = faults(&recorded_status(), &live);
        assert_eq!(faults.len(), 1, "change {index}: {faults:?}");
    }
}

#[test]
fn an_id_with_two_counterparts_is_a_fault() {
    let recorded = json!([{"request_id": "aa"}, {"request_id": "aa"}]);
    let same = json!([{"request_id": "bb"}, {"request_id": "bb"}]);
    let two = json!([{"request_id": "bb"}, {"request_id": "cc"}]);
    assert_eq!(faults(&recorded, &same), [""; 0]);
    assert_eq!(faults(&recorded, &two).len(), 1);
    // And two ids with one.
    assert_eq!(faults(&two, &recorded).len(), 1);
}

#[test]
fn a_counterpart_is_held_to_in_members_of_any_name() {
    let mut pairs = Counterparts::default();
    let id = "8206b219-ba90-4730-ba10-aadb4939e321";
    let live = "00000000-0000-4000-8000-000000000001";
    pairs.teach(id, live).unwrap();
    let texts = Texts::default();
    let recorded = json!({"text": format!("see {id}")});
    let compared = |live: Value| compare(&pairs, &texts, &recorded, &live).faults.len();
    assert_eq!(compared(json!({"text": format!("see {live}")})), 0);
    assert_eq!(compared(json!({"text": format!("see {id}")})), 1);
}

#[test]
fn times_are_those_of_this_run() {
    let recorded = json!({"creation_time": 1_795_992_113_942_u64});
    assert_eq!(faults(&recorded, &json!({"creation_time": now()})), [""; 0]);
    assert_eq!(faults(&recorded, &json!({"creation_time": 5})).len(), 1);
    let text = json!({"creation_time": now().to_string()});
    assert_eq!(faults(&recorded, &text).len(), 1);
}

#[test]
fn of_a_refusal_by_the_schema_only_the_wording_may_differ() {
    let refusal = |path: &str, message: &str| {
        json!({
            "error": {"code": 20003, "message": "Body validation failed"},
            "details": {"valid": false, "errors": [
                {"instancePath": path, "keyword": "minLength", "message": message},
            ]},
        })
    };
    let recorded = refusal("/a", "one");
    assert_eq!(faults(&recorded, &refusal("/a", "two")), [""; 0]);
    assert_eq!(faults(&recorded, &refusal("/b", "one")).len(), 1);
}

#[test]
fn the_order_of_data_of_several_ases_was_chance_and_no_other() {
    let list = |first: &str, second: &str| json!([{"source_node_id": first, "data": first}, {"source_node_id": second, "data": second}]);
    assert_eq!(faults(&list("as1", "as2"), &list("as2", "as1")), [""; 0]);
    assert_eq!(faults(&list("as1", "as2"), &list("as1", "as1")).len(), 2);
    let list = |first: &str, second: &str| json!({"idp_id_list": [first, second]});
    assert_eq!(faults(&list("a", "b"), &list("b", "a")).len(), 2);
}
