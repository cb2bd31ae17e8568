//! The operations on identities: their names, and their callbacks
//! (spec/flows-additions.md 2.3).

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::error::Refusal;
use crate::flows::reply::ReplyTo;
use crate::job::NewJob;

/// A way to change identities.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IdentityChange {
    /// Declares identities of a person.
    CreateIdentity,
    /// Adds identities of a known person.
    AddIdentity,
    /// Adds a key that the person signs with.
    AddAccessor,
    /// Revokes such a key.
    RevokeAccessor,
    /// Revokes one key and adds another.
    RevokeAndAddAccessor,
    /// Ends the IdP's association with the person.
    RevokeIdentityAssociation,
    /// From mode 2 to mode 3.
    UpgradeIdentityMode,
}

impl IdentityChange {
    /// Every way.
    pub const ALL: [Self; 7] = [
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

    /// The change that a method of the ledger makes.
    pub fn of_method(method: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|change| change.method() == method)
    }
}

/// One operation, as its callbacks name it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct IdentityOperation {
    /// What it does.
    pub change: IdentityChange,
    /// The accessor that it adds, or revokes if it adds none.
    pub accessor_id: Option<String>,
    /// The accessor that it replaces.
    pub revoking_accessor_id: Option<String>,
    /// Set when an identity is created.
    pub created: Option<CreatedIdentity>,
}

/// What the client application hears of a new identity.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CreatedIdentity {
    /// The person's reference group.
    pub reference_group_code: String,
    /// Whether the platform knew the person.
    pub exist: bool,
}

impl IdentityOperation {
    /// An operation that names no accessor and no group.
    pub fn new(change: IdentityChange) -> Self {
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

    /// The callback about the request for consent: `<chain>:<height>` of its block,
    /// or why there is none.
    pub fn request_result(
        &self,
        node_id: &str,
        reply: &ReplyTo,
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

    /// The callback about success.
    pub fn done(&self, node_id: &str, reply: &ReplyTo, request_id: Option<&str>) -> NewJob {
        let mut members = Map::new();
        if let Some(created) = &self.created {
            let code = created.reference_group_code.as_str();
            members.insert("reference_group_code".into(), code.into());
        }
        reply.about_operation(node_id, &self.result_type(), request_id, members, None)
    }

    /// The callback about a refusal by the ledger.
    pub fn refused(
        &self,
        node_id: &str,
        reply: &ReplyTo,
        request_id: Option<&str>,
        refusal: &Refusal,
    ) -> NewJob {
        let kind = self.result_type();
        reply.about_operation(node_id, &kind, request_id, self.accessors(), Some(refusal))
    }

    /// The callback about missing consent.
    pub fn without_consent(
        &self,
        node_id: &str,
        reply: &ReplyTo,
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
    use serde_json::json;

    use super::super::planned::tests::every;
    use super::*;
    use crate::error::codes;
    use crate::flows::testing::callbacks;

    #[test]
    fn every_callback_has_its_type_and_its_members() {
        let reply = ReplyTo {
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
