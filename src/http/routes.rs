//! Paths of the versioned API (spec/http-api.md 1.2, 1.7, 3).

use std::sync::LazyLock;

use actix_web::http::Method;

use super::endpoint::{Endpoint, Level, UnsupportedBody, Utility};
use super::operations::CallbackOwner;
use crate::node::Role;

/// Which roles an endpoint serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Audience {
    Rp,
    Idp,
    As,
    Proxy,
    Ndid,
    Everybody,
}

impl Audience {
    /// Whether a node with this role has the endpoint.
    pub fn includes(self, role: Role) -> bool {
        match self {
            Audience::Rp => matches!(role, Role::Rp | Role::Proxy),
            Audience::Idp => matches!(role, Role::Idp | Role::Proxy),
            Audience::As => matches!(role, Role::As | Role::Proxy),
            Audience::Proxy => role == Role::Proxy,
            Audience::Ndid => role == Role::Ndid,
            Audience::Everybody => true,
        }
    }
}

/// A method and a path.
#[derive(Debug)]
pub(super) struct Route {
    /// GET or POST.
    pub method: Method,
    /// With `:name` for parameters.
    pub pattern: &'static str,
    /// Whom it serves.
    pub audience: Audience,
    /// Where it leads.
    pub endpoint: Endpoint,
    segments: Vec<&'static str>,
}

impl Route {
    fn new(method: Method, pattern: &'static str, audience: Audience, endpoint: Endpoint) -> Self {
        Self {
            method,
            pattern,
            audience,
            endpoint,
            segments: pattern.split('/').skip(1).collect(),
        }
    }

    /// The pattern within its group, the label of metrics: `/callback` of `/rp/callback`.
    pub fn label(&self) -> &'static str {
        let group_end = self.pattern[1..].find('/');
        group_end.map_or(self.pattern, |end| &self.pattern[end + 1..])
    }

    /// The parameters as written, if the path is this route's.
    fn parameters<'p>(&self, path: &[&'p str]) -> Option<Vec<&'p str>> {
        if path.len() != self.segments.len() {
            return None;
        }
        let mut parameters = Vec::new();
        for (segment, expected) in path.iter().zip(&self.segments) {
            if expected.starts_with(':') {
                if segment.is_empty() {
                    return None;
                }
                parameters.push(*segment);
            } else if !segment.eq_ignore_ascii_case(expected) {
                return None;
            }
        }
        Some(parameters)
    }
}

/// What a path and a method lead to.
#[derive(Debug)]
pub(super) enum Found<'p> {
    /// A route, with the parameters as written.
    Route(&'static Route, Vec<&'p str>),
    /// OPTIONS on a known path: its methods.
    Options(String),
    /// Nothing.
    Nothing,
}

/// The segments of a path; one trailing slash is tolerated.
pub(super) fn segments(path: &str) -> Vec<&str> {
    let path = path.strip_prefix('/').unwrap_or(path);
    let path = path.strip_suffix('/').unwrap_or(path);
    path.split('/').collect()
}

/// Finds the route of a path below its version, for a node with this role.
pub(super) fn find<'p>(method: &Method, path: &[&'p str], role: Role) -> Found<'p> {
    let matching = ROUTES.iter().filter_map(|route| {
        let parameters = route.parameters(path)?;
        route.audience.includes(role).then_some((route, parameters))
    });
    if method == Method::OPTIONS {
        let mut methods: Vec<&str> = Vec::new();
        for (route, _) in matching {
            methods.extend(if route.method == Method::GET {
                &["GET", "HEAD"][..]
            } else {
                &["POST"][..]
            });
        }
        return if methods.is_empty() {
            Found::Nothing
        } else {
            Found::Options(methods.join(","))
        };
    }
    let wanted = if method == Method::HEAD {
        &Method::GET
    } else {
        method
    };
    let mut matching = matching.filter(|(route, _)| route.method == *wanted);
    match matching.next() {
        Some((route, parameters)) => Found::Route(route, parameters),
        None => Found::Nothing,
    }
}

/// Whether any role has a route here.
pub(super) fn is_known(path: &[&str]) -> bool {
    ROUTES.iter().any(|route| route.parameters(path).is_some())
}

/// The endpoints of `/ndid`, all POST.
const NDID: &[&str] = &[
    "/ndid/init_ndid",
    "/ndid/end_init",
    "/ndid/set_allowed_mode_list",
    "/ndid/register_node",
    "/ndid/update_node",
    "/ndid/enable_node",
    "/ndid/disable_node",
    "/ndid/set_node_token",
    "/ndid/add_node_token",
    "/ndid/reduce_node_token",
    "/ndid/create_namespace",
    "/ndid/update_namespace",
    "/ndid/enable_namespace",
    "/ndid/disable_namespace",
    "/ndid/create_service",
    "/ndid/update_service",
    "/ndid/enable_service",
    "/ndid/disable_service",
    "/ndid/set_service_price_ceiling",
    "/ndid/set_service_price_min_effective_datetime_delay",
    "/ndid/set_validator",
    "/ndid/approve_service",
    "/ndid/enable_service_destination",
    "/ndid/disable_service_destination",
    "/ndid/add_node_to_proxy_node",
    "/ndid/update_node_proxy_node",
    "/ndid/remove_node_from_proxy_node",
    "/ndid/set_last_block",
    "/ndid/get_allowed_min_ial_for_register_identity_at_first_idp",
    "/ndid/set_allowed_min_ial_for_register_identity_at_first_idp",
    "/ndid/get_node_id_list",
    "/ndid/add_error_code",
    "/ndid/remove_error_code",
    "/ndid/add_request_type",
    "/ndid/remove_request_type",
    "/ndid/add_suppressed_identity_modification_notification_node",
    "/ndid/remove_suppressed_identity_modification_notification_node",
    "/ndid/add_allowed_node_supported_feature",
    "/ndid/remove_allowed_node_supported_feature",
    "/ndid/set_supported_ial_list",
    "/ndid/set_supported_aal_list",
];

/// Changes of identities, all POST, none built yet.
const IDENTITY_CHANGES: &[&str] = &[
    "/identity",
    "/identity/:namespace/:identifier",
    "/identity/:namespace/:identifier/accessors",
    "/identity/:namespace/:identifier/accessor_revoke",
    "/identity/:namespace/:identifier/accessor_revoke_and_add",
    "/identity/:namespace/:identifier/association_revoke",
    "/identity/:namespace/:identifier/mode",
    "/identity/:namespace/:identifier/ial",
    "/identity/:namespace/:identifier/lial",
    "/identity/:namespace/:identifier/laal",
    "/identity_request/request_close",
];

static ROUTES: LazyLock<Vec<Route>> = LazyLock::new(routes);

#[rustfmt::skip]
fn routes() -> Vec<Route> {
    use CallbackOwner as Owner;
    let get = |pattern, audience, endpoint| Route::new(Method::GET, pattern, audience, endpoint);
    let post = |pattern, audience, endpoint| Route::new(Method::POST, pattern, audience, endpoint);
    let utility = |pattern, utility| get(pattern, Audience::Everybody, Endpoint::Utility(utility));
    let mut routes = vec![
        post("/rp/requests/:namespace/:identifier", Audience::Rp, Endpoint::CreateRequest),
        get("/rp/request_references/:reference_id", Audience::Rp, Endpoint::RequestReference),
        get("/rp/request_data/:request_id", Audience::Rp, Endpoint::RequestData),
        post("/rp/request_data_removal", Audience::Rp, Endpoint::RemoveAllRequestData),
        post("/rp/request_data_removal/:request_id", Audience::Rp, Endpoint::RemoveRequestData),
        post("/rp/request_close", Audience::Rp, Endpoint::CloseRequest),
        post("/rp/messages", Audience::Rp, Endpoint::NotBuilt),
        get("/rp/callback", Audience::Rp, Endpoint::CallbackUrls(Owner::Rp)),
        post("/rp/callback", Audience::Rp, Endpoint::SetCallbackUrls(Owner::Rp)),

        post("/idp/response", Audience::Idp, Endpoint::IdpResponse),
        post("/idp/error_response", Audience::Idp, Endpoint::IdpErrorResponse),
        get("/idp/request_message_padded_hash", Audience::Idp, Endpoint::PaddedHash),
        get("/idp/callback", Audience::Idp, Endpoint::CallbackUrls(Owner::Idp)),
        post("/idp/callback", Audience::Idp, Endpoint::SetCallbackUrls(Owner::Idp)),

        post("/as/service/:service_id", Audience::As, Endpoint::OfferService),
        get("/as/service/:service_id", Audience::As, Endpoint::OfferedService),
        post("/as/service_price/:service_id", Audience::As, Endpoint::NotBuilt),
        post("/as/data/:request_id/:service_id", Audience::As, Endpoint::AsData),
        post("/as/error/:request_id/:service_id", Audience::As, Endpoint::AsError),
        post("/as/payment_received_log/:request_id/:service_id", Audience::As, Endpoint::PaymentReceived),
        get("/as/callback", Audience::As, Endpoint::CallbackUrls(Owner::As)),
        post("/as/callback", Audience::As, Endpoint::SetCallbackUrls(Owner::As)),

        get("/proxy/callback", Audience::Proxy, Endpoint::CallbackUrls(Owner::Proxy)),
        post("/proxy/callback", Audience::Proxy, Endpoint::SetCallbackUrls(Owner::Proxy)),

        post("/node/create", Audience::Ndid, Endpoint::NotBuilt),
        post("/node/update", Audience::Everybody, Endpoint::NotBuilt),
        get("/node/callback", Audience::Everybody, Endpoint::CallbackUrls(Owner::Node)),
        post("/node/callback", Audience::Everybody, Endpoint::SetCallbackUrls(Owner::Node)),

        get("/identity/:namespace/:identifier", Audience::Idp, Endpoint::ReferenceGroupCode),
        get("/identity/:namespace/:identifier/ial", Audience::Idp, Endpoint::IdentityLevel(Level::Ial)),
        get("/identity/:namespace/:identifier/lial", Audience::Idp, Endpoint::IdentityLevel(Level::Lial)),
        get("/identity/:namespace/:identifier/laal", Audience::Idp, Endpoint::IdentityLevel(Level::Laal)),
        get("/identity/:namespace/:identifier/endorsement", Audience::Everybody, Endpoint::Unsupported(None)),
        post("/identity/:namespace/:identifier/endorsement", Audience::Everybody, Endpoint::Unsupported(None)),
        post("/identity/:namespace/:identifier/removal_from_reference_group", Audience::Idp,
            Endpoint::Unsupported(Some(UnsupportedBody::RemovalFromReferenceGroup))),
        post("/identity/:namespace/:identifier/reference_group_merge", Audience::Idp,
            Endpoint::Unsupported(Some(UnsupportedBody::ReferenceGroupMerge))),
        get("/identity_request/request_references/:reference_id", Audience::Idp, Endpoint::NotBuilt),

        utility("/utility/idp", Utility::Idps),
        utility("/utility/idp/:namespace/:identifier", Utility::IdpsOfIdentity),
        utility("/utility/as/:service_id", Utility::Ases),
        utility("/utility/as/service_price/:service_id", Utility::ServicePrices),
        utility("/utility/service_price_ceiling", Utility::ServicePriceCeiling),
        utility("/utility/service_price_min_effective_datetime_delay", Utility::ServicePriceDelay),
        utility("/utility/requests/:request_id", Utility::Request),
        utility("/utility/accessors/:accessor_id", Utility::Accessor),
        utility("/utility/nodes/:node_id", Utility::Node),
        utility("/utility/nodes/:node_id/public_keys", Utility::NodePublicKeys),
        utility("/utility/nodes/:node_id/token", Utility::NodeToken),
        utility("/utility/namespaces", Utility::Namespaces),
        utility("/utility/services", Utility::Services),
        utility("/utility/services/:service_id", Utility::Service),
        utility("/utility/idp_error_codes", Utility::IdpErrorCodes),
        utility("/utility/as_error_codes", Utility::AsErrorCodes),
        utility("/utility/messages/:message_id", Utility::Message),
        utility("/utility/request_types", Utility::RequestTypes),
        utility("/utility/suppressed_identity_modification_notification_node_ids", Utility::SuppressedNodes),
        utility("/utility/suppressed_identity_modification_notification_node_ids/:node_id", Utility::SuppressedNode),
        utility("/utility/node_supported_features", Utility::NodeFeatures),
        utility("/utility/supported_ial", Utility::SupportedIals),
        utility("/utility/supported_aal", Utility::SupportedAals),
        get("/utility/private_messages/:request_id", Audience::Everybody, Endpoint::PrivateMessages),
        post("/utility/private_message_removal", Audience::Everybody, Endpoint::RemoveAllPrivateMessages),
        post("/utility/private_message_removal/:request_id", Audience::Everybody, Endpoint::RemovePrivateMessages),
    ];
    routes.extend(NDID.iter().map(|path| post(path, Audience::Ndid, Endpoint::NotBuilt)));
    routes.extend(IDENTITY_CHANGES.iter().map(|path| post(path, Audience::Idp, Endpoint::NotBuilt)));
    routes
}

#[cfg(test)]
pub(super) fn all() -> &'static [Route] {
    &ROUTES
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(method: Method, path: &str, role: Role) -> Option<(Endpoint, Vec<String>)> {
        match find(&method, &segments(path), role) {
            Found::Route(route, parameters) => {
                let parameters = parameters.into_iter().map(str::to_owned).collect();
                Some((route.endpoint, parameters))
            }
            _ => None,
        }
    }

    #[test]
    fn every_endpoint_of_the_specification_has_one_route() {
        assert_eq!(all().len(), 9 + 5 + 8 + 4 + 26 + 20 + 2 + 41);
        for (index, route) in all().iter().enumerate() {
            let same =
                |other: &&Route| other.pattern == route.pattern && other.method == route.method;
            assert_eq!(all().iter().position(|other| same(&other)), Some(index));
        }
    }

    #[test]
    fn static_segments_ignore_case_and_one_trailing_slash() {
        let expected = Some((Endpoint::RemoveAllRequestData, vec![]));
        let role = Role::Rp;
        for path in ["/rp/request_data_removal", "/RP/Request_Data_Removal/"] {
            assert_eq!(found(Method::POST, path, role), expected, "{path}");
        }
        for path in [
            "/rp/request_data_removal//",
            "//rp/request_data_removal",
            "/rp",
        ] {
            assert_eq!(found(Method::POST, path, role), None, "{path}");
        }
    }

    #[test]
    fn parameters_keep_their_case_and_escapes() {
        let (endpoint, parameters) =
            found(Method::POST, "/rp/requests/Citizen_ID/a%2Fb", Role::Proxy).unwrap();
        assert_eq!(endpoint, Endpoint::CreateRequest);
        assert_eq!(parameters, ["Citizen_ID", "a%2Fb"]);
    }

    #[test]
    fn wrong_methods_and_wrong_roles_lead_nowhere() {
        let path = "/rp/request_close";
        assert!(found(Method::POST, path, Role::Rp).is_some());
        assert!(found(Method::PUT, path, Role::Rp).is_none());
        assert!(found(Method::GET, path, Role::Rp).is_none());
        assert!(found(Method::POST, path, Role::Idp).is_none());
        assert!(found(Method::HEAD, "/rp/callback", Role::Rp).is_some());
    }

    #[test]
    fn options_lists_the_methods_of_a_path() {
        let options = find(&Method::OPTIONS, &segments("/rp/callback"), Role::Rp);
        assert!(matches!(options, Found::Options(methods) if methods == "GET,HEAD,POST"));
        let options = find(&Method::OPTIONS, &segments("/rp/callback"), Role::As);
        assert!(matches!(options, Found::Nothing));
    }
}
