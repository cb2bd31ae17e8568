//! What the operations ask of the ledger (spec/flows-additions.md 2.3).

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::accessor::Accessor;
use super::operation::{Change, Created, Operation};

/// An operation, and what it asks of the ledger.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Planned {
    /// The operation.
    pub operation: Operation,
    /// Parameters of its transaction, but for the consent.
    pub params: Value,
}

/// An identity as the ledger knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OnLedger {
    /// Its namespace.
    pub identity_namespace: String,
    /// Hash of its identifier.
    pub identity_identifier_hash: String,
}

impl OnLedger {
    /// Parameters that name it.
    pub fn params(&self) -> Value {
        json!({
            "identity_namespace": self.identity_namespace,
            "identity_identifier_hash": self.identity_identifier_hash,
        })
    }
}

/// What an IdP declares of a person.
#[derive(Debug, Clone, PartialEq)]
pub struct Declared {
    /// 2 or 3.
    pub mode: u64,
    /// Assurance of the identity.
    pub ial: serde_json::Number,
    /// Declared by the IdP.
    pub lial: Option<bool>,
    /// Declared by the IdP.
    pub laal: Option<bool>,
}

/// Modes of an identity at an IdP: mode 3 includes mode 2.
fn mode_list(mode: u64) -> Value {
    if mode == 3 { json!([2, 3]) } else { json!([2]) }
}

fn list(identities: &[OnLedger]) -> Value {
    identities.iter().map(OnLedger::params).collect()
}

impl Planned {
    /// Declares a person. `new`: those of the identities that the platform did
    /// not know.
    pub fn create_identity(
        created: Created,
        new: &[OnLedger],
        declared: &Declared,
        accessor: &Accessor,
    ) -> Self {
        let mut params = json!({
            "reference_group_code": created.reference_group_code,
            "new_identity_list": list(new),
            "ial": declared.ial,
            "mode_list": mode_list(declared.mode),
        });
        for (name, flag) in [("lial", declared.lial), ("laal", declared.laal)] {
            if let Some(flag) = flag {
                params[name] = flag.into();
            }
        }
        accessor.add_to(&mut params);
        Self {
            operation: Operation {
                accessor_id: Some(accessor.accessor_id.clone()),
                created: Some(created),
                ..Operation::new(Change::CreateIdentity)
            },
            params,
        }
    }

    /// Adds identities to a group.
    pub fn add_identity(reference_group_code: &str, new: &[OnLedger]) -> Self {
        Self {
            operation: Operation::new(Change::AddIdentity),
            params: json!({
                "reference_group_code": reference_group_code,
                "new_identity_list": list(new),
            }),
        }
    }

    /// Adds an accessor to a group.
    pub fn add_accessor(reference_group_code: &str, accessor: &Accessor) -> Self {
        let mut params = json!({"reference_group_code": reference_group_code});
        accessor.add_to(&mut params);
        Self {
            operation: Operation {
                accessor_id: Some(accessor.accessor_id.clone()),
                ..Operation::new(Change::AddAccessor)
            },
            params,
        }
    }

    /// Revokes an accessor.
    pub fn revoke_accessor(accessor_id: &str) -> Self {
        Self {
            operation: Operation {
                accessor_id: Some(accessor_id.to_owned()),
                ..Operation::new(Change::RevokeAccessor)
            },
            params: json!({"accessor_id_list": [accessor_id]}),
        }
    }

    /// Puts an accessor in the place of another.
    pub fn replace_accessor(revoking_accessor_id: &str, accessor: &Accessor) -> Self {
        let mut params = json!({"revoking_accessor_id": revoking_accessor_id});
        accessor.add_to(&mut params);
        Self {
            operation: Operation {
                accessor_id: Some(accessor.accessor_id.clone()),
                revoking_accessor_id: Some(revoking_accessor_id.to_owned()),
                ..Operation::new(Change::RevokeAndAddAccessor)
            },
            params,
        }
    }

    /// Gives a person up.
    pub fn revoke_association(identity: &OnLedger) -> Self {
        Self {
            operation: Operation::new(Change::RevokeIdentityAssociation),
            params: identity.params(),
        }
    }

    /// Lifts a person to mode 3.
    pub fn upgrade_mode(identity: &OnLedger) -> Self {
        let mut params = identity.params();
        params["mode_list"] = mode_list(3);
        Self {
            operation: Operation::new(Change::UpgradeIdentityMode),
            params,
        }
    }

    /// Parameters of the transaction, with the request that brought the consent.
    pub fn with_consent(&self, request_id: Option<&str>) -> Value {
        let mut params = self.params.clone();
        if let Some(request_id) = request_id {
            params["request_id"] = request_id.into();
        }
        params
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    fn accessor() -> Accessor {
        Accessor {
            accessor_id: "a-1".to_owned(),
            public_key: "PEM".to_owned(),
        }
    }

    fn identity() -> OnLedger {
        OnLedger {
            identity_namespace: "citizen_id".to_owned(),
            identity_identifier_hash: "hash".to_owned(),
        }
    }

    fn created() -> Created {
        Created {
            reference_group_code: "group".to_owned(),
            exist: true,
        }
    }

    /// Every operation, in the order of [`Change::ALL`].
    pub fn every() -> [Planned; 7] {
        let declared = Declared {
            mode: 3,
            ial: serde_json::Number::from_f64(2.3).unwrap(),
            lial: Some(true),
            laal: None,
        };
        [
            Planned::create_identity(created(), &[identity()], &declared, &accessor()),
            Planned::add_identity("group", &[identity()]),
            Planned::add_accessor("group", &accessor()),
            Planned::revoke_accessor("a-0"),
            Planned::replace_accessor("a-0", &accessor()),
            Planned::revoke_association(&identity()),
            Planned::upgrade_mode(&identity()),
        ]
    }

    /// Parameters as in spec/flows-additions.md 2.3.
    #[test]
    fn transactions_are_those_of_the_specification() {
        let listed =
            json!([{"identity_namespace": "citizen_id", "identity_identifier_hash": "hash"}]);
        let with_accessor = |mut params: Value| {
            params["accessor_id"] = json!("a-1");
            params["accessor_public_key"] = json!("PEM");
            params["accessor_type"] = json!("RSA");
            params
        };
        let group = json!({"reference_group_code": "group"});
        let expected = [
            with_accessor(json!({
                "reference_group_code": "group", "new_identity_list": listed,
                "ial": 2.3, "lial": true, "mode_list": [2, 3],
            })),
            json!({"reference_group_code": "group", "new_identity_list": listed}),
            with_accessor(group),
            json!({"accessor_id_list": ["a-0"]}),
            with_accessor(json!({"revoking_accessor_id": "a-0"})),
            listed[0].clone(),
            json!({
                "identity_namespace": "citizen_id", "identity_identifier_hash": "hash",
                "mode_list": [2, 3],
            }),
        ];
        for ((planned, params), change) in every().iter().zip(expected).zip(Change::ALL) {
            assert_eq!(planned.operation.change, change);
            assert_eq!(planned.with_consent(None), params);
            let mut with_consent = params;
            with_consent["request_id"] = json!("r");
            assert_eq!(planned.with_consent(Some("r")), with_consent);
        }
    }
}
