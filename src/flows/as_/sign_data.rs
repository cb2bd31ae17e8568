//! An external crypto service signs the data of an AS (spec/flows.md 4.5).

use super::respond::UnsignedData;
use super::response_created::refused;
use super::{PROCESS_MESSAGE, ROLE};
use crate::context::Context;
use crate::delivery::crypto_service::CRYPTO;
use crate::delivery::crypto_service::given_up_in_time;
use crate::error::{Error, settled};
use crate::flows::call_mark::CallMark;
use crate::flows::dispatch::Flow;
use crate::job::{Commit, Job, Kind, Spec};

/// Sign data with an external crypto service, then make the transaction.
pub const KIND: Kind =
    Kind::new(&Spec::transactional(31, "as.sign_data").counts_retries_in(CRYPTO));

pub(in crate::flows) const FLOW: Flow =
    Flow::new(KIND, |context, job| Box::pin(handle(context, job))).told(ROLE, PROCESS_MESSAGE);

/// Handler of `as.sign_data`. Reports data that cannot be signed like a refusal of
/// the ledger; the data request stays open.
///
/// # Errors
/// Those that are not final.
pub async fn handle(context: &Context, job: &Job) -> Result<Commit, Error> {
    let unsigned: UnsignedData = job.payload()?;
    let answered = unsigned.answered.clone();
    let signed = unsigned.pack_and_sign(context).await;
    let signed = signed.map_err(|error| given_up_in_time(context, job, error));
    Ok(match settled(signed)? {
        Ok(commit) => commit,
        Err(refusal) => {
            let mut commit = refused(&answered, &refusal);
            commit
                .writes
                .extend(answered.call.as_ref().map(CallMark::forget));
            commit
        }
    })
}
