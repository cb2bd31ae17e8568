//! Jobs whose external crypto service cannot be reached (spec/http-api.md 4.7).
//! They are tried again like callbacks, and as long. Then they fail, and the
//! client hears of it as of any other failure. Messages of other nodes are the
//! exception: they wait as long as it takes.

use metrics::counter;

use super::is_out_of_time;
use crate::context::Context;
use crate::error::{Error, codes};
use crate::job::{Gauge, Job};

/// Jobs that wait for their next try after an external crypto service failed
/// temporarily.
pub const CRYPTO: Gauge = Gauge::new(3, "pending_external_crypto_callbacks_total");

/// Returns this error of a run of `job`, or a final one when its tries are used
/// up.
pub fn given_up_in_time(context: &Context, job: &Job, error: Error) -> Error {
    let limit = context.config.callback_retry_timeout;
    if !error.is_of_crypto_service() || !is_out_of_time(job, limit) {
        return error;
    }
    counter!("external_crypto_callback_timeouts_total").increment(1);
    let text = format!("callback retry timed out: {}", error.message());
    Error::with_message(codes::UNKNOWN_ERROR, text)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::context::Role;
    use crate::delivery::transaction;
    use crate::flows::testing::{TestNode, job};
    use crate::job::{Millis, NewJob};

    fn old_job(age: Duration, tries: u32) -> Job {
        let mut job = job(NewJob::new(transaction::TRANSACT, "key", &()));
        job.accepted_at = Millis(Millis::now().0 - age.as_millis() as u64);
        job.tries = tries;
        job
    }

    #[tokio::test]
    async fn only_the_crypto_service_is_given_up_and_only_after_its_time() {
        let context = TestNode::new("rp1", Role::Rp).context;
        let away = || {
            let error = Error::with_message(codes::UNKNOWN_ERROR, "no connection");
            error.temporary().of_crypto_service()
        };
        let minutes = |minutes: u64| Duration::from_secs(60 * minutes);
        let given_up = |age, tries, error| {
            let error = given_up_in_time(&context, &old_job(age, tries), error);
            !error.is_temporary()
        };
        assert!(!given_up(minutes(1), 2, away()));
        assert!(!given_up(minutes(60), 1, away()), "the node was down");
        assert!(!given_up(minutes(1), 20, away()), "the ledger was down");
        assert!(given_up(minutes(9), 8, away()));
        let ledger = Error::from(codes::TENDERMINT_NOT_CONNECTED).temporary();
        assert!(!given_up(minutes(60), 20, ledger));
    }
}
