//! The part of the demo's report that chaos adds.

use std::fmt::Write as _;

use serde::Serialize;

use super::hits::Event;
use crate::devnet::verdict::{Guarantees, MessageCounts, Slowest};

/// Which faults there were. Field names are stable (docs/demo.md).
#[derive(Debug, Clone, Serialize)]
pub struct Faults {
    /// Gives the same faults again.
    pub seed: u64,
    /// In the order in which they happened.
    pub events: Vec<Event>,
    /// Processes that ended by themselves, or not as told, or did not come back.
    pub problems: Vec<String>,
}

/// What a run of chaos adds to the report. Field names are stable (docs/demo.md).
#[derive(Debug, Clone, Serialize)]
pub struct ChaosReport {
    /// What was hit.
    pub chaos: Faults,
    /// By the records of the message queue services.
    #[serde(flatten)]
    pub messages: MessageCounts,
    /// How long the slowest requests took.
    #[serde(flatten)]
    pub slowest: Slowest,
    /// Jobs given to another worker because theirs was given up.
    pub reruns: u64,
    /// Commits the store refused because another attempt owned the job.
    pub fenced_commits: u64,
    /// Requests that had ended before their call was made again, because its
    /// answer was lost. The repeated call made another request
    /// (docs/guarantees.md).
    pub ended_before_repeat: u64,
    /// The promises, and whether they held.
    pub guarantees: Guarantees,
}

impl ChaosReport {
    /// Whether nothing broke.
    pub fn is_success(&self) -> bool {
        self.guarantees.all_held() && self.chaos.problems.is_empty()
    }

    /// The tables for people.
    pub fn table(&self) -> String {
        let mut text = String::new();
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "\n  {:>8}  {:<14} {:<10} {:>8} {:>10} {:>10}",
            "at", "hit", "how", "away", "request", "recovered"
        );
        let seconds = |ms: u64| format!("{:.1} s", ms as f64 / 1000.0);
        let perhaps = |ms: Option<u64>| ms.map_or_else(|| "never".to_owned(), seconds);
        for event in &self.chaos.events {
            let _ = writeln!(
                text,
                "  {:>8}  {:<14} {:<10} {:>8} {:>10} {:>10}",
                seconds(event.at_ms),
                event.target,
                event.action.name(),
                seconds(event.away_ms),
                perhaps(event.request_ms),
                perhaps(event.recovered_ms)
            );
        }
        let _ = writeln!(text, "\n  {:<22} {}", "seed", self.chaos.seed);
        let slowest = seconds(self.slowest.slowest_ms);
        let _ = writeln!(text, "  {:<22} {slowest}", "slowest completion");
        let slowest = perhaps(self.slowest.slowest_after_fault_ms);
        let _ = writeln!(text, "  {:<22} {slowest}", "slowest after a fault");
        let counts = self.messages;
        let (all, repeated, dropped) = (
            counts.messages,
            counts.messages_repeated,
            counts.messages_dropped,
        );
        let _ = writeln!(
            text,
            "  {:<22} {all} (repeated {repeated}, with no subscriber there {dropped})",
            "messages"
        );
        let _ = writeln!(text, "  {:<22} {}", "jobs rerun", self.reruns);
        let _ = writeln!(text, "  {:<22} {}", "commits fenced", self.fenced_commits);
        let repeated = self.ended_before_repeat;
        let _ = writeln!(text, "  {:<22} {repeated}", "ended before repeat");
        for problem in &self.chaos.problems {
            let _ = writeln!(text, "    {problem}");
        }
        let _ = writeln!(text);
        for (name, promise, findings) in self.guarantees.all() {
            let verdict = if findings.is_empty() { "held" } else { "BROKE" };
            let _ = writeln!(text, "  {name} {promise:<32} {verdict}");
            for finding in findings.iter().take(10) {
                let _ = writeln!(text, "       {finding}");
            }
        }
        text
    }
}
