//! What every node does for itself: its message queue address and the URLs its
//! client applications set, and what its keys must be.

mod callback_settings;
mod crypto_service;
pub mod mq_registration;
pub(super) mod public_keys;
mod update;

use crate::api::Endpoint;

pub use callback_settings::{callback_urls, set_callback_urls};

/// The table entries: callback settings of every role, and the node's own keys.
pub fn endpoints() -> Vec<Endpoint> {
    let mut all = callback_settings::endpoints();
    all.push(update::endpoint());
    all
}
