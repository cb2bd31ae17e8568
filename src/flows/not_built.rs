//! Endpoints that are specified and not built yet: 501 that names the endpoint.

use crate::api::{Audience, Endpoint};

/// The table entries.
pub fn endpoints() -> Vec<Endpoint> {
    let mut endpoints = vec![
        Endpoint::post("/rp/messages", Audience::Rp).not_built(),
        Endpoint::post("/as/service_price/:service_id", Audience::As).not_built(),
        Endpoint::post("/node/create", Audience::Ndid).not_built(),
        Endpoint::post("/node/update", Audience::Everybody).not_built(),
        Endpoint::get(
            "/identity_request/request_references/:reference_id",
            Audience::Idp,
        )
        .not_built(),
    ];
    let ndid = NDID.iter().map(|path| Endpoint::post(path, Audience::Ndid));
    let identity = IDENTITY_CHANGES.iter();
    let identity = identity.map(|path| Endpoint::post(path, Audience::Idp));
    endpoints.extend(ndid.chain(identity).map(|endpoint| endpoint.not_built()));
    endpoints
}

/// The endpoints of `/ndid`, all POST.
const NDID: &[&str] = &[
    "/ndid/init_ndid",
    "/ndid/end_init",
    "/ndid/set_allowed_mode_list",
    "/ndid/register_node",
    "/ndid/update_node",
    "/ndid/enable_node",
    "/ndid/disable_node",
    "/ndid/set_node_token",
    "/ndid/add_node_token",
    "/ndid/reduce_node_token",
    "/ndid/create_service",
    "/ndid/update_service",
    "/ndid/enable_service",
    "/ndid/disable_service",
    "/ndid/set_service_price_ceiling",
    "/ndid/set_service_price_min_effective_datetime_delay",
    "/ndid/set_validator",
    "/ndid/approve_service",
    "/ndid/enable_service_destination",
    "/ndid/disable_service_destination",
    "/ndid/add_node_to_proxy_node",
    "/ndid/update_node_proxy_node",
    "/ndid/remove_node_from_proxy_node",
    "/ndid/set_last_block",
    "/ndid/get_allowed_min_ial_for_register_identity_at_first_idp",
    "/ndid/set_allowed_min_ial_for_register_identity_at_first_idp",
    "/ndid/get_node_id_list",
    "/ndid/add_error_code",
    "/ndid/remove_error_code",
    "/ndid/add_request_type",
    "/ndid/remove_request_type",
    "/ndid/add_suppressed_identity_modification_notification_node",
    "/ndid/remove_suppressed_identity_modification_notification_node",
    "/ndid/add_allowed_node_supported_feature",
    "/ndid/remove_allowed_node_supported_feature",
    "/ndid/set_supported_ial_list",
    "/ndid/set_supported_aal_list",
];

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
