//! The output of the demo: a table for people, one JSON object for programs.

use std::fmt::Write as _;

use hdrhistogram::Histogram;
use serde::Serialize;

use super::chaos::ChaosReport;

/// Two points of a distribution, in milliseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Percentiles {
    /// Half of them took at most this.
    pub p50: f64,
    /// 99 of 100 took at most this.
    pub p99: f64,
}

/// Durations, as they come in.
#[derive(Debug)]
pub struct Durations(Histogram<u64>);

impl Default for Durations {
    fn default() -> Self {
        // One microsecond to one hour, three digits: bounds are constants, so
        // the histogram can always be made.
        Self(Histogram::new_with_bounds(1, 3_600_000_000, 3).expect("constant bounds are valid"))
    }
}

impl Durations {
    /// Adds one.
    pub fn record(&mut self, duration: std::time::Duration) {
        self.0
            .saturating_record((duration.as_micros() as u64).max(1));
    }

    /// Median and 99th percentile.
    pub fn percentiles(&self) -> Percentiles {
        let at = |quantile| (self.0.value_at_quantile(quantile) as f64 / 10.0).round() / 100.0;
        Percentiles {
            p50: at(0.5),
            p99: at(0.99),
        }
    }
}

/// A process of a node.
#[derive(Debug, Clone, Serialize)]
pub struct ProcessReport {
    /// `master`, `worker` or `standalone`.
    pub kind: &'static str,
    /// Name of the process.
    pub id: String,
    /// Jobs it has run.
    pub jobs: u64,
    /// Resident memory in MB (10^6 bytes).
    pub rss_mb: f64,
}

#[derive(Debug, Clone, Serialize)]
pub struct NodeReport {
    pub node_id: String,
    pub role: String,
    /// CPU time its processes used while the requests ran, in milliseconds.
    pub cpu_ms: u64,
    pub processes: Vec<ProcessReport>,
}

/// What a run of the demo did. Field names are stable (docs/demo.md).
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// Requests the RP's application was to make.
    pub requests: u64,
    /// Answered 202.
    pub accepted: u64,
    /// Closed as completed.
    pub completed: u64,
    /// Data read back equal and its signature verified.
    pub verified: u64,
    /// From the first call to the last completion.
    pub seconds: f64,
    /// Completed requests a second.
    pub per_second: f64,
    /// From the call to its 202.
    pub accept_ms: Percentiles,
    /// From the call to the data read back.
    pub complete_ms: Percentiles,
    /// Callbacks the applications received.
    pub callbacks: u64,
    /// Callbacks received again under the same id.
    pub repeated_callbacks: u64,
    /// What went wrong, one line each, at most a hundred.
    pub errors: Vec<String>,
    /// `embedded`, `redis`, or `unknown` for nodes somebody else started.
    pub store: String,
    /// The nodes this command started.
    pub nodes: Vec<NodeReport>,
    /// What `--chaos` adds.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub chaos: Option<ChaosReport>,
}

impl Report {
    /// Whether every request completed with its data verified, and nothing
    /// broke.
    pub fn is_success(&self) -> bool {
        let held = self.chaos.as_ref().is_none_or(ChaosReport::is_success);
        self.requests == self.verified && self.errors.is_empty() && held
    }

    /// The table for people.
    pub fn table(&self) -> String {
        let mut text = String::new();
        let mut line = |name: &str, value: String| {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "  {name:<22} {value}");
        };
        line("requests", self.requests.to_string());
        line(
            "accepted / completed",
            format!("{} / {}", self.accepted, self.completed),
        );
        line("data verified", self.verified.to_string());
        line("seconds", format!("{:.2}", self.seconds));
        line("requests per second", format!("{:.1}", self.per_second));
        let both = |p: Percentiles| format!("{:.1} ms / {:.1} ms", p.p50, p.p99);
        line("accept p50 / p99", both(self.accept_ms));
        line("completion p50 / p99", both(self.complete_ms));
        line("callbacks", self.callbacks.to_string());
        line("callbacks repeated", self.repeated_callbacks.to_string());
        line("errors", self.errors.len().to_string());
        line("store", self.store.clone());
        for error in self.errors.iter().take(10) {
            let _ = writeln!(text, "    {error}");
        }
        if !self.nodes.is_empty() {
            let _ = writeln!(
                text,
                "\n  {:<8} {:<5} {:<10} {:<18} {:>8} {:>7} {:>8}",
                "node", "role", "process", "id", "jobs", "share", "MB"
            );
        }
        for node in &self.nodes {
            let all: u64 = node.processes.iter().map(|process| process.jobs).sum();
            for process in &node.processes {
                let share = match (process.kind, all) {
                    ("master", _) | (_, 0) => "-".to_owned(),
                    _ => format!("{:.0} %", 100.0 * process.jobs as f64 / all as f64),
                };
                let _ = writeln!(
                    text,
                    "  {:<8} {:<5} {:<10} {:<18} {:>8} {:>7} {:>8.1}",
                    node.node_id,
                    node.role,
                    process.kind,
                    process.id,
                    process.jobs,
                    share,
                    process.rss_mb
                );
            }
        }
        text.extend(self.chaos.as_ref().map(ChaosReport::table));
        text
    }
}
