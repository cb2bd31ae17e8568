//! What an IdP does to an identity: its name, its transaction, and what the
//! client application hears of it (spec/flows-additions.md 2.3).

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::accessor::Accessor;
use crate::error::Refusal;
use crate::flows::reply::Reply;
use crate::job::NewJob;

/// A way to change identities.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// An IdP declares identities of a person.
    CreateIdentity,
    /// It adds identities to a person that it knows.
    AddIdentity,
    /// It adds a key that the person signs with.
    AddAccessor,
    /// It revokes one.
    RevokeAccessor,
    /// It does both.
    RevokeAndAddAccessor,
    /// It does not know the person any more.
    RevokeIdentityAssociation,
    /// From mode 2 to mode 3.
    UpgradeIdentityMode,
}

impl Change {
    const ALL: [Self; 7] = [
        Self::CreateIdentity,
        Self::AddIdentity,
        Self::AddAccessor,
        Self::RevokeAccessor,
        Self::RevokeAndAddAccessor,
        Self::RevokeIdentityAssociation,
        Self::UpgradeIdentityMode,
    ];

    /// The name that client applications know it by.
    pub fn name(self) -> &'static str {
        match self {
            Self::CreateIdentity => "create_identity",
            Self::AddIdentity => "add_identity",
            Self::AddAccessor => "add_accessor",
            Self::RevokeAccessor => "revoke_accessor",
            Self::RevokeAndAddAccessor => "revoke_and_add_accessor",
            Self::RevokeIdentityAssociation => "revoke_identity_association",
            Self::UpgradeIdentityMode => "upgrade_identity_mode",
        }
    }

    /// Its method on the ledger, and the purpose of the request for consent.
    pub fn method(self) -> &'static str {
        match self {
            Self::CreateIdentity => "RegisterIdentity",
            Self::AddIdentity => "AddIdentity",
            Self::AddAccessor => "AddAccessor",
            Self::RevokeAccessor => "RevokeAccessor",
            Self::RevokeAndAddAccessor => "RevokeAndAddAccessor",
            Self::RevokeIdentityAssociation => "RevokeIdentityAssociation",
            Self::UpgradeIdentityMode => "UpdateIdentityModeList",
        }
    }

    /// What a method of the ledger changes.
    pub fn of_method(method: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|change| change.method() == method)
    }
}

/// One operation, as its callbacks name it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Operation {
    /// What it does.
    pub change: Change,
    /// The accessor that it adds, or revokes if it adds none.
    pub accessor_id: Option<String>,
    /// The accessor that it replaces.
    pub revoking_accessor_id: Option<String>,
    /// Of an identity that is created: its group, and whether the platform knew it.
    pub created: Option<Created>,
}

/// What the client application hears of an identity that is created.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Created {
    /// The group of the person.
    pub reference_group_code: String,
    /// Whether the platform knew the person.
    pub exist: bool,
}

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

impl Operation {
    fn new(change: Change) -> Self {
        Self {
            change,
            accessor_id: None,
            revoking_accessor_id: None,
            created: None,
        }
    }

    /// Its accessors, as members of a body.
    pub fn accessors(&self) -> Map<String, Value> {
        let mut members = Map::new();
        let revoking = &self.revoking_accessor_id;
        for (name, id) in [
            ("revoking_accessor_id", revoking),
            ("accessor_id", &self.accessor_id),
        ] {
            if let Some(id) = id {
                members.insert(name.into(), id.as_str().into());
            }
        }
        members
    }

    /// The callback that says what became of the request for consent:
    /// `<chain>:<height>` of its block, or why there is none.
    pub fn request_result(
        &self,
        node_id: &str,
        reply: &Reply,
        request_id: &str,
        outcome: Result<String, &Refusal>,
    ) -> NewJob {
        let kind = format!("{}_request_result", self.change.name());
        let mut members = self.accessors();
        if let Ok(height) = &outcome {
            members.insert("creation_block_height".into(), height.as_str().into());
            if let Some(created) = &self.created {
                members.insert("exist".into(), created.exist.into());
            }
        }
        let failure = outcome.err();
        reply.about_operation(node_id, &kind, Some(request_id), members, failure)
    }

    /// The callback that says that it is done.
    pub fn done(&self, node_id: &str, reply: &Reply, request_id: Option<&str>) -> NewJob {
        let mut members = Map::new();
        if let Some(created) = &self.created {
            let code = created.reference_group_code.as_str();
            members.insert("reference_group_code".into(), code.into());
        }
        reply.about_operation(node_id, &self.result_type(), request_id, members, None)
    }

    /// The callback that says that the ledger refused it.
    pub fn refused(
        &self,
        node_id: &str,
        reply: &Reply,
        request_id: Option<&str>,
        refusal: &Refusal,
    ) -> NewJob {
        let kind = self.result_type();
        reply.about_operation(node_id, &kind, request_id, self.accessors(), Some(refusal))
    }

    /// The callback that says that there is no consent to it.
    pub fn without_consent(
        &self,
        node_id: &str,
        reply: &Reply,
        request_id: &str,
        refusal: &Refusal,
    ) -> NewJob {
        let kind = self.result_type();
        reply.about_operation(node_id, &kind, Some(request_id), Map::new(), Some(refusal))
    }

    fn result_type(&self) -> String {
        format!("{}_result", self.change.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::codes;
    use crate::flows::testing::callbacks;

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

    fn every() -> [Planned; 7] {
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

    #[test]
    fn every_callback_has_its_type_and_its_members() {
        let reply = Reply {
            reference_id: "ref".to_owned(),
            callback_url: "http://client".to_owned(),
        };
        let refusal = Refusal::from(codes::USER_REJECTED);
        for planned in every() {
            let operation = &planned.operation;
            let name = operation.change.name();
            let body = |job: NewJob| callbacks(&[job]).remove(0).1;
            let common = |kind: &str, success: bool| {
                json!({
                    "node_id": "idp1", "type": format!("{name}{kind}"), "success": success,
                    "reference_id": "ref", "request_id": "r",
                })
            };
            let with = |mut value: Value, members: Map<String, Value>| {
                value.as_object_mut().unwrap().extend(members);
                value
            };
            let failed = |kind: &str| {
                with(common(kind, false), {
                    Map::from_iter([("error".to_owned(), refusal.to_json())])
                })
            };
            let created = operation.created.is_some();

            let mut asked = with(common("_request_result", true), operation.accessors());
            asked["creation_block_height"] = json!("chain:7");
            if created {
                asked["exist"] = json!(true);
            }
            let told = operation.request_result("idp1", &reply, "r", Ok("chain:7".to_owned()));
            assert_eq!(body(told), asked);
            let told = operation.request_result("idp1", &reply, "r", Err(&refusal));
            let expected = with(failed("_request_result"), operation.accessors());
            assert_eq!(body(told), expected);

            let mut done = common("_result", true);
            if created {
                done["reference_group_code"] = json!("group");
            }
            assert_eq!(body(operation.done("idp1", &reply, Some("r"))), done);
            let told = operation.refused("idp1", &reply, Some("r"), &refusal);
            assert_eq!(body(told), with(failed("_result"), operation.accessors()));
            let told = operation.without_consent("idp1", &reply, "r", &refusal);
            assert_eq!(body(told), failed("_result"));
            let direct = body(operation.done("idp1", &reply, None));
            assert!(direct.get("request_id").is_none());
        }
    }
}
