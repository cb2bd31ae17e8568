//! The line of the log that every call leaves.

use std::sync::LazyLock;
use std::time::Duration;

use actix_web::HttpRequest;
use actix_web::http::header::HeaderMap;
use serde_json::Value;

use super::answer::PlainResponse;
use super::routes::Parameters;
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
    /// Of a call with these parameters of its path, and this body.
    pub fn of(parameters: &Parameters<'_>, body: &Value) -> Self {
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

/// What the caller calls this call.
#[derive(Debug, Default)]
struct CallersNames<'a> {
    /// Of `traceparent` (W3C Trace Context).
    trace: Option<&'a str>,
    /// `X-Request-Id`
    x_request_id: Option<&'a str>,
}

impl<'a> CallersNames<'a> {
    fn of(headers: &'a HeaderMap) -> Self {
        let text = |name: &str| headers.get(name)?.to_str().ok();
        let trace = text("traceparent").and_then(|value| value.split('-').nth(1));
        Self {
            trace: trace.filter(|id| id.len() == 32 && id.bytes().all(|b| b.is_ascii_hexdigit())),
            x_request_id: text("x-request-id").and_then(printable),
        }
    }
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
) {
    let status = answer.status();
    let left_out = match status < 400 {
        true => None,
        false => match FAILED.admit((route, status)) {
            Some(left_out) => (left_out > 0).then_some(left_out),
            None => return,
        },
    };
    let names = CallersNames::of(request.headers());
    tracing::info!(
        method = request.method().as_str(),
        route,
        status,
        error_code = answer.error_code(),
        milliseconds = (milliseconds * 100.0).round() / 100.0,
        request_id = subject.request_id.as_deref().or(answer.request_id()),
        reference_id = subject.reference_id.as_deref(),
        trace = names.trace,
        x_request_id = names.x_request_id,
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
        let names = CallersNames::of(request.headers());
        assert_eq!((names.trace, names.x_request_id), (Some(id), Some("abc-1")));
        let request = TestRequest::default()
            .insert_header(("traceparent", "00-short-00f067aa0ba902b7-01"))
            .insert_header(("x-request-id", "a b"))
            .to_http_request();
        let names = CallersNames::of(request.headers());
        assert_eq!((names.trace, names.x_request_id), (None, None));
    }
}
