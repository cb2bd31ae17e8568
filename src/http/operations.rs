//! What the API asks of the flows: one method per operation.

use async_trait::async_trait;
use serde_json::Value;

use crate::error::{Code, Error};
use crate::job::Write;
use crate::store::Accept;

/// Whose callback URLs: the row in table `CallbackUrl`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CallbackOwner {
    /// `/rp/callback`
    Rp,
    /// `/idp/callback`
    Idp,
    /// `/as/callback`
    As,
    /// `/proxy/callback`
    Proxy,
    /// `/node/callback`
    Node,
}

impl CallbackOwner {
    /// The name of the row.
    pub fn row(self) -> &'static str {
        match self {
            CallbackOwner::Rp => "rp",
            CallbackOwner::Idp => "idp",
            CallbackOwner::As => "as",
            CallbackOwner::Proxy => "proxy",
            CallbackOwner::Node => "node",
        }
    }
}

/// What an operation that succeeded wants done and answered.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// Store this, then answer 202.
    Accepted {
        /// State and jobs.
        accept: Accept,
        /// Body of the answer; `None`: empty.
        body: Option<Value>,
        /// The answer when a guard of `accept` does not hold; `None`: the same
        /// call was accepted before, and is answered as it was then.
        refused: Option<Code>,
    },
    /// Store these writes, in portions if there are many, then answer 204. No
    /// guards, no jobs.
    Stored(Vec<Write>),
    /// Store these writes, then answer the error that came after them.
    StoredBefore(Vec<Write>, Error),
    /// 200 with this body.
    Ok(Value),
    /// 204.
    NoContent,
    /// 404 without a body.
    NotFound,
}

/// The operations of the API that change or read the node's own state.
///
/// Bodies have passed their schemas; `node_id` is the acting node (behind a
/// proxy: the node in the call). Nothing is changed by these methods: what is
/// to be stored is in the [`Outcome`]. Errors are the answers of
/// spec/http-api.md 3; one that [`Error::is_temporary`] with code 10028 is
/// answered 503 with `Retry-After`.
#[async_trait]
pub trait Operations: Send + Sync {
    /// `POST /rp/requests/{namespace}/{identifier}`
    async fn create_request(
        &self,
        node_id: &str,
        namespace: &str,
        identifier: &str,
        body: Value,
    ) -> Result<Outcome, Error>;

    /// `GET /rp/request_references/{reference_id}`
    async fn request_reference(&self, node_id: &str, reference_id: &str) -> Result<Outcome, Error>;

    /// `GET /rp/request_data/{request_id}`
    async fn request_data(&self, node_id: &str, request_id: &str) -> Result<Outcome, Error>;

    /// `POST /rp/request_data_removal` (all requests) and `.../{request_id}`
    async fn remove_request_data(
        &self,
        node_id: &str,
        request_id: Option<&str>,
    ) -> Result<Outcome, Error>;

    /// `POST /rp/request_close`
    async fn close_request(&self, node_id: &str, body: Value) -> Result<Outcome, Error>;

    /// `POST /idp/response`
    async fn idp_response(&self, node_id: &str, body: Value) -> Result<Outcome, Error>;

    /// `POST /idp/error_response`
    async fn idp_error_response(&self, node_id: &str, body: Value) -> Result<Outcome, Error>;

    /// `GET /idp/request_message_padded_hash`
    async fn padded_hash(
        &self,
        node_id: &str,
        request_id: &str,
        accessor_id: &str,
    ) -> Result<Outcome, Error>;

    /// `POST /as/service/{service_id}`
    async fn offer_service(
        &self,
        node_id: &str,
        service_id: &str,
        body: Value,
    ) -> Result<Outcome, Error>;

    /// `GET /as/service/{service_id}`
    async fn offered_service(&self, node_id: &str, service_id: &str) -> Result<Outcome, Error>;

    /// `POST /as/data/{request_id}/{service_id}`
    async fn as_data(
        &self,
        node_id: &str,
        request_id: &str,
        service_id: &str,
        body: Value,
    ) -> Result<Outcome, Error>;

    /// `POST /as/error/{request_id}/{service_id}`
    async fn as_error(
        &self,
        node_id: &str,
        request_id: &str,
        service_id: &str,
        body: Value,
    ) -> Result<Outcome, Error>;

    /// `POST /as/payment_received_log/{request_id}/{service_id}`
    async fn payment_received(
        &self,
        node_id: &str,
        request_id: &str,
        service_id: &str,
    ) -> Result<Outcome, Error>;

    /// `GET /{rp,idp,as,proxy,node}/callback`: the URLs that are set, or `NotFound`.
    async fn callback_urls(&self, owner: CallbackOwner) -> Result<Outcome, Error>;

    /// `POST /{rp,idp,as,proxy,node}/callback`: sets the URLs in the body.
    async fn set_callback_urls(&self, owner: CallbackOwner, body: Value) -> Result<Outcome, Error>;

    /// `GET /utility/private_messages/{request_id}`
    async fn private_messages(
        &self,
        node_id: &str,
        request_id: &str,
        message_type: Option<&str>,
    ) -> Result<Outcome, Error>;

    /// `POST /utility/private_message_removal` (all requests) and `.../{request_id}`
    async fn remove_private_messages(
        &self,
        node_id: &str,
        request_id: Option<&str>,
        message_type: Option<&str>,
    ) -> Result<Outcome, Error>;

    /// `GET /reinit_node_keys`: reads the key files again.
    async fn reload_keys(&self) -> Result<(), Error>;
}
