//! Why a transaction is refused: the ABCI code and its text (spec/ledger.md 3).
//!
//! Texts that a real network was heard to say are its own, to the letter;
//! clients show them. The others are ours.

use std::borrow::Cow;

/// One refusal of a transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TxRefusal {
    /// ABCI error code, never 0 (spec/ledger.md 3).
    pub code: u32,
    /// Text for people.
    pub log: Cow<'static, str>,
}

impl TxRefusal {
    const fn new(code: u32, log: &'static str) -> Self {
        Self {
            code,
            log: Cow::Borrowed(log),
        }
    }
}

macro_rules! refusals {
    ($($name:ident = $code:literal $log:literal;)*) => {
        $(#[doc = $log] pub const $name: TxRefusal = TxRefusal::new($code, $log);)*
    };
}

refusals! {
    VALIDATOR_KEY_NOT_BASE64 = 2 "Validator public key is not base64";
    UNDECODABLE = 5 "Parameters cannot be decoded";
    REQUEST_UNKNOWN = 7 "Request ID not found";
    REQUEST_CLOSED = 8 "Request is closed";
    REQUEST_TIMED_OUT = 9 "Request is timed out";
    REQUEST_ANSWERED = 10 "Request already has enough IdP responses";
    SERVICE_EXISTS = 11 "Duplicate service ID";
    SERVICE_PROVIDED = 11 "Service ID is already provided by this node";
    TOKEN_ACCOUNT_UNKNOWN = 12 "token account not found";
    TOKEN_NOT_ENOUGH = 13 "token not enough";
    INCOMPLETE = 14 "Transaction lacks a mandatory part";
    METHOD_EMPTY = 15 "Method name is empty";
    IDP_RESPONDED = 16 "Duplicate IdP response";
    AAL_BELOW_REQUEST = 17 "AAL is lower than the request's minimum AAL";
    AAL_ABOVE_NODE = 17 "AAL is greater than the node's maximum AAL";
    IAL_BELOW_REQUEST = 18 "IAL is lower than the request's minimum IAL";
    IAL_ABOVE_NODE = 18 "IAL is greater than the node's maximum IAL";
    NODE_EXISTS = 19 "Duplicate node ID";
    DESTINATION_EXISTS = 19 "Duplicate service destination";
    ROLE_INVALID = 20 "Invalid role";
    NAMESPACE_EXISTS = 21 "Duplicate namespace";
    NAMESPACE_UNKNOWN = 22 "Namespace not found";
    REQUEST_EXISTS = 23 "Duplicate request ID";
    NODE_UNKNOWN = 24 "Node ID not found";
    ACCESSOR_EXISTS = 26 "Duplicate accessor ID";
    CONSENT_NOT_ENOUGH = 29 "Request does not have enough valid accept responses";
    AS_NOT_LISTED = 32 "Node ID is not in the AS list of the service";
    AS_NOT_ANSWERED = 33 "AS has not answered the data request";
    SERVICE_UNKNOWN = 34 "Service ID not found";
    APPROVAL_UNKNOWN = 34 "Service destination has not been approved by NDID";
    MODE_NOT_ALLOWED = 35 "Invalid mode";
    MODE_NOT_ALLOWED_REGISTER = 35 "Invalid mode for register identity";
    MODE_NOT_ALLOWED_UPDATE = 35 "Invalid mode for update identity mode list";
    DATA_RECEIVED = 39 "Data is already received from this AS";
    AS_RESPONDED = 40 "Duplicate AS response";
    SERVICE_REPEATED = 41 "Duplicate service ID in data request list";
    DESTINATIONS_UNKNOWN = 42 "Service destinations not found";
    SERVICE_ANSWERED = 43 "Data request already has enough AS responses";
    NOT_APPROVED = 47 "This node does not have permission to register service destination";
    METHOD_UNKNOWN = 49 "Unknown method name";
    KEY_UNDECODABLE = 50 "Public key is not valid PEM";
    KEY_TYPE_UNSUPPORTED = 51 "Public key type is not supported";
    KEY_TYPE_UNKNOWN = 52 "Public key type is unknown";
    NDID_EXISTS = 53 "NDID node already exists";
    MQ_NOT_FOR_ROLE = 54 "This node does not have permission to set MQ addresses";
    NOT_NDID = 55 "This node does not have permission to call NDID method";
    NOT_IDP = 56 "This node does not have permission to call IdP method";
    NOT_AS = 57 "This node does not have permission to call AS method";
    NOT_RP_OR_IDP = 58 "This node does not have permission to call RP or IdP method";
    SIGNATURE_INVALID = 59 "Invalid signature";
    NOT_OWNER = 60 "This node is not the owner of the request";
    INIT_KEY_MISSING = 61 "Public key not found in parameters";
    MASTER_KEY_UNKNOWN = 62 "Master public key of node ID not found";
    SIGNING_KEY_UNKNOWN = 63 "Public key of node ID not found";
    TIME_OUT_BLOCK_INVALID = 64 "Time out block must be greater than zero";
    RSA_TOO_SHORT = 65 "RSA key length is too short, at least 2048 bits are required";
    AMOUNT_NEGATIVE = 67 "Amount must not be negative";
    NODE_DISABLED = 68 "Node is not active";
    SERVICE_DISABLED = 69 "Service is not active";
    DESTINATION_NOT_APPROVED = 70 "Service destination is not approved by NDID";
    DESTINATION_DISABLED = 70 "Service destination is not active";
    BEHIND_PROXY = 72 "This node ID is already associated with a proxy node";
    IS_PROXY = 73 "This node ID is an ID of a proxy node";
    NOT_BEHIND_PROXY = 74 "This node has not been associated with a proxy node";
    PROXY_UNKNOWN = 75 "Proxy node ID not found";
    IDP_NOT_LISTED = 76 "Node ID is not in the IdP list of the request";
    PROXY_DISABLED = 77 "Proxy node is not active";
    LISTED_IDP_DISABLED = 78 "An IdP in the list is not active";
    LISTED_AS_DISABLED = 79 "An AS in the list is not active";
    TARGET_NOT_AS = 80 "Role of node ID is not AS";
    CONSENT_OPEN = 81 "Request is not closed";
    CHAIN_DISABLED = 82 "Chain is disabled";
    CHAIN_NOT_INITIALISED = 83 "Chain is not initialised";
    NONCE_USED = 84 "Duplicate nonce";
    VALIDATOR_UNKNOWN = 85 "Validator to remove does not exist";
    IDENTITY_EXISTS = 86 "Identity already exists";
    IDENTITY_EMPTY = 87 "Identity namespace and identifier hash must not be empty";
    TARGET_AMBIGUOUS = 88 "Both reference group code and identity are given";
    GROUP_UNKNOWN = 89 "Reference group not found";
    NOT_IN_GROUP = 90 "Identity not found in this IdP";
    CONSENT_PURPOSE = 91 "Request purpose does not match";
    CONSENT_USED = 92 "Request is already used";
    GROUP_CODE_EMPTY = 93 "Reference group code must not be empty";
    GROUPS_DIFFER = 94 "Accessors belong to different reference groups";
    ACCESSOR_NOT_OWN = 95 "Accessor ID not found in this IdP";
    ACCESSOR_ID_EMPTY = 97 "Accessor ID must not be empty";
    ACCESSOR_KEY_EMPTY = 98 "Accessor public key must not be empty";
    ACCESSOR_TYPE_EMPTY = 99 "Accessor type must not be empty";
    IDENTITY_NAMESPACE_INVALID = 100 "Namespace not found or not active";
    IDENTIFIER_COUNT = 101 "Identifier count is greater than allowed identifier count";
    FIRST_IDP_IAL = 102 "IAL must be greater or equal min IAL when onboard as first IdP";
    LAST_ACCESSOR = 103 "Cannot revoke all accessors in this IdP";
    IDENTITY_REPEATED = 104 "Duplicate identifier in the list";
    MODE_LOWERED = 105 "New mode is lower than current mode";
    ERROR_CODE_INVALID = 106 "Invalid error code";
    ERROR_CODE_EXISTS = 106 "Duplicate error code";
    RP_NOT_IN_IDP_WHITELIST = 107 "RP is not in IdP whitelist";
    IDP_NOT_IN_RP_WHITELIST = 107 "IdP is not in RP whitelist";
    MIN_IDP_UNREACHABLE = 109 "Request can no longer reach min IdP";
    MIN_AS_UNREACHABLE = 110 "Data request can no longer reach min AS";
    IDP_DATA_REQUEST = 111 "IdP cannot create request with data request";
    IDP_MODE_1 = 112 "IdP cannot create mode 1 request";
    CEILINGS_UNKNOWN = 113 "Service price ceiling list not found";
    CEILING_UNKNOWN = 114 "Service price ceiling of currency not found";
    PRICE_ABOVE_CEILING = 115 "Service max price is greater than price ceiling";
    PRICE_RANGE = 117 "Service min price is greater than max price";
    NOTHING_TO_UPDATE = 118 "Nothing to update identity";
    NOT_RP = 119 "This node does not have permission to call RP method";
    MESSAGE_EXISTS = 120 "Duplicate message ID";
    REQUEST_TYPE_EXISTS = 121 "Duplicate request type";
    REQUEST_TYPE_UNKNOWN = 122 "Request type not found";
    SUPPRESSED_EXISTS = 123 "Node ID is already in the list";
    SUPPRESSED_UNKNOWN = 124 "Node ID is not in the list";
    TARGET_NOT_IDP = 125 "Role of node ID is not IdP";
    CHAIN_INITIALISED = 126 "Chain is already initialised";
    KEY_ALGORITHM_MISMATCH = 127 "Algorithm does not fit the public key type";
    CURVE_ALGORITHM_MISMATCH = 128 "Algorithm does not fit the curve of the public key";
    FEATURE_EXISTS = 129 "Duplicate node supported feature";
    FEATURE_NOT_ALLOWED = 130 "Node supported feature is not allowed";
    POWER_NEGATIVE = 131 "Validator power must not be negative";
    VALIDATOR_KEY_LENGTH = 132 "Validator public key must have 32 bytes";
    STORED_KEY_BROKEN = 999 "Stored public key is not valid PEM";
    KEY_CHANGED = 999 "Signing key has changed since the transaction was checked";
}
