use std::sync::mpsc;
use std::time::Duration;

use redb::ReadableTableMetadata;

use super::super::{EmbeddedStore, OperationFailure, Options};
use super::Tables;
use crate::store::{SOURCE_RETENTION, State, Store, StoreError};

fn open(directory: &tempfile::TempDir) -> EmbeddedStore {
    EmbeddedStore::open(Options {
        path: directory.path().join("store.redb"),
        node_id: "node".to_owned(),
    })
    .unwrap()
}

async fn set(store: &EmbeddedStore, number: u64) -> Result<(), StoreError> {
    let run = move |tables: &mut Tables<'_>| tables.set_number("audit_seq", number);
    store.writer.write(run).await
}

async fn number(store: &EmbeddedStore) -> u64 {
    let run = |tables: &mut Tables<'_>| tables.number("audit_seq");
    store.writer.write(run).await.unwrap()
}

/// How many sources are known, and known by their time.
async fn sources(store: &EmbeddedStore) -> (u64, u64) {
    let run = |tables: &mut Tables<'_>| Ok((tables.sources.len()?, tables.sources_by_time.len()?));
    store.writer.write(run).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_expired_sources_than_fit_a_transaction_are_forgotten_by_the_next_ones() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory);
    let fill = |tables: &mut Tables<'_>| -> Result<(), OperationFailure> {
        for number in 0..30_000 {
            let source = format!("source {number}");
            tables.sources.insert(source.as_str(), 1 + number)?;
            let key = (1 + number, source.as_str());
            tables.sources_by_time.insert(key, ())?;
        }
        let recent = crate::job::Millis::now().0 - SOURCE_RETENTION.as_millis() as u64 / 2;
        tables.sources.insert("recent", recent)?;
        tables.sources_by_time.insert((recent, "recent"), ())?;
        Ok(())
    };
    store.writer.write(fill).await.unwrap();
    for write in 0..3 {
        set(&store, write).await.unwrap();
    }
    assert_eq!(sources(&store).await, (1, 1), "only the recent one is left");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operation_that_panics_fails_alone_and_the_store_goes_on() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory);
    let (begun, may_begin) = mpsc::channel();
    let (go_on, told) = mpsc::channel::<()>();
    let told = parking_lot::Mutex::new(told);
    // Holds the thread until the others wait, so that they share a batch.
    let hold = store.writer.write(move |_| {
        begun.send(()).unwrap();
        told.lock().recv().unwrap();
        Ok(())
    });
    let panics = store
        .writer
        .write(|tables| -> Result<(), OperationFailure> {
            tables.set_number("epoch", 99)?;
            panic!("as a defect would");
        });
    let others = async {
        tokio::task::spawn_blocking(move || may_begin.recv().unwrap())
            .await
            .unwrap();
        let release = async { go_on.send(()).unwrap() };
        // Polled in this order: two have been handed over when the third runs.
        tokio::join!(biased; panics, set(&store, 7), release)
    };
    let (held, (panicked, written, ())) = tokio::join!(hold, others);
    held.unwrap();
    written.unwrap();
    match panicked {
        Err(StoreError::Corrupt(reason)) => assert_eq!(reason, "a defect: as a defect would"),
        other => panic!("{other:?}"),
    }
    assert_eq!(number(&store).await, 7);
    let epoch = store.writer.write(|tables| tables.number("epoch")).await;
    assert_eq!(epoch.unwrap(), 0, "it left something behind");
    store.ping().await.unwrap();
}

/// Panics when it is dropped.
struct Grenade;

impl Drop for Grenade {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            panic!("beside any operation");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_panic_beside_the_operations_opens_the_file_anew_and_loses_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory);
    set(&store, 7).await.unwrap();
    let (begun, may_begin) = mpsc::channel();
    let (go_on, told) = mpsc::channel::<()>();
    let told = parking_lot::Mutex::new(told);
    let mut thrown = Box::pin(store.writer.write(move |_| {
        begun.send(()).unwrap();
        told.lock().recv().unwrap();
        Ok(Grenade)
    }));
    // Handed over; then its caller goes away, so the thread drops the answer.
    let handed = tokio::task::spawn_blocking(move || may_begin.recv().unwrap());
    tokio::select! {
        _ = &mut thrown => unreachable!("it waits"),
        handed = handed => handed.unwrap(),
    }
    drop(thrown);
    go_on.send(()).unwrap();

    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    while set(&store, 8).await.is_err() {
        assert!(
            tokio::time::Instant::now() < deadline,
            "it never writes again"
        );
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(number(&store).await, 8);
    store.ping().await.unwrap();
    let rows = store.rows(crate::job::Table::RequestData, "").await;
    assert!(rows.unwrap().is_empty());
}
