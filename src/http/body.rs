//! Reading and parsing request bodies (spec/http-api.md 1.3). A call keeps at most
//! [`LIMIT`] bytes, a process at most [`BodyMemory`] bytes.

mod text;

use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use actix_web::HttpRequest;
use actix_web::http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use actix_web::web::Payload;
use bytes::{Bytes, BytesMut};
use flate2::read::{MultiGzDecoder, ZlibDecoder};
use futures_util::StreamExt;
use serde_json::Value;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use self::text::{Charset, charset, decode, parse};
use super::answer::PlainResponse;
use crate::config::Api;
use crate::error::{Error, codes};
use crate::{heavy, pulse};

/// Largest body, after inflation: 25 MiB.
pub(super) const LIMIT: usize = 25 * 1024 * 1024;
/// Bytes of a refused body that are still read, so that its sender gets an answer
/// instead of a broken connection.
const DISCARD_LIMIT: usize = 4 * LIMIT;
/// Longest pause inside a body.
const PAUSE_LIMIT: Duration = Duration::from_secs(30);
/// Longest time for a whole body.
const TIME_LIMIT: Duration = Duration::from_secs(300);
/// Longest time for reading a refused body.
const DISCARD_TIME: Duration = Duration::from_secs(30);
/// Why there is no body.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum BodyError {
    /// Not JSON, or not an object or array.
    Malformed,
    /// Above [`LIMIT`].
    TooLarge,
    /// It cannot be decoded; the text says why.
    Unreadable(String),
    /// Other bodies fill the memory set aside for them.
    Busy,
    /// It did not arrive in time.
    Slow,
}

impl BodyError {
    /// The answer to the client.
    pub fn answer(&self, api: &Api) -> PlainResponse {
        match self {
            BodyError::Malformed => PlainResponse::error(&codes::BODY_PARSE_FAILED.into(), api),
            BodyError::TooLarge => PlainResponse::error(&codes::BODY_TOO_LARGE.into(), api),
            BodyError::Unreadable(reason) => {
                let message = format!("{}: {reason}", codes::BODY_PARSER_ERROR.message);
                PlainResponse::error(&Error::with_message(codes::BODY_PARSER_ERROR, message), api)
            }
            BodyError::Busy => {
                let message = "Too many large bodies at once";
                let error = Error::with_message(codes::BODY_PARSER_ERROR, message);
                PlainResponse::error(&error, api)
                    .with_status(503)
                    .retry_after()
            }
            BodyError::Slow => PlainResponse::empty(408).closing(),
        }
    }
}

/// Large bodies that are read and processed at one time: one is read while another
/// is parsed. More would gain nothing and delay small calls. Other senders wait.
const TURNS: usize = 2;
/// A large body whose sender pauses for longer gives up its turn.
const TURN_PAUSE: Duration = Duration::from_millis(100);

/// Memory for the bodies that are being read, and turns to read large ones. All
/// connections share it.
#[derive(Debug, Clone)]
pub(super) struct BodyMemory {
    used: Arc<AtomicUsize>,
    size: usize,
    turns: Arc<Semaphore>,
}

impl BodyMemory {
    /// Room for `size` bytes.
    pub fn new(size: usize) -> Self {
        Self {
            used: Arc::default(),
            size,
            turns: Arc::new(Semaphore::new(TURNS)),
        }
    }

    fn share(&self) -> BodyShare {
        BodyShare {
            budget: self.clone(),
            bytes: 0,
            turn: None,
        }
    }
}

/// The memory of one call; given back when dropped.
struct BodyShare {
    budget: BodyMemory,
    bytes: usize,
    /// The turn of a large body, while it is read and processed.
    turn: Option<OwnedSemaphorePermit>,
}

impl BodyShare {
    /// Waits for this body's turn, if it is a large one.
    async fn wait_for_turn(&mut self) {
        if self.turn.is_none() && self.bytes > heavy::SMALL {
            // The semaphore is never closed.
            self.turn = self.budget.turns.clone().acquire_owned().await.ok();
        }
    }

    fn take(&mut self, bytes: usize) -> Result<(), BodyError> {
        let before = self.budget.used.fetch_add(bytes, Ordering::Relaxed);
        self.bytes += bytes;
        if before + bytes > self.budget.size {
            return Err(BodyError::Busy);
        }
        Ok(())
    }
}

impl Drop for BodyShare {
    fn drop(&mut self) {
        self.budget.used.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// How the body is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Encoding {
    Identity,
    Gzip,
    Deflate,
}

/// See [`UnparsedBody::parse`].
pub(super) struct Turn(#[expect(dead_code, reason = "held")] Option<OwnedSemaphorePermit>);

/// A body that has been read and not been parsed.
pub(super) struct UnparsedBody {
    packed: Bytes,
    encoding: Encoding,
    charset: Charset,
    share: BodyShare,
}

impl UnparsedBody {
    /// Whether it is so small that it delays no other call on this thread.
    pub fn is_small(&self) -> bool {
        match self.encoding {
            Encoding::Identity => self.packed.len() <= heavy::SMALL,
            Encoding::Gzip | Encoding::Deflate => self.packed.is_empty(),
        }
    }

    /// Most memory that parsing and processing take: the text twice, and its values.
    pub fn most_memory(&self) -> usize {
        match self.encoding {
            Encoding::Identity => 4 * self.packed.len(),
            Encoding::Gzip | Encoding::Deflate => 4 * LIMIT,
        }
    }

    /// The body as JSON, and its turn, which its owner keeps until all work is done.
    pub fn parse(mut self) -> Result<(Value, Turn), BodyError> {
        pulse::keep_off("parsing a body");
        let bytes = inflate(self.packed, self.encoding, &mut self.share)?;
        let body = parse(&decode(bytes, self.charset))?;
        Ok((body, Turn(self.share.turn.take())))
    }
}

/// Reads the body of a call as JSON. No body, or one of another media type, is `{}`.
pub(super) async fn read(
    request: &HttpRequest,
    mut payload: Payload,
    budget: &BodyMemory,
) -> Result<UnparsedBody, BodyError> {
    let reading = read_in_time(request, &mut payload, budget);
    let result = match tokio::time::timeout(TIME_LIMIT, reading).await {
        Ok(result) => result,
        Err(_) => Err(BodyError::Slow),
    };
    if !matches!(result, Ok(_) | Err(BodyError::Slow)) {
        // If reading takes longer, the connection breaks.
        let _ = tokio::time::timeout(DISCARD_TIME, discard(&mut payload)).await;
    }
    result
}

async fn read_in_time(
    request: &HttpRequest,
    payload: &mut Payload,
    budget: &BodyMemory,
) -> Result<UnparsedBody, BodyError> {
    let header = |name| {
        let value = request.headers().get(name);
        value.and_then(|value| value.to_str().ok())
    };
    let Some(parameters) = header(CONTENT_TYPE).and_then(json_parameters) else {
        discard(payload).await;
        return Ok(UnparsedBody {
            packed: Bytes::from_static(b"{}"),
            encoding: Encoding::Identity,
            charset: Charset::Utf8,
            share: budget.share(),
        });
    };
    let charset = charset(parameters)?;
    let encoding = encoding(header(CONTENT_ENCODING))?;
    let announced: Option<usize> = header(CONTENT_LENGTH).and_then(|length| length.parse().ok());
    if encoding == Encoding::Identity && announced.is_some_and(|length| length > LIMIT) {
        return Err(BodyError::TooLarge);
    }
    let mut share = budget.share();
    let packed = collect(payload, &mut share).await?;
    Ok(UnparsedBody {
        packed,
        encoding,
        charset,
        share,
    })
}

async fn collect(payload: &mut Payload, share: &mut BodyShare) -> Result<Bytes, BodyError> {
    let mut bytes = BytesMut::new();
    loop {
        let chunk = match timeout(TURN_PAUSE, next(payload)).await {
            Ok(chunk) => chunk?,
            Err(_) => {
                share.turn = None;
                next(payload).await?
            }
        };
        let Some(chunk) = chunk else {
            return Ok(bytes.freeze());
        };
        if bytes.len() + chunk.len() > LIMIT {
            return Err(BodyError::TooLarge);
        }
        share.take(chunk.len())?;
        bytes.extend_from_slice(&chunk);
        share.wait_for_turn().await;
    }
}

async fn next(payload: &mut Payload) -> Result<Option<Bytes>, BodyError> {
    let chunk = tokio::time::timeout(PAUSE_LIMIT, payload.next()).await;
    let chunk = chunk.map_err(|_| BodyError::Slow)?;
    let chunk = chunk.transpose();
    chunk.map_err(|error| BodyError::Unreadable(error.to_string()))
}

async fn discard(payload: &mut Payload) {
    let mut discarded = 0;
    while let Ok(Some(chunk)) = next(payload).await {
        discarded += chunk.len();
        if discarded > DISCARD_LIMIT {
            return;
        }
    }
}

/// The parameters of the media type, if it is `application/json`.
fn json_parameters(content_type: &str) -> Option<&str> {
    let (media_type, parameters) = content_type.split_once(';').unwrap_or((content_type, ""));
    let is_json = media_type.trim().eq_ignore_ascii_case("application/json");
    is_json.then_some(parameters)
}

fn encoding(header: Option<&str>) -> Result<Encoding, BodyError> {
    match header
        .unwrap_or("identity")
        .trim()
        .to_ascii_lowercase()
        .as_str()
    {
        "identity" | "" => Ok(Encoding::Identity),
        "gzip" => Ok(Encoding::Gzip),
        "deflate" => Ok(Encoding::Deflate),
        other => Err(BodyError::Unreadable(format!(
            "unsupported content encoding \"{other}\""
        ))),
    }
}

fn inflate(packed: Bytes, encoding: Encoding, share: &mut BodyShare) -> Result<Bytes, BodyError> {
    if packed.is_empty() {
        return Ok(packed);
    }
    match encoding {
        Encoding::Identity => Ok(packed),
        Encoding::Gzip => inflate_with(MultiGzDecoder::new(packed.as_ref()), share),
        Encoding::Deflate => inflate_with(ZlibDecoder::new(packed.as_ref()), share),
    }
}

fn inflate_with(mut decoder: impl Read, share: &mut BodyShare) -> Result<Bytes, BodyError> {
    let mut bytes = BytesMut::new();
    let mut chunk = [0; 16 * 1024];
    loop {
        let read = decoder.read(&mut chunk);
        let read = read.map_err(|error| BodyError::Unreadable(error.to_string()))?;
        if read == 0 {
            return Ok(bytes.freeze());
        }
        if bytes.len() + read > LIMIT {
            return Err(BodyError::TooLarge);
        }
        share.take(read)?;
        bytes.extend_from_slice(&chunk[..read]);
    }
}

/// All that is done with the bytes of a call: for `fuzz_tests`.
#[cfg(test)]
pub(crate) fn read_anything(bytes: &[u8]) {
    const SMALL: usize = 1024 * 1024;
    let text = String::from_utf8_lossy(bytes);
    let _ = super::query_string::parse(&text);
    let _ = text::charset(&text);
    for parameters in ["", "; charset=utf-16le", "; charset=iso-8859-1"] {
        if let Ok(charset) = text::charset(parameters) {
            let _ = text::parse(&text::decode(Bytes::copy_from_slice(bytes), charset));
        }
    }
    let budget = BodyMemory::new(SMALL);
    for encoding in [Encoding::Gzip, Encoding::Deflate] {
        let packed = Bytes::copy_from_slice(bytes);
        let _ = inflate(packed, encoding, &mut budget.share());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn media_types_are_recognised() {
        assert_eq!(json_parameters("application/json"), Some(""));
        assert!(json_parameters("Application/JSON; charset=utf-8").is_some());
        assert_eq!(json_parameters("application/json-patch"), None);
        assert_eq!(json_parameters("text/json"), None);
    }

    #[test]
    fn the_proxy_of_deploy_lets_pass_what_is_read_here() {
        let proxy = include_str!("../../deploy/nginx/nginx.conf");
        let passes = format!("client_max_body_size {}m;", DISCARD_LIMIT / (1024 * 1024));
        assert!(proxy.contains(&passes), "{passes}");
    }

    #[tokio::test]
    async fn large_bodies_take_turns_and_small_ones_do_not() {
        let budget = BodyMemory::new(LIMIT);
        let of = |bytes: usize| {
            let mut share = budget.share();
            share.take(bytes).unwrap();
            share
        };
        let mut large: Vec<BodyShare> = (0..=TURNS).map(|_| of(heavy::SMALL + 1)).collect();
        let mut waiting = large.pop().unwrap();
        for share in &mut large {
            share.wait_for_turn().await;
        }
        of(heavy::SMALL).wait_for_turn().await;
        assert!(futures_util::FutureExt::now_or_never(waiting.wait_for_turn()).is_none());
        large.pop();
        waiting.wait_for_turn().await;
        assert!(waiting.turn.is_some());
    }

    #[test]
    fn the_budget_is_given_back() {
        let budget = BodyMemory::new(10);
        let mut share = budget.share();
        assert_eq!(share.take(8), Ok(()));
        assert_eq!(budget.share().take(8), Err(BodyError::Busy));
        drop(share);
        assert_eq!(budget.share().take(8), Ok(()));
    }
}
