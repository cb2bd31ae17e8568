//! What the dashboard shows of this process.

use std::sync::Arc;

use super::readiness::ReadinessWatch;
use super::standing::StandingWatch;
use crate::config::{Config, Mode, StoreChoice};
use crate::dashboard::{LedgerFacts, NodeFacts, Part};
use crate::job::Millis;

/// Tells what the process knows now.
pub(super) fn facts(
    config: &Config,
    readiness: ReadinessWatch,
    standing: StandingWatch,
) -> Arc<dyn Fn() -> NodeFacts + Send + Sync> {
    let node_id = config.node_id.clone();
    let mode = match config.mode {
        Mode::Standalone => "standalone",
        Mode::Master => "master",
        Mode::Worker => "worker",
    };
    let store = match config.store {
        StoreChoice::Redis => "redis",
        StoreChoice::Embedded => "embedded",
    };
    let started_at = Millis::now().0;
    Arc::new(move || {
        let ledger = readiness.watcher().map(|state| LedgerFacts {
            chain_id: state.chain_id.clone(),
            height: state.height,
            tip: state.tip,
            connected: state.connected,
        });
        let parts = readiness.conditions().into_iter();
        NodeFacts {
            node_id: node_id.clone(),
            mode: mode.to_owned(),
            role: standing.role().to_owned(),
            node_role: readiness.role().map(|role| role.as_str().to_owned()),
            epoch: standing.epoch(),
            master: standing.master(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            store: store.to_owned(),
            started_at,
            reasons: readiness.reasons(),
            notices: readiness.notices(),
            parts: parts
                .map(|(name, trouble)| Part {
                    name: name.to_owned(),
                    trouble,
                })
                .collect(),
            ledger,
        }
    })
}
