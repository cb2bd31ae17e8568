//! Messages between nodes (spec/messaging-and-crypto.md).

pub mod body;
pub mod client;
pub mod data_url;
pub mod envelope;
pub mod far;
pub mod gzip;
pub mod held;
pub mod inbound;
pub mod message;
pub mod opener;
pub mod outbound;
pub mod packing;
mod scan;
pub mod schema;
mod sender;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
