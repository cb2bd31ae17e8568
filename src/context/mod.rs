//! What handlers and API calls work with.

pub mod state;

use std::sync::Arc;

use crate::config::Config;
use crate::crypto::Crypto;
use crate::error::{Error, codes};
use crate::http_client::HttpClient;
use crate::ledger::{Ledger, query};
use crate::mq::future_quota::FutureQuota;
use crate::store::{State, StoreError};

/// Role of a node on the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// Relying party.
    Rp,
    /// Identity provider.
    Idp,
    /// Authoritative source.
    As,
    /// Serves the nodes behind it.
    Proxy,
    /// NDID itself (also when the role is not read, `NDID_NODE=true`).
    Ndid,
}

impl Role {
    /// From the ledger's text, in any letter case.
    pub fn parse(text: &str) -> Option<Self> {
        match text.to_ascii_lowercase().as_str() {
            "rp" => Some(Role::Rp),
            "idp" => Some(Role::Idp),
            "as" => Some(Role::As),
            "proxy" => Some(Role::Proxy),
            "ndid" => Some(Role::Ndid),
            _ => None,
        }
    }

    /// `rp`, `idp`, `as`, `proxy` or `ndid`.
    pub fn as_str(self) -> &'static str {
        match self {
            Role::Rp => "rp",
            Role::Idp => "idp",
            Role::As => "as",
            Role::Proxy => "proxy",
            Role::Ndid => "ndid",
        }
    }
}

/// Row of a record that belongs to a node, perhaps behind this proxy.
pub fn row(node_id: &str, id: &str) -> String {
    format!("{node_id}/{id}")
}

/// Everything handlers and API calls read from. They change nothing through it.
#[derive(Clone)]
pub struct Context {
    pub config: Arc<Config>,
    pub role: Role,
    pub ledger: Arc<dyn Ledger>,
    pub state: Arc<dyn State>,
    pub crypto: Arc<dyn Crypto>,
    /// For the test calls of `POST /node/callback`.
    pub http: HttpClient,
    /// Limits the messages that wait in this process for a block far above the
    /// ledger.
    pub future_quota: Arc<FutureQuota>,
}

impl Context {
    pub fn node_id(&self) -> &str {
        &self.config.node_id
    }

    /// The nodes that this process serves: its own, or on a proxy the nodes
    /// behind it whose keys it holds, as the ledger has them now.
    /// # Errors
    /// Those of the ledger.
    pub async fn served_nodes(&self) -> Result<Vec<String>, Error> {
        match self.role {
            Role::Proxy => query::nodes_served_by(self.ledger.as_ref(), self.node_id()).await,
            _ => Ok(vec![self.node_id().to_owned()]),
        }
    }
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        let text = error.to_string();
        let error_of_code = Error::with_message(codes::DB_ERROR, text);
        match error {
            StoreError::Unavailable(_) | StoreError::Deposed { .. } => error_of_code.temporary(),
            StoreError::Corrupt(_) | StoreError::TooLarge(_) => error_of_code.unreadable(),
        }
    }
}

impl From<crate::job::codec::DecodeError> for Error {
    fn from(error: crate::job::codec::DecodeError) -> Self {
        Error::with_message(codes::UNKNOWN_ERROR, format!("stored record: {error}")).unreadable()
    }
}
