//! Checks of the levels, the identifier and the reference id.

use serde_json::Number;

use super::body::CreateRequest;
use crate::context::{Context, row};
use crate::error::{Error, codes};
use crate::flows::identifier;
use crate::job::Table;
use crate::ledger::{Ledger, query};

pub(super) async fn check_levels(
    ledger: &dyn Ledger,
    input: &CreateRequest,
    purpose: &str,
) -> Result<(), Error> {
    let modes = query::allowed_modes(ledger, purpose).await?;
    if !modes.iter().any(|mode| u64::from(*mode) == input.mode) {
        return Err(codes::UNSUPPORTED_MODE.into());
    }
    let request_type = input.request_type.as_ref();
    if let Some(request_type) = request_type.filter(|text| !text.is_empty())
        && !query::request_types(ledger).await?.contains(request_type)
    {
        return Err(codes::INVALID_REQUEST_TYPE.into());
    }
    if !contains(&query::supported_ials(ledger).await?, &input.min_ial) {
        return Err(codes::UNSUPPORTED_IAL.into());
    }
    if !contains(&query::supported_aals(ledger).await?, &input.min_aal) {
        return Err(codes::UNSUPPORTED_AAL.into());
    }
    Ok(())
}

fn contains(levels: &[Number], level: &Number) -> bool {
    levels.iter().any(|known| known.as_f64() == level.as_f64())
}

pub(super) fn check_identifier(input: &CreateRequest) -> Result<(), Error> {
    let is_checked = input.checks_identifier && (input.mode == 1 || input.is_bypassed());
    if is_checked && !identifier::is_acceptable(&input.namespace, &input.identifier) {
        return Err(codes::INVALID_IDENTIFIER.into());
    }
    Ok(())
}

pub(super) async fn check_reference(
    context: &Context,
    node_id: &str,
    reference_id: &str,
) -> Result<(), Error> {
    let row = row(node_id, reference_id);
    let state = context.state.as_ref();
    match state.get(Table::RequestReference, &row, "").await? {
        Some(_) => Err(codes::DUPLICATE_REFERENCE_ID.into()),
        None => Ok(()),
    }
}
