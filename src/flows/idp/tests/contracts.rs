//! Contracts are verified before their requests are shown; requests that come again.

use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::super::*;
use super::{detail, idp, is_error, receive, recorded_request, sent_messages};
use crate::context::Role;
use crate::crypto::hash;
use crate::delivery::contract::{ContractClient, run_fetch};
use crate::delivery::dcontract::Contract;
use crate::delivery::transaction::Fate;
use crate::delivery::{contract, dcontract};
use crate::flows::RequestUpdate;
use crate::flows::testing::{
    self, TestNode, callbacks, continuation, of_kind, params, transactions,
};
use crate::job::{Commit, JobOutcome, NewJob, Pool, Run, Table, Write, codec};

/// An HTTP server on loopback that answers everything with this.
async fn documents(answer: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = [0; 2048];
            let _ = stream.read(&mut request).await;
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    format!("http://{address}")
}

const DOCUMENT: &str = "HTTP/1.1 200 OK\r\ncontent-length: 8\r\nconnection: close\r\n\r\ncontract";
const MISSING: &str = "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";

fn contract_request(text: &str) -> ConsentRequest {
    let mut request = recorded_request();
    request.request_id = "cd".repeat(32);
    request.request_type = Some("dsign.dcontract".to_owned());
    request.request_message = text.to_owned();
    request
}

/// A contract comes; the job that fetches its documents, if there is one.
async fn receive_contract(node: &TestNode, text: &str) -> Commit {
    let request = contract_request(text);
    let hash = hash::request_message_hash(text, &request.request_message_salt);
    let detail = detail(&request, &hash, 1, &["idp1"], json!([]));
    node.ledger.request_from(&request.request_id, 0, detail);
    receive(node, &request).await
}

/// Runs what follows until nothing is left to be fetched; the last commit.
async fn check_contract(node: &TestNode, commit: Commit) -> Commit {
    let client = ContractClient::new(&node.context.config).unwrap();
    let mut commit = commit;
    loop {
        let mut jobs = commit.jobs.iter();
        let next = jobs.find(|job| [contract::FETCH, dcontract::CHECKED].contains(&job.kind));
        let Some(next) = next.cloned().map(testing::job) else {
            return commit;
        };
        commit = match next.kind() == contract::FETCH {
            true => match run_fetch(&node.context, &client, &next).await {
                Ok(Run::Commit(commit)) => commit,
                other => panic!("{other:?}"),
            },
            false => contract_checked::handle(&node.context, &next)
                .await
                .unwrap(),
        };
        node.commit(&commit);
    }
}

#[tokio::test]
async fn a_contract_is_shown_when_every_document_is_the_agreed_one() {
    let node = idp();
    let url = documents(DOCUMENT).await;
    let hash = hex::encode(hash::sha256(&["contract"])).to_uppercase();
    let text = format!("Please sign\n{url}/a/{hash}\nand\n{url}/b/{hash}?x=1");
    let received = receive_contract(&node, &text).await;
    assert_eq!(
        callbacks(&received.jobs),
        vec![],
        "not before it is verified"
    );
    let commit = check_contract(&node, received).await;
    let made = callbacks(&commit.jobs);
    assert_eq!(made.len(), 1, "{made:?}");
    assert_eq!(made[0].1["type"], "incoming_request");
}

#[tokio::test]
async fn a_contract_that_cannot_be_verified_is_answered_by_the_node_itself() {
    let good = documents(DOCUMENT).await;
    let missing = documents(MISSING).await;
    let hash = hex::encode(hash::sha256(&["contract"]));
    let wrong = hex::encode(hash::sha256(&["another contract"]));
    for text in [
        "no document".to_owned(),
        format!("{good}/{hash}\n{good}/{wrong}"),
        format!("{missing}/{hash}"),
        format!("http://127.0.0.1:1/{hash}"),
        "http://".to_owned(),
    ] {
        let node = idp();
        let received = receive_contract(&node, &text).await;
        let commit = check_contract(&node, received).await;
        let request_id = contract_request(&text).request_id;
        let made = callbacks(&commit.jobs);
        assert_eq!(made.len(), 1, "{text}: {made:?}");
        assert!(is_error(
            &made[0].1,
            "idp.processMessage",
            &request_id,
            10025
        ));
        let sent = transactions(&commit.writes);
        let expected = json!({"request_id": request_id, "error_code": 31000});
        assert_eq!(params(&sent[0]), expected);
        assert!(sent[0].resend_when_disabled);
        let told = continuation(&sent[0], Fate::Committed { height: 60 });
        let commit = response_created::handle(&node.context, &told).await;
        let commit = commit.unwrap();
        assert_eq!(callbacks(&commit.jobs), vec![], "{text}");
        assert_eq!(sent_messages(&commit)[0]["error_code"], 31000);
    }
}

#[tokio::test]
async fn documents_are_fetched_by_deliveries_to_their_hosts() {
    let node = idp();
    let text = "http://tarpit.example/a\nhttps://other.example/b\nhttp://tarpit.example:80/c";
    let commit = receive_contract(&node, text).await;
    let [fetch] = commit.jobs.as_slice() else {
        panic!("{:?}", commit.jobs);
    };
    assert_eq!(fetch.kind.pool(), Pool::Delivery);
    assert_eq!(fetch.receiver(), Some("contract:tarpit.example:80"));
    let contract: Contract = codec::decode(&fetch.payload).unwrap();
    let places = contract.places(&node.context).await.unwrap().unwrap();
    assert_eq!(places.len(), 2);
    let next = contract.fetch(&places[1]);
    assert_eq!(next.receiver(), Some("contract:other.example:443"));
}

#[tokio::test]
async fn a_host_that_does_not_answer_is_told_to_the_dispatcher_and_the_contract_is_refused() {
    let node = idp();
    let received = receive_contract(&node, "http://127.0.0.1:1/hash").await;
    let client = ContractClient::new(&node.context.config).unwrap();
    let fetch = testing::job(received.jobs[0].clone());
    let run = run_fetch(&node.context, &client, &fetch).await.unwrap();
    let Run::Commit(commit) = run else {
        panic!("{run:?}");
    };
    assert!(
        matches!(&commit.outcome, JobOutcome::Failed { reason } if reason.contains("127.0.0.1:1"))
    );
    assert_eq!(commit.jobs[0].kind, dcontract::CHECKED);
    assert_eq!(
        *commit.jobs[0].key,
        *crate::job::request_key(&contract_request("").request_id)
    );
}

#[tokio::test]
async fn what_changes_while_a_contract_is_verified_is_told_after_the_request() {
    let node = idp();
    let status = json!({"incoming_request_status_update_url": "http://127.0.0.1:9800/idp"});
    let urls = crate::flows::node::set_callback_urls("idp", status.as_object().unwrap());
    node.state.apply(&urls);
    let url = documents(DOCUMENT).await;
    let hash = hex::encode(hash::sha256(&["contract"]));
    let received = receive_contract(&node, &format!("{url}/{hash}")).await;
    let update = RequestUpdate {
        node_id: "idp1".to_owned(),
        request_id: contract_request("").request_id,
        height: 70,
        ended: false,
        is_new_history: false,
    };
    let key = crate::job::request_key(&update.request_id);
    let job = testing::job(NewJob::new(idp::request_update::KIND, key, &update));
    let commit = request_update::handle(&node.context, &job).await.unwrap();
    assert_eq!(commit.jobs, vec![], "it does not know the request");
    node.commit(&commit);
    let commit = check_contract(&node, received).await;
    let kinds: Vec<crate::job::Kind> = commit.jobs.iter().map(|job| job.kind).collect();
    assert_eq!(
        kinds,
        [
            crate::delivery::callback::DELIVER,
            crate::flows::status_update::DELIVER
        ]
    );
    assert_eq!(callbacks(&commit.jobs)[0].1["type"], "incoming_request");
    let commit = request_update::handle(&node.context, &job).await.unwrap();
    let told = of_kind(&commit.jobs, crate::flows::status_update::DELIVER);
    assert_eq!(told.len(), 1, "told at once from now on");
}

#[tokio::test]
async fn a_request_that_ends_while_its_contract_is_verified_is_not_shown() {
    let node = idp();
    let url = documents(DOCUMENT).await;
    let hash = hex::encode(hash::sha256(&["contract"]));
    let received = receive_contract(&node, &format!("{url}/{hash}")).await;
    let request_id = contract_request("").request_id;
    let forgotten = Write::delete(Table::ConsentRequest, row("idp1", &request_id));
    node.state.apply(&[forgotten]);
    assert_eq!(check_contract(&node, received).await, Commit::nothing());
}

#[tokio::test]
async fn a_consent_request_that_comes_again_changes_nothing() {
    let node = idp();
    let request = recorded_request();
    assert_eq!(receive(&node, &request).await.jobs.len(), 1);
    assert_eq!(receive(&node, &request).await, Commit::nothing());

    let url = documents(DOCUMENT).await;
    let hash = hex::encode(hash::sha256(&["contract"]));
    let text = format!("{url}/{hash}");
    let received = receive_contract(&node, &text).await;
    let again = receive_contract(&node, &text).await;
    assert_eq!(again, Commit::nothing(), "while it is being verified");
    check_contract(&node, received).await;
    let again = receive_contract(&node, &text).await;
    assert_eq!(again, Commit::nothing());
}

#[tokio::test]
async fn a_request_that_nobody_was_told_of_for_want_of_a_url_is_told_when_it_comes_again() {
    let node = TestNode::new("idp1", Role::Idp);
    let request = recorded_request();
    assert_eq!(receive(&node, &request).await.jobs, vec![]);
    let url = json!({"incoming_request_url": "http://127.0.0.1:9800/idp"});
    let urls = crate::flows::node::set_callback_urls("idp", url.as_object().unwrap());
    node.state.apply(&urls);
    assert_eq!(receive(&node, &request).await.jobs.len(), 1);
}
