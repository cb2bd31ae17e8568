//! Result callbacks of asynchronous operations (spec/http-api.md 4.5).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::api;
use crate::delivery::callback::{CallbackTarget, Persistence, callback_job};
use crate::error::Refusal;
use crate::job::NewJob;

/// Members of a call that starts an asynchronous operation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ReplyTo {
    /// Chosen by the client; the callback repeats it.
    #[schemars(length(min = 1))]
    pub reference_id: String,
    /// Where the result goes.
    #[schemars(schema_with = "api::url")]
    pub callback_url: String,
}

impl ReplyTo {
    /// The callback `kind` (for example `response_result`) about a request:
    /// success, or failure when there is an error.
    pub fn about_request(
        &self,
        node_id: &str,
        kind: &str,
        request_id: &str,
        failure: Option<&Refusal>,
    ) -> NewJob {
        self.job(node_id, kind, Some(request_id), Map::new(), failure)
    }

    /// The callback of a request that was created in block
    /// `creation_block_height` (`<chain>:<height>`), or could not be.
    pub fn about_creation(
        &self,
        node_id: &str,
        request_id: &str,
        creation_block_height: Option<String>,
        failure: Option<&Refusal>,
    ) -> NewJob {
        let kind = "create_request_result";
        let height = creation_block_height.map(Value::from);
        let members = height.map(|height| ("creation_block_height".to_owned(), height));
        self.job(
            node_id,
            kind,
            Some(request_id),
            members.into_iter().collect(),
            failure,
        )
    }

    /// The callback `kind` about an identity operation, with members of its own and
    /// the request of its consent, if it needed one.
    pub fn about_operation(
        &self,
        node_id: &str,
        kind: &str,
        request_id: Option<&str>,
        members: Map<String, Value>,
        failure: Option<&Refusal>,
    ) -> NewJob {
        self.job(node_id, kind, request_id, members, failure)
    }

    /// The callback `kind` about something that is not a request.
    pub fn about_node(&self, node_id: &str, kind: &str, failure: Option<&Refusal>) -> NewJob {
        self.job(node_id, kind, None, Map::new(), failure)
    }

    fn job(
        &self,
        node_id: &str,
        kind: &str,
        request_id: Option<&str>,
        members: Map<String, Value>,
        failure: Option<&Refusal>,
    ) -> NewJob {
        let mut body = Map::new();
        body.insert("node_id".into(), node_id.into());
        body.insert("type".into(), kind.into());
        body.insert("success".into(), failure.is_none().into());
        body.insert("reference_id".into(), self.reference_id.as_str().into());
        if let Some(request_id) = request_id {
            body.insert("request_id".into(), request_id.into());
        }
        body.extend(members);
        if let Some(error) = failure {
            body.insert("error".into(), error.to_json());
        }
        callback_job(
            CallbackTarget::Url(self.callback_url.clone()),
            request_id.unwrap_or(&self.reference_id),
            body,
            Persistence::Timed,
            None,
        )
    }
}
