//! The parts of payloads that operators may see: no secrets, and nothing about
//! persons. Whatever is not named here is not shown.

use url::Url;

use super::message::Field;
use crate::delivery::callback::{Callback, CallbackTarget};
use crate::delivery::transaction::Transact;
use crate::delivery::{callback, message, transaction};
use crate::job::Job;
use crate::mq::OutboundMessage;

/// The fields of a job's payload that may be shown.
pub(super) fn fields(job: &Job) -> Vec<Field> {
    let kind = job.kind();
    let shown = if kind == message::DELIVER {
        job.payload().ok().map(of_message)
    } else if kind == callback::DELIVER {
        job.payload().ok().map(of_callback)
    } else if kind == transaction::TRANSACT {
        job.payload().ok().map(of_transaction)
    } else {
        None
    };
    let shown = shown.unwrap_or_default();
    shown
        .into_iter()
        .map(|(name, value)| Field {
            name: name.to_owned(),
            value,
        })
        .collect()
}

type Pairs = Vec<(&'static str, String)>;

fn of_message(message: OutboundMessage) -> Pairs {
    vec![
        ("message_id", message.message_id),
        ("from", message.sender_node_id),
        ("to", message.destination_node_id),
        ("address", format!("{}:{}", message.ip, message.port)),
        ("encrypted_bytes", message.payload.len().to_string()),
    ]
}

fn of_callback(callback: Callback) -> Pairs {
    let to = match &callback.target {
        CallbackTarget::Url(url) => without_secrets(url),
        other => format!("{other:?}"),
    };
    vec![
        ("callback_id", callback.id),
        ("to", to),
        ("body_bytes", callback.body.len().to_string()),
    ]
}

/// A URL may contain a password or a token.
fn without_secrets(url: &str) -> String {
    let Ok(url) = Url::parse(url) else {
        return "a URL that cannot be read".to_owned();
    };
    let host = url.host_str().unwrap_or_default();
    let port = url.port().map(|port| format!(":{port}"));
    let port = port.unwrap_or_default();
    format!("{}://{host}{port}{}", url.scheme(), url.path())
}

fn of_transaction(transact: Transact) -> Pairs {
    vec![
        ("signed_by", transact.node_id),
        ("method", transact.method),
        ("parameter_bytes", transact.params.len().to_string()),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_and_queries_of_urls_are_not_shown() {
        let shown = without_secrets("https://me:secret@client.example:8443/cb/rp?token=secret#x");
        assert_eq!(shown, "https://client.example:8443/cb/rp");
    }
}
