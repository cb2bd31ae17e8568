//! What the application remembers. All of it follows from the blocks, in
//! their order, and from nothing else.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use super::node::{Node, Role};
use super::refusal::{self as refused, TxRefusal};
use super::request::RequestHistory;

/// Price of a method that nobody has priced (spec/ledger.md 2.9).
pub const DEFAULT_PRICE: f64 = 1.0;
/// Delay before a price takes effect when none is set, in seconds (spec/ledger.md 5.4).
pub const DEFAULT_PRICE_DELAY_SECONDS: u64 = 43_200;
/// `lastBlock` of a chain that was never disabled (spec/ledger.md 4.5).
pub const NEVER_DISABLED: i64 = -1;

/// How far the initialisation of the chain is (spec/ledger.md 4.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Init {
    /// No `InitNDID` yet.
    Not,
    /// Between `InitNDID` and `EndInit`.
    Begun,
    /// After `EndInit`.
    Ended,
}

/// A namespace of identities.
#[derive(Debug, Clone, PartialEq)]
pub struct Namespace {
    pub name: String,
    pub description: String,
    pub active: bool,
    /// Most identifiers of this namespace in one group; 0 and -1: no limit.
    pub allowed_count: i64,
    /// Stored, never enforced (spec/ledger.md 9.2).
    pub allowed_active_count: i64,
}

/// A service that ASes may offer.
#[derive(Debug, Clone, PartialEq)]
pub struct Service {
    pub id: String,
    pub name: String,
    pub data_schema: String,
    pub data_schema_version: String,
    pub active: bool,
}

/// One AS that offers a service, and the same seen from the AS.
#[derive(Debug, Clone, PartialEq)]
pub struct Offer {
    /// The AS in a service's list, the service in an AS's list.
    pub id: String,
    pub min_ial: f64,
    pub min_aal: f64,
    pub namespaces: Vec<String>,
    pub active: bool,
}

/// Price of a service in one currency.
#[derive(Debug, Clone, PartialEq)]
pub struct CurrencyPrice {
    pub currency: String,
    pub min: f64,
    pub max: f64,
}

/// What an AS asks for a service from some moment on.
#[derive(Debug, Clone, PartialEq)]
pub struct ServicePrice {
    pub prices: Vec<CurrencyPrice>,
    /// Milliseconds since 1970; `None` if it was not given.
    pub effective_ms: Option<i64>,
    pub more_info_url: String,
    pub detail: String,
    pub creation_height: i64,
    pub creation_chain_id: String,
}

/// A code by which an IdP or an AS may answer with an error.
#[derive(Debug, Clone, PartialEq)]
pub struct ErrorCode {
    pub code: i64,
    pub description: String,
}

/// A message stored by an RP (spec/ledger.md 4.1).
#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    pub message: String,
    pub purpose: String,
    pub owner: String,
    pub creation_height: i64,
    pub creation_chain_id: String,
}

/// An identity: namespace and hash of the identifier.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Identity {
    pub namespace: String,
    pub identifier_hash: String,
}

/// A key by which an identity answers.
#[derive(Debug, Clone, PartialEq)]
pub struct Accessor {
    pub id: String,
    pub kind: String,
    /// Shared where many accessors have the same one.
    pub public_key: Arc<str>,
    pub active: bool,
    pub owner: String,
    pub creation_height: i64,
    pub creation_chain_id: String,
}

/// What one IdP knows of a reference group.
#[derive(Debug, Clone, PartialEq)]
pub struct GroupIdp {
    pub node_id: String,
    pub modes: Vec<i64>,
    pub accessors: Vec<Accessor>,
    pub ial: f64,
    pub lial: Option<bool>,
    pub laal: Option<bool>,
    pub active: bool,
}

/// Identities that are one person (spec/ledger.md 4.3).
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Group {
    pub identities: Vec<Identity>,
    pub idps: Vec<GroupIdp>,
}

impl Group {
    /// The entry of this IdP, active or not.
    pub fn idp(&self, node_id: &str) -> Option<&GroupIdp> {
        self.idps.iter().find(|entry| entry.node_id == node_id)
    }

    /// The entry of this IdP, to change.
    pub fn idp_mut(&mut self, node_id: &str) -> Option<&mut GroupIdp> {
        self.idps.iter_mut().find(|entry| entry.node_id == node_id)
    }
}

/// Everything the application remembers.
pub struct State {
    pub chain_id: String,
    /// Height of the block being executed, else of the last one executed.
    pub height: i64,
    pub init: Init,
    pub chain_history: String,
    /// The last block before the chain is disabled, or [`NEVER_DISABLED`].
    pub last_block: i64,
    /// Voting power by base64 of the key.
    pub validators: BTreeMap<String, i64>,
    /// SHA-256 of each nonce of a transaction that reached its method.
    pub nonces: HashSet<[u8; 32]>,

    pub nodes: HashMap<String, Node>,
    /// Ids of all nodes but NDID, as registered.
    pub registered: Vec<String>,
    /// Nodes behind each proxy, as added.
    pub behind_proxy: HashMap<String, Vec<String>>,
    pub tokens: HashMap<String, f64>,
    pub method_prices: HashMap<String, f64>,
    pub features: BTreeSet<String>,
    pub suppressed: BTreeSet<String>,

    pub namespaces: Vec<Namespace>,
    pub services: Vec<Service>,
    /// Whether NDID's approval of (service, AS) is active.
    pub approvals: HashMap<(String, String), bool>,
    /// ASes of each service; [`Offer::id`] is the AS.
    pub destinations: HashMap<String, Vec<Offer>>,
    /// Services of each AS; [`Offer::id`] is the service.
    pub provided: HashMap<String, Vec<Offer>>,
    /// Ceilings of each service by currency, as set.
    pub price_ceilings: HashMap<String, Vec<(String, f64)>>,
    /// Seconds, for one service or (`None`) for all others.
    pub price_delays: HashMap<Option<String>, u64>,
    /// Prices of (AS, service), newest first.
    pub prices: HashMap<(String, String), Vec<ServicePrice>>,

    pub supported_ials: Vec<f64>,
    pub supported_aals: Vec<f64>,
    pub allowed_modes: HashMap<String, Vec<i64>>,
    pub first_idp_min_ial: f64,
    pub request_types: BTreeSet<String>,
    /// Error codes by type in lower case, as added.
    pub error_codes: HashMap<String, Vec<ErrorCode>>,
    /// Stored, never used (spec/ledger.md 4.9).
    pub time_out_block: i64,

    pub requests: HashMap<String, RequestHistory>,
    pub messages: HashMap<String, Message>,
    /// Data signatures by (AS, service, request).
    pub data_signatures: HashMap<(String, String, String), String>,

    pub groups: HashMap<String, Group>,
    pub group_of_identity: HashMap<Identity, String>,
    pub group_of_accessor: HashMap<String, String>,
    /// What `SetInitData` wrote under keys whose values this ledger does not
    /// interpret.
    pub imported: BTreeMap<Vec<u8>, Vec<u8>>,
}

impl State {
    /// The state before the first block.
    pub fn new(chain_id: &str) -> Self {
        Self {
            chain_id: chain_id.to_owned(),
            height: 0,
            init: Init::Not,
            chain_history: String::new(),
            last_block: NEVER_DISABLED,
            validators: BTreeMap::new(),
            nonces: HashSet::new(),
            nodes: HashMap::new(),
            registered: Vec::new(),
            behind_proxy: HashMap::new(),
            tokens: HashMap::new(),
            method_prices: HashMap::new(),
            features: BTreeSet::new(),
            suppressed: BTreeSet::new(),
            namespaces: Vec::new(),
            services: Vec::new(),
            approvals: HashMap::new(),
            destinations: HashMap::new(),
            provided: HashMap::new(),
            price_ceilings: HashMap::new(),
            price_delays: HashMap::new(),
            prices: HashMap::new(),
            supported_ials: Vec::new(),
            supported_aals: Vec::new(),
            allowed_modes: HashMap::new(),
            first_idp_min_ial: 0.0,
            request_types: BTreeSet::new(),
            error_codes: HashMap::new(),
            time_out_block: 0,
            requests: HashMap::new(),
            messages: HashMap::new(),
            data_signatures: HashMap::new(),
            groups: HashMap::new(),
            group_of_identity: HashMap::new(),
            group_of_accessor: HashMap::new(),
            imported: BTreeMap::new(),
        }
    }

    /// The node of this id.
    ///
    /// # Errors
    /// 24 if there is none.
    pub fn node(&self, id: &str) -> Result<&Node, TxRefusal> {
        self.nodes.get(id).ok_or(refused::NODE_UNKNOWN)
    }

    /// The node of this id, to change.
    ///
    /// # Errors
    /// 24 if there is none.
    pub fn node_mut(&mut self, id: &str) -> Result<&mut Node, TxRefusal> {
        self.nodes.get_mut(id).ok_or(refused::NODE_UNKNOWN)
    }

    /// Nodes of one role as registered; all but NDID for `None`.
    pub fn nodes_of_role(&self, role: Option<Role>) -> impl Iterator<Item = &Node> {
        self.registered
            .iter()
            .filter_map(|id| self.nodes.get(id))
            .filter(move |node| role.is_none_or(|role| node.role == role))
    }

    /// Whether NDID exists already.
    pub fn has_ndid(&self) -> bool {
        self.init != Init::Not
    }

    /// What a call of the method costs (spec/ledger.md 2.9).
    pub fn price_of(&self, method: &str) -> f64 {
        self.method_prices
            .get(method)
            .copied()
            .unwrap_or(DEFAULT_PRICE)
    }

    /// The service of this id.
    ///
    /// # Errors
    /// 34 if there is none.
    pub fn service(&self, id: &str) -> Result<&Service, TxRefusal> {
        let found = self.services.iter().find(|service| service.id == id);
        found.ok_or(refused::SERVICE_UNKNOWN)
    }

    /// The service of this id, to change.
    ///
    /// # Errors
    /// 34 if there is none.
    pub fn service_mut(&mut self, id: &str) -> Result<&mut Service, TxRefusal> {
        let found = self.services.iter_mut().find(|service| service.id == id);
        found.ok_or(refused::SERVICE_UNKNOWN)
    }

    /// Whether NDID lets this AS offer this service; `None`: never decided.
    pub fn approval(&self, service_id: &str, as_id: &str) -> Option<bool> {
        let key = (service_id.to_owned(), as_id.to_owned());
        self.approvals.get(&key).copied()
    }

    /// The namespace of this name, active or not.
    pub fn namespace(&self, name: &str) -> Option<&Namespace> {
        self.namespaces.iter().find(|known| known.name == name)
    }

    /// The namespace of this name, to change.
    ///
    /// # Errors
    /// 22 if there is none.
    pub fn namespace_mut(&mut self, name: &str) -> Result<&mut Namespace, TxRefusal> {
        let found = self.namespaces.iter_mut().find(|known| known.name == name);
        found.ok_or(refused::NAMESPACE_UNKNOWN)
    }

    /// Modes allowed for a purpose, with the defaults of spec/ledger.md 5.2.
    pub fn modes_allowed_for(&self, purpose: &str) -> &[i64] {
        if let Some(modes) = self.allowed_modes.get(purpose) {
            return modes;
        }
        match purpose {
            "RegisterIdentity"
            | "AddIdentity"
            | "AddAccessor"
            | "RevokeAccessor"
            | "RevokeIdentityAssociation"
            | "UpdateIdentityModeList"
            | "RevokeAndAddAccessor" => &[2, 3],
            _ => &[1, 2, 3],
        }
    }

    /// Whether this error code may be used by this kind of node (`idp`, `as`).
    pub fn has_error_code(&self, kind: &str, code: i64) -> bool {
        let known = self.error_codes.get(kind);
        known.is_some_and(|known| known.iter().any(|entry| entry.code == code))
    }

    /// The group of this accessor, with its code.
    pub fn group_by_accessor(&self, accessor_id: &str) -> Option<(&str, &Group)> {
        let code = self.group_of_accessor.get(accessor_id)?;
        Some((code, self.groups.get(code)?))
    }

    pub fn accessor(&self, accessor_id: &str) -> Option<&Accessor> {
        let (_, group) = self.group_by_accessor(accessor_id)?;
        let mut all = group.idps.iter().flat_map(|entry| &entry.accessors);
        all.find(|accessor| accessor.id == accessor_id)
    }
}
