//! An AS offers a service or changes its offer (spec/flows.md 4.1).

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Number, Value, json};

use crate::api::{self, ApiCall, Audience, CallOutcome, Endpoint, Texts};
use crate::context::{Context, state};
use crate::error::{Error, codes};
use crate::flows::ledger_call::{LedgerCall, ResultRecipient};
use crate::flows::levels;
use crate::flows::reply::ReplyTo;
use crate::job::{Table, Write};
use crate::ledger::query;

const RESULT: &str = "add_or_update_service_result";

pub fn offer_endpoint() -> Endpoint {
    Endpoint::post("/as/service/:service_id", Audience::As)
        .does("Offers a service, or changes the offer.")
        .begins()
        .path::<Path>()
        .body::<ServiceOffer>()
        .run(run_offer)
}

pub fn offered_endpoint() -> Endpoint {
    Endpoint::get("/as/service/:service_id", Audience::As)
        .does("Shows what this node offers of a service.")
        .path::<Path>()
        .tells(json!({
            "url": "text",
            "supported_namespace_list": ["text"],
            "min_ial": "number",
            "min_aal": "number",
            "active": "boolean",
            "suspended": "boolean",
        }))
        .run(run_offered)
}

#[derive(Deserialize)]
struct Path {
    service_id: String,
}

async fn run_offer(call: ApiCall<Path, Texts, ServiceOffer>) -> Result<CallOutcome, Error> {
    let service_id = &call.path.service_id;
    offer(&call.context, &call.node_id, service_id, &call.body).await
}

async fn run_offered(call: ApiCall<Path>) -> Result<CallOutcome, Error> {
    let service = offered(&call.context, &call.node_id, &call.path.service_id).await?;
    Ok(CallOutcome::found(service.map(Value::Object)))
}

/// Body of an offer.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
pub struct ServiceOffer {
    /// `reference_id` and `callback_url`.
    #[serde(flatten)]
    pub reply: ReplyTo,
    /// Lowest IAL of a request.
    #[serde(default)]
    pub min_ial: Option<Number>,
    /// Lowest AAL of a request.
    #[serde(default)]
    pub min_aal: Option<Number>,
    /// Where data requests go.
    #[serde(default)]
    #[schemars(schema_with = "api::url")]
    pub url: Option<String>,
    /// Namespaces served.
    #[serde(default)]
    #[schemars(
        length(min = 1),
        inner(length(min = 1)),
        extend("uniqueItems" = true)
    )]
    pub supported_namespace_list: Option<Vec<String>>,
}

impl ServiceOffer {
    fn is_complete(&self) -> bool {
        let given =
            |level: &Option<Number>| level.as_ref().is_some_and(|level| !levels::is_zero(level));
        given(&self.min_ial)
            && given(&self.min_aal)
            && self.url.is_some()
            && self.supported_namespace_list.is_some()
    }
}

/// Checks an offer and makes its transaction. The URL changes once that is on the
/// ledger.
///
/// # Errors
/// 20023 when a first offer lacks something, 20094, 20095, 20013, in this
/// order; those of the ledger.
pub async fn offer(
    context: &Context,
    node_id: &str,
    service_id: &str,
    offer: &ServiceOffer,
) -> Result<CallOutcome, Error> {
    let ledger = context.ledger.as_ref();
    let providers = query::as_nodes(ledger, service_id).await?;
    let is_new = !providers.iter().any(|provider| provider.node_id == node_id);
    if is_new && !offer.is_complete() {
        return Err(codes::MISSING_ARGUMENTS.into());
    }
    levels::check_supported(ledger, offer.min_ial.as_ref(), offer.min_aal.as_ref()).await?;
    check_namespaces(context, offer).await?;
    let method = if is_new {
        "RegisterServiceDestination"
    } else {
        "UpdateServiceDestination"
    };
    let url = offer.url.as_ref().map(|url| {
        let url = url.clone().into_bytes();
        Write::put_column(Table::ServiceUrl, node_id, service_id, url)
    });
    let register = LedgerCall {
        node_id: node_id.to_owned(),
        method,
        params: parameters(service_id, offer),
        key: format!("service:{node_id}/{service_id}"),
        writes: url.into_iter().collect(),
        recipient: ResultRecipient::Callback {
            reply: offer.reply.clone(),
            kind: RESULT.to_owned(),
            node_id: node_id.to_owned(),
        },
    };
    register.start(context).await
}

async fn check_namespaces(context: &Context, offer: &ServiceOffer) -> Result<(), Error> {
    let Some(wanted) = &offer.supported_namespace_list else {
        return Ok(());
    };
    let registered = query::namespaces(context.ledger.as_ref()).await?;
    let is_registered = |name: &String| registered.iter().any(|known| known.namespace == *name);
    if wanted.iter().all(is_registered) {
        Ok(())
    } else {
        Err(codes::INVALID_NAMESPACE.into())
    }
}

fn parameters(service_id: &str, offer: &ServiceOffer) -> Value {
    let mut params = Map::new();
    params.insert("service_id".into(), service_id.into());
    if let Some(min_aal) = &offer.min_aal {
        params.insert("min_aal".into(), min_aal.clone().into());
    }
    if let Some(min_ial) = &offer.min_ial {
        params.insert("min_ial".into(), min_ial.clone().into());
    }
    if let Some(namespaces) = &offer.supported_namespace_list {
        params.insert("supported_namespace_list".into(), namespaces.clone().into());
    }
    Value::Object(params)
}

/// The body of `GET /as/service/{service_id}`; `None` if this AS does not offer the
/// service.
///
/// # Errors
/// Those of ledger and store.
pub async fn offered(
    context: &Context,
    node_id: &str,
    service_id: &str,
) -> Result<Option<Map<String, Value>>, Error> {
    let services = query::provided_services(context.ledger.as_ref(), node_id).await?;
    let Some(service) = services
        .into_iter()
        .find(|service| service.service_id == service_id)
    else {
        return Ok(None);
    };
    let url = url(context, node_id, service_id).await?;
    let mut body = Map::new();
    body.insert("url".into(), url.into());
    body.insert(
        "supported_namespace_list".into(),
        service.supported_namespace_list.into(),
    );
    body.insert("min_ial".into(), service.min_ial.into());
    body.insert("min_aal".into(), service.min_aal.into());
    body.insert("active".into(), service.active.into());
    body.insert("suspended".into(), service.suspended.into());
    Ok(Some(body))
}

/// Where data requests for a service go.
///
/// # Errors
/// Those of the store.
pub(super) async fn url(
    context: &Context,
    node_id: &str,
    service_id: &str,
) -> Result<Option<String>, Error> {
    state::load_text(context, Table::ServiceUrl, node_id, service_id).await
}
