//! What is answered, with the headers that keep pages to themselves.

use std::io;
use std::sync::Arc;

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_TYPE, LOCATION, REFERRER_POLICY, SET_COOKIE, WWW_AUTHENTICATE,
};
use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use maud::Markup;
use serde::Serialize;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio_stream::wrappers::WatchStream;

use super::seen::{LastLook, Live};

/// Nothing of another host is loaded, asked or told, and no other page shows
/// this one.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; \
    connect-src 'self'; img-src 'self' data:; form-action 'self'; base-uri 'none'; \
    frame-ancestors 'none'";

/// An answer before it is the framework's.
pub(super) struct Reply {
    status: StatusCode,
    content: Content,
    cookie: Option<String>,
}

enum Content {
    Page(String),
    Json(Value),
    Asset(&'static str, &'static str),
    Live(Live, watch::Receiver<Arc<LastLook>>),
    Elsewhere(String),
    Methods(&'static str),
}

impl Reply {
    fn new(status: StatusCode, content: Content) -> Self {
        Self {
            status,
            content,
            cookie: None,
        }
    }

    pub fn page(page: Markup) -> Self {
        Self::new(StatusCode::OK, Content::Page(page.into_string()))
    }

    pub fn json(body: &impl Serialize) -> Self {
        // Plain data becomes JSON.
        Self::new(StatusCode::OK, Content::Json(json!(body)))
    }

    /// For scripts.
    pub fn error(status: StatusCode, reason: &str) -> Self {
        Self::new(status, Content::Json(json!({ "error": reason })))
    }

    pub fn asset(content_type: &'static str, text: &'static str) -> Self {
        Self::new(StatusCode::OK, Content::Asset(content_type, text))
    }

    /// News of a page, as long as somebody has it open.
    pub fn live(live: Live, seen: watch::Receiver<Arc<LastLook>>) -> Self {
        Self::new(StatusCode::OK, Content::Live(live, seen))
    }

    /// Look there, with GET.
    pub fn see(location: impl Into<String>) -> Self {
        Self::new(StatusCode::SEE_OTHER, Content::Elsewhere(location.into()))
    }

    pub fn allowed(methods: &'static str) -> Self {
        Self::new(StatusCode::METHOD_NOT_ALLOWED, Content::Methods(methods))
    }

    pub fn with_status(mut self, status: StatusCode) -> Self {
        self.status = status;
        self
    }

    pub fn with_cookie(mut self, cookie: String) -> Self {
        self.cookie = Some(cookie);
        self
    }

    pub fn into_response(self) -> HttpResponse {
        let mut response = HttpResponse::build(self.status);
        response
            .insert_header(("content-security-policy", POLICY))
            .insert_header(("x-content-type-options", "nosniff"))
            .insert_header(("x-frame-options", "DENY"))
            .insert_header(("cross-origin-opener-policy", "same-origin"))
            .insert_header((REFERRER_POLICY, "no-referrer"));
        if let Some(cookie) = self.cookie {
            response.append_header((SET_COOKIE, cookie));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            response.insert_header((WWW_AUTHENTICATE, "Bearer"));
        }
        let caching = match &self.content {
            // The page names the release.
            Content::Asset(..) => "max-age=86400",
            _ => "no-store",
        };
        response.insert_header((CACHE_CONTROL, caching));
        match self.content {
            Content::Page(page) => response
                .insert_header((CONTENT_TYPE, "text/html; charset=utf-8"))
                .body(page),
            Content::Json(body) => response
                .insert_header((CONTENT_TYPE, "application/json; charset=utf-8"))
                .body(body.to_string()),
            Content::Asset(content_type, text) => response
                .insert_header((CONTENT_TYPE, content_type))
                .body(text),
            Content::Live(live, seen) => response
                .insert_header((CONTENT_TYPE, "text/event-stream"))
                // Proxies are not to collect them.
                .insert_header(("x-accel-buffering", "no"))
                .streaming(frames(live, seen)),
            Content::Elsewhere(location) => response.insert_header((LOCATION, location)).finish(),
            Content::Methods(methods) => response.insert_header((ALLOW, methods)).finish(),
        }
    }
}

/// The same bytes for everybody. Ends when the dashboard stops.
fn frames(
    live: Live,
    seen: watch::Receiver<Arc<LastLook>>,
) -> impl Stream<Item = io::Result<Bytes>> {
    let begin = stream::once(async { Ok(Bytes::from_static(b"retry: 2000\n\n")) });
    let frames = WatchStream::new(seen)
        .map(move |seen| -> io::Result<Bytes> { Ok(seen.frames[live as usize].clone()) });
    // An empty chunk would end the answer.
    let frames = frames.filter(|frame| {
        let is_there = frame.as_ref().is_ok_and(|frame| !frame.is_empty());
        std::future::ready(is_there)
    });
    begin.chain(frames)
}
