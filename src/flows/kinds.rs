//! Every kind of job that a flow handles.

use super::dispatch::Flow;
use super::{as_, debug, identity, idp, ledger_call, node, replaced, rp};
use crate::job::Kind;

pub(super) static FLOWS: [Flow; 25] = [
    replaced::FLOW,
    rp::request_created::FLOW,
    rp::idp_response::FLOW,
    rp::as_response::FLOW,
    rp::data_received::FLOW,
    rp::request_update::FLOW,
    rp::close_request::FLOW,
    rp::close_request::CLOSED_FLOW,
    rp::time_out::FLOW,
    rp::time_out::TIMED_OUT_FLOW,
    rp::message::FLOW,
    idp::consent_request::FLOW,
    idp::contract_checked::FLOW,
    idp::request_update::FLOW,
    idp::response_created::FLOW,
    idp::identity_modified::FLOW,
    identity::settled::FLOW,
    as_::data_request::FLOW,
    as_::callback_answer::FLOW,
    as_::request_update::FLOW,
    as_::response_created::FLOW,
    as_::sign_data::FLOW,
    ledger_call::FLOW,
    debug::transact::FLOW,
    node::mq_registration::FLOW,
];

/// The kinds.
pub fn all() -> impl Iterator<Item = Kind> {
    FLOWS.iter().map(Flow::kind)
}
