//! Endpoints of the process itself, which belong to no version of the API and
//! are served whatever the node lacks (spec/http-api.md 3.10, 3.11).

use std::future::Future;

use futures_util::FutureExt;

use super::server::{ReloadKeys, ServerOptions};
use super::{chart, information, settings};
use crate::api::{
    ApiCall, Audience, CallOutcome, Endpoint, EndpointBuilder, NoBody, NoPath, NoQuery,
};
use crate::config::{Config, Environment};
use crate::error::Error;

/// The endpoints of the process itself.
pub fn own_endpoints(options: &ServerOptions) -> Vec<Endpoint> {
    let mut all = information::endpoints(&options.status, &options.readiness);
    all.extend(settings::endpoints());
    all.push(reload(&options.reload_keys));
    let config = &options.context.config;
    let shown = all.iter().chain(&options.endpoints);
    let shown = shown.filter(|endpoint| is_switched_on(endpoint, config));
    let shown = shown.cloned().collect();
    all.extend(chart::endpoints(shown));
    all
}

/// Whether the configuration switches this endpoint on.
pub(super) fn is_switched_on(endpoint: &Endpoint, config: &Config) -> bool {
    match endpoint.group() {
        "config" => config.api.config_routes,
        "debug" => config.environment == Environment::Development,
        _ => true,
    }
}

/// A GET endpoint of the process.
pub(super) fn get(
    path: &'static str,
    does: &'static str,
) -> EndpointBuilder<NoPath, NoQuery, NoBody> {
    let endpoint = Endpoint::get(path, Audience::Everybody).does(does);
    endpoint.without_acting_node().query::<NoQuery>()
}

/// Takes the endpoint out of the versions and serves it always.
pub(super) fn own<F, R>(endpoint: EndpointBuilder<NoPath, NoQuery, NoBody>, run: F) -> Endpoint
where
    F: Fn(ApiCall<NoPath, NoQuery, NoBody>) -> R + Send + Sync + 'static,
    R: Future<Output = Result<CallOutcome, Error>> + Send + 'static,
{
    endpoint.run(run).outside_of_versions().needs_nothing()
}

fn reload(reload_keys: &ReloadKeys) -> Endpoint {
    let reload_keys = reload_keys.clone();
    own(
        get("/reinit_node_keys", "Reads this node's key files again."),
        move |_| reload_keys().map(|done| done.map(|()| CallOutcome::NoContent)),
    )
}
