//! `POST /ndid/{approve_service,enable_service_destination,disable_service_destination}`:
//! which AS may offer which service.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::handed_on;
use crate::api::Endpoint;

pub fn endpoints() -> [Endpoint; 3] {
    [
        handed_on::<DestinationBody>(
            "/ndid/approve_service",
            "Allows an AS to offer a service.",
            "RegisterServiceDestinationByNDID",
            204,
        ),
        handed_on::<DestinationBody>(
            "/ndid/enable_service_destination",
            "Enables the offer of an AS.",
            "EnableServiceDestinationByNDID",
            204,
        ),
        handed_on::<DestinationBody>(
            "/ndid/disable_service_destination",
            "Disables the offer of an AS.",
            "DisableServiceDestinationByNDID",
            204,
        ),
    ]
}

/// Body that names an AS and a service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
struct DestinationBody {
    /// The AS.
    #[schemars(length(min = 1))]
    node_id: String,
    /// The service.
    #[schemars(length(min = 1))]
    service_id: String,
}
