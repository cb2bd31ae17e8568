//! `GET /utility/idp`: IdPs that match the filters.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Number, Value, json};

use super::{ask, member_list};
use crate::api::{ApiCall, Audience, CallOutcome, Endpoint, NoPath};
use crate::context::Context;
use crate::error::Error;

/// Shape of an IdP in a list.
fn shown() -> Value {
    json!({
        "node_id": "text",
        "node_name": "text",
        "max_ial": "number",
        "max_aal": "number",
        "supported_feature_list": ["text"],
        "lial~": "boolean",
        "laal~": "boolean",
        "supported_request_message_data_url_type_list": ["text"],
        "agent": "boolean",
    })
}

pub fn endpoint() -> Endpoint {
    Endpoint::get("/utility/idp", Audience::Everybody)
        .does("Lists the IdPs that match the filters.")
        .without_acting_node()
        .query::<Query>()
        .tells(json!([shown()]))
        .run(run)
}

#[derive(Deserialize, JsonSchema)]
struct Query {
    #[serde(flatten)]
    filters: IdpFilters,
    agent: Option<AgentFilter>,
}

/// Whether agents are wanted.
#[derive(Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum AgentFilter {
    True,
    False,
}

/// Filters of both look-ups of IdPs.
#[derive(Deserialize, JsonSchema)]
pub(super) struct IdpFilters {
    min_ial: Option<String>,
    min_aal: Option<String>,
    /// Separated by commas.
    supported_feature_list: Option<String>,
    filter_for_node_id: Option<String>,
}

impl IdpFilters {
    /// As parameters of the ledger's query.
    pub fn into_params(self) -> Map<String, Value> {
        let mut params = Map::new();
        if let Some(node_id) = self.filter_for_node_id {
            params.insert("filter_for_node_id".into(), node_id.into());
        }
        params.insert("min_ial".into(), level(self.min_ial.as_deref()));
        params.insert("min_aal".into(), level(self.min_aal.as_deref()));
        let features = self.supported_feature_list.unwrap_or_default();
        let features = features.split(',').map(str::trim);
        let features: Vec<&str> = features.filter(|feature| !feature.is_empty()).collect();
        params.insert("supported_feature_list".into(), json!(features));
        params
    }
}

async fn run(call: ApiCall<NoPath, Query>) -> Result<CallOutcome, Error> {
    let query = call.query;
    let mut filters = query.filters.into_params();
    if let Some(agent) = query.agent {
        filters.insert("agent".into(), (agent == AgentFilter::True).into());
    }
    nodes(&call.context, filters).await
}

/// The IdPs that match parameters of the ledger's query.
pub(super) async fn nodes(
    context: &Context,
    params: Map<String, Value>,
) -> Result<CallOutcome, Error> {
    let answer = ask(context, "GetIdpNodes", Value::Object(params)).await?;
    Ok(CallOutcome::Ok(member_list(answer, "node")))
}

/// The number at the beginning of a text; 0 without one.
fn level(text: Option<&str>) -> Value {
    let text = text.unwrap_or_default().trim();
    let mut seen_point = false;
    let end = text
        .char_indices()
        .find(|(index, character)| match character {
            '0'..='9' => false,
            '-' | '+' => *index != 0,
            '.' if !seen_point => {
                seen_point = true;
                false
            }
            _ => true,
        });
    let number = &text[..end.map_or(text.len(), |(index, _)| index)];
    let number: f64 = number.parse().unwrap_or_default();
    if number.fract() == 0.0 && number.abs() < 1e15 {
        return json!(number as i64);
    }
    Number::from_f64(number).map_or(json!(0), Value::Number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_read_as_far_as_they_are_numbers() {
        for (text, number) in [
            ("2.3", json!(2.3)),
            ("3", json!(3)),
            ("3.0", json!(3)),
            ("1.1.2", json!(1.1)),
            ("2x", json!(2)),
            ("-1", json!(-1)),
            ("x", json!(0)),
            ("", json!(0)),
            ("NaN", json!(0)),
            ("ก", json!(0)),
        ] {
            assert_eq!(level(Some(text)), number, "{text}");
        }
    }
}
