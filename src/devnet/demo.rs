//! `erawan demo`: start a network, drive requests through it, show what happened.

use std::collections::HashMap;
use std::io::{self, IsTerminal};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use super::apps::{Apps, Targets, Totals};
use super::network::{Network, NetworkNode};
use super::process::Usage;
use super::report::{NodeReport, ProcessReport, Report};
use crate::context::Role;
use crate::output;

/// How many users make the requests of modes 2 and 3, unless otherwise told.
pub const USERS: u64 = 10;

/// The applications' targets in a network that this process started.
///
/// # Errors
/// When a role is missing.
pub fn targets_of(network: &Network, service: &str) -> io::Result<Targets> {
    let place = |role: Role| {
        network
            .place(role)
            .ok_or_else(|| io::Error::other(format!("the network has no {}", role.as_str())))
    };
    let ((rp_id, rp), (idp_id, idp), (as_id, as_)) =
        (place(Role::Rp)?, place(Role::Idp)?, place(Role::As)?);
    Ok(Targets {
        rp,
        idp,
        as_,
        rp_id: Some(rp_id.to_owned()),
        idp_id: idp_id.to_owned(),
        as_id: as_id.to_owned(),
        service: service.to_owned(),
        mode: 1,
        users: USERS,
    })
}

/// Drives requests and reports their progress on standard error: a bar on a
/// terminal, otherwise a line for every tenth part.
pub async fn drive(apps: &Apps, requests: u64, concurrency: usize, quiet: bool) -> Duration {
    let terminal = io::stderr().is_terminal() && !quiet;
    let bar = if terminal {
        ProgressBar::new(requests)
    } else {
        ProgressBar::hidden()
    };
    // The template is a constant of known form.
    let style = ProgressStyle::with_template("{bar:40} {pos}/{len}  {per_sec}  {msg}");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    let ended = AtomicU64::new(0);
    let step = (requests / 10).max(1);
    let took = apps
        .drive(requests, concurrency, |errors| {
            let done = ended.fetch_add(1, Ordering::Relaxed) + 1;
            bar.set_position(done);
            bar.set_message(format!("{errors} errors"));
            if !terminal && !quiet && done.is_multiple_of(step) {
                output::note(format_args!("{done}/{requests} requests, {errors} errors"));
            }
        })
        .await;
    bar.finish_and_clear();
    took
}

/// A report of what the applications saw.
pub fn report(requests: u64, took: Duration, totals: Totals, store: &str) -> Report {
    let seconds = took.as_secs_f64();
    Report {
        requests,
        accepted: totals.accepted,
        completed: totals.completed,
        verified: totals.verified,
        seconds,
        per_second: totals.verified as f64 / seconds.max(f64::MIN_POSITIVE),
        accept_ms: totals.accept_ms,
        complete_ms: totals.complete_ms,
        callbacks: totals.callbacks,
        repeated_callbacks: totals.repeated,
        errors: totals.errors,
        store: store.to_owned(),
        nodes: Vec::new(),
        chaos: None,
    }
}

/// CPU time of every node process so far, by process name.
pub fn usage(network: &Network) -> HashMap<String, Usage> {
    let processes = network.nodes.iter().flat_map(|node| &node.processes);
    processes
        .map(|node| (node.process.name().to_owned(), node.process.usage()))
        .collect()
}

/// What each node's processes did since `before`.
pub async fn node_reports(network: &Network, before: &HashMap<String, Usage>) -> Vec<NodeReport> {
    let mut reports = Vec::new();
    for node in &network.nodes {
        reports.push(node_report(node, before).await);
    }
    reports
}

async fn node_report(node: &NetworkNode, before: &HashMap<String, Usage>) -> NodeReport {
    let mut cpu_ms = 0;
    let mut processes = Vec::new();
    for part in &node.processes {
        let now = part.process.usage();
        let earlier = before.get(part.process.name()).copied().unwrap_or_default();
        cpu_ms += now.cpu_ms.saturating_sub(earlier.cpu_ms);
        processes.push(ProcessReport {
            kind: part.kind,
            id: part.process.name().to_owned(),
            jobs: jobs_run(&part.metrics).await.unwrap_or_default(),
            rss_mb: (now.rss_mb * 10.0).round() / 10.0,
        });
    }
    NodeReport {
        node_id: node.node_id.clone(),
        role: node.role.as_str().to_owned(),
        cpu_ms,
        processes,
    }
}

/// Sum of the counter `erawan_jobs_total` on a metrics page.
async fn jobs_run(metrics: &str) -> Option<u64> {
    let page = reqwest::get(metrics).await.ok()?.text().await.ok()?;
    let values = page
        .lines()
        .filter(|line| line.starts_with("erawan_jobs_total"))
        .filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok());
    Some(values.sum::<f64>() as u64)
}
