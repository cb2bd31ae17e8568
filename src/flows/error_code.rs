//! Error codes that NDID registered for IdPs and ASes to answer with.

use serde::{Deserialize as _, Deserializer, de};
use serde_json::Number;

use crate::error::{Error, codes};
use crate::ledger::{Ledger, query};

/// Checks an error code against the list of a role, `idp` or `as`.
///
/// # Errors
/// 20078; those of the ledger.
pub async fn check_registered(
    ledger: &dyn Ledger,
    role: &str,
    error_code: i64,
) -> Result<(), Error> {
    let registered = query::error_codes(ledger, role).await?;
    if registered.iter().any(|code| code.error_code == error_code) {
        Ok(())
    } else {
        Err(codes::INVALID_ERROR_CODE.into())
    }
}

/// A whole number; `10101` and `10101.0` are the same in JSON.
pub fn whole(number: &Number) -> Option<i64> {
    number.as_i64().or_else(|| {
        let value = number.as_f64()?;
        let is_whole = value.fract() == 0.0 && value.abs() < 9e15;
        is_whole.then_some(value as i64)
    })
}

/// Reads a member that is an error code.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
    let number = Number::deserialize(deserializer)?;
    whole(&number).ok_or_else(|| de::Error::custom("not a whole number"))
}
