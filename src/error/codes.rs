//! The error codes of the HTTP API and of callbacks (spec/http-api.md 2).
//!
//! One row per code: the constant, its number, the message sent to clients,
//! whose fault it is and the ledger result codes that map to it.

use super::{Code, Fault};

macro_rules! codes {
    ($($name:ident = $number:literal, $fault:ident, [$($abci:literal),*], $message:literal;)*) => {
        $(
            #[doc = $message]
            pub const $name: Code = Code { number: $number, message: $message, fault: Fault::$fault };
        )*

        /// The API code for a ledger result code; `TENDERMINT_TRANSACT_ERROR`
        /// for one that the table does not know (spec/ledger.md 3).
        pub fn from_abci(abci: u32) -> Code {
            match abci {
                $($($abci => $name,)*)*
                _ => TENDERMINT_TRANSACT_ERROR,
            }
        }

        /// The ledger's result code behind an API code; of several the first.
        pub fn to_abci(number: u32) -> Option<u32> {
            let all: &[(u32, &[u32])] = &[$(($number, &[$($abci),*])),*];
            let mut same = all.iter().filter(|(code, _)| *code == number);
            same.find_map(|(_, of_ledger)| of_ledger.first().copied())
        }

        /// Every code, for the documentation and for tests.
        pub const ALL: &[Code] = &[$($name),*];
    };
}

codes! {
    TEST = 100, Server, [], "Sample error for the debug error-callback test";
    UNKNOWN_ERROR = 10000, Server, [999], "Unknown Error";
    TENDERMINT_HTTP_CALL_ERROR = 10001, Server, [], "The call of the ledger failed";
    TENDERMINT_QUERY_JSON_RPC_ERROR = 10002, Server, [], "The ledger answered a query with an error";
    TENDERMINT_QUERY_ERROR = 10003, Server, [], "The ledger answered a query without a value";
    TENDERMINT_QUERY_RESULT_JSON_PARSE_ERROR = 10004, Server, [], "The ledger's answer to a query is not JSON";
    TENDERMINT_TRANSACT_JSON_RPC_ERROR = 10005, Server, [], "The ledger answered a transaction with an error";
    TENDERMINT_TRANSACT_ERROR = 10006, Server, [], "The ledger refused the transaction";
    TENDERMINT_SYNCING = 10007, Server, [], "Chain node catching up, retry later";
    TENDERMINT_NOT_CONNECTED = 10008, Server, [], "No chain connection, retry later";
    BODY_PARSER_ERROR = 10009, Server, [], "Body could not be read/decoded";
    EXTERNAL_SIGN_URL_NOT_SET = 10010, Server, [], "External crypto service for signing with node key URL has not been set";
    EXTERNAL_SIGN_MASTER_URL_NOT_SET = 10011, Server, [], "External crypto service for signing with node master key URL has not been set";
    EXTERNAL_DECRYPT_URL_NOT_SET = 10012, Server, [], "External crypto service for decrypting with node key URL has not been set";
    ENCRYPT_WITH_ACCESSOR_KEY_URL_NOT_SET = 10013, Server, [], "The URL for encrypting with an accessor key has not been set";
    ENCRYPT_WITH_ACCESSOR_KEY_FAILED = 10014, Server, [], "Encrypting with an accessor key failed";
    INVALID_RESPONSE = 10015, Server, [], "The IdP's consent response has a wrong signature or IAL";
    USER_REJECTED = 10016, Server, [], "User has rejected to give a consent";
    REGISTERING_MESSAGE_QUEUE_ADDRESS = 10017, Server, [], "Message queue address is being registered";
    MESSAGE_QUEUE_ADDRESS_NOT_FOUND = 10018, Server, [], "Message queue destination not found";
    DIFFERENT_ACCESSOR_GROUP_ID = 10019, Server, [], "The accessor belongs to another group";
    MESSAGE_FROM_UNKNOWN_NODE = 10020, Server, [], "Received message from unknown node";
    INVALID_MESSAGE_SIGNATURE = 10021, Server, [], "Invalid message signature";
    DECRYPT_MESSAGE_ERROR = 10022, Server, [], "Error decrypting message received from message queue";
    MALFORMED_MESSAGE_FORMAT = 10023, Server, [], "Malformed message format from message queue";
    INVALID_RESPONSES = 10024, Server, [], "One or more responses from IdP are invalid (Invalid signature or ZK proof)";
    REQUEST_INTEGRITY_CHECK_FAILED = 10025, Server, [], "Request integrity check failed";
    LOADING_EXPECTED_TXS_CACHE = 10026, Server, [], "Still loading pending transactions";
    WRONG_MESSAGE_QUEUE_PROTOCOL = 10027, Server, [], "Received unrecognized message via message queue";
    DB_ERROR = 10028, Server, [], "Database failure";
    WAITING_FOR_KMS_CALLBACK_URL_SET = 10029, Server, [], "Waiting for KMS callback URLs to be set";
    CANNOT_WRITE_CALLBACK_URL_TO_FILE = 10030, Server, [], "Cannot write callback URL to file";
    CANNOT_READ_CALLBACK_URL_FROM_FILE = 10031, Server, [], "Cannot read callback URL from file";
    NODE_INFO_NOT_FOUND = 10032, Server, [], "Node info could not be found";
    INVALID_DATA_RESPONSE_SIGNATURE = 10033, Server, [], "Invalid data response from AS (Invalid signature)";
    NODE_KEY_NOT_FOUND = 10034, Server, [], "Key could not be found. May need to re-initialize node keys.";
    CANNOT_PARSE_DATA = 10035, Server, [], "The AS's data is not JSON, as the service's schema wants it";
    CANNOT_GET_DATA_SCHEMA = 10036, Server, [], "The data schema of the service could not be got";
    CANNOT_VALIDATE_DATA = 10037, Server, [], "The data schema of the service cannot be used";
    MQ_SEND_ERROR = 10038, Server, [], "Message queue (sender) error";
    MQ_RECV_ERROR = 10039, Server, [], "Message queue (receiver) error";
    MQ_SEND_CLEANUP_ERROR = 10040, Server, [], "Message queue (sender) clean up error";
    MQ_SEND_TIMEOUT = 10041, Server, [], "Message queue send retry timed out. Give up sending.";
    MQ_SEND_ACK_UNKNOWN_MESSAGE_ID = 10042, Server, [], "Cannot send ACK for unknown message ID";
    INVALID_MESSAGE_TYPE = 10043, Server, [], "Invalid message type";
    INVALID_MESSAGE_SCHEMA = 10044, Server, [], "Invalid message schema";
    CANNOT_VALIDATE_MESSAGE = 10045, Server, [], "Cannot validate MQ message";
    CANNOT_SAVE_TRANSACT_REQUEST_FOR_RETRY = 10046, Server, [], "A transaction cannot be kept until the chain takes it";
    UNRECOGNIZED_MESSAGE_CHAIN_ID = 10047, Server, [], "Received message from MQ with unrecognized chain ID";
    TENDERMINT_HTTP_CALL_UNEXPECTED_RESULT = 10048, Server, [], "The ledger answered a call without a result";
    TENDERMINT_MEMPOOL_FULL = 10049, Server, [], "The ledger takes no more transactions for the moment";
    NO_MODE_AVAILABLE = 10050, Server, [], "The identity has neither mode 2 nor 3";
    MQ_PROTOCOL_MESSAGE_VERSION_MISMATCH = 10051, Server, [], "MQ protocol message version mismatch";
    MQ_MESSAGE_VERSION_MISMATCH = 10052, Server, [], "MQ message version mismatch";
    ABCI_UNKNOWN_ERROR = 15000, Server, [], "Unknown error on the ledger";
    ABCI_ENCODING_ERROR = 15001, Server, [1], "Encoding failed";
    ABCI_DECODING_ERROR = 15002, Server, [2], "The transaction cannot be decoded";
    ABCI_BAD_NONCE = 15003, Server, [3], "Nonce rejected";
    ABCI_UNMARSHAL_ERROR = 15004, Server, [5], "The ledger cannot decode the parameters";
    ABCI_MARSHAL_ERROR = 15005, Server, [6], "The ledger cannot encode the result";
    ABCI_WRONG_TRANSACTION_FORMAT = 15006, Server, [14], "The transaction has the wrong format";
    ABCI_METHOD_CAN_NOT_BE_EMPTY = 15007, Server, [15], "The transaction has no method";
    ABCI_DUPLICATE_REQUEST_ID = 15008, Server, [23], "Request id already on chain";
    ABCI_ACCESSOR_GROUP_ID_NOT_FOUND = 15009, Server, [28], "Accessor group unknown";
    ABCI_REQUEST_IS_NOT_COMPLETED = 15010, Server, [29], "Consent request not completed";
    ABCI_INVALID_REQUEST_PURPOSE = 15011, Server, [30, 91], "Consent request has other purpose";
    ABCI_NODE_ID_DOES_NOT_EXIST_IN_AS_LIST = 15012, Server, [32], "AS not asked in this data request";
    ABCI_AS_ID_DOES_NOT_EXIST_IN_AS_LIST = 15013, Server, [33], "RP acknowledged an AS not in list";
    ABCI_INVALID_MIN_IDP = 15014, Server, [31], "Min_idp not allowed";
    ABCI_DUPLICATE_ACCESSOR_GROUP_ID = 15015, Server, [27], "Accessor group exists";
    ABCI_DUPLICATE_IDENTITY_PROOF = 15016, Server, [37], "Identity proof repeated";
    ABCI_WRONG_IDENTITY_PROOF = 15017, Server, [38], "Identity proof wrong";
    ABCI_NOT_FIRST_IDP = 15018, Server, [44], "Not the first IdP of the identity";
    ABCI_INCOMPLETE_RESPONSE_VALID_LIST = 15019, Server, [48], "The list of valid responses is incomplete";
    ABCI_UNKNOWN_METHOD = 15020, Server, [49], "Chain method unknown";
    ABCI_REGISTER_IDENTITY_TIMED_OUT = 15021, Server, [66], "Identity registration took too long";
    ABCI_NODE_IS_NOT_ACTIVE = 15022, Server, [68], "Node disabled by NDID";
    ABCI_SERVICE_IS_NOT_ACTIVE = 15023, Server, [69], "Service disabled";
    ABCI_SERVICE_DESTINATION_IS_NOT_ACTIVE = 15024, Server, [70], "AS's service disabled";
    ABCI_SERVICE_DESTINATION_IS_NOT_APPROVED = 15025, Server, [71], "AS's service not approved by NDID";
    ABCI_PROXY_NODE_IS_NOT_ACTIVE = 15026, Server, [77], "Proxy node disabled";
    ABCI_REQUEST_IS_NOT_CLOSED = 15027, Server, [81], "Consent request still open";
    ABCI_CHAIN_DISABLED = 15028, Server, [82], "The chain takes no more transactions";
    ABCI_CHAIN_NOT_INITIALIZED = 15029, Server, [83], "Chain initialisation not finished";
    ABCI_DUPLICATE_NONCE = 15030, Server, [84], "The transaction's nonce was used before";
    ABCI_REQUEST_IS_ALREADY_USED = 15031, Server, [92], "Consent request already consumed";
    ABCI_APP_STATE_ERROR = 15032, Server, [108], "Chain application state failure";
    ABCI_SERVICE_PRICE_CEILING_LIST_NOT_FOUND = 15033, Server, [113], "Service has no price ceilings";
    ABCI_SERVICE_PRICE_CEILING_NOT_FOUND = 15034, Server, [114], "No ceiling for that currency";
    ABCI_CHAIN_IS_ALREADY_INITIALIZED = 15035, Server, [126], "Chain already initialised";
    PATH_PARAMS_VALIDATION_FAILED = 20001, Client, [], "Path parameters validation failed";
    QUERY_STRING_VALIDATION_FAILED = 20002, Client, [], "Query string validation failed";
    BODY_VALIDATION_FAILED = 20003, Client, [], "Body validation failed";
    IDP_LIST_LESS_THAN_MIN_IDP = 20004, Client, [], "Provided IdP list is less than minimum IdP needed (length of \"idp_id_list\" is less than \"min_idp\")";
    NO_IDP_FOUND = 20005, Client, [], "No IdP found";
    NOT_ENOUGH_IDP = 20006, Client, [], "Fewer IdPs can be asked than \"min_idp\" says";
    BODY_PARSE_FAILED = 20007, Client, [], "Unable to parse body";
    EXTERNAL_SIGN_TEST_FAILED_NO_PUB_KEY = 20008, Client, [], "The signing key of this node is not on the ledger";
    EXTERNAL_MASTER_SIGN_TEST_FAILED_NO_PUB_KEY = 20009, Client, [], "The signing master key of this node is not on the ledger";
    EXTERNAL_DECRYPT_TEST_FAILED_NO_PUB_KEY = 20010, Client, [], "The encryption key of this node is not on the ledger";
    ACCESSOR_PUBLIC_KEY_NOT_FOUND_OR_NOT_ACTIVE = 20011, Client, [], "Accessor public key for the input accessor ID could not be found or inactive";
    REQUEST_NOT_FOUND = 20012, Client, [], "Request ID could not be found";
    INVALID_NAMESPACE = 20013, Client, [], "This namespace is not registered by NDID";
    ACCESSOR_ID_NEEDED = 20014, Client, [], "\"accessor_id\" must be provided";
    SECRET_NEEDED = 20015, Client, [], "A secret is needed";
    IDP_ID_LIST_NEEDED = 20016, Client, [], "\"idp_id_list\" must be provided";
    AS_LIST_LESS_THAN_MIN_AS = 20017, Client, [], "Provided AS list is less than minimum AS needed (length of \"as_id_list\" is less than \"min_as\")";
    DUPLICATE_SERVICE_ID = 20018, Client, [], "Duplicate service ID in data request list";
    IDENTITY_ALREADY_CREATED = 20019, Client, [], "Already created an identity for this user";
    IDENTITY_NOT_FOUND = 20020, Client, [], "The identity is not known to any IdP";
    MAXIMUM_IAL_EXCEED = 20021, Client, [], "Specified ial exceeds maximum ial capability";
    CONDITION_TOO_LOW = 20022, Client, [], "Minimum AS in some services requested cannot be met with some conditions (due to required \"min_ial\", \"min_aal\" or \"namespace\")";
    MISSING_ARGUMENTS = 20023, Server, [], "The first registration of a service needs \"min_ial\", \"min_aal\", \"url\" and \"supported_namespace_list\"";
    NOT_ENOUGH_AS = 20024, Client, [], "Not enough AS (the number of AS offer the service is less than minimum AS needed)";
    REQUEST_IS_CLOSED = 20025, Client, [], "Request is already closed";
    REQUEST_IS_TIMED_OUT = 20026, Client, [], "Request is already timed out";
    INVALID_SECRET = 20027, Client, [], "The secret is wrong";
    INVALID_ACCESSOR_SIGNATURE = 20028, Client, [], "Invalid accessor signature";
    MALFORMED_SECRET_FORMAT = 20029, Client, [], "The secret has the wrong format";
    DUPLICATE_ACCESSOR_ID = 20030, Client, [], "Duplicate accessor ID";
    NO_INCOMING_REQUEST = 20031, Client, [], "There is no such incoming request";
    INVALID_HTTP_RESPONSE_STATUS_CODE = 20032, Client, [], "The AS answered the data request with another status than 200 or 204";
    CANNOT_PARSE_JSON = 20033, Client, [], "The AS answered the data request with a body that is not JSON";
    MISSING_DATA_IN_AS_DATA_RESPONSE = 20034, Client, [], "Missing data in AS data response";
    INVALID_DATA_TYPE_IN_AS_DATA_RESPONSE = 20035, Client, [], "The data in the AS's answer is not a text";
    BODY_TOO_LARGE = 20036, Client, [], "The body is larger than 25 MiB";
    UNKNOWN_DATA_REQUEST = 20037, Client, [], "Unknown data request (This node may has not yet received data request from RP or the request does not concern this node)";
    UNKNOWN_CONSENT_REQUEST = 20038, Client, [], "Unknown consent request (This node may has not yet received consent request from RP or the request does not concern this node)";
    SERVICE_ID_NOT_FOUND_IN_REQUEST = 20039, Client, [], "Service ID could not be found in data request list of the request";
    INVALID_KEY_FORMAT = 20040, Client, [], "Invalid or malformed key format";
    UNSUPPORTED_KEY_TYPE = 20041, Client, [], "Unsupported key type.";
    MISMATCHED_KEY_TYPE = 20042, Client, [], "Key type mismatched. Provided key type does not match with given key.";
    SOME_AS_DO_NOT_PROVIDE_SERVICE = 20043, Client, [], "Some AS IDs in some services in data request list do not provide the requested service";
    RSA_KEY_LENGTH_TOO_SHORT = 20044, Client, [], "RSA key length is too short. Must be at least 2048-bit.";
    DUPLICATE_REFERENCE_ID = 20045, Client, [], "Request for this reference ID is in progress";
    EXTERNAL_DECRYPT_TEST_FAILED_MESSAGE_MISMATCH = 20046, Client, [], "The decrypt URL answered with another text than was encrypted";
    EXTERNAL_DECRYPT_TEST_FAILED_CONNECTIVITY_ERROR = 20047, Client, [], "The decrypt URL cannot be reached";
    EXTERNAL_DECRYPT_TEST_FAILED_JSON_PARSING_ERROR = 20048, Client, [], "The decrypt URL answered with something else than JSON";
    EXTERNAL_SIGN_TEST_FAILED_INVALID_SIGNATURE = 20049, Client, [], "External service: Receive invalid signature";
    EXTERNAL_SIGN_TEST_FAILED_CONNECTIVITY_ERROR = 20050, Client, [], "The sign URL cannot be reached";
    EXTERNAL_SIGN_TEST_FAILED_JSON_PARSING_ERROR = 20051, Client, [], "The sign URL answered with something else than JSON";
    EXTERNAL_MASTER_SIGN_TEST_FAILED_INVALID_SIGNATURE = 20052, Client, [], "The master sign URL answered with a wrong signature";
    EXTERNAL_MASTER_SIGN_TEST_FAILED_CONNECTIVITY_ERROR = 20053, Client, [], "The master sign URL cannot be reached";
    EXTERNAL_MASTER_SIGN_TEST_FAILED_JSON_PARSING_ERROR = 20054, Client, [], "The master sign URL answered with something else than JSON";
    IAL_IS_LESS_THAN_REQUEST_MIN_IAL = 20055, Client, [], "IAL is less than request's minimum IAL";
    AAL_IS_LESS_THAN_REQUEST_MIN_AAL = 20056, Client, [], "AAL is less than request's minimum AAL";
    MISSING_NODE_ID = 20057, Client, [], "\"node_id\" is needed: this node is a proxy";
    UNQUALIFIED_IDP = 20058, Client, [], "Some IdP IDs in requested IdP ID list are unqualified to response";
    DATA_VALIDATION_FAILED = 20059, Client, [], "Data validation failed";
    WRONG_IAL = 20060, Client, [], "Mismatched ial between response and identity info";
    INVALID_ACCESSOR_RESPONSE = 20061, Client, [], "The response of the accessor is invalid";
    NOT_OWNER_OF_ACCESSOR = 20062, Client, [], "Cannot revoke accessor of other IDP";
    UPDATE_NODE_KEY_CHECK_FAILED = 20063, Client, [], "Signed check string mismatched";
    UPDATE_MASTER_KEY_CHECK_FAILED = 20064, Client, [], "Master signed check string mismatched";
    IDENTITY_MODE_MISMATCH = 20065, Client, [], "The identity at this IdP does not have the request's mode";
    UNSUPPORTED_MODE = 20066, Client, [], "This request mode is not supported";
    MISSING_IDENTITY_ARGUMENT_TO_MERGE = 20067, Client, [], "The identity to merge is missing";
    IDENTITY_TO_MERGE_TO_DOES_NOT_EXIST = 20068, Client, [], "The identity to merge with does not exist";
    MULTIPLE_REFERENCE_GROUP_IN_IDENTITY_LIST = 20069, Client, [], "Multiple reference group in identity list";
    DATA_URL_BASE64_MUST_NOT_CONTAIN_WHITESPACES = 20070, Client, [], "Data URL with base64 encoded data must not contain whitespaces";
    IDENTITY_NOT_FOUND_ON_IDP = 20071, Client, [], "An identity associated with this IdP could not be found.";
    MUST_BE_IDP_NODE = 20072, Client, [], "Must be IdP node";
    MODE_ALREADY_UPGRADED = 20073, Client, [], "Mode for this identity is already upgraded";
    REQUEST_MESSAGE_NEEDED = 20074, Client, [], "\"request_message\" is needed to ask for consent";
    NOT_MODE_2_OR_3_REQUEST = 20075, Client, [], "Not mode 2 or 3 request";
    INVALID_SIGNATURE = 20076, Client, [], "The signature is invalid";
    ACCESSOR_IS_NOT_IN_REQUEST_REFERENCE_GROUP = 20077, Client, [], "Accessor is not in request reference grouop";
    INVALID_ERROR_CODE = 20078, Client, [], "ErrorCode is invalid";
    NOT_IN_WHITELIST = 20079, Client, [], "The whitelist of the RP or of an IdP does not have the other";
    INVALID_ERROR_CODE_TYPE_IN_AS_RESPONSE = 20080, Client, [], "\"error_code\" in the AS's answer is not a number";
    ENOUGH_IDP_RESPONSE = 20081, Client, [], "Request has enough IdP responses";
    ENOUGH_AS_RESPONSE = 20082, Client, [], "The service needs no more AS responses, or can get no more";
    SERVICE_ID_NOT_FOUND = 20083, Client, [], "Service ID could not be found";
    SERVICE_MIN_PRICE_CANNOT_BE_GREATER_THAN_MAX_PRICE = 20084, Client, [], "Service minimum price cannot be greater than maximum price";
    UNCOMPRESSED_AS_DATA_SIZE_OVER_LIMIT = 20085, Client, [], "Uncompressed AS data size larger than limit";
    AS_DATA_SIZE_OVER_LIMIT = 20086, Client, [], "AS data size larger than limit";
    INITIAL_SALT_TOO_SHORT = 20087, Client, [], "Request has too short initial salt size";
    MESSAGE_TOO_LONG = 20088, Client, [], "Request has too long message";
    PURPOSE_TOO_LONG = 20089, Client, [], "Request has too long purpose";
    SERVICE_PRICE_EFFECTIVE_DATETIME_BEFORE_ALLOWED = 20090, Client, [], "Service price effective datetime is before allowed datetime";
    INVALID_REQUEST_TYPE = 20091, Client, [], "Invalid request type";
    INVALID_API_KEY = 20092, Client, [], "Invalid API key";
    UNSUPPORTED_SIGNING_ALGORITHM = 20093, Client, [], "Unsupported signing algorithm.";
    UNSUPPORTED_IAL = 20094, Client, [], "Unsupported IAL";
    UNSUPPORTED_AAL = 20095, Client, [], "Unsupported AAL";
    INVALID_IDENTIFIER = 20096, Client, [], "Invalid identifier";
    ABCI_REQUEST_ID_NOT_FOUND = 25001, Client, [7], "Request ID could not be found";
    ABCI_REQUEST_IS_CLOSED = 25002, Client, [8], "Request is already closed";
    ABCI_REQUEST_IS_TIMED_OUT = 25003, Client, [9], "Request timed out";
    ABCI_REQUEST_IS_COMPLETED = 25004, Client, [10], "Request is already completed";
    ABCI_DUPLICATE_SERVICE_ID = 25005, Client, [11], "Service ID already exists";
    ABCI_TOKEN_ACCOUNT_NOT_FOUND = 25006, Client, [12], "Token account (Node ID) could not be found";
    ABCI_NOT_ENOUGH_TOKEN = 25007, Client, [13], "Not enough token to make a transaction";
    ABCI_DUPLICATE_RESPONSE = 25008, Client, [16], "Duplicate response";
    ABCI_AAL_ERROR = 25009, Client, [17], "AAL is higher than the node's maximum AAL";
    ABCI_IAL_ERROR = 25010, Client, [18], "IAL is higher than the node's maximum IAL";
    ABCI_DUPLICATE_NODE_ID = 25011, Client, [19], "Node ID already exists";
    ABCI_WRONG_ROLE = 25012, Client, [20], "Invalid role";
    ABCI_DUPLICATE_NAMESPACE = 25013, Client, [21], "Duplicate namespace";
    ABCI_NAMESPACE_NOT_FOUND = 25014, Client, [22], "Namespace could not be found";
    ABCI_NODE_ID_NOT_FOUND = 25015, Client, [24], "Node ID could not be found";
    ABCI_DUPLICATE_PUBLIC_KEY = 25016, Client, [25], "Public key is already used";
    ABCI_DUPLICATE_ACCESSOR_ID = 25017, Client, [26], "Duplicate accessor ID";
    ABCI_SERVICE_ID_NOT_FOUND = 25018, Client, [34], "Service ID could not be found";
    ABCI_INVALID_MODE = 25019, Client, [35], "Invalid mode";
    ABCI_HASH_ID_NOT_FOUND = 25020, Client, [36], "Hashed ID could not be found";
    ABCI_DUPLICATE_AS_IN_DATA_REQUEST = 25021, Client, [39], "An AS is twice in \"as_id_list\"";
    ABCI_DUPLICATE_ANSWERED_AS_ID = 25022, Client, [40], "Duplicate answered AS ID";
    ABCI_DUPLICATE_SERVICE_ID_IN_DATA_REQUEST = 25023, Client, [41], "A service is twice in the data request list";
    ABCI_SERVICE_DESTINATION_NOT_FOUND = 25024, Client, [42], "The AS does not offer the service";
    ABCI_DATA_REQUEST_IS_COMPLETED = 25025, Client, [43], "The data request is already completed";
    ABCI_ACCESSOR_ID_NOT_FOUND = 25026, Client, [45], "Accessor ID could not be found";
    ABCI_NOT_OWNER_OF_ACCESSOR = 25027, Client, [46], "The accessor belongs to another node";
    ABCI_REGISTER_SERVICE_UNAUTHORIZED = 25028, Client, [47], "Unauthorized to register a service (NDID may have not granted this node the right to register this service)";
    ABCI_INVALID_KEY_FORMAT = 25029, Client, [50], "Key cannot be read";
    ABCI_UNSUPPORTED_KEY_TYPE = 25030, Client, [51], "Unsupported key type";
    ABCI_UNKNOWN_KEY_TYPE = 25031, Client, [52], "Unknown key type";
    ABCI_NDID_ALREADY_EXIST = 25032, Client, [53], "There is an NDID node already";
    ABCI_NO_PERMISSION_TO_REGISTER_MESSAGE_QUEUE_ADDRESSES = 25033, Client, [54], "A node with this role may not register message queue addresses";
    ABCI_NO_PERMISSION_TO_CALL_NDID_METHOD = 25034, Client, [55], "Only NDID may do this";
    ABCI_NO_PERMISSION_TO_CALL_IDP_METHOD = 25035, Client, [56], "Only an IdP may do this";
    ABCI_NO_PERMISSION_TO_CALL_AS_METHOD = 25036, Client, [57], "Only an AS may do this";
    ABCI_NO_PERMISSION_TO_CALL_RP_AND_IDP_METHOD = 25037, Client, [58], "Only an RP or an IdP may do this";
    ABCI_SIGNATURE_VERIFICATION_FAILED = 25038, Client, [59], "The transaction's signature is wrong";
    ABCI_NOT_REQUEST_OWNER = 25039, Client, [60], "The request belongs to another node";
    ABCI_CANNOT_GET_PUBLIC_KEY_FROM_PARAMS = 25040, Client, [61], "The public key is missing in the parameters";
    ABCI_CANNOT_GET_MASTER_PUBLIC_KEY_BY_NODE_ID = 25041, Client, [62], "The node's master key could not be found";
    ABCI_CANNOT_GET_PUBLIC_KEY_BY_NODE_ID = 25042, Client, [63], "The node's key could not be found";
    ABCI_BLOCK_TIMEOUT_MUST_BE_GREATER_THAN_ZERO = 25043, Client, [64], "The block timeout must be greater than zero";
    ABCI_RSA_KEY_LENGTH_TOO_SHORT = 25044, Client, [65], "RSA key length is too short. Must be at least 2048-bit.";
    ABCI_AMOUNT_MUST_BE_GREATER_OR_EQUAL_ZERO = 25045, Client, [67], "The amount must not be negative";
    ABCI_NODE_IS_ALREADY_ASSOCIATED_WITH_PROXY_NODE = 25046, Client, [72], "The node is already behind a proxy";
    ABCI_NODE_IS_PROXY_NODE = 25047, Client, [73], "The node is a proxy itself";
    ABCI_NODE_NOT_ASSOCIATED_WITH_PROXY_NODE = 25048, Client, [74], "The node is not behind a proxy";
    ABCI_PROXY_NODE_NOT_FOUND = 25049, Client, [75], "The proxy could not be found";
    ABCI_NODE_ID_DOES_NOT_EXIST_IN_REQUESTED_IDP_LIST = 25050, Client, [76], "The IdP is not asked in this request";
    ABCI_NODE_ID_IN_IDP_LIST_IS_NOT_ACTIVE = 25051, Client, [78], "An IdP in the list is disabled";
    ABCI_NODE_ID_IN_AS_LIST_IS_NOT_ACTIVE = 25052, Client, [79], "An AS in the list is disabled";
    ABCI_NOT_AS = 25053, Client, [80], "This node ID does not belong to AS";
    ABCI_VALIDATOR_DOES_NOT_EXIST = 25054, Client, [85], "The validator could not be found";
    ABCI_IDENTITY_ALREADY_EXIST = 25055, Client, [86], "The identity already exists";
    ABCI_IDENTITY_CANNOT_BE_EMPTY = 25056, Client, [87], "The identity must not be empty";
    ABCI_CANNOT_INPUT_BOTH_REF_GROUP_CODE_AND_IDENTITY = 25057, Client, [88], "Either a reference group code or an identity is wanted, not both";
    ABCI_REF_GROUP_NOT_FOUND = 25058, Client, [89], "The reference group could not be found";
    ABCI_IDENTITY_NOT_FOUND_ON_IDP = 25059, Client, [90], "The identity could not be found at this IdP";
    ABCI_REF_GROUP_CODE_CANNOT_BE_EMPTY = 25060, Client, [93], "The reference group code must not be empty";
    ABCI_ALL_ACCESSOR_MUST_HAVE_SAME_REF_GROUP_CODE = 25061, Client, [94], "All accessors must belong to one reference group";
    ABCI_ACCESSOR_NOT_FOUND_ON_IDP = 25062, Client, [95], "The accessor could not be found at this IdP";
    ABCI_DUPLICATE_NAMESPACE_IN_IDENTITY_LIST = 25063, Client, [96], "A namespace is twice in the identity list";
    ABCI_ACCESSOR_ID_CANNOT_BE_EMPTY = 25064, Client, [97], "The accessor ID must not be empty";
    ABCI_ACCESSOR_PUBLIC_KEY_CANNOT_BE_EMPTY = 25065, Client, [98], "The accessor's public key must not be empty";
    ABCI_ACCESSOR_TYPE_CANNOT_BE_EMPTY = 25066, Client, [99], "The accessor's type must not be empty";
    ABCI_INVALID_NAMESPACE = 25067, Client, [100], "Invalid namespace";
    ABCI_ALLOWED_IDENTIFIER_COUNT_EXCEEDED = 25068, Client, [101], "Exceed number of identifier allowed for namespace";
    ABCI_IAL_TOO_LOW_FOR_FIRST_IDP = 25069, Client, [102], "Too low IAL for first IdP";
    ABCI_CANNOT_REVOKE_ALL_ACCESSORS_IN_THIS_IDP = 25070, Client, [103], "Cannot revoke all accessors in this IdP";
    ABCI_DUPLICATE_IDENTIFIER = 25071, Client, [104], "An identifier is given twice";
    ABCI_NEW_MODE_LIST_MUST_BE_HIGHER_THAN_CURRENT_MODE_LIST = 25072, Client, [105], "The new mode list must be higher than the current one";
    ABCI_INVALID_ERROR_CODE = 25073, Client, [106], "The error code is not registered";
    ABCI_NODE_NOT_IN_WHITELIST = 25074, Client, [107], "Node is not in whitelist";
    ABCI_REQUEST_CANNOT_BE_FULFILLED = 25075, Client, [109], "The request cannot be fulfilled any more";
    ABCI_DATA_REQUEST_CANNOT_BE_FULFILLED = 25076, Client, [110], "The data request cannot be fulfilled any more";
    ABCI_IDP_CREATE_REQUEST_WITH_DATA_REQUEST_NOT_ALLOWED = 25077, Client, [111], "An IdP's request may not ask for data";
    ABCI_IDP_CREATE_REQUEST_MODE_1_AND_2_NOT_ALLOWED = 25078, Client, [112], "An IdP's request must have mode 3";
    ABCI_SERVICE_MAX_PRICE_GREATER_THAN_PRICE_CEILING = 25079, Client, [115], "Service max price is greater than price ceiling";
    ABCI_SERVICE_PRICE_EFFECTIVE_DATETIME_BEFORE_ALLOWED = 25080, Client, [116], "The price takes effect too early";
    ABCI_SERVICE_PRICE_MIN_CANNOT_BE_GREATER_THAN_MAX = 25081, Client, [117], "The minimum price is greater than the maximum price";
    ABCI_NOTHING_TO_UPDATE_IDENTITY = 25082, Client, [118], "There is nothing to update";
    ABCI_NO_PERMISSION_TO_CALL_RP_METHOD = 25083, Client, [119], "Only an RP may do this";
    ABCI_DUPLICATE_MESSAGE_ID = 25084, Client, [120], "Message ID already exists";
    ABCI_REQUEST_TYPE_ALREADY_EXISTS = 25085, Client, [121], "Request type already exists";
    ABCI_REQUEST_TYPE_DOES_NOT_EXIST = 25086, Client, [122], "Request type does not exist";
    ABCI_SUPPRESSED_IDENTITY_MODIFICATION_NOTIFICATION_NODE_ID_ALREADY_EXISTS = 25087, Client, [123], "Notifications of this node are already suppressed";
    ABCI_SUPPRESSED_IDENTITY_MODIFICATION_NOTIFICATION_NODE_ID_DOES_NOT_EXIST = 25088, Client, [124], "Notifications of this node are not suppressed";
    ABCI_NOT_IDP_NODE = 25089, Client, [125], "Node is not an IdP";
    ABCI_INCOMPATIBLE_KEY_ALGORITHM = 25090, Client, [127], "The key and the algorithm do not fit";
    ABCI_UNSUPPORTED_SIGNING_ALGORITHM = 25091, Client, [128], "Unsupported signing algorithm";
    ABCI_NODE_SUPPORTED_FEATURE_ALREADY_EXISTS = 25092, Client, [129], "Feature already exists";
    ABCI_NODE_SUPPORTED_FEATURE_DOES_NOT_EXIST = 25093, Client, [130], "Feature does not exist";
    ABCI_INVALID_VALIDATOR_VOTING_POWER = 25094, Client, [131], "Invalid voting power";
    ABCI_INVALID_VALIDATOR_PUBLIC_KEY = 25095, Client, [132], "Invalid public key of a validator";
    ABCI_UNAUTHORIZED = 35001, Forbidden, [4], "The node is not registered, or may not do this";
}

/// 20058 of an AS: the recorded system has two names and texts for one code.
pub const UNQUALIFIED_AS: Code = Code {
    message: "Some AS IDs in some services in data request list are unqualified to release data",
    ..UNQUALIFIED_IDP
};
