//! The closed list of what a node does.

use serde::{Deserialize, Serialize};

/// How often a job may take effect (docs/guarantees.md).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Class {
    /// Effects exist only in the commit; rerun until one attempt commits.
    Transactional,
    /// Leaves the node under an identity its receiver recognises; repeated
    /// with backoff until delivered, refused for good, or past its deadline.
    Delivery,
    /// Leaves the node and must never be repeated.
    Once,
}

/// Which credit a job uses up on a worker. Deliveries mostly wait for somebody
/// else's answer and must not hold up the node's own work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Pool {
    /// Handlers of the node's own work.
    Run,
    /// Deliveries to the ledger, other nodes and clients.
    Delivery,
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $variant:ident = $name:literal, $class:ident;)*) => {
        /// Which handler runs a job.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
        pub enum Kind { $($(#[$doc])* $variant,)* }

        impl Kind {
            /// Every kind.
            pub const ALL: &'static [Kind] = &[$(Kind::$variant),*];

            /// The name shown to operators, in logs and metrics.
            pub fn name(self) -> &'static str {
                match self { $(Kind::$variant => $name),* }
            }

            /// How often it may take effect.
            pub fn class(self) -> Class {
                match self { $(Kind::$variant => Class::$class),* }
            }
        }
    };
}

kinds! {
    /// A raw message from the queue: decrypt, verify, record, hand to its role.
    MqReceive = "mq.receive", Transactional;
    /// RP: an IdP answered.
    RpIdpResponse = "rp.idp_response", Transactional;
    /// RP: an AS answered.
    RpAsResponse = "rp.as_response", Transactional;
    /// RP: a block changed one of our requests.
    RpRequestUpdate = "rp.request_update", Transactional;
    /// RP: the transaction that creates a request has settled.
    RpRequestCreated = "rp.request_created", Transactional;
    /// RP: the transaction that closes a request has settled.
    RpRequestClosed = "rp.request_closed", Transactional;
    /// RP: a request's time is up.
    RpTimeOut = "rp.time_out", Transactional;
    /// RP: the transaction that times a request out has settled.
    RpRequestTimedOut = "rp.request_timed_out", Transactional;
    /// RP: the acknowledgement of data has settled.
    RpDataReceived = "rp.data_received", Transactional;
    /// IdP: an RP asks for consent.
    IdpConsentRequest = "idp.consent_request", Transactional;
    /// IdP: a block changed a request we were asked about.
    IdpRequestUpdate = "idp.request_update", Transactional;
    /// IdP: the transaction of our answer has settled.
    IdpResponseCreated = "idp.response_created", Transactional;
    /// AS: an RP asks for data.
    AsDataRequest = "as.data_request", Transactional;
    /// AS: the client application answered the data request callback.
    AsCallbackAnswer = "as.callback_answer", Transactional;
    /// AS: a block changed a request we were asked about.
    AsRequestUpdate = "as.request_update", Transactional;
    /// AS: the transaction of our answer has settled.
    AsResponseCreated = "as.response_created", Transactional;
    /// AS: the transaction that offers or changes a service has settled.
    AsServiceRegistered = "as.service_registered", Transactional;
    /// The transaction that registers the message queue address has settled.
    NodeMqRegistered = "node.mq_registered", Transactional;
    /// Sign a transaction (again).
    LedgerTransact = "ledger.transact", Transactional;
    /// Find out what became of a transaction that no block has shown yet.
    LedgerConfirm = "ledger.confirm", Transactional;
    /// The ledger was replaced: look at every request this node knows.
    LedgerReplaced = "ledger.replaced", Transactional;
    /// Sign and encrypt a message with an external crypto service, then hand it to `deliver.message`.
    MqSend = "mq.send", Transactional;
    /// Broadcast a signed transaction again: the process that stored it could not.
    DeliverTransaction = "deliver.transaction", Delivery;
    /// Send an encrypted message to another node.
    DeliverMessage = "deliver.message", Delivery;
    /// POST a callback to a client application.
    DeliverCallback = "deliver.callback", Delivery;
    /// RP: the client asks to close a request.
    RpCloseRequest = "rp.close_request", Transactional;
    /// Does nothing; for benchmarks and tests of the cluster core.
    Noop = "bench.noop", Transactional;
    /// Does nothing but make its successor; for benchmarks.
    NoopChain = "bench.noop_chain", Transactional;
    /// Does nothing, at most once; for tests of the class, which no flow of
    /// the API needs today (docs/decisions.md).
    NoopOnce = "bench.noop_once", Once;
    /// Stands for a job whose record cannot be read. It is never accepted and
    /// never run: it shows as parked, blocks its key, and an operator drops it.
    Unreadable = "unreadable", Once;
    /// IdP: another node changed an identity that this one may hold too.
    IdpIdentityModified = "idp.identity_modified", Transactional;
    /// AS: sign data with an external crypto service, then put it on its way to
    /// the ledger.
    AsSignData = "as.sign_data", Transactional;
    /// Computes for so many milliseconds without yielding, as no handler should;
    /// for `erawan bench exam`. Nothing but a tool with access to the store makes
    /// one.
    NoopStuck = "bench.noop_stuck", Transactional;
    /// A message has waited too long for a block far above the ledger.
    MqGiveUp = "mq.give_up", Transactional;
    /// IdP: download the documents of a contract from one of their hosts.
    FetchContract = "fetch.contract", Delivery;
    /// IdP: the documents of a contract have been verified, or could not be.
    IdpContractChecked = "idp.contract_checked", Transactional;
    /// IdP and AS: tell the client application how a request stands after a block.
    DeliverStatusUpdate = "deliver.status_update", Delivery;
}

impl Kind {
    /// Which credit it uses up.
    pub fn pool(self) -> Pool {
        match self.class() {
            Class::Transactional => Pool::Run,
            Class::Delivery | Class::Once => Pool::Delivery,
        }
    }

    /// Whether a job that failed for a reason that may pass keeps its place and
    /// blocks its key until it is tried again. Other deliveries leave the line.
    pub fn keeps_its_place(self) -> bool {
        match self {
            // The later ones tell the client what came after it.
            Kind::DeliverCallback | Kind::DeliverStatusUpdate => true,
            kind => kind.class() == Class::Transactional,
        }
    }

    /// Whether its handler signs or decrypts, and so calls the external crypto
    /// service if there is one.
    pub fn calls_crypto(self) -> bool {
        matches!(
            self,
            Kind::LedgerTransact | Kind::MqSend | Kind::MqReceive | Kind::AsSignData
        )
    }

    /// The kind with this [`name`](Self::name).
    pub fn from_name(name: &str) -> Option<Kind> {
        Self::ALL.iter().copied().find(|kind| kind.name() == name)
    }
}
