//! Our own metrics: described, and there from the start, so that an alert sees
//! the first step of a counter. Those whose labels say what happened appear
//! when it has; those that only a part of the node moves appear with that part.

use metrics::gauge;

use super::replaced_metrics::Form::{Counter, CounterOf, Gauge, GaugeOf, Histogram};
use super::replaced_metrics::{AnnouncedMetric, Labels, make_all};

const PORTS: &[Labels] = &[
    &[("port", "api")],
    &[("port", "admin")],
    &[("port", "links")],
];

const METRICS: &[AnnouncedMetric] = &[
    (
        "erawan_queue_jobs",
        Gauge,
        "Open jobs of the node that can run",
    ),
    (
        "erawan_queue_bytes",
        Gauge,
        "Bytes of the records of open jobs that can run",
    ),
    (
        "erawan_queue_dormant_jobs",
        Gauge,
        "Open jobs that wait for an instant, a block, an operator or a receiver",
    ),
    (
        "erawan_queue_dormant_bytes",
        Gauge,
        "Bytes of the records of open jobs that wait",
    ),
    (
        "erawan_queue_full",
        Gauge,
        "1 while calls that begin something get 503",
    ),
    (
        "erawan_jobs_parked",
        Gauge,
        "Open jobs that wait for an operator",
    ),
    (
        "erawan_jobs_failed",
        Gauge,
        "Jobs that ended as failed and are kept for operators",
    ),
    (
        "erawan_failed_jobs_dropped_total",
        Counter,
        "Kept failed jobs that were dropped to make room",
    ),
    (
        "erawan_messages_held_back",
        Gauge,
        "1 while messages wait with their senders because the queue is full",
    ),
    (
        "erawan_messages_stored_total",
        Counter,
        "Messages that this process stored",
    ),
    (
        "erawan_messages_stood_in_total",
        Counter,
        "Messages that this process stored because no master had",
    ),
    (
        "erawan_messages_let_go_total",
        Counter,
        "Messages that are no longer kept, although they are not known to be stored",
    ),
    (
        "erawan_messages_refused_total",
        Counter,
        "Messages that the store refuses for good",
    ),
    (
        "erawan_calls_refused_total",
        CounterOf(&[&[("reason", "queue_full")], &[("reason", "too_many_calls")]]),
        "API calls answered 503 at a bound",
    ),
    (
        "erawan_callback_failures_total",
        CounterOf(&[]),
        "Tries of callbacks that failed, by receiver",
    ),
    ("erawan_jobs_total", CounterOf(&[]), "Runs of jobs"),
    (
        "erawan_job_duration_ms",
        Histogram(&[]),
        "One run of a job's handler",
    ),
    (
        "erawan_jobs_assigned_total",
        Counter,
        "Jobs handed to workers",
    ),
    (
        "erawan_jobs_rerun_total",
        Counter,
        "Jobs taken from a lost worker or left by an earlier master, to be run again",
    ),
    (
        "erawan_oldest_job_age_seconds",
        GaugeOf(&[]),
        "Age of the oldest open job of each kind that waits for nothing but a worker or a retry",
    ),
    (
        "erawan_commits_fenced_total",
        Counter,
        "Commits that the store refused because another attempt owned the job",
    ),
    (
        "erawan_invariant_violations_total",
        CounterOf(&[]),
        "Broken invariants that were seen: please report them",
    ),
    ("erawan_is_master", Gauge, "1 in the process that leads"),
    (
        "erawan_link_refusals_total",
        Counter,
        "Connections of the cluster link that proved nothing",
    ),
    (
        "erawan_workers_connected",
        Gauge,
        "Workers that are connected to this master",
    ),
    (
        "erawan_master_known",
        GaugeOf(&[]),
        "1 while this process has a master",
    ),
    (
        "erawan_epoch",
        Gauge,
        "Epoch of the last term of this process",
    ),
    (
        "erawan_build_info",
        GaugeOf(&[]),
        "1, with the version of the program",
    ),
    (
        "erawan_store_setbacks_total",
        Counter,
        "Times that Redis had forgotten what it had acknowledged",
    ),
    (
        "erawan_store_unreplicated_total",
        Counter,
        "Times that too few replicas of Redis had what was written",
    ),
    (
        "ledger_block_height",
        Gauge,
        "Last block that was worked on",
    ),
    (
        "erawan_ledger_target_height",
        Gauge,
        "Last block that is known of",
    ),
    (
        "erawan_ledger_era",
        Gauge,
        "Number of the ledger's history, raised when the ledger is replaced",
    ),
    (
        "erawan_ledger_replaced_total",
        Counter,
        "Times that the ledger was found to be another one",
    ),
    (
        "erawan_ledger_is_lower",
        Gauge,
        "1 while the ledger is lower than what was seen of it",
    ),
    (
        "erawan_ledger_old_answers_total",
        Counter,
        "Answers from below what was seen of the ledger, which were asked for again",
    ),
    (
        "erawan_ledger_block_call_duration_ms",
        Histogram(&[]),
        "Until a block, or what it did, was had",
    ),
    (
        "ledger_query_cache_hits_total",
        Counter,
        "Questions to the ledger answered from memory",
    ),
    (
        "ledger_query_cache_misses_total",
        Counter,
        "Questions to the ledger not answered from memory",
    ),
    (
        "erawan_connections",
        GaugeOf(&[]),
        "Open connections at a port",
    ),
    (
        "erawan_connections_limit",
        GaugeOf(&[]),
        "Connections that a port has room for",
    ),
    (
        "erawan_connections_sent_away_total",
        CounterOf(PORTS),
        "Idle connections that were closed because others came and there was no room",
    ),
    (
        "erawan_accept_failures_total",
        CounterOf(PORTS),
        "Connections that the system refused, mostly because no open files were left",
    ),
    (
        "erawan_log_lines_left_out_total",
        Counter,
        "Log lines that said the same as many before them, and were left out",
    ),
    (
        "erawan_log_lines_dropped_total",
        Counter,
        "Log lines that nobody read",
    ),
];

/// Makes them known to the recorder.
pub(super) fn announce() {
    make_all(METRICS);
    gauge!("erawan_build_info", "version" => env!("CARGO_PKG_VERSION")).set(1.0);
}
