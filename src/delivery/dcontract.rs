//! Contracts: documents that the text of a request names by URL and SHA-256
//! (spec/flows.md 3.1, step 4). The maker of a request chooses the URLs, so
//! deliveries fetch the documents, host by host ([`crate::delivery::contract`]).

use serde::{Deserialize, Serialize};
use url::Url;

use crate::config::Config;
use crate::context::{Context, row, state};
use crate::delivery::contract;
use crate::error::Error;
use crate::http_client::destination;
use crate::job::{Kind, NewJob, Spec, Table, delivery_key, request_key};
use crate::mq::message::{ConsentRequest, Message};

crate::job::stored! {
    "contract": Contract = 1,
    "contract_checked": Checked = 1,
}

/// The documents of a contract were verified, or could not be.
pub const CHECKED: Kind = Kind::new(&Spec::transactional(35, "idp.contract_checked"));

/// Why a text names no document that can be verified.
#[derive(Debug, thiserror::Error)]
pub enum NoDocuments {
    /// No line of the text is a URL.
    #[error("the text has no URL")]
    NoUrl,
    /// A line that begins like a URL but is not one.
    #[error("a line of the text is not a URL: {0}")]
    NotAUrl(url::ParseError),
}

/// Whether the text of this request must be checked.
pub fn applies(config: &Config, request: &ConsentRequest) -> bool {
    is_of_contract(config, request.request_type.as_deref())
}

fn is_of_contract(config: &Config, request_type: Option<&str>) -> bool {
    let settings = &config.dcontract;
    settings.validate && request_type == Some(settings.request_type.as_str())
}

/// The same for a stored request. Also true if it cannot be read.
pub fn may_apply(config: &Config, record: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Typed {
        request_type: Option<String>,
    }
    let typed: Result<Typed, _> = serde_json::from_slice(record);
    typed.map_or(true, |typed| {
        is_of_contract(config, typed.request_type.as_deref())
    })
}

/// The documents of a text on one server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DocumentServer {
    /// Host and port.
    pub host: String,
    /// The last segment of each is its SHA-256.
    pub urls: Vec<Url>,
}

/// The servers of a text's documents, in the order of their first ones.
/// # Errors
/// When the text does not locate a document.
pub fn places(text: &str) -> Result<Vec<DocumentServer>, NoDocuments> {
    let lines = text.lines();
    let lines = lines.filter(|line| line.starts_with("http://") || line.starts_with("https://"));
    let mut places: Vec<DocumentServer> = Vec::new();
    for line in lines {
        let url = Url::parse(line).map_err(NoDocuments::NotAUrl)?;
        let host = destination(&url);
        match places.iter_mut().find(|place| place.host == host) {
            Some(place) => place.urls.push(url),
            None => places.push(DocumentServer {
                host,
                urls: vec![url],
            }),
        }
    }
    if places.is_empty() {
        return Err(NoDocuments::NoUrl);
    }
    Ok(places)
}

/// Payload of `idp.contract_checked`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Checked {
    pub contract: Contract,
    /// Why the contract is refused; `None`: every document is the agreed one.
    pub refusal: Option<String>,
}

/// Payload of `fetch.contract`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contract {
    /// The IdP, or the node behind the proxy.
    pub node_id: String,
    pub request_id: String,
    /// How many of its servers have been verified.
    pub verified: usize,
}

impl Contract {
    /// Row of its request.
    pub fn record(&self) -> String {
        row(&self.node_id, &self.request_id)
    }

    /// The servers of its documents; `None` when the request has ended.
    /// # Errors
    /// Those of the store.
    pub async fn places(&self, context: &Context) -> Result<Option<Vec<DocumentServer>>, Error> {
        let record = self.record();
        let kept = state::load(context, Table::ConsentRequest, &record, "").await?;
        Ok(match kept {
            // A request without documents does not get here.
            Some(Message::ConsentRequest(request)) => places(&request.request_message).ok(),
            _ => None,
        })
    }

    /// The job that fetches the documents on one server. Each request and host
    /// has a key of its own. The host is the receiver whose share it uses,
    /// whatever it redirects to.
    pub fn fetch(&self, place: &DocumentServer) -> NewJob {
        let key = delivery_key("contract", &place.host, &self.record());
        NewJob::new(contract::FETCH, key, self)
    }

    /// The job that continues with the request.
    pub fn checked(self, refusal: Option<String>) -> NewJob {
        let key = request_key(&self.request_id);
        let checked = Checked {
            contract: self,
            refusal,
        };
        NewJob::new(CHECKED, key, &checked)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_are_fetched_host_after_host() {
        let text = "Please sign\nhttp://a/1\nhttps://b/2\n http://no\nhttp://a:80/3\nhttp://a:81/4";
        let found = places(text).unwrap();
        let found: Vec<(&str, usize)> = found
            .iter()
            .map(|place| (place.host.as_str(), place.urls.len()))
            .collect();
        assert_eq!(found, [("a:80", 2), ("b:443", 1), ("a:81", 1)]);
    }

    #[test]
    fn a_refusal_does_not_name_the_url() {
        let refusal = places("http://[secret/secret").unwrap_err();
        let shown = format!("{refusal} {refusal:?}");
        assert!(!shown.contains("secret"), "{shown}");
        assert!(matches!(places("nothing"), Err(NoDocuments::NoUrl)));
    }
}
