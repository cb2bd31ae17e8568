//! A network on one machine for development.

pub mod mq_service;
mod mq_transport;
