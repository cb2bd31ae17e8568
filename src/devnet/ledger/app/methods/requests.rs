//! Requests and their answers (spec/ledger.md 4.1).

use std::collections::HashSet;

use crate::devnet::ledger::app::method::{AllowedCaller, Entry, Method, MethodCall, MethodResult};
use crate::devnet::ledger::app::node::{Node, Role};
use crate::devnet::ledger::app::params::params;
use crate::devnet::ledger::app::refusal::{self as refused, TxRefusal};
use crate::devnet::ledger::app::request::{
    AsResponse, DataRequest, IdpResponse, Request, RequestHistory,
};
use crate::devnet::ledger::app::state::State;

pub const METHODS: &[Entry] = &[
    Entry::of::<CreateRequest>(),
    Entry::of::<CreateIdpResponse>(),
    Entry::of::<CreateAsResponse>(),
    Entry::of::<SetDataReceived>(),
    Entry::of::<CloseRequest>(),
    Entry::of::<TimeOutRequest>(),
];

params! {
    struct DataRequestParams {
        service_id: String,
        as_id_list: Vec<String>,
        min_as: i64,
        request_params_hash: String,
    }

    struct CreateRequest {
        mode: i64,
        request_id: String,
        min_idp: i64,
        min_aal: f64,
        min_ial: f64,
        request_timeout: i64,
        data_request_list: Vec<DataRequestParams>,
        request_message_hash: String,
        idp_id_list: Vec<String>,
        purpose: String,
        request_type: Option<String>,
    }

    struct CreateIdpResponse {
        request_id: String,
        aal: f64,
        ial: f64,
        status: String,
        signature: String,
        error_code: Option<i64>,
    }

    struct CreateAsResponse {
        request_id: String,
        service_id: String,
        signature: String,
        error_code: Option<i64>,
    }

    struct SetDataReceived {
        request_id: String,
        service_id: String,
        as_id: String,
    }

    struct ResponseValid {
        idp_id: String,
        valid_ial: Option<bool>,
        valid_signature: Option<bool>,
    }

    struct CloseRequest {
        request_id: String,
        response_valid_list: Vec<ResponseValid>,
    }

    struct TimeOutRequest {
        request_id: String,
        response_valid_list: Vec<ResponseValid>,
    }
}

impl Method for CreateRequest {
    const NAME: &'static str = "CreateRequest";
    const CALLER: AllowedCaller = AllowedCaller::RpOrIdp;
    const PAID: bool = true;

    fn check(&self, state: &State, call: &MethodCall) -> Result<(), TxRefusal> {
        if state.node(call.node_id)?.role == Role::Idp {
            if self.mode == 1 {
                return Err(refused::IDP_MODE_1);
            }
            if !self.data_request_list.is_empty() {
                return Err(refused::IDP_DATA_REQUEST);
            }
        }
        let mut services = HashSet::new();
        let mut ids = self.data_request_list.iter().map(|data| &data.service_id);
        if ids.all(|id| services.insert(id)) {
            Ok(())
        } else {
            Err(refused::SERVICE_REPEATED)
        }
    }

    fn run(self, state: &mut State, call: &MethodCall) -> Result<MethodResult, TxRefusal> {
        if state.requests.contains_key(&self.request_id) {
            return Err(refused::REQUEST_EXISTS);
        }
        if !state.modes_allowed_for(&self.purpose).contains(&self.mode) {
            return Err(refused::MODE_NOT_ALLOWED);
        }
        let caller = state.node(call.node_id)?;
        for idp in &self.idp_id_list {
            check_listed_idp(state, caller, idp)?;
        }
        let as_ids = self
            .data_request_list
            .iter()
            .flat_map(|data| &data.as_id_list);
        for as_id in as_ids {
            check_usable(state, as_id, &refused::LISTED_AS_DISABLED)?;
        }
        if let Some(request_type) = &self.request_type
            && !state.request_types.contains(request_type)
        {
            return Err(refused::REQUEST_TYPE_UNKNOWN);
        }
        // Only requests of IdPs keep their purpose.
        let purpose = match caller.role {
            Role::Idp => self.purpose,
            _ => String::new(),
        };
        let request = Request {
            id: self.request_id.clone(),
            mode: self.mode,
            min_idp: self.min_idp,
            min_aal: self.min_aal,
            min_ial: self.min_ial,
            timeout: self.request_timeout,
            idp_ids: self.idp_id_list,
            data_requests: self
                .data_request_list
                .into_iter()
                .map(data_request)
                .collect(),
            message_hash: self.request_message_hash,
            responses: Vec::new(),
            closed: false,
            timed_out: false,
            purpose,
            owner: call.node_id.to_owned(),
            use_count: 0,
            creation_height: state.height,
            creation_chain_id: state.chain_id.clone(),
            request_type: self.request_type,
        };
        let done = MethodResult::with_id(&self.request_id);
        let history = RequestHistory::new(state.height, request);
        state.requests.insert(self.request_id, history);
        Ok(done)
    }
}

fn data_request(wanted: DataRequestParams) -> DataRequest {
    DataRequest {
        service_id: wanted.service_id,
        as_ids: wanted.as_id_list,
        min_as: wanted.min_as,
        params_hash: wanted.request_params_hash,
        responses: Vec::new(),
    }
}

fn check_listed_idp(state: &State, caller: &Node, idp_id: &str) -> Result<(), TxRefusal> {
    if !caller.accepts(idp_id) {
        return Err(refused::IDP_NOT_IN_RP_WHITELIST);
    }
    let idp = state.node(idp_id)?;
    if !idp.active {
        return Err(refused::LISTED_IDP_DISABLED);
    }
    if !idp.accepts(&caller.id) {
        return Err(refused::RP_NOT_IN_IDP_WHITELIST);
    }
    check_usable(state, idp_id, &refused::LISTED_IDP_DISABLED)
}

/// The node and its proxy, if any, exist (24) and are active (`disabled`).
fn check_usable(state: &State, node_id: &str, disabled: &TxRefusal) -> Result<(), TxRefusal> {
    let node = state.node(node_id)?;
    if !node.active {
        return Err(disabled.clone());
    }
    if let Some(behind) = &node.proxy
        && !state.node(&behind.proxy_id)?.active
    {
        return Err(disabled.clone());
    }
    Ok(())
}

/// The request, which must be open.
fn open_request<'a>(state: &'a State, request_id: &str) -> Result<&'a Request, TxRefusal> {
    let request = existing(state, request_id)?;
    check_open(request)?;
    Ok(request)
}

fn existing<'a>(state: &'a State, request_id: &str) -> Result<&'a Request, TxRefusal> {
    let history = state.requests.get(request_id);
    Ok(history.ok_or(refused::REQUEST_UNKNOWN)?.latest())
}

fn check_open(request: &Request) -> Result<(), TxRefusal> {
    if request.closed {
        return Err(refused::REQUEST_CLOSED);
    }
    if request.timed_out {
        return Err(refused::REQUEST_TIMED_OUT);
    }
    Ok(())
}

fn change<'a>(state: &'a mut State, request_id: &str) -> Result<&'a mut Request, TxRefusal> {
    let height = state.height;
    let history = state.requests.get_mut(request_id);
    Ok(history.ok_or(refused::REQUEST_UNKNOWN)?.change(height))
}

fn count<T>(items: &[T], counted: impl Fn(&T) -> bool) -> i64 {
    // A list in memory is shorter than i64::MAX.
    items.iter().filter(|item| counted(item)).count() as i64
}

impl Method for CreateIdpResponse {
    const NAME: &'static str = "CreateIdpResponse";
    const CALLER: AllowedCaller = AllowedCaller::IdpOrAgent;
    const PAID: bool = true;

    fn run(self, state: &mut State, call: &MethodCall) -> Result<MethodResult, TxRefusal> {
        let request = open_request(state, &self.request_id)?;
        if !request.idp_ids.iter().any(|id| id == call.node_id) {
            return Err(refused::IDP_NOT_LISTED);
        }
        if request
            .responses
            .iter()
            .any(|response| response.idp_id == call.node_id)
        {
            return Err(refused::IDP_RESPONDED);
        }
        let usable = count(&request.responses, |response| !response.status.is_empty());
        if usable >= request.min_idp {
            return Err(refused::REQUEST_ANSWERED);
        }
        let outstanding = count(&request.idp_ids, |_| true) - count(&request.responses, |_| true);
        if usable + outstanding < request.min_idp {
            return Err(refused::MIN_IDP_UNREACHABLE);
        }
        match self.error_code {
            Some(code) if !state.has_error_code("idp", code) => {
                return Err(refused::ERROR_CODE_INVALID);
            }
            Some(_) => {}
            None => self.check_levels(request, state.node(call.node_id)?)?,
        }
        let response = match self.error_code {
            Some(error_code) => IdpResponse {
                idp_id: call.node_id.to_owned(),
                error_code,
                ..IdpResponse::default()
            },
            None => IdpResponse {
                idp_id: call.node_id.to_owned(),
                ial: self.ial,
                aal: self.aal,
                status: self.status,
                signature: self.signature,
                ..IdpResponse::default()
            },
        };
        change(state, &self.request_id)?.responses.push(response);
        Ok(MethodResult::with_id(&self.request_id))
    }
}

impl CreateIdpResponse {
    fn check_levels(&self, request: &Request, idp: &Node) -> Result<(), TxRefusal> {
        if self.aal < request.min_aal {
            return Err(refused::AAL_BELOW_REQUEST);
        }
        if self.ial < request.min_ial {
            return Err(refused::IAL_BELOW_REQUEST);
        }
        if self.aal > idp.max_aal {
            return Err(refused::AAL_ABOVE_NODE);
        }
        if self.ial > idp.max_ial {
            return Err(refused::IAL_ABOVE_NODE);
        }
        Ok(())
    }
}

impl Method for CreateAsResponse {
    const NAME: &'static str = "CreateAsResponse";
    const CALLER: AllowedCaller = AllowedCaller::As;
    const PAID: bool = true;

    fn run(self, state: &mut State, call: &MethodCall) -> Result<MethodResult, TxRefusal> {
        let request = open_request(state, &self.request_id)?;
        let data = listed_data_request(request, &self.service_id, call.node_id)?;
        check_as_may_answer(data, call.node_id)?;
        if let Some(code) = self.error_code
            && !state.has_error_code("as", code)
        {
            return Err(refused::ERROR_CODE_INVALID);
        }
        check_destination(state, &self.service_id, call.node_id)?;

        let as_id = call.node_id.to_owned();
        let response = AsResponse {
            as_id: as_id.clone(),
            signed: self.error_code.is_none(),
            received_data: false,
            error_code: self.error_code.unwrap_or(0),
        };
        let request = change(state, &self.request_id)?;
        let mut wanted = request.data_requests.iter_mut();
        if let Some(data) = wanted.find(|data| data.service_id == self.service_id) {
            data.responses.push(response);
        }
        let done = MethodResult::with_id(&self.request_id);
        if self.error_code.is_none() {
            let key = (as_id, self.service_id, self.request_id);
            state.data_signatures.insert(key, self.signature);
        }
        Ok(done)
    }
}

fn listed_data_request<'a>(
    request: &'a Request,
    service_id: &str,
    as_id: &str,
) -> Result<&'a DataRequest, TxRefusal> {
    let mut wanted = request.data_requests.iter();
    wanted
        .find(|data| data.service_id == service_id && data.as_ids.iter().any(|id| id == as_id))
        .ok_or(refused::AS_NOT_LISTED)
}

fn check_as_may_answer(data: &DataRequest, as_id: &str) -> Result<(), TxRefusal> {
    if data
        .responses
        .iter()
        .any(|response| response.as_id == as_id)
    {
        return Err(refused::AS_RESPONDED);
    }
    if data.min_as <= 0 {
        return Ok(());
    }
    let usable = count(&data.responses, |response| response.error_code == 0);
    if usable >= data.min_as {
        return Err(refused::SERVICE_ANSWERED);
    }
    let outstanding = count(&data.as_ids, |_| true) - count(&data.responses, |_| true);
    if usable + outstanding < data.min_as {
        return Err(refused::MIN_AS_UNREACHABLE);
    }
    Ok(())
}

fn check_destination(state: &State, service_id: &str, as_id: &str) -> Result<(), TxRefusal> {
    if !state.service(service_id)?.active {
        return Err(refused::SERVICE_DISABLED);
    }
    match state.approval(service_id, as_id) {
        None => return Err(refused::APPROVAL_UNKNOWN),
        Some(false) => return Err(refused::DESTINATION_NOT_APPROVED),
        Some(true) => {}
    }
    let offers = state.destinations.get(service_id);
    let offers = offers.ok_or(refused::DESTINATIONS_UNKNOWN)?;
    match offers.iter().find(|offer| offer.id == as_id) {
        Some(offer) if !offer.active => Err(refused::DESTINATION_DISABLED),
        _ => Ok(()),
    }
}

impl Method for SetDataReceived {
    const NAME: &'static str = "SetDataReceived";
    const CALLER: AllowedCaller = AllowedCaller::Anyone;
    const PAID: bool = true;

    fn check(&self, _state: &State, _call: &MethodCall) -> Result<(), TxRefusal> {
        check_request_id(&self.request_id)
    }

    fn run(self, state: &mut State, call: &MethodCall) -> Result<MethodResult, TxRefusal> {
        let request = own_open_request(state, &self.request_id, call)?;
        let answer = as_answer(request, &self.service_id, &self.as_id)?;
        let (service, response) = answer;
        if request.data_requests[service].responses[response].received_data {
            return Err(refused::DATA_RECEIVED);
        }
        let request = change(state, &self.request_id)?;
        request.data_requests[service].responses[response].received_data = true;
        Ok(MethodResult::with_id(&self.request_id))
    }
}

/// Where in the request the answer of this AS is.
fn as_answer(
    request: &Request,
    service_id: &str,
    as_id: &str,
) -> Result<(usize, usize), TxRefusal> {
    let mut wanted = request.data_requests.iter().enumerate();
    wanted
        .find(|(_, data)| data.service_id == service_id)
        .and_then(|(service, data)| {
            let mut answers = data.responses.iter();
            let response = answers.position(|response| response.as_id == as_id)?;
            Some((service, response))
        })
        .ok_or(refused::AS_NOT_ANSWERED)
}

fn check_request_id(request_id: &str) -> Result<(), TxRefusal> {
    if request_id.is_empty() {
        return Err(refused::REQUEST_UNKNOWN);
    }
    Ok(())
}

fn own_open_request<'a>(
    state: &'a State,
    request_id: &str,
    call: &MethodCall,
) -> Result<&'a Request, TxRefusal> {
    let request = existing(state, request_id)?;
    if request.owner != call.node_id {
        return Err(refused::NOT_OWNER);
    }
    check_open(request)?;
    Ok(request)
}

impl Method for CloseRequest {
    const NAME: &'static str = "CloseRequest";
    const CALLER: AllowedCaller = AllowedCaller::Anyone;
    const PAID: bool = true;

    fn check(&self, _state: &State, _call: &MethodCall) -> Result<(), TxRefusal> {
        check_request_id(&self.request_id)
    }

    fn run(self, state: &mut State, call: &MethodCall) -> Result<MethodResult, TxRefusal> {
        own_open_request(state, &self.request_id, call)?;
        let request = change(state, &self.request_id)?;
        set_validity(request, self.response_valid_list);
        request.closed = true;
        Ok(MethodResult::with_id(&self.request_id))
    }
}

impl Method for TimeOutRequest {
    const NAME: &'static str = "TimeOutRequest";
    const CALLER: AllowedCaller = AllowedCaller::Anyone;
    const PAID: bool = true;

    fn check(&self, _state: &State, _call: &MethodCall) -> Result<(), TxRefusal> {
        check_request_id(&self.request_id)
    }

    fn run(self, state: &mut State, call: &MethodCall) -> Result<MethodResult, TxRefusal> {
        own_open_request(state, &self.request_id, call)?;
        let request = change(state, &self.request_id)?;
        set_validity(request, self.response_valid_list);
        request.timed_out = true;
        Ok(MethodResult::with_id(&self.request_id))
    }
}

fn set_validity(request: &mut Request, list: Vec<ResponseValid>) {
    for valid in list {
        let mut responses = request.responses.iter_mut();
        if let Some(response) = responses.find(|response| response.idp_id == valid.idp_id) {
            response.valid_ial = valid.valid_ial.or(response.valid_ial);
            response.valid_signature = valid.valid_signature.or(response.valid_signature);
        }
    }
}
