//! `POST /rp/requests/:namespace/:identifier` (spec/flows.md 2.1,
//! spec/http-api.md 3.1).

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Number, Value, json};

use super::data_request::{self, Position};
use super::idps::{self, Qualified};
use super::request_created;
use super::services::{self, Providers};
use super::stored::{Creation, Request, RequestRef, Service};
use crate::api::{self, Audience, Call, Endpoint, Outcome, Texts};
use crate::context::{Context, row, state};
use crate::crypto::hash;
use crate::delivery::transaction::{Continuation, Transact, transact_for_call};
use crate::error::{Error, codes, settled};
use crate::flows::identity::planned::Planned;
use crate::flows::identity::reference;
use crate::flows::reply::Reply;
use crate::flows::{identifier, initial_salt, rp};
use crate::job::{Commit, Guard, Millis, NewJob, Table, request_key};
use crate::ledger::{Ledger, query};
use crate::messaging::outbound;
use crate::mq::message::ResponsePrivateData;
use crate::mq::packing;
use crate::store::Accept;

/// Room left for the id of an accessor when a message is measured before it is known.
const ACCESSOR_ID_LENGTH: usize = 128;

/// The table entry.
pub fn endpoint() -> Endpoint {
    Endpoint::post("/rp/requests/:namespace/:identifier", Audience::Rp)
        .does("Asks IdPs to verify a user, and ASes for the user's data.")
        .begins()
        .path::<Identity>()
        .body::<CreateRequest>()
        .accepts(json!({"request_id": "text", "initial_salt": "text"}))
        .run(run)
}

/// Whom a request is about.
#[derive(Deserialize)]
struct Identity {
    namespace: String,
    identifier: String,
}

async fn run(call: Call<Identity, Texts, CreateRequest>) -> Result<Outcome, Error> {
    let input = CreateRequest {
        checks_identifier: call.checks_identifiers(),
        namespace: call.path.namespace,
        identifier: call.path.identifier,
        ..call.body
    };
    let (accept, answer) = create_request(&call.context, &call.node_id, input).await?;
    Ok(Outcome::Accepted {
        accept,
        body: Some(json!({
            "request_id": answer.request_id,
            "initial_salt": answer.initial_salt,
        })),
        refused: Some(codes::DUPLICATE_REFERENCE_ID),
    })
}

/// A service that data is wanted of.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
pub struct RequestedData {
    /// Which service.
    #[schemars(length(min = 1))]
    pub service_id: String,
    /// Who may answer; empty: everyone who qualifies.
    #[serde(default)]
    #[schemars(inner(length(min = 1)))]
    pub as_id_list: Vec<String>,
    /// How many answers are wanted; 0: any number.
    #[serde(deserialize_with = "whole_number")]
    pub min_as: u64,
    /// Only the AS sees them.
    pub request_params: Option<String>,
}

/// Path and body of the call; the body has passed its JSON schema.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[schemars(transform = by_mode)]
pub struct CreateRequest {
    /// From the path.
    #[serde(skip)]
    pub namespace: String,
    /// From the path.
    #[serde(skip)]
    pub identifier: String,
    /// Whether the identifier must have the form of its namespace.
    #[serde(skip)]
    pub checks_identifier: bool,
    /// The client's name for the request.
    #[schemars(length(min = 1))]
    pub reference_id: String,
    /// Where the client hears of it.
    #[schemars(schema_with = "api::url")]
    pub callback_url: String,
    /// 1, 2 or 3.
    #[serde(deserialize_with = "whole_number")]
    pub mode: u64,
    /// Who may answer; empty: everyone who qualifies (modes 2 and 3).
    #[serde(default)]
    #[schemars(inner(length(min = 1)), extend("uniqueItems" = true))]
    pub idp_id_list: Vec<String>,
    /// Services that data is wanted of.
    #[serde(default)]
    #[schemars(extend("uniqueItems" = true))]
    pub data_request_list: Vec<RequestedData>,
    /// Text for the user; may be a data URL.
    pub request_message: String,
    /// Lowest IAL.
    pub min_ial: Number,
    /// Lowest AAL.
    pub min_aal: Number,
    /// How many IdPs must answer.
    #[serde(deserialize_with = "whole_number")]
    #[schemars(range(min = 1))]
    pub min_idp: u64,
    /// Seconds.
    #[serde(deserialize_with = "whole_number")]
    #[schemars(range(min = 1))]
    pub request_timeout: u64,
    /// Modes 2 and 3; of any type and without meaning in mode 1 (spec/http-api.md Q20).
    #[serde(default)]
    pub bypass_identity_check: Value,
    /// At least 44 characters; generated when absent or empty.
    pub initial_salt: Option<String>,
    /// Registered with NDID.
    #[schemars(length(min = 1))]
    pub request_type: Option<String>,
}

impl CreateRequest {
    /// From the path and a body that has passed its JSON schema.
    ///
    /// # Errors
    /// 20003 for numbers beyond what the ledger can hold.
    pub fn new(namespace: &str, identifier: &str, body: Value) -> Result<Self, Error> {
        let mut input: Self = serde_json::from_value(body).map_err(|error| {
            let details = json!({"valid": false, "errors": [{
                "instancePath": "", "keyword": "type", "message": error.to_string(),
            }]});
            Error::from(codes::BODY_VALIDATION_FAILED).with_details(details)
        })?;
        input.namespace = namespace.to_owned();
        input.identifier = identifier.to_owned();
        Ok(input)
    }

    /// Whether IdPs may be asked that do not know the identity.
    pub(super) fn is_bypassed(&self) -> bool {
        self.mode != 1 && self.bypass_identity_check == Value::Bool(true)
    }
}

/// A request of mode 1 has another shape than one of modes 2 and 3.
fn by_mode(schema: &mut schemars::Schema) {
    let of_modes = |modes: &[u8]| {
        let mut branch = schema.clone().to_value();
        branch["properties"]["mode"] = json!({"type": "number", "enum": modes});
        let bypass = "bypass_identity_check";
        if modes == [1] {
            if let Some(members) = branch["properties"].as_object_mut() {
                members.remove(bypass);
            }
        } else {
            branch["properties"][bypass] = json!({"type": "boolean"});
            if let Some(required) = branch["required"].as_array_mut() {
                required.push(bypass.into());
            }
        }
        branch
    };
    *schema = schemars::json_schema!({"anyOf": [of_modes(&[1]), of_modes(&[2, 3])]});
}

/// JSON has one kind of number: `1.0` is as whole as `1`.
pub(in crate::flows) fn whole_number<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<u64, D::Error> {
    const LARGEST: f64 = 9_007_199_254_740_991.0;
    let number = Number::deserialize(deserializer)?;
    let from_float = || {
        let value = number.as_f64()?;
        let is_whole = value.fract() == 0.0 && (0.0..=LARGEST).contains(&value);
        is_whole.then_some(value as u64)
    };
    number
        .as_u64()
        .or_else(from_float)
        .ok_or_else(|| serde::de::Error::custom(format!("{number} is not a whole number")))
}

/// Answer to the call.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CreateRequestAnswer {
    /// 64 hex digits.
    pub request_id: String,
    /// The client's, or a generated one.
    pub initial_salt: String,
}

/// Checks a request and makes what is to be accepted. The first guard of the
/// accept is the reference id: refused, the call is answered with 20045.
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

/// The same for a request that asks for consent to an operation. Its client has
/// the id of the request, and hears of what is wrong with it by a callback. Both
/// the request and the operation have the reference id.
///
/// # Errors
/// Those that may pass.
pub(in crate::flows) async fn create_consent_request(
    context: &Context,
    node_id: &str,
    request_id: String,
    input: CreateRequest,
    planned: Planned,
) -> Result<Accept, Error> {
    let reply = Reply {
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
    operation: Option<Planned>,
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
    let request = Request {
        operation,
        ..request(request_id, input, initial_salt, idps, &providers)
    };
    let answer = CreateRequestAnswer {
        request_id: request.request_id.clone(),
        initial_salt: request.initial_salt.clone(),
    };
    // When the ledger is away nothing is known of the sizes yet.
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

async fn check_levels(
    ledger: &dyn Ledger,
    input: &CreateRequest,
    purpose: &str,
) -> Result<(), Error> {
    let modes = query::allowed_modes(ledger, purpose).await?;
    if !modes.iter().any(|mode| u64::from(*mode) == input.mode) {
        return Err(codes::UNSUPPORTED_MODE.into());
    }
    let request_type = input.request_type.as_ref();
    if let Some(request_type) = request_type.filter(|text| !text.is_empty())
        && !query::request_types(ledger).await?.contains(request_type)
    {
        return Err(codes::INVALID_REQUEST_TYPE.into());
    }
    if !contains(&query::supported_ials(ledger).await?, &input.min_ial) {
        return Err(codes::UNSUPPORTED_IAL.into());
    }
    if !contains(&query::supported_aals(ledger).await?, &input.min_aal) {
        return Err(codes::UNSUPPORTED_AAL.into());
    }
    Ok(())
}

fn contains(levels: &[Number], level: &Number) -> bool {
    levels.iter().any(|known| known.as_f64() == level.as_f64())
}

fn check_identifier(input: &CreateRequest) -> Result<(), Error> {
    let is_checked = input.checks_identifier && (input.mode == 1 || input.is_bypassed());
    if is_checked && !identifier::is_acceptable(&input.namespace, &input.identifier) {
        return Err(codes::INVALID_IDENTIFIER.into());
    }
    Ok(())
}

async fn check_reference(
    context: &Context,
    node_id: &str,
    reference_id: &str,
) -> Result<(), Error> {
    let row = row(node_id, reference_id);
    let state = context.state.as_ref();
    match state.get(Table::RequestReference, &row, "").await? {
        Some(_) => Err(codes::DUPLICATE_REFERENCE_ID.into()),
        None => Ok(()),
    }
}

fn request(
    request_id: String,
    input: CreateRequest,
    initial_salt: String,
    idps: Qualified,
    providers: &[Providers],
) -> Request {
    let data_request_list = input
        .data_request_list
        .into_iter()
        .zip(providers)
        .map(|(service, providers)| Service {
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
    Request {
        reference_id: input.reference_id,
        callback_url: input.callback_url,
        // One of the modes that NDID allows, which are small numbers.
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

/// Measures every message that the request will need, with the longest values
/// for what is not known yet (spec/http-api.md Q19).
fn check_sizes(
    context: &Context,
    node_id: &str,
    request: &Request,
    providers: Vec<Providers>,
) -> Result<(), Error> {
    let chain_id = context.ledger.chain_id()?;
    let creation = Creation {
        time: Millis::now().0,
        chain_id: chain_id.clone(),
        height: u64::MAX,
    };
    for group in &request.consent_groups {
        let message = request_created::consent_request(node_id, request, group, &creation);
        outbound::check_size(context, &message)?;
    }
    let receivers: Vec<_> = providers
        .into_iter()
        .map(|providers| providers.receivers)
        .collect();
    for group in data_request::groups(&receivers) {
        let position = Position {
            chain_id: chain_id.clone(),
            height: u64::MAX,
        };
        let message = data_request::message(
            node_id,
            request,
            &group.services,
            longest_private_data(request),
            creation.time,
            position,
        );
        outbound::check_size(context, &message)?;
    }
    Ok(())
}

fn longest_private_data(request: &Request) -> Vec<ResponsePrivateData> {
    if request.mode == 1 {
        return Vec::new();
    }
    request
        .idp_id_list
        .iter()
        .map(|idp_id| ResponsePrivateData {
            idp_id: idp_id.clone(),
            accessor_id: Some("x".repeat(ACCESSOR_ID_LENGTH)),
        })
        .collect()
}

/// Request, reference id and transaction, together or not at all.
async fn accept(context: &Context, node_id: &str, request: &Request) -> Result<Accept, Error> {
    let of = reference_of(node_id, request);
    let reference = row(node_id, &request.reference_id);
    let then = Continuation::new(
        rp::request_created::KIND,
        request_key(&request.request_id),
        &of,
    );
    let params = transaction_params(request);
    let mut transaction = Transact::new(node_id, "CreateRequest", &params, Some(then));
    if request.operation.is_some() {
        transaction = transaction.resend_when_disabled();
    }
    let Commit { writes, jobs, .. } = transact_for_call(context, transaction).await?;
    let mut accept = Accept {
        guards: vec![reference_is_free(&reference)],
        writes: vec![
            state::put(Table::RequestData, of.row(), request),
            state::put(Table::RequestReference, reference, &request.request_id),
        ],
        jobs,
        epoch: None,
    };
    if let Some(planned) = &request.operation {
        let request_id = Some(request.request_id.as_str());
        let reference_id = &request.reference_id;
        let operation = &planned.operation;
        accept.writes.push(reference::write(
            node_id,
            reference_id,
            request_id,
            operation,
        ));
    }
    accept.writes.extend(writes);
    Ok(accept)
}

fn reference_of(node_id: &str, request: &Request) -> RequestRef {
    RequestRef {
        node_id: node_id.to_owned(),
        request_id: request.request_id.clone(),
    }
}

/// Only the callback that tells the failure; the reference id stays free.
fn accept_failure(node_id: &str, reference_id: &str, failed: NewJob) -> Accept {
    Accept {
        guards: vec![reference_is_free(&row(node_id, reference_id))],
        jobs: vec![failed],
        ..Accept::default()
    }
}

fn reference_is_free(row: &str) -> Guard {
    Guard::Absent {
        table: Table::RequestReference,
        row: row.to_owned(),
    }
}

/// Parameters of CreateRequest (spec/ledger.md 4.1).
fn transaction_params(request: &Request) -> Value {
    let services: Vec<Value> = request
        .data_request_list
        .iter()
        .map(|service| {
            let params = service.request_params.as_deref();
            let params_hash = hash::request_params_hash(params, &service.request_params_salt);
            json!({
                "service_id": service.service_id,
                "as_id_list": service.as_id_list,
                "min_as": service.min_as,
                "request_params_hash": params_hash,
            })
        })
        .collect();
    let message_hash =
        hash::request_message_hash(&request.request_message, &request.request_message_salt);
    let mut params = json!({
        "mode": request.mode,
        "request_id": request.request_id,
        "min_idp": request.min_idp,
        "min_aal": request.min_aal,
        "min_ial": request.min_ial,
        "request_timeout": request.request_timeout,
        "data_request_list": services,
        "request_message_hash": message_hash,
        "idp_id_list": request.idp_id_list,
    });
    if let Some(request_type) = &request.request_type {
        params["request_type"] = json!(request_type);
    }
    if let Some(planned) = &request.operation {
        params["purpose"] = planned.operation.change.method().into();
    }
    params
}
