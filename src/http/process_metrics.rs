//! Metrics of the process itself, under the names every Prometheus client uses.

use std::fs;
use std::sync::LazyLock;
use std::time::{SystemTime, UNIX_EPOCH};

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

const COUNTER: &str = "counter";
const GAUGE: &str = "gauge";

/// How the process is now, in the form of a scrape. What the system does not
/// tell is left out. A counter of the recorder would have no fractions of a
/// second.
pub(super) fn render() -> String {
    let usage = getrusage(UsageWho::RUSAGE_SELF).ok().map(|usage| {
        let user = usage.user_time().num_microseconds();
        let system = usage.system_time().num_microseconds();
        (user + system) as f64 / 1e6
    });
    let limit = Limit::now().ok().map(|limit| limit.soft as f64);
    let open = fs::read_dir("/proc/self/fd").ok();
    let open = open.map(|descriptors| descriptors.count() as f64);
    [
        sample(
            GAUGE,
            "process_start_time_seconds",
            "Start of the process",
            Some(*STARTED),
        ),
        sample(
            COUNTER,
            "process_cpu_seconds_total",
            "Time of processors that the process has used",
            usage,
        ),
        sample(
            GAUGE,
            "process_resident_memory_bytes",
            "Memory that the process has",
            resident_memory(),
        ),
        sample(GAUGE, "process_max_fds", "Most open files", limit),
        sample(GAUGE, "process_open_fds", "Open files", open),
    ]
    .concat()
}

fn sample(form: &str, name: &str, help: &str, value: Option<f64>) -> String {
    value.map_or_else(String::new, |value| {
        format!("# HELP {name} {help}\n# TYPE {name} {form}\n{name} {value}\n\n")
    })
}

fn resident_memory() -> Option<f64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: f64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024.0)
}
