//! A network on one machine for development.

pub mod mq_service;
#[cfg(test)]
mod mq_service_tests;
mod mq_transport;
