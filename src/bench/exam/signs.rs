//! Signs that something which holds a node together has suffered, from the
//! metrics and logs of its processes.

use std::fmt;
use std::io;

use serde::Serialize;

use crate::devnet::network::NetworkNode;

/// Counts over all processes of a node, which should stay 0.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct TroubleCounts {
    /// A master lost its lease.
    pub leases_lost: u64,
    /// A worker was given up because it was silent.
    pub workers_given_up: u64,
    /// A worker left its master because the master was silent.
    pub masters_left: u64,
    /// Jobs that got a strike: their worker was lost, or their handler panicked.
    pub strikes: u64,
    /// Commits that the store refused.
    pub commits_fenced: u64,
    /// Jobs parked.
    pub parked: u64,
}

impl TroubleCounts {
    /// The counts so far.
    /// # Errors
    /// When a log cannot be read.
    pub async fn of(node: &NetworkNode) -> io::Result<Self> {
        let mut signs = Self::default();
        for part in &node.processes {
            let log = std::fs::read(part.process.log())?;
            let log = String::from_utf8_lossy(&log);
            let said = |text: &str| log.matches(text).count() as u64;
            signs.leases_lost += said("no longer the master");
            signs.workers_given_up += said("worker is silent");
            signs.masters_left += said("the master is silent");
            signs.strikes += said("a handler panicked");
            signs.parked += said("job parked");
            let page = page_of(&part.metrics).await;
            signs.strikes += sum(&page, "erawan_jobs_rerun_total");
            signs.commits_fenced += sum(&page, "erawan_commits_fenced_total");
        }
        Ok(signs)
    }

    /// The counts since `before`.
    pub fn since(self, before: &Self) -> Self {
        Self {
            leases_lost: self.leases_lost - before.leases_lost,
            workers_given_up: self.workers_given_up - before.workers_given_up,
            masters_left: self.masters_left - before.masters_left,
            strikes: self.strikes - before.strikes,
            commits_fenced: self.commits_fenced - before.commits_fenced,
            parked: self.parked - before.parked,
        }
    }

    /// Whether all are 0.
    pub fn is_nothing(&self) -> bool {
        *self == Self::default()
    }
}

impl fmt::Display for TroubleCounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "leases lost {}  workers given up {}  masters left {}  strikes {}  fenced {}  parked {}",
            self.leases_lost,
            self.workers_given_up,
            self.masters_left,
            self.strikes,
            self.commits_fenced,
            self.parked
        )
    }
}

/// The metrics of a process; empty if it does not answer.
async fn page_of(url: &str) -> String {
    match reqwest::get(url).await {
        Ok(answer) => answer.text().await.unwrap_or_default(),
        Err(_) => String::new(),
    }
}

/// Sum of a metric over its labels.
pub(super) fn sum(page: &str, name: &str) -> u64 {
    let values = page.lines().filter_map(|line| {
        let (metric, value) = line.rsplit_once(' ')?;
        let (metric, _) = metric.split_once('{').unwrap_or((metric, ""));
        (metric == name).then(|| value.parse::<f64>().ok())?
    });
    values.sum::<f64>() as u64
}

/// The highest value of several processes.
pub(super) async fn most(node: &NetworkNode, name: &str) -> u64 {
    let mut most = 0;
    for part in &node.processes {
        most = most.max(sum(&page_of(&part.metrics).await, name));
    }
    most
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_metric_is_summed_over_its_labels_and_others_are_not() {
        let page = "# TYPE a counter\na{kind=\"x\"} 2\na{kind=\"y z\"} 3\nab 7\na_sum 8\n";
        assert_eq!(sum(page, "a"), 5);
        assert_eq!(sum(page, "b"), 0);
    }
}
