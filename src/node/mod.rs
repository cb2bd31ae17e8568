//! Assembly of the processes: start, stop, and what every handler gets.

mod context;

pub use context::{Context, Role};
