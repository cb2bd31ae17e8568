//! An external crypto service signs data.

use std::sync::Arc;
use std::time::Duration;

use super::super::*;
use super::{DATA, SERVICE, asked, data, is_pending, settle};
use crate::config::Runtime;
use crate::crypto::external::ExternalCrypto;
use crate::crypto::external_tests::Service;
use crate::delivery::transaction;
use crate::delivery::transaction::{Fate, Transact};
use crate::flows::as_;
use crate::flows::testing::{TestNode, callbacks, job, of_kind};
use crate::job::{Millis, NewJob, Table, Write, codec};
use crate::mq::message::DataRequest;

/// Keys are with an external crypto service from now on.
fn signs_at(node: &mut TestNode, service: &Service, url: &str) {
    let url = url.as_bytes().to_vec();
    let put = Write::put_column(Table::CallbackUrl, "node", "sign_url", url);
    node.state.apply(&[put]);
    let (state, client) = (node.state.clone(), service.client.clone());
    let crypto = ExternalCrypto::new(state, Arc::new(Runtime::default()), client);
    node.context.crypto = Arc::new(crypto);
}

/// Hands data over by an API call; the job that has it signed.
async fn signing_job(node: &TestNode, request: &DataRequest, body: &respond::AsDataBody) -> NewJob {
    let id = &request.request_id;
    let accept = respond::respond(&node.context, "as1", id, SERVICE, body, "response_result").await;
    let accept = accept.unwrap();
    assert!(node.accept(&accept));
    let [job] = &accept.jobs[..] else {
        panic!("{:?}", accept.jobs);
    };
    assert_eq!(job.kind, as_::sign_data::KIND);
    job.clone()
}

#[actix::test]
async fn an_external_crypto_service_signs_data_in_a_job() {
    let (mut node, request) = asked().await;
    let service = Service::start();
    signs_at(&mut node, &service, &service.url("sign"));
    let signing = job(signing_job(&node, &request, &data("ref", DATA)).await);
    let signed = sign_data::handle(&node.context, &signing).await.unwrap();
    node.commit(&signed);
    let [transact] = &of_kind(&signed.jobs, transaction::TRANSACT)[..] else {
        panic!("{:?}", signed.jobs);
    };
    let transact: Transact = codec::decode(&transact.payload).unwrap();
    assert_eq!(transact.method, "CreateAsResponse");
    let told = settle(&node, &transact, Fate::Committed { height: 60 }).await;
    assert_eq!(callbacks(&told.jobs)[0].1["success"], true);
    assert!(!is_pending(&node));
}

#[actix::test]
async fn data_is_refused_when_the_crypto_service_stays_away_and_may_be_sent_again() {
    let (mut node, request) = asked().await;
    let service = Service::start();
    signs_at(&mut node, &service, "http://127.0.0.1:1/");
    let body = data("ref", DATA);
    let mut signing = job(signing_job(&node, &request, &body).await);
    let young = sign_data::handle(&node.context, &signing).await;
    assert!(young.unwrap_err().is_of_crypto_service());

    let age = Duration::from_secs(599).as_millis() as u64;
    signing.accepted_at = Millis(Millis::now().0 - age);
    signing.tries = 8;
    let refused = sign_data::handle(&node.context, &signing).await.unwrap();
    node.commit(&refused);
    let told = &callbacks(&refused.jobs)[0].1;
    assert_eq!(told["type"], "response_result");
    assert_eq!(told["reference_id"], "ref");
    assert_eq!(told["success"], false);
    assert_eq!(told["error"]["code"], 10000);
    assert!(is_pending(&node));
    signing_job(&node, &request, &body).await;

    // A service that answers with nonsense does not get better.
    signs_at(&mut node, &service, &service.url("failing"));
    signing.tries = 0;
    let refused = sign_data::handle(&node.context, &signing).await.unwrap();
    assert_eq!(callbacks(&refused.jobs)[0].1["success"], false);
}
