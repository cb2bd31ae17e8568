//! Endpoints of the process itself, which belong to no version of the API and
//! are served whatever the node lacks (spec/http-api.md 3.10, 3.11).

use std::future::Future;

use futures_util::FutureExt;

use super::server::{ReloadKeys, ServerOptions};
use super::{chart, information, settings};
use crate::api::{Audience, Builder, Call, Endpoint, NoBody, NoPath, NoQuery, Outcome};
use crate::config::{Config, Environment};
use crate::error::Error;

/// Those of a process with these options.
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

/// Whether a process with this configuration has it.
pub(super) fn is_switched_on(endpoint: &Endpoint, config: &Config) -> bool {
    match endpoint.group() {
        "config" => config.api.config_routes,
        "debug" => config.environment == Environment::Development,
        _ => true,
    }
}

/// A GET of this room.
pub(super) fn get(path: &'static str, does: &'static str) -> Builder<NoPath, NoQuery, NoBody> {
    let endpoint = Endpoint::get(path, Audience::Everybody).does(does);
    endpoint.without_acting_node().query::<NoQuery>()
}

/// It is outside of versions and served always.
pub(super) fn own<F, R>(endpoint: Builder<NoPath, NoQuery, NoBody>, run: F) -> Endpoint
where
    F: Fn(Call<NoPath, NoQuery, NoBody>) -> R + Send + Sync + 'static,
    R: Future<Output = Result<Outcome, Error>> + Send + 'static,
{
    endpoint.run(run).outside_of_versions().needs_nothing()
}

fn reload(reload_keys: &ReloadKeys) -> Endpoint {
    let reload_keys = reload_keys.clone();
    own(
        get(
            "/reinit_node_keys",
            "Reads the files of this node's keys again.",
        ),
        move |_| reload_keys().map(|done| done.map(|()| Outcome::NoContent)),
    )
}
