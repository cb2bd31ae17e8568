//! Assurance levels: numbers, compared by value and shown as written.

use serde_json::Number;

use crate::error::{Error, codes};
use crate::ledger::{Ledger, query};

/// Checks levels against those that NDID supports.
///
/// # Errors
/// 20094 IAL, 20095 AAL; those of the ledger.
pub async fn check_supported(
    ledger: &dyn Ledger,
    ial: Option<&Number>,
    aal: Option<&Number>,
) -> Result<(), Error> {
    if let Some(ial) = ial
        && !contains(&query::supported_ials(ledger).await?, ial)
    {
        return Err(codes::UNSUPPORTED_IAL.into());
    }
    if let Some(aal) = aal
        && !contains(&query::supported_aals(ledger).await?, aal)
    {
        return Err(codes::UNSUPPORTED_AAL.into());
    }
    Ok(())
}

/// Whether two levels have the same value.
pub fn equal(one: &Number, other: &Number) -> bool {
    one.as_f64() == other.as_f64()
}

/// Whether a level has the value 0.
pub fn is_zero(level: &Number) -> bool {
    level.as_f64() == Some(0.0)
}

/// Whether `level` is lower than `least`.
pub fn is_below(level: &Number, least: &Number) -> bool {
    level.as_f64() < least.as_f64()
}

/// The highest of some levels.
pub fn highest<'a>(levels: impl Iterator<Item = &'a Number>) -> Option<&'a Number> {
    levels.reduce(|highest, level| {
        if is_below(highest, level) {
            level
        } else {
            highest
        }
    })
}

fn contains(levels: &[Number], level: &Number) -> bool {
    levels.iter().any(|supported| equal(supported, level))
}
