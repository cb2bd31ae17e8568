//! Finds the ASes of a request (spec/flows.md 2.1 rows 11, 12).

use std::collections::HashSet;

use serde_json::Number;

use super::create_request::{CreateRequest, RequestedData};
use super::receivers;
use crate::error::{Error, codes};
use crate::ledger::types::AsNodeInfo;
use crate::ledger::{Ledger, query};
use crate::messaging::outbound::Receiver;

/// The ASes of a service.
#[derive(Debug)]
pub(super) struct ServiceProviders {
    /// Goes on the ledger.
    pub as_id_list: Vec<String>,
    /// ASes with an address.
    pub receivers: Vec<Receiver>,
}

/// Checks the ASes that the client named for each service, or finds all that
/// qualify.
///
/// # Errors
/// 20018, 20017, 20024, 20043, 20022, 20058.
pub(super) async fn qualify(
    ledger: &dyn Ledger,
    input: &CreateRequest,
) -> Result<Vec<ServiceProviders>, Error> {
    let mut seen = HashSet::new();
    for service in &input.data_request_list {
        if !seen.insert(&service.service_id) {
            return Err(codes::DUPLICATE_SERVICE_ID.into());
        }
    }
    let mut services = Vec::new();
    for service in &input.data_request_list {
        services.push(providers(ledger, input, service).await?);
    }
    Ok(services)
}

async fn providers(
    ledger: &dyn Ledger,
    input: &CreateRequest,
    service: &RequestedData,
) -> Result<ServiceProviders, Error> {
    let listed = &service.as_id_list;
    let enough = |count: usize| count as u64 >= service.min_as;
    if !listed.is_empty() && !enough(listed.len()) {
        return Err(codes::AS_LIST_LESS_THAN_MIN_AS.into());
    }
    let found = query::as_nodes_info(ledger, &service.service_id, listed).await?;
    if !listed.is_empty() && !enough(found.len()) {
        return Err(codes::NOT_ENOUGH_AS.into());
    }
    if found.len() < listed.len() {
        return Err(codes::SOME_AS_DO_NOT_PROVIDE_SERVICE.into());
    }
    let qualified: Vec<AsNodeInfo> = found
        .into_iter()
        .filter(|provider| answers(provider, input))
        .collect();
    if !enough(qualified.len()) {
        return Err(codes::CONDITION_TOO_LOW.into());
    }
    if qualified.len() < listed.len() {
        return Err(codes::UNQUALIFIED_AS.into());
    }
    if qualified.is_empty() {
        return Err(codes::NOT_ENOUGH_AS.into());
    }
    let as_id_list = if listed.is_empty() {
        let ids = qualified.iter().map(|provider| provider.node_id.clone());
        ids.collect()
    } else {
        listed.clone()
    };
    Ok(ServiceProviders {
        as_id_list,
        receivers: qualified.into_iter().filter_map(receivers::of_as).collect(),
    })
}

/// Whether the AS answers requests for this namespace at these levels.
fn answers(provider: &AsNodeInfo, input: &CreateRequest) -> bool {
    provider.supported_namespace_list.contains(&input.namespace)
        && is_at_most(&provider.min_ial, &input.min_ial)
        && is_at_most(&provider.min_aal, &input.min_aal)
}

fn is_at_most(number: &Number, limit: &Number) -> bool {
    number.as_f64() <= limit.as_f64()
}
