//! Which trace some work belongs to (W3C Trace Context). It is carried from the
//! call that began it, in every job that follows and over the link, and told to
//! every server that is called.

use std::future::Future;

use serde::{Deserialize, Serialize};

/// A place in a trace: the span that caused something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct TraceContext {
    pub trace: [u8; 16],
    pub span: [u8; 8],
    /// 1: it is recorded.
    pub flags: u8,
}

tokio::task_local! {
    static CURRENT: Option<TraceContext>;
}

impl TraceContext {
    /// Reads a header `traceparent`.
    pub fn parse(header: &str) -> Option<Self> {
        let mut parts = header.trim().split('-');
        let version = bytes::<1>(parts.next()?)?[0];
        let context = Self {
            trace: bytes(parts.next()?)?,
            span: bytes(parts.next()?)?,
            flags: bytes::<1>(parts.next()?)?[0],
        };
        let is_known = match version {
            0 => parts.next().is_none(),
            // A later version may have more.
            1..=0xFE => true,
            0xFF => false,
        };
        let is_whole = context.trace != [0; 16] && context.span != [0; 8];
        (is_known && is_whole).then_some(context)
    }

    /// As a header `traceparent`.
    pub fn header(&self) -> String {
        let (trace, span) = (self.trace_id(), hex::encode(self.span));
        format!("00-{trace}-{span}-{:02x}", self.flags & 1)
    }

    /// The id of the trace, as it is shown.
    pub fn trace_id(&self) -> String {
        hex::encode(self.trace)
    }
}

/// Lower-case hexadecimal digits.
fn bytes<const LENGTH: usize>(text: &str) -> Option<[u8; LENGTH]> {
    let mut bytes = [0; LENGTH];
    let is_lower = !text.bytes().any(|byte| byte.is_ascii_uppercase());
    hex::decode_to_slice(text, &mut bytes).ok()?;
    is_lower.then_some(bytes)
}

/// Does some work for a trace: the jobs that it makes belong to it.
pub async fn within<T>(trace: Option<TraceContext>, work: impl Future<Output = T>) -> T {
    CURRENT.scope(trace, work).await
}

/// The trace of the work that asks.
pub fn current() -> Option<TraceContext> {
    CURRENT.try_with(|trace| *trace).ok().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::{NewJob, noop};

    const HEADER: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn a_header_is_read_and_written() {
        let context = TraceContext::parse(HEADER).unwrap();
        assert_eq!(context.header(), HEADER);
        assert_eq!(context.trace_id(), "4bf92f3577b34da6a3ce929d0e0e4736");
        let later = HEADER.replacen("00", "cc", 1) + "-what-comes-later";
        assert_eq!(TraceContext::parse(&later), Some(context));
    }

    #[test]
    fn a_header_that_is_none_is_passed_over() {
        for wrong in [
            "",
            "00",
            &HEADER.to_uppercase(),
            &HEADER.replacen("00", "ff", 1),
            &format!("{HEADER}-more"),
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4bf92f3577b34da6a3ce929d0e0e473-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
        ] {
            assert_eq!(TraceContext::parse(wrong), None, "{wrong}");
        }
    }

    #[tokio::test]
    async fn jobs_belong_to_the_trace_of_the_work_that_makes_them() {
        let context = TraceContext::parse(HEADER);
        let made = within(context, async { NewJob::new(noop::NOOP, "key", &()) });
        assert_eq!(made.await.trace, context);
        assert_eq!(NewJob::new(noop::NOOP, "key", &()).trace, None);
    }
}
