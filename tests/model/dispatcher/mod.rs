//! Single cases of the dispatcher core, one rule each.

mod desk;
mod holds;
mod lost_workers;
mod operators;
mod order;
mod receivers;
mod strikes;
