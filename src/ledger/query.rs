//! The queries of the flows, typed (spec/ledger.md 5, 11).

use std::cmp::Reverse;
use std::time::Duration;

use serde::Deserialize as _;
use serde::de::DeserializeOwned;
use serde_json::{Map, Number, Value, json};

use super::Ledger;
use super::types::*;
use crate::error::{Error, codes};

async fn ask<T: DeserializeOwned>(
    ledger: &dyn Ledger,
    method: &str,
    params: Value,
    height: Option<u64>,
) -> Result<Option<T>, Error> {
    let Some(value) = ledger.query(method, params, height).await? else {
        return Ok(None);
    };
    T::deserialize(value.as_ref()).map(Some).map_err(|error| {
        Error::with_message(
            codes::TENDERMINT_QUERY_RESULT_JSON_PARSE_ERROR,
            format!("unexpected answer to {method}: {error}"),
        )
    })
}

/// Member `member` of the answer; empty where the ledger has `null` or finds
/// nothing.
async fn ask_list<T: DeserializeOwned>(
    ledger: &dyn Ledger,
    method: &str,
    params: Value,
    member: &str,
) -> Result<Vec<T>, Error> {
    let answer: Option<Map<String, Value>> = ask(ledger, method, params, None).await?;
    let list = answer
        .and_then(|mut answer| answer.remove(member))
        .unwrap_or(Value::Null);
    Option::<Vec<T>>::deserialize(list)
        .map(Option::unwrap_or_default)
        .map_err(|error| {
            Error::with_message(
                codes::TENDERMINT_QUERY_RESULT_JSON_PARSE_ERROR,
                format!("unexpected answer to {method}: {error}"),
            )
        })
}

/// Everything about a node; `None` if it is not registered.
pub async fn node_info(ledger: &dyn Ledger, node_id: &str) -> Result<Option<NodeInfo>, Error> {
    ask(ledger, "GetNodeInfo", json!({"node_id": node_id}), None).await
}

/// The nodes behind a proxy that it serves, because it holds their keys.
pub async fn nodes_served_by(
    ledger: &dyn Ledger,
    proxy_node_id: &str,
) -> Result<Vec<String>, Error> {
    let nodes: Vec<NodeBehindProxy> = ask_list(
        ledger,
        "GetNodesBehindProxyNode",
        json!({"proxy_node_id": proxy_node_id}),
        "nodes",
    )
    .await?;
    let served = nodes
        .into_iter()
        .filter(|node| node.config == "KEY_ON_PROXY");
    Ok(served.map(|node| node.node_id).collect())
}

/// A node's current signing key.
pub async fn signing_key(ledger: &dyn Ledger, node_id: &str) -> Result<Option<NodeKey>, Error> {
    ask(
        ledger,
        "GetNodeSigningPublicKey",
        json!({"node_id": node_id}),
        None,
    )
    .await
}

/// A node's current signing master key.
pub async fn signing_master_key(
    ledger: &dyn Ledger,
    node_id: &str,
) -> Result<Option<NodeKey>, Error> {
    ask(
        ledger,
        "GetNodeSigningMasterPublicKey",
        json!({"node_id": node_id}),
        None,
    )
    .await
}

/// A node's current encryption key.
pub async fn encryption_key(ledger: &dyn Ledger, node_id: &str) -> Result<Option<NodeKey>, Error> {
    ask(
        ledger,
        "GetNodeEncryptionPublicKey",
        json!({"node_id": node_id}),
        None,
    )
    .await
}

/// The signing keys that a node had before this one, newest first.
pub async fn earlier_signing_keys(
    ledger: &dyn Ledger,
    node_id: &str,
    current: &NodeKey,
) -> Result<Vec<NodeKey>, Error> {
    match current.version {
        0 | 1 => Ok(Vec::new()),
        _ => {
            let history = key_history(ledger, node_id).await?;
            Ok(earlier(history.signing_public_key_list, current))
        }
    }
}

/// The encryption keys that a node had before this one, newest first.
pub async fn earlier_encryption_keys(
    ledger: &dyn Ledger,
    node_id: &str,
    current: &NodeKey,
) -> Result<Vec<NodeKey>, Error> {
    match current.version {
        0 | 1 => Ok(Vec::new()),
        _ => {
            let history = key_history(ledger, node_id).await?;
            Ok(earlier(history.encryption_public_key_list, current))
        }
    }
}

async fn key_history(ledger: &dyn Ledger, node_id: &str) -> Result<KeyHistory, Error> {
    let params = json!({"node_id": node_id});
    let history = ask(ledger, "GetNodePublicKeyList", params, None).await?;
    Ok(history.unwrap_or_default())
}

fn earlier(mut keys: Vec<NodeKey>, current: &NodeKey) -> Vec<NodeKey> {
    keys.retain(|key| key.version < current.version);
    keys.sort_by_key(|key| Reverse(key.version));
    keys
}

/// A node's registered message queue addresses; empty if none.
pub async fn mq_addresses(ledger: &dyn Ledger, node_id: &str) -> Result<Vec<MqAddress>, Error> {
    let addresses: Option<Vec<MqAddress>> =
        ask(ledger, "GetMqAddresses", json!({"node_id": node_id}), None).await?;
    Ok(addresses.unwrap_or_default())
}

/// A request, as it was at `height` (latest if `None`); `None` if unknown.
pub async fn request_detail(
    ledger: &dyn Ledger,
    request_id: &str,
    height: Option<u64>,
) -> Result<Option<RequestDetail>, Error> {
    ask(
        ledger,
        "GetRequestDetail",
        json!({"request_id": request_id}),
        height,
    )
    .await
}

/// The signature an AS put on the ledger for its data, if it answered.
pub async fn data_signature(
    ledger: &dyn Ledger,
    as_id: &str,
    request_id: &str,
    service_id: &str,
) -> Result<Option<String>, Error> {
    let params = json!({"node_id": as_id, "request_id": request_id, "service_id": service_id});
    let answer: Option<Value> = ask(ledger, "GetDataSignature", params, None).await?;
    Ok(answer.and_then(|answer| answer["signature"].as_str().map(str::to_owned)))
}

/// Modes NDID allows for requests of this purpose (`""`: ordinary ones).
pub async fn allowed_modes(ledger: &dyn Ledger, purpose: &str) -> Result<Vec<u8>, Error> {
    ask_list(
        ledger,
        "GetAllowedModeList",
        json!({"purpose": purpose}),
        "allowed_mode_list",
    )
    .await
}

/// Registered request types.
pub async fn request_types(ledger: &dyn Ledger) -> Result<Vec<String>, Error> {
    let types: Option<Vec<String>> = ask(ledger, "GetRequestTypeList", json!({}), None).await?;
    Ok(types.unwrap_or_default())
}

/// Supported identity assurance levels.
pub async fn supported_ials(ledger: &dyn Ledger) -> Result<Vec<Number>, Error> {
    ask_list(
        ledger,
        "GetSupportedIALList",
        Value::Null,
        "supported_ial_list",
    )
    .await
}

/// Supported authenticator assurance levels.
pub async fn supported_aals(ledger: &dyn Ledger) -> Result<Vec<Number>, Error> {
    ask_list(
        ledger,
        "GetSupportedAALList",
        Value::Null,
        "supported_aal_list",
    )
    .await
}

/// Registered error codes of a role, `idp` or `as`.
pub async fn error_codes(ledger: &dyn Ledger, role: &str) -> Result<Vec<ErrorCode>, Error> {
    let list: Option<Vec<ErrorCode>> =
        ask(ledger, "GetErrorCodeList", json!({"type": role}), None).await?;
    Ok(list.unwrap_or_default())
}

/// Active namespaces.
pub async fn namespaces(ledger: &dyn Ledger) -> Result<Vec<Namespace>, Error> {
    let list: Option<Vec<Namespace>> = ask(ledger, "GetNamespaceList", Value::Null, None).await?;
    Ok(list.unwrap_or_default())
}

/// IdPs by the filters of `GetIdpNodesInfo` (spec/ledger.md 5.3).
pub async fn idp_nodes_info(
    ledger: &dyn Ledger,
    filters: Value,
) -> Result<Vec<IdpNodeInfo>, Error> {
    ask_list(ledger, "GetIdpNodesInfo", filters, "node").await
}

/// ASes that offer a service; all of them if `as_ids` is empty.
pub async fn as_nodes_info(
    ledger: &dyn Ledger,
    service_id: &str,
    as_ids: &[String],
) -> Result<Vec<AsNodeInfo>, Error> {
    let mut params = json!({"service_id": service_id});
    if !as_ids.is_empty() {
        params["node_id_list"] = json!(as_ids);
    }
    ask_list(ledger, "GetAsNodesInfoByServiceId", params, "node").await
}

/// Active, approved ASes of a service.
pub async fn as_nodes(ledger: &dyn Ledger, service_id: &str) -> Result<Vec<AsNode>, Error> {
    ask_list(
        ledger,
        "GetAsNodesByServiceId",
        json!({"service_id": service_id}),
        "node",
    )
    .await
}

/// What an AS offers.
pub async fn provided_services(
    ledger: &dyn Ledger,
    as_id: &str,
) -> Result<Vec<ProvidedService>, Error> {
    ask_list(
        ledger,
        "GetServicesByAsID",
        json!({"as_id": as_id}),
        "services",
    )
    .await
}

/// A service; `None` if unknown.
pub async fn service_detail(
    ledger: &dyn Ledger,
    service_id: &str,
) -> Result<Option<ServiceDetail>, Error> {
    ask(
        ledger,
        "GetServiceDetail",
        json!({"service_id": service_id}),
        None,
    )
    .await
}

/// How long before it counts a price of this service must be announced.
pub async fn service_price_delay(ledger: &dyn Ledger, service_id: &str) -> Result<Duration, Error> {
    let method = "GetServicePriceMinEffectiveDatetimeDelay";
    let params = json!({"service_id": service_id});
    let delay: Option<ServicePriceDelay> = ask(ledger, method, params, None).await?;
    Ok(Duration::from_secs(
        delay.map_or(0, |delay| delay.duration_second),
    ))
}

/// Reference group of an identity given by namespace and identifier hash.
pub async fn reference_group_code(
    ledger: &dyn Ledger,
    namespace: &str,
    identifier_hash: &str,
) -> Result<Option<String>, Error> {
    let params =
        json!({"identity_namespace": namespace, "identity_identifier_hash": identifier_hash});
    text_member(
        ledger,
        "GetReferenceGroupCode",
        params,
        "reference_group_code",
    )
    .await
}

pub async fn reference_group_code_of_accessor(
    ledger: &dyn Ledger,
    accessor_id: &str,
) -> Result<Option<String>, Error> {
    let params = json!({"accessor_id": accessor_id});
    text_member(
        ledger,
        "GetReferenceGroupCodeByAccessorID",
        params,
        "reference_group_code",
    )
    .await
}

/// An accessor; `None` if unknown.
pub async fn accessor_key(
    ledger: &dyn Ledger,
    accessor_id: &str,
) -> Result<Option<AccessorKey>, Error> {
    ask(
        ledger,
        "GetAccessorKey",
        json!({"accessor_id": accessor_id}),
        None,
    )
    .await
}

/// An IdP's declaration about an identity. `identity` is
/// `{"reference_group_code": ..}` or `{"identity_namespace": ..,
/// "identity_identifier_hash": ..}`.
pub async fn identity_info(
    ledger: &dyn Ledger,
    identity: Value,
    idp_id: &str,
) -> Result<Option<IdentityInfo>, Error> {
    let mut params = identity;
    params["node_id"] = json!(idp_id);
    ask(ledger, "GetIdentityInfo", params, None).await
}

/// The IdPs that have declared an identity, given as for [`identity_info`].
pub async fn idps_of_identity(
    ledger: &dyn Ledger,
    identity: Value,
) -> Result<Vec<IdpOfIdentity>, Error> {
    ask_list(ledger, "GetIdpNodes", identity, "node").await
}

/// Whether other IdPs do not hear of the identities that this node changes.
pub async fn is_suppressed(ledger: &dyn Ledger, node_id: &str) -> Result<bool, Error> {
    let method = "IsSuppressedIdentityModificationNotificationNode";
    let answer: Option<Value> = ask(ledger, method, json!({"node_id": node_id}), None).await?;
    Ok(answer.is_some_and(|answer| answer["suppressed"] == json!(true)))
}

/// Ids of this chain's predecessors; empty if none were recorded.
pub async fn chain_history(ledger: &dyn Ledger) -> Result<Vec<String>, Error> {
    let answer: Option<Value> = ask(ledger, "GetChainHistory", Value::Null, None).await?;
    // The replaced system's NDID encoded the text twice
    // (spec/http-api-additions.md 2).
    let history = match answer {
        Some(Value::String(text)) => serde_json::from_str(&text).map_err(|error| {
            let text = format!("the history of the chain cannot be read: {error}");
            Error::with_message(codes::TENDERMINT_QUERY_RESULT_JSON_PARSE_ERROR, text)
        })?,
        answer => answer.unwrap_or_default(),
    };
    let chains = history["chains"].as_array().into_iter().flatten();
    let ids = chains.filter_map(|chain| chain["chain_id"].as_str().map(str::to_owned));
    Ok(ids.collect())
}

/// Ids of the active nodes of a role (`rp`, `idp` or `as`), or of all nodes but
/// NDID.
pub async fn node_ids(ledger: &dyn Ledger, role: Option<&str>) -> Result<Vec<String>, Error> {
    let params = role.map_or_else(|| json!({}), |role| json!({"role": role}));
    ask_list(ledger, "GetNodeIDList", params, "node_id_list").await
}

/// The lowest IAL at which an identity may be registered by its first IdP.
pub async fn first_idp_min_ial(ledger: &dyn Ledger) -> Result<Number, Error> {
    let method = "GetAllowedMinIalForRegisterIdentityAtFirstIdp";
    let answer: Option<Value> = ask(ledger, method, Value::Null, None).await?;
    let min_ial = answer.and_then(|answer| answer["min_ial"].as_number().cloned());
    Ok(min_ial.unwrap_or_else(|| 0.into()))
}

/// Whether NDID has finished setting the chain up.
pub async fn is_init_ended(ledger: &dyn Ledger) -> Result<bool, Error> {
    let answer: Option<Value> = ask(ledger, "IsInitEnded", Value::Null, None).await?;
    Ok(answer.is_some_and(|answer| answer["init_ended"] == json!(true)))
}

async fn text_member(
    ledger: &dyn Ledger,
    method: &str,
    params: Value,
    member: &str,
) -> Result<Option<String>, Error> {
    let answer: Option<Value> = ask(ledger, method, params, None).await?;
    let text = answer.and_then(|answer| answer[member].as_str().map(str::to_owned));
    Ok(text.filter(|text| !text.is_empty()))
}
