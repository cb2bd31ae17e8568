//! Whole networks of real processes (and a real Redis), with everything that
//! can be killed, stopped, filled up or fed with rubbish.

#[path = "../support/append_only_files.rs"]
mod append_only_files;
mod bounds;
mod cable;
mod chaos;
mod check;
mod client;
mod contracts;
mod crowds;
mod crypto_service;
mod demo;
mod devnet;
mod exam;
mod failover;
mod faults;
mod identity;
mod identity_idps;
mod identity_kills;
mod jobs;
mod ledger;
mod log;
mod mastership;
mod messages;
mod metrics;
mod ndid;
mod ndid_endpoints;
mod ndid_set_up;
mod network;
mod output;
mod oversize;
mod probes;
mod proxies;
mod quiet;
mod reconnects;
mod requests;
mod rotation;
mod rp;
mod rubbish;
mod seen;
mod steps;
mod stops;
mod stores;
mod traces;
