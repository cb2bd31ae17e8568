//! Which members of bodies are of their run, and in what way.

/// What is known of a member's value before it is seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Random {
    /// An id, salt, hash, signature or key: has a counterpart.
    Text,
    /// A height, as a number or after the name of its chain.
    Height,
    /// A port.
    Port,
    /// Milliseconds since 1970, some time during the run.
    Time,
    /// How a network was set up: only its type is the same.
    SetUp,
    /// Where files are, if somebody has said so.
    File,
    /// Made of other random values in a way that does not keep different ones
    /// apart: only its type is the same, and what it follows from is checked.
    Made,
}

/// In what way the value of this member is of its run.
pub fn random(member: &str) -> Option<Random> {
    const KINDS: &[(Random, &[&str])] = &[
        (Random::Text, TEXTS),
        (Random::Height, HEIGHTS),
        (Random::Port, &["port", "destination_port"]),
        (Random::Time, &["creation_time", "timestamp"]),
        (Random::SetUp, SET_UP),
        (Random::File, FILES),
        (Random::Made, &["request_message_padded_hash"]),
    ];
    let found = KINDS.iter().find(|(_, names)| names.contains(&member));
    found.map(|(kind, _)| *kind)
}

/// Members of the recorded system's development mode, which show its insides.
pub const LEFT_OUT: &[&str] = &["stack"];

const TEXTS: &[&str] = &[
    "accessor_id",
    "accessor_public_key",
    "accessor_public_key_hash",
    "data_request_params_salt_list",
    "data_salt",
    "encryption_public_key",
    "initial_salt",
    "message_hash",
    "message_id",
    "public_key",
    "reference_group_code",
    "request_id",
    "request_message_hash",
    "request_message_salt",
    "request_params_hash",
    "request_params_salt",
    "response_signature_list",
    "revoking_accessor_id",
    "signature",
    "source_signature",
];

const HEIGHTS: &[&str] = &["block_height", "creation_block_height", "height"];

/// Settings (`GET /config`).
const SET_UP: &[&str] = &[
    "callToMasterRetryTimeout",
    "dataDirectoryPath",
    "dbIp",
    "dbPort",
    "logLevel",
    "logPrettyPrint",
    "masterServerIp",
    "masterServerPort",
    "mode",
    "mqPort",
    "mqServiceServerIp",
    "mqServiceServerPort",
    "prometheusEnabled",
    "prometheusServerPort",
    "serverPort",
    "telemetryDbHost",
    "telemetryDbPort",
    "tendermintAddress",
    "tendermintBaseHttpUrl",
    "tendermintBaseWsUrl",
    "tendermintIp",
    "tendermintPort",
    "tendermintWsConnections",
];

/// Settings that name files; unset ones are not shown.
const FILES: &[&str] = &[
    "encryptionPrivateKeyPath",
    "grpcSslCertFilePath",
    "grpcSslKeyFilePath",
    "grpcSslRootCertFilePath",
    "httpsCertPath",
    "httpsKeyPath",
    "nodeBehindProxyEncryptionPrivateKeyDirectoryPath",
    "nodeBehindProxySigningMasterPrivateKeyDirectoryPath",
    "nodeBehindProxySigningPrivateKeyDirectoryPath",
    "prometheusHttpsCertPath",
    "prometheusHttpsKeyPath",
    "signingMasterPrivateKeyPath",
    "signingPrivateKeyPath",
];

/// Whether a text is the hash of a message, which stands in its place.
pub fn is_hash_of_message(member: &str, text: &str) -> bool {
    member == "message" && text.len() == 44 && text.ends_with('=')
}

/// Lists whose order was chance, by the member that they stand in (empty: the
/// body itself), and the members that tell their items apart.
pub fn unordered(place: &str) -> Option<&'static [&'static str]> {
    const LISTS: &[(&str, &[&str])] = &[
        // Data of several ASes, and stored messages.
        (
            "",
            &[
                "/source_node_id",
                "/service_id",
                "/direction",
                "/message/type",
                "/message/as_id",
                "/message/idp_id",
                "/message/service_id",
            ],
        ),
        ("service_data_request_list", &["/service_id"]),
        ("destinations", &["/node_id"]),
    ];
    let found = LISTS.iter().find(|(member, _)| *member == place);
    found.map(|(_, keys)| *keys)
}
