//! The endpoints that are built.

use super::operations::CallbackOwner;
use crate::node::Purpose;

/// What a route leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Endpoint {
    CreateRequest,
    RequestReference,
    RequestData,
    RemoveAllRequestData,
    RemoveRequestData,
    CloseRequest,
    IdpResponse,
    IdpErrorResponse,
    PaddedHash,
    OfferService,
    OfferedService,
    AsData,
    AsError,
    PaymentReceived,
    CallbackUrls(CallbackOwner),
    SetCallbackUrls(CallbackOwner),
    PrivateMessages,
    RemoveAllPrivateMessages,
    RemovePrivateMessages,
    Utility(Utility),
    ReferenceGroupCode,
    IdentityLevel(Level),
    /// 501 without a body, after the schema check (spec/http-api.md 3.6).
    Unsupported(Option<UnsupportedBody>),
    /// Specified and not built yet: 501 that names the endpoint.
    NotBuilt,
}

/// Plain ledger queries below `/utility`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Utility {
    Idps,
    IdpsOfIdentity,
    Ases,
    ServicePrices,
    ServicePriceCeiling,
    ServicePriceDelay,
    Request,
    Accessor,
    Node,
    NodePublicKeys,
    NodeToken,
    Namespaces,
    Services,
    Service,
    IdpErrorCodes,
    AsErrorCodes,
    Message,
    RequestTypes,
    SuppressedNodes,
    SuppressedNode,
    NodeFeatures,
    SupportedIals,
    SupportedAals,
}

/// What an IdP declared about an identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Level {
    Ial,
    Lial,
    Laal,
}

/// Schema of an endpoint that is answered 501 only after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum UnsupportedBody {
    RemovalFromReferenceGroup,
    ReferenceGroupMerge,
}

impl Endpoint {
    /// What a call makes jobs for; `None` if it makes none.
    pub fn purpose(self) -> Option<Purpose> {
        match self {
            Endpoint::CreateRequest | Endpoint::OfferService => Some(Purpose::Begin),
            Endpoint::CloseRequest
            | Endpoint::IdpResponse
            | Endpoint::IdpErrorResponse
            | Endpoint::AsData
            | Endpoint::AsError => Some(Purpose::End),
            _ => None,
        }
    }

    /// Whether a proxy must be told which node behind it acts (20057).
    pub fn needs_acting_node(self) -> bool {
        !matches!(
            self,
            Endpoint::CallbackUrls(_)
                | Endpoint::SetCallbackUrls(_)
                | Endpoint::Utility(_)
                | Endpoint::ReferenceGroupCode
                | Endpoint::Unsupported(None)
                | Endpoint::NotBuilt
        )
    }
}
