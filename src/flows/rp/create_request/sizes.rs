//! Measures the messages that a request will need.

use crate::context::Context;
use crate::error::Error;
use crate::flows::rp::data_request::{self, ConsentBlock};
use crate::flows::rp::request_created;
use crate::flows::rp::services::ServiceProviders;
use crate::flows::rp::stored::{RequestCreation, RequestRecord};
use crate::job::Millis;
use crate::messaging::outbound;
use crate::mq::message::ResponsePrivateData;

/// Bytes that a measured message reserves for the id of an accessor.
const ACCESSOR_ID_LENGTH: usize = 128;

/// Measures every message that the request will need, with the longest values for
/// members that are not known yet (spec/http-api.md Q19).
pub(super) fn check_sizes(
    context: &Context,
    node_id: &str,
    request: &RequestRecord,
    providers: Vec<ServiceProviders>,
) -> Result<(), Error> {
    let chain_id = context.ledger.chain_id()?;
    let creation = RequestCreation {
        time: Millis::now().0,
        chain_id: chain_id.clone(),
        height: u64::MAX,
    };
    for group in &request.consent_groups {
        let message = request_created::consent_request(node_id, request, group, &creation);
        outbound::check_size(context, &message)?;
    }
    let receivers: Vec<_> = providers
        .into_iter()
        .map(|providers| providers.receivers)
        .collect();
    for group in data_request::groups(&receivers) {
        let position = ConsentBlock {
            chain_id: chain_id.clone(),
            height: u64::MAX,
        };
        let message = data_request::message(
            node_id,
            request,
            &group.services,
            longest_private_data(request),
            creation.time,
            position,
        );
        outbound::check_size(context, &message)?;
    }
    Ok(())
}

fn longest_private_data(request: &RequestRecord) -> Vec<ResponsePrivateData> {
    if request.mode == 1 {
        return Vec::new();
    }
    request
        .idp_id_list
        .iter()
        .map(|idp_id| ResponsePrivateData {
            idp_id: idp_id.clone(),
            accessor_id: Some("x".repeat(ACCESSOR_ID_LENGTH)),
        })
        .collect()
}
