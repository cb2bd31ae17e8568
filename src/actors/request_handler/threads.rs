//! The threads on which jobs run.

use std::num::NonZeroUsize;

use tokio::runtime::{Builder, Runtime};

/// With fewer, handlers that do not yield could stop all others.
const FEWEST: usize = 3;

/// Starts as many threads as there are cores, and one more: one that computes
/// for long leaves the others to the rest.
pub fn start() -> Runtime {
    let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let built = Builder::new_multi_thread()
        .worker_threads((cores + 1).max(FEWEST))
        .thread_name("handler")
        .enable_all()
        .build();
    // As starting an arbiter does: without threads there is no worker.
    built.unwrap_or_else(|error| panic!("no threads for request handlers: {error}"))
}
