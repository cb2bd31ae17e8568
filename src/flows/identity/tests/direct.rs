//! Operations that need no consent.

use super::*;
use crate::flows::ledger_call;
use crate::flows::testing::params;

/// Where each operation needs no consent: modes of the person.
const WITHOUT: [&[u8]; 6] = [&[2], &[2], &[2], &[2], &[2], &[2]];

fn mode_2(place: usize, body: Value) -> Value {
    match place {
        0 => with(body, json!({"mode": 2})),
        _ => body,
    }
}

#[actix::test]
async fn a_person_that_nobody_knows_is_created_with_a_new_group() {
    for (mode, list) in [(2, json!([2])), (3, json!([2, 3]))] {
        let idp = Idp::new();
        let (path, body) = bodies().remove(0);
        let body = with(body, json!({"mode": mode, "lial": true}));
        let (transact, answer) = idp.started(path, body).await;
        assert_eq!(answer, json!({"exist": false, "accessor_id": "a-new"}));
        assert_eq!(transact.method, "RegisterIdentity");
        assert!(transact.resend_when_disabled && !transact.retry_on_shortage);
        let asked = params(&transact);
        let group = asked["reference_group_code"].as_str().unwrap();
        assert_eq!(uuid::Uuid::parse_str(group).unwrap().get_version_num(), 4);
        let expected = json!({
            "reference_group_code": group, "new_identity_list": [Idp::identity(PERSON)],
            "ial": 2.3, "lial": true, "mode_list": list, "accessor_id": "a-new",
            "accessor_public_key": pem(), "accessor_type": "RSA",
        });
        assert_eq!(asked, expected);
        assert_eq!(
            idp.referenced().await,
            Some(json!({"accessor_id": "a-new"}))
        );
        let commit = idp.settle(&transact, committed(61)).await;
        let done = json!({
            "node_id": "idp1", "type": "create_identity_result", "success": true,
            "reference_id": "ref", "reference_group_code": group,
        });
        assert_eq!(told(&commit), [done]);
        assert_eq!(idp.referenced().await, None);
        idp.assert_nothing_is_left();
    }
}

#[actix::test]
async fn a_person_that_the_platform_knows_keeps_its_group() {
    let idp = Idp::knowing(0, &[2, 3]);
    let both = json!([listed(PERSON)[0], listed("1000000000017")[0]]);
    let body = with(
        bodies().remove(0).1,
        json!({"mode": 2, "identity_list": both, "accessor_id": "a-new"}),
    );
    let (transact, answer) = idp.started("", body).await;
    assert_eq!(answer["exist"], true);
    let asked = params(&transact);
    assert_eq!(asked["reference_group_code"], GROUP);
    let new = json!([Idp::identity("1000000000017")]);
    assert_eq!(asked["new_identity_list"], new);
}

#[actix::test]
async fn mode_3_needs_no_consent_when_nobody_has_the_person() {
    let idp = Idp::knowing(0, &[2]);
    idp.at_idps(PERSON, &[]);
    let (path, body) = bodies().remove(0);
    let (transact, answer) = idp.started(path, body).await;
    assert_eq!(transact.method, "RegisterIdentity");
    assert_eq!(answer["exist"], true);
}

#[actix::test]
async fn every_operation_ends_with_one_result_and_leaves_nothing() {
    for (place, modes) in WITHOUT.into_iter().enumerate() {
        for fate in [committed(61), refused_by_ledger()] {
            let idp = Idp::knowing(place, modes);
            let (path, body) = bodies().remove(place);
            let (name, method) = OPERATIONS[place];
            let (transact, answer) = idp.started(path, mode_2(place, body)).await;
            assert_eq!(transact.method, method);
            assert!(params(&transact).get("request_id").is_none());
            assert!(answer.is_object() && answer.get("request_id").is_none());
            let referenced = idp.referenced().await.unwrap();
            let success = matches!(fate, Fate::Committed { .. });
            let commit = idp.settle(&transact, fate).await;
            let [result] = &told(&commit)[..] else {
                panic!("{name}: {:?}", commit.jobs);
            };
            assert_eq!(result["type"], format!("{name}_result"));
            assert_eq!(result["success"], success);
            if !success {
                assert_eq!(result["error"]["code"], 25068);
                for (member, id) in referenced.as_object().unwrap() {
                    assert_eq!(result[member], *id, "{name}");
                }
            }
            idp.assert_nothing_is_left();
        }
    }
}

#[actix::test]
async fn a_reference_id_is_taken_until_the_result() {
    let idp = Idp::knowing(2, &[2]);
    let all = bodies();
    let (path, body) = all[2].clone();
    let (transact, _) = idp.started(path, body.clone()).await;
    for (path, body) in &all {
        // The key of a new accessor is checked first.
        assert_eq!(idp.refused(path, body.clone()).await, 20045, "{path}");
    }
    let (path, mut spoilt) = all[2].clone();
    spoilt["accessor_public_key"] = json!("aa");
    assert_eq!(idp.refused(path, spoilt).await, 20040);
    assert!(idp.referenced().await.is_some(), "the first goes on");
    idp.settle(&transact, committed(61)).await;
    idp.started(path, body).await;
}

#[actix::test]
async fn two_calls_at_once_with_one_reference_id_are_one_operation() {
    let idp = Idp::knowing(2, &[2]);
    let (path, body) = bodies().remove(2);
    let (first, _) = idp.accepted(path, body.clone()).await;
    let (second, _) = idp.accepted(path, body).await;
    assert!(idp.node.accept(&first));
    assert!(!idp.node.accept(&second), "answered with 20045");
}

#[actix::test]
async fn levels_change_without_consent() {
    for (level, value) in [
        ("ial", json!(3)),
        ("lial", json!(false)),
        ("laal", json!(true)),
    ] {
        let idp = Idp::knowing(1, &[2, 3]);
        let path = format!("/:namespace/:identifier/{level}");
        let body = json!({level: value});
        let outcome = idp.call(&path, body).await;
        let Ok(CallOutcome::Accepted {
            accept, body: None, ..
        }) = outcome
        else {
            panic!("{outcome:?}");
        };
        assert!(idp.node.accept(&accept));
        let transact = only_transaction(&accept.writes);
        assert_eq!(transact.method, "UpdateIdentity");
        assert!(!transact.resend_when_disabled);
        let expected = with(Idp::identity(PERSON), json!({level: value}));
        assert_eq!(params(&transact), expected);
        let commit = ledger_call::handle(&continuation(&transact, committed(61))).unwrap();
        let done = json!({
            "node_id": "idp1", "type": format!("update_{level}_result"), "success": true,
            "reference_id": "ref",
        });
        assert_eq!(told(&commit), [done]);
        idp.assert_nothing_is_left();
    }
}
