//! The list of all endpoints of API v6 (spec/http-api.md 3). Each entry stands
//! beside its flow.

use super::{as_, debug, identity, idp, ndid, node, private_messages, rp, utility};
use crate::api::Endpoint;

/// All endpoints.
pub fn all() -> Vec<Endpoint> {
    let mut all = vec![
        rp::create_request::endpoint(),
        rp::close_request::endpoint(),
        rp::message::endpoint(),
        idp::respond::endpoint(),
        idp::error_response::endpoint(),
        idp::padded_hash::endpoint(),
        as_::service::offered_endpoint(),
        as_::service::offer_endpoint(),
        as_::service_price::endpoint(),
        as_::respond::endpoint(),
        as_::error::endpoint(),
        as_::payment_log::endpoint(),
        utility::idps::endpoint(),
        utility::idps_of_identity::endpoint(),
        utility::ases::endpoint(),
        utility::service_prices::endpoint(),
        utility::service_price_ceiling::endpoint(),
        utility::service_price_delay::endpoint(),
        utility::request::endpoint(),
        utility::accessor::endpoint(),
        utility::node::endpoint(),
        utility::node_public_keys::endpoint(),
        utility::node_token::endpoint(),
        utility::namespaces::endpoint(),
        utility::services::endpoint(),
        utility::service::endpoint(),
        utility::idp_error_codes::endpoint(),
        utility::as_error_codes::endpoint(),
        utility::message::endpoint(),
        utility::request_types::endpoint(),
        utility::suppressed_nodes::endpoint(),
        utility::suppressed_node::endpoint(),
        utility::node_features::endpoint(),
        utility::supported_ials::endpoint(),
        utility::supported_aals::endpoint(),
    ];
    all.extend(rp::look_ups::endpoints());
    all.extend(identity::endpoints());
    all.extend(ndid::endpoints());
    all.extend(node::endpoints());
    all.extend(private_messages::endpoints());
    all.extend(debug::endpoints());
    all
}

#[cfg(test)]
#[path = "endpoints_tests.rs"]
mod tests;
