//! Plays the recorded scenarios and notes every difference.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::time::Instant;

use crate::chance;
use crate::checks::Checks;
use crate::client::{self, Client};
use crate::clock;
use crate::compare::{Finding, compare, shortened};
use crate::counterparts::Counterparts;
use crate::genesis;
use crate::inbox::{Inbox, subject};
use crate::keys::{self, Pairs};
use crate::listeners::{Arrival, Listeners};
use crate::network::Nodes;
use crate::owners::Owners;
use crate::recording::{Area, Call, Callback, Record, What};
use crate::texts::Texts;

/// How long a callback is waited for.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long a look-up may still show what was before.
const LOOK_UP_PATIENCE: Duration = Duration::from_secs(3);
const POLL: Duration = Duration::from_millis(20);
/// What a run was.
#[derive(Debug, Default)]
pub struct Report {
    pub calls: usize,
    pub callbacks: usize,
    pub checks: usize,
    /// Look-ups that showed what was recorded only after a while.
    pub awaited: Vec<String>,
    /// Differences by scenario, in order.
    pub scenarios: Vec<(String, Vec<String>)>,
}

/// The client, and the network that it plays against.
pub struct Player {
    nodes: Nodes,
    listeners: Listeners,
    http: reqwest::Client,
    pairs: Counterparts,
    texts: Texts,
    keys: Pairs,
    client: Client,
    checks: Checks,
    inbox: Inbox,
    /// Arrivals that are in the inbox, or were.
    seen: usize,
    owners: Owners,
    report: Report,
    _folder: TempDir,
}

impl Player {
    /// Starts a network and the client's listeners.
    pub async fn start(areas: &[Area], workers: usize) -> Self {
        let keys = Pairs::for_all(areas);
        let folder = tempfile::Builder::new().prefix("suite-").tempdir().unwrap();
        let nodes = Nodes::start(folder.path(), &keys, workers).await;
        let listeners = Listeners::start();
        let mut pairs = Counterparts::default();
        for (recorded, ours) in keys.public() {
            pairs.teach(recorded, ours).unwrap();
        }
        let signing = genesis::signing_keys().into_iter();
        let signing = signing.map(|(node, key)| (node, keys.get(&key).unwrap().public.clone()));
        Self {
            checks: Checks::new(signing.collect()),
            client: Client::new(areas),
            texts: Texts::new(listeners.addresses()),
            http: reqwest::Client::builder().no_proxy().build().unwrap(),
            inbox: Inbox::default(),
            seen: 0,
            owners: Owners::new(areas),
            report: Report::default(),
            nodes,
            listeners,
            pairs,
            keys,
            _folder: folder,
        }
    }

    /// Plays an area; the scenarios that are not expected to pass end at the
    /// first difference that leaves nothing to compare.
    pub async fn play(&mut self, area: &Area) {
        for (recorded, live) in clock::dates(area) {
            self.pairs.teach(&recorded, &live).unwrap();
        }
        let scenarios = area
            .records
            .chunk_by(|one, next| one.scenario == next.scenario);
        for records in scenarios {
            let scenario = records[0].scenario.clone();
            let faults = self.play_scenario(&scenario, records).await;
            for fault in &faults {
                println!("{scenario}: {fault}");
            }
            self.report.scenarios.push((scenario, faults));
        }
        if let Err(busy) = self.nodes.until_idle(PATIENCE).await {
            let fault = format!("stays busy: {busy}");
            self.report.scenarios.push((area.name.clone(), vec![fault]));
        }
    }

    /// Notes what came too much, stops the network.
    pub async fn finish(mut self) -> Report {
        self.note_rest();
        self.listeners.stop().await;
        for name in self.nodes.stop().await {
            let problem = format!("process {name} ended by itself");
            self.report.scenarios.push((name, vec![problem]));
        }
        self.report.checks = self.checks.made;
        self.report
    }

    async fn play_scenario(&mut self, scenario: &str, records: &[Record]) -> Vec<String> {
        let mut faults = Vec::new();
        let mut pending = Vec::new();
        let mut lost = false;
        for (index, record) in records.iter().enumerate() {
            match &record.what {
                What::Callback(callback) => {
                    self.prepare_answer(callback);
                    pending.push((record.seq, callback));
                }
                What::Call(call) if lost => {
                    if restores(call) {
                        self.send(call, &self.to_live(&call.request)).await;
                    }
                }
                What::Call(call) => {
                    let pending = std::mem::take(&mut pending);
                    lost = !self.settle(pending, &mut faults).await;
                    if !lost {
                        let soon = chance::soon(call, &records[index + 1..]);
                        lost = !self.call(record, call, &soon, &mut faults).await;
                    }
                }
            }
        }
        if lost || !self.settle(pending, &mut faults).await {
            self.owners.lose(scenario);
        }
        faults
    }

    /// The client's answers that are not the usual one.
    fn prepare_answer(&mut self, callback: &Callback) {
        let answered = (callback.answered_status, callback.answered.clone());
        if answered == (204, Value::Null) {
            return;
        }
        match callback.body["request_id"].as_str() {
            None => self.listeners.answer_path(&callback.path, answered),
            Some(recorded) => {
                // The request has been made: its id came with the answer.
                if let Some(live) = self.pairs.live(recorded) {
                    self.listeners.answer_request(live, answered);
                }
            }
        }
    }

    /// Waits for recorded callbacks and compares them. False when one is lost.
    async fn settle(&mut self, pending: Vec<(u64, &Callback)>, faults: &mut Vec<String>) -> bool {
        for (seq, recorded) in pending {
            let scenario = self.owners.scenario(&self.pairs, &recorded.body);
            if self.owners.is_lost(scenario) {
                continue;
            }
            let other = chance::if_faster(seq, &recorded.body);
            let deadline = Instant::now() + PATIENCE;
            let matched = loop {
                let arrivals = self.listeners.arrivals_after(self.seen);
                self.seen += arrivals.len();
                self.inbox.add(arrivals);
                let (pairs, texts) = (&self.pairs, &self.texts);
                if let Some(matched) = self.inbox.take(pairs, texts, recorded, other.as_ref()) {
                    break Some(matched);
                }
                let left = deadline.saturating_duration_since(Instant::now());
                if !self.listeners.more_than(self.seen, left).await {
                    break None;
                }
            };
            let about = subject(&recorded.app, &recorded.path, &recorded.body);
            let Some(matched) = matched else {
                let body = shortened(&recorded.body);
                faults.push(format!("{seq}: callback missing: {about}: {body}"));
                return false;
            };
            self.report.callbacks += 1;
            self.pairs.keep(matched.finding.lesson);
            let found = matched.finding.faults.into_iter();
            let checked = self.checks.faults(&matched.arrival.body, None);
            for fault in found.chain(checked) {
                faults.push(format!("{seq}: callback {about}: {fault}"));
            }
        }
        true
    }

    fn to_live(&self, value: &Value) -> Value {
        self.texts.value_to_live(&self.pairs, value)
    }

    /// Makes a call and compares its answer. False when nothing that follows can
    /// be compared.
    async fn call(
        &mut self,
        record: &Record,
        call: &Call,
        soon: &[Value],
        faults: &mut Vec<String>,
    ) -> bool {
        self.report.calls += 1;
        let what = format!(
            "{}: {} {} {}",
            record.seq, call.node, call.method, call.path
        );
        let mut request = self.to_live(&call.request);
        self.sign(call, &mut request).await;
        if is_setting(call) {
            for url in &self.nodes.apis[&call.node] {
                self.send_to(url, call, &request).await;
            }
        }
        let deadline = Instant::now() + LOOK_UP_PATIENCE;
        let mut is_late = false;
        let (status, body, finding) = loop {
            let (status, body) = self.send(call, &request).await;
            let finding = self.compared(record.seq, call, soon, &body);
            let is_it = status == call.status && finding.faults.is_empty();
            // What was told of a block may be looked up in another process.
            if is_it || call.method != "GET" || Instant::now() > deadline {
                break (status, body, finding);
            }
            is_late = true;
            tokio::time::sleep(POLL).await;
        };
        if status != call.status {
            let (expected, found) = (shortened(&call.response), shortened(&body));
            faults.push(format!(
                "{what}: status: recorded {} {expected}, live {status} {found}",
                call.status
            ));
            // What this call has begun, if it has, is of a lost scenario.
            if let Some(id) = body["request_id"].as_str() {
                self.owners.stray(id, &record.scenario);
            }
            return false;
        }
        if is_late && finding.faults.is_empty() {
            self.report.awaited.push(what.clone());
        }
        self.pairs.keep(finding.lesson);
        let path = self.texts.to_live(&self.pairs, &call.path);
        self.checks.request_made(&path, &request, &body);
        let key = |live: &str| {
            let recorded = self.pairs.recorded(live).unwrap_or(live);
            let key = self.client.accessor(recorded)?;
            Some(self.keys.get(key)?.public.clone())
        };
        let checked = client::faults(&mut self.checks, &path, &body, key);
        for fault in finding.faults.into_iter().chain(checked) {
            faults.push(format!("{what}: {fault}"));
        }
        true
    }

    /// An answer beside the recorded one, or beside what it would have been soon.
    fn compared(&self, seq: u64, call: &Call, soon: &[Value], body: &Value) -> Finding {
        let mut recorded = call.response.clone();
        chance::made_alike(seq, &mut recorded, body);
        let compared = |recorded| compare(&self.pairs, &self.texts, recorded, body);
        let finding = compared(&recorded);
        if finding.faults.is_empty() {
            return finding;
        }
        let soon = soon.iter().map(compared);
        let mut alike = soon.filter(|later| later.faults.is_empty());
        alike.next().unwrap_or(finding)
    }

    /// Calls one of a node's API processes, each in turn.
    async fn send(&self, call: &Call, request: &Value) -> (u16, Value) {
        let urls = &self.nodes.apis[&call.node];
        let url = &urls[self.report.calls % urls.len()];
        self.send_to(url, call, request).await
    }

    async fn send_to(&self, url: &str, call: &Call, request: &Value) -> (u16, Value) {
        let path = self.texts.to_live(&self.pairs, &call.path);
        let url = format!("{url}{path}");
        let method: Method = call.method.parse().unwrap();
        let mut builder = self.http.request(method, url);
        if !request.is_null() {
            builder = builder.json(request);
        }
        let answer = builder.send().await.unwrap();
        let status = answer.status().as_u16();
        let body = match answer.text().await.unwrap() {
            text if text.is_empty() => Value::Null,
            text => serde_json::from_str(&text).unwrap_or_else(|_| json!(text)),
        };
        (status, body)
    }

    /// Signs what the recorded client signed, with our key.
    async fn sign(&mut self, call: &Call, request: &mut Value) {
        let Some(signed) = self.client.signed(&call.request) else {
            return;
        };
        let path = format!(
            "/v6/idp/request_message_padded_hash?request_id={}&accessor_id={}",
            signed.request_id, signed.accessor_id
        );
        let ask = Call {
            node: call.node.clone(),
            method: "GET".to_owned(),
            path,
            request: Value::Null,
            status: 200,
            response: Value::Null,
        };
        let (_, answer) = self.send(&ask, &Value::Null).await;
        let hash = answer["request_message_padded_hash"].as_str();
        let hash = hash.and_then(|hash| STANDARD.decode(hash).ok());
        // Without it the call itself will show what is wrong.
        if let (Some(hash), Some(pair)) = (hash, self.keys.get(signed.public_key)) {
            let signature = STANDARD.encode(keys::sign(&pair.private, &hash));
            // The recorded signature stands for ours from now on.
            if let Some(recorded) = call.request["signature"].as_str() {
                let _ = self.pairs.teach(recorded, &signature);
            }
            request["signature"] = json!(signature);
        }
    }

    /// What came and was not recorded, and what came twice.
    fn note_rest(&mut self) {
        let arrivals = self.listeners.arrivals_after(self.seen);
        self.inbox.add(arrivals);
        for arrival in self.inbox.rest() {
            let owner = self.owners.scenario(&self.pairs, &arrival.body);
            if !self.owners.is_lost(owner) && !chance::may_come(owner, &arrival) {
                self.note("callback too many", &arrival);
            }
        }
        for arrival in self.inbox.repeated() {
            self.note("callback without an id of its own", &arrival);
        }
    }

    fn note(&mut self, what: &str, arrival: &Arrival) {
        let owner = self.owners.scenario(&self.pairs, &arrival.body).to_owned();
        let about = subject(arrival.app, &arrival.path, &arrival.body);
        let fault = format!("{what}: {about}: {}", shortened(&arrival.body));
        println!("{owner}: {fault}");
        let mut scenarios = self.report.scenarios.iter_mut();
        match scenarios.find(|(name, _)| *name == owner) {
            Some((_, faults)) => faults.push(fault),
            None => self.report.scenarios.push((owner, vec![fault])),
        }
    }
}

/// Whether a call sets something back at the end of a scenario, which later ones
/// rely on.
fn restores(call: &Call) -> bool {
    call.method == "POST" && (call.node == "ndid1" || is_setting(call))
}

/// Whether a call changes a setting of one process: an operator tells all of them.
fn is_setting(call: &Call) -> bool {
    call.path == "/config/set"
}
