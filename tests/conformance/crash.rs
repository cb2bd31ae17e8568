//! SIGKILL in the middle of writing: what was acknowledged is there, and
//! nothing is there by half.

use std::collections::HashSet;
use std::io::{BufRead, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use erawan::job::{Commit, NewJob, noop};
use erawan::store::embedded::{self, EmbeddedStore};
use erawan::store::{Accept, SharedStore, Store};
use tokio::sync::mpsc;
use tokio::time::sleep;

use crate::harness::*;

const ROUNDS: usize = 4;
const WRITERS: usize = 8;
/// The process is killed after so many acknowledgements.
const ACKNOWLEDGED: usize = 150;

/// What has been acknowledged of the work of one number.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Done {
    Accepted(String),
    Committed(String),
}

/// Accepts a job with a row, commits it with another row and another job, and
/// tells of both, until the store fails.
async fn work(store: SharedStore, writer: String, done: mpsc::Sender<Done>) {
    for number in 0.. {
        let name = format!("{writer}-{number}");
        let accept = Accept {
            jobs: vec![NewJob::new(noop::NOOP, format!("first {name}"), &())],
            writes: vec![put(&format!("accepted {name}"), "v")],
            ..Accept::default()
        };
        let Ok(erawan::store::Accepted::Stored { jobs, .. }) = store.accept(accept).await else {
            return;
        };
        let _ = done.try_send(Done::Accepted(name.clone()));
        let mut commit = Commit::nothing();
        commit.write(put(&format!("committed {name}"), "v"));
        commit.job(NewJob::new(noop::NOOP, format!("second {name}"), &()));
        if store
            .commit(attempt(&jobs[0]), commit.into())
            .await
            .is_err()
        {
            return;
        }
        let _ = done.try_send(Done::Committed(name));
    }
}

/// Looks at everything there is.
async fn check(store: &dyn Store, acknowledged: &HashSet<Done>) {
    let rows = store.rows(erawan::job::Table::RequestData, "").await;
    let rows: HashSet<String> = rows.unwrap().into_iter().collect();
    let (mut keys, mut after) = (HashSet::new(), 0);
    loop {
        let page = store.open_jobs(after, 500).await.unwrap();
        let Some(last) = page.last() else { break };
        after = last.seq;
        keys.extend(page.iter().map(|job| job.key().to_owned()));
    }
    let mut names: HashSet<&str> = HashSet::new();
    for text in rows.iter().chain(&keys) {
        names.insert(text.split_once(' ').unwrap().1);
    }
    for name in names {
        let accepted = rows.contains(&format!("accepted {name}"));
        let committed = rows.contains(&format!("committed {name}"));
        let first = keys.contains(&format!("first {name}"));
        let second = keys.contains(&format!("second {name}"));
        let whole = match committed {
            true => accepted && !first && second,
            false => accepted && first && !second,
        };
        assert!(whole, "{name}: {accepted} {committed} {first} {second}");
    }
    for done in acknowledged {
        let row = match done {
            Done::Accepted(name) => format!("accepted {name}"),
            Done::Committed(name) => format!("committed {name}"),
        };
        assert!(rows.contains(&row), "acknowledged and lost: {row}");
    }
    assert_eq!(store.counts().await.unwrap().open, keys.len() as u64);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_redis_loses_and_halves_nothing() {
    let mut redis = Redis::start().await;
    let mut acknowledged = HashSet::new();
    for round in 0..ROUNDS {
        let (done, mut told) = mpsc::channel(100_000);
        let mut writers = tokio::task::JoinSet::new();
        for writer in 0..WRITERS {
            let name = format!("{round}-{writer}");
            writers.spawn(work(redis.store(), name, done.clone()));
        }
        drop(done);
        for _ in 0..ACKNOWLEDGED {
            acknowledged.insert(told.recv().await.expect("the writers go on"));
        }
        redis.server.kill9().unwrap();
        while let Some(done) = told.recv().await {
            acknowledged.insert(done);
        }
        writers.join_all().await;
        redis = redis.restart().await;
        check(&*redis.store(), &acknowledged).await;
    }
}

const FILE: &str = "ERAWAN_TEST_CRASH_FILE";
const ROUND: &str = "ERAWAN_TEST_CRASH_ROUND";

fn open(path: &Path) -> EmbeddedStore {
    erawan::node::kinds::give();
    EmbeddedStore::open(embedded::Options {
        path: path.to_owned(),
        node_id: "node".to_owned(),
    })
    .expect("the file opens")
}

#[test]
fn a_killed_process_loses_and_halves_nothing_of_its_file() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store.redb");
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let mut acknowledged = HashSet::new();
    for round in 0..ROUNDS {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "crash::writing_until_killed", "--ignored"])
            .args(["--nocapture"])
            .env(FILE, &path)
            .env(ROUND, round.to_string())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut told = 0;
        for line in lines.by_ref() {
            told += usize::from(note(&line.unwrap(), &mut acknowledged));
            if told == ACKNOWLEDGED {
                break;
            }
        }
        assert_eq!(told, ACKNOWLEDGED, "the child ended by itself");
        child.kill().unwrap();
        child.wait().unwrap();
        for line in lines.map_while(Result::ok) {
            note(&line, &mut acknowledged);
        }
        runtime.block_on(check(&open(&path), &acknowledged));
    }
}

/// Reads a line of the child. (The last one may be cut short: a whole one ends
/// with a full stop.)
fn note(line: &str, acknowledged: &mut HashSet<Done>) -> bool {
    let Some(line) = line.strip_suffix('.') else {
        return false;
    };
    if let Some(name) = line.strip_prefix("accepted ") {
        acknowledged.insert(Done::Accepted(name.to_owned()))
    } else if let Some(name) = line.strip_prefix("committed ") {
        acknowledged.insert(Done::Committed(name.to_owned()))
    } else {
        false
    }
}

/// The child process of [`a_killed_process_loses_and_halves_nothing_of_its_file`];
/// by itself it does nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "run and killed by a_killed_process_loses_and_halves_nothing_of_its_file"]
async fn writing_until_killed() {
    let (Some(path), Ok(round)) = (std::env::var_os(FILE), std::env::var(ROUND)) else {
        return;
    };
    let store: SharedStore = Arc::new(open(Path::new(&path)));
    let (done, mut told) = mpsc::channel(100_000);
    for writer in 0..WRITERS {
        let name = format!("{round}-{writer}");
        tokio::spawn(work(Arc::clone(&store), name, done.clone()));
    }
    let mut stdout = std::io::stdout();
    while let Some(done) = told.recv().await {
        // A line of its own, whatever the test harness has written before.
        let line = match done {
            Done::Accepted(name) => format!("\naccepted {name}.\n"),
            Done::Committed(name) => format!("\ncommitted {name}.\n"),
        };
        stdout.write_all(line.as_bytes()).expect("the parent reads");
    }
    sleep(Duration::from_secs(60)).await;
}
