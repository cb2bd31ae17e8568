//! The RP's verdict on an IdP's answer (spec/ledger.md 6.5).

use serde_json::json;

use super::stored::RequestRecord;
use crate::crypto::{accessor, hash};
use crate::error::Error;
use crate::flows::request_status::{Validity, Verdict};
use crate::ledger::types::{IdpResponse, RequestDetail};
use crate::ledger::{Ledger, query};

/// The verdict on an answer. `accessor_id` comes with the IdP's message.
///
/// # Errors
/// Those of the ledger.
pub(super) async fn judge(
    ledger: &dyn Ledger,
    request: &RequestRecord,
    answer: &IdpResponse,
    accessor_id: Option<&str>,
) -> Result<Verdict, Error> {
    if needs_no_verdict(request.mode, answer) {
        return Ok(Verdict::default());
    }
    let identifier_hash = hash::identifier_hash(&request.identifier);
    let identity = json!({
        "identity_namespace": request.namespace,
        "identity_identifier_hash": identifier_hash,
    });
    let declared = query::identity_info(ledger, identity, &answer.idp_id).await?;
    let declared = declared.and_then(|identity| identity.ial.as_f64());
    let given = answer.ial.as_ref().and_then(|ial| ial.as_f64());
    let valid_signature = match accessor_id {
        Some(id) => is_signed(ledger, request, answer, id, &identifier_hash).await?,
        None => false,
    };
    Ok(Verdict {
        valid_signature: Some(valid_signature),
        valid_ial: Some(given.is_some() && given == declared),
    })
}

/// Whether both flags stay null.
fn needs_no_verdict(mode: u8, answer: &IdpResponse) -> bool {
    mode == 1 || answer.is_error()
}

async fn is_signed(
    ledger: &dyn Ledger,
    request: &RequestRecord,
    answer: &IdpResponse,
    accessor_id: &str,
    identifier_hash: &str,
) -> Result<bool, Error> {
    let of_accessor = query::reference_group_code_of_accessor(ledger, accessor_id).await?;
    let of_identity =
        query::reference_group_code(ledger, &request.namespace, identifier_hash).await?;
    if of_accessor.is_none() || of_accessor != of_identity {
        return Ok(false);
    }
    let key = query::accessor_key(ledger, accessor_id).await?;
    let (Some(key), Some(signature)) = (key.filter(|key| key.active), &answer.signature) else {
        return Ok(false);
    };
    Ok(accessor::verify(
        &request.request_message,
        &request.initial_salt,
        &request.request_id,
        &key.accessor_public_key,
        signature,
    ))
}

/// Whether every answer counts: in modes 2 and 3 all answers without an error must
/// be valid in both respects.
pub(super) fn all_valid(detail: &RequestDetail, validity: &Validity) -> bool {
    detail.answers().all(|answer| {
        needs_no_verdict(detail.mode, answer)
            || validity.0.get(&answer.idp_id).is_some_and(|verdict| {
                verdict.valid_signature == Some(true) && verdict.valid_ial == Some(true)
            })
    })
}

/// The IdPs whose answers have no verdict yet.
pub(super) fn unjudged<'a>(detail: &'a RequestDetail, validity: &Validity) -> Vec<&'a str> {
    detail
        .response_list
        .iter()
        .filter(|answer| !needs_no_verdict(detail.mode, answer))
        .map(|answer| answer.idp_id.as_str())
        .filter(|idp_id| !validity.0.contains_key(*idp_id))
        .collect()
}
