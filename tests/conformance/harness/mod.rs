//! The engines, each with its real server or file.

mod calls;
mod embedded;
mod memory;
mod redis;
mod remote;

use std::future::Future;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use erawan::job::JobId;
use erawan::store::{FailedLimits, SharedStore};

pub use calls::*;
pub use embedded::Embedded;
pub use memory::Memory;
pub use redis::{Redis, connect_redis, raw_name};
pub use remote::{Master, Remote, connect_remote};

/// An engine with a fresh, empty store.
#[async_trait]
pub trait Harness: Sized + Send {
    async fn start_with(limits: FailedLimits) -> Self;

    async fn start() -> Self {
        Self::start_with(FailedLimits::default()).await
    }

    /// The store as a worker has it.
    fn store(&self) -> SharedStore;

    /// The store as the master has it.
    fn master(&self) -> SharedStore;

    /// Stops and starts what keeps the data. Stores taken before are closed.
    async fn restart(self) -> Self;
}

/// Waits until something is so, for at most 20 s.
pub async fn eventually<F: Future<Output = bool>>(condition: impl Fn() -> F) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !condition().await {
        assert!(Instant::now() < deadline, "it is not so after 20 s");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// What happens to the record of a job.
#[derive(Debug, Clone, Copy)]
pub enum Spoil {
    /// Rubbish stands in its place.
    Rubbish,
    /// It is gone.
    Lost,
    /// Another release has written it.
    OtherLayout,
    /// Its key holds something that is no record of any kind.
    OtherType,
}

/// An engine whose records can be damaged.
#[async_trait]
pub trait Spoils: Harness {
    /// What can happen to a record there.
    const WAYS: &'static [Spoil] = &[Spoil::Rubbish, Spoil::Lost, Spoil::OtherLayout];

    /// Damages the record of an open job.
    async fn spoil(self, id: JobId, how: Spoil) -> Self;

    /// Replaces the record of a failed job by rubbish.
    async fn spoil_failed(self, id: JobId) -> Self;
}

pub const RUBBISH: &[u8] = b"rubbish that is longer than the fixed head of any record";
