//! An external crypto service signs the data of an AS (spec/flows.md 4.5).

use super::respond::Unsigned;
use super::response_created::refused;
use crate::context::Context;
use crate::delivery::crypto_service::given_up_in_time;
use crate::error::{Error, settled};
use crate::flows::call::Call;
use crate::job::{Commit, Job};

/// Handler of `as.sign_data`. Data that cannot be signed is reported as the
/// ledger's refusal is, and the data request stays open.
///
/// # Errors
/// Those that are not final.
pub async fn handle(context: &Context, job: &Job) -> Result<Commit, Error> {
    let unsigned: Unsigned = job.payload()?;
    let answered = unsigned.answered.clone();
    let signed = unsigned.pack_and_sign(context).await;
    let signed = signed.map_err(|error| given_up_in_time(context, job, error));
    Ok(match settled(signed)? {
        Ok(commit) => commit,
        Err(refusal) => {
            let mut commit = refused(&answered, &refusal);
            commit
                .writes
                .extend(answered.call.as_ref().map(Call::forget));
            commit
        }
    })
}
