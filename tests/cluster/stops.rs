//! Processes told to stop, in every order, under load and idle.

use std::time::{Duration, Instant};

use erawan::context::Role;
use erawan::devnet::network::NodeProcess;
use futures_util::future::join_all;
use nix::sys::signal::Signal;

use crate::network::*;

/// More than `SHUTDOWN_GRACE_MS`.
const GRACE: Duration = Duration::from_secs(28);

/// Tells it to stop, and waits; how long it took.
async fn stops_in_good_order(part: &mut NodeProcess) -> Duration {
    let told = Instant::now();
    part.process.signal(Signal::SIGTERM);
    let status = tokio::time::timeout(GRACE, part.process.wait()).await;
    let status = status.expect("it stops").unwrap();
    assert_eq!(status.code(), Some(0), "{}", part.process.name());
    told.elapsed()
}

/// Waits until a process does its work (again).
async fn works(part: &NodeProcess) {
    if let Some(api) = &part.api {
        ready(vec![api.clone()]).await;
        return;
    }
    eventually("it is the master or stands by", || async {
        let answer = ask(part, "/ready").await;
        answer["ready"] == true
    })
    .await;
}

#[derive(Clone, Copy)]
enum Order {
    WorkerFirst,
    MasterFirst,
    AllAtOnce,
}

/// Stops a node's processes in an order and starts them again.
async fn node_is_stopped(order: Order, processes: &mut [NodeProcess]) {
    match order {
        Order::WorkerFirst => {
            for part in processes.iter_mut().rev() {
                stops_in_good_order(part).await;
            }
        }
        Order::MasterFirst => {
            for part in processes.iter_mut() {
                stops_in_good_order(part).await;
            }
        }
        Order::AllAtOnce => {
            join_all(processes.iter_mut().map(stops_in_good_order)).await;
        }
    }
    for part in processes.iter_mut() {
        start_again(part);
    }
}

/// One node stops in each order, and all go on.
async fn nodes_are_stopped(store: Store) {
    let mut net = Net::start(store, 2).await;
    let apps = net.apps().await;
    let orders = [Order::WorkerFirst, Order::MasterFirst, Order::AllAtOnce];
    let stops = async {
        for (index, (role, order)) in ROLES.into_iter().zip(orders).enumerate() {
            verified(&apps, 5 + 8 * index as u64).await;
            node_is_stopped(order, net.processes(role)).await;
        }
    };
    under_load(&apps, stops).await;
    net.end(apps).await;
}

#[actix_web::test]
async fn a_node_stops_in_any_order_under_load_with_the_embedded_store() {
    nodes_are_stopped(Store::Embedded).await;
}

#[actix_web::test]
async fn a_node_stops_in_any_order_under_load_with_redis() {
    nodes_are_stopped(Store::Redis).await;
}

#[actix_web::test]
async fn an_idle_node_stops_in_any_order_without_waiting() {
    for store in [Store::Embedded, Store::Redis] {
        let mut net = Net::start(store, 2).await;
        let apps = net.apps().await;
        drive(&apps, 3).await;
        for order in [Order::WorkerFirst, Order::MasterFirst, Order::AllAtOnce] {
            let told = Instant::now();
            node_is_stopped(order, net.processes(Role::Rp)).await;
            println!("{store:?}: an idle node stops in {:?}", told.elapsed());
            for part in net.processes(Role::Rp) {
                works(part).await;
            }
        }
        drive(&apps, 3).await;
        assert_all_verified(&apps, 6);
        net.end(apps).await;
    }
}

#[actix_web::test]
async fn a_second_signal_ends_a_process_at_once_and_loses_nothing() {
    let mut net = Net::start(Store::Redis, 2).await;
    let apps = net.apps().await;
    let stops = async {
        for (index, role) in ROLES.into_iter().enumerate() {
            verified(&apps, 5 + 8 * index as u64).await;
            for part in net.processes(role) {
                part.process.signal(Signal::SIGTERM);
                tokio::time::sleep(Duration::from_millis(5)).await;
                part.process.signal(Signal::SIGTERM);
                let told = Instant::now();
                let status = part.process.wait().await.unwrap();
                // It may have come to its end before the second one.
                assert!(matches!(status.code(), Some(0 | 1)), "{status}");
                println!(
                    "{}: {status} after {:?}",
                    part.process.name(),
                    told.elapsed()
                );
                start_again(part);
            }
        }
    };
    under_load(&apps, stops).await;
    net.end(apps).await;
}

#[actix_web::test]
async fn a_stopping_worker_hands_back_what_it_cannot_finish_and_it_goes_on_elsewhere() {
    let mut net = Net::start(Store::Redis, 2).await;
    let apps = net.apps().await;
    // A callback that its receiver never answers runs for a minute.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = silent.local_addr().unwrap();
    let (_, mut body) = unanswered_request();
    body["callback_url"] = format!("http://{address}/silent").into();
    let api = net.api(Role::Rp);
    let url = format!("{api}/v6/rp/requests/{IDENTITY}");
    let answer = plain_client().post(url).json(&body).send().await.unwrap();
    assert_eq!(answer.status(), 202);
    let (first, _) = silent.accept().await.unwrap();
    let apis: Vec<_> = net.network.node(Role::Rp).unwrap().api_urls();
    let workers = &mut net.processes(Role::Rp)[1..];
    let stops = join_all(workers.iter_mut().map(stops_in_good_order));
    let (stops, ()) = tokio::join!(stops, turn_callers_away(&apis));
    println!("workers with a callback under way stop in {stops:?}");
    for worker in workers {
        start_again(worker);
    }
    let again = tokio::time::timeout(Duration::from_secs(60), silent.accept()).await;
    let (second, _) = again.expect("the callback is tried again").unwrap();
    drop((first, second));
    net.end(apps).await;
}

/// Waits until one of these refuses a call because it is stopping, and ends the
/// connection with it, so that the caller's next call goes elsewhere.
async fn turn_callers_away(apis: &[String]) {
    let turns_away = |api: String| async move {
        let Ok(answer) = call_that_writes(&api).await else {
            return false;
        };
        let header = |name: &str| answer.headers().get(name)?.to_str().ok();
        answer.status() == 503 && header("connection") == Some("close")
    };
    eventually("503 and Connection: close", || async {
        let answers = apis.iter().cloned().map(turns_away);
        join_all(answers).await.contains(&true)
    })
    .await;
}

/// Every process one after the other, each when the previous one works again.
async fn a_rolling_restart(mut net: Net) {
    let apps = net.apps().await;
    let is_over = std::cell::Cell::new(false);
    let restarts = async {
        verified(&apps, 5).await;
        for role in ROLES {
            for index in 0..net.processes(role).len() {
                let part = &mut net.processes(role)[index];
                stops_in_good_order(part).await;
                start_again(part);
                works(part).await;
            }
        }
        is_over.set(true);
    };
    let load = apps.drive_while(8, 20.0, |_| is_over.get(), |_| {});
    tokio::join!(load, restarts);
    let totals = assert_all_verified(&apps, apps.begun());
    println!(
        "rolling restart: {} requests, none failed, {} callbacks came again",
        totals.verified, totals.repeated
    );
    net.end(apps).await;
}

#[actix_web::test]
async fn a_rolling_restart_with_standbys_fails_no_call_and_no_request() {
    a_rolling_restart(Net::with_standbys().await).await;
}

#[actix_web::test]
async fn a_rolling_restart_with_the_embedded_store_fails_no_request() {
    a_rolling_restart(Net::start(Store::Embedded, 2).await).await;
}

/// So long a worker still serves calls when it has said that it is not ready.
const DRAIN: Duration = Duration::from_secs(3);

/// A call, and whether its connection ends with the answer.
async fn leads_elsewhere(api: &str) -> bool {
    let answer = call_that_writes(api).await.unwrap();
    assert_eq!(answer.status(), 202);
    answer
        .headers()
        .get("connection")
        .is_some_and(|value| value == "close")
}

#[actix_web::test]
async fn a_leaving_worker_is_not_ready_and_serves_until_the_balancer_has_seen_it() {
    let mut net = Net::with(Store::Redis, 1, |options| {
        let drain = DRAIN.as_millis().to_string();
        options
            .settings
            .push(("SHUTDOWN_DRAIN_MS".to_owned(), drain));
    })
    .await
    .all_ready()
    .await;
    let api = net.api(Role::Rp);
    assert!(!leads_elsewhere(&api).await);
    let worker = &mut net.processes(Role::Rp)[1];
    let told = Instant::now();
    worker.process.signal(Signal::SIGTERM);
    is_unready(worker, "stopping").await;
    let mut served = 0;
    while told.elapsed() < DRAIN - Duration::from_millis(500) {
        assert!(leads_elsewhere(&api).await, "keeps its connection");
        served += 1;
    }
    assert!(served > 0, "it was not asked before its time was over");
    let status = tokio::time::timeout(GRACE, worker.process.wait()).await;
    assert_eq!(status.expect("it stops").unwrap().code(), Some(0));
    assert!(told.elapsed() >= DRAIN);
    start_again(worker);
    // A master has no callers to wait for.
    let master = &mut net.processes(Role::Rp)[0];
    assert!(stops_in_good_order(master).await < DRAIN);
    start_again(master);
    net.close().await;
}
