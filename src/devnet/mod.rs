//! A whole NDID network on one machine: ledger, message queue services, nodes
//! and client applications, for development, demonstration and measurement.

pub mod apps;
pub mod chaos;
pub mod command;
pub mod demo;
mod first_request;
pub mod genesis;
mod hand;
pub mod keys;
pub mod ledger;
pub mod mq_record;
pub mod mq_service;
#[cfg(test)]
mod mq_service_tests;
mod mq_transport;
pub mod network;
pub mod ports;
pub mod process;
pub mod redis_server;
pub mod report;
pub mod story;
pub mod switch;
pub mod verdict;
