//! What works when nothing breaks.

use std::sync::Arc;
use std::time::Duration;

use erawan::actors::master_link::ChainHook;
use erawan::cluster::{Link, Master, Worker};
use erawan::job::{JobId, Kind, NewJob};
use erawan::protocol::message::Chain;
use erawan::store::Store;
use parking_lot::Mutex;

use super::memory_store::MemoryStore;
use super::support::*;

#[actix::test]
async fn jobs_run_on_two_workers_in_the_order_of_their_keys() {
    let store = Arc::new(MemoryStore::default());
    let master = master(&store).await;
    let port = master.address().expect("it listens").port();
    let recorder = Recorder::new(true);
    let first = worker("first", &store, recorder.clone(), grpc(port));
    let second = worker("second", &store, recorder.clone(), grpc(port));
    connected(&first).await;
    connected(&second).await;

    let jobs = accept(&store, noops(300, 20)).await;
    let order: Vec<_> = jobs
        .iter()
        .map(|job| (job.key().to_owned(), job.id()))
        .collect();
    first.submit(jobs);
    all_ended(&store).await;

    let started = recorder.started.lock().clone();
    assert_eq!(started.len(), 300, "each runs once");
    for n in 0..20 {
        let key = format!("key{n}");
        let accepted: Vec<_> = order
            .iter()
            .filter(|(of, _)| *of == key)
            .map(|(_, id)| *id)
            .collect();
        let ran: Vec<_> = started
            .iter()
            .filter(|(of, _)| *of == key)
            .map(|(_, run)| run.job)
            .collect();
        assert_eq!(ran, accepted, "order of {key}");
    }
    until("no credit is lost", || async {
        let snapshot = snapshot(&master).await;
        snapshot.sessions.len() == 2
            && snapshot
                .sessions
                .iter()
                .all(|session| session.run.in_use == 0)
    })
    .await;
    first.stop().await;
    second.stop().await;
    master.stop().await;
}

#[actix::test]
async fn jobs_nobody_announced_are_found() {
    let store = Arc::new(MemoryStore::default());
    let master = master(&store).await;
    let port = master.address().expect("it listens").port();
    let worker = worker("worker", &store, Recorder::new(true), grpc(port));
    connected(&worker).await;
    accept(&store, noops(20, 3)).await;
    all_ended(&store).await;
    worker.stop().await;
    master.stop().await;
}

#[actix::test]
async fn a_standalone_process_is_a_cluster_joined_by_channels() {
    let store = Arc::new(MemoryStore::default());
    let master = Master::start(master_options(&store, None))
        .await
        .expect("starts");
    let recorder = Recorder::new(false);
    let worker = worker(
        "local",
        &store,
        recorder.clone(),
        Link::Local(master.port()),
    );
    connected(&worker).await;
    let jobs = accept(&store, noops(40, 40)).await;
    master.submit(jobs).await;
    until("all credit is used", || async { recorder.count() == 4 }).await;
    recorder.open();
    all_ended(&store).await;
    assert_eq!(*recorder.most_at_once.lock(), 4, "credit of Pool::Run");
    worker.stop().await;
    master.stop().await;
}

#[actix::test]
async fn a_payload_too_large_for_the_link_is_read_from_the_store() {
    let store = Arc::new(MemoryStore::default());
    let master = master(&store).await;
    let port = master.address().expect("it listens").port();
    struct Reader(Mutex<Vec<usize>>);
    #[async_trait::async_trait]
    impl erawan::job::Runner for Reader {
        async fn run(&self, job: &erawan::job::Job) -> erawan::job::Run {
            let payload: Vec<u8> = job.payload().expect("it is all there");
            self.0.lock().push(payload.len());
            erawan::job::Run::Commit(erawan::job::Commit::nothing())
        }
    }
    let reader = Arc::new(Reader(Mutex::default()));
    let worker = worker("worker", &store, reader.clone(), grpc(port));
    connected(&worker).await;
    let large = NewJob::new(Kind::Noop, "key", &vec![7u8; 5_000_000]);
    worker.submit(accept(&store, vec![large]).await);
    all_ended(&store).await;
    assert_eq!(*reader.0.lock(), [5_000_000]);
    worker.stop().await;
    master.stop().await;
}

/// The same under another id, without encoding it again.
fn another(job: &NewJob, key: &str) -> NewJob {
    NewJob {
        id: JobId::generate(),
        key: key.into(),
        ..job.clone()
    }
}

/// 80 MB, assigned at once.
#[actix::test]
async fn more_than_a_message_holds_is_assigned_in_several() {
    let store = Arc::new(MemoryStore::default());
    let master = master(&store).await;
    let port = master.address().expect("it listens").port();
    let recorder = Recorder::new(true);
    let mut options = worker_options("worker", &store, recorder.clone(), grpc(port));
    options.delivery_capacity = 4096;
    let worker = Worker::start(options);
    connected(&worker).await;
    let delivery = NewJob::new(Kind::DeliverMessage, "key", &vec![7u8; 20_000]);
    let deliveries = (0..4096).map(|n| another(&delivery, &format!("key{n}")));
    let jobs = accept(&store, deliveries.collect()).await;
    master.submit(jobs).await;
    all_ended(&store).await;
    assert_eq!(recorder.count(), 4096, "each ran once");
    worker.stop().await;
    master.stop().await;
}

/// 3,000 follow-up jobs of 30 KB from one job: 90 MB.
#[actix::test]
async fn more_follow_up_jobs_than_a_message_holds_are_reported() {
    struct Maker;
    #[async_trait::async_trait]
    impl erawan::job::Runner for Maker {
        async fn run(&self, job: &erawan::job::Job) -> erawan::job::Run {
            let mut commit = erawan::job::Commit::nothing();
            if job.kind() == Kind::Noop {
                // They wait for ever, so that nobody has to run them.
                let held = NewJob::new(Kind::NoopChain, "key", &vec![7u8; 30_000])
                    .not_before(erawan::job::Millis(u64::MAX));
                for _ in 0..3000 {
                    commit.job(another(&held, "key"));
                }
            }
            erawan::job::Run::Commit(commit)
        }
    }
    let store = Arc::new(MemoryStore::default());
    let any = "127.0.0.1:0".parse().expect("an address");
    let mut options = master_options(&store, Some(any));
    // So that only what is reported becomes known.
    options.dispatcher.scan_interval = Duration::from_secs(600);
    let master = Master::start(options).await.expect("any port is free");
    let port = master.address().expect("it listens").port();
    let worker = worker("worker", &store, Arc::new(Maker), grpc(port));
    connected(&worker).await;
    worker.submit(accept(&store, noops(1, 1)).await);
    until("all are known", || async {
        snapshot(&master).await.jobs.held_until == 3000
    })
    .await;
    worker.stop().await;
    master.stop().await;
}

#[actix::test]
async fn a_worker_knows_of_a_block_before_it_runs_a_job_that_waited_for_it() {
    #[derive(Default)]
    struct Heights(Mutex<Vec<String>>);
    impl ChainHook for Heights {
        fn chain_changed(&self, chain: &Chain) {
            self.0.lock().push(format!("block {}", chain.height));
        }
    }
    #[async_trait::async_trait]
    impl erawan::job::Runner for Heights {
        async fn run(&self, _: &erawan::job::Job) -> erawan::job::Run {
            self.0.lock().push("job".to_owned());
            erawan::job::Run::Commit(erawan::job::Commit::nothing())
        }
    }
    let store = Arc::new(MemoryStore::default());
    let master = master(&store).await;
    let port = master.address().expect("it listens").port();
    let heights = Arc::new(Heights::default());
    let mut options = worker_options("worker", &store, heights.clone(), grpc(port));
    options.chain_hook = heights.clone();
    let worker = Worker::start(options);
    connected(&worker).await;
    let block = |height| Chain {
        chain_id: "chain".to_owned(),
        height,
        ready: true,
        ..Chain::default()
    };
    master.chain(block(5)).await;
    let held = NewJob::new(Kind::Noop, "key", &()).after_height(5);
    worker.submit(accept(&store, vec![held]).await);
    until("the job is known", || async {
        snapshot(&master).await.jobs.held_above == 1
    })
    .await;
    master.chain(block(6)).await;
    all_ended(&store).await;
    let seen = heights.0.lock().clone();
    assert_eq!(&seen[1..], ["block 5", "block 6", "job"]);
    assert!(worker.link_state().borrow().chain.ready);
    worker.stop().await;
    master.stop().await;
}

#[actix::test]
async fn a_drained_worker_hands_everything_on() {
    let store = Arc::new(MemoryStore::default());
    let master = master(&store).await;
    let port = master.address().expect("it listens").port();
    let recorder = Recorder::new(false);
    let first = worker("first", &store, recorder.clone(), grpc(port));
    connected(&first).await;
    first.submit(accept(&store, noops(10, 10)).await);
    until("it is busy", || async { recorder.count() == 4 }).await;
    assert!(
        !first.drain(Duration::from_millis(100)).await,
        "it still runs four"
    );
    recorder.open();
    assert!(first.drain(Duration::from_secs(10)).await);
    assert_eq!(
        store.counts().await.expect("up").open,
        6,
        "it takes no more"
    );
    let second = worker("second", &store, recorder.clone(), grpc(port));
    first.stop().await;
    all_ended(&store).await;
    assert_eq!(recorder.count(), 10, "each ran once");
    second.stop().await;
    master.stop().await;
}
