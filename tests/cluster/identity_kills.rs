//! A process of an IdP is killed in the middle of every identity operation, in
//! both forms: each ends once, with one result, and leaves nothing behind. All
//! operations of a round are hit by one kill, each has a person of its own.

use std::time::Duration;

use erawan::devnet::verdict::read_store;
use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::identity_idps::{Idp, Idps, with};
use crate::network::*;

/// What needs no consent.
const DIRECT: [&str; 9] = [
    "",
    "/of_person",
    "/accessors",
    "/accessor_revoke",
    "/accessor_revoke_and_add",
    "/association_revoke",
    "/ial",
    "/lial",
    "/laal",
];

/// What needs it, and how it ends.
const WITH_CONSENT: [(&str, End); 10] = [
    ("", End::Accept),
    ("/of_person", End::Accept),
    ("/accessors", End::Accept),
    ("/accessor_revoke", End::Accept),
    ("/accessor_revoke_and_add", End::Accept),
    ("/association_revoke", End::Accept),
    ("/mode", End::Accept),
    ("/accessors", End::Reject),
    ("/accessors", End::Close),
    ("", End::Reject),
];

/// How much later than the last call of a round the process is killed, by round.
const LATER: [Duration; 3] = [
    Duration::ZERO,
    Duration::from_millis(15),
    Duration::from_millis(60),
];

/// How late the ledger tells the results of blocks: what is asked for is surely
/// not done when a process is killed.
const LATE: Duration = Duration::from_millis(120);

/// How an operation ends.
#[derive(Debug, Clone, Copy, PartialEq)]
enum End {
    /// By itself.
    Direct,
    Accept,
    Reject,
    /// The client does not wait for an answer.
    Close,
}

impl End {
    /// Code of the error in the result.
    fn error(self) -> Option<u32> {
        match self {
            Self::Direct | Self::Accept => None,
            Self::Reject => Some(10016),
            Self::Close => Some(20025),
        }
    }
}

/// An operation, and the person it is about.
struct Case {
    operation: &'static str,
    end: End,
    reference: String,
    asks: Idp,
    /// Where the person consents: at another IdP, or where it asks.
    other: Option<Idp>,
}

impl Case {
    fn new(idps: &Idps, round: &str, operation: &'static str, end: End) -> Self {
        let reference = format!("{round}{}-{end:?}", operation.replace('/', "-"));
        let [one, two] = &idps.all;
        let identity = format!("passport_num/{reference}");
        let is_known_elsewhere = operation.is_empty() && end != End::Direct;
        Self {
            operation,
            end,
            asks: one.of_person(&identity),
            other: is_known_elsewhere.then(|| two.of_person(&identity)),
            reference,
        }
    }

    fn answers(&self) -> &Idp {
        self.other.as_ref().unwrap_or(&self.asks)
    }

    /// Makes the person as the operation wants it.
    async fn prepare(&self) {
        let done = |done: Value| assert_eq!(done["success"], true, "{}: {done}", self.reference);
        let (asks, first) = (&self.asks, format!("{}-first", self.reference));
        if let Some(other) = &self.other {
            done(other.operate("", other.person(3), &first).await.1);
        }
        if self.operation.is_empty() {
            return;
        }
        let needs_more = matches!(self.operation, "/accessor_revoke" | "/mode");
        let mode = match self.end == End::Direct || needs_more {
            true => 2,
            false => 3,
        };
        done(asks.operate("", asks.person(mode), &first).await.1);
        if self.operation == "/accessor_revoke" {
            let second = format!("{}-second", self.reference);
            let key = asks.new_accessor();
            done(asks.operate("/accessors", key, &second).await.1);
            if self.end != End::Direct {
                let upgraded = format!("{}-upgraded", self.reference);
                let message = json!({"request_message": "May we?"});
                let answer = asks.call("/mode", message, &upgraded).await;
                let request_id = answer["request_id"].as_str().unwrap();
                asks.answer(request_id, "accept").await;
                let kind = Idp::result_type("/mode");
                done(asks.told.result(kind, &upgraded).await);
            }
        }
    }

    fn body(&self) -> Value {
        let asks = &self.asks;
        let made = |which| asks.accessor_id(&format!("{}-{which}", self.reference));
        let body = match self.operation {
            "" => asks.person(3),
            "/of_person" => {
                let identifier = format!("{}-more", self.reference);
                let more = json!({"namespace": "passport_num", "identifier": identifier});
                json!({"identity_list": [more]})
            }
            "/accessors" => asks.new_accessor(),
            "/accessor_revoke" => json!({"accessor_id": made("second")}),
            "/accessor_revoke_and_add" => {
                let revoking = json!({"revoking_accessor_id": made("first")});
                with(asks.new_accessor(), revoking)
            }
            "/ial" => json!({"ial": 3}),
            "/lial" => json!({"lial": true}),
            "/laal" => json!({"laal": true}),
            _ => json!({}),
        };
        match self.end {
            End::Direct => body,
            _ => with(body, json!({"request_message": "May we?"})),
        }
    }

    /// Starts it; the id of its request for consent.
    async fn begin(&self) -> Option<String> {
        let body = self.body();
        let answer = self.asks.call(self.operation, body, &self.reference).await;
        let request_id = answer["request_id"].as_str().map(str::to_owned);
        assert_eq!(request_id.is_none(), self.end == End::Direct, "{answer}");
        request_id
    }

    /// The request for consent is on the ledger.
    async fn has_been_asked(&self) {
        let kind = Idp::result_type(self.operation).replace("_result", "_request_result");
        let asked = self.asks.told.result(&kind, &self.reference).await;
        assert_eq!(asked["success"], true, "{asked}");
    }

    /// The person answers, or the client gives up.
    async fn decide(&self, request_id: &str) {
        match self.end {
            End::Direct => {}
            End::Accept => self.answers().answer(request_id, "accept").await,
            End::Reject => self.answers().answer(request_id, "reject").await,
            End::Close => {
                let reference = format!("{}-closing", self.reference);
                self.asks.close(&request_id.into(), &reference).await;
            }
        }
    }

    /// Waits for the result, and until the reference id is free.
    async fn ends(&self) {
        let kind = Idp::result_type(self.operation);
        let told = &self.asks.told;
        let result = told.result(kind, &self.reference).await;
        let error = result["error"]["code"].as_u64();
        let expected = self.end.error().map(u64::from);
        assert_eq!(error, expected, "{}: {result}", self.reference);
        assert_eq!(result["success"], expected.is_none(), "{result}");
        let is_free = || async { self.asks.referenced(&self.reference).await.is_none() };
        eventually("its reference id is free", is_free).await;
    }

    fn results(&self) -> usize {
        let kind = Idp::result_type(self.operation);
        let is_it = |body: &Value| body["type"] == kind && body["reference_id"] == self.reference;
        self.asks.told.count(is_it)
    }
}

async fn begin_all(cases: &[Case]) -> Vec<Option<String>> {
    join_all(cases.iter().map(Case::begin)).await
}

/// Kills a process of `idp1`, not before the results of blocks are late, and
/// starts it again. Not a wait for something: any moment is as good as another.
async fn kill_later(idps: &mut Idps, victim: usize, round: usize) {
    tokio::time::sleep(LATER[round]).await;
    let part = &mut idps.processes("idp1")[victim];
    kill(part).await;
    start_again(part);
}

async fn results_are_late(idps: &Idps, delay: Duration) {
    let url = format!("http://{}/devnet_results_delay", idps.net.network.ledger);
    let query = [("ms", delay.as_millis().to_string())];
    let answer = plain_client().get(url).query(&query).send().await.unwrap();
    assert_eq!(answer.status(), 200);
}

/// Every operation, hit three times: when it was called, when consent has been
/// asked for, when it was given. With each a round of those without consent.
async fn all_end_once(idps: &mut Idps, name: &str, victim: usize) {
    let of_round = |round: usize| -> Vec<Case> {
        let name = format!("{name}{round}");
        let all = DIRECT.into_iter();
        all.map(|operation| Case::new(idps, &name, operation, End::Direct))
            .collect()
    };
    let direct: Vec<Vec<Case>> = (0..LATER.len()).map(of_round).collect();
    let consented: Vec<Case> = WITH_CONSENT
        .into_iter()
        .map(|(operation, end)| Case::new(idps, name, operation, end))
        .collect();
    let all = || direct.iter().flatten().chain(&consented);
    join_all(all().map(Case::prepare)).await;

    results_are_late(idps, LATE).await;
    let requests = begin_all(&consented).await;
    begin_all(&direct[0]).await;
    kill_later(idps, victim, 0).await;
    join_all(consented.iter().map(Case::has_been_asked)).await;
    begin_all(&direct[1]).await;
    kill_later(idps, victim, 1).await;
    let decided = consented.iter().zip(&requests);
    join_all(decided.map(|(case, request)| case.decide(request.as_ref().unwrap()))).await;
    begin_all(&direct[2]).await;
    kill_later(idps, victim, 2).await;
    results_are_late(idps, Duration::from_millis(1)).await;
    join_all(all().map(Case::ends)).await;
    all_idle(&idps.net).await;
    for case in all() {
        assert_eq!(case.results(), 1, "{}", case.reference);
    }
}

/// Nothing is left in the stores.
async fn nothing_is_left(mut idps: Idps) {
    let ended = idps.net.network.ended();
    assert!(ended.is_empty(), "ended by themselves: {ended:?}");
    let bad = idps.net.network.stop_nodes().await;
    assert!(bad.is_empty(), "{bad:?}");
    for node in &idps.net.network.nodes {
        let store = idps.net.network.stopped_store(node).await.unwrap();
        let left = read_store(store.as_ref()).await.unwrap();
        let findings: Vec<String> = left.findings().collect();
        assert!(findings.is_empty(), "{}: {findings:#?}", node.node_id);
    }
    idps.end().await;
}

#[actix_web::test]
async fn operations_end_once_though_the_standalone_idp_is_killed() {
    let mut idps = Idps::start(Store::Embedded, 0).await;
    all_end_once(&mut idps, "standalone", 0).await;
    nothing_is_left(idps).await;
}

#[actix_web::test]
async fn operations_end_once_though_the_master_and_then_a_worker_is_killed() {
    let mut idps = Idps::start(Store::Redis, 2).await;
    all_end_once(&mut idps, "master", 0).await;
    all_end_once(&mut idps, "worker", 1).await;
    nothing_is_left(idps).await;
}
