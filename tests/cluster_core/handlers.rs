//! Request handlers: what becomes of runs that fail, panic, or meet a store
//! that is down.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use erawan::cluster::{Link, Master, MasterHandle, WorkerHandle};
use erawan::job::{Attempt, Commit, Job, JobId, Millis, NewJob, Run, Runner, Table, Write, noop};
use erawan::store::{MAX_STRIKES, Store, Struck};

use parking_lot::Mutex;

use super::memory_store::MemoryStore;
use super::support::*;

async fn standalone(
    store: &Arc<MemoryStore>,
    runner: Arc<dyn Runner>,
) -> (MasterHandle, WorkerHandle) {
    let master = Master::start(master_options(store, None))
        .await
        .expect("starts");
    let worker = worker("local", store, runner, Link::Local(master.port()));
    connected(&worker).await;
    (master, worker)
}

/// Fails the first runs, and then succeeds.
struct Fails {
    times: u32,
    runs: AtomicU32,
    panics: bool,
}

#[async_trait]
impl Runner for Fails {
    async fn run(&self, _: &Job) -> Run {
        if self.runs.fetch_add(1, Ordering::SeqCst) >= self.times {
            return Run::Commit(Commit::nothing());
        }
        assert!(!self.panics, "a fault in a handler");
        Run::Retry {
            after: Duration::from_millis(30),
            reason: "not yet".to_owned(),
        }
    }
}

#[actix::test]
async fn a_job_that_asks_for_it_runs_again() {
    let store = Arc::new(MemoryStore::default());
    let runner = Arc::new(Fails {
        times: 3,
        runs: AtomicU32::new(0),
        panics: false,
    });
    let (master, worker) = standalone(&store, runner.clone()).await;
    let delivery = NewJob::new(noop::DELIVERY, "key", &());
    master.submit(accept(&store, vec![delivery]).await).await;
    all_ended(&store).await;
    assert_eq!(runner.runs.load(Ordering::SeqCst), 4);
    worker.stop().await;
    master.stop().await;
}

#[actix::test]
async fn a_panic_ends_neither_the_handler_nor_the_job() {
    let store = Arc::new(MemoryStore::default());
    let runner = Arc::new(Fails {
        times: 1,
        runs: AtomicU32::new(0),
        panics: true,
    });
    let (master, worker) = standalone(&store, runner.clone()).await;
    master.submit(accept(&store, noops(1, 1)).await).await;
    all_ended(&store).await;
    assert_eq!(runner.runs.load(Ordering::SeqCst), 2);
    assert_eq!(store.counts().await.expect("up").failed, 0);
    worker.stop().await;
    master.stop().await;
}

/// Panics twice; knows how often the job had been struck each time.
#[derive(Default)]
struct PanicsTwice(Mutex<Vec<(u32, Instant)>>);

#[async_trait]
impl Runner for PanicsTwice {
    async fn run(&self, job: &Job) -> Run {
        let mut runs = self.0.lock();
        runs.push((job.strikes, Instant::now()));
        let enough = runs.len() > 2;
        drop(runs);
        assert!(enough, "a fault in a handler");
        Run::Commit(Commit::nothing())
    }
}

#[actix::test]
async fn a_job_that_panics_again_waits_longer() {
    let store = Arc::new(MemoryStore::default());
    let runner = Arc::new(PanicsTwice::default());
    let (master, worker) = standalone(&store, runner.clone()).await;
    master.submit(accept(&store, noops(1, 1)).await).await;
    all_ended(&store).await;
    let runs = runner.0.lock().clone();
    let strikes: Vec<u32> = runs.iter().map(|(strikes, _)| *strikes).collect();
    assert_eq!(strikes, [0, 1, 2]);
    // One second, then two; what a slow machine adds to either does not matter.
    let pauses = [1, 2].map(|n| runs[n].1.duration_since(runs[n - 1].1));
    assert!(pauses[0] > Duration::from_millis(900), "{pauses:?}");
    assert!(pauses[1] > Duration::from_millis(1900), "{pauses:?}");
    worker.stop().await;
    master.stop().await;
}

/// Panics with one job. Others may run before it: on a machine with several
/// cores the handlers are threads of their own.
struct PanicsWith {
    job: JobId,
    runs: AtomicU32,
}

#[async_trait]
impl Runner for PanicsWith {
    async fn run(&self, job: &Job) -> Run {
        self.runs.fetch_add(1, Ordering::SeqCst);
        assert_ne!(job.id(), self.job, "a fault in a handler");
        Run::Commit(Commit::nothing())
    }
}

#[actix::test]
async fn the_fifth_panic_parks_a_job_with_its_text_and_the_worker_lives_on() {
    let store = Arc::new(MemoryStore::default());
    let mut wounded = accept(&store, noops(2, 2)).await;
    let innocent = wounded.pop().expect("two");
    let attempt = Attempt {
        job: wounded[0].id(),
        number: 1,
    };
    for _ in 1..MAX_STRIKES {
        let struck = store.strike(attempt, Millis(1), "before").await;
        assert!(matches!(struck, Ok(Struck::Rescheduled { .. })));
    }
    let found = store.jobs(&[attempt.job]).await.expect("up");
    let wounded: Vec<Job> = found.into_iter().flatten().collect();
    assert_eq!(wounded[0].strikes, 4);
    let runner = Arc::new(PanicsWith {
        job: attempt.job,
        runs: AtomicU32::new(0),
    });
    let (master, worker) = standalone(&store, runner.clone()).await;
    until("it is parked", || async {
        store.counts().await.is_ok_and(|counts| counts.parked == 1)
    })
    .await;
    until("the other one has run", || async {
        store.counts().await.is_ok_and(|counts| counts.open == 1)
    })
    .await;
    let ids = store.parked_ids(9).await.expect("up");
    let errors = store.last_errors(&ids).await.expect("up");
    let error = errors[0].as_ref().expect("kept");
    assert!(error.reason.contains("a fault in a handler"), "{error:?}");
    assert_ne!(ids, [innocent.id()]);
    assert_eq!(runner.runs.load(Ordering::SeqCst), 2);
    worker.stop().await;
    master.stop().await;
}

/// The process that meets an unreadable record parks it.
struct MeetsRubbish;

#[async_trait]
impl Runner for MeetsRubbish {
    async fn run(&self, _: &Job) -> Run {
        Run::Park {
            reason: "stored record: rubbish".to_owned(),
        }
    }
}

#[actix::test]
async fn a_job_that_meets_something_unreadable_is_parked_with_that_reason() {
    let store = Arc::new(MemoryStore::default());
    accept(&store, noops(1, 1)).await;
    let (master, worker) = standalone(&store, Arc::new(MeetsRubbish)).await;
    until("it is parked", || async {
        store.counts().await.is_ok_and(|counts| counts.parked == 1)
    })
    .await;
    until("the dispatcher knows", || async {
        snapshot(&master).await.jobs.parked == 1
    })
    .await;
    let ids = store.parked_ids(9).await.expect("up");
    let errors = store.last_errors(&ids).await.expect("up");
    assert!(errors[0].as_ref().expect("kept").reason.contains("rubbish"));
    worker.stop().await;
    master.stop().await;
}

/// Its commit writes something.
struct Writes;

#[async_trait]
impl Runner for Writes {
    async fn run(&self, _: &Job) -> Run {
        let mut commit = Commit::nothing();
        commit.write(Write::put(Table::RequestData, "r", vec![7]));
        Run::Commit(commit)
    }
}

#[actix::test]
async fn a_job_whose_commit_is_too_large_for_the_store_is_parked_with_that_reason() {
    let store = Arc::new(MemoryStore::default());
    store.takes_no_writes.store(true, Ordering::SeqCst);
    accept(&store, noops(1, 1)).await;
    let (master, worker) = standalone(&store, Arc::new(Writes)).await;
    until("it is parked", || async {
        store.counts().await.is_ok_and(|counts| counts.parked == 1)
    })
    .await;
    let ids = store.parked_ids(9).await.expect("up");
    let errors = store.last_errors(&ids).await.expect("up");
    let reason = &errors[0].as_ref().expect("kept").reason;
    assert!(reason.contains("too large"), "{reason}");
    worker.stop().await;
    master.stop().await;
}

#[actix::test]
async fn a_job_of_class_once_is_claimed_before_it_starts() {
    let store = Arc::new(MemoryStore::default());
    let recorder = Recorder::new(false);
    let (master, worker) = standalone(&store, recorder.clone()).await;
    let once = NewJob::new(noop::ONCE, "key", &());
    let jobs = accept(&store, vec![once, noops(1, 1).remove(0)]).await;
    let ids: Vec<_> = jobs.iter().map(Job::id).collect();
    master.submit(jobs).await;
    until("both run", || async { recorder.count() == 2 }).await;
    let claimed = [0, 1].map(|n| store.state.lock().is_claimed(ids[n]));
    assert_eq!(claimed, [true, false]);
    recorder.open();
    all_ended(&store).await;
    worker.stop().await;
    master.stop().await;
}

#[actix::test]
async fn a_finished_run_waits_for_a_store_that_is_down() {
    let store = Arc::new(MemoryStore::default());
    let recorder = Recorder::new(false);
    let (master, worker) = standalone(&store, recorder.clone()).await;
    master.submit(accept(&store, noops(1, 1)).await).await;
    until("it runs", || async { recorder.count() == 1 }).await;
    store.set_down(true);
    recorder.open();
    until("it has run", || async {
        recorder.running.lock()["key0"] == 0
    })
    .await;
    store.set_down(false);
    all_ended(&store).await;
    assert_eq!(recorder.count(), 1, "it ran once");
    worker.stop().await;
    master.stop().await;
}

#[actix::test]
async fn a_commit_whose_answer_was_lost_ends_its_job_and_frees_its_key() {
    let store = Arc::new(MemoryStore::default());
    let recorder = Recorder::new(true);
    let (master, worker) = standalone(&store, recorder.clone()).await;
    store.lose_next_commit_answer.store(true, Ordering::SeqCst);
    master.submit(accept(&store, noops(2, 1)).await).await;
    all_ended(&store).await;
    assert_eq!(recorder.count(), 2, "each ran once");
    until("the dispatcher knows", || async {
        snapshot(&master).await.jobs.total() == 0
    })
    .await;
    worker.stop().await;
    master.stop().await;
}

#[actix::test]
async fn deliveries_run_at_the_same_time_up_to_their_credit() {
    let store = Arc::new(MemoryStore::default());
    let recorder = Recorder::new(false);
    let (master, worker) = standalone(&store, recorder.clone()).await;
    let deliveries = (0..20).map(|n| NewJob::new(noop::DELIVERY, format!("key{n}"), &n));
    master
        .submit(accept(&store, deliveries.collect()).await)
        .await;
    until("all credit is used", || async { recorder.count() == 8 }).await;
    recorder.open();
    all_ended(&store).await;
    assert_eq!(*recorder.most_at_once.lock(), 8);
    assert_eq!(recorder.count(), 20);
    worker.stop().await;
    master.stop().await;
}

/// Computes until it may stop, if its key says so.
#[derive(Default)]
struct Stuck {
    may_end: std::sync::atomic::AtomicBool,
    began: AtomicU32,
}

#[async_trait]
impl Runner for Stuck {
    async fn run(&self, job: &Job) -> Run {
        if job.key().starts_with("stuck") {
            self.began.fetch_add(1, Ordering::SeqCst);
            while !self.may_end.load(Ordering::SeqCst) {
                std::thread::sleep(Duration::from_millis(1));
            }
        }
        tokio::task::yield_now().await;
        Run::Commit(Commit::nothing())
    }
}

#[actix::test]
async fn a_handler_that_does_not_yield_holds_up_its_own_key_only_and_its_worker_is_not_given_up() {
    let store = Arc::new(MemoryStore::default());
    let runner = Arc::new(Stuck::default());
    let (master, worker) = standalone(&store, runner.clone()).await;
    let stuck = ["stuck", "stuck too"].map(|key| NewJob::new(noop::NOOP, key, &()));
    let stuck = accept(&store, stuck.to_vec()).await;
    master.submit(stuck.clone()).await;
    until("both are stuck", || async {
        runner.began.load(Ordering::SeqCst) == 2
    })
    .await;
    // Longer than a master waits for a silent worker.
    let until_then = Instant::now() + Duration::from_secs(4);
    while Instant::now() < until_then {
        let others = accept(&store, noops(20, 20)).await;
        master.submit(others).await;
        until("the others end", || async {
            store.counts().await.is_ok_and(|counts| counts.open == 2)
        })
        .await;
    }
    runner.may_end.store(true, Ordering::SeqCst);
    all_ended(&store).await;
    assert_eq!(
        runner.began.load(Ordering::SeqCst),
        2,
        "neither began again"
    );
    assert!(worker.link_state().borrow().connected);
    worker.stop().await;
    master.stop().await;
}
