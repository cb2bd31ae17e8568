//! Answers with exactly the headers of spec/http-api.md 1.3 and 1.5.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::{ALLOW, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use bytes::Bytes;
use serde_json::{Map, Value};

use crate::config::Api;
use crate::error::{Code, Error, Fault, codes};

const JSON: &str = "application/json; charset=utf-8";

/// A response before it becomes actix's.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct PlainResponse {
    status: u16,
    content_type: Option<&'static str>,
    body: Bytes,
    allow: Option<String>,
    retry_after: bool,
    close: bool,
    /// For the log.
    error_code: Option<u32>,
    /// The request that the body names, for the log.
    request_id: Option<String>,
}

impl PlainResponse {
    /// No body.
    pub fn empty(status: u16) -> Self {
        Self {
            status,
            content_type: None,
            body: Bytes::new(),
            allow: None,
            retry_after: false,
            close: false,
            error_code: None,
            request_id: None,
        }
    }

    /// A JSON body.
    pub fn json(status: u16, body: &Value) -> Self {
        let mut answer = Self::empty(status);
        answer.content_type = Some(JSON);
        answer.body = Bytes::from(body.to_string());
        answer.request_id = body["request_id"].as_str().map(str::to_owned);
        answer
    }

    /// Called JSON, whatever the body.
    pub fn called_json(mut self) -> Self {
        self.content_type = Some(JSON);
        self
    }

    /// A text body.
    pub fn text(content_type: &'static str, body: impl Into<Bytes>) -> Self {
        let mut answer = Self::empty(200);
        answer.content_type = Some(content_type);
        answer.body = body.into();
        answer
    }

    /// An error object with the status of its code (spec/http-api.md 1.5). A store
    /// that is away is not the caller's fault: 503 with `Retry-After`.
    pub fn error(error: &Error, api: &Api) -> Self {
        if error.is_unreadable() {
            tracing::error!(%error, "a call fails until an operator has mended this");
        }
        let mut body = Map::new();
        body.insert("error".into(), error.to_json());
        if let Some(details) = error.details() {
            body.insert("details".into(), details.clone());
        }
        let mut answer = Self::json(status(error.code(), api), &Value::Object(body));
        answer.error_code = Some(error.code().number);
        if error.code() == codes::DB_ERROR && error.is_temporary() {
            return answer.with_status(503).retry_after();
        }
        answer
    }

    /// The answer to OPTIONS.
    pub fn options(methods: &str) -> Self {
        let mut answer = Self::text("text/html; charset=utf-8", methods.to_owned());
        answer.allow = Some(methods.to_owned());
        answer
    }

    /// Sets the status.
    pub fn with_status(mut self, status: u16) -> Self {
        self.status = status;
        self
    }

    /// With `Retry-After: 1`.
    pub fn retry_after(mut self) -> Self {
        self.retry_after = true;
        self
    }

    /// With `Connection: close`.
    pub fn closing(mut self) -> Self {
        self.close = true;
        self
    }

    /// The status.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// The code of the error that it tells.
    pub fn error_code(&self) -> Option<u32> {
        self.error_code
    }

    /// The request that its body names.
    pub fn request_id(&self) -> Option<&str> {
        self.request_id.as_deref()
    }

    /// As actix sends it.
    pub fn into_response(self) -> HttpResponse {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = HttpResponse::build(status);
        if let Some(content_type) = self.content_type {
            response.insert_header((CONTENT_TYPE, HeaderValue::from_static(content_type)));
        }
        if let Some(allow) = self.allow {
            response.insert_header((ALLOW, allow));
        }
        if self.retry_after {
            response.insert_header((RETRY_AFTER, HeaderValue::from_static("1")));
        }
        if self.close {
            response.force_close();
        }
        if self.content_type.is_some() {
            response.body(self.body)
        } else {
            response.finish()
        }
    }
}

fn status(code: Code, api: &Api) -> u16 {
    match code.fault {
        Fault::Client => api.client_error_status,
        Fault::Server => api.server_error_status,
        Fault::Forbidden => 403,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::store::StoreError;

    #[test]
    fn what_cannot_be_read_is_no_outage() {
        let api = Config::for_test("rp1").api;
        let answer = |error: StoreError| PlainResponse::error(&error.into(), &api);
        let corrupt = answer(StoreError::Corrupt("request_data rp1/r".to_owned()));
        assert_eq!((corrupt.status(), corrupt.retry_after), (500, false));
        assert!(String::from_utf8_lossy(&corrupt.body).contains("request_data rp1/r"));
        let away = answer(StoreError::Unavailable("down".to_owned()));
        assert_eq!((away.status(), away.retry_after), (503, true));
    }
}
