//! Where operators are served in a process: nowhere until the store is open, at
//! the store's desk while another process is the master, and at the master's
//! own while this one is.

use std::sync::Arc;

use parking_lot::RwLock;

use super::desk::Desk;
use crate::actors::dispatcher::LiveBoard;
use crate::store::SharedStore;

#[derive(Clone, Default)]
pub struct OpenDesk {
    places: Arc<RwLock<Places>>,
    live: Option<Arc<LiveBoard>>,
}

#[derive(Default)]
struct Places {
    of_store: Option<Desk>,
    of_master: Option<Desk>,
}

impl OpenDesk {
    /// For a process in which somebody watches what ends.
    pub fn watched() -> Self {
        Self {
            live: Some(Arc::default()),
            ..Self::default()
        }
    }

    /// What ended lately, if somebody watches.
    pub fn live(&self) -> Option<&Arc<LiveBoard>> {
        self.live.as_ref()
    }

    /// The store is open.
    pub fn store_opened(&self, store: SharedStore) {
        self.places.write().of_store = Some(Desk::alone(store));
    }

    /// This process is the master.
    pub fn leads(&self, desk: Desk) {
        if let Some(live) = &self.live {
            desk.show_ends(live.clone());
        }
        self.places.write().of_master = Some(desk);
    }

    /// It is no longer.
    pub fn stands_by(&self) {
        self.places.write().of_master = None;
    }

    /// Whom to ask now; `None` while the process starts.
    pub fn now(&self) -> Option<Desk> {
        let places = self.places.read();
        places.of_master.clone().or_else(|| places.of_store.clone())
    }
}
