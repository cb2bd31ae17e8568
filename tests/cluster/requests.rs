//! Requests end to end, with nothing in their way.

use crate::network::*;
use erawan::context::Role;

async fn a_hundred_requests(store: Store, workers: usize) {
    let mut net = Net::start(store, workers).await;
    let apps = net.apps().await;
    drive(&apps, 100).await;
    let totals = assert_all_verified(&apps, 100);
    assert_eq!(totals.repeated, 0);
    for role in ROLES {
        for part in net.processes(role) {
            let runs_jobs = part.kind != "master";
            assert_eq!(jobs_run(part).await > 0, runs_jobs, "{}", part.metrics);
        }
    }
    net.end(apps).await;
}

#[actix_web::test]
async fn a_hundred_requests_complete_on_a_cluster_with_the_embedded_store() {
    a_hundred_requests(Store::Embedded, 2).await;
}

#[actix_web::test]
async fn a_hundred_requests_complete_on_a_cluster_with_redis() {
    a_hundred_requests(Store::Redis, 2).await;
}

#[actix_web::test]
async fn a_hundred_requests_complete_on_standalone_nodes() {
    a_hundred_requests(Store::Embedded, 0).await;
}

#[actix_web::test]
async fn requests_between_nodes_behind_a_proxy_complete() {
    let nodes = ["proxy1", "proxy1_rp4", "proxy1_idp4", "proxy1_as4"];
    let net = Net::with(Store::Embedded, 2, |options| {
        options.nodes = nodes.map(str::to_owned).to_vec();
    })
    .await;
    let apps = net.apps().await;
    drive(&apps, 20).await;
    assert_all_verified(&apps, 20);
    net.end(apps).await;
}

#[actix_web::test]
async fn workers_started_at_the_same_moment_all_serve() {
    let mut net = Net::start(Store::Redis, 2).await;
    let workers = net.processes(Role::Rp);
    for name in ["rp1-worker8", "rp1-worker9"] {
        let worker = another(&workers[1], name);
        workers.push(worker);
    }
    let apps = net.apps().await;
    for url in net.network.node(Role::Rp).unwrap().api_urls() {
        let (_, body) = unanswered_request();
        let url = format!("{url}/v6/rp/requests/citizen_id/1000000000017");
        let answer = plain_client().post(url).json(&body).send().await.unwrap();
        let status = answer.status();
        assert_eq!(status, 202, "{}", answer.text().await.unwrap());
    }
    drive(&apps, 10).await;
    assert_all_verified(&apps, 10);
    net.end(apps).await;
}
