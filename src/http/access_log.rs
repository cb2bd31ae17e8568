//! The line of the log that every call leaves.

use std::sync::LazyLock;
use std::time::Duration;

use actix_web::HttpRequest;
use actix_web::http::header::HeaderMap;
use serde_json::Value;

use super::answer::PlainResponse;
use super::routes::PathParameters;
use crate::job::TraceContext;
use crate::logging::LineLimit;

/// Calls that failed in the same way are a storm above this: of a route and a
/// status.
const MOST: u32 = 100;
const PER: Duration = Duration::from_secs(10);

/// Longest identifier of a caller that a line repeats.
const LONGEST: usize = 128;

static FAILED: LazyLock<LineLimit<(&'static str, u16)>> =
    LazyLock::new(|| LineLimit::new(MOST, PER));

/// What a call is about, as far as it says so itself.
#[derive(Debug, Default)]
pub(super) struct Subject {
    request_id: Option<String>,
    reference_id: Option<String>,
}

impl Subject {
    /// The request that it is about.
    pub fn request_id(&self) -> Option<&str> {
        self.request_id.as_deref()
    }

    /// Of a call with these parameters of its path, and this body.
    pub fn of(parameters: &PathParameters<'_>, body: &Value) -> Self {
        let find = |name: &str| {
            let in_path = parameters.iter().find(|(known, _)| *known == name);
            let found = in_path.map(|(_, value)| *value);
            let found = found.or_else(|| body.get(name)?.as_str())?;
            printable(found).map(str::to_owned)
        };
        Self {
            request_id: find("request_id"),
            reference_id: find("reference_id"),
        }
    }
}

/// The caller's place in its trace, from the header `traceparent`.
pub(super) fn trace_of(headers: &HeaderMap) -> Option<TraceContext> {
    TraceContext::parse(headers.get("traceparent")?.to_str().ok()?)
}

/// What the caller calls this call.
fn x_request_id(headers: &HeaderMap) -> Option<&str> {
    printable(headers.get("x-request-id")?.to_str().ok()?)
}

/// Whatever a caller sends must not make a line unreadable.
fn printable(text: &str) -> Option<&str> {
    let is_fit = !text.is_empty() && text.len() <= LONGEST;
    (is_fit && text.bytes().all(|byte| byte.is_ascii_graphic())).then_some(text)
}

/// Writes the line. The route is its pattern: the path can hold the identifier
/// of a person.
pub(super) fn note(
    request: &HttpRequest,
    route: &'static str,
    subject: &Subject,
    answer: &PlainResponse,
    milliseconds: f64,
    trace: Option<TraceContext>,
) {
    let status = answer.status();
    let left_out = match status < 400 {
        true => None,
        false => match FAILED.admit((route, status)) {
            Some(left_out) => (left_out > 0).then_some(left_out),
            None => return,
        },
    };
    tracing::info!(
        method = request.method().as_str(),
        route,
        status,
        error_code = answer.error_code(),
        milliseconds = (milliseconds * 100.0).round() / 100.0,
        request_id = subject.request_id.as_deref().or(answer.request_id()),
        reference_id = subject.reference_id.as_deref(),
        trace = trace.map(|trace| trace.trace_id()),
        x_request_id = x_request_id(request.headers()),
        left_out,
        "API call"
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::test::TestRequest;
    use serde_json::json;

    #[test]
    fn a_call_is_about_what_its_path_or_body_names() {
        let body = json!({"request_id": "in-body", "reference_id": "r 1\n", "identifier": "1"});
        let subject = Subject::of(&vec![("request_id", "in-path")], &body);
        assert_eq!(subject.request_id.as_deref(), Some("in-path"));
        assert_eq!(subject.reference_id, None, "it cannot be printed");
        let subject = Subject::of(&vec![], &body);
        assert_eq!(subject.request_id.as_deref(), Some("in-body"));
    }

    #[test]
    fn the_names_that_callers_give_are_taken_if_they_are_what_they_should_be() {
        let id = "4bf92f3577b34da6a3ce929d0e0e4736";
        let request = TestRequest::default()
            .insert_header(("traceparent", format!("00-{id}-00f067aa0ba902b7-01")))
            .insert_header(("x-request-id", "abc-1"))
            .to_http_request();
        let trace = trace_of(request.headers()).unwrap();
        assert_eq!(trace.trace_id(), id);
        assert_eq!(x_request_id(request.headers()), Some("abc-1"));
        let request = TestRequest::default()
            .insert_header(("traceparent", "00-short-00f067aa0ba902b7-01"))
            .insert_header(("x-request-id", "a b"))
            .to_http_request();
        assert_eq!(trace_of(request.headers()), None);
        assert_eq!(x_request_id(request.headers()), None);
    }
}
