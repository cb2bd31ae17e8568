//! Identities (spec/http-api.md 3.6). An operation changes an identity: its endpoint
//! checks and plans it, and [`start`] starts it, at once or after a request for
//! consent ([`consent`]).

mod accessor;
mod add_accessor;
mod add_identity;
mod checks;
mod close_request;
pub mod consent;
mod create_identity;
pub mod levels;
pub mod operation;
pub mod planned;
pub mod reference;
pub mod reference_group_code;
mod replace_accessor;
mod revoke_accessor;
mod revoke_association;
pub mod settled;
mod start;
pub mod unsupported;
mod update_levels;
mod upgrade_mode;

#[cfg(test)]
mod tests;

use schemars::JsonSchema;
use serde::Deserialize;

use super::reply::ReplyTo;
use crate::api::{Audience, Endpoint, EndpointBuilder};

pub fn endpoints() -> Vec<Endpoint> {
    let mut all = vec![
        reference_group_code::endpoint(),
        create_identity::endpoint(),
        add_identity::endpoint(),
        add_accessor::endpoint(),
        revoke_accessor::endpoint(),
        replace_accessor::endpoint(),
        revoke_association::endpoint(),
        upgrade_mode::endpoint(),
        reference::endpoint(),
        close_request::endpoint(),
    ];
    all.extend(levels::endpoints());
    all.extend(update_levels::endpoints());
    all.extend(unsupported::endpoints());
    all
}

/// An endpoint that starts an operation on an identity.
fn operation_endpoint(path: &'static str, does: &'static str) -> EndpointBuilder<IdentityPath> {
    let endpoint = Endpoint::post(path, Audience::Idp).does(does);
    endpoint.begins().path::<IdentityPath>()
}

/// Path of a call about an identity.
#[derive(Debug, Clone, PartialEq, Deserialize)]
struct IdentityPath {
    namespace: String,
    identifier: String,
}

/// An identity in the body of a call.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
struct ListedIdentity {
    #[schemars(length(min = 1))]
    namespace: String,
    #[schemars(length(min = 1))]
    identifier: String,
}

/// Body of a call without members of its own.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
struct IdentityBody {
    #[serde(flatten)]
    reply: ReplyTo,
    /// What the person is asked, if consent is needed.
    request_message: Option<String>,
}
