//! Endpoints that are specified and not built yet: 501 that names the endpoint.

use crate::api::{Audience, Endpoint};

/// The table entries.
pub fn endpoints() -> Vec<Endpoint> {
    debug().to_vec()
}

/// What only a node under development has.
fn debug() -> [Endpoint; 5] {
    let everybody = Audience::Everybody;
    let sample = "Sends a sample of an error callback.";
    [
        Endpoint::post("/debug/tmquery/:method", everybody).does("Asks the ledger."),
        Endpoint::post("/debug/tmtransact/:method", everybody).does("Makes a transaction."),
        Endpoint::get("/debug/error_callback_test/rp", everybody).does(sample),
        Endpoint::get("/debug/error_callback_test/idp", everybody).does(sample),
        Endpoint::get("/debug/error_callback_test/as", everybody).does(sample),
    ]
    .map(|endpoint| endpoint.not_built().outside_of_versions().needs_nothing())
}
