//! What every node does for itself: its message queue address and the URLs its
//! client applications set, and what its keys must be.

mod callback_settings;
mod crypto_service;
pub mod mq_registration;
pub(super) mod public_keys;

pub use callback_settings::{callback_urls, endpoints, set_callback_urls};
