//! The applications of the story, one for each node.

use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

use serde_json::{Value, json};

use super::mailbox::Mailbox;
use crate::context::Role;
use crate::devnet::apps::{Accessor, ApiClient};
use crate::devnet::network::Network;

/// How long a node may take to become ready.
const READY_PATIENCE: Duration = Duration::from_secs(120);

/// A call that a node has taken.
pub struct Asked {
    /// Whose.
    application: String,
    /// By which its result is known.
    pub reference_id: String,
    /// What it was answered.
    pub answer: Value,
}

/// The applications, by node.
pub struct Actors {
    clients: BTreeMap<String, ApiClient>,
    mailbox: Mailbox,
}

impl Actors {
    /// Waits for the nodes, and tells them the applications' URLs.
    ///
    /// # Errors
    /// When a node does not become ready or refuses.
    pub async fn start(network: &Network, service: &str) -> io::Result<Self> {
        let mut clients = BTreeMap::new();
        // NDID's node has no application.
        let served = network.nodes.iter().filter(|node| node.role != Role::Ndid);
        for node in served {
            let client = ApiClient::new(node.api_urls())?;
            client.wait_until_ready(READY_PATIENCE).await?;
            clients.insert(node.node_id.clone(), client);
        }
        let actors = Self {
            clients,
            mailbox: Mailbox::start()?,
        };
        actors.set_up(service).await.map_err(io::Error::other)?;
        Ok(actors)
    }

    async fn set_up(&self, service: &str) -> Result<(), String> {
        for (node_id, client) in &self.clients {
            let url = self.mailbox.url(node_id);
            let role = node_id.trim_end_matches(|c: char| c.is_ascii_digit());
            let mut urls = json!({"error_url": url});
            if role == "idp" {
                urls["incoming_request_url"] = url.as_str().into();
            }
            let path = format!("/v6/{role}/callback");
            let told = client.expect(&path, &urls, 204);
            told.await.map_err(|error| error.to_string())?;
            if role == "as" {
                let offer = json!({
                    "min_ial": 1.1,
                    "min_aal": 1,
                    "url": url,
                    "supported_namespace_list": [super::NAMESPACE],
                });
                let path = format!("/v6/as/service/{service}");
                let asked = self.ask(node_id, &path, offer).await?;
                self.result(&asked, "add_or_update_service_result").await?;
            }
        }
        Ok(())
    }

    /// The API of a node.
    ///
    /// # Errors
    /// When the network has no such node.
    pub fn client(&self, node_id: &str) -> Result<&ApiClient, String> {
        let client = self.clients.get(node_id);
        client.ok_or_else(|| format!("the network has no {node_id}"))
    }

    /// A call with a reference id and a callback URL of its own.
    ///
    /// # Errors
    /// When the node does not take it.
    pub async fn ask(&self, node_id: &str, path: &str, mut call: Value) -> Result<Asked, String> {
        let reference_id = uuid::Uuid::new_v4().to_string();
        call["reference_id"] = reference_id.as_str().into();
        call["callback_url"] = self.mailbox.url(node_id).into();
        let answer = self.client(node_id)?.post(path, &call).await?;
        let status = answer.status();
        let text = answer.text().await.map_err(|error| error.to_string())?;
        if status.as_u16() != 202 {
            return Err(format!(
                "POST {path} at {node_id} answered {status}: {text}"
            ));
        }
        Ok(Asked {
            application: node_id.to_owned(),
            reference_id,
            // Some are answered without a body.
            answer: serde_json::from_str(&text).unwrap_or_default(),
        })
    }

    /// A result of a call.
    ///
    /// # Errors
    /// When it does not come, or tells of a failure.
    pub async fn result(&self, asked: &Asked, kind: &str) -> Result<Value, String> {
        let is_its = |body: &Value| body["reference_id"] == *asked.reference_id;
        let result = self.heard(&asked.application, kind, is_its).await?;
        match result["success"] == true {
            true => Ok(result),
            false => Err(format!("{} failed: {result}", asked.application)),
        }
    }

    /// A callback.
    ///
    /// # Errors
    /// When it does not come.
    pub async fn heard(
        &self,
        application: &str,
        kind: &str,
        fits: impl Fn(&Value) -> bool,
    ) -> Result<Value, String> {
        self.mailbox.take(application, kind, fits).await
    }

    /// The user consents at an IdP, with an accessor.
    ///
    /// # Errors
    /// When the request does not reach the IdP, or the answer is refused.
    pub async fn consent(
        &self,
        idp: &str,
        request_id: &str,
        accessor: &Accessor,
    ) -> Result<(), String> {
        let is_it = |body: &Value| body["request_id"] == *request_id;
        self.heard(idp, "incoming_request", is_it).await?;
        let client = self.client(idp)?;
        let signature = accessor.sign_request(client, request_id).await?;
        let answer = json!({
            "request_id": request_id,
            "ial": 2.3,
            "aal": 3,
            "status": "accept",
            "accessor_id": accessor.id,
            "signature": signature,
        });
        let asked = self.ask(idp, "/v6/idp/response", answer).await?;
        self.result(&asked, "response_result").await.map(|_| ())
    }

    /// The AS gives what it was asked for.
    ///
    /// # Errors
    /// When it is not asked, or the data is refused.
    pub async fn give_data(
        &self,
        as_: &str,
        request_id: &str,
        service: &str,
        data: &str,
    ) -> Result<(), String> {
        let is_it = |body: &Value| body["request_id"] == *request_id;
        self.heard(as_, "data_request", is_it).await?;
        let path = format!("/v6/as/data/{request_id}/{service}");
        let asked = self.ask(as_, &path, json!({"data": data})).await?;
        self.result(&asked, "response_result").await.map(|_| ())
    }

    /// Ends the applications' server.
    pub async fn stop(self) {
        self.mailbox.stop().await;
    }
}

/// A text member.
///
/// # Errors
/// When there is none.
pub fn field(body: &Value, member: &str) -> Result<String, String> {
    let text = body[member].as_str().map(str::to_owned);
    text.ok_or_else(|| format!("no {member} in {body}"))
}
