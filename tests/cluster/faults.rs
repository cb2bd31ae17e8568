//! Processes killed with SIGKILL in the middle of everything.

use std::time::{Duration, Instant};

use erawan::context::Role;
use futures_util::future::join_all;
use nix::sys::signal::Signal;

use crate::network::*;

/// How long a master is away.
const AWAY: Duration = Duration::from_millis(1500);

async fn a_worker_is_killed(store: Store) {
    let mut net = Net::start(store, 2).await;
    let apps = net.apps().await;
    let kills = async {
        for (index, role) in ROLES.into_iter().enumerate() {
            verified(&apps, 5 + 8 * index as u64).await;
            let mut worker = net.processes(role).pop().unwrap();
            kill(&mut worker).await;
        }
    };
    under_load(&apps, kills).await;
    net.end(apps).await;
}

#[actix_web::test]
async fn no_request_is_lost_when_a_worker_of_each_node_is_killed_with_the_embedded_store() {
    a_worker_is_killed(Store::Embedded).await;
}

#[actix_web::test]
async fn no_request_is_lost_when_a_worker_of_each_node_is_killed_with_redis() {
    a_worker_is_killed(Store::Redis).await;
}

/// Two seconds, counted in requests: where the machine is slow at everything,
/// fewer are begun.
#[actix_web::test]
async fn a_worker_added_under_load_has_work_within_two_seconds() {
    let mut net = Net::start(Store::Embedded, 1).await;
    let apps = net.apps().await;
    let adds = async {
        verified(&apps, 5).await;
        let workers = net.processes(Role::Rp);
        let added = another(&workers[1], "rp1-worker9");
        ready(vec![added.api.clone().unwrap()]).await;
        let before = apps.begun();
        let works = || async { jobs_run(&added).await > 0 };
        eventually("the added worker has work", works).await;
        let meanwhile = apps.begun() - before;
        assert!(meanwhile as f64 <= 2.0 * PACE, "after {meanwhile} requests");
        workers.push(added);
    };
    under_load(&apps, adds).await;
    net.end(apps).await;
}

#[actix_web::test]
async fn with_redis_calls_are_accepted_while_every_master_is_away() {
    let mut net = Net::start(Store::Redis, 2).await;
    let apps = net.apps().await;
    let kills = async {
        verified(&apps, 5).await;
        for role in ROLES {
            kill(&mut net.processes(role)[0]).await;
        }
        let killed = Instant::now();
        let url = format!(
            "{}/v6/rp/requests/citizen_id/1000000000017",
            net.api(Role::Rp)
        );
        for _ in 0..5 {
            let (_, body) = unanswered_request();
            let answer = plain_client().post(&url).json(&body).send().await.unwrap();
            assert_eq!(answer.status(), 202);
        }
        tokio::time::sleep_until((killed + AWAY).into()).await;
        for role in ROLES {
            start_again(&mut net.processes(role)[0]);
        }
    };
    under_load(&apps, kills).await;
    net.end(apps).await;
}

#[actix_web::test]
async fn with_the_embedded_store_callers_are_told_to_try_later_while_the_master_is_away() {
    let mut net = Net::start(Store::Embedded, 2).await;
    let apps = net.apps().await;
    let kills = async {
        verified(&apps, 5).await;
        for role in ROLES {
            kill(&mut net.processes(role)[0]).await;
        }
        let killed = Instant::now();
        told_to_try_later(&net.api(Role::Rp)).await;
        tokio::time::sleep_until((killed + AWAY).into()).await;
        for role in ROLES {
            start_again(&mut net.processes(role)[0]);
        }
    };
    under_load(&apps, kills).await;
    net.end(apps).await;
}

/// One node after the other loses all its processes at once.
async fn whole_nodes_are_killed(store: Store, workers: usize) {
    let mut net = Net::start(store, workers).await;
    let apps = net.apps().await;
    let kills = async {
        for (index, role) in ROLES.into_iter().enumerate() {
            verified(&apps, 5 + 8 * index as u64).await;
            let parts = net.processes(role);
            for part in parts.iter() {
                part.process.signal(Signal::SIGKILL);
            }
            join_all(parts.iter_mut().map(kill)).await;
            parts.iter_mut().for_each(start_again);
        }
    };
    under_load(&apps, kills).await;
    net.end(apps).await;
}

#[actix_web::test]
async fn no_request_is_lost_when_all_of_a_node_is_killed_with_the_embedded_store() {
    whole_nodes_are_killed(Store::Embedded, 2).await;
}

#[actix_web::test]
async fn no_request_is_lost_when_all_of_a_node_is_killed_with_redis() {
    whole_nodes_are_killed(Store::Redis, 2).await;
}

#[actix_web::test]
async fn no_request_is_lost_when_standalone_nodes_are_killed() {
    whole_nodes_are_killed(Store::Embedded, 0).await;
}
