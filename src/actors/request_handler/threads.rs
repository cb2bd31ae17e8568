//! The threads on which jobs run.

use std::num::NonZeroUsize;

use tokio::runtime::{Builder, Runtime};

/// With fewer threads, handlers that do not yield could stop all others.
const FEWEST: usize = 3;

/// Starts one thread more than there are cores, so that one long computation
/// leaves a thread for each core.
pub fn start() -> Runtime {
    let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let built = Builder::new_multi_thread()
        .worker_threads((cores + 1).max(FEWEST))
        .thread_name("handler")
        .enable_all()
        .build();
    // Like an arbiter that cannot start: without threads there is no worker.
    built.unwrap_or_else(|error| panic!("no threads for request handlers: {error}"))
}
