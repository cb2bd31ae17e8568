//! Which answers a transaction can change. Queries without an entry are never
//! cached; methods without an entry change everything.

use serde_json::Value;

/// Parts of the ledger's state that change rarely, one bit each.
pub(super) type StateParts = u32;

const NODES: StateParts = 1;
const SERVICES: StateParts = 1 << 1;
const NAMESPACES: StateParts = 1 << 2;
const MODES: StateParts = 1 << 3;
const LEVELS: StateParts = 1 << 4;
const REQUEST_TYPES: StateParts = 1 << 5;
const ERROR_CODES: StateParts = 1 << 6;
const FEATURES: StateParts = 1 << 7;
const SUPPRESSED: StateParts = 1 << 8;
const PRICES: StateParts = 1 << 9;
const HISTORY: StateParts = 1 << 10;
/// Included in every answer; changed by every unknown method.
const EVERYTHING: StateParts = StateParts::MAX;

const IDENTITY_MEMBERS: [&str; 3] = [
    "reference_group_code",
    "identity_namespace",
    "identity_identifier_hash",
];

/// The parts that an answer depends on; `None`: it must not be cached.
pub(super) fn parts_of_query(method: &str, params: &Value) -> Option<StateParts> {
    let parts = match method {
        "GetNodeInfo"
        | "GetNodeSigningPublicKey"
        | "GetNodeSigningMasterPublicKey"
        | "GetNodeEncryptionPublicKey"
        | "GetNodePublicKeyList"
        | "GetMqAddresses"
        | "GetNodeIDList"
        | "GetNodesBehindProxyNode" => NODES,
        // By identity, they change with every identity operation of the
        // network.
        "GetIdpNodes" | "GetIdpNodesInfo" if !names_identity(params) => NODES,
        "GetAsNodesByServiceId" | "GetAsNodesInfoByServiceId" | "GetServicesByAsID" => {
            NODES | SERVICES
        }
        "GetServiceDetail" | "GetServiceList" => SERVICES,
        "GetNamespaceList" => NAMESPACES,
        "GetAllowedModeList" => MODES,
        "GetSupportedIALList"
        | "GetSupportedAALList"
        | "GetAllowedMinIalForRegisterIdentityAtFirstIdp" => LEVELS,
        "GetRequestTypeList" => REQUEST_TYPES,
        "GetErrorCodeList" => ERROR_CODES,
        "GetAllowedNodeSupportedFeatureList" => FEATURES,
        "GetSuppressedIdentityModificationNotificationNodeList"
        | "IsSuppressedIdentityModificationNotificationNode" => SUPPRESSED,
        "GetServicePriceCeiling" | "GetServicePriceMinEffectiveDatetimeDelay" => PRICES | SERVICES,
        "GetServicePriceList" => PRICES | SERVICES | NODES,
        "GetChainHistory" => HISTORY,
        _ => return None,
    };
    Some(parts)
}

fn names_identity(params: &Value) -> bool {
    IDENTITY_MEMBERS
        .iter()
        .any(|member| !params[*member].is_null())
}

/// Whether the answer for an explicit height never changes once the block of
/// that height is complete (spec/ledger.md 5.1).
pub(super) fn is_versioned(method: &str) -> bool {
    matches!(method, "GetRequest" | "GetRequestDetail")
}

/// The parts a successful transaction can change.
pub(super) fn parts_of_transaction(method: &str) -> StateParts {
    match method {
        // Requests, identities and tokens are never cached.
        "CreateRequest"
        | "CreateIdpResponse"
        | "CreateAsResponse"
        | "SetDataReceived"
        | "CloseRequest"
        | "TimeOutRequest"
        | "CreateMessage"
        | "RegisterIdentity"
        | "AddIdentity"
        | "UpdateIdentity"
        | "UpdateIdentityModeList"
        | "RevokeIdentityAssociation"
        | "AddAccessor"
        | "RevokeAccessor"
        | "RevokeAndAddAccessor"
        | "SetNodeToken"
        | "AddNodeToken"
        | "ReduceNodeToken"
        | "SetPriceFunc"
        | "SetValidator"
        | "SetLastBlock"
        | "EndInit"
        | "SetTimeOutBlockRegisterIdentity" => 0,
        "SetMqAddresses"
        | "UpdateNode"
        | "RegisterNode"
        | "UpdateNodeByNDID"
        | "DisableNode"
        | "EnableNode"
        | "AddNodeToProxyNode"
        | "UpdateNodeProxyNode"
        | "RemoveNodeFromProxyNode" => NODES,
        "RegisterServiceDestination"
        | "UpdateServiceDestination"
        | "DisableServiceDestination"
        | "EnableServiceDestination"
        | "AddService"
        | "UpdateService"
        | "EnableService"
        | "DisableService"
        | "RegisterServiceDestinationByNDID"
        | "EnableServiceDestinationByNDID"
        | "DisableServiceDestinationByNDID" => SERVICES,
        "SetServicePrice"
        | "SetServicePriceCeiling"
        | "SetServicePriceMinEffectiveDatetimeDelay" => PRICES,
        "AddNamespace" | "UpdateNamespace" | "EnableNamespace" | "DisableNamespace" => NAMESPACES,
        "SetAllowedModeList" => MODES,
        "SetSupportedIALList"
        | "SetSupportedAALList"
        | "SetAllowedMinIalForRegisterIdentityAtFirstIdp" => LEVELS,
        "AddRequestType" | "RemoveRequestType" => REQUEST_TYPES,
        "AddErrorCode" | "RemoveErrorCode" => ERROR_CODES,
        // Removing a feature may take it from nodes.
        "AddAllowedNodeSupportedFeature" | "RemoveAllowedNodeSupportedFeature" => FEATURES | NODES,
        "AddSuppressedIdentityModificationNotificationNode"
        | "RemoveSuppressedIdentityModificationNotificationNode" => SUPPRESSED,
        // InitNDID and SetInitData(_pb) write state of any kind.
        _ => EVERYTHING,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_not_understood_changes_everything() {
        for method in ["", "InitNDID", "SetInitData", "SetInitData_pb", "Tomorrow"] {
            assert_eq!(parts_of_transaction(method), EVERYTHING, "{method}");
        }
    }

    #[test]
    fn queries_about_requests_identities_and_tokens_are_not_cached() {
        for method in [
            "GetRequest",
            "GetRequestDetail",
            "GetDataSignature",
            "GetIdentityInfo",
            "GetAccessorKey",
            "GetReferenceGroupCode",
            "CheckExistingIdentity",
            "GetNodeToken",
            "IsInitEnded",
            "Tomorrow",
        ] {
            assert_eq!(parts_of_query(method, &json!({})), None, "{method}");
        }
        let by_identity = json!({"identity_namespace": "citizen_id"});
        assert_eq!(parts_of_query("GetIdpNodesInfo", &by_identity), None);
        assert!(parts_of_query("GetIdpNodesInfo", &json!({})).is_some());
    }
}
