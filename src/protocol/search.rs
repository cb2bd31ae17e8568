//! Looks for the master at all its possible addresses at once. Each address is tried
//! on its own and again a moment after it failed, so that no suspended process and
//! no dead machine holds up the others. A standby does not listen: a process that
//! answers is a master, or was one a moment ago.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::time::Duration;

use rand::Rng;
use tokio::task::{JoinError, JoinSet};
use tokio::time::sleep;
use tracing::{debug, error};

use crate::protocol::client::{ConnectError, MasterTarget, ServingMaster};
use crate::protocol::local::WorkerEnd;

/// Shortest and longest pause before an address is tried again.
const PAUSE_MS: (u64, u64) = (100, 200);

/// One step of the search has ended.
enum Step {
    Resolved(usize, Result<Vec<SocketAddr>, ConnectError>),
    Opened(ServingMaster, Result<WorkerEnd, ConnectError>),
}

/// A search under way. What it has begun ends with it.
pub(crate) struct Search<'a> {
    target: &'a MasterTarget,
    steps: JoinSet<Step>,
    resolving: HashSet<usize>,
    opening: HashSet<SocketAddr>,
}

impl<'a> Search<'a> {
    pub(crate) fn new(target: &'a MasterTarget) -> Self {
        Self {
            target,
            steps: JoinSet::new(),
            resolving: HashSet::new(),
            opening: HashSet::new(),
        }
    }

    /// Waits for the next process that answers, however long that takes.
    pub(crate) async fn next(&mut self) -> (ServingMaster, WorkerEnd) {
        loop {
            self.begin();
            let pause = sleep(pause());
            tokio::pin!(pause);
            loop {
                let step = tokio::select! {
                    Some(step) = self.steps.join_next() => step,
                    () = &mut pause => break,
                };
                match step {
                    Ok(step) => {
                        if let Some(found) = self.take(step) {
                            return found;
                        }
                    }
                    Err(error) => self.start_over(&error),
                }
            }
        }
    }

    /// Resolves all hosts that are not being resolved.
    fn begin(&mut self) {
        for (index, master) in self.target.masters.iter().enumerate() {
            if self.resolving.insert(index) {
                let master = master.clone();
                let resolved =
                    async move { Step::Resolved(index, MasterTarget::resolve(&master).await) };
                self.steps.spawn(resolved);
            }
        }
    }

    fn take(&mut self, step: Step) -> Option<(ServingMaster, WorkerEnd)> {
        let error = match step {
            Step::Resolved(index, Ok(addresses)) => {
                self.resolving.remove(&index);
                for address in addresses {
                    self.open(index, address);
                }
                return None;
            }
            Step::Opened(found, Ok(end)) => {
                self.opening.remove(&found.address);
                return Some((found, end));
            }
            Step::Resolved(index, Err(error)) => {
                self.resolving.remove(&index);
                error
            }
            Step::Opened(found, Err(error)) => {
                self.opening.remove(&found.address);
                error
            }
        };
        debug!(%error, "no master there");
        None
    }

    /// Starts again, because a step ended with a defect and it is not known
    /// which.
    fn start_over(&mut self, error: &JoinError) {
        error!(%error, "looking for the master");
        self.resolving.clear();
        self.opening.clear();
    }

    fn open(&mut self, index: usize, address: SocketAddr) {
        if self.opening.insert(address) {
            let (target, host) = (self.target.clone(), self.target.masters[index].host.clone());
            let opened = async move {
                let end = target.open(&host, address).await;
                Step::Opened(ServingMaster { host, address }, end)
            };
            self.steps.spawn(opened);
        }
    }
}

/// A random pause, so that workers do not all come at once.
pub(crate) fn pause() -> Duration {
    let (shortest, longest) = PAUSE_MS;
    Duration::from_millis(rand::rng().random_range(shortest..=longest))
}
