//! Identities (spec/http-api.md 3.6).

pub mod levels;
pub mod reference_group_code;
pub mod unsupported;

use serde::Deserialize;

/// Path of a call about an identity.
#[derive(Deserialize)]
struct Identity {
    namespace: String,
    identifier: String,
}
