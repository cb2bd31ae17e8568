//! Identities that a chain has from its beginning, for measurements: as if an
//! IdP had registered them one after the other.

use std::sync::Arc;

use super::state::{Accessor, Group, GroupIdp, Identity, State};
use crate::crypto::hash::identifier_hash;

/// Namespace of the identities.
const NAMESPACE: &str = "citizen_id";
/// The IdP that has registered them.
const IDP: &str = "idp1";
/// The public key of all their accessors.
const PUBLIC_KEY: &str = include_str!("given_accessor.pem");

/// Id of the accessor of an identity.
pub fn accessor_id(number: u64) -> String {
    format!("given-{number}")
}

/// Gives the state identities of these identifiers, in mode 3.
pub(super) fn identities(state: &mut State, identifiers: impl Iterator<Item = String>) {
    let public_key: Arc<str> = PUBLIC_KEY.into();
    for (number, identifier) in (0..).zip(identifiers) {
        let identity = Identity {
            namespace: NAMESPACE.to_owned(),
            identifier_hash: identifier_hash(&identifier),
        };
        let (code, id) = (format!("given-group-{number}"), accessor_id(number));
        let accessor = Accessor {
            id: id.clone(),
            kind: "RSA".to_owned(),
            public_key: public_key.clone(),
            active: true,
            owner: IDP.to_owned(),
            creation_height: state.height,
            creation_chain_id: state.chain_id.clone(),
        };
        let entry = GroupIdp {
            node_id: IDP.to_owned(),
            modes: vec![2, 3],
            accessors: vec![accessor],
            ial: 2.3,
            lial: None,
            laal: None,
            active: true,
        };
        let group = Group {
            identities: vec![identity.clone()],
            idps: vec![entry],
        };
        state.group_of_identity.insert(identity, code.clone());
        state.group_of_accessor.insert(id, code.clone());
        state.groups.insert(code, group);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::devnet::apps::citizen_id;
    use crate::devnet::ledger::app::App;

    fn found(app: &App, method: &str, params: Value) -> Value {
        let answer = app.query(method, params.to_string().as_bytes(), 0);
        serde_json::from_slice(&answer.value.unwrap()).unwrap()
    }

    #[test]
    fn given_identities_are_found_like_registered_ones() {
        let mut app = App::new("chain", []);
        app.give_identities((0..3).map(citizen_id));
        let of = |number| {
            let hash = identifier_hash(&citizen_id(number));
            json!({
                "identity_namespace": NAMESPACE, "identity_identifier_hash": hash,
                "node_id": IDP,
            })
        };
        let code = found(&app, "GetReferenceGroupCode", of(2));
        assert_eq!(code, json!({"reference_group_code": "given-group-2"}));
        let identity = found(&app, "GetIdentityInfo", of(1));
        assert_eq!(
            (&identity["ial"], &identity["mode_list"]),
            (&json!(2.3), &json!([2, 3]))
        );
        let key = found(
            &app,
            "GetAccessorKey",
            json!({"accessor_id": accessor_id(0)}),
        );
        assert_eq!(key["owner_node_id"], IDP);
        assert_eq!(key["accessor_public_key"], PUBLIC_KEY);
        let nobody = found(&app, "CheckExistingIdentity", of(3));
        assert_eq!(nobody, json!({"exist": false}));
    }
}
