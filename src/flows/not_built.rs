//! Endpoints that are specified and not built yet: 501 that names the endpoint.

use crate::api::{ApiVersion, Audience, Endpoint};

/// The table entries.
pub fn endpoints() -> Vec<Endpoint> {
    let mut endpoints = vec![
        Endpoint::post("/rp/messages", Audience::Rp)
            .does("Writes the hash of a message on the ledger.")
            .not_built()
            .since(ApiVersion::V5),
        Endpoint::post("/as/service_price/:service_id", Audience::As)
            .does("Announces the price of a service.")
            .not_built()
            .since(ApiVersion::V5),
        Endpoint::post("/node/update", Audience::Everybody)
            .does("Changes the keys and the message formats of this node.")
            .not_built(),
        Endpoint::get(
            "/identity_request/request_references/:reference_id",
            Audience::Idp,
        )
        .does("Tells the request that asks the user's other IdPs for consent.")
        .not_built(),
    ];
    endpoints.extend(debug());
    for (path, does, since) in IDENTITY_CHANGES {
        let endpoint = Endpoint::post(path, Audience::Idp).does(does).not_built();
        endpoints.push(endpoint.since(*since));
    }
    endpoints
}

/// What only a node under development has.
fn debug() -> [Endpoint; 5] {
    let everybody = Audience::Everybody;
    let sample = "Sends a sample of an error callback.";
    [
        Endpoint::post("/debug/tmquery/:method", everybody).does("Asks the ledger."),
        Endpoint::post("/debug/tmtransact/:method", everybody).does("Makes a transaction."),
        Endpoint::get("/debug/error_callback_test/rp", everybody).does(sample),
        Endpoint::get("/debug/error_callback_test/idp", everybody).does(sample),
        Endpoint::get("/debug/error_callback_test/as", everybody).does(sample),
    ]
    .map(|endpoint| endpoint.not_built().outside_of_versions().needs_nothing())
}

/// Changes of identities, all POST.
const IDENTITY_CHANGES: &[(&str, &str, ApiVersion)] = &[
    (
        "/identity",
        "Onboards a user: makes a reference group with the first identity and accessor.",
        ApiVersion::V4,
    ),
    (
        "/identity/:namespace/:identifier",
        "Adds an identity to a user's reference group.",
        ApiVersion::V4,
    ),
    (
        "/identity/:namespace/:identifier/accessors",
        "Adds an accessor of a user.",
        ApiVersion::V4,
    ),
    (
        "/identity/:namespace/:identifier/accessor_revoke",
        "Revokes an accessor of a user.",
        ApiVersion::V4,
    ),
    (
        "/identity/:namespace/:identifier/accessor_revoke_and_add",
        "Replaces an accessor of a user.",
        ApiVersion::V4,
    ),
    (
        "/identity/:namespace/:identifier/association_revoke",
        "Ends the association of this IdP with a user.",
        ApiVersion::V4,
    ),
    (
        "/identity/:namespace/:identifier/mode",
        "Upgrades an identity from mode 2 to mode 3.",
        ApiVersion::V4,
    ),
    (
        "/identity/:namespace/:identifier/ial",
        "Changes the IAL that this IdP declares of an identity.",
        ApiVersion::V4,
    ),
    (
        "/identity/:namespace/:identifier/lial",
        "Changes the LIAL that this IdP declares of an identity.",
        ApiVersion::V5,
    ),
    (
        "/identity/:namespace/:identifier/laal",
        "Changes the LAAL that this IdP declares of an identity.",
        ApiVersion::V5,
    ),
    (
        "/identity_request/request_close",
        "Closes the request that asks the user's other IdPs for consent.",
        ApiVersion::V4,
    ),
];
