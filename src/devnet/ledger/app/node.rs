//! Nodes of the network and their keys.

use std::sync::Arc;

/// What a node may do (spec/ledger.md 4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    Ndid,
    Rp,
    Idp,
    As,
    Proxy,
}

impl Role {
    /// The role as it is stored and answered.
    pub fn text(self) -> &'static str {
        match self {
            Self::Ndid => "NDID",
            Self::Rp => "RP",
            Self::Idp => "IdP",
            Self::As => "AS",
            Self::Proxy => "Proxy",
        }
    }

    /// The role a node can be registered with, in any case.
    pub fn of_registration(text: &str) -> Option<Self> {
        Some(match text.to_ascii_lowercase().as_str() {
            "rp" => Self::Rp,
            "idp" => Self::Idp,
            "as" => Self::As,
            "proxy" => Self::Proxy,
            _ => return None,
        })
    }
}

/// Where a node receives messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MqAddress {
    pub ip: String,
    pub port: i64,
}

/// One version of a public key.
#[derive(Debug, Clone, PartialEq)]
pub struct NodeKey {
    pub public_key: Arc<str>,
    pub algorithm: Arc<str>,
    pub version: i64,
    pub creation_height: i64,
    pub creation_chain_id: String,
    pub active: bool,
}

/// All versions of one key of a node; the last one is in use.
#[derive(Debug, Clone, PartialEq)]
pub struct KeyHistory {
    first: NodeKey,
    later: Vec<NodeKey>,
}

impl KeyHistory {
    /// A history of one key, version 1.
    pub fn new(public_key: String, algorithm: String, height: i64, chain_id: &str) -> Self {
        Self {
            first: NodeKey {
                public_key: public_key.into(),
                algorithm: algorithm.into(),
                version: 1,
                creation_height: height,
                creation_chain_id: chain_id.to_owned(),
                active: true,
            },
            later: Vec::new(),
        }
    }

    /// The key in use.
    pub fn current(&self) -> &NodeKey {
        self.later.last().unwrap_or(&self.first)
    }

    /// Puts a new version in use.
    pub fn replace(&mut self, public_key: String, algorithm: String, height: i64, chain_id: &str) {
        let old = self.later.last_mut().unwrap_or(&mut self.first);
        old.active = false;
        let version = old.version + 1;
        self.later.push(NodeKey {
            public_key: public_key.into(),
            algorithm: algorithm.into(),
            version,
            creation_height: height,
            creation_chain_id: chain_id.to_owned(),
            active: true,
        });
    }

    /// Every version, ordered by its number as text: 1, 10, 2 (spec/ledger.md 5.3).
    pub fn by_version_text(&self) -> Vec<&NodeKey> {
        let mut all: Vec<&NodeKey> = std::iter::once(&self.first).chain(&self.later).collect();
        all.sort_by_key(|key| key.version.to_string());
        all
    }
}

/// A node behind a proxy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BehindProxy {
    pub proxy_id: String,
    /// `KEY_ON_PROXY` or `KEY_ON_NODE`; not checked.
    pub config: String,
}

/// One node of the network.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    pub id: String,
    pub name: String,
    pub role: Role,
    pub max_ial: f64,
    pub max_aal: f64,
    pub features: Vec<String>,
    /// Types of URL an IdP takes request messages by.
    pub data_url_types: Vec<String>,
    /// An IdP that only answers.
    pub agent: bool,
    pub whitelist_active: bool,
    pub whitelist: Vec<String>,
    pub mq: Vec<MqAddress>,
    pub active: bool,
    pub proxy: Option<BehindProxy>,
    pub signing: KeyHistory,
    pub master: KeyHistory,
    pub encryption: KeyHistory,
}

impl Node {
    /// Whether its whitelist, if in use, lets it deal with the other node.
    pub fn accepts(&self, other: &str) -> bool {
        !self.whitelist_active || self.whitelist.iter().any(|id| id == other)
    }
}
