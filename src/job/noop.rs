//! Kinds of job that do nothing, for benchmarks, the simulation, and tests of
//! the core.

use super::{Kind, Spec};

pub const NOOP: Kind = Kind::new(&Spec::transactional(26, "bench.noop"));

/// Makes its own successor.
pub const CHAIN: Kind = Kind::new(&Spec::transactional(27, "bench.noop_chain"));

/// Runs at most once. No flow of the API needs this class today
/// (docs/decisions.md).
pub const ONCE: Kind = Kind::new(&Spec::once(28, "bench.noop_once"));

/// Computes for some milliseconds without yielding, which no handler should do;
/// for `erawan bench exam`. Only a tool with access to the store makes one.
pub const STUCK: Kind = Kind::new(&Spec::transactional(32, "bench.noop_stuck"));

/// A failed delivery leaves its line.
pub const DELIVERY: Kind = Kind::new(&Spec::delivery(100, "bench.noop_delivery"));

/// A failed delivery keeps its place.
pub const ORDERED_DELIVERY: Kind =
    Kind::new(&Spec::delivery(101, "bench.noop_ordered_delivery").keeps_its_place());

pub const ALL: [Kind; 6] = [NOOP, CHAIN, ONCE, STUCK, DELIVERY, ORDERED_DELIVERY];
