//! What operators are told by a running master, and what it learns of them.

use std::sync::Arc;
use std::time::Duration;

use erawan::cluster::Master;
use erawan::job::{Attempt, Job, JobId, Millis, NewJob, codec, noop};
use erawan::operator::{
    Desk, Filter, OperationOutcome, OperationResult, OperatorRequest, OperatorResponse,
};
use erawan::proto::cluster::OperatorQuestion;
use erawan::proto::cluster::cluster_client::ClusterClient;
use erawan::protocol::message::PROTOCOL_VERSION;
use erawan::pulse;
use erawan::store::{Operation, OperatorAction, Store};
use tonic::transport::Endpoint;

use super::memory_store::MemoryStore;
use super::support::*;

fn attempt(job: &Job) -> Attempt {
    Attempt {
        job: job.id(),
        number: job.attempt,
    }
}

async fn retry(desk: &Desk, ids: &[JobId]) -> Vec<OperationResult> {
    let operation = |job: &JobId| Operation {
        job: *job,
        action: OperatorAction::Retry,
        who: "somebody@host".to_owned(),
        why: "because".to_owned(),
        at: Millis::now(),
    };
    let operations = ids.iter().map(operation).collect();
    match desk.answer(OperatorRequest::Operate(operations)).await {
        OperatorResponse::Operate(done) => done,
        other => panic!("{other:?}"),
    }
}

#[actix::test]
async fn operators_learn_what_became_of_each_job_when_the_store_goes_away() {
    let store = Arc::new(MemoryStore::default());
    let jobs = accept(&store, noops(5, 5)).await;
    for job in &jobs {
        assert!(store.park(attempt(job), "a defect").await.expect("up"));
    }
    let ids: Vec<JobId> = jobs.iter().map(Job::id).collect();
    *store.lose_operate_answer.lock() = Some(ids[2]);
    let done = retry(&Desk::alone(store.clone()), &ids).await;
    let told: Vec<_> = done.iter().map(|done| done.id.clone()).collect();
    assert_eq!(told, ids.iter().map(JobId::to_string).collect::<Vec<_>>());
    let results: Vec<_> = done.iter().map(|done| done.result).collect();
    use OperationOutcome::{NotTried, Open, Unknown};
    assert_eq!(results, [Open, Open, Unknown, NotTried, NotTried]);
    let reason = done[2].reason.as_deref().expect("it says why");
    assert!(
        reason.contains("answer lost") && reason.contains("open now"),
        "{reason}"
    );
    assert_eq!(store.audit(9).await.expect("up").len(), 3);

    store.set_down(true);
    let done = retry(&Desk::alone(store.clone()), &ids[3..]).await;
    let results: Vec<_> = done.iter().map(|done| done.result).collect();
    assert_eq!(results, [Unknown, NotTried]);
}

#[actix::test]
async fn a_waiting_job_that_was_hurried_runs_although_the_answer_of_the_store_was_lost() {
    let store = Arc::new(MemoryStore::default());
    let jobs = accept(&store, noops(1, 1)).await;
    let later = Millis::now().after(Duration::from_secs(3600));
    let moved = store.reschedule(attempt(&jobs[0]), later, "nobody answers");
    assert!(moved.await.expect("up"));
    let any = "127.0.0.1:0".parse().expect("an address");
    let master = Master::start(master_options(&store, Some(any))).await;
    let master = master.expect("any port is free");
    let port = master.address().expect("it listens").port();
    let recorder = Recorder::new(true);
    let worker = worker("worker", &store, recorder.clone(), grpc(port));
    connected(&worker).await;
    until("it is known to wait", || async {
        snapshot(&master).await.jobs.blocked == 1
    })
    .await;

    *store.lose_operate_answer.lock() = Some(jobs[0].id());
    let done = retry(&master.desk(), &[jobs[0].id()]).await;
    assert_eq!(done[0].result, OperationOutcome::Unknown);
    all_ended(&store).await;
    assert_eq!(recorder.count(), 1);
    worker.stop().await;
    master.stop().await;
}

/// A master serves its workers and its socket on the pulse.
#[actix::test]
async fn what_operators_ask_on_the_pulse_is_answered_elsewhere() {
    let store = Arc::new(MemoryStore::default());
    accept(&store, noops(2000, 2000)).await;
    let desk = Desk::alone(store);
    let on_pulse = std::thread::spawn(move || {
        pulse::begin();
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_all().build().expect("a runtime");
        let all = OperatorRequest::List(Filter {
            limit: 5000,
            ..Filter::default()
        });
        runtime.block_on(desk.answer_bytes(codec::encode(&all)))
    });
    let answer = on_pulse.join().expect("nothing is caught on the pulse");
    let OperatorResponse::List(shown) = codec::decode(&answer).expect("it can be read") else {
        panic!("no list");
    };
    assert_eq!(shown.len(), 2000);
}

#[actix::test]
async fn a_list_that_does_not_fit_a_message_says_what_to_do() {
    let store = Arc::new(MemoryStore::default());
    let large = || NewJob::new(noop::NOOP, "k".repeat(1024 * 1024), &());
    accept(&store, (0..70).map(|_| large()).collect()).await;
    let master = master(&store).await;
    let address = master.address().expect("it listens");
    let endpoint = Endpoint::from_shared(format!("http://{address}")).expect("a URI");
    let client = ClusterClient::new(endpoint.connect().await.expect("it listens"));
    let ask = async |question: OperatorRequest| {
        let question = OperatorQuestion {
            protocol_version: PROTOCOL_VERSION,
            node_id: NODE.to_owned(),
            question: codec::encode(&question).into(),
        };
        let client = client.clone().max_decoding_message_size(64 * 1024 * 1024);
        let answer = { client }.operate(question).await.expect("an answer");
        codec::decode(&answer.into_inner().answer).expect("it can be read")
    };
    let of = |limit| {
        OperatorRequest::List(Filter {
            limit,
            ..Filter::default()
        })
    };
    let OperatorResponse::Failed(reason) = ask(of(100)).await else {
        panic!("70 MiB in a message of 64");
    };
    assert!(reason.contains("--limit"), "{reason}");
    let OperatorResponse::List(shown) = ask(of(60)).await else {
        panic!("they fit");
    };
    assert_eq!(shown.len(), 60);
    master.stop().await;
}
