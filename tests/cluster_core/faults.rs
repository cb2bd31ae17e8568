//! What is lost, and what must come of it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use erawan::actors::dispatcher::StopDispatcher;
use erawan::actors::master_link::ChainHook;
use erawan::actors::mastership::Term;
use erawan::cluster::{Link, Master, MasterHandle, Over, Worker};
use erawan::config::MasterAddress;
use erawan::devnet::ports;
use erawan::dispatch::SessionSnapshot;
use erawan::job::{Attempt, Commit, Epoch, Millis, Table, Write};
use erawan::proto::cluster::StoreFrame;
use erawan::proto::cluster::cluster_client::ClusterClient;
use erawan::protocol::client::{FoundMaster, MasterTarget};
use erawan::protocol::message::{Chain, FromMaster, FromWorker, Hello, PROTOCOL_VERSION};
use erawan::store::remote::{self, RemoteStore};
use erawan::store::{Accept, Committed, SharedStore, State, Store};
use erawan::tls::LinkSecurity;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tonic::transport::Endpoint;

use super::memory_store::MemoryStore;
use super::support::*;

/// A connection to `port` that can be cut; nobody else gets its own port then.
async fn cable(port: u16) -> (u16, tokio::task::JoinHandle<()>) {
    let listener = ports::reserve().expect("a port");
    listener.set_nonblocking(true).expect("a socket");
    let listener = TcpListener::from_std(listener).expect("a listener");
    let own = listener.local_addr().expect("bound").port();
    let task = tokio::spawn(async move {
        let mut connections = tokio::task::JoinSet::new();
        while let Ok((mut near, _)) = listener.accept().await {
            connections.spawn(async move {
                if let Ok(mut far) = TcpStream::connect(("127.0.0.1", port)).await {
                    let _ = copy_bidirectional(&mut near, &mut far).await;
                }
            });
        }
    });
    (own, task)
}

#[actix::test]
async fn a_job_of_a_worker_cut_off_runs_elsewhere_and_the_first_attempt_is_fenced() {
    let store = Arc::new(MemoryStore::default());
    let master = master(&store).await;
    let port = master.address().expect("it listens").port();
    let (cut_port, cable) = cable(port).await;
    let (slow, fast) = (Recorder::new(false), Recorder::new(true));
    let first = worker("first", &store, slow.clone(), grpc(cut_port));
    connected(&first).await;
    let jobs = accept(&store, noops(1, 1)).await;
    let id = jobs[0].id();
    first.submit(jobs);
    until("it runs", || async { slow.count() == 1 }).await;

    cable.abort();
    let second = worker("second", &store, fast.clone(), grpc(port));
    all_ended(&store).await;
    assert_eq!(slow.attempts(id), [1]);
    assert_eq!(fast.attempts(id), [2]);
    let late = Attempt { job: id, number: 1 };
    let refused = store.commit(late, Commit::nothing().into()).await;
    assert_eq!(refused, Ok(Committed::Fenced));
    slow.open();
    assert_eq!(store.commits.lock()[&id], 1);
    first.stop().await;
    second.stop().await;
    master.stop().await;
}

#[actix::test]
async fn a_silent_worker_is_given_up() {
    let store = Arc::new(MemoryStore::default());
    let master = master(&store).await;
    let port = master.address().expect("it listens").port();
    // Bytes no longer move, and nobody closes the connection.
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("any port");
    let dead_port = listener.local_addr().expect("bound").port();
    let (freeze, frozen) = tokio::sync::watch::channel(false);
    actix::spawn(async move {
        let (mut near, _) = listener.accept().await.expect("the worker connects");
        let mut far = TcpStream::connect(("127.0.0.1", port)).await.expect("up");
        let mut until_frozen = frozen.clone();
        tokio::select! {
            _ = copy_bidirectional(&mut near, &mut far) => {}
            _ = until_frozen.wait_for(|frozen| *frozen) => std::future::pending().await,
        }
    });
    let slow = Recorder::new(false);
    let first = worker("first", &store, slow.clone(), grpc(dead_port));
    connected(&first).await;
    first.submit(accept(&store, noops(1, 1)).await);
    until("it runs", || async { slow.count() == 1 }).await;
    freeze.send_replace(true);
    until("the master gives it up", || async {
        snapshot(&master).await.sessions.is_empty()
    })
    .await;
    let mut state = first.link_state();
    let lost = state.wait_for(|state| !state.connected);
    let lost = tokio::time::timeout(Duration::from_secs(10), lost).await;
    assert!(lost.is_ok(), "the worker notices as well");
    let second = worker("second", &store, Recorder::new(true), grpc(port));
    all_ended(&store).await;
    first.stop().await;
    second.stop().await;
    master.stop().await;
}

#[actix::test]
async fn a_restarted_master_adopts_what_runs_and_reruns_nothing() {
    let store = Arc::new(MemoryStore::default());
    let first_master = master(&store).await;
    let address = first_master.address().expect("it listens");
    let recorder = Recorder::new(false);
    let worker = worker("worker", &store, recorder.clone(), grpc(address.port()));
    connected(&worker).await;
    let jobs = accept(&store, noops(12, 6)).await;
    let ids: Vec<_> = jobs.iter().map(|job| job.id()).collect();
    worker.submit(jobs);
    until("four run", || async { recorder.count() == 4 }).await;

    first_master.stop().await;
    let mut options = master_options(&store, Some(address));
    options.term = Term::without_end(Epoch(2));
    let second_master = Master::start(options)
        .await
        .expect("the port is free again");
    until("four are adopted", || async {
        snapshot(&second_master).await.jobs.assigned == 4
    })
    .await;
    recorder.open();
    all_ended(&store).await;
    for id in ids {
        assert_eq!(recorder.attempts(id).len(), 1, "{id} ran once");
    }
    worker.stop().await;
    second_master.stop().await;
}

#[actix::test]
async fn what_ended_while_there_was_no_master_is_reported_to_the_next() {
    let store = Arc::new(MemoryStore::default());
    let first_master = master(&store).await;
    let address = first_master.address().expect("it listens");
    let recorder = Recorder::new(false);
    let worker = worker("worker", &store, recorder.clone(), grpc(address.port()));
    connected(&worker).await;
    worker.submit(accept(&store, noops(3, 3)).await);
    until("three run", || async { recorder.count() == 3 }).await;
    first_master.stop().await;
    recorder.open();
    all_ended(&store).await;
    let mut options = master_options(&store, Some(address));
    options.term = Term::without_end(Epoch(2));
    let second_master = Master::start(options)
        .await
        .expect("the port is free again");
    until("all credit is free", || async {
        let sessions = snapshot(&second_master).await.sessions;
        sessions.len() == 1 && sessions[0].run.in_use == 0
    })
    .await;
    assert_eq!(recorder.count(), 3);
    worker.stop().await;
    second_master.stop().await;
}

#[actix::test]
async fn a_worker_of_another_node_is_refused_and_told_why() {
    let store = Arc::new(MemoryStore::default());
    let master = master(&store).await;
    let port = master.address().expect("it listens").port();
    let mut options = worker_options("stranger", &store, Recorder::new(true), grpc(port));
    options.node_id = "node2".to_owned();
    let stranger = Worker::start(options);
    let mut state = stranger.link_state();
    let refused = tokio::time::timeout(
        Duration::from_secs(10),
        state.wait_for(|state| state.refused.is_some()),
    );
    let reason = refused
        .await
        .expect("in time")
        .expect("it lives")
        .refused
        .clone();
    let reason = reason.expect("waited for it");
    assert!(
        reason.contains("node1") && reason.contains("node2"),
        "{reason}"
    );
    assert!(snapshot(&master).await.sessions.is_empty());
    stranger.stop().await;
    master.stop().await;
}

#[actix::test]
async fn a_worker_of_another_protocol_version_is_refused_and_told_why() {
    let store = Arc::new(MemoryStore::default());
    let master = master(&store).await;
    let mut end = master.port().connect().await.expect("it lives");
    let hello = Hello {
        protocol_version: PROTOCOL_VERSION + 7,
        node_id: NODE.to_owned(),
        worker_id: "old".to_owned(),
        version: "old".to_owned(),
        run_capacity: 1,
        delivery_capacity: 1,
        running: Vec::new(),
        seen: Epoch(0),
    };
    end.sender
        .send(FromWorker::Hello(hello))
        .await
        .expect("it listens");
    let Some(FromMaster::Refused { reason }) = end.receiver.recv().await else {
        panic!("not refused");
    };
    let (ours, theirs) = (
        PROTOCOL_VERSION.to_string(),
        (PROTOCOL_VERSION + 7).to_string(),
    );
    assert!(
        reason.contains(&ours) && reason.contains(&theirs),
        "{reason}"
    );
    master.stop().await;
}

#[actix::test]
async fn a_worker_of_another_node_or_version_does_not_get_the_store_and_is_told_why() {
    let store = Arc::new(MemoryStore::default());
    let any = "127.0.0.1:0".parse().expect("an address");
    let mut options = master_options(&store, Some(any));
    let served: SharedStore = store.clone();
    options.store_service = Some(Arc::new(move |calls| {
        Box::pin(remote::serve_stream(served.clone(), calls))
    }));
    let master = Master::start(options).await.expect("any port is free");
    let address = master.address().expect("it listens");
    let endpoint = Endpoint::from_shared(format!("http://{address}")).expect("a URI");
    let channel = endpoint.connect_lazy();
    let own = RemoteStore::connect(channel.clone(), NODE);
    until("it is accepted", || async { own.ping().await.is_ok() }).await;
    let stranger = RemoteStore::connect(channel.clone(), "stranger");
    until("it is told", || async {
        let told = stranger.ping().await.expect_err("not let in").to_string();
        told.contains("stranger") && told.contains(NODE)
    })
    .await;
    // An earlier release says nothing of itself.
    let calls = tokio_stream::empty::<StoreFrame>();
    let refused = ClusterClient::new(channel).store(calls).await;
    let refused = refused.expect_err("not let in");
    let ours = format!("protocol version {PROTOCOL_VERSION}");
    assert_eq!(refused.code(), tonic::Code::FailedPrecondition);
    assert!(refused.message().contains(&ours), "{refused}");
    master.stop().await;
}

/// A master that serves its store, at this address.
async fn master_with_store(store: &Arc<MemoryStore>, address: SocketAddr) -> MasterHandle {
    let mut options = master_options(store, Some(address));
    let served: SharedStore = store.clone();
    options.store_service = Some(Arc::new(move |calls| {
        Box::pin(remote::serve_stream(served.clone(), calls))
    }));
    Master::start(options).await.expect("the port is free")
}

#[actix::test]
async fn a_workers_store_is_that_of_the_master_its_link_has_found_and_of_the_next_one() {
    let nobody = ports::free().expect("a port");
    let places = [127, 126].map(|last| {
        let port = ports::free().expect("a port");
        SocketAddr::from(([127, 0, 0, last], port))
    });
    let addresses = places.map(|place| MasterAddress::new(place.ip().to_string(), place.port()));
    let mut masters = vec![MasterAddress::new("127.0.0.1", nobody)];
    masters.extend(addresses);
    let target = MasterTarget {
        masters: masters.clone(),
        security: LinkSecurity::Open,
    };
    let found = FoundMaster::default();
    let remote = RemoteStore::follow(target, found.subscribe(), NODE);
    let link = Link::Grpc {
        masters,
        security: LinkSecurity::Open,
        found,
        thread: None,
    };
    // Each master has a store of its own, so that the worker can be seen to ask
    // the right one.
    let stores = [Arc::<MemoryStore>::default(), Arc::default()];
    let worker = worker("worker", &stores[0], Recorder::new(true), link);
    for (name, (store, place)) in ["first", "second"].iter().zip(stores.iter().zip(places)) {
        let own_row = Accept {
            writes: vec![Write::put(
                Table::Progress,
                "whose",
                name.as_bytes().to_vec(),
            )],
            ..Accept::default()
        };
        store.accept(own_row).await.expect("the store is up");
        let master = master_with_store(store, place).await;
        until("it asks the master that leads", || async {
            let whose = remote.get(Table::Progress, "whose", "").await;
            whose.is_ok_and(|whose| whose.as_deref() == Some(name.as_bytes()))
        })
        .await;
        master.stop().await;
    }
    worker.stop().await;
}

#[actix::test]
async fn a_worker_that_looks_for_the_file_of_a_master_with_redis_is_told_what_to_set() {
    let store = Arc::new(MemoryStore::default());
    let master = master(&store).await;
    let address = master.address().expect("it listens");
    let endpoint = Endpoint::from_shared(format!("http://{address}")).expect("a URI");
    let worker = RemoteStore::connect(endpoint.connect_lazy(), NODE);
    let is_told = until("it is told", || async {
        let told = worker.ping().await.expect_err("nothing is served");
        told.to_string().contains("set STORE=redis")
    });
    // Each call waits a second for the master.
    let in_time = tokio::time::timeout(Duration::from_secs(20), is_told).await;
    in_time.expect("it is told");
    master.stop().await;
}

#[actix::test]
async fn a_deposed_master_says_so() {
    let store = Arc::new(MemoryStore::default());
    let (now, ttl) = (Millis::now(), Duration::from_secs(60));
    store
        .state
        .lock()
        .acquire_lease(now, "first", ttl, Epoch(0));
    store.state.lock().release_lease("first");
    store
        .state
        .lock()
        .acquire_lease(now, "later", ttl, Epoch(0));
    accept(&store, noops(1, 1)).await;
    let master = master(&store).await;
    let port = master.address().expect("it listens").port();
    let recorder = Recorder::new(true);
    let worker = worker("worker", &store, recorder.clone(), grpc(port));
    // What was open at its start it may assign only after raising the attempt.
    let mut deposed = master.deposed();
    let told = tokio::time::timeout(Duration::from_secs(10), deposed.wait_for(Option::is_some));
    told.await.expect("in time").expect("it lives");
    assert_eq!(recorder.count(), 0);
    worker.stop().await;
    master.stop().await;
}

#[actix::test]
async fn a_master_learns_from_a_worker_that_it_was_deposed() {
    let store = Arc::new(MemoryStore::default());
    let earlier = master(&store).await;
    let any = "127.0.0.1:0".parse().expect("an address");
    let mut options = master_options(&store, Some(any));
    options.term = Term::without_end(Epoch(2));
    let later = Master::start(options).await.expect("any port is free");
    let later_port = later.address().expect("it listens").port();
    let recorder = Recorder::new(true);
    let worker = worker("worker", &store, recorder, grpc(later_port));
    connected(&worker).await;
    assert_eq!(worker.link_state().borrow().epoch, Epoch(2));
    let mut end = earlier.port().connect().await.expect("it lives");
    let hello = Hello {
        protocol_version: PROTOCOL_VERSION,
        node_id: NODE.to_owned(),
        worker_id: "another".to_owned(),
        version: "test".to_owned(),
        run_capacity: 1,
        delivery_capacity: 1,
        running: Vec::new(),
        seen: Epoch(2),
    };
    let sent = end.sender.send(FromWorker::Hello(hello)).await;
    sent.expect("it listens");
    let mut deposed = earlier.deposed();
    let told = tokio::time::timeout(Duration::from_secs(10), deposed.wait_for(Option::is_some));
    assert_eq!(
        *told.await.expect("in time").expect("it lives"),
        Some(Epoch(2))
    );
    assert_eq!(end.receiver.recv().await, None, "no welcome");
    assert!(snapshot(&earlier).await.sessions.is_empty());
    worker.stop().await;
    earlier.stop().await;
    later.stop().await;
}

#[actix::test]
async fn a_master_whose_term_is_over_assigns_nothing() {
    let store = Arc::new(MemoryStore::default());
    let any = "127.0.0.1:0".parse().expect("an address");
    let options = master_options(&store, Some(any));
    let term = options.term.clone();
    let master = Master::start(options).await.expect("any port is free");
    let port = master.address().expect("it listens").port();
    let recorder = Recorder::new(true);
    let worker = worker("worker", &store, recorder.clone(), grpc(port));
    connected(&worker).await;
    worker.submit(accept(&store, noops(1, 1)).await);
    all_ended(&store).await;
    // As the clock ends it while the process is stopped: nobody says anything.
    term.end();
    let jobs = accept(&store, noops(1, 1)).await;
    let ids = [jobs[0].id()];
    worker.submit(jobs);
    until(
        "the job is taken back from the worker that did not get it",
        || async {
            let found = store.jobs(&ids).await.expect("the store is up");
            found[0].as_ref().is_some_and(|job| job.attempt == 2)
        },
    )
    .await;
    // The worker comes back, and nothing but the term stands between the two.
    until("the worker is free and the job is ready", || async {
        let seen = snapshot(&master).await;
        let is_free = |session: &SessionSnapshot| !session.draining && session.run.in_use == 0;
        seen.sessions.iter().any(is_free) && seen.jobs.ready == 1
    })
    .await;
    assert_eq!(recorder.count(), 1);
    worker.stop().await;
    master.stop().await;
}

#[actix::test]
async fn a_worker_finds_the_master_beside_addresses_that_are_silent_or_closed() {
    let store = Arc::new(MemoryStore::default());
    let master = master(&store).await;
    let port = master.address().expect("it listens").port();
    // Takes connections and says nothing, as a process that is stopped.
    let silent = TcpListener::bind("127.0.0.1:0").await.expect("any port");
    let closed = TcpListener::bind("127.0.0.1:0").await.expect("any port");
    let address = |listener: &TcpListener| {
        let port = listener.local_addr().expect("bound").port();
        MasterAddress::new("127.0.0.1", port)
    };
    let masters = vec![
        address(&silent),
        address(&closed),
        MasterAddress::new("no-such-host.invalid", 1),
        MasterAddress::new("127.0.0.1", port),
    ];
    drop(closed);
    let begun = std::time::Instant::now();
    let link = Link::Grpc {
        masters,
        security: LinkSecurity::Open,
        found: FoundMaster::default(),
        thread: None,
    };
    let worker = worker("worker", &store, Recorder::new(true), link);
    connected(&worker).await;
    println!("found after {:?}", begun.elapsed());
    worker.stop().await;
    master.stop().await;
}

#[actix::test]
async fn what_a_worker_cannot_finish_starts_elsewhere_under_a_higher_attempt() {
    let store = Arc::new(MemoryStore::default());
    let master = master(&store).await;
    let port = master.address().expect("it listens").port();
    let (stuck, free) = (Recorder::new(false), Recorder::new(true));
    let first = worker("first", &store, stuck.clone(), grpc(port));
    connected(&first).await;
    let jobs = accept(&store, noops(3, 3)).await;
    let ids: Vec<_> = jobs.iter().map(|job| job.id()).collect();
    first.submit(jobs);
    until("three run", || async { stuck.count() == 3 }).await;
    let second = worker("second", &store, free.clone(), grpc(port));
    connected(&second).await;
    assert!(!first.drain(Duration::from_millis(50)).await);
    first.abandon().await;
    all_ended(&store).await;
    for id in ids {
        // The first may have had its effect outside, and may go on for a moment.
        assert_eq!(free.attempts(id), [2]);
    }
    first.stop().await;
    second.stop().await;
    master.stop().await;
}

#[actix::test]
async fn a_master_whose_dispatcher_has_ended_does_not_go_on() {
    let store = Arc::new(MemoryStore::default());
    let master = master(&store).await;
    let over = master.over();
    let stopped = master.dispatcher().send(StopDispatcher);
    stopped.await.expect("it lives until then");
    let over = tokio::time::timeout(Duration::from_secs(10), over).await;
    assert_eq!(over.expect("in time"), Over::Ended("the dispatcher"));
    master.stop().await;
}

/// Ends the actor that tells it of the ledger.
struct Panics;

impl ChainHook for Panics {
    fn chain_changed(&self, _: &Chain) {
        panic!("a defect in an actor");
    }
}

#[actix::test]
async fn a_worker_whose_link_has_ended_by_a_defect_does_not_go_on() {
    let store = Arc::new(MemoryStore::default());
    let master = master(&store).await;
    let port = master.address().expect("it listens").port();
    let mut options = worker_options("worker", &store, Recorder::new(true), grpc(port));
    options.chain_hook = Arc::new(Panics);
    let worker = Worker::start(options);
    let ended = tokio::time::timeout(Duration::from_secs(10), worker.ended());
    ended.await.expect("in time");
    until("the master has no worker", || async {
        snapshot(&master).await.sessions.is_empty()
    })
    .await;
    worker.stop().await;
    master.stop().await;
}

#[actix::test]
async fn a_worker_that_cannot_say_what_became_of_a_job_ends_and_the_job_runs_elsewhere() {
    let store = Arc::new(MemoryStore::default());
    let master = master(&store).await;
    let port = master.address().expect("it listens").port();
    let first = worker("first", &store, Recorder::new(true), grpc(port));
    connected(&first).await;
    store.panic_at_next_commit.store(true, Ordering::SeqCst);
    let jobs = accept(&store, noops(1, 1)).await;
    let id = jobs[0].id();
    first.submit(jobs);
    let ended = tokio::time::timeout(Duration::from_secs(10), first.ended());
    ended.await.expect("in time");
    let recorder = Recorder::new(true);
    let second = worker("second", &store, recorder.clone(), grpc(port));
    all_ended(&store).await;
    assert_eq!(recorder.attempts(id), [2]);
    first.stop().await;
    second.stop().await;
    master.stop().await;
}
