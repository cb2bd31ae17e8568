//! An RP's application that asks one thing at a time.

use erawan::context::Role;
use serde_json::{Value, json};

use crate::client::{Told, client_application};
use crate::identity_idps::with;
use crate::network::*;

/// The application of `rp1`.
pub struct Rp {
    api: String,
    url: String,
    pub told: Told,
}

impl Rp {
    pub fn of(net: &Net) -> Self {
        let (url, told) = client_application();
        Self {
            api: net.api(Role::Rp),
            url,
            told,
        }
    }

    /// Makes a request about a person, with these members; its id.
    pub async fn ask(&self, identity: &str, members: Value) -> String {
        let (_, body) = unanswered_request();
        let body = with(body, json!({"callback_url": self.url}));
        let body = with(body, members);
        let url = format!("{}/v6/rp/requests/{identity}", self.api);
        let answer = plain_client().post(url).json(&body).send().await.unwrap();
        let status = answer.status();
        let answer: Value = answer.json().await.unwrap();
        assert_eq!(status, 202, "{body}: {answer}");
        answer["request_id"].as_str().unwrap().to_owned()
    }

    /// Waits until a request has ended; the last status.
    pub async fn closed(&self, request_id: &str) -> Value {
        let is_it = |body: &Value| {
            body["type"] == "request_status"
                && body["request_id"] == request_id
                && body["closed"] == true
        };
        self.told.until("the request is closed", is_it).await
    }
}
