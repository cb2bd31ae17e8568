//! `POST /rp/requests/:namespace/:identifier` (spec/flows.md 2.1,
//! spec/http-api.md 3.1).

mod accept;
mod body;
mod checks;
mod sizes;

pub(in crate::flows) use body::whole_number;
pub use body::{CreateRequest, RequestedData};

use accept::{accept, accept_failure, reference_of};
use checks::{check_identifier, check_levels, check_reference};
use serde::{Deserialize, Serialize};
use serde_json::json;
use sizes::check_sizes;

use super::idps::{self, QualifiedIdps};
use super::request_created;
use super::services::{self, ServiceProviders};
use super::stored::{RequestRecord, StoredService};
use crate::api::{ApiCall, Audience, CallOutcome, Endpoint, Texts};
use crate::context::Context;
use crate::crypto::hash;
use crate::error::{Error, codes, settled};
use crate::flows::identity::planned::PlannedOperation;
use crate::flows::initial_salt;
use crate::flows::reply::ReplyTo;
use crate::mq::packing;
use crate::store::Accept;

pub fn endpoint() -> Endpoint {
    Endpoint::post("/rp/requests/:namespace/:identifier", Audience::Rp)
        .does("Asks IdPs to verify a user, and ASes for the user's data.")
        .begins()
        .path::<Path>()
        .body::<CreateRequest>()
        .accepts(json!({"request_id": "text", "initial_salt": "text"}))
        .run(run)
}

#[derive(Deserialize)]
struct Path {
    namespace: String,
    identifier: String,
}

async fn run(call: ApiCall<Path, Texts, CreateRequest>) -> Result<CallOutcome, Error> {
    let input = CreateRequest {
        checks_identifier: call.checks_identifiers(),
        namespace: call.path.namespace,
        identifier: call.path.identifier,
        ..call.body
    };
    let (accept, answer) = create_request(&call.context, &call.node_id, input).await?;
    Ok(CallOutcome::Accepted {
        accept,
        body: Some(json!({
            "request_id": answer.request_id,
            "initial_salt": answer.initial_salt,
        })),
        refused: Some(codes::DUPLICATE_REFERENCE_ID),
    })
}

/// Answer to the call.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CreateRequestAnswer {
    /// 64 hex digits.
    pub request_id: String,
    /// The client's, or a generated one.
    pub initial_salt: String,
}

/// Checks a request and makes its accept. The first guard of the accept is the
/// reference id: if it is taken, the answer is 20045.
///
/// # Errors
/// The client errors of spec/flows.md 2.1 in its order; those of the ledger,
/// the store and of signing.
pub async fn create_request(
    context: &Context,
    node_id: &str,
    input: CreateRequest,
) -> Result<(Accept, CreateRequestAnswer), Error> {
    create(context, node_id, hash::generate_id(), input, None).await
}

/// The same for a request for consent to an identity operation. Its client knows the
/// id of the request already, and hears of final errors by a callback. Request and
/// operation share the reference id.
///
/// # Errors
/// Temporary ones.
pub(in crate::flows) async fn create_consent_request(
    context: &Context,
    node_id: &str,
    request_id: String,
    input: CreateRequest,
    planned: PlannedOperation,
) -> Result<Accept, Error> {
    let reply = ReplyTo {
        reference_id: input.reference_id.clone(),
        callback_url: input.callback_url.clone(),
    };
    let operation = planned.operation.clone();
    let created = create(context, node_id, request_id.clone(), input, Some(planned)).await;
    Ok(match settled(created)? {
        Ok((accept, _)) => accept,
        Err(refusal) => {
            let failed = operation.request_result(node_id, &reply, &request_id, Err(&refusal));
            accept_failure(node_id, &reply.reference_id, failed)
        }
    })
}

async fn create(
    context: &Context,
    node_id: &str,
    request_id: String,
    input: CreateRequest,
    operation: Option<PlannedOperation>,
) -> Result<(Accept, CreateRequestAnswer), Error> {
    let ledger = context.ledger.as_ref();
    let purpose = operation
        .as_ref()
        .map(|planned| planned.operation.change.method());
    check_levels(ledger, &input, purpose.unwrap_or_default()).await?;
    check_identifier(&input)?;
    check_reference(context, node_id, &input.reference_id).await?;
    if packing::has_whitespace_in_base64_data_url(&input.request_message) {
        return Err(codes::DATA_URL_BASE64_MUST_NOT_CONTAIN_WHITESPACES.into());
    }
    let idps = idps::qualify(ledger, node_id, &input).await?;
    let providers = services::qualify(ledger, &input).await?;
    let initial_salt = initial_salt::given_or_new(input.initial_salt.as_deref())?;
    let request = RequestRecord {
        operation,
        ..request(request_id, input, initial_salt, idps, &providers)
    };
    let answer = CreateRequestAnswer {
        request_id: request.request_id.clone(),
        initial_salt: request.initial_salt.clone(),
    };
    // Without the ledger the sizes are not known yet.
    let accept = match settled(check_sizes(context, node_id, &request, providers))? {
        Ok(()) => accept(context, node_id, &request).await?,
        Err(refusal) => {
            let of = reference_of(node_id, &request);
            let failed = request_created::result(&of, &request, None, Some(&refusal));
            accept_failure(node_id, &request.reference_id, failed)
        }
    };
    Ok((accept, answer))
}

fn request(
    request_id: String,
    input: CreateRequest,
    initial_salt: String,
    idps: QualifiedIdps,
    providers: &[ServiceProviders],
) -> RequestRecord {
    let data_request_list = input
        .data_request_list
        .into_iter()
        .zip(providers)
        .map(|(service, providers)| StoredService {
            request_params_salt: hash::request_params_salt(
                &request_id,
                &service.service_id,
                &initial_salt,
            ),
            service_id: service.service_id,
            as_id_list: providers.as_id_list.clone(),
            min_as: service.min_as,
            request_params: service.request_params,
        })
        .collect();
    RequestRecord {
        reference_id: input.reference_id,
        callback_url: input.callback_url,
        // The modes that NDID allows are small numbers.
        mode: input.mode as u8,
        idp_id_list: idps.idp_id_list,
        data_request_list,
        request_message: input.request_message,
        request_message_salt: hash::request_message_salt(
            &input.namespace,
            &input.identifier,
            &initial_salt,
        ),
        namespace: input.namespace,
        identifier: input.identifier,
        min_ial: input.min_ial,
        min_aal: input.min_aal,
        min_idp: input.min_idp,
        request_timeout: input.request_timeout,
        initial_salt,
        request_type: input.request_type.filter(|text| !text.is_empty()),
        consent_groups: idps.groups,
        request_id,
        operation: None,
    }
}
