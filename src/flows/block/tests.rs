use serde_json::{Value, json};

use super::*;
use crate::flows::testing::{TestNode, job as accepted};
use crate::job::Write;
use crate::ledger::{BlockTransaction, Inclusion, Mark};

fn transaction(method: &str, params: Value, success: bool) -> BlockTransaction {
    BlockTransaction {
        hash: String::new(),
        method: method.to_owned(),
        params: params.to_string().into(),
        node_id: "rp1".to_owned(),
        inclusion: Inclusion {
            height: 60,
            code: 0,
            log: String::new(),
        },
        success,
        reference_group_code: None,
    }
}

fn on(request_id: &str, method: &str) -> BlockTransaction {
    transaction(method, json!({"request_id": request_id}), true)
}

fn block(transactions: Vec<BlockTransaction>) -> Block {
    Block {
        chain_id: "chain-a".to_owned(),
        height: 60,
        mark: Mark::default(),
        transactions,
        bytes: 0,
    }
}

async fn updates(role: Role, tables: &[Table], block: Block) -> Vec<(Kind, RequestUpdate)> {
    let node = TestNode::new("rp1", role);
    for table in tables {
        for id in ["a", "b"] {
            node.state
                .apply(&[Write::put(*table, row("rp1", id), b"{}".to_vec())]);
        }
    }
    let makes = RoleBlockJobs {
        context: node.context,
    };
    let jobs = makes.jobs(&block).await.unwrap();
    jobs.into_iter()
        .map(|job| {
            let kind = job.kind;
            let update: RequestUpdate = accepted(job.clone()).payload().unwrap();
            assert_eq!(*job.key, *request_key(&update.request_id));
            let id = &update.request_id;
            assert_eq!(
                job.source,
                Some(format!("block:chain-a:60:rp1:{id}:{}", kind.name()))
            );
            (kind, update)
        })
        .collect()
}

fn update(request_id: &str, ended: bool) -> RequestUpdate {
    RequestUpdate {
        node_id: "rp1".to_owned(),
        request_id: request_id.to_owned(),
        height: 60,
        ended,
        is_new_history: false,
    }
}

#[actix::test]
async fn a_request_gets_one_job_however_many_transactions_change_it() {
    let block = block(vec![
        on("a", "CreateIdpResponse"),
        on("b", "CreateRequest"),
        on("unknown", "CreateRequest"),
        on("a", "CloseRequest"),
    ]);
    assert_eq!(
        updates(Role::Rp, &[Table::RequestData], block).await,
        [
            (rp::request_update::KIND, update("a", true)),
            (rp::request_update::KIND, update("b", false)),
        ]
    );
}

#[actix::test]
async fn what_an_idp_answered_is_left_to_its_message_unless_more_happened() {
    let block = block(vec![
        on("a", "CreateIdpResponse"),
        on("b", "CreateIdpResponse"),
        on("a", "CreateIdpResponse"),
        on("b", "CreateAsResponse"),
    ]);
    assert_eq!(
        updates(Role::Rp, &[Table::RequestData], block).await,
        [(rp::request_update::KIND, update("b", false))]
    );
}

#[actix::test]
async fn failed_transactions_and_those_without_a_request_are_ignored() {
    let block = block(vec![
        transaction("CloseRequest", json!({"request_id": "a"}), false),
        transaction("SetMqAddresses", json!({"addresses": []}), true),
        transaction("CloseRequest", Value::Null, true),
        transaction("CloseRequest", json!({"request_id": 5}), true),
    ]);
    assert!(
        updates(Role::Rp, &[Table::RequestData], block)
            .await
            .is_empty()
    );
}

/// It names the request of the consent; this node may know its end without
/// having processed it.
#[actix::test]
async fn an_identity_operation_changes_nothing_about_the_request_of_its_consent() {
    for method in [
        "RegisterIdentity",
        "AddAccessor",
        "RevokeIdentityAssociation",
    ] {
        let block = block(vec![on("a", method)]);
        let tables = [Table::ConsentRequest, Table::RequestData];
        assert!(updates(Role::Idp, &tables, block).await.is_empty());
    }
}

#[actix::test]
async fn each_role_hears_of_its_own_requests() {
    let all = [
        Table::RequestData,
        Table::ConsentRequest,
        Table::DataRequest,
    ];
    for (role, kinds) in [
        (Role::Rp, vec![rp::request_update::KIND]),
        (
            Role::Idp,
            vec![idp::request_update::KIND, rp::request_update::KIND],
        ),
        (Role::As, vec![as_::request_update::KIND]),
        (Role::Ndid, vec![]),
    ] {
        let block = block(vec![on("a", "TimeOutRequest")]);
        let expected: Vec<(Kind, RequestUpdate)> = kinds
            .into_iter()
            .map(|kind| (kind, update("a", true)))
            .collect();
        assert_eq!(updates(role, &all, block).await, expected);
    }
}

#[actix::test]
async fn a_proxy_hears_of_the_requests_of_the_nodes_it_holds_keys_of() {
    let node = TestNode::new("proxy1", Role::Proxy);
    let behind = json!({"nodes": [
        {"node_id": "rp4", "role": "RP", "config": "KEY_ON_PROXY"},
        {"node_id": "idp4", "role": "IdP", "config": "KEY_ON_PROXY"},
        {"node_id": "as4", "role": "AS", "config": "KEY_ON_NODE"},
    ]});
    let asked = json!({"proxy_node_id": "proxy1"});
    node.ledger.answer("GetNodesBehindProxyNode", asked, behind);
    for (table, node_id) in [
        (Table::RequestData, "rp4"),
        (Table::ConsentRequest, "idp4"),
        (Table::DataRequest, "as4"),
        (Table::RequestData, "proxy1"),
    ] {
        let known = row(node_id, "a");
        node.state
            .apply(&[Write::put(table, known, b"{}".to_vec())]);
    }
    let makes = RoleBlockJobs {
        context: node.context,
    };
    let jobs = makes.jobs(&block(vec![on("a", "CloseRequest")])).await;
    let made: Vec<(Kind, String)> = jobs
        .unwrap()
        .into_iter()
        .map(|job| {
            let update: RequestUpdate = accepted(job.clone()).payload().unwrap();
            (job.kind, update.node_id)
        })
        .collect();
    let expected = [
        (rp::request_update::KIND, "rp4".to_owned()),
        (idp::request_update::KIND, "idp4".to_owned()),
    ];
    assert_eq!(made, expected);
}

#[actix::test]
async fn an_idp_whose_application_asks_for_it_hears_of_identities_that_others_change() {
    let node = TestNode::new("idp1", Role::Idp);
    let change = |method: &str, actor: &str, group: Option<&str>| BlockTransaction {
        hash: format!("{method} {actor}"),
        node_id: actor.to_owned(),
        reference_group_code: group.map(str::to_owned),
        ..transaction(method, Value::Null, true)
    };
    let block = block(vec![
        change("AddAccessor", "idp2", Some("group")),
        change("AddAccessor", "idp1", Some("group")),
        change("UpdateIdentity", "idp2", Some("group")),
        change("RegisterIdentity", "idp2", None),
    ]);
    let url = |name: &str| {
        let url = b"http://app".to_vec();
        node.state
            .apply(&[Write::put_column(Table::CallbackUrl, "idp", name, url)]);
    };
    let makes = RoleBlockJobs {
        context: node.context.clone(),
    };
    url("error_url");
    assert!(makes.jobs(&block).await.unwrap().is_empty());
    url("identity_modification_notification_url");
    let jobs = makes.jobs(&block).await.unwrap();
    let [job] = jobs.as_slice() else {
        panic!("{jobs:?}");
    };
    let modified: identity_modified::IdentityModified = accepted(job.clone()).payload().unwrap();
    let expected = identity_modified::IdentityModified {
        node_id: "idp1".to_owned(),
        reference_group_code: "group".to_owned(),
        action: "add_accessor".to_owned(),
        actor_node_id: "idp2".to_owned(),
    };
    assert_eq!(modified, expected);
    let again = makes.jobs(&block).await.unwrap();
    assert!(job.source.is_some() && again[0].source == job.source);
}

#[actix::test]
async fn without_a_url_for_status_updates_only_the_end_of_a_request_is_a_job() {
    const UPDATE: Kind = idp::request_update::KIND;
    const TELL: Kind = status_update::DELIVER;
    for (url, contract, method, jobs) in [
        (false, false, "CreateAsResponse", vec![]),
        (false, false, "CloseRequest", vec![UPDATE]),
        (true, false, "CreateAsResponse", vec![TELL]),
        (true, false, "CloseRequest", vec![UPDATE]),
        // The client application may not have heard of the request yet.
        (true, true, "CreateAsResponse", vec![UPDATE]),
    ] {
        let node = TestNode::new("idp1", Role::Idp);
        let known = row("idp1", "a");
        let of_contract = &node.context.config.dcontract.request_type;
        let request_type = contract.then_some(of_contract);
        let record = json!({"request_type": request_type}).to_string();
        node.state.apply(&[Write::put(
            Table::ConsentRequest,
            known,
            record.into_bytes(),
        )]);
        if url {
            let name = "incoming_request_status_update_url";
            let value = b"http://app".to_vec();
            node.state
                .apply(&[Write::put_column(Table::CallbackUrl, "idp", name, value)]);
        }
        let makes = RoleBlockJobs {
            context: node.context,
        };
        let made = makes.jobs(&block(vec![on("a", method)])).await.unwrap();
        let kinds: Vec<Kind> = made.iter().map(|job| job.kind).collect();
        assert_eq!(kinds, jobs, "{url} {contract} {method}");
    }
}
