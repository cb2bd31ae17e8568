//! A process of an IdP is killed in the middle of identity operations: each ends
//! once, with one result.

use std::time::Duration;

use serde_json::{Value, json};

use crate::identity_idps::{Idps, with};
use crate::network::*;

/// When a direct operation is killed, in milliseconds after its call.
const DIRECT: [u64; 4] = [0, 5, 20, 60];

/// When it is killed.
#[derive(Debug, Clone, Copy)]
enum Stage {
    /// The call has been answered.
    Called,
    /// The request for consent is on the ledger.
    Created,
    /// The other IdP's answer is on the ledger.
    Answered,
}

impl Idps {
    /// Kills a process of `idp1` and starts it again.
    async fn kill(&mut self, victim: usize) {
        let part = &mut self.processes("idp1")[victim];
        kill(part).await;
        start_again(part);
    }

    /// Waits for the result of an operation; there is no second one, and the
    /// reference id is free.
    async fn ends_once(&self, operation: &str, reference: &str) -> Value {
        let [one, _] = &self.all;
        let kind = Self::result_type(operation);
        let result = one.told.result(kind, reference).await;
        let is_free = || async { one.referenced(reference).await.is_none() };
        eventually("its reference id is free", is_free).await;
        let is_it = |body: &Value| body["type"] == kind && body["reference_id"] == reference;
        assert_eq!(one.told.count(is_it), 1, "{operation}, {reference}");
        result
    }

    fn result_type(operation: &str) -> &'static str {
        crate::identity_idps::Idp::result_type(operation)
    }

    /// A direct operation, killed after its call and at some moments after it.
    async fn direct(&mut self, victim: usize) {
        for milliseconds in DIRECT {
            let reference = format!("direct-{milliseconds}");
            let body = self.all[0].new_accessor();
            let answer = self.all[0].call("/accessors", body, &reference).await;
            // Not a wait for something: any moment is as good as another.
            tokio::time::sleep(Duration::from_millis(milliseconds)).await;
            self.kill(victim).await;
            let done = self.ends_once("/accessors", &reference).await;
            assert_eq!(done["success"], true, "{done}");
            self.has_accessor(&answer).await;
        }
    }

    async fn has_accessor(&self, answer: &Value) {
        let id = answer["accessor_id"].as_str().unwrap();
        let api = self.net.network.nodes[1].api_urls().remove(0);
        let url = format!("{api}/v6/utility/accessors/{id}");
        let found = plain_client().get(url).send().await.unwrap();
        assert_eq!(found.status(), 200, "the ledger has the accessor");
    }

    /// An operation with consent, killed at a stage.
    async fn with_consent(&mut self, victim: usize, stage: Stage, decision: &str) {
        let reference = format!("{stage:?}-{decision}");
        let message = json!({"request_message": "May we?"});
        let body = with(self.all[0].new_accessor(), message);
        let answer = self.all[0].call("/accessors", body, &reference).await;
        let request_id = answer["request_id"].as_str().unwrap();
        if matches!(stage, Stage::Called) {
            self.kill(victim).await;
        }
        let kind = "add_accessor_request_result";
        let created = self.all[0].told.result(kind, &reference).await;
        assert_eq!(created["success"], true, "{created}");
        if matches!(stage, Stage::Created) {
            self.kill(victim).await;
        }
        self.all[1].answer(request_id, decision).await;
        if matches!(stage, Stage::Answered) {
            self.kill(victim).await;
        }
        let done = self.ends_once("/accessors", &reference).await;
        assert_eq!(done["success"], decision == "accept", "{reference}: {done}");
        if decision == "accept" {
            self.has_accessor(&answer).await;
        }
    }
}

async fn each_ends_once(store: Store, workers: usize, victim: usize) {
    let mut idps = Idps::start(store, workers).await;
    for (idp, name) in [(0, "one"), (1, "two")] {
        let idp = &idps.all[idp];
        let (_, done) = idp.operate("", idp.person(2), name).await;
        assert_eq!(done["success"], true, "{done}");
    }
    idps.direct(victim).await;

    // From here on each operation needs consent.
    for (asks, answers) in [(0, 1), (1, 0)] {
        let (asks, answers) = (&idps.all[asks], &idps.all[answers]);
        let answer = asks
            .call("/mode", json!({"request_message": "May we?"}), "mode")
            .await;
        let request_id = answer["request_id"].as_str().unwrap();
        answers.answer(request_id, "accept").await;
        let done = asks
            .told
            .result("upgrade_identity_mode_result", "mode")
            .await;
        assert_eq!(done["success"], true, "{done}");
    }
    for stage in [Stage::Called, Stage::Created, Stage::Answered] {
        idps.with_consent(victim, stage, "accept").await;
    }
    idps.with_consent(victim, Stage::Answered, "reject").await;
    let results = |body: &Value| body["type"] == "add_accessor_result";
    assert_eq!(
        idps.all[0].told.count(results),
        DIRECT.len() + 4,
        "no more came since"
    );
    idps.end().await;
}

#[actix_web::test]
async fn operations_end_once_though_the_standalone_idp_is_killed() {
    each_ends_once(Store::Embedded, 0, 0).await;
}

#[actix_web::test]
async fn operations_end_once_though_the_master_is_killed() {
    each_ends_once(Store::Redis, 2, 0).await;
}

#[actix_web::test]
async fn operations_end_once_though_a_worker_is_killed() {
    each_ends_once(Store::Embedded, 2, 1).await;
}
