//! Metrics of how long Redis takes: one handle for each operation, created
//! once.

use std::time::Instant;

use metrics::{Histogram, histogram};

/// The handle of an operation.
pub(super) fn of(operation: &'static str) -> Histogram {
    histogram!("redis_operation_duration_ms", "operation" => operation)
}

/// Records an operation that began then and ends now.
pub(super) fn note(duration: &Histogram, began: Instant) {
    duration.record(began.elapsed().as_secs_f64() * 1000.0);
}

macro_rules! reads {
    ($($name:ident),+ $(,)?) => {
        /// For the reads that are no scripts.
        pub(super) struct Reads { $(pub $name: Histogram,)+ }

        impl Reads {
            pub fn new() -> Self {
                Self { $($name: of(stringify!($name)),)+ }
            }
        }
    };
}

reads! {
    get, columns, rows, open_ids, parked_ids, failed_job, last_errors, audit, counts, info,
    known_sources, ping,
}
