//! Three client applications (a bank's, an identity provider's, a data
//! source's) that know nothing of a node but its HTTP API v6.

mod accessor;
mod answer;
mod client;
mod event;
mod manners;
mod receiver;
mod record;
mod users;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rand::RngCore as _;
use serde_json::{Value, json};
use tokio::sync::Semaphore;

pub use accessor::Accessor;
pub use client::{ApiClient, CallCounts};
pub use manners::Manners;
pub use record::{Ending, Record, Seen, Took, Totals};

use crate::crypto::{accessor::verify, signature};
use receiver::CallbackServer;
use users::{User, Users};

/// Nodes the applications talk to: base URLs of each node's API processes.
#[derive(Debug, Clone)]
pub struct Targets {
    /// API URLs of the RP's node.
    pub rp: Vec<String>,
    /// API URLs of the IdP's node.
    pub idp: Vec<String>,
    /// API URLs of the AS's node.
    pub as_: Vec<String>,
    /// Node id of the RP, if it is known: a proxy must be told.
    pub rp_id: Option<String>,
    /// Node id of the IdP.
    pub idp_id: String,
    /// Node id of the AS.
    pub as_id: String,
    /// The service asked for.
    pub service: String,
    /// Mode of the requests: 1, 2 or 3.
    pub mode: u8,
    /// In modes 2 and 3: how many users make them, in turn.
    pub users: u64,
}

/// How long one request may take before it counts as failed.
const REQUEST_PATIENCE: Duration = Duration::from_secs(180);
/// How long a node may take to become ready.
const READY_PATIENCE: Duration = Duration::from_secs(120);

/// The three applications and what they saw.
pub struct Apps {
    targets: Targets,
    rp: ApiClient,
    idp: ApiClient,
    as_: ApiClient,
    record: Arc<Record>,
    receiver: CallbackServer,
    /// In modes 2 and 3.
    users: Option<Arc<Users>>,
    begun: AtomicU64,
}

/// A call that makes a request.
struct RequestCall {
    path: String,
    reference: String,
    body: Value,
    /// In modes 2 and 3.
    user: Option<Arc<User>>,
}

/// The result of one try of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attempted {
    /// Its data was read back.
    Verified,
    /// Not taken: 503.
    Refused,
    /// The record says why.
    Failed,
}

impl Apps {
    /// Starts the applications' HTTP server and tells the nodes its URLs. They
    /// answer callbacks plainly.
    ///
    /// # Errors
    /// When a node does not become ready or refuses the set-up.
    pub async fn start(targets: Targets) -> io::Result<Self> {
        Self::start_with(targets, Manners::Plain).await
    }

    /// The same, with other manners.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub async fn start_with(targets: Targets, manners: Manners) -> io::Result<Self> {
        let record = Arc::new(Record::default());
        let rp = ApiClient::new(targets.rp.clone())?.acting(targets.rp_id.clone());
        let idp = ApiClient::new(targets.idp.clone())?.acting(Some(targets.idp_id.clone()));
        let as_ = ApiClient::new(targets.as_.clone())?.acting(Some(targets.as_id.clone()));
        for client in [&rp, &idp, &as_] {
            client.wait_until_ready(READY_PATIENCE).await?;
        }
        let users = match targets.mode {
            1 => None,
            mode => Some(Arc::new(Users::new(mode, targets.users).await?)),
        };
        let receiver = CallbackServer::start(
            record.clone(),
            idp.clone(),
            as_.clone(),
            users.clone(),
            manners,
        )
        .await?;
        let apps = Self {
            targets,
            rp,
            idp,
            as_,
            record,
            receiver,
            users,
            begun: AtomicU64::new(0),
        };
        apps.set_up().await?;
        Ok(apps)
    }

    async fn set_up(&self) -> io::Result<()> {
        let url = |path: &str| self.receiver.url(path);
        let idp_urls = json!({
            "incoming_request_url": url("idp"),
            "incoming_request_status_update_url": url("idp"),
            "error_url": url("idp"),
        });
        self.idp.expect("/v6/idp/callback", &idp_urls, 204).await?;
        self.rp
            .expect("/v6/rp/callback", &json!({"error_url": url("rp")}), 204)
            .await?;
        self.as_
            .expect("/v6/as/callback", &json!({"error_url": url("as")}), 204)
            .await?;
        self.offer_service().await
    }

    /// Offers the service; a service offered before gets the new URL.
    async fn offer_service(&self) -> io::Result<()> {
        let reference = format!("service-{}", uuid::Uuid::new_v4());
        let result = self.record.expect_result(&reference);
        let body = json!({
            "reference_id": reference,
            "callback_url": self.receiver.url("as"),
            "min_ial": 1.1,
            "min_aal": 1,
            "url": self.receiver.url("as"),
            "supported_namespace_list": ["citizen_id"],
        });
        let path = format!("/v6/as/service/{}", self.targets.service);
        self.as_.expect(&path, &body, 202).await?;
        let result = tokio::time::timeout(READY_PATIENCE, result)
            .await
            .map_err(|_| io::Error::other("no answer to the service registration"))?
            .map_err(io::Error::other)?;
        if result["success"] == json!(true) {
            return Ok(());
        }
        Err(io::Error::other(format!(
            "the AS could not offer its service: {result}"
        )))
    }

    /// Onboards all users (modes 2 and 3), which otherwise happens at the first
    /// request of each.
    ///
    /// # Errors
    /// When the IdP's node refuses one.
    pub async fn onboard_users(&self) -> Result<(), String> {
        for number in 0..self.targets.users {
            self.user_of(number).await?;
        }
        Ok(())
    }

    async fn user_of(&self, number: u64) -> Result<Option<Arc<User>>, String> {
        let Some(users) = &self.users else {
            return Ok(None);
        };
        let url = self.receiver.url("idp");
        let user = users.of_request(number, &self.idp, &self.record, &url);
        user.await.map(Some)
    }

    /// Makes `requests` requests, `concurrency` at a time, and waits for all.
    /// `progress` is told of each that ended, with the errors so far.
    pub async fn drive(
        &self,
        requests: u64,
        concurrency: usize,
        progress: impl Fn(usize) + Send + Sync,
    ) -> Duration {
        let started = Instant::now();
        let places = Semaphore::new(concurrency.max(1));
        let run_one = async || {
            // The semaphore lives as long as this future and is never closed.
            let _place = places.acquire().await.expect("semaphore is open");
            // A failure is in the record.
            self.request().await;
            progress(self.record.errors());
        };
        futures_util::future::join_all((0..requests).map(|_| run_one())).await;
        started.elapsed()
    }

    /// Makes requests as long as `is_over` says no, `concurrency` at a time and
    /// no more than `pace` a second in all, and waits for those under way.
    /// `is_over` is asked with the number of requests begun.
    pub async fn drive_while(
        &self,
        concurrency: usize,
        pace: f64,
        is_over: impl Fn(u64) -> bool,
        progress: impl Fn(&Totals),
    ) -> Duration {
        let started = Instant::now();
        let interval = Duration::from_secs_f64(concurrency.max(1) as f64 / pace);
        let lane = async || {
            while !is_over(self.begun.load(Ordering::Relaxed)) {
                let next = tokio::time::Instant::now() + interval;
                // A failure is in the record.
                self.request().await;
                progress(&self.record.totals());
                tokio::time::sleep_until(next).await;
            }
        };
        futures_util::future::join_all((0..concurrency.max(1)).map(|_| lane())).await;
        started.elapsed()
    }

    /// How many requests have been begun.
    pub fn begun(&self) -> u64 {
        self.begun.load(Ordering::Relaxed)
    }

    /// One request from the call to its data read back. False: it failed, and
    /// the record says why.
    pub async fn request(&self) -> bool {
        let number = self.begun.fetch_add(1, Ordering::Relaxed);
        match self.attempt(number).await {
            Ok(()) => true,
            Err(error) => {
                self.record.fail(format!("request {number}: {error}"));
                false
            }
        }
    }

    /// As [`request`](Self::request), but a node that says it has no room is
    /// taken at its word.
    pub async fn request_once(&self) -> Attempted {
        let number = self.begun.fetch_add(1, Ordering::Relaxed);
        match self.attempt_once(number).await {
            Ok(attempted) => attempted,
            Err(error) => {
                self.record.fail(format!("request {number}: {error}"));
                Attempted::Failed
            }
        }
    }

    async fn attempt_once(&self, number: u64) -> Result<Attempted, String> {
        let call = self.call(number).await?;
        let started = Instant::now();
        let created = self.rp.create_request_once(&call.path, &call.body).await?;
        let Some(request_id) = created else {
            return Ok(Attempted::Refused);
        };
        self.follow(&request_id, &call, started).await?;
        Ok(Attempted::Verified)
    }

    async fn attempt(&self, number: u64) -> Result<(), String> {
        let call = self.call(number).await?;
        let started = Instant::now();
        let reference = &call.reference;
        let created = self.rp.create_request(&call.path, reference, &call.body);
        // One that has ended was told of before.
        let request_id = created
            .await?
            .or_else(|| self.record.request_of(reference))
            .ok_or_else(|| format!("taken, and not known by its reference id {reference}"))?;
        self.follow(&request_id, &call, started).await
    }

    /// The call that makes a request; its user is onboarded first.
    async fn call(&self, number: u64) -> Result<RequestCall, String> {
        let user = self.user_of(number).await?;
        let reference = format!("demo-{number}-{}", uuid::Uuid::new_v4());
        let mut body = json!({
            "reference_id": reference,
            "callback_url": self.receiver.url("rp"),
            "mode": self.targets.mode,
            "idp_id_list": [self.targets.idp_id],
            "data_request_list": [{
                "service_id": self.targets.service,
                "as_id_list": [self.targets.as_id],
                "min_as": 1,
                "request_params": "{\"format\":\"json\"}",
            }],
            "request_message": format!("ขอความยินยอม: please confirm request {number}"),
            "min_ial": 1.1,
            "min_aal": 1,
            "min_idp": 1,
            "request_timeout": 86400,
        });
        if user.is_some() {
            // An IdP that holds the identity.
            body["idp_id_list"] = json!([]);
            body["bypass_identity_check"] = json!(false);
            let mut salt = [0; 32];
            rand::rng().fill_bytes(&mut salt);
            body["initial_salt"] = STANDARD.encode(salt).into();
        }
        let own = || citizen_id(number);
        let identifier = user
            .as_ref()
            .map_or_else(own, |user| user.identifier.clone());
        Ok(RequestCall {
            path: format!("/v6/rp/requests/citizen_id/{identifier}"),
            reference,
            body,
            user,
        })
    }

    /// From its 202 to its data read back.
    async fn follow(
        &self,
        request_id: &str,
        call: &RequestCall,
        started: Instant,
    ) -> Result<(), String> {
        self.record.accepted(request_id, started.elapsed());
        let ending = self.record.ending_of(request_id);
        match tokio::time::timeout(REQUEST_PATIENCE, ending).await {
            Err(_) => return Err(format!("{request_id} has not ended")),
            Ok(Err(_)) => return Err(format!("{request_id} was forgotten")),
            Ok(Ok(Ending::Failed(reason))) => return Err(format!("{request_id}: {reason}")),
            Ok(Ok(Ending::Completed)) => self.record.completed(),
        }
        self.read_data(request_id).await?;
        if let Some(user) = &call.user {
            self.check_consent(request_id, &call.body, user).await?;
        }
        self.record.verified(request_id, started.elapsed());
        Ok(())
    }

    async fn read_data(&self, request_id: &str) -> Result<(), String> {
        let data = self
            .rp
            .get_json(&format!("/v6/rp/request_data/{request_id}"))
            .await?;
        let entry = match data.as_array().map(Vec::as_slice) {
            Some([entry]) => entry,
            _ => return Err(format!("{request_id}: not exactly one answer: {data}")),
        };
        let text = |member: &str| entry[member].as_str().unwrap_or_default();
        if text("data") != data_of(request_id) {
            return Err(format!("{request_id}: other data than the AS sent"));
        }
        let version = entry["signature_signing_key_version"].as_u64();
        let key = self.as_key(version.unwrap_or(1)).await?;
        let signed = format!("{}{}", text("data"), text("data_salt"));
        let signature = STANDARD
            .decode(text("source_signature"))
            .map_err(|error| format!("{request_id}: signature: {error}"))?;
        let algorithm = text("signature_signing_algorithm");
        if signature::verify(&key, algorithm, signed.as_bytes(), &signature) {
            return Ok(());
        }
        Err(format!("{request_id}: the AS's signature does not verify"))
    }

    /// Checks that the user's accessor key signed the answer on the ledger.
    async fn check_consent(
        &self,
        request_id: &str,
        call: &Value,
        user: &User,
    ) -> Result<(), String> {
        let request = format!("/v6/utility/requests/{request_id}");
        let request = self.rp.get_json(&request).await?;
        let key = format!("/v6/utility/accessors/{}", user.accessor.id);
        let key = self.rp.get_json(&key).await?;
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let answers = request["response_list"].as_array();
        let is_signed = answers.is_some_and(|answers| {
            answers.iter().any(|answer| {
                verify(
                    &text(&call["request_message"]),
                    &text(&call["initial_salt"]),
                    request_id,
                    &text(&key["accessor_public_key"]),
                    &text(&answer["signature"]),
                )
            })
        });
        match is_signed {
            true => Ok(()),
            false => Err(format!(
                "{request_id}: no answer has the signature of accessor {}",
                user.accessor.id
            )),
        }
    }

    /// The AS's signing key of a version, asked for once.
    async fn as_key(&self, version: u64) -> Result<String, String> {
        if let Some(key) = self.record.as_key(version) {
            return Ok(key);
        }
        let path = format!("/v6/utility/nodes/{}/public_keys", self.targets.as_id);
        let keys = self.rp.get_json(&path).await?;
        let listed = keys["signing_public_key_list"].as_array();
        for listed in listed.into_iter().flatten() {
            let key = (listed["version"].as_u64(), listed["public_key"].as_str());
            if let (Some(version), Some(key)) = key {
                self.record.knows_as_key(version, key);
            }
        }
        let key = self.record.as_key(version);
        key.ok_or_else(|| format!("the AS has no signing key of version {version}: {keys}"))
    }

    /// The results so far of the calls of all three applications.
    pub fn call_counts(&self) -> CallCounts {
        let all = [&self.rp, &self.idp, &self.as_].map(ApiClient::counts);
        CallCounts {
            refused: all.iter().map(|counts| counts.refused).sum(),
            later: all.iter().map(|counts| counts.later).sum(),
            failed: all.iter().map(|counts| counts.failed).sum(),
        }
    }

    /// What can be compared with the ledger and the stores afterwards.
    pub fn seen(&self) -> Seen {
        self.record.seen()
    }

    /// What the applications saw so far.
    pub fn totals(&self) -> Totals {
        self.record.totals()
    }

    /// Ends the applications' server.
    pub async fn stop(self) {
        self.receiver.stop().await;
    }
}

/// The data the AS's application gives for a request; both applications can
/// compute it, so that equality can be checked.
pub fn data_of(request_id: &str) -> String {
    json!({"request": request_id, "ชื่อ": "ทดสอบ", "balance": "1,234,567.89"}).to_string()
}

/// A valid Thai citizen id (spec/http-api.md 3.1).
pub fn citizen_id(number: u64) -> String {
    let first_twelve = format!("1{:011}", number % 100_000_000_000);
    let weighted: u32 = first_twelve
        .chars()
        .enumerate()
        .map(|(index, digit)| (13 - index as u32) * digit.to_digit(10).unwrap_or(0))
        .sum();
    let rest = weighted % 11;
    let check = if rest <= 1 { 1 - rest } else { 11 - rest };
    format!("{first_twelve}{check}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generated_citizen_ids_have_a_right_check_digit() {
        for number in [0, 1, 7, 99, 12_345, 99_999_999_999] {
            let id = citizen_id(number);
            let digits: Vec<u32> = id.chars().map(|c| c.to_digit(10).unwrap()).collect();
            let sum: u32 = (0..12).map(|i| (13 - i as u32) * digits[i]).sum();
            assert_eq!(digits.len(), 13);
            assert_eq!((11 - sum % 11) % 10, digits[12]);
        }
    }
}
