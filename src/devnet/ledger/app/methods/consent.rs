//! Consent requests that identity methods in mode 3 need (spec/ledger.md 4.3).

use crate::devnet::ledger::app::refusal::{self as refused, TxRefusal};
use crate::devnet::ledger::app::state::State;

/// Mode in which identity methods need consent.
pub const CONSENT_MODE: i64 = 3;

/// A consent request that was found good and is to be spent.
#[must_use]
pub struct Consent<'a> {
    request_id: &'a str,
}

/// Checks that the request, as of the last committed block, gives consent:
/// for this purpose, not spent, closed, with `needed` valid accepts.
///
/// # Errors
/// 7, 91, 92, 81 or 29.
pub fn check<'a>(
    state: &State,
    request_id: &'a str,
    purpose: &str,
    needed: usize,
) -> Result<Consent<'a>, TxRefusal> {
    let history = state.requests.get(request_id);
    let request = history
        .and_then(|history| history.before(state.height))
        .ok_or(refused::REQUEST_UNKNOWN)?;
    if request.purpose != purpose {
        return Err(refused::CONSENT_PURPOSE);
    }
    if request.use_count != 0 {
        return Err(refused::CONSENT_USED);
    }
    if !request.closed {
        return Err(refused::CONSENT_OPEN);
    }
    let accepts = request.responses.iter().filter(|response| {
        response.status == "accept"
            && response.valid_ial == Some(true)
            && response.valid_signature == Some(true)
    });
    if accepts.count() < needed {
        return Err(refused::CONSENT_NOT_ENOUGH);
    }
    Ok(Consent { request_id })
}

/// Spends the consent, if one was needed.
pub fn spend(state: &mut State, consent: Option<Consent<'_>>) {
    let height = state.height;
    if let Some(consent) = consent
        && let Some(history) = state.requests.get_mut(consent.request_id)
    {
        history.change(height).use_count += 1;
    }
}
