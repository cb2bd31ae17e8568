//! Metrics of the process itself, under the names every Prometheus client uses.

use std::fs;
use std::sync::LazyLock;
use std::time::{SystemTime, UNIX_EPOCH};

use metrics::gauge;
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;

use crate::descriptors::Limit;

/// When the metrics were installed, shortly after the process started.
static STARTED: LazyLock<f64> = LazyLock::new(|| {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH);
    since_epoch.map_or(0.0, |since_epoch| since_epoch.as_secs_f64())
});

/// Notes the start of the process.
pub(super) fn note_start() {
    LazyLock::force(&STARTED);
}

/// Records the process's time, memory and files. Leaves out what the system does not
/// tell.
pub(super) fn record() {
    gauge!("process_start_time_seconds").set(*STARTED);
    if let Ok(usage) = getrusage(UsageWho::RUSAGE_SELF) {
        let user = usage.user_time().num_microseconds();
        let system = usage.system_time().num_microseconds();
        gauge!("process_cpu_seconds_total").set((user + system) as f64 / 1e6);
    }
    if let Some(bytes) = resident_memory() {
        gauge!("process_resident_memory_bytes").set(bytes);
    }
    if let Ok(limit) = Limit::now() {
        gauge!("process_max_fds").set(limit.soft as f64);
    }
    if let Ok(descriptors) = fs::read_dir("/proc/self/fd") {
        gauge!("process_open_fds").set(descriptors.count() as f64);
    }
}

fn resident_memory() -> Option<f64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: f64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024.0)
}
