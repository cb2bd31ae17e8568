//! Which role's job handles a verified message.

use crate::context::Role;
use crate::job::{Kind, Spec};
use crate::mq::message::Message;

/// RP, and an IdP that asked for consent: an IdP answered.
pub const IDP_RESPONSE: Kind = Kind::new(&Spec::transactional(1, "rp.idp_response"));

/// RP: an AS answered.
pub const AS_RESPONSE: Kind = Kind::new(&Spec::transactional(2, "rp.as_response"));

/// IdP: an RP asks for consent.
pub const CONSENT_REQUEST: Kind = Kind::new(&Spec::transactional(9, "idp.consent_request"));

/// AS: an RP asks for data.
pub const DATA_REQUEST: Kind = Kind::new(&Spec::transactional(12, "as.data_request"));

/// The kind whose handler takes a message (spec/messaging-and-crypto.md 2.7).
pub(super) fn kind(role: Role, message: &Message) -> Result<Kind, String> {
    match (role, message) {
        (Role::Rp | Role::Idp, Message::IdpResponse(_)) => Ok(IDP_RESPONSE),
        (Role::Rp, Message::AsResponse(_)) => Ok(AS_RESPONSE),
        (Role::Idp, Message::ConsentRequest(_)) => Ok(CONSENT_REQUEST),
        (Role::As, Message::DataRequest(_)) => Ok(DATA_REQUEST),
        (role, message) => Err(format!(
            "a node of role {} does not take {}",
            role.as_str(),
            message.type_name()
        )),
    }
}
