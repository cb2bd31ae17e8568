//! The spans of a request's trace: of API calls, jobs, transactions, messages
//! and callbacks. They exist only where traces are exported
//! ([`super::export`]); what a caller says of its trace is passed on in any
//! case.

use std::fmt::Display;
use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};

use opentelemetry::trace::{SpanContext, SpanId, TraceContextExt, TraceFlags, TraceId, TraceState};
use tracing::field::Empty;
use tracing::{Instrument, Span};
use tracing_opentelemetry::OpenTelemetrySpanExt;

use crate::job::trace::{self, TraceContext};

/// The spans here go to the exporter, and not into the log.
pub(super) const TARGET: &str = "erawan::spans";

static ARE_EXPORTED: AtomicBool = AtomicBool::new(false);

/// From now on there are spans.
pub(super) fn begin() {
    ARE_EXPORTED.store(true, Ordering::Relaxed);
}

fn are_exported() -> bool {
    ARE_EXPORTED.load(Ordering::Relaxed)
}

/// The span of a call, which belongs to its caller's trace.
pub fn of_call(method: &str, caller: Option<TraceContext>) -> Span {
    if !are_exported() {
        return Span::none();
    }
    let span = tracing::info_span!(
        target: TARGET,
        "API call",
        otel.kind = "server",
        http.request.method = method,
        http.route = Empty,
        http.response.status_code = Empty,
        erawan.error_code = Empty,
        erawan.request_id = Empty,
        otel.status_code = Empty,
    );
    adopt(&span, caller);
    span
}

/// What a span says of some work.
pub struct Work<'a> {
    /// What it is.
    pub name: &'a str,
    /// Whether it calls a foreign server.
    pub is_outgoing: bool,
    /// What it is done for.
    pub key: &'a str,
    /// Its job or transaction.
    pub id: &'a (dyn Display + Sync),
    pub attempt: u32,
    /// From its acceptance to its start, in milliseconds.
    pub waited_ms: u64,
}

/// The span of some work.
pub fn of_work(work: Work<'_>, parent: Option<TraceContext>) -> Span {
    if !are_exported() {
        return Span::none();
    }
    let span = tracing::info_span!(
        target: TARGET,
        "work",
        otel.kind = if work.is_outgoing { "client" } else { "internal" },
        otel.name = work.name,
        erawan.key = work.key,
        erawan.id = %work.id,
        erawan.attempt = work.attempt,
        erawan.waited_ms = work.waited_ms,
        erawan.outcome = Empty,
        otel.status_code = Empty,
    );
    adopt(&span, parent);
    span
}

/// Does some work in its span. What it makes belongs to the trace, also where
/// there is no span because traces are not exported.
pub async fn within<T>(
    span: &Span,
    parent: Option<TraceContext>,
    work: impl Future<Output = T>,
) -> T {
    match context(span) {
        Some(own) => trace::within(Some(own), work.instrument(span.clone())).await,
        None => trace::within(parent, work).await,
    }
}

/// The place of a span in its trace; `None` without a span.
pub fn context(span: &Span) -> Option<TraceContext> {
    if span.is_none() || !are_exported() {
        return None;
    }
    let context = span.context();
    let context = context.span().span_context().clone();
    context.is_valid().then(|| TraceContext {
        trace: context.trace_id().to_bytes(),
        span: context.span_id().to_bytes(),
        flags: context.trace_flags().to_u8(),
    })
}

/// Gives a span its name, once it is known.
pub fn name(span: &Span, name: String) {
    span.context().span().update_name(name);
}

fn adopt(span: &Span, parent: Option<TraceContext>) {
    let Some(parent) = parent else {
        return;
    };
    let remote = SpanContext::new(
        TraceId::from_bytes(parent.trace),
        SpanId::from_bytes(parent.span),
        TraceFlags::new(parent.flags),
        true,
        TraceState::default(),
    );
    let parent = opentelemetry::Context::new().with_remote_span_context(remote);
    // It fails if the exporter is gone, and then nobody wants the span.
    let _ = span.set_parent(parent);
}
