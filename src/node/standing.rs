//! This process's part in its node, for operators.

use std::sync::Arc;

use parking_lot::RwLock;
use tokio::sync::watch;

use crate::actors::mastership::Standing;
use crate::config::Mode;
use crate::logging;

/// Knows whether the process is `worker`, `standby`, `master` or `standalone`.
#[derive(Debug, Clone)]
pub struct StandingWatch {
    mode: Mode,
    current: Arc<RwLock<Option<watch::Receiver<Standing>>>>,
}

impl StandingWatch {
    /// For a process that has not begun to stand for mastership.
    pub fn new(mode: Mode) -> Self {
        Self {
            mode,
            current: Arc::default(),
        }
    }

    /// Follows a candidacy, replacing an earlier one.
    pub fn follow(&self, standing: watch::Receiver<Standing>) {
        *self.current.write() = Some(standing.clone());
        tokio::spawn(show(standing, self.clone()));
    }

    /// A problem of a process that does not lead, for operators to know.
    pub fn notice(&self) -> Option<String> {
        let current = self.current.read();
        let standing = current.as_ref()?.borrow();
        let nobody = matches!(&*standing, Standing::Standby { holder: None });
        nobody.then(|| "no master is known, and this process is not one yet".to_owned())
    }

    /// The epoch of the term that this process leads.
    pub fn epoch(&self) -> Option<u64> {
        let current = self.current.read();
        match &*current.as_ref()?.borrow() {
            Standing::Leading(term) if term.holds() => Some(term.epoch().0),
            _ => None,
        }
    }

    /// The master, if this process stands by for another one.
    pub fn master(&self) -> Option<String> {
        let current = self.current.read();
        match &*current.as_ref()?.borrow() {
            Standing::Standby { holder } => holder.clone(),
            _ => None,
        }
    }

    /// In one word. A standalone process that is not the master is a standby.
    pub fn role(&self) -> &'static str {
        let is_leading = self.current.read().as_ref().is_some_and(
            |standing| matches!(&*standing.borrow(), Standing::Leading(term) if term.holds()),
        );
        match (self.mode, is_leading) {
            (Mode::Worker, _) => "worker",
            (Mode::Standalone, true) => "standalone",
            (Mode::Master, true) => "master",
            (Mode::Standalone | Mode::Master, false) => "standby",
        }
    }
}

/// Updates the metrics and the log until the candidacy is over.
async fn show(mut standing: watch::Receiver<Standing>, watch: StandingWatch) {
    let is_master = metrics::gauge!("erawan_is_master");
    loop {
        match &*standing.borrow_and_update() {
            Standing::Leading(term) => {
                is_master.set(1.0);
                metrics::gauge!("erawan_epoch").set(term.epoch().0 as f64);
            }
            Standing::Standby { .. } | Standing::Over { .. } => is_master.set(0.0),
        }
        logging::act_as(watch.role());
        if standing.changed().await.is_err() {
            break;
        }
    }
    is_master.set(0.0);
    logging::act_as(watch.role());
}
