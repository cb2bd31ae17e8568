//! Whether this process signs with the keys that the ledger has of its node.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::RwLock;

use super::parts::ProcessParts;
use crate::config::{Config, Keys};
use crate::crypto::compared;
use crate::crypto::key_files;
use crate::ledger::query;
use crate::ledger::types::NodeInfo;

/// How often the keys are compared. The ledger's answer is cached until a block
/// changes a node.
const LOOK: Duration = Duration::from_secs(10);

/// Compares from time to time.
#[derive(Clone, Default)]
pub(super) struct KeyWatch {
    trouble: Arc<RwLock<Option<String>>>,
}

impl KeyWatch {
    /// Compares until the returned value is dropped.
    pub fn follow(parts: &ProcessParts) -> Self {
        let watch = Self::default();
        let Some(keyring) = parts.keyring.clone() else {
            return watch;
        };
        let (config, ledger) = (parts.config.clone(), parts.cached.clone());
        let known = Arc::downgrade(&watch.trouble);
        tokio::spawn(async move {
            loop {
                let asked = query::node_info(ledger.as_ref(), &config.node_id).await;
                let Some(known) = known.upgrade() else {
                    return;
                };
                // While the ledger cannot be asked, other notices say so.
                if let Ok(Some(node)) = asked {
                    let differing = keyring.differing(&config.node_id, &node);
                    let told = compared::told(&differing, &config.keys, &config.node_id);
                    tell(&mut known.write(), told);
                }
                drop(known);
                tokio::time::sleep(LOOK).await;
            }
        });
        watch
    }

    /// A problem for operators to know.
    pub fn notice(&self) -> Option<String> {
        self.trouble.read().clone()
    }
}

/// Logs a change.
fn tell(known: &mut Option<String>, now: Option<String>) {
    match (&*known, &now) {
        (_, Some(trouble)) if *known != now => tracing::error!("{trouble}"),
        (Some(_), None) => tracing::info!("the keys of this node are those of the ledger again"),
        _ => {}
    }
    *known = now;
}

/// For `erawan check`.
///
/// # Errors
/// Which files have other keys than the ledger, or cannot be used.
pub(super) fn check(config: &Config, node: &NodeInfo) -> Result<(), String> {
    if matches!(config.keys, Keys::External) {
        return Ok(());
    }
    // That they can be used is another check.
    let Ok(generations) = key_files::load_own(&config.keys) else {
        return Ok(());
    };
    let differing = compared::differing(&generations, node);
    match compared::told(&differing, &config.keys, &config.node_id) {
        Some(trouble) => Err(trouble),
        None => Ok(()),
    }
}
