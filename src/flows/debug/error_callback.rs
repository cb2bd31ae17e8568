//! `GET /debug/error_callback_test/{rp,idp,as}`: a sample of the `error` callback
//! of a role.

use crate::api::{ApiCall, Audience, CallOutcome, Endpoint, NoBody, NoPath, NoQuery};
use crate::delivery::callback::error_job;
use crate::error::{Error, Refusal};
use crate::flows::accept;
use crate::job::Commit;

pub(super) fn endpoints() -> [Endpoint; 3] {
    [
        endpoint("/debug/error_callback_test/rp", "rp"),
        endpoint("/debug/error_callback_test/idp", "idp"),
        endpoint("/debug/error_callback_test/as", "as"),
    ]
}

fn endpoint(path: &'static str, role: &'static str) -> Endpoint {
    Endpoint::get(path, Audience::Everybody)
        .does("Sends a sample of an error callback.")
        .without_acting_node()
        .query::<NoQuery>()
        .run(move |_: ApiCall<NoPath, NoQuery, NoBody>| {
            let sample = Refusal::of_ledger(100, "Sample error".to_owned());
            let mut commit = Commit::nothing();
            commit.job(error_job(role, None, "mqService", None, &sample));
            std::future::ready(Ok::<_, Error>(CallOutcome::StoredJobs(accept(commit))))
        })
        .outside_of_versions()
        .needs_nothing()
}
