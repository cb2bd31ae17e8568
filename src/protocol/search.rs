//! Looks for the master at all its possible addresses at once. Each address is tried
//! on its own and again a moment after it failed, so that no suspended process and
//! no dead machine holds up the others. A standby does not listen: a process that
//! answers is a master, or was one a moment ago.

use std::collections::{BTreeMap, HashSet};
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

/// Most addresses whose failure is remembered.
const MOST_FAILURES: usize = 16;

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
    /// Why there was no master when it was last looked for, by host or address.
    failures: BTreeMap<String, String>,
}

impl<'a> Search<'a> {
    pub(crate) fn new(target: &'a MasterTarget) -> Self {
        Self {
            target,
            steps: JoinSet::new(),
            resolving: HashSet::new(),
            opening: HashSet::new(),
            failures: BTreeMap::new(),
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
        self.note(&error);
        None
    }

    fn note(&mut self, error: &ConnectError) {
        let place = match error {
            ConnectError::Resolve { host, .. } => host.clone(),
            ConnectError::Connect { address, .. } => address.to_string(),
        };
        self.failures.insert(place, error.to_string());
        while self.failures.len() > MOST_FAILURES {
            self.failures.pop_first();
        }
    }

    /// Notes that the process at this place does not accept this worker.
    pub(crate) fn note_refusal(&mut self, place: &ServingMaster, reason: &str) {
        let refused = format!("{} refuses this worker: {reason}", place.address);
        self.failures.insert(place.address.to_string(), refused);
    }

    /// Why no master was found, address by address.
    pub(crate) fn failures(&self) -> String {
        match self.failures.is_empty() {
            true => "no address has answered yet".to_owned(),
            false => {
                let reasons: Vec<&str> = self.failures.values().map(String::as_str).collect();
                reasons.join("; ")
            }
        }
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
