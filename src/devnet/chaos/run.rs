//! A run of chaos from its first request to its verdict.

use std::cell::Cell;
use std::collections::HashMap;
use std::io::{self, IsTerminal};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use super::hits::{Hits, Range, carry_out};
use super::report::{ChaosReport, Faults};
use super::schedule::{ChaosTarget, schedule};
use super::victims;
use super::watch::Watch;
use crate::devnet::apps::{Apps, Manners, Targets, Totals};
use crate::devnet::demo;
use crate::devnet::mq_record;
use crate::devnet::network::{Network, NetworkNode, NetworkOptions, NodeProcess, StoreOption};
use crate::devnet::redis_server::Durability;
use crate::devnet::report::Report;
use crate::devnet::verdict::{
    Evidence, NodeDependencies, Slowest, ended_before_the_repeat, judge, message_counts,
    read_store, read_transactions,
};
use crate::output;
use crate::store::SharedStore;

/// Most requests per second, so that the machine is busy with faults and not
/// only with requests.
const PACE: f64 = 20.0;
/// How long the nodes may take to finish after the last request has completed.
const SETTLE_PATIENCE: Duration = Duration::from_secs(60);
const SETTLE_POLL: Duration = Duration::from_millis(200);
/// How often message queue services repeat an unacknowledged message. Longer
/// than any fault, as with real ones, which wait a minute.
const RETRANSMIT: Duration = Duration::from_secs(20);
/// A standalone node cannot be asked, so this is how long nothing may have
/// happened.
const QUIET: Duration = Duration::from_secs(3);

#[derive(Debug, Clone)]
pub struct Options {
    /// Gives the faults.
    pub seed: u64,
    /// How many.
    pub faults: usize,
    /// At least this many requests are made; they continue while there are
    /// faults.
    pub requests: u64,
    /// Requests at a time.
    pub concurrency: usize,
}

/// Prepares a network for chaos. Redis forgets nothing that it has acknowledged
/// (docs/guarantees.md has the other case), messages are repeated sooner than
/// after a minute, and with Redis there is a standby unless `masters` says
/// otherwise.
pub fn prepare(network: &mut NetworkOptions, masters: Option<usize>) {
    network.durability = Durability::Always;
    network.retransmit = RETRANSMIT;
    network.record_messages = true;
    network.ledger_switches = true;
    if masters.is_none() && network.workers > 0 && network.store != StoreOption::Embedded {
        network.masters = 2;
    }
}

/// Runs it. Afterwards the nodes have stopped; ledger and Redis still run.
/// # Errors
/// When the network does not start or cannot be read.
pub async fn run(network: &mut Network, targets: Targets, options: &Options) -> io::Result<Report> {
    // Each request has a user of its own, so that identities are created all
    // the time.
    let targets = Targets {
        users: u64::MAX,
        ..targets
    };
    let store = network.store_name();
    let places = places_of(network);
    let rp_id = network.nodes.first().map(|node| node.node_id.clone());
    let manners = Manners::Bad { seed: options.seed };
    let apps = Apps::start_with(targets, manners).await?;
    let before = demo::usage(network);
    let watch = Watch::of(network);
    let (took, hits) = tokio::select! {
        driven = drive(network, &apps, &watch, options) => driven,
        () = watch.run() => unreachable!("the watch never ends"),
    };
    settle(network, &apps).await;
    watch.look().await;
    let totals = apps.totals();
    let mut report = demo::report(apps.begun(), took, totals.clone(), store);
    report.nodes = demo::node_reports(network, &before).await;
    let absences = hits.absences();
    let mut problems = hits.problems;
    let ended = network.ended().into_iter();
    problems.extend(ended.map(|(name, _)| format!("{name} had ended by itself")));
    let stopped = network.stop_nodes().await;
    problems.extend(
        stopped
            .into_iter()
            .map(|(name, end)| format!("{name} did not stop as it should: {end:?}")),
    );
    let tally = watch.tally();
    for process in report.nodes.iter_mut().flat_map(|node| &mut node.processes) {
        process.jobs = tally.jobs(&process.id);
    }
    let mut evidence = Evidence {
        rp_id: rp_id.unwrap_or_default(),
        seen: apps.seen(),
        complaints: totals.errors,
        memory: tally.most_memory().clone(),
        contradictions: tally.contradictions().clone(),
        violations: tally.violations(),
        places,
        absences,
        repetition: RETRANSMIT,
        ..Evidence::default()
    };
    look_at(network, &mut evidence).await;
    apps.stop().await;
    report.chaos = Some(ChaosReport {
        chaos: Faults {
            seed: options.seed,
            events: hits.events,
            problems,
        },
        messages: message_counts(&evidence),
        slowest: Slowest::of(&evidence),
        reruns: tally.reruns(),
        fenced_commits: tally.fenced_commits(),
        ended_before_repeat: ended_before_the_repeat(&evidence),
        guarantees: judge(&evidence),
    });
    Ok(report)
}

/// Runs requests and faults until both are done.
async fn drive(
    network: &mut Network,
    apps: &Apps,
    watch: &Watch,
    options: &Options,
) -> (Duration, Hits) {
    let victims = victims::of(network);
    let targets: Vec<ChaosTarget> = victims.iter().map(|victim| victim.target.clone()).collect();
    let plan = schedule(options.seed, options.faults, &targets);
    let teller = Teller::new(plan.len());
    let are_over = Cell::new(false);
    let range = Range {
        victims: &victims,
        watch,
        apps,
        http: reqwest::Client::new(),
        tell: &|text| teller.hit(text),
    };
    let faults = async {
        let hits = carry_out(&range, &plan).await;
        are_over.set(true);
        hits
    };
    let requests = apps.drive_while(
        options.concurrency,
        PACE,
        |begun| are_over.get() && begun >= options.requests,
        |totals| teller.request(totals),
    );
    let (hits, took) = tokio::join!(faults, requests);
    teller.end();
    (took, hits)
}

/// Reports what happens: a bar on a terminal, otherwise a line for each fault.
struct Teller {
    bar: ProgressBar,
    is_terminal: bool,
    started: Instant,
}

impl Teller {
    fn new(faults: usize) -> Self {
        let is_terminal = io::stderr().is_terminal();
        let bar = if is_terminal {
            // Each fault is reported twice: when it happens, and when it is
            // over.
            ProgressBar::new(2 * faults as u64)
        } else {
            ProgressBar::hidden()
        };
        // The template is a constant of known form.
        let style = ProgressStyle::with_template("{bar:40} {elapsed}  {prefix}  {msg}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        Self {
            bar,
            is_terminal,
            started: Instant::now(),
        }
    }

    fn hit(&self, text: &str) {
        self.bar.inc(1);
        self.bar.set_message(text.to_owned());
        if !self.is_terminal {
            output::note(format_args!(
                "{:>6.1} s  {text}",
                self.started.elapsed().as_secs_f64()
            ));
        }
    }

    fn request(&self, totals: &Totals) {
        let (verified, errors) = (totals.verified, totals.errors.len());
        self.bar
            .set_prefix(format!("{verified} requests, {errors} errors"));
    }

    fn end(&self) {
        self.bar.finish_and_clear();
    }
}

/// Waits until the stores have nothing open, or until what is left counts as
/// stuck.
async fn settle(network: &Network, apps: &Apps) {
    let deadline = Instant::now() + SETTLE_PATIENCE;
    let mut quiet_since = Instant::now();
    let mut callbacks = apps.totals().callbacks;
    let mut stores: HashMap<&str, SharedStore> = HashMap::new();
    while Instant::now() < deadline {
        let mut open = 0;
        for node in &network.nodes {
            let id = node.node_id.as_str();
            if !stores.contains_key(id)
                && let Ok(Some(store)) = network.running_store(node).await
            {
                stores.insert(id, store);
            }
            if let Some(store) = stores.get(id) {
                // A store that does not answer counts as not empty.
                open += store.counts().await.map_or(1, |counts| counts.open);
            }
        }
        let now = apps.totals().callbacks;
        if now != callbacks {
            callbacks = now;
            quiet_since = Instant::now();
        }
        let is_quiet = stores.len() == network.nodes.len() || quiet_since.elapsed() > QUIET;
        if open == 0 && is_quiet {
            return;
        }
        tokio::time::sleep(SETTLE_POLL).await;
    }
}

/// The processes and the store that each node needs to take its messages.
fn places_of(network: &Network) -> Vec<NodeDependencies> {
    let place = |node: &NetworkNode| {
        let named = |parts: &mut dyn Iterator<Item = &NodeProcess>| {
            parts.map(|part| part.process.name().to_owned()).collect()
        };
        let store = match network.redis {
            Some(_) => vec![victims::REDIS.to_owned()],
            // The process that has the file open.
            None => named(&mut node.processes.iter().filter(|part| part.kind != "worker")),
        };
        NodeDependencies {
            node_id: node.node_id.clone(),
            queue: format!("{}-mq", node.node_id),
            processes: named(&mut node.processes.iter()),
            store,
        }
    };
    network.nodes.iter().map(place).collect()
}

/// Reads ledger and stores after the nodes have stopped, and the records of the
/// message queue services.
async fn look_at(network: &Network, evidence: &mut Evidence) {
    for place in &evidence.places {
        match mq_record::read(&network.message_record(&place.node_id)) {
            Ok(noted) => drop(evidence.messages.insert(place.node_id.clone(), noted)),
            Err(error) => {
                let text = format!("the messages of {}: {error}", place.node_id);
                evidence.unseen.push(text);
            }
        }
    }
    match read_transactions(&network.ledger).await {
        Ok(transactions) => evidence.transactions = transactions,
        Err(error) => evidence.unseen.push(format!("the ledger: {error}")),
    }
    for node in &network.nodes {
        let left = async { read_store(network.stopped_store(node).await?.as_ref()).await };
        match left.await {
            Ok(left) => drop(evidence.left.insert(node.node_id.clone(), left)),
            Err(error) => {
                let text = format!("the store of {}: {error}", node.node_id);
                evidence.unseen.push(text);
            }
        }
    }
}
