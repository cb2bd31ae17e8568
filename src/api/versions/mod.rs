//! Older versions of the API, as adapters over the endpoints of version 6
//! (spec/http-api-v4-v5.md). An adapter has the schemas of its version, and maps the
//! input of a call to version 6 and the body of its answer back. All versions run
//! the same handler.

mod identities;
mod idps;
mod keys;
mod nodes;
mod registration;
mod request_data;
mod requests;
#[cfg(test)]
mod tests;

pub use keys::ANY_TYPE;

use std::sync::Arc;

use futures_util::FutureExt;
use serde_json::{Map, Value};

use super::call_outcome::CallOutcome;
use super::endpoint::{Endpoint, Method};
use super::schema::Schema;
use super::success::Success;
use super::{ApiVersion, RawCall};

type Members = Map<String, Value>;

/// The differences of an endpoint from version 6.
#[derive(Default)]
struct Adapter {
    /// Schema of the query string.
    query: Option<Schema>,
    /// Schema of the body.
    body: Option<Schema>,
    /// Maps a query string to version 6.
    query_in: Option<fn(&mut Members)>,
    /// Maps a body to version 6.
    body_in: Option<fn(&mut Members)>,
    /// Maps the body of an answer to the older version.
    answer_out: Option<fn(&mut Value)>,
    /// The answer that this leads to.
    success: Option<Success>,
}

/// The endpoints of a version, made from those of version 6.
pub fn of(version: ApiVersion, endpoints: &[Endpoint]) -> Vec<Endpoint> {
    let of_version = endpoints
        .iter()
        .filter(|endpoint| endpoint.since.is_some_and(|since| since <= version));
    let adapted = of_version.map(|endpoint| match adapter(version, endpoint) {
        Some(adapter) => adapter.put_before(endpoint.clone()),
        None => endpoint.clone(),
    });
    adapted.collect()
}

/// The adapter of an endpoint; `None`: no difference from version 6.
fn adapter(version: ApiVersion, endpoint: &Endpoint) -> Option<Adapter> {
    if version == ApiVersion::V6 {
        return None;
    }
    let is_v4 = version == ApiVersion::V4;
    match (endpoint.method, endpoint.path) {
        (Method::Post, "/rp/requests/:namespace/:identifier") if is_v4 => {
            Some(requests::v4(endpoint))
        }
        (Method::Post, "/identity") if is_v4 => Some(identities::v4(endpoint)),
        (Method::Get, "/rp/request_data/:request_id") => Some(request_data::v5()),
        (Method::Get, "/utility/idp") if is_v4 => Some(idps::v4()),
        (Method::Get, "/utility/idp") => Some(idps::v5()),
        (Method::Get, "/utility/idp/:namespace/:identifier") if is_v4 => {
            Some(idps::v4_of_identity())
        }
        (Method::Get, "/utility/idp/:namespace/:identifier") => Some(idps::v5_of_identity()),
        (Method::Get, "/utility/requests/:request_id") if is_v4 => Some(requests::v4_shown()),
        (Method::Get, "/utility/nodes/:node_id") if is_v4 => Some(nodes::v4()),
        (Method::Get, "/utility/nodes/:node_id") => Some(nodes::v5()),
        (Method::Post, "/node/create") => Some(registration::creation()),
        (Method::Post, "/node/update") => Some(registration::update_of_keys()),
        (Method::Post, "/ndid/init_ndid") => Some(registration::init()),
        (Method::Post, "/ndid/register_node") if is_v4 => Some(registration::register_v4()),
        (Method::Post, "/ndid/register_node") => Some(registration::register_v5()),
        (Method::Post, "/ndid/update_node") if is_v4 => Some(registration::update_v4()),
        (Method::Post, "/ndid/update_node") => Some(registration::update_v5()),
        (Method::Post, "/ndid/set_allowed_min_ial_for_register_identity_at_first_idp") => {
            Some(registration::first_idp())
        }
        _ => None,
    }
}

impl Adapter {
    /// Puts the adapter before the endpoint's handler.
    fn put_before(self, endpoint: Endpoint) -> Endpoint {
        let Self {
            query,
            body,
            query_in,
            body_in,
            answer_out,
            success,
        } = self;
        let run = endpoint.run;
        let run: super::EndpointHandler = Arc::new(move |mut call: RawCall| {
            map(&mut call.query, query_in);
            map(&mut call.body, body_in);
            let answer = run(call);
            async move {
                let mut outcome = answer.await?;
                if let (CallOutcome::Ok(body), Some(out)) = (&mut outcome, answer_out) {
                    out(body);
                }
                Ok(outcome)
            }
            .boxed()
        });
        Endpoint {
            query: query.unwrap_or(endpoint.query),
            body: body.or(endpoint.body),
            success: success.unwrap_or(endpoint.success),
            run,
            ..endpoint
        }
    }
}

fn map(input: &mut Value, mapping: Option<fn(&mut Members)>) {
    if let (Value::Object(members), Some(mapping)) = (input, mapping) {
        mapping(members);
    }
}

/// Maps each object of a list.
fn each(list: &mut Value, change: fn(&mut Members)) {
    let items = list.as_array_mut().into_iter().flatten();
    items.filter_map(Value::as_object_mut).for_each(change);
}

/// Removes these members and keeps the order of the others.
fn remove(members: &mut Members, names: &[&str]) {
    members.retain(|name, _| !names.contains(&name.as_str()));
}
