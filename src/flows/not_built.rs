//! Endpoints that are specified and not built yet: 501 that names the endpoint.

use crate::api::{Audience, Endpoint};

/// The table entries.
pub fn endpoints() -> Vec<Endpoint> {
    let mut endpoints = vec![
        Endpoint::get(
            "/identity_request/request_references/:reference_id",
            Audience::Idp,
        )
        .not_built(),
    ];
    let identity = IDENTITY_CHANGES.iter();
    let identity = identity.map(|path| Endpoint::post(path, Audience::Idp));
    endpoints.extend(identity.map(|endpoint| endpoint.not_built()));
    endpoints
}

/// Changes of identities, all POST.
const IDENTITY_CHANGES: &[&str] = &[
    "/identity",
    "/identity/:namespace/:identifier",
    "/identity/:namespace/:identifier/accessors",
    "/identity/:namespace/:identifier/accessor_revoke",
    "/identity/:namespace/:identifier/accessor_revoke_and_add",
    "/identity/:namespace/:identifier/association_revoke",
    "/identity/:namespace/:identifier/mode",
    "/identity/:namespace/:identifier/ial",
    "/identity/:namespace/:identifier/lial",
    "/identity/:namespace/:identifier/laal",
    "/identity_request/request_close",
];
