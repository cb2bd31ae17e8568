//! Kinds of job that do nothing: for benchmarks, for the simulation, and for
//! tests of the core.

use super::{Kind, Spec};

/// Transactional.
pub const NOOP: Kind = Kind::new(&Spec::transactional(26, "bench.noop"));

/// Makes its successor.
pub const CHAIN: Kind = Kind::new(&Spec::transactional(27, "bench.noop_chain"));

/// At most once: a class that no flow of the API needs today
/// (docs/decisions.md).
pub const ONCE: Kind = Kind::new(&Spec::once(28, "bench.noop_once"));

/// Computes for so many milliseconds without yielding, as no handler should; for
/// `erawan bench exam`. Nothing but a tool with access to the store makes one.
pub const STUCK: Kind = Kind::new(&Spec::transactional(32, "bench.noop_stuck"));

/// A delivery that leaves its line when it fails.
pub const DELIVERY: Kind = Kind::new(&Spec::delivery(100, "bench.noop_delivery"));

/// A delivery that keeps its place when it fails.
pub const ORDERED_DELIVERY: Kind =
    Kind::new(&Spec::delivery(101, "bench.noop_ordered_delivery").keeps_its_place());

/// All of them.
pub const ALL: [Kind; 6] = [NOOP, CHAIN, ONCE, STUCK, DELIVERY, ORDERED_DELIVERY];
