//! Endpoints that are specified and not built yet: 501 that names the endpoint.

use crate::api::{Audience, Endpoint};

/// The table entries.
pub fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::post("/rp/messages", Audience::Rp).not_built(),
        Endpoint::post("/as/service_price/:service_id", Audience::As).not_built(),
        Endpoint::post("/node/update", Audience::Everybody).not_built(),
    ]
}
