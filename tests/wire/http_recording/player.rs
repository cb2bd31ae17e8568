//! Plays the script and notes every difference.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;
use std::time::Duration;

use reqwest::{Client, Method};
use serde_json::Value;

use super::names::Names;
use super::network::Nodes;
use super::receiver::{Arrival, Receiver};
use super::{compare, decided};
use crate::recorded_calls::expand;

/// How long a callback or an idle network is waited for.
const PATIENCE: Duration = Duration::from_secs(15);
const POLL: Duration = Duration::from_millis(5);
/// Counts that are 0 when a node has nothing to do.
const IDLE: [&str; 5] = [
    "/num_expected_txs",
    "/num_pending_outbound_mq_messages",
    "/num_pending_client_callbacks",
    "/num_processing_blocks",
    "/num_processing_inbound_messages",
];

/// Callbacks of which one cannot be told from the next but by their order:
/// path, type, request, reference, destination.
type Channel = [String; 5];

/// What was found.
pub struct Report {
    scenarios: usize,
    calls: usize,
    callbacks: usize,
    pub differences: Vec<String>,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} scenarios, {} calls and {} callbacks compared, {} differences",
            self.scenarios,
            self.calls,
            self.callbacks,
            self.differences.len()
        )
    }
}

/// Plays the recorded client against our nodes.
pub struct Player {
    nodes: Nodes,
    client: Client,
    receiver: Receiver,
    names: Names,
    /// Answers to callbacks, by recorded request id.
    answers: HashMap<String, Value>,
    /// Callbacks of the whole script.
    expected: BTreeMap<Channel, Vec<Value>>,
    /// How many of each channel the script has come to.
    due: BTreeMap<Channel, usize>,
    /// Channels that were waited for in vain.
    given_up: HashSet<Channel>,
    scenario: String,
    report: Report,
}

impl Player {
    /// A network and a receiver, before the first record.
    pub async fn start(script: &[Value]) -> Self {
        let nodes = Nodes::start().await;
        let receiver = Receiver::start();
        let mut expected: BTreeMap<Channel, Vec<Value>> = BTreeMap::new();
        let mut answers = HashMap::new();
        for record in script.iter().filter(|record| record["kind"] == "callback") {
            let channel = channel(text(&record["url"]), &record["body"]);
            expected.entry(channel).or_default().push(record.clone());
            if record["answered"]["body"] != Value::Null {
                let request_id = text(&record["body"]["request_id"]).to_owned();
                answers.insert(request_id, record["answered"].clone());
            }
        }
        Self {
            nodes,
            client: Client::builder().no_proxy().build().unwrap(),
            names: Names::new(receiver.base()),
            receiver,
            answers,
            expected,
            due: BTreeMap::new(),
            given_up: HashSet::new(),
            scenario: String::new(),
            report: Report {
                scenarios: 0,
                calls: 0,
                callbacks: 0,
                differences: Vec::new(),
            },
        }
    }

    /// Plays a record: a call is made when every callback recorded before it
    /// has come.
    pub async fn play(&mut self, record: &Value) {
        if record["scenario"] != self.scenario.as_str() {
            self.scenario = text(&record["scenario"]).to_owned();
            self.report.scenarios += 1;
            self.until_due_callbacks().await;
            self.until_idle().await;
        }
        match text(&record["kind"]) {
            "callback" => {
                let channel = channel(text(&record["url"]), &record["body"]);
                if self.expected.contains_key(&channel) {
                    *self.due.entry(channel).or_default() += 1;
                }
            }
            "call" => {
                self.until_due_callbacks().await;
                self.call(record).await;
            }
            // "nothing more arrived"
            _ => {
                self.until_due_callbacks().await;
                self.until_idle().await;
            }
        }
    }

    /// Waits for what may still come, compares all callbacks, stops the network.
    pub async fn finish(mut self) -> Report {
        self.until_due_callbacks().await;
        self.until_idle().await;
        self.compare_callbacks();
        self.compare_order();
        self.receiver.stop().await;
        for name in self.nodes.stop().await {
            let problem = format!("process {name} ended by itself");
            self.report.differences.push(problem);
        }
        self.report
    }

    fn differs(&mut self, what: &str, recorded: &Value, live: &Value) {
        self.report.differences.push(format!(
            "{}: {what}\n  recorded {recorded}\n  live     {live}",
            self.scenario
        ));
    }

    fn arrived(&self) -> BTreeMap<Channel, Vec<(Arrival, Value)>> {
        let mut arrived: BTreeMap<Channel, Vec<(Arrival, Value)>> = BTreeMap::new();
        for arrival in self.receiver.arrivals() {
            let body = self.names.to_recorded(&arrival.body);
            let channel = channel(&arrival.path, &body);
            arrived.entry(channel).or_default().push((arrival, body));
        }
        arrived
    }

    async fn until_due_callbacks(&mut self) {
        loop {
            let known = self.receiver.arrivals().len();
            let arrived = self.arrived();
            let count = |channel: &Channel| arrived.get(channel).map_or(0, Vec::len);
            let missing: Vec<Channel> = self
                .due
                .iter()
                .filter(|(channel, due)| count(channel) < **due)
                .map(|(channel, _)| channel.clone())
                .filter(|channel| !self.given_up.contains(channel))
                .collect();
            if missing.is_empty() {
                return;
            }
            if !self.receiver.more_than(known, PATIENCE).await {
                self.given_up.extend(missing);
            }
        }
    }

    /// Waits until no node has anything to do.
    async fn until_idle(&mut self) {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            let Some(busy) = self.busy().await else {
                return;
            };
            if tokio::time::Instant::now() > deadline {
                self.report
                    .differences
                    .push(format!("{}: stays busy: {busy}", self.scenario));
                return;
            }
            tokio::time::sleep(POLL).await;
        }
    }

    async fn busy(&self) -> Option<String> {
        for url in self.nodes.apis.values().flatten() {
            for path in IDLE {
                let answer = self.client.get(format!("{url}{path}")).send().await;
                let counts: Value = answer.unwrap().json().await.unwrap();
                let mut counts = counts.as_object().unwrap().values();
                if counts.any(|count| *count != 0) {
                    return Some(format!("{url}{path}"));
                }
            }
        }
        None
    }

    async fn call(&mut self, record: &Value) {
        self.report.calls += 1;
        let path = text(&record["path"]);
        let urls = &self.nodes.apis[text(&record["node"])];
        let base = &urls[self.report.calls % urls.len()];
        let url = format!("{base}{}", self.names.to_live(path));
        let method: Method = text(&record["method"]).parse().unwrap();
        let mut request = self.client.request(method, url);
        if let Some(content_type) = record["content_type"].as_str() {
            request = request.header("content-type", content_type);
        }
        request = match expand(&record["request"]) {
            Value::Null => request,
            Value::String(body) => request.body(self.names.to_live(&body)),
            body => request.body(self.names.to_live(&body.to_string())),
        };
        let answer = request.send().await.unwrap();
        let what = format!("{} {} {path}", record["seq"], text(&record["method"]));
        let status = answer.status().as_u16();
        let headers: Value = ["content-type", "content-length"]
            .into_iter()
            .filter_map(|name| {
                let value = answer.headers().get(name)?.to_str().unwrap();
                Some((name.to_owned(), Value::from(value)))
            })
            .collect();
        let body = body_of(&answer.text().await.unwrap());
        let code = body["error"]["code"].as_u64();
        if code.is_some_and(|code| decided::refused_at_once(record).contains(&code)) {
            self.expect_no_result(text(&record["request"]["reference_id"]));
            return;
        }
        self.learn(&record["response"], &body);
        let live = self.names.to_recorded(&body);
        if record["status"] != status {
            self.differs(
                &format!("status of {what}: {body}"),
                &record["status"],
                &status.into(),
            );
            return;
        }
        let (recorded, live) = (
            compare::body(path, &record["response"]),
            compare::body(path, &live),
        );
        if recorded != live {
            self.differs(&what, &recorded, &live);
        }
        self.compare_headers(&what, &record["headers"], &headers);
    }

    fn expect_no_result(&mut self, reference_id: &str) {
        self.expected
            .retain(|[_, _, _, reference, _], _| reference != reference_id);
    }

    fn learn(&mut self, recorded: &Value, live: &Value) {
        let (Some(recorded), Some(live)) =
            (recorded["request_id"].as_str(), live["request_id"].as_str())
        else {
            return;
        };
        if self.names.to_live(recorded) != recorded {
            return;
        }
        self.names.learn(recorded, live);
        if let Some(answer) = self.answers.get(recorded) {
            self.receiver.answer(live, answer.clone());
        }
    }

    /// Lengths depend on ids of their run; whether there is a body does not.
    fn compare_headers(&mut self, what: &str, recorded: &Value, live: &Value) {
        if recorded["content-type"] != live["content-type"] {
            self.differs(&format!("content-type of {what}"), recorded, live);
        }
        let has_no_body = |headers: &Value| headers["content-length"] == "0";
        let has_length = |headers: &Value| headers["content-length"].is_string();
        if has_no_body(recorded) != has_no_body(live) || has_length(recorded) != has_length(live) {
            self.differs(&format!("content-length of {what}"), recorded, live);
        }
    }

    fn compare_callbacks(&mut self) {
        let mut arrived = self.arrived();
        for (channel, recorded) in std::mem::take(&mut self.expected) {
            let live = arrived.remove(&channel).unwrap_or_default();
            for index in 0..recorded.len().max(live.len()) {
                self.compare_callback(&channel, recorded.get(index), live.get(index));
            }
        }
        for (channel, live) in arrived {
            for arrival in &live {
                self.compare_callback(&channel, None, Some(arrival));
            }
        }
    }

    fn compare_callback(
        &mut self,
        channel: &Channel,
        recorded: Option<&Value>,
        live: Option<&(Arrival, Value)>,
    ) {
        let what = channel.join(" ");
        match (recorded, live) {
            (Some(recorded), Some((arrival, body))) => {
                self.report.callbacks += 1;
                self.scenario = text(&recorded["scenario"]).to_owned();
                let (wanted, body) = (
                    compare::comparable(&recorded["body"]),
                    compare::comparable(body),
                );
                if wanted != body {
                    self.differs(&what, &wanted, &body);
                }
                let headers = &recorded["headers"];
                let same = headers["content-type"].as_str() == arrival.content_type.as_deref()
                    && headers["accept"].as_str() == arrival.accept.as_deref();
                if !same {
                    let problem = format!("headers of {what}: {arrival:?}, recorded {headers}");
                    self.report.differences.push(problem);
                }
            }
            (Some(recorded), None) => {
                self.differs(&format!("callback missing: {what}"), recorded, &Value::Null)
            }
            (None, Some((_, body))) => {
                self.differs(&format!("callback too many: {what}"), &Value::Null, body);
            }
            (None, None) => {}
        }
    }

    /// No callback comes twice, and those of one receiver and one request come
    /// in the order of their heights.
    fn compare_order(&mut self) {
        let mut ids = HashSet::new();
        let mut heights: HashMap<(String, String), u64> = HashMap::new();
        for arrival in self.receiver.arrivals() {
            if !arrival.id.clone().is_some_and(|id| ids.insert(id)) {
                let problem = format!("callback without an id of its own: {arrival:?}");
                self.report.differences.push(problem);
            }
            let Some(height) = compare::height(&arrival.body) else {
                continue;
            };
            let request_id = text(&arrival.body["request_id"]).to_owned();
            let last = heights
                .entry((arrival.path.clone(), request_id))
                .or_default();
            if height < *last {
                let problem = format!("callback after one of height {last}: {arrival:?}");
                self.report.differences.push(problem);
            }
            *last = height;
        }
    }
}

fn channel(path: &str, body: &Value) -> Channel {
    let member = |name: &str| text(&body[name]).to_owned();
    [
        path.to_owned(),
        member("type"),
        member("request_id"),
        member("reference_id"),
        member("destination_node_id"),
    ]
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn body_of(text: &str) -> Value {
    match text {
        "" => Value::Null,
        text => serde_json::from_str(text).unwrap_or_else(|_| text.into()),
    }
}
