//! What every node does for itself: its message queue address and the URLs its
//! client applications set.

mod callback_settings;
mod crypto_service;
pub mod mq_registration;

pub use callback_settings::{callback_urls, endpoints, set_callback_urls};
