//! Commands whose output ends early: nobody reads standard output, or standard
//! error either.

use std::path::Path;
use std::process::Command;

use erawan::job::{Attempt, JobId, Kind, NewJob};
use erawan::store::embedded::{EmbeddedStore, Options};
use erawan::store::{Accept, Accepted, Store};

use crate::network::binary;

/// The exit code of a command that nobody listens to.
fn unheard(arguments: &[&str], environment: &[(&str, &str)]) -> Option<i32> {
    let pipe = || {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        writer
    };
    let mut command = Command::new(binary());
    command.args(arguments).env_clear();
    command.envs(environment.iter().copied());
    command.current_dir(std::env::temp_dir());
    let status = command.stdout(pipe()).stderr(pipe()).status();
    status.unwrap().code()
}

#[test]
fn a_command_that_nobody_listens_to_ends_quietly_with_its_own_exit_code() {
    for (arguments, code) in [
        (&["--help"][..], 0),
        (&["jobs", "--help"], 0),
        (&["simulate", "--seeds", "1", "--steps", "50", "--trace"], 0),
        (&["check"], 64),
        (&["jobs", "list"], 64),
        (&["no-such-command"], 64),
        (&[], 64),
        (&["devnet", "--dir", "/proc/nowhere"], 1),
    ] {
        assert_eq!(unheard(arguments, &[]), Some(code), "{arguments:?}");
    }
}

fn open(directory: &Path) -> EmbeddedStore {
    let store = EmbeddedStore::open(Options {
        path: directory.join("erawan.redb"),
        node_id: "rp1".to_owned(),
    });
    store.unwrap()
}

async fn parked(store: &EmbeddedStore) -> JobId {
    let accept = Accept {
        jobs: vec![NewJob::new(Kind::Noop, "key", &())],
        ..Accept::default()
    };
    let Ok(Accepted::Stored { jobs, .. }) = store.accept(accept).await else {
        panic!("not stored");
    };
    let (job, number) = (jobs[0].id(), jobs[0].attempt);
    let is_parked = store.park(Attempt { job, number }, "damaged").await;
    assert_eq!(is_parked, Ok(true));
    job
}

#[tokio::test]
async fn a_decision_is_made_and_its_outcome_told_though_nobody_reads_the_answer() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let job = parked(&store).await.to_string();
    drop(store);
    let environment = [
        ("NODE_ID", "rp1"),
        ("STORE", "embedded"),
        ("DATA_DIRECTORY_PATH", directory.path().to_str().unwrap()),
        ("USE_EXTERNAL_CRYPTO_SERVICE", "true"),
    ];
    let jobs = |arguments: &[&str]| {
        let arguments = [&["jobs"], arguments].concat();
        unheard(&arguments, &environment)
    };
    assert_eq!(jobs(&["list"]), Some(0));
    assert_eq!(jobs(&["drop", &job, "--why", "not wanted"]), Some(0));
    assert_eq!(jobs(&["drop", &job, "--why", "again"]), Some(2));
    assert_eq!(jobs(&["audit", "--json"]), Some(0));
    assert_eq!(open(directory.path()).counts().await.unwrap().open, 0);
}
