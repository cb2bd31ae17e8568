//! Reads counters and memory of the nodes' processes while they live. A killed
//! process takes its counters with it, so they are read steadily and added up
//! over its lives.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures_util::future::join_all;
use parking_lot::Mutex;
use reqwest::Client;

use crate::devnet::network::Network;
use crate::devnet::process::usage_of;

const INTERVAL: Duration = Duration::from_millis(500);
const TIMEOUT: Duration = Duration::from_millis(400);

/// Counters that are added up.
const COUNTERS: [&str; 4] = [
    "erawan_jobs_total",
    "erawan_jobs_rerun_total",
    "erawan_commits_fenced_total",
    "erawan_invariant_violations_total",
];
const IS_MASTER: &str = "erawan_is_master";

/// A process that is watched.
struct Watched {
    name: String,
    node_id: String,
    metrics: String,
}

/// Reads metrics and memory.
pub struct Watch {
    http: Client,
    watched: Vec<Watched>,
    pids: Mutex<BTreeMap<String, u32>>,
    tally: Mutex<HitTally>,
}

impl Watch {
    /// Watches the nodes' processes.
    pub fn of(network: &Network) -> Self {
        let parts = network
            .nodes
            .iter()
            .flat_map(|node| node.processes.iter().map(move |part| (node, part)));
        let mut pids = BTreeMap::new();
        let mut watched = Vec::new();
        for (node, part) in parts {
            let name = part.process.name().to_owned();
            pids.extend(part.process.pid().map(|pid| (name.clone(), pid)));
            watched.push(Watched {
                name,
                node_id: node.node_id.clone(),
                metrics: part.metrics.clone(),
            });
        }
        Self {
            http: Client::new(),
            watched,
            pids: Mutex::new(pids),
            tally: Mutex::default(),
        }
    }

    /// Reads everything repeatedly; never ends.
    pub async fn run(&self) {
        loop {
            let next = tokio::time::Instant::now() + INTERVAL;
            self.look().await;
            tokio::time::sleep_until(next).await;
        }
    }

    /// Reads everything once.
    pub async fn look(&self) {
        let mut round = Round::default();
        let pages = join_all(self.watched.iter().map(|part| self.page(part))).await;
        for (part, page) in self.watched.iter().zip(pages) {
            if page.as_ref().is_some_and(|page| page.claims_mastership) {
                let claims = round.masters.entry(part.node_id.clone()).or_default();
                claims.insert(part.name.clone());
            }
            self.note(&part.name, page);
        }
        self.tally.lock().end_of_round(round);
    }

    /// Reads one process's counters, just before it is hit.
    pub async fn look_at(&self, name: &str) {
        if let Some(part) = self.watched.iter().find(|part| part.name == name) {
            let page = self.page(part).await;
            self.note(name, page);
        }
    }

    fn note(&self, name: &str, page: Option<Page>) {
        let memory = self.pids.lock().get(name).copied().and_then(usage_of);
        let mut tally = self.tally.lock();
        if let Some(page) = page {
            tally.read(name, page.counters);
        }
        if let Some(memory) = memory {
            tally.memory(name, memory.rss_mb);
        }
    }

    async fn page(&self, part: &Watched) -> Option<Page> {
        let call = self.http.get(&part.metrics).timeout(TIMEOUT);
        let text = call.send().await.ok()?.text().await.ok()?;
        Some(Page::parse(&text))
    }

    /// A process was started again: its counters begin at zero.
    pub fn started_again(&self, name: &str, pid: Option<u32>) {
        if let Some(pid) = pid {
            self.pids.lock().insert(name.to_owned(), pid);
        }
        self.tally.lock().begin_anew(name);
    }

    /// Sums so far.
    pub fn tally(&self) -> HitTally {
        self.tally.lock().clone()
    }
}

/// The wanted values of a page of metrics.
#[derive(Debug, Default, PartialEq)]
struct Page {
    counters: BTreeMap<&'static str, u64>,
    claims_mastership: bool,
}

impl Page {
    fn parse(text: &str) -> Self {
        let mut page = Page::default();
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let Some((series, value)) = line.rsplit_once(' ') else {
                continue;
            };
            let Ok(value) = value.parse::<f64>() else {
                continue;
            };
            let name = series.split('{').next().unwrap_or(series);
            if let Some(counter) = COUNTERS.iter().find(|counter| **counter == name) {
                *page.counters.entry(counter).or_default() += value as u64;
            }
            page.claims_mastership |= name == IS_MASTER && value == 1.0;
        }
        page
    }
}

/// Which processes claimed to be master when all were asked at about the same
/// time.
#[derive(Debug, Default)]
struct Round {
    masters: BTreeMap<String, BTreeSet<String>>,
}

/// Sums over all lives of the processes.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct HitTally {
    /// Of lives that have ended.
    ended: BTreeMap<(String, &'static str), u64>,
    /// Of those that run.
    living: BTreeMap<(String, &'static str), u64>,
    memory: BTreeMap<String, f64>,
    /// Nodes whose masters contradicted each other in the last round.
    doubted: BTreeSet<String>,
    contradictions: BTreeSet<String>,
}

impl HitTally {
    fn read(&mut self, process: &str, counters: BTreeMap<&'static str, u64>) {
        for (counter, value) in counters {
            self.living.insert((process.to_owned(), counter), value);
        }
    }

    fn begin_anew(&mut self, process: &str) {
        let (over, living) = std::mem::take(&mut self.living)
            .into_iter()
            .partition(|((name, _), _)| name == process);
        let over: BTreeMap<_, u64> = over;
        self.living = living;
        for (key, value) in over {
            *self.ended.entry(key).or_default() += value;
        }
    }

    fn memory(&mut self, process: &str, mb: f64) {
        let most = self.memory.entry(process.to_owned()).or_default();
        *most = most.max(mb);
    }

    /// Two that claim to be master in one round may have changed places between
    /// the two questions. In two rounds in a row, both believe it.
    fn end_of_round(&mut self, round: Round) {
        let mut doubted = BTreeSet::new();
        for (node_id, claims) in round.masters {
            if claims.len() < 2 {
                continue;
            }
            if self.doubted.contains(&node_id) {
                let names: Vec<String> = claims.into_iter().collect();
                let text = format!("{} were masters at one time", names.join(" and "));
                self.contradictions.insert(text);
            }
            doubted.insert(node_id);
        }
        self.doubted = doubted;
    }

    fn sum(&self, counter: &str) -> u64 {
        let all = self.ended.iter().chain(&self.living);
        all.filter(|((_, name), _)| *name == counter)
            .map(|(_, value)| value)
            .sum()
    }

    /// Jobs given to another worker because theirs was given up.
    pub fn reruns(&self) -> u64 {
        self.sum("erawan_jobs_rerun_total")
    }

    /// Commits the store refused because another attempt owned the job.
    pub fn fenced_commits(&self) -> u64 {
        self.sum("erawan_commits_fenced_total")
    }

    /// Violations of an invariant that the processes noticed themselves.
    pub fn violations(&self) -> u64 {
        self.sum("erawan_invariant_violations_total")
    }

    /// Jobs a process has run in all its lives.
    pub fn jobs(&self, process: &str) -> u64 {
        let all = self.ended.iter().chain(&self.living);
        all.filter(|((name, counter), _)| name == process && *counter == COUNTERS[0])
            .map(|(_, value)| value)
            .sum()
    }

    /// Most resident memory of each process, in MB (10^6 bytes).
    pub fn most_memory(&self) -> &BTreeMap<String, f64> {
        &self.memory
    }

    /// Times at which two processes of a node believed to be its master.
    pub fn contradictions(&self) -> &BTreeSet<String> {
        &self.contradictions
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "# TYPE erawan_jobs_total counter\n\
        erawan_jobs_total{kind=\"a\"} 3\n\
        erawan_jobs_total{kind=\"b\"} 4\n\
        erawan_jobs_rerun_total 2\n\
        erawan_is_master 1\n\
        other 9\n";

    #[test]
    fn counters_of_all_labels_are_added_up() {
        let page = Page::parse(PAGE);
        assert_eq!(page.counters["erawan_jobs_total"], 7);
        assert_eq!(page.counters["erawan_jobs_rerun_total"], 2);
        assert!(page.claims_mastership);
        assert!(!Page::parse("erawan_is_master 0\n").claims_mastership);
    }

    #[test]
    fn what_a_killed_process_had_counted_is_not_forgotten() {
        let mut tally = HitTally::default();
        tally.read("rp1-master", Page::parse(PAGE).counters);
        tally.read("idp1-master", Page::parse(PAGE).counters);
        tally.begin_anew("rp1-master");
        tally.read(
            "rp1-master",
            Page::parse("erawan_jobs_rerun_total 5").counters,
        );
        assert_eq!(tally.reruns(), 2 + 5 + 2);
        assert_eq!(tally.jobs("rp1-master"), 7);
        assert_eq!(tally.fenced_commits(), 0);
    }

    fn round(names: &[&str]) -> Round {
        let names = names.iter().map(|name| (*name).to_owned()).collect();
        Round {
            masters: BTreeMap::from([("rp1".to_owned(), names)]),
        }
    }

    #[test]
    fn two_masters_are_a_contradiction_only_if_both_go_on_believing_it() {
        let mut tally = HitTally::default();
        tally.end_of_round(round(&["a", "b"]));
        tally.end_of_round(round(&["b"]));
        tally.end_of_round(round(&["a", "b"]));
        assert_eq!(tally.contradictions().len(), 0);
        tally.end_of_round(round(&["a", "b"]));
        assert_eq!(tally.contradictions().len(), 1);
    }

    #[test]
    fn the_most_memory_counts() {
        let mut tally = HitTally::default();
        tally.memory("a", 3.0);
        tally.memory("a", 2.0);
        assert_eq!(tally.most_memory()["a"], 3.0);
    }
}
