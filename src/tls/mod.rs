//! TLS by OpenSSL, for everything but calls to HTTP servers of others: the
//! cluster link, the message queue service, and the listeners. OpenSSL takes
//! what the replaced system took (docs/operator.md has the table). Who is
//! refused is told why, with the name of the certificate.

mod authority;
mod certificates;
mod context;
mod dial;
mod expiry;
mod handshake;
mod identity;
mod link;
mod secret;
mod server;
mod stream;

pub use authority::{Authority, Issued, Names};
pub use dial::Dialer;
pub use expiry::{Expiry, NOTICE_DAYS};
pub use handshake::{GONE, explain};
pub use identity::NodeNames;
pub use link::{LinkSecurity, NodeCertificates};
pub use secret::SharedSecret;
pub use server::ServerTls;
pub use stream::MaybeTls;

#[cfg(test)]
mod tests;
