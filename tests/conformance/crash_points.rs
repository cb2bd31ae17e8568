//! SIGKILL between any two writes: afterwards the store is as the contract says
//! it is after the operations that were acknowledged, or one more that was under
//! way; for every operation there is.

use std::io::{BufRead, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};

use erawan::job::{Attempt, Commit, Epoch, Job, JobId, Millis, NewJob, noop};
use erawan::store::embedded::{self, EmbeddedStore};
use erawan::store::{Accept, Operation, OperatorAction, Release, Store};

use crate::harness::*;
use crate::memory_store::MemoryStore;

/// Operations of the story.
const STEPS: usize = 16;

fn id(number: u8) -> JobId {
    JobId::from_slice(&[number; 16]).expect("16 bytes")
}

fn first(number: u8) -> Attempt {
    Attempt {
        job: id(number),
        number: 1,
    }
}

fn new(number: u8) -> NewJob {
    let mut job = NewJob::new(noop::NOOP, "k", &number);
    job.id = id(number);
    job
}

fn operation(number: u8, action: OperatorAction) -> Operation {
    Operation {
        job: id(number),
        action,
        who: "operator".to_owned(),
        why: "why".to_owned(),
        at: Millis(1_700_000_000_000),
    }
}

fn release(number: u8, strike: Option<&str>) -> [Release; 1] {
    [Release {
        job: id(number),
        strike: strike.map(str::to_owned),
    }]
}

/// Does one step of the story, which uses every operation that writes jobs.
async fn step(store: &dyn Store, number: usize) -> bool {
    const LATER: Millis = Millis(1_800_000_000_000);
    let epoch = Epoch(9);
    let done = match number {
        0 => {
            let accept = Accept {
                jobs: (1..=6).map(new).collect(),
                writes: vec![put("row", "accepted")],
                ..Accept::default()
            };
            store.accept(accept).await.map(drop)
        }
        1 => store.strike(first(1), LATER, "panic").await.map(drop),
        2 => store.reschedule(first(1), LATER, "later").await.map(drop),
        3 => store.claim(first(2)).await.map(drop),
        4 => store
            .release(epoch, &release(2, Some("lost")))
            .await
            .map(drop),
        5 => store.park(first(3), "unreadable").await.map(drop),
        6 => store
            .operate(operation(2, OperatorAction::Retry))
            .await
            .map(drop),
        7 => store.commit(first(4), failing().into()).await.map(drop),
        8 => store
            .operate(operation(4, OperatorAction::Retry))
            .await
            .map(drop),
        9 => store
            .operate(operation(3, OperatorAction::Resolve))
            .await
            .map(drop),
        10 => store
            .commit(first(5), Commit::failed("again").into())
            .await
            .map(drop),
        11 => store
            .operate(operation(5, OperatorAction::Drop))
            .await
            .map(drop),
        12 => store.release(epoch, &release(6, None)).await.map(drop),
        13 => store
            .commit(second(4), Commit::nothing().into())
            .await
            .map(drop),
        14 => store.claim(second(6)).await.map(drop),
        _ => store
            .strike(second(6), LATER, "after a claim")
            .await
            .map(drop),
    };
    done.is_ok()
}

fn second(number: u8) -> Attempt {
    Attempt {
        number: 2,
        ..first(number)
    }
}

fn failing() -> Commit {
    let mut commit = Commit::failed("refused");
    commit.write(put("row", "committed")).job(new(7));
    commit
}

/// Everything a store tells, but for times.
async fn told(store: &dyn Store) -> String {
    let timeless = |mut job: Job| {
        job.accepted_at = Millis(0);
        job
    };
    let open: Vec<Job> = store.open_jobs(0, 99).await.unwrap();
    let ids: Vec<JobId> = open.iter().map(Job::id).collect();
    let errors = store.last_errors(&ids).await.unwrap();
    let errors: Vec<_> = errors
        .into_iter()
        .map(|error| error.map(|error| error.reason))
        .collect();
    let open: Vec<Job> = open.into_iter().map(timeless).collect();
    let failed = store.failed_jobs(0, 99).await.unwrap();
    let failed: Vec<_> = failed
        .into_iter()
        .map(|(place, failed)| (place, timeless(failed.job), failed.reason))
        .collect();
    let parked = store.parked_ids(99).await.unwrap();
    let (counts, audit) = (
        store.counts().await.unwrap(),
        store.audit(99).await.unwrap(),
    );
    let row = value(store, "row").await;
    format!("{open:#?} {errors:#?} {failed:#?} {parked:?} {counts:?} {audit:#?} {row:?}")
}

/// What the contract says after none, one, two ... steps. A claim does not show
/// by itself; the steps after it do.
async fn story() -> Vec<String> {
    let store = MemoryStore::default();
    let mut story = vec![told(&store).await];
    for number in 0..STEPS {
        assert!(step(&store, number).await);
        story.push(told(&store).await);
    }
    let changes = story.windows(2).filter(|two| two[0] != two[1]).count();
    assert_eq!(changes, STEPS - 2, "all but the claims show");
    story
}

/// Also does the rest of the story, which must end as if nothing had happened.
async fn check(store: &dyn Store, story: &[String], acknowledged: usize) {
    let now = told(store).await;
    let at = (acknowledged..=STEPS).find(|at| story[*at] == now);
    let at = at.unwrap_or_else(|| panic!("{acknowledged} acknowledged, and now: {now}"));
    for number in at..STEPS {
        // A claim that does not show may have been made.
        assert!(step(store, number).await);
    }
    assert_eq!(told(store).await, story[STEPS], "from {at} on");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis_killed_between_any_two_writes_is_as_the_contract_says() {
    let story = story().await;
    for acknowledged in 0..=STEPS {
        let mut redis = Redis::start().await;
        let store = redis.store();
        for number in 0..acknowledged {
            assert!(step(&*store, number).await);
        }
        // One more is under way.
        let under_way = tokio::spawn({
            let store = redis.store();
            async move { acknowledged < STEPS && step(&*store, acknowledged).await }
        });
        tokio::task::yield_now().await;
        redis.server.kill9().unwrap();
        let acknowledged = acknowledged + usize::from(under_way.await.unwrap());
        drop(store);
        let redis = redis.restart().await;
        check(&*redis.store(), &story, acknowledged).await;
    }
}

const FILE: &str = "ERAWAN_TEST_CRASH_POINT_FILE";

fn open(path: &Path) -> EmbeddedStore {
    erawan::node::kinds::give();
    EmbeddedStore::open(embedded::Options {
        path: path.to_owned(),
        node_id: "node".to_owned(),
    })
    .expect("the file opens")
}

#[test]
fn a_process_killed_between_any_two_writes_leaves_its_file_as_the_contract_says() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let story = runtime.block_on(story());
    for kill_after in 0..=STEPS {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("store.redb");
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "crash_points::telling_the_story", "--ignored"])
            .arg("--nocapture")
            .env(FILE, &path)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut acknowledged = 0;
        if kill_after > 0 {
            for line in lines.by_ref() {
                acknowledged += usize::from(line.unwrap() == "done.");
                if acknowledged == kill_after {
                    break;
                }
            }
            assert_eq!(acknowledged, kill_after, "the child ended by itself");
        }
        child.kill().unwrap();
        child.wait().unwrap();
        let rest = lines.map_while(Result::ok);
        acknowledged += rest.filter(|line| line == "done.").count();
        runtime.block_on(check(&open(&path), &story, acknowledged));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "run and killed by a_process_killed_between_any_two_writes_leaves_its_file_as_the_contract_says"]
async fn telling_the_story() {
    let Some(path) = std::env::var_os(FILE) else {
        return;
    };
    let store = open(Path::new(&path));
    let mut stdout = std::io::stdout();
    for number in 0..STEPS {
        assert!(step(&store, number).await);
        stdout.write_all(b"\ndone.\n").expect("the parent reads");
    }
    tokio::time::sleep(std::time::Duration::from_secs(60)).await;
}

/// Durability on the happy path, counted by Redis itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transactional_job_costs_one_script_to_accept_and_one_to_commit() {
    const JOBS: u64 = 50;
    let redis = Redis::start().await;
    let store = redis.store();
    // The scripts are known from now on.
    let run = accept_job(&*store, job("k")).await;
    end(&*store, &run).await;
    let client = ::redis::Client::open(("127.0.0.1", redis.server.port())).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    let () = ::redis::cmd("CONFIG")
        .arg("RESETSTAT")
        .query_async(&mut connection)
        .await
        .unwrap();
    for number in 0..JOBS {
        let run = accept_job(&*store, job(&format!("k{number}"))).await;
        end(&*store, &run).await;
    }
    let stats: String = ::redis::cmd("INFO")
        .arg("commandstats")
        .query_async(&mut connection)
        .await
        .unwrap();
    let calls = |command: &str| -> u64 {
        let line = stats
            .lines()
            .find_map(|line| line.strip_prefix(&format!("cmdstat_{command}:calls=")));
        line.map_or(0, |rest| rest.split(',').next().unwrap().parse().unwrap())
    };
    println!(
        "{JOBS} jobs: {} scripts, of them {} open and {} end one",
        calls("evalsha"),
        calls("set"),
        calls("del")
    );
    assert_eq!(calls("evalsha"), 2 * JOBS);
    assert_eq!((calls("set"), calls("del")), (JOBS, JOBS));
    assert_eq!(calls("eval") + calls("script|load"), 0);
    for unused in ["hset", "hdel", "setrange", "rpush"] {
        assert_eq!(calls(unused), 0, "{unused} on the happy path");
    }
}
