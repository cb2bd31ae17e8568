//! What a call is answered that has done what it was to do: status and body.

use std::sync::Arc;

use serde_json::Value;

use super::endpoint::{Audience, Method};
use super::shape;
use crate::admission::Purpose;

/// Status and body of such an answer.
#[derive(Debug, Clone)]
pub struct Success {
    /// The status.
    pub status: u16,
    /// The body.
    pub body: SuccessBody,
}

/// Body of such an answer.
#[derive(Debug, Clone)]
pub enum SuccessBody {
    /// None, without a content type.
    Empty,
    /// None, called JSON, as this endpoint has always answered.
    EmptyJson,
    /// JSON of this schema.
    Json(Arc<Value>),
    /// A text of this media type.
    Text(&'static str),
}

impl Success {
    /// Without a body.
    pub fn empty(status: u16) -> Self {
        Self {
            status,
            body: SuccessBody::Empty,
        }
    }

    /// With a body as sketched ([`shape`]).
    pub fn json(status: u16, sketch: &Value) -> Self {
        Self {
            status,
            body: SuccessBody::Json(Arc::new(shape::schema(sketch))),
        }
    }

    /// 200 with a text of this media type.
    pub fn text(content_type: &'static str) -> Self {
        Self {
            status: 200,
            body: SuccessBody::Text(content_type),
        }
    }

    /// Of endpoints that say nothing else.
    pub(super) fn usual(method: Method, purpose: Option<Purpose>, audience: Audience) -> Self {
        let is_called_back = purpose.is_some() && audience != Audience::Ndid;
        match (method, is_called_back) {
            (Method::Post, true) => Self::empty(202),
            _ => Self::empty(204),
        }
    }
}
