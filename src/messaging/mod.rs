//! Seals, sends, opens and checks messages to and from other nodes
//! (spec/messaging-and-crypto.md).

pub mod envelope;
pub mod far;
pub mod inbound;
pub mod opener;
pub mod outbound;
mod received;
mod sender;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
pub mod to_role;
mod unconfirmed;

pub use received::Received;
