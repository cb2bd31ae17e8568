//! What is stored of a request, and its transaction.

use serde_json::{Value, json};

use crate::context::{Context, row, state};
use crate::crypto::hash;
use crate::delivery::transaction::{Continuation, Transact, transact_for_call};
use crate::error::Error;
use crate::flows::identity::reference;
use crate::flows::rp;
use crate::flows::rp::stored::{RequestRecord, RequestRef};
use crate::job::{Commit, Guard, NewJob, Table, request_key};
use crate::store::Accept;

/// Stores request, reference id and transaction in one step.
pub(super) async fn accept(
    context: &Context,
    node_id: &str,
    request: &RequestRecord,
) -> Result<Accept, Error> {
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

pub(super) fn reference_of(node_id: &str, request: &RequestRecord) -> RequestRef {
    RequestRef {
        node_id: node_id.to_owned(),
        request_id: request.request_id.clone(),
    }
}

/// Stores only the callback about the failure; the reference id stays free.
pub(super) fn accept_failure(node_id: &str, reference_id: &str, failed: NewJob) -> Accept {
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
fn transaction_params(request: &RequestRecord) -> Value {
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
