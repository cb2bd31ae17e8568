//! Masters that die, freeze and lose their store, and standbys that take over.

use std::cell::Cell;
use std::time::{Duration, Instant};

use erawan::context::Role;
use erawan::devnet::network::NodeProcess;
use erawan::devnet::process::Process;
use erawan::devnet::redis_server::RedisServer;
use nix::sys::signal::Signal;

use crate::cable::Cable;
use crate::network::*;

/// More than a lease lasts.
const FROZEN: Duration = Duration::from_secs(6);
/// How many masters a node has here; they come first among its processes.
const MASTERS: usize = 2;

async fn role_of(part: &NodeProcess) -> String {
    let health = ask(part, "/health").await;
    health["role"].as_str().unwrap_or_default().to_owned()
}

/// Waits until one process is the master and the other stands by; which is.
async fn settled(net: &mut Net, role: Role) -> usize {
    let master = Cell::new(None);
    let masters = &net.processes(role)[..MASTERS];
    eventually("one master and one standby", || async {
        let roles = [role_of(&masters[0]).await, role_of(&masters[1]).await];
        master.set(roles.iter().position(|role| role == "master"));
        master.get().is_some() && roles.iter().any(|role| role == "standby")
    })
    .await;
    master.get().unwrap()
}

/// Waits until this process is the master; how long it took.
async fn leads(part: &NodeProcess) -> Duration {
    let since = Instant::now();
    eventually("it is the master", || async {
        role_of(part).await == "master"
    })
    .await;
    since.elapsed()
}

async fn stands_by(part: &NodeProcess) {
    eventually("it stands by", || async {
        role_of(part).await == "standby"
    })
    .await;
}

/// Waits until workers run more jobs than before; how long it took.
async fn work_goes_on(workers: &[NodeProcess]) -> Duration {
    let since = Instant::now();
    let all = || async {
        let mut all = 0;
        for worker in workers {
            all += jobs_run(worker).await;
        }
        all
    };
    let before = all().await;
    eventually("workers have work", || async { all().await > before }).await;
    since.elapsed()
}

fn log_of(part: &NodeProcess) -> String {
    std::fs::read_to_string(part.process.log()).unwrap()
}

#[actix_web::test]
async fn a_standby_says_what_it_is_and_takes_over_when_the_master_is_killed() {
    let mut net = Net::with_standbys().await;
    let apps = net.apps().await;
    let master = settled(&mut net, Role::Rp).await;
    let standby = &net.processes(Role::Rp)[1 - master];
    assert!(log_of(standby).contains("standing by"));
    let ready = ask(standby, "/ready").await;
    assert_eq!(
        (&ready["ready"], &ready["role"]),
        (&true.into(), &"standby".into())
    );
    assert_eq!(metric(standby, "erawan_is_master").await, Some(0.0));
    let first = &net.processes(Role::Rp)[master];
    assert_eq!(metric(first, "erawan_is_master").await, Some(1.0));
    let epoch = metric(first, "erawan_epoch").await.unwrap();
    let kills = async {
        verified(&apps, 8).await;
        let processes = net.processes(Role::Rp);
        let killed = Instant::now();
        kill(&mut processes[master]).await;
        let took = leads(&processes[1 - master]).await;
        work_goes_on(&processes[MASTERS..]).await;
        println!(
            "kill -9: the standby is the master after {took:?}, its workers work after {:?}",
            killed.elapsed()
        );
        let later = metric(&processes[1 - master], "erawan_epoch").await;
        assert!(later.unwrap() > epoch);
        start_again(&mut processes[master]);
        stands_by(&processes[master]).await;
    };
    under_load(&apps, kills).await;
    net.end(apps).await;
}

#[actix_web::test]
async fn a_standby_takes_over_when_the_master_stops_in_good_order() {
    let mut net = Net::with_standbys().await;
    let apps = net.apps().await;
    let stops = async {
        for (index, role) in ROLES.into_iter().enumerate() {
            verified(&apps, 5 + 8 * index as u64).await;
            let master = settled(&mut net, role).await;
            let processes = net.processes(role);
            let told = Instant::now();
            processes[master].process.signal(Signal::SIGTERM);
            leads(&processes[1 - master]).await;
            println!(
                "SIGTERM: the standby is the master after {:?}",
                told.elapsed()
            );
            let status = processes[master].process.wait().await.unwrap();
            assert_eq!(status.code(), Some(0));
            start_again(&mut processes[master]);
        }
    };
    under_load(&apps, stops).await;
    net.end(apps).await;
}

#[actix_web::test]
async fn a_master_that_was_frozen_for_longer_than_its_lease_assigns_nothing_and_stands_by() {
    let mut net = Net::with_standbys().await;
    let apps = net.apps().await;
    let master = settled(&mut net, Role::Rp).await;
    let processes = net.processes(Role::Rp);
    // Nothing is going on, so that the count is the last before the freeze.
    let assigned = async |part: &NodeProcess| metric(part, "erawan_jobs_assigned_total").await;
    let before = Cell::new(None);
    eventually("it is idle", || async {
        let last = assigned(&processes[master]).await;
        tokio::time::sleep(Duration::from_millis(500)).await;
        before.set(assigned(&processes[master]).await);
        last.is_some() && last == before.get()
    })
    .await;
    let (frozen, other) = (&processes[master], &processes[1 - master]);
    frozen.process.signal(Signal::SIGSTOP);
    let thaws = async {
        leads(other).await;
        verified(&apps, 5).await;
        tokio::time::sleep(FROZEN).await;
        frozen.process.signal(Signal::SIGCONT);
        stands_by(frozen).await;
        let says_so = || async { log_of(frozen).contains("no longer the master: standing by") };
        eventually("it says so", says_so).await;
        work_goes_on(&processes[MASTERS..]).await;
        assert_eq!(
            assigned(frozen).await,
            before.get(),
            "it assigned something"
        );
    };
    under_load(&apps, thaws).await;
    // It can be the master again.
    let processes = net.processes(Role::Rp);
    kill(&mut processes[1 - master]).await;
    leads(&processes[master]).await;
    drive(&apps, 5).await;
    assert_all_verified(&apps, apps.begun());
    start_again(&mut net.processes(Role::Rp)[1 - master]);
    net.end(apps).await;
}

#[actix_web::test]
async fn a_master_that_is_cut_off_from_redis_stands_by_when_it_is_back() {
    let mut net = Net::with_standbys().await;
    let apps = net.apps().await;
    let redis = net.redis.as_ref().unwrap().port();
    let cable = Cable::to(redis).await;
    let first = settled(&mut net, Role::Rp).await;
    let processes = net.processes(Role::Rp);
    // The standby gets the cable, and then becomes the master.
    let cut = 1 - first;
    processes[cut].process.kill().await;
    let mut plan = processes[cut].process.plan().clone();
    for (variable, value) in &mut plan.environment {
        if variable == "DB_PORT" {
            *value = cable.port.to_string();
        }
    }
    processes[cut].process = Process::start(plan).unwrap();
    stands_by(&processes[cut]).await;
    processes[first].process.signal(Signal::SIGTERM);
    processes[first].process.wait().await.unwrap();
    leads(&processes[cut]).await;
    start_again(&mut processes[first]);
    stands_by(&processes[first]).await;
    let cuts = async {
        verified(&apps, 5).await;
        cable.cut();
        leads(&processes[first]).await;
        stands_by(&processes[cut]).await;
        work_goes_on(&processes[MASTERS..]).await;
        cable.lead_to(redis);
    };
    under_load(&apps, cuts).await;
    let processes = net.processes(Role::Rp);
    kill(&mut processes[first]).await;
    leads(&processes[cut]).await;
    drive(&apps, 5).await;
    assert_all_verified(&apps, apps.begun());
    start_again(&mut net.processes(Role::Rp)[first]);
    net.end(apps).await;
}

#[actix_web::test]
async fn a_standby_whose_port_is_held_when_it_takes_over_waits_for_it() {
    let mut net = Net::with_standbys().await;
    let apps = net.apps().await;
    let master = settled(&mut net, Role::Rp).await;
    let processes = net.processes(Role::Rp);
    let standby = 1 - master;
    let environment = &processes[standby].process.plan().environment;
    let port = environment
        .iter()
        .find_map(|(name, value)| (name == "MASTER_SERVER_PORT").then(|| value.parse::<u16>()))
        .unwrap()
        .unwrap();
    let held = std::net::TcpListener::bind(("0.0.0.0", port)).unwrap();
    let takes_over = async {
        verified(&apps, 5).await;
        kill(&mut processes[master]).await;
        let has_tried = || async { log_of(&processes[standby]).contains("cannot listen on") };
        eventually("it has tried", has_tried).await;
        drop(held);
        let took = leads(&processes[standby]).await;
        println!("the standby is the master {took:?} after its port is free");
        work_goes_on(&processes[MASTERS..]).await;
    };
    under_load(&apps, takes_over).await;
    start_again(&mut net.processes(Role::Rp)[master]);
    net.end(apps).await;
}

#[actix_web::test]
async fn of_two_masters_started_at_the_same_moment_one_leads() {
    let mut net = Net::with_standbys().await;
    let apps = net.apps().await;
    for _ in 0..3 {
        let processes = net.processes(Role::Rp);
        for part in &mut processes[..MASTERS] {
            kill(part).await;
        }
        for part in &mut processes[..MASTERS] {
            start_again(part);
        }
        settled(&mut net, Role::Rp).await;
    }
    drive(&apps, 5).await;
    assert_all_verified(&apps, 5);
    net.end(apps).await;
}

#[actix_web::test]
async fn a_second_master_of_an_embedded_store_says_why_it_stops() {
    let mut net = Net::start(Store::Embedded, 1).await;
    let apps = net.apps().await;
    let mut second = another(&net.processes(Role::Rp)[0], "rp1-second");
    let status = second.process.wait().await.unwrap();
    assert_ne!(status.code(), Some(0));
    let log = log_of(&second);
    for part in ["erawan.redb", "another process has it open", "STORE=redis"] {
        assert!(log.contains(part), "{part}: {log}");
    }
    drive(&apps, 3).await;
    assert_all_verified(&apps, 3);
    net.end(apps).await;
}

#[actix_web::test]
async fn a_new_master_of_a_redis_that_has_forgotten_its_epochs_leads_soon() {
    let mut net = Net::start(Store::Redis, 1).await;
    let apps = net.apps().await;
    drive(&apps, 3).await;
    // After a restart of Redis epochs go by its clock, and workers see one.
    net.redis.as_mut().unwrap().restart().unwrap();
    let master = &net.processes(Role::Rp)[0];
    eventually("the master has begun anew", || async {
        metric(master, "erawan_epoch").await > Some(1e12)
    })
    .await;
    drive(&apps, 3).await;
    kill(&mut net.processes(Role::Rp)[0]).await;
    // As in a backup from before.
    forget_epochs(net.redis.as_ref().unwrap(), "rp1").await;
    let processes = net.processes(Role::Rp);
    start_again(&mut processes[0]);
    let begun = Instant::now();
    let goes_on = async {
        work_goes_on(&net.processes(Role::Rp)[1..]).await;
        println!("its workers work after {:?}", begun.elapsed());
    };
    under_load(&apps, goes_on).await;
    assert!(metric(&net.processes(Role::Rp)[0], "erawan_epoch").await > Some(1e12));
    net.end(apps).await;
}

async fn forget_epochs(server: &RedisServer, node_id: &str) {
    let client = redis::Client::open(("127.0.0.1", server.port())).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    let mut command = redis::cmd("HSET");
    command.arg(format!("{{erawan:{node_id}}}:lease"));
    command.arg("epoch").arg(1);
    command.exec_async(&mut connection).await.unwrap();
}

/// They share a data directory, as two processes on one machine do.
#[actix_web::test]
async fn of_two_standalone_processes_of_a_node_one_leads_and_the_other_takes_over() {
    let mut net = Net::start(Store::Redis, 0).await;
    let second = another(&net.processes(Role::Rp)[0], "rp1-second");
    stands_by(&second).await;
    net.processes(Role::Rp).push(second);
    let apps = net.apps().await;
    let socket = net.network.directory.join("data/rp1/erawan.sock");
    let operators_are_heard = || async { tokio::net::UnixStream::connect(&socket).await.is_ok() };
    eventually("operators are heard", operators_are_heard).await;
    let processes = net.processes(Role::Rp);
    let dies_and_stops = async {
        verified(&apps, 5).await;
        kill(&mut processes[0]).await;
        let leads = || async { role_of(&processes[1]).await == "standalone" };
        eventually("the second leads", leads).await;
        eventually("operators are heard", operators_are_heard).await;
        start_again(&mut processes[0]);
        stands_by(&processes[0]).await;
        // And back, in good order: a leaving process removes only its own socket.
        processes[1].process.signal(Signal::SIGTERM);
        let leads = || async { role_of(&processes[0]).await == "standalone" };
        eventually("the first leads again", leads).await;
        let status = processes[1].process.wait().await.unwrap();
        assert_eq!(status.code(), Some(0));
        eventually("operators are heard", operators_are_heard).await;
    };
    under_load(&apps, dies_and_stops).await;
    start_again(&mut net.processes(Role::Rp)[1]);
    net.end(apps).await;
}
