//! Stores that vanish, freeze or fill up in the middle.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use erawan::context::Role;
use erawan::devnet::process::Process;
use erawan::devnet::redis_server::RedisServer;

use crate::append_only_files::Files;
use crate::network::*;

const REQUESTS: u64 = 30;
/// How long Redis is away.
const AWAY: Duration = Duration::from_secs(5);

#[actix_web::test]
async fn no_request_is_lost_when_redis_freezes_for_five_seconds() {
    let net = Net::start(Store::Redis, 2).await;
    let apps = net.apps().await;
    let freezes = async {
        verified(&apps, 5).await;
        let redis = net.redis.as_ref().unwrap();
        redis.freeze().unwrap();
        tokio::time::sleep(AWAY).await;
        redis.thaw().unwrap();
    };
    under_load(&apps, freezes).await;
    net.end(apps).await;
}

#[actix_web::test]
async fn no_request_is_lost_when_redis_is_killed_and_comes_back_after_five_seconds() {
    let mut net = Net::start(Store::Redis, 2).await;
    let apps = net.apps().await;
    let kills = async {
        verified(&apps, 5).await;
        let api = net.api(Role::Rp);
        net.redis.as_mut().unwrap().kill9().unwrap();
        tokio::join!(tokio::time::sleep(AWAY), told_to_try_later(&api),);
        net.redis.as_mut().unwrap().restart().unwrap();
    };
    under_load(&apps, kills).await;
    net.end(apps).await;
}

#[actix_web::test]
async fn a_full_redis_makes_callers_wait_and_loses_nothing() {
    let net = Net::start(Store::Redis, 2).await;
    let apps = net.apps().await;
    let redis = net.redis.as_ref().unwrap();
    let fills = async {
        verified(&apps, 5).await;
        tell(redis, "CONFIG", &["SET", "maxmemory", "1"]).await;
        told_to_try_later(&net.api(Role::Rp)).await;
        tell(redis, "CONFIG", &["SET", "maxmemory", "0"]).await;
    };
    under_load(&apps, fills).await;
    net.end(apps).await;
}

async fn tell(redis: &RedisServer, command: &str, arguments: &[&str]) {
    let client = redis::Client::open(("127.0.0.1", redis.port())).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    let mut command = redis::cmd(command);
    command.arg(arguments);
    command.exec_async(&mut connection).await.unwrap();
}

#[actix_web::test]
async fn a_redis_that_becomes_a_replica_makes_callers_wait_and_loses_nothing() {
    let net = Net::start(Store::Redis, 2).await;
    let apps = net.apps().await;
    let redis = net.redis.as_ref().unwrap();
    let turns = async {
        verified(&apps, 5).await;
        tell(redis, "REPLICAOF", &["127.0.0.1", "1"]).await;
        told_to_try_later(&net.api(Role::Rp)).await;
        tell(redis, "REPLICAOF", &["NO", "ONE"]).await;
    };
    under_load(&apps, turns).await;
    net.end(apps).await;
}

#[actix_web::test]
async fn flushed_scripts_are_loaded_again_and_nobody_notices() {
    let net = Net::start(Store::Redis, 2).await;
    let apps = net.apps().await;
    let redis = net.redis.as_ref().unwrap();
    let flushes = async {
        for _ in 0..10 {
            tell(redis, "SCRIPT", &["FLUSH"]).await;
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    };
    under_load(&apps, flushes).await;
    net.end(apps).await;
}

/// Messages that the IdP's node has received so far.
async fn messages_received(net: &Net) -> f64 {
    let mut received = 0.0;
    for part in &net.network.node(Role::Idp).unwrap().processes {
        let name = "erawan_messages_stored_total";
        received += metric(part, name).await.unwrap_or(0.0);
    }
    received
}

#[actix_web::test]
async fn nodes_go_on_when_redis_lost_its_last_seconds_and_say_so() {
    const LOST: usize = 10;
    let mut net = Net::start(Store::Redis, 2).await;
    let apps = net.apps().await;
    drive(&apps, 5).await;
    let files = Files::of(net.redis.as_ref().unwrap());
    // Answered 202, and then forgotten by Redis: nobody can bring them back.
    let before = messages_received(&net).await;
    let api = net.api(Role::Rp);
    for _ in 0..LOST {
        let answer = call_that_writes(&api).await.unwrap();
        assert_eq!(answer.status(), 202);
    }
    // The ledger and another node have met some of them.
    let is_heard_of = || async { messages_received(&net).await > before };
    eventually("the IdP hears of one", is_heard_of).await;
    let redis = net.redis.as_mut().unwrap();
    redis.kill9().unwrap();
    files.put_back();
    redis.restart().unwrap();

    ready(vec![net.api(Role::Rp)]).await;
    for role in ROLES {
        let master = &net.processes(role)[0];
        let began_anew = || async { metric(master, "erawan_epoch").await > Some(1e12) };
        eventually("the master began anew", began_anew).await;
    }
    let rp = net.processes(Role::Rp);
    let mut setbacks = 0.0;
    for part in rp.iter() {
        let noticed = metric(part, "erawan_store_setbacks_total").await;
        setbacks += noticed.unwrap_or(0.0);
    }
    assert!(setbacks >= 1.0, "nobody noticed");
    drive(&apps, REQUESTS).await;
    let totals = apps.totals();
    assert_eq!(totals.verified, 5 + REQUESTS);
    // What ended in the lost time runs again: an application that is told twice of
    // a request answers twice (docs/guarantees.md), and is refused.
    let is_second_answer =
        |error: &String| error.contains("/idp/response") && error.contains("20081");
    let others: Vec<&String> = totals
        .errors
        .iter()
        .filter(|error| !is_second_answer(error))
        .collect();
    assert_eq!(others, Vec::<&String>::new());
    net.end(apps).await;
}

/// Limits the size of files that a process may write, as a full disk would.
fn limit_files(process: &Process, bytes: &str) {
    let pid = process.pid().unwrap().to_string();
    let status = Command::new("prlimit")
        .args(["--pid", &pid, &format!("--fsize={bytes}:unlimited")])
        .status()
        .unwrap();
    assert!(status.success());
}

#[actix_web::test]
async fn a_full_disk_makes_callers_wait_and_loses_nothing() {
    let mut net = Net::start(Store::Embedded, 2).await;
    let directory = net.network.directory.clone();
    let master = &mut net.processes(Role::Rp)[0];
    // Writing beyond the limit would end the process unless SIGXFSZ is ignored.
    let mut plan = master.process.plan().clone();
    let program = plan.binary.replace(PathBuf::from("/bin/sh")).unwrap();
    let script = format!("trap '' XFSZ; exec '{}'", program.display());
    plan.arguments = vec!["-c".to_owned(), script];
    kill(master).await;
    master.process = Process::start(plan).unwrap();
    let apps = net.apps().await;
    let file = directory.join("data/rp1/erawan.redb");
    let fills = async {
        verified(&apps, 3).await;
        let size = std::fs::metadata(file).unwrap().len();
        limit_files(&net.processes(Role::Rp)[0].process, &size.to_string());
        let api = net.api(Role::Rp);
        fill(&api).await;
        told_to_try_later(&api).await;
        for part in net.processes(Role::Rp) {
            is_unready(part, "takes no writes").await;
        }
        limit_files(&net.processes(Role::Rp)[0].process, "unlimited");
    };
    under_load(&apps, fills).await;
    net.end(apps).await;
}

/// Makes large requests until one is refused because there is no room.
async fn fill(api: &str) {
    let url = format!("{api}/v6/rp/requests/citizen_id/1000000000017");
    let client = plain_client();
    for _ in 0..200 {
        let (_, mut body) = unanswered_request();
        body["request_message"] = "m".repeat(300_000).into();
        let answer = client.post(&url).json(&body).send().await.unwrap();
        if answer.status() == 503 {
            return;
        }
        assert_eq!(answer.status(), 202);
    }
    panic!("the limit has no effect");
}
