//! Generated protobuf types: `wire` is the outside world, `cluster` is ours.

#[allow(clippy::all, missing_docs, nonstandard_style)]
pub mod wire {
    include!(concat!(env!("OUT_DIR"), "/_.rs"));
}

#[allow(clippy::all, missing_docs, nonstandard_style)]
pub mod cluster {
    include!(concat!(env!("OUT_DIR"), "/erawan.cluster.v1.rs"));
}
