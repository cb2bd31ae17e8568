//! The API's operations, done by the flows.

use std::sync::Arc;

use async_trait::async_trait;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use super::{Context, Role};
use crate::crypto::keyring::Keyring;
use crate::crypto::{KeyUse, external};
use crate::error::{Code, Error, codes};
use crate::flows::rp::create_request::{self, CreateRequest};
use crate::flows::{as_, idp, node, private_messages, rp};
use crate::http::{CallbackOwner, Operations, Outcome};
use crate::store::Accept;

/// Operations of the node this process belongs to.
pub struct FlowOperations {
    context: Context,
    /// `None` with an external crypto service.
    keyring: Option<Arc<Keyring>>,
    /// For the test calls of `POST /node/callback`.
    http: reqwest::Client,
}

impl FlowOperations {
    /// Operations on this context. `keyring` is what `/reinit_node_keys` reads again.
    pub fn new(context: Context, keyring: Option<Arc<Keyring>>, http: reqwest::Client) -> Self {
        Self {
            context,
            keyring,
            http,
        }
    }

    /// Each URL of an external crypto service is tried before it is stored. The
    /// first failure stops, and those before it are stored
    /// (spec/messaging-and-crypto.md 6).
    async fn set_node_urls(&self, urls: &Map<String, Value>) -> Outcome {
        let row = CallbackOwner::Node.row();
        let mut tested = Map::new();
        for name in ["sign_url", "master_sign_url", "decrypt_url"] {
            let Some(url) = urls.get(name).and_then(Value::as_str) else {
                continue;
            };
            if let Err(error) = self.test_crypto_url(name, url).await {
                return Outcome::StoredBefore(node::set_callback_urls(row, &tested), error);
            }
            tested.insert(name.to_owned(), url.into());
        }
        Outcome::Stored(node::set_callback_urls(row, urls))
    }

    async fn test_crypto_url(&self, name: &str, url: &str) -> Result<(), Error> {
        let (http, ledger) = (&self.http, self.context.ledger.as_ref());
        let node_id = self.context.node_id();
        let version = self.context.config.runtime.external_crypto_version();
        let key_use = match name {
            "sign_url" => KeyUse::Signing,
            "master_sign_url" => KeyUse::SigningMaster,
            _ => {
                return external::test_decrypt_url(http, ledger, version, node_id, url).await;
            }
        };
        external::test_sign_url(http, ledger, version, node_id, key_use, url).await
    }
}

/// A body that passed its schema, as the flow's input.
fn input<T: DeserializeOwned>(body: Value) -> Result<T, Error> {
    serde_json::from_value(body)
        .map_err(|error| Error::with_message(codes::BODY_VALIDATION_FAILED, error.to_string()))
}

fn accepted(accept: Accept, body: Option<Value>, refused: Option<Code>) -> Outcome {
    Outcome::Accepted {
        accept,
        body,
        refused,
    }
}

/// An operation whose accept is refused only if it was accepted before.
fn started(accept: Accept) -> Outcome {
    accepted(accept, None, None)
}

fn found(body: Option<Value>) -> Outcome {
    body.map_or(Outcome::NotFound, Outcome::Ok)
}

#[async_trait]
impl Operations for FlowOperations {
    async fn create_request(
        &self,
        node_id: &str,
        namespace: &str,
        identifier: &str,
        body: Value,
    ) -> Result<Outcome, Error> {
        let input = CreateRequest::new(namespace, identifier, body)?;
        let (accept, answer) =
            create_request::create_request(&self.context, node_id, input).await?;
        let body = json!({
            "request_id": answer.request_id,
            "initial_salt": answer.initial_salt,
        });
        let refused = Some(codes::DUPLICATE_REFERENCE_ID);
        Ok(accepted(accept, Some(body), refused))
    }

    async fn request_reference(&self, node_id: &str, reference_id: &str) -> Result<Outcome, Error> {
        let id = rp::look_ups::request_reference(&self.context, node_id, reference_id).await?;
        Ok(found(id.map(|id| json!({"request_id": id}))))
    }

    async fn request_data(&self, node_id: &str, request_id: &str) -> Result<Outcome, Error> {
        let data = rp::look_ups::request_data(&self.context, node_id, request_id).await?;
        Ok(found(data.map(|data| json!(data))))
    }

    async fn remove_request_data(
        &self,
        node_id: &str,
        request_id: Option<&str>,
    ) -> Result<Outcome, Error> {
        let removal = rp::look_ups::request_data_removal(&self.context, node_id, request_id);
        Ok(Outcome::Stored(removal.await?))
    }

    async fn close_request(&self, node_id: &str, body: Value) -> Result<Outcome, Error> {
        Ok(started(rp::close_request::close_request(
            node_id,
            input(body)?,
        )))
    }

    async fn idp_response(&self, node_id: &str, body: Value) -> Result<Outcome, Error> {
        let answer = input(body)?;
        Ok(started(
            idp::respond::respond(&self.context, node_id, &answer).await?,
        ))
    }

    async fn idp_error_response(&self, node_id: &str, body: Value) -> Result<Outcome, Error> {
        let answer = input(body)?;
        let accept = idp::error_response::respond_with_error(&self.context, node_id, &answer);
        Ok(started(accept.await?))
    }

    async fn padded_hash(
        &self,
        node_id: &str,
        request_id: &str,
        accessor_id: &str,
    ) -> Result<Outcome, Error> {
        let hash =
            idp::padded_hash::padded_hash(&self.context, node_id, request_id, accessor_id).await?;
        Ok(Outcome::Ok(json!({"request_message_padded_hash": hash})))
    }

    async fn offer_service(
        &self,
        node_id: &str,
        service_id: &str,
        body: Value,
    ) -> Result<Outcome, Error> {
        let offer = input(body)?;
        Ok(started(
            as_::service::offer(&self.context, node_id, service_id, &offer).await?,
        ))
    }

    async fn offered_service(&self, node_id: &str, service_id: &str) -> Result<Outcome, Error> {
        let service = as_::service::offered(&self.context, node_id, service_id).await?;
        Ok(found(service.map(Value::Object)))
    }

    async fn as_data(
        &self,
        node_id: &str,
        request_id: &str,
        service_id: &str,
        body: Value,
    ) -> Result<Outcome, Error> {
        let data = input(body)?;
        let accept = as_::respond::respond(&self.context, node_id, request_id, service_id, &data);
        Ok(started(accept.await?))
    }

    async fn as_error(
        &self,
        node_id: &str,
        request_id: &str,
        service_id: &str,
        body: Value,
    ) -> Result<Outcome, Error> {
        let answer = input(body)?;
        let accept =
            as_::error::respond_with_error(&self.context, node_id, request_id, service_id, &answer);
        Ok(started(accept.await?))
    }

    async fn payment_received(
        &self,
        _node_id: &str,
        request_id: &str,
        service_id: &str,
    ) -> Result<Outcome, Error> {
        as_::payment_log::check(&self.context, request_id, service_id).await?;
        Ok(Outcome::NoContent)
    }

    async fn callback_urls(&self, owner: CallbackOwner) -> Result<Outcome, Error> {
        let urls = node::callback_urls(&self.context, owner.row()).await?;
        Ok(found((!urls.is_empty()).then_some(Value::Object(urls))))
    }

    async fn set_callback_urls(&self, owner: CallbackOwner, body: Value) -> Result<Outcome, Error> {
        let urls: Map<String, Value> = input(body)?;
        if owner == CallbackOwner::Node {
            return Ok(self.set_node_urls(&urls).await);
        }
        Ok(Outcome::Stored(node::set_callback_urls(owner.row(), &urls)))
    }

    async fn private_messages(
        &self,
        node_id: &str,
        request_id: &str,
        message_type: Option<&str>,
    ) -> Result<Outcome, Error> {
        let messages =
            private_messages::find(&self.context, node_id, request_id, message_type).await?;
        Ok(found(messages.map(Value::Array)))
    }

    async fn remove_private_messages(
        &self,
        node_id: &str,
        request_id: Option<&str>,
        message_type: Option<&str>,
    ) -> Result<Outcome, Error> {
        let removal = private_messages::remove(&self.context, node_id, request_id, message_type);
        Ok(Outcome::Stored(removal.await?))
    }

    async fn reload_keys(&self) -> Result<(), Error> {
        let Some(keyring) = &self.keyring else {
            return Ok(());
        };
        let behind_proxy = match self.context.role {
            Role::Proxy => self.context.served_nodes().await?,
            _ => Vec::new(),
        };
        keyring
            .reload(&behind_proxy)
            .map_err(|error| Error::with_message(codes::UNKNOWN_ERROR, error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::external_tests::Service;
    use crate::job::{Table, Write};
    use crate::mq::testing::{self, FakeLedger};

    #[actix::test]
    async fn urls_of_a_crypto_service_before_the_first_that_fails_stay_set() {
        let service = Service::start();
        let context = testing::context("rp1", Role::Rp, FakeLedger::recorded());
        let operations = FlowOperations::new(context, None, service.client.clone());
        let (good, wrong) = (service.url("sign"), service.url("wrong"));
        let set = async |body: Value| {
            let outcome = operations.set_callback_urls(CallbackOwner::Node, body);
            outcome.await.unwrap()
        };
        let stored = |name: &str, url: &str| {
            Write::put_column(Table::CallbackUrl, "node", name, url.as_bytes().to_vec())
        };
        let outcome = set(json!({
            "message_queue_send_success_url": "http://app", "decrypt_url": wrong, "sign_url": good,
        }));
        let Outcome::StoredBefore(writes, error) = outcome.await else {
            panic!("the decrypt_url is wrong");
        };
        assert_eq!(error.code().number, 20046);
        assert_eq!(writes, [stored("sign_url", &good)]);

        let outcome = set(json!({"sign_url": wrong, "decrypt_url": service.url("decrypt")}));
        let Outcome::StoredBefore(writes, error) = outcome.await else {
            panic!("the sign_url is wrong");
        };
        assert_eq!(error.code().number, 20049);
        assert_eq!(writes, []);

        let outcome = set(json!({"sign_url": good, "decrypt_url": service.url("decrypt")}));
        let decrypt = service.url("decrypt");
        assert_eq!(
            outcome.await,
            Outcome::Stored(vec![
                stored("sign_url", &good),
                stored("decrypt_url", &decrypt)
            ])
        );
    }
}
