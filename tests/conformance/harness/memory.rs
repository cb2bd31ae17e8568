//! The contract itself.

use std::sync::Arc;

use async_trait::async_trait;
use erawan::store::{FailedLimits, SharedStore};

use super::Harness;
use crate::memory_store::MemoryStore;

/// The contract itself. It has nothing to be restarted.
pub struct Memory(Arc<MemoryStore>);

#[async_trait]
impl Harness for Memory {
    async fn start_with(limits: FailedLimits) -> Self {
        Self(Arc::new(MemoryStore {
            failed_limits: limits,
            ..MemoryStore::default()
        }))
    }

    fn store(&self) -> SharedStore {
        Arc::clone(&self.0) as SharedStore
    }

    fn master(&self) -> SharedStore {
        self.store()
    }

    async fn restart(self) -> Self {
        self
    }
}
