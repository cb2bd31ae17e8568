//! Finds the endpoint of a path and a method (spec/http-api.md 1.2, 1.7).

use std::collections::HashMap;

use actix_web::http::Method;
use matchit::Router;

use crate::api::{self, ApiVersion, Endpoint, Needs, openapi, versions};
use crate::context::Role;

/// All endpoints by their paths: below the prefix of each version, without a prefix
/// for the default version, and those without a version.
pub struct Routes {
    /// By path in lower case; parameters are named by their place.
    router: Router<Vec<Route>>,
}

/// An endpoint and where the parameters of its path stand.
pub struct Route {
    /// The endpoint.
    pub endpoint: Endpoint,
    /// The version of the API that the path belongs to; without one the newest.
    pub version: ApiVersion,
    /// Names of the parameters and the places of their segments.
    parameters: Vec<(&'static str, usize)>,
}

impl Route {
    /// The route to an endpoint; its path begins after this many segments.
    fn new(endpoint: Endpoint, version: ApiVersion, before: usize) -> Self {
        let segments = endpoint.path.split('/').skip(1).enumerate();
        let parameters = segments
            .filter_map(|(place, segment)| Some((segment.strip_prefix(':')?, before + place)))
            .collect();
        Self {
            endpoint,
            version,
            parameters,
        }
    }

    /// The path within its group, the label of metrics: `/callback` of `/rp/callback`.
    pub fn label(&self) -> &'static str {
        let path = self.endpoint.path;
        path[1..].find('/').map_or(path, |end| &path[end + 1..])
    }

    fn answers(&self, method: &Method) -> bool {
        match self.endpoint.method {
            api::Method::Get => method == Method::GET || method == Method::HEAD,
            api::Method::Post => method == Method::POST,
        }
    }
}

/// Parameters of a path by name, still encoded.
pub type PathParameters<'p> = Vec<(&'static str, &'p str)>;

/// The result of looking for a route.
pub enum RouteMatch<'r, 'p> {
    /// A route, with the parameters of its path.
    Route(&'r Route, PathParameters<'p>),
    /// OPTIONS on a known path: its methods, and what the answer needs.
    Options(String, Needs),
    /// Nothing.
    Nothing,
}

impl RouteMatch<'_, '_> {
    /// What the node must have before a call with this method is answered.
    pub fn needs(&self, method: &Method) -> Needs {
        match self {
            RouteMatch::Route(route, _) => route.endpoint.needs,
            RouteMatch::Options(_, needs) => *needs,
            RouteMatch::Nothing if method == Method::POST => Needs::of(api::Method::Post),
            RouteMatch::Nothing => Needs::of(api::Method::Get),
        }
    }
}

/// The segments of a path; one trailing slash is tolerated.
pub fn segments(path: &str) -> Vec<&str> {
    let path = path.strip_prefix('/').unwrap_or(path);
    let path = path.strip_suffix('/').unwrap_or(path);
    path.split('/').collect()
}

impl Routes {
    /// Routes to all versions of these endpoints; those of the default version
    /// need no prefix.
    ///
    /// # Panics
    /// When two of them have the same method and path. A test of the list of
    /// endpoints excludes that.
    pub fn new(endpoints: Vec<Endpoint>, default: ApiVersion) -> Self {
        let mut by_shape: HashMap<String, Vec<Route>> = HashMap::new();
        let mut add = |prefix: &str, version, endpoint: Endpoint| {
            let before = prefix.matches('/').count();
            let routes = by_shape.entry(shape(prefix, before, endpoint.path));
            let routes = routes.or_default();
            let is_new = routes
                .iter()
                .all(|route| route.endpoint.method != endpoint.method);
            let (method, path) = (endpoint.method.as_str(), endpoint.path);
            assert!(is_new, "{method} {prefix}{path} is there twice");
            routes.push(Route::new(endpoint, version, before));
        };
        for version in [ApiVersion::V4, ApiVersion::V5, ApiVersion::V6] {
            for endpoint in versions::of(version, &endpoints) {
                add(openapi::prefix(version), version, endpoint.clone());
                if version == default {
                    add("", version, endpoint);
                }
            }
        }
        let of_none = endpoints.into_iter();
        for endpoint in of_none.filter(|endpoint| endpoint.since.is_none()) {
            add("", ApiVersion::V6, endpoint);
        }
        let mut router = Router::new();
        for (shape, routes) in by_shape {
            // Shapes are distinct, so nothing conflicts.
            router.insert(shape, routes).expect("the paths differ");
        }
        Self { router }
    }

    /// Finds the route of a path, for a node with this role.
    pub fn find<'p>(&self, method: &Method, path: &[&'p str], role: Role) -> RouteMatch<'_, 'p> {
        let routes = self.at(path).iter();
        let mut routes = routes.filter(|route| route.endpoint.audience.includes(role));
        if method == Method::OPTIONS {
            let mut options = Vec::new();
            let mut needs = Needs::Ledger;
            for route in routes {
                options.push(methods(route.endpoint.method));
                if route.endpoint.needs == Needs::Nothing {
                    needs = Needs::Nothing;
                }
            }
            return match options.is_empty() {
                true => RouteMatch::Nothing,
                false => RouteMatch::Options(options.join(","), needs),
            };
        }
        match routes.find(|route| route.answers(method)) {
            Some(route) => {
                let parameters = route.parameters.iter();
                let parameters = parameters.map(|(name, place)| (*name, path[*place]));
                RouteMatch::Route(route, parameters.collect())
            }
            None => RouteMatch::Nothing,
        }
    }

    fn at(&self, path: &[&str]) -> &[Route] {
        if path.iter().any(|segment| segment.is_empty()) {
            return &[];
        }
        let mut text = String::with_capacity(64);
        for segment in path {
            text.push('/');
            text.push_str(segment);
        }
        // Static segments ignore case; parameters are taken from `path`.
        text.make_ascii_lowercase();
        let found = self.router.at(&text);
        found.map_or(&[], |found| found.value.as_slice())
    }
}

fn methods(method: api::Method) -> &'static str {
    match method {
        api::Method::Get => "GET,HEAD",
        api::Method::Post => "POST",
    }
}

/// A path whose parameters are named by their place, so that paths of one shape
/// are one entry of the router.
fn shape(prefix: &str, before: usize, path: &str) -> String {
    let segments = path.split('/').skip(1).enumerate();
    let segments = segments.map(|(place, segment)| match segment.starts_with(':') {
        true => format!("/{{{}}}", before + place),
        false => format!("/{segment}"),
    });
    std::iter::once(prefix.to_owned()).chain(segments).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flows::endpoints;

    fn found(method: Method, path: &str, role: Role) -> Option<(&'static str, Vec<String>)> {
        let routes = Routes::new(endpoints::all(), ApiVersion::V6);
        match routes.find(&method, &segments(path), role) {
            RouteMatch::Route(route, parameters) => {
                let parameters = parameters.iter().map(|(_, text)| (*text).to_owned());
                Some((route.endpoint.path, parameters.collect()))
            }
            _ => None,
        }
    }

    #[test]
    fn static_segments_ignore_case_and_one_trailing_slash() {
        let expected = Some(("/rp/request_data_removal", vec![]));
        let role = Role::Rp;
        for path in ["/rp/request_data_removal", "/RP/Request_Data_Removal/"] {
            assert_eq!(found(Method::POST, path, role), expected, "{path}");
        }
        for path in [
            "/rp/request_data_removal//",
            "//rp/request_data_removal",
            "/rp",
            "/rp/request_references//",
            "/",
        ] {
            assert_eq!(found(Method::POST, path, role), None, "{path}");
            assert_eq!(found(Method::GET, path, role), None, "{path}");
        }
    }

    #[test]
    fn parameters_keep_their_case_and_escapes() {
        let path = "/rp/requests/Citizen_ID/a%2Fb";
        let (path, parameters) = found(Method::POST, path, Role::Proxy).unwrap();
        assert_eq!(path, "/rp/requests/:namespace/:identifier");
        assert_eq!(parameters, ["Citizen_ID", "a%2Fb"]);
    }

    #[test]
    fn the_default_version_needs_no_prefix() {
        let path = "/rp/requests/:namespace/:identifier";
        for default in [ApiVersion::V6, ApiVersion::V5, ApiVersion::V4] {
            let routes = Routes::new(endpoints::all(), default);
            for (given, version) in [
                ("/rp/requests/a/b", default),
                ("/V6/rp/requests/a/b", ApiVersion::V6),
                ("/v5/rp/requests/a/b", ApiVersion::V5),
                ("/v4/rp/requests/a/b", ApiVersion::V4),
            ] {
                let given = segments(given);
                let found = routes.find(&Method::POST, &given, Role::Rp);
                let RouteMatch::Route(route, parameters) = found else {
                    panic!("{given:?} leads nowhere");
                };
                assert_eq!((route.version, route.endpoint.path), (version, path));
                assert_eq!(parameters, [("namespace", "a"), ("identifier", "b")]);
            }
        }
    }

    #[test]
    fn older_versions_lack_what_came_later() {
        let routes = Routes::new(endpoints::all(), ApiVersion::V4);
        let leads = |path: &str| {
            let path = segments(path);
            let found = routes.find(&Method::GET, &path, Role::Rp);
            matches!(found, RouteMatch::Route(..))
        };
        for (path, in_versions) in [
            ("/utility/services", ["/v4", "/v5", "/v6", ""].as_slice()),
            ("/utility/request_types", &["/v5", "/v6"]),
            ("/utility/accessors/a", &["/v6"]),
        ] {
            for version in ["/v3", "/v4", "/v5", "/v5.3", "/v6", "/v7", ""] {
                let expected = in_versions.contains(&version);
                assert_eq!(
                    leads(&format!("{version}{path}")),
                    expected,
                    "{version}{path}"
                );
            }
        }
    }

    #[test]
    fn static_segments_come_before_parameters() {
        let at = |path| found(Method::GET, path, Role::Rp).unwrap().0;
        assert_eq!(at("/utility/as/bank"), "/utility/as/:service_id");
        assert_eq!(
            at("/utility/as/service_price/bank"),
            "/utility/as/service_price/:service_id"
        );
        assert_eq!(
            at("/utility/nodes/a/token"),
            "/utility/nodes/:node_id/token"
        );
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
        let routes = Routes::new(endpoints::all(), ApiVersion::V6);
        let options = |role| routes.find(&Method::OPTIONS, &segments("/rp/callback"), role);
        assert!(
            matches!(options(Role::Rp), RouteMatch::Options(methods, _) if methods == "GET,HEAD,POST")
        );
        assert!(matches!(options(Role::As), RouteMatch::Nothing));
    }
}
