//! Starts an operation: makes its transaction, or a request for consent first. The
//! same step takes its reference id, which is free again when the client has heard
//! of the end.

use serde_json::{Map, Number, Value};

use super::planned::PlannedOperation;
use super::reference;
use super::settled;
use super::{IdentityPath, checks};
use crate::api::{self, CallOutcome};
use crate::context::Context;
use crate::crypto::hash;
use crate::error::{Error, codes};
use crate::flows::ledger_call::accept_transaction;
use crate::flows::reply::ReplyTo;
use crate::flows::rp::create_request::{CreateRequest, create_consent_request};
use crate::store::Accept;

/// Seconds that IdPs have to answer.
const TIMEOUT: u64 = 24 * 60 * 60;

/// Lowest levels of an answer: the lowest there are.
const MIN_IAL: f64 = 1.1;
const MIN_AAL: u64 = 1;

/// A call that may start an operation: its reference id is free.
pub(super) struct OperationStart<'a> {
    context: &'a Context,
    node_id: &'a str,
    reply: &'a ReplyTo,
}

/// The consent that an operation needs.
pub(super) struct NeededConsent {
    /// The person's identity.
    pub identity: IdentityPath,
    /// Mode of the request.
    pub mode: u8,
    /// What the person is asked.
    pub request_message: String,
}

impl NeededConsent {
    /// The consent to a change of an identity that the IdP has in mode 3, if the
    /// change needs it.
    ///
    /// # Errors
    /// 20074 when it does, without a message.
    pub fn of_mode_3_if(
        is_needed: bool,
        identity: &IdentityPath,
        request_message: Option<String>,
    ) -> Result<Option<Self>, Error> {
        let needed = || Self::new(identity.clone(), checks::WITH_CONSENT, request_message);
        is_needed.then(needed).transpose()
    }

    /// The consent to a change of an identity.
    ///
    /// # Errors
    /// 20074 without a message.
    pub fn new(
        identity: IdentityPath,
        mode: u8,
        request_message: Option<String>,
    ) -> Result<Self, Error> {
        Ok(Self {
            identity,
            mode,
            request_message: request_message.ok_or(codes::REQUEST_MESSAGE_NEEDED)?,
        })
    }
}

impl<'a> OperationStart<'a> {
    /// Checks that the call's reference id is free.
    ///
    /// # Errors
    /// 20045; those of the store.
    pub async fn of<P, Q, B>(
        call: &'a api::ApiCall<P, Q, B>,
        reply: &'a ReplyTo,
    ) -> Result<Self, Error> {
        let start = Self {
            context: &call.context,
            node_id: &call.node_id,
            reply,
        };
        let taken = reference::is_taken(start.context, start.node_id, reply);
        match taken.await? {
            true => Err(codes::DUPLICATE_REFERENCE_ID.into()),
            false => Ok(start),
        }
    }

    /// Starts an operation. `body`: members of the answer besides the id of the
    /// request.
    ///
    /// # Errors
    /// Temporary ones of ledger, store and signing. Callbacks tell of final ones.
    pub async fn operation(
        self,
        planned: PlannedOperation,
        consent: Option<NeededConsent>,
        mut body: Map<String, Value>,
    ) -> Result<CallOutcome, Error> {
        let accept = match consent {
            None => self.directly(&planned).await?,
            Some(wanted) => {
                let request_id = hash::generate_id();
                body.insert("request_id".into(), request_id.as_str().into());
                self.with_consent(planned, wanted, request_id).await?
            }
        };
        Ok(CallOutcome::Accepted {
            accept,
            body: Some(Value::Object(body)),
            refused: Some(codes::DUPLICATE_REFERENCE_ID),
        })
    }

    async fn directly(&self, planned: &PlannedOperation) -> Result<Accept, Error> {
        let transaction = settled::transaction(self.node_id, self.reply, None, planned);
        let mut accept = accept_transaction(self.context, transaction).await?;
        let (guard, write) = reference::take(self.node_id, self.reply, None, &planned.operation);
        accept.guards.push(guard);
        accept.writes.push(write);
        Ok(accept)
    }

    async fn with_consent(
        &self,
        planned: PlannedOperation,
        wanted: NeededConsent,
        request_id: String,
    ) -> Result<Accept, Error> {
        let request = CreateRequest {
            namespace: wanted.identity.namespace,
            identifier: wanted.identity.identifier,
            // Only for requests that bypass the identity.
            checks_identifier: false,
            reference_id: self.reply.reference_id.clone(),
            callback_url: self.reply.callback_url.clone(),
            mode: wanted.mode.into(),
            idp_id_list: Vec::new(),
            data_request_list: Vec::new(),
            request_message: wanted.request_message,
            // A number of this form is always valid JSON.
            min_ial: Number::from_f64(MIN_IAL).expect("it is finite"),
            min_aal: MIN_AAL.into(),
            min_idp: 1,
            request_timeout: TIMEOUT,
            bypass_identity_check: false.into(),
            initial_salt: None,
            request_type: None,
        };
        create_consent_request(self.context, self.node_id, request_id, request, planned).await
    }
}
