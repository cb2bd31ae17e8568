//! The transactions of the operations (spec/flows-additions.md 2.3).

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::accessor::CheckedAccessor;
use super::operation::{CreatedIdentity, IdentityChange, IdentityOperation};

/// An operation and its transaction.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlannedOperation {
    /// The operation.
    pub operation: IdentityOperation,
    /// Parameters of the transaction, without the consent.
    pub params: Value,
}

/// An identity as the ledger knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LedgerIdentity {
    /// Its namespace.
    pub identity_namespace: String,
    /// Hash of its identifier.
    pub identity_identifier_hash: String,
}

impl LedgerIdentity {
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
pub struct DeclaredIdentity {
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

fn list(identities: &[LedgerIdentity]) -> Value {
    identities.iter().map(LedgerIdentity::params).collect()
}

impl PlannedOperation {
    /// Declares a person. `new`: the identities that the platform did not know.
    pub fn create_identity(
        created: CreatedIdentity,
        new: &[LedgerIdentity],
        declared: &DeclaredIdentity,
        accessor: &CheckedAccessor,
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
            operation: IdentityOperation {
                accessor_id: Some(accessor.accessor_id.clone()),
                created: Some(created),
                ..IdentityOperation::new(IdentityChange::CreateIdentity)
            },
            params,
        }
    }

    /// Adds identities to a group.
    pub fn add_identity(reference_group_code: &str, new: &[LedgerIdentity]) -> Self {
        Self {
            operation: IdentityOperation::new(IdentityChange::AddIdentity),
            params: json!({
                "reference_group_code": reference_group_code,
                "new_identity_list": list(new),
            }),
        }
    }

    /// Adds an accessor to a group.
    pub fn add_accessor(reference_group_code: &str, accessor: &CheckedAccessor) -> Self {
        let mut params = json!({"reference_group_code": reference_group_code});
        accessor.add_to(&mut params);
        Self {
            operation: IdentityOperation {
                accessor_id: Some(accessor.accessor_id.clone()),
                ..IdentityOperation::new(IdentityChange::AddAccessor)
            },
            params,
        }
    }

    /// Revokes an accessor.
    pub fn revoke_accessor(accessor_id: &str) -> Self {
        Self {
            operation: IdentityOperation {
                accessor_id: Some(accessor_id.to_owned()),
                ..IdentityOperation::new(IdentityChange::RevokeAccessor)
            },
            params: json!({"accessor_id_list": [accessor_id]}),
        }
    }

    /// Replaces an accessor by another.
    pub fn replace_accessor(revoking_accessor_id: &str, accessor: &CheckedAccessor) -> Self {
        let mut params = json!({"revoking_accessor_id": revoking_accessor_id});
        accessor.add_to(&mut params);
        Self {
            operation: IdentityOperation {
                accessor_id: Some(accessor.accessor_id.clone()),
                revoking_accessor_id: Some(revoking_accessor_id.to_owned()),
                ..IdentityOperation::new(IdentityChange::RevokeAndAddAccessor)
            },
            params,
        }
    }

    /// Ends the association with a person.
    pub fn revoke_association(identity: &LedgerIdentity) -> Self {
        Self {
            operation: IdentityOperation::new(IdentityChange::RevokeIdentityAssociation),
            params: identity.params(),
        }
    }

    /// Upgrades a person to mode 3.
    pub fn upgrade_mode(identity: &LedgerIdentity) -> Self {
        let mut params = identity.params();
        params["mode_list"] = mode_list(3);
        Self {
            operation: IdentityOperation::new(IdentityChange::UpgradeIdentityMode),
            params,
        }
    }

    /// Parameters of the transaction, with the request of the consent.
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

    fn accessor() -> CheckedAccessor {
        CheckedAccessor {
            accessor_id: "a-1".to_owned(),
            public_key: "PEM".to_owned(),
        }
    }

    fn identity() -> LedgerIdentity {
        LedgerIdentity {
            identity_namespace: "citizen_id".to_owned(),
            identity_identifier_hash: "hash".to_owned(),
        }
    }

    fn created() -> CreatedIdentity {
        CreatedIdentity {
            reference_group_code: "group".to_owned(),
            exist: true,
        }
    }

    /// Every operation, in the order of [`IdentityChange::ALL`].
    pub fn every() -> [PlannedOperation; 7] {
        let declared = DeclaredIdentity {
            mode: 3,
            ial: serde_json::Number::from_f64(2.3).unwrap(),
            lial: Some(true),
            laal: None,
        };
        [
            PlannedOperation::create_identity(created(), &[identity()], &declared, &accessor()),
            PlannedOperation::add_identity("group", &[identity()]),
            PlannedOperation::add_accessor("group", &accessor()),
            PlannedOperation::revoke_accessor("a-0"),
            PlannedOperation::replace_accessor("a-0", &accessor()),
            PlannedOperation::revoke_association(&identity()),
            PlannedOperation::upgrade_mode(&identity()),
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
        for ((planned, params), change) in every().iter().zip(expected).zip(IdentityChange::ALL) {
            assert_eq!(planned.operation.change, change);
            assert_eq!(planned.with_consent(None), params);
            let mut with_consent = params;
            with_consent["request_id"] = json!("r");
            assert_eq!(planned.with_consent(Some("r")), with_consent);
        }
    }
}
