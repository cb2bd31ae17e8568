//! To be written.

pub mod redis_server;
