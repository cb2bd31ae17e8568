//! What goes over the wires, compared with recordings of a real network.

mod http_recording;
mod ledger_keys;
mod ledger_replay;
mod ledger_rpc;
mod ledger_rules;
mod mq_messages;
#[path = "../support/recorded_calls.rs"]
mod recorded_calls;
