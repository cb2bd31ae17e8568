//! A request as the dashboard reads it.

use actix_web::HttpRequest;
use actix_web::http::Method;
use actix_web::http::header::{AUTHORIZATION, COOKIE, HOST};
use bytes::Bytes;
use percent_encoding::percent_decode_str;
use url::form_urlencoded;

/// Where a script shows the token of its session.
pub(super) const CSRF_HEADER: &str = "x-csrf-token";

pub(super) struct PageCall {
    pub method: Method,
    /// The parts of the path, decoded.
    pub path: Vec<String>,
    pub query: Pairs,
    pub body: Bytes,
    /// Of `Authorization: Bearer`.
    pub bearer: Option<String>,
    pub cookies: Vec<(String, String)>,
    pub csrf: Option<String>,
    pub host: Option<String>,
}

/// Names with values.
#[derive(Debug, Clone, Default)]
pub(super) struct Pairs(Vec<(String, String)>);

impl Pairs {
    pub fn parse(text: &[u8]) -> Self {
        let pairs = form_urlencoded::parse(text);
        Self(pairs.into_owned().collect())
    }

    /// The first value of this name that is not empty.
    pub fn get(&self, name: &str) -> Option<&str> {
        let of_name = self.0.iter().filter(|(known, _)| known == name);
        let mut values = of_name.map(|(_, value)| value.trim());
        values.find(|value| !value.is_empty())
    }

    /// All values of this name that are not empty.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let of_name = self.0.iter().filter(move |(known, _)| known == name);
        let values = of_name.map(|(_, value)| value.trim());
        values.filter(|value| !value.is_empty())
    }
}

impl PageCall {
    pub fn of(request: &HttpRequest, body: Bytes) -> Self {
        let header = |name: &str| {
            let value = request.headers().get(name)?.to_str().ok()?;
            Some(value.to_owned())
        };
        let decoded = |part: &str| percent_decode_str(part).decode_utf8_lossy().into_owned();
        let parts = request.path().split('/').filter(|part| !part.is_empty());
        let bearer = header(AUTHORIZATION.as_str());
        let bearer =
            bearer.and_then(|value| Some(value.strip_prefix("Bearer ")?.trim().to_owned()));
        let cookies = header(COOKIE.as_str()).unwrap_or_default();
        let cookies = cookies.split(';').filter_map(|pair| {
            let (name, value) = pair.trim().split_once('=')?;
            Some((name.to_owned(), value.to_owned()))
        });
        Self {
            method: request.method().clone(),
            path: parts.map(decoded).collect(),
            query: Pairs::parse(request.query_string().as_bytes()),
            body,
            bearer,
            cookies: cookies.collect(),
            csrf: header(CSRF_HEADER),
            host: header(HOST.as_str()),
        }
    }

    /// The body as a form.
    pub fn form(&self) -> Pairs {
        Pairs::parse(&self.body)
    }

    pub fn is_read(&self) -> bool {
        self.method == Method::GET || self.method == Method::HEAD
    }

    /// Whether a script asks, which gets JSON also where it is refused.
    pub fn is_for_script(&self) -> bool {
        self.path.first().is_some_and(|first| first == "admin")
    }
}
