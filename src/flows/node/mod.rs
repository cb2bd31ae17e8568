//! The flows of every node: its message queue address, its callback URLs, and its
//! keys.

mod callback_settings;
mod crypto_service;
pub mod mq_registration;
pub(super) mod public_keys;
mod update;

use crate::api::Endpoint;

pub use callback_settings::{callback_urls, set_callback_urls};

/// Callback settings of every role, and the node's keys.
pub fn endpoints() -> Vec<Endpoint> {
    let mut all = callback_settings::endpoints();
    all.push(update::endpoint());
    all
}
