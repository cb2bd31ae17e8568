//! The size of the world, and the settings of its processes.

use std::time::Duration;

use crate::dispatch::Options;

/// How long a worker waits before it calls a master again.
pub(super) const RECONNECT: Duration = Duration::from_millis(100);

/// The size of the world.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Setting {
    /// One of them leads.
    pub masters: usize,
    pub workers: usize,
    /// Most jobs of `Pool::Run` at a time on each worker.
    pub run_capacity: u32,
    /// Most jobs of `Pool::Delivery` at a time on each worker.
    pub delivery_capacity: u32,
    /// Different keys of jobs.
    pub keys: u64,
}

impl Default for Setting {
    fn default() -> Self {
        Self {
            masters: 2,
            workers: 3,
            run_capacity: 2,
            delivery_capacity: 3,
            keys: 4,
        }
    }
}

/// A dispatcher with small pages and batches, so that few jobs fill them.
pub(super) fn dispatcher() -> Options {
    Options {
        adoption_window: Duration::from_millis(500),
        page: 5,
        release_batch: 4,
        ..Options::default()
    }
}
