//! What every node does for itself: its message queue address and the URLs its
//! client applications set.

mod callback_settings;
pub mod mq_registration;

pub use callback_settings::{callback_urls, set_callback_urls};
