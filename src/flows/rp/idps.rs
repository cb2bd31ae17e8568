//! Finds the IdPs of a request (spec/flows.md 2.1 rows 7-10, 2.2).

use serde_json::{Value, json};

use super::create_request::CreateRequest;
use super::receivers;
use super::stored::ConsentGroup;
use crate::crypto::hash;
use crate::error::{Error, codes};
use crate::ledger::{Ledger, query};
use crate::messaging::outbound::Receiver;
use crate::mq::packing;

/// An IdP has every identity at least in this mode.
const LOWEST_IDENTITY_MODE: u8 = 2;

/// The IdPs of a request.
#[derive(Debug)]
pub(super) struct QualifiedIdps {
    /// Goes on the ledger.
    pub idp_id_list: Vec<String>,
    /// The IdPs by the message that they get.
    pub groups: Vec<ConsentGroup>,
}

/// Checks the IdPs that the client named, or finds all that qualify.
///
/// # Errors
/// 10032, 20079, 20058, 20004, 20016, 20005, 20006, in this order.
pub(super) async fn qualify(
    ledger: &dyn Ledger,
    node_id: &str,
    input: &CreateRequest,
) -> Result<QualifiedIdps, Error> {
    let listed = permitted(ledger, node_id, &input.idp_id_list).await?;
    if !listed.is_empty() && (listed.len() as u64) < input.min_idp {
        return Err(codes::IDP_LIST_LESS_THAN_MIN_IDP.into());
    }
    if listed.is_empty() && (input.mode == 1 || input.is_bypassed()) {
        return Err(codes::IDP_ID_LIST_NEEDED.into());
    }
    let found = reachable(ledger, filters(input, &listed)).await?;
    if found.is_empty() {
        return Err(codes::NO_IDP_FOUND.into());
    }
    if found.len() < listed.len() {
        return Err(codes::UNQUALIFIED_IDP.into());
    }
    if (found.len() as u64) < input.min_idp {
        return Err(codes::NOT_ENOUGH_IDP.into());
    }
    let idp_id_list = if listed.is_empty() {
        found.iter().map(|idp| idp.node_id.clone()).collect()
    } else {
        listed
    };
    let groups = groups(ledger, input, &idp_id_list, found).await?;
    Ok(QualifiedIdps {
        idp_id_list,
        groups,
    })
}

/// Applies the white lists of both sides to the list. An active white list of this
/// node replaces an empty list.
async fn permitted(
    ledger: &dyn Ledger,
    node_id: &str,
    listed: &[String],
) -> Result<Vec<String>, Error> {
    let own = query::node_info(ledger, node_id)
        .await?
        .ok_or(codes::NODE_INFO_NOT_FOUND)?;
    let mut listed = listed.to_vec();
    if listed.is_empty() && own.node_id_whitelist_active {
        listed = own.node_id_whitelist.clone();
    }
    for idp_id in &listed {
        if own.node_id_whitelist_active && !own.node_id_whitelist.contains(idp_id) {
            return Err(codes::NOT_IN_WHITELIST.into());
        }
        let idp = query::node_info(ledger, idp_id)
            .await?
            .ok_or(codes::UNQUALIFIED_IDP)?;
        let admits_us = idp
            .node_id_whitelist
            .iter()
            .any(|admitted| admitted == node_id);
        if idp.node_id_whitelist_active && !admits_us {
            return Err(codes::NOT_IN_WHITELIST.into());
        }
    }
    Ok(listed)
}

/// Filters of `GetIdpNodesInfo`.
fn filters(input: &CreateRequest, listed: &[String]) -> Value {
    let by_identity = input.mode != 1 && !input.is_bypassed();
    let mut filters = if by_identity {
        identity(input)
    } else {
        json!({})
    };
    if !input.is_bypassed() {
        filters["min_ial"] = json!(input.min_ial);
    }
    filters["min_aal"] = json!(input.min_aal);
    filters["node_id_list"] = json!(listed);
    if let Some(mime_type) = packing::data_url_type(&input.request_message) {
        filters["supported_request_message_data_url_type_list"] = json!([mime_type]);
    }
    if by_identity {
        filters["mode_list"] = json!([input.mode]);
    }
    filters
}

fn identity(input: &CreateRequest) -> Value {
    json!({
        "identity_namespace": input.namespace,
        "identity_identifier_hash": hash::identifier_hash(&input.identifier),
    })
}

async fn reachable(ledger: &dyn Ledger, filters: Value) -> Result<Vec<Receiver>, Error> {
    let found = query::idp_nodes_info(ledger, filters).await?;
    Ok(found.into_iter().filter_map(receivers::of_idp).collect())
}

/// Groups the IdPs by the way in which the message names the identity.
async fn groups(
    ledger: &dyn Ledger,
    input: &CreateRequest,
    idp_id_list: &[String],
    receivers: Vec<Receiver>,
) -> Result<Vec<ConsentGroup>, Error> {
    if input.mode == 1 {
        return Ok(non_empty(vec![(None, receivers)]));
    }
    let identifier_hash = hash::identifier_hash(&input.identifier);
    let code = query::reference_group_code(ledger, &input.namespace, &identifier_hash).await?;
    if !input.is_bypassed() {
        let code = code.ok_or(codes::IDENTITY_NOT_FOUND)?;
        return Ok(non_empty(vec![(Some(code), receivers)]));
    }
    let Some(code) = code else {
        return Ok(non_empty(vec![(None, receivers)]));
    };
    let mut with_identity = identity(input);
    with_identity["min_aal"] = json!(input.min_aal);
    with_identity["node_id_list"] = json!(idp_id_list);
    with_identity["mode_list"] = json!([LOWEST_IDENTITY_MODE]);
    let known = query::idp_nodes_info(ledger, with_identity).await?;
    let (knowing, others): (Vec<Receiver>, Vec<Receiver>) = receivers
        .into_iter()
        .partition(|receiver| known.iter().any(|idp| idp.node_id == receiver.node_id));
    Ok(non_empty(vec![(Some(code), knowing), (None, others)]))
}

fn non_empty(groups: Vec<(Option<String>, Vec<Receiver>)>) -> Vec<ConsentGroup> {
    groups
        .into_iter()
        .filter(|(_, receivers)| !receivers.is_empty())
        .map(|(reference_group_code, receivers)| ConsentGroup {
            reference_group_code,
            receivers,
        })
        .collect()
}
