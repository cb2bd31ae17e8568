//! Checks a message against the ledger (spec/flows.md 3.1, 4.3).

use crate::crypto::hash;
use crate::error::{Error, codes};
use crate::ledger::types::RequestDetail;

/// The text for the user, as a message has it.
pub struct ConsentText<'a> {
    /// Namespace and identifier. Mode 1 needs them to check the salt.
    pub identity: Option<(&'a str, &'a str)>,
    /// The text.
    pub request_message: &'a str,
    /// Salt of its hash.
    pub request_message_salt: &'a str,
    /// Salt of that salt.
    pub initial_salt: &'a str,
}

/// Checks the text against its hash on the ledger, and in mode 1 the salt. In modes
/// 2 and 3 the receiver may lack the identifier, so the salt is not checked.
///
/// # Errors
/// 10025.
pub fn check_consent(detail: &RequestDetail, consent: &ConsentText<'_>) -> Result<(), Error> {
    if detail.mode == 1 {
        let (namespace, identifier) = consent
            .identity
            .ok_or(codes::REQUEST_INTEGRITY_CHECK_FAILED)?;
        let salt = hash::request_message_salt(namespace, identifier, consent.initial_salt);
        require(salt == consent.request_message_salt)?;
    }
    let message_hash =
        hash::request_message_hash(consent.request_message, consent.request_message_salt);
    require(message_hash == detail.request_message_hash)
}

/// Checks that the message is from the node that made the request. The receivers
/// know everything that the hashes on the ledger cover, so each of them could send
/// the message on under its own name and get the answer.
///
/// # Errors
/// 10025.
pub fn check_requester(detail: &RequestDetail, rp_id: &str) -> Result<(), Error> {
    require(rp_id == detail.requester_node_id)
}

/// Fails unless the condition holds.
///
/// # Errors
/// 10025.
pub fn require(condition: bool) -> Result<(), Error> {
    if condition {
        Ok(())
    } else {
        Err(codes::REQUEST_INTEGRITY_CHECK_FAILED.into())
    }
}
