//! The threads of a process beside the pulse, which assembles it
//! (docs/architecture.md has a picture).

use std::io;

use actix::{Arbiter, ArbiterHandle};
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use crate::tick;

/// Where foreign input is read and parsed.
pub struct Threads {
    intake: Arbiter,
}

impl Threads {
    /// Must be called inside an actix system.
    pub fn start() -> Self {
        Self {
            intake: tick::arbiter(),
        }
    }

    /// The thread of the connections to ledger and message queue service, and
    /// of their blocks and messages.
    pub fn intake(&self) -> Intake {
        Intake(self.intake.handle())
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        self.intake.stop();
    }
}

/// See [`Threads::intake`].
#[derive(Debug, Clone)]
pub struct Intake(ArbiterHandle);

impl Intake {
    /// Makes something on this thread, so that all tasks it starts stay there.
    /// # Errors
    /// When the thread has ended.
    pub async fn make<T: Send + 'static>(
        &self,
        make: impl FnOnce() -> T + Send + 'static,
    ) -> io::Result<T> {
        let (sender, made) = oneshot::channel();
        let is_there = self.0.spawn_fn(move || {
            // If nobody waits for it any more, it is dropped.
            let _ = sender.send(make());
        });
        let ended = || io::Error::other("the intake thread has ended");
        if !is_there {
            return Err(ended());
        }
        made.await.map_err(|_| ended())
    }

    /// The thread's runtime.
    /// # Errors
    /// As [`make`](Self::make).
    pub async fn runtime(&self) -> io::Result<Handle> {
        self.make(Handle::current).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[actix::test]
    async fn what_is_made_by_the_intake_starts_its_tasks_there() {
        let threads = Threads::start();
        let here = std::thread::current().id();
        let intake = threads.intake();
        let task = intake.make(|| tokio::spawn(async { std::thread::current().id() }));
        assert_ne!(task.await.unwrap().await.unwrap(), here);
    }
}
